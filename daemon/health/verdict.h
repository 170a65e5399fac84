/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the results of one monitor at one service add up to. Pure.
 *
 *   UNKNOWN or FAIL → PASS   success_retries successes in a row
 *   UNKNOWN or PASS → FAIL   failure_retries of the last `retries` results
 *                            failed (0: all of them)
 *
 * So a service is given up within interval × retries + time-out. The count of
 * failures is a window, never cumulative: old failures leave it.
 *
 * While FAIL stands the next probe waits for the down time; once one succeeds,
 * and more are asked for, the interval counts again.
 *
 * Response times: mean and mean deviation as in RFC 6298 (gains 1/8 and 1/4).
 * With a deviation set, the time-out is mean + deviation once VERDICT_LEARN
 * results are in, never more than the configured time-out.
 */
#ifndef SLUICE_VERDICT_H
#define SLUICE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

struct config_monitor;

#define VERDICT_LEARN 8
/* The window of results is one word. */
#define VERDICT_RETRIES_MAX 127

enum verdict_value {
	VERDICT_UNKNOWN = 0,
	VERDICT_FAIL = 1,
	VERDICT_PASS = 2,
};

/* Response times, of one service or of all that share a monitor. */
struct verdict_mean {
	uint32_t mean_us;
	uint8_t learnt; /* response times in it, saturating */
};

struct verdict {
	/* Last results, newest in bit 0; 1: failed. */
	unsigned __int128 failed;
	struct verdict_mean mean;
	uint8_t value; /* enum verdict_value */
	uint8_t successes; /* in a row, saturating */
	bool last_failed;
};

/* Starts from a verdict that somebody else reached (or UNKNOWN). */
void verdict_init(struct verdict *verdict, enum verdict_value value);

/* What the value would become with one more result. */
enum verdict_value verdict_preview(const struct verdict *verdict,
				   const struct config_monitor *monitor,
				   bool passed);

/* Takes one result; true if the value changed. */
bool verdict_result(struct verdict *verdict,
		    const struct config_monitor *monitor, bool passed);

/* Takes one measured response time. */
void verdict_response(struct verdict_mean *mean, uint32_t response_us);

/* For the next probe. */
uint32_t verdict_timeout_ms(const struct verdict_mean *mean,
			    const struct config_monitor *monitor);

/* From the start of one probe to the start of the next. RANDOM: 32 random
 * bits; up to 5 % are taken off, so that probes do not march in step and the
 * bound above holds. */
uint32_t verdict_delay_ms(const struct verdict *verdict,
			  const struct config_monitor *monitor,
			  uint32_t random);

#endif
