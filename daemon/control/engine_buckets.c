// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rendezvous hashing of buckets over engines (Thaler and Ravishankar, 1998).
 * 1 024 buckets, at most 16 engines: written whole in some 100 µs.
 */
#include "control/engine_buckets.h"

#include <string.h>

/* Finalizer of MurmurHash3 (64 bit): every input bit moves every output bit. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

struct core_bucket engine_buckets_prefs(uint32_t bucket, uint32_t slots)
{
	uint64_t weight[ENGINES_MAX];
	uint8_t order[ENGINES_MAX];
	struct core_bucket ret;
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < ENGINES_MAX; slot++) {
		uint64_t w;
		uint32_t i;

		if (!(slots & 1u << slot))
			continue;
		w = mix((uint64_t)bucket << 8 | (slot + 1));
		for (i = n++; i && weight[i - 1] < w; i--) {
			weight[i] = weight[i - 1];
			order[i] = order[i - 1];
		}
		weight[i] = w;
		order[i] = (uint8_t)slot;
	}
	memset(ret.pref, ENGINE_NONE, sizeof(ret.pref));
	memcpy(ret.pref, order, n < ENGINE_PREFS ? n : ENGINE_PREFS);
	return ret;
}

uint32_t engine_buckets_write(struct core_bucket *table, uint32_t slots)
{
	uint32_t moved = 0;

	_Static_assert(sizeof(struct core_bucket) == sizeof(uint64_t),
		       "a list is stored whole");
	if (!slots)
		return 0;
	for (uint32_t b = 0; b < CORE_BUCKETS; b++) {
		struct core_bucket list = engine_buckets_prefs(b, slots);
		uint64_t word, old;

		memcpy(&word, &list, sizeof(word));
		memcpy(&old, &table[b], sizeof(old));
		if (word == old)
			continue;
		moved += table[b].pref[0] != list.pref[0];
		__atomic_store_n((uint64_t *)(void *)&table[b], word,
				 __ATOMIC_RELEASE);
	}
	return moved;
}
