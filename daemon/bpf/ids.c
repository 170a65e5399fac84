/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fresh numbers are taken round the table, so that a freed one rests as long
 * as possible: one more line of defence against a flow entry that meant the
 * former owner of the number.
 */
#include "bpf/ids.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

uint64_t ids_key(uint64_t entity, const union ip_addr *addr, uint16_t port,
		 uint8_t proto)
{
	uint64_t key = mix(entity);

	key = mix(key ^ addr->d[0]);
	key = mix(key ^ addr->d[1]);
	key = mix(key ^ ((uint64_t)proto << 16 | port));
	return key ? key : 1;
}

int ids_init(struct ids *ids, uint32_t max)
{
	*ids = (struct ids){ .max = max, .next = 1 };
	ids->key = calloc(max, sizeof(*ids->key));
	ids->state = calloc(max, sizeof(*ids->state));
	if (!ids->key || !ids->state || u64_map_init(&ids->by_key, 1024)) {
		ids_deinit(ids);
		return -ENOMEM;
	}
	return 0;
}

void ids_deinit(struct ids *ids)
{
	free(ids->key);
	free(ids->state);
	u64_map_deinit(&ids->by_key);
	ids->key = NULL;
	ids->state = NULL;
}

static int enter(struct ids *ids, uint32_t id, uint64_t key, uint8_t state)
{
	int err = u64_map_put(&ids->by_key, key, id);

	if (err)
		return err;
	ids->key[id] = key;
	ids->state[id] = state;
	return 0;
}

int ids_recover(struct ids *ids, uint32_t id, uint64_t key)
{
	uint32_t other;
	int err;

	if (id == 0 || id >= ids->max || ids->state[id] != IDS_FREE)
		return -EINVAL;
	if (u64_map_get(&ids->by_key, key, &other))
		return -EEXIST;
	err = enter(ids, id, key, IDS_LEAVING);
	if (err)
		return err;
	ids->leaving++;
	if (id >= ids->next)
		ids->next = id + 1 < ids->max ? id + 1 : 1;
	return 0;
}

int ids_get(struct ids *ids, uint64_t key, uint32_t *ret_id,
	    enum ids_state *ret_before)
{
	uint32_t id, n;
	int err;

	if (u64_map_get(&ids->by_key, key, &id)) {
		*ret_before = ids->state[id];
		if (ids->state[id] == IDS_LEAVING)
			ids->leaving--;
		ids->state[id] = IDS_USED;
		*ret_id = id;
		return 0;
	}
	id = ids->next;
	for (n = 1; ids->state[id] != IDS_FREE; n++) {
		if (n == ids->max - 1)
			return -ENOSPC;
		id = id + 1 < ids->max ? id + 1 : 1;
	}
	err = enter(ids, id, key, IDS_USED);
	if (err)
		return err;
	ids->next = id + 1 < ids->max ? id + 1 : 1;
	*ret_id = id;
	*ret_before = IDS_FREE;
	return 0;
}

void ids_leave(struct ids *ids, uint32_t id)
{
	assert(ids->state[id] == IDS_USED);
	ids->state[id] = IDS_LEAVING;
	ids->leaving++;
}

void ids_free(struct ids *ids, uint32_t id)
{
	assert(ids->state[id] != IDS_FREE);
	if (ids->state[id] == IDS_LEAVING)
		ids->leaving--;
	u64_map_del(&ids->by_key, ids->key[id]);
	ids->key[id] = 0;
	ids->state[id] = IDS_FREE;
}
