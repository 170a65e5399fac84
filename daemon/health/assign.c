/* SPDX-License-Identifier: GPL-2.0-only */
/* Rendezvous hashing of bindings over probers, see assign.h. */
#include "config/config.h"
#include "health/assign.h"

/* Finaliser of MurmurHash3 (public domain): full avalanche. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static int best(uint64_t mask, uint64_t key)
{
	uint64_t best_score = 0;
	int ret = ASSIGN_NONE;

	for (; mask; mask &= mask - 1) {
		int slot = __builtin_ctzll(mask);
		uint64_t score = mix(key ^ mix(slot + 0x9e3779b97f4a7c15ull));

		if (ret == ASSIGN_NONE || score > best_score) {
			best_score = score;
			ret = slot;
		}
	}
	return ret;
}

uint64_t assign_share(const struct config_monitor *monitor, uint64_t service)
{
	return monitor->response_time ? 0 : service;
}

int assign_runner(uint64_t mask, uint64_t monitor, uint64_t service)
{
	return best(mask, mix(service) + (monitor << 1 | 1));
}

int assign_consolidator(uint64_t mask, uint64_t service)
{
	return best(mask, mix(service));
}
