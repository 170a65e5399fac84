/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linear probing; at most half full, so that probes stay short; deletion moves
 * later keys back, so there are no tombstones.
 */
#include "util/u64_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static size_t slot_of(const struct u64_map *map, uint64_t key)
{
	return (key * 0x9e3779b97f4a7c15ull >> 32) & map->mask;
}

static size_t find(const struct u64_map *map, uint64_t key)
{
	size_t i = slot_of(map, key);

	while (map->keys[i] && map->keys[i] != key)
		i = (i + 1) & map->mask;
	return i;
}

int u64_map_init(struct u64_map *map, size_t n)
{
	size_t size = 16;

	while (size < 2 * n)
		size *= 2;
	map->keys = calloc(size, sizeof(*map->keys));
	map->values = calloc(size, sizeof(*map->values));
	map->mask = size - 1;
	map->used = 0;
	if (!map->keys || !map->values) {
		u64_map_deinit(map);
		return -ENOMEM;
	}
	return 0;
}

void u64_map_deinit(struct u64_map *map)
{
	free(map->keys);
	free(map->values);
	*map = (struct u64_map){ 0 };
}

static int grow(struct u64_map *map)
{
	struct u64_map bigger;
	size_t i, to;

	if (u64_map_init(&bigger, map->mask + 1))
		return -ENOMEM;
	for (i = 0; i <= map->mask; i++) {
		if (!map->keys[i])
			continue;
		to = find(&bigger, map->keys[i]);
		bigger.keys[to] = map->keys[i];
		bigger.values[to] = map->values[i];
	}
	bigger.used = map->used;
	u64_map_deinit(map);
	*map = bigger;
	return 0;
}

int u64_map_put(struct u64_map *map, uint64_t key, uint32_t value)
{
	size_t i;
	int err;

	assert(key);
	i = find(map, key);
	if (!map->keys[i]) {
		if (2 * (map->used + 1) > map->mask + 1) {
			err = grow(map);
			if (err)
				return err;
			i = find(map, key);
		}
		map->used++;
	}
	map->keys[i] = key;
	map->values[i] = value;
	return 0;
}

bool u64_map_get(const struct u64_map *map, uint64_t key, uint32_t *ret)
{
	size_t i;

	if (!map->keys || !key)
		return false;
	i = find(map, key);
	if (!map->keys[i])
		return false;
	*ret = map->values[i];
	return true;
}

void u64_map_del(struct u64_map *map, uint64_t key)
{
	size_t hole = find(map, key), i = hole, home;

	if (!map->keys[hole])
		return;
	map->used--;
	for (;;) {
		i = (i + 1) & map->mask;
		if (!map->keys[i])
			break;
		home = slot_of(map, map->keys[i]);
		/* A key stays if its home lies cyclically after the hole. */
		if (((i - home) & map->mask) < ((i - hole) & map->mask))
			continue;
		map->keys[hole] = map->keys[i];
		map->values[hole] = map->values[i];
		hole = i;
	}
	map->keys[hole] = 0;
}
