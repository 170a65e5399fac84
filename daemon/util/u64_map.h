/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hash map from 64-bit keys to 32-bit values, open addressing. The keys used
 * here are already hashes (entity ids), so they are only folded.
 */
#ifndef SLUICE_U64_MAP_H
#define SLUICE_U64_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u64_map {
	uint64_t *keys; /* 0: free */
	uint32_t *values;
	size_t mask, used;
};

/* Room for N keys without growing. 0 or -ENOMEM. */
int u64_map_init(struct u64_map *map, size_t n);
void u64_map_deinit(struct u64_map *map);

/* KEY must not be 0. Replaces the value of a known key. 0 or -ENOMEM. */
int u64_map_put(struct u64_map *map, uint64_t key, uint32_t value);
bool u64_map_get(const struct u64_map *map, uint64_t key, uint32_t *ret);
void u64_map_del(struct u64_map *map, uint64_t key);

#endif
