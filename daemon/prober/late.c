/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Was this process on time? The loop turns at least every LATE_TICK_MS; a
 * longer gap means that the process was stopped, starved of CPU, or blocked.
 * Replies that came meanwhile were not read and time-outs ran on: what probes
 * that were in flight then report as failures says nothing about services. So
 * lost time is added up, and time-outs are extended by it: a probe always gets
 * as much attention as it was promised, also on a machine that is overloaded
 * all the time.
 */
#include "prober/prober.h"

void late_observe(struct prober *prober, uint64_t now_ns)
{
	struct late *late = &prober->late;
	uint64_t gap_us;

	if (!late->last_ns)
		late->last_ns = now_ns;
	gap_us = (now_ns - late->last_ns) / 1000;
	late->last_ns = now_ns;
	if (gap_us > LATE_TICK_MS * 1000) {
		uint64_t lag_us = gap_us - LATE_TICK_MS * 1000;

		if (lag_us > late->max_us)
			late->max_us = lag_us < UINT32_MAX ? lag_us : UINT32_MAX;
		if (lag_us > LATE_NOISE_MS * 1000)
			late->lost_us += lag_us;
		if (lag_us > LATE_LIMIT_MS * 1000) {
			late->mark_ns = now_ns;
			prober->self->late_windows++;
		}
	}
	if (now_ns - late->second_ns >= 1000000000) {
		late->second_ns = now_ns;
		prober->self->lag_us_max = late->max_us;
		late->max_us = 0;
	}
}

bool late_since(const struct prober *prober, uint64_t start_ns)
{
	return start_ns < prober->late.mark_ns;
}
