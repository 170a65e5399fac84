/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inline monitors: a verdict from real traffic. Within the window, at least
 * `inline_failures` connection attempts were unanswered or reset, and these
 * were at least half of all attempts: FAIL. (A busy service with a few resets
 * is not down; a broken one fails nearly all.) No traffic: nothing disproves.
 *
 * A failed service gets no traffic, so nothing could prove it again: after
 * the down time it is tried (PASS, with an empty window). Pure.
 */
#ifndef SLUICE_PASSIVE_H
#define SLUICE_PASSIVE_H

#include <stdbool.h>
#include <stdint.h>
#include "health/health.h"
#include "health/verdict.h"

#define PASSIVE_SLICES 8 /* of the window */

struct passive {
	struct health_passive sample[PASSIVE_SLICES]; /* oldest at `at` */
	uint64_t slice_ms;   /* when the newest sample was taken */
	uint64_t failed_ms;  /* when FAIL began */
	uint32_t failures;   /* in the window, at the last step */
	uint8_t at, n;
	uint8_t value; /* enum verdict_value */
};

void passive_init(struct passive *passive);

/* COUNTS are cumulative. True if the verdict changed. */
bool passive_step(struct passive *passive, const struct config_monitor *monitor,
		  const struct health_passive *counts, uint64_t now_ms);

#endif
