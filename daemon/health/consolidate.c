/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts to an observed state, see consolidate.h. */
#include "health/consolidate.h"
#include "health/verdict.h"

enum health_observed consolidate(const uint8_t *verdicts,
				 const uint16_t *weights, size_t n,
				 uint32_t threshold, enum health_observed was)
{
	uint64_t passing = 0, open = 0;

	if (n == 0)
		return HEALTH_UP;
	for (size_t i = 0; i < n; i++) {
		if (verdicts[i] == VERDICT_PASS)
			passing += weights[i];
		else if (verdicts[i] == VERDICT_UNKNOWN)
			open += weights[i];
	}
	if (passing >= threshold)
		return HEALTH_UP;
	if (passing + open >= threshold)
		return was;
	return HEALTH_DOWN;
}
