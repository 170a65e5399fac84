/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts from traffic, see passive.h. */
#include <string.h>

#include "config/config.h"
#include "health/passive.h"

void passive_init(struct passive *passive)
{
	memset(passive, 0, sizeof(*passive));
	passive->value = VERDICT_PASS;
}

static void restart(struct passive *passive,
		    const struct health_passive *counts, uint64_t now_ms)
{
	passive->sample[0] = *counts;
	passive->at = 0;
	passive->n = 1;
	passive->slice_ms = now_ms;
	passive->failures = 0;
}

/* Counters that went back (a new flow table) start a new window. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : 0;
}

bool passive_step(struct passive *passive, const struct config_monitor *monitor,
		  const struct health_passive *counts, uint64_t now_ms)
{
	const struct health_passive *oldest;
	uint64_t attempts, failures;

	if (passive->value == VERDICT_FAIL) {
		if (now_ms - passive->failed_ms < monitor->down_ms)
			return false;
		passive->value = VERDICT_PASS;
		restart(passive, counts, now_ms);
		return true;
	}
	if (!passive->n) {
		restart(passive, counts, now_ms);
		return false;
	}
	oldest = &passive->sample[passive->at];
	attempts = grown(counts->attempts, oldest->attempts);
	failures = grown(counts->unanswered, oldest->unanswered) +
		   grown(counts->resets, oldest->resets);
	passive->failures = failures < UINT32_MAX ? failures : UINT32_MAX;
	if (failures && failures >= monitor->inline_failures &&
	    failures * 2 >= attempts) {
		passive->value = VERDICT_FAIL;
		passive->failed_ms = now_ms;
		return true;
	}
	if (now_ms - passive->slice_ms >=
	    monitor->inline_window_ms / PASSIVE_SLICES) {
		if (passive->n < PASSIVE_SLICES)
			passive->sample[passive->n++] = *counts;
		else {
			passive->sample[passive->at] = *counts;
			passive->at = (passive->at + 1) % PASSIVE_SLICES;
		}
		passive->slice_ms = now_ms;
	}
	return false;
}
