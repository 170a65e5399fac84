/* SPDX-License-Identifier: GPL-2.0-only */
/* Results to verdicts, see verdict.h. */
#include <assert.h>
#include <string.h>

#include "config/config.h"
#include "health/verdict.h"

void verdict_init(struct verdict *verdict, enum verdict_value value)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->value = value;
	verdict->last_failed = value == VERDICT_FAIL;
}

static bool gives_up(unsigned __int128 failed, const struct config_monitor *monitor)
{
	uint32_t window = monitor->retries, need = monitor->failure_retries;

	if (window < 1)
		window = 1;
	if (window > VERDICT_RETRIES_MAX)
		window = VERDICT_RETRIES_MAX;
	if (need == 0 || need > window)
		need = window;
	failed &= ((unsigned __int128)1 << window) - 1;
	return (uint32_t)(__builtin_popcountll(failed) +
			  __builtin_popcountll(failed >> 64)) >= need;
}

enum verdict_value verdict_preview(const struct verdict *verdict,
				   const struct config_monitor *monitor,
				   bool passed)
{
	if (!passed)
		return gives_up(verdict->failed << 1 | 1, monitor) ?
			       VERDICT_FAIL :
			       (enum verdict_value)verdict->value;
	return verdict->successes + 1u >= monitor->success_retries ?
		       VERDICT_PASS :
		       (enum verdict_value)verdict->value;
}

bool verdict_result(struct verdict *verdict,
		    const struct config_monitor *monitor, bool passed)
{
	enum verdict_value value = verdict_preview(verdict, monitor, passed);
	bool changed = value != verdict->value;

	verdict->failed = verdict->failed << 1 | !passed;
	verdict->last_failed = !passed;
	if (!passed)
		verdict->successes = 0;
	else if (verdict->successes < UINT8_MAX)
		verdict->successes++;
	if (changed) {
		verdict->value = value;
		/* A fresh window: failures from before must not count
		 * against a service that has just proven itself. */
		verdict->failed = 0;
		verdict->successes = 0;
	}
	assert(verdict->value <= VERDICT_PASS);
	return changed;
}

void verdict_response(struct verdict_mean *mean, uint32_t response_us)
{
	if (!mean->learnt)
		mean->mean_us = response_us;
	else
		mean->mean_us += ((int64_t)response_us - mean->mean_us) / 8;
	if (mean->learnt < UINT8_MAX)
		mean->learnt++;
}

uint32_t verdict_timeout_ms(const struct verdict_mean *mean,
			    const struct config_monitor *monitor)
{
	uint64_t learnt;

	if (!monitor->deviation_ms || mean->learnt < VERDICT_LEARN)
		return monitor->timeout_ms;
	/* Rounded up: a mean of 300 µs must not become 0 ms. */
	learnt = (mean->mean_us + 999ull) / 1000 + monitor->deviation_ms;
	return learnt < monitor->timeout_ms ? learnt : monitor->timeout_ms;
}

uint32_t verdict_delay_ms(const struct verdict *verdict,
			  const struct config_monitor *monitor, uint32_t random)
{
	uint32_t delay = monitor->interval_ms;

	if (verdict->value == VERDICT_FAIL && verdict->last_failed)
		delay = monitor->down_ms;
	if (delay < 1)
		delay = 1;
	return delay - (uint32_t)((uint64_t)(delay / 20) * random >> 32);
}
