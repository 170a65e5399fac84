/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records by entity (see table.h). The index is open addressing with linear
 * probing and backward-shift deletion at a load of at most one half.
 *
 * Digests are XORs of 64-bit hashes: order does not matter, adding and removing
 * are the same operation, and two different sets collide by chance once in
 * 2^64; entities are not chosen by an adversary (peers are authenticated).
 */
#include <errno.h>
#include <stdlib.h>

#include "cluster/table.h"

uint32_t table_bucket(uint64_t entity)
{
	return (uint32_t)(rendezvous_mix(entity) % DIGEST_BUCKETS);
}

uint32_t table_tag(uint64_t key)
{
	return (uint32_t)(rendezvous_mix(key ^ 0x6f776e6572ull) >> 32);
}

int table_init(struct node *node)
{
	uint32_t size = 16, i;

	assert(!node->records);
	assert(node->o.services_max > 0);
	node->slots = node->o.services_max + node->o.cache_max;
	while (size < 2 * node->slots)
		size *= 2;
	node->index_mask = size - 1;
	node->records = calloc(node->slots, sizeof(*node->records));
	node->index = malloc(size * sizeof(*node->index));
	node->bucket = malloc(DIGEST_BUCKETS * sizeof(*node->bucket));
	node->digest[0] = calloc(DIGEST_BUCKETS, sizeof(uint64_t));
	node->digest[1] = calloc(DIGEST_BUCKETS, sizeof(uint64_t));
	if (!node->records || !node->index || !node->bucket ||
	    !node->digest[0] || !node->digest[1])
		return -ENOMEM;
	memset(node->index, 0xff, size * sizeof(*node->index));
	memset(node->bucket, 0xff, DIGEST_BUCKETS * sizeof(*node->bucket));
	for (i = 0; i < node->slots; i++)
		node->records[i].chain = i + 1 < node->slots ? i + 1 : NIL;
	node->free = 0;
	node->cache_head = node->cache_tail = NIL;
	return 0;
}

void table_deinit(struct node *node)
{
	free(node->digest[1]);
	free(node->digest[0]);
	free(node->bucket);
	free(node->index);
	free(node->records);
}

static uint32_t index_home(const struct node *node, uint64_t entity)
{
	return (uint32_t)(rendezvous_mix(entity) >> 32) & node->index_mask;
}

struct record *table_find(const struct node *node, uint64_t entity)
{
	uint32_t i = index_home(node, entity);

	while (node->index[i] != NIL) {
		struct record *rec = &node->records[node->index[i]];

		if (rec->s.entity == entity)
			return rec;
		i = (i + 1) & node->index_mask;
	}
	return NULL;
}

static void index_remove(struct node *node, uint64_t entity)
{
	uint32_t i = index_home(node, entity), j;

	while (node->records[node->index[i]].s.entity != entity)
		i = (i + 1) & node->index_mask;
	/* Close the gap: move back whatever was pushed over it. */
	for (j = (i + 1) & node->index_mask; node->index[j] != NIL;
	     j = (j + 1) & node->index_mask) {
		uint64_t other = node->records[node->index[j]].s.entity;
		uint32_t home = index_home(node, other);

		if (((j - home) & node->index_mask) >=
		    ((j - i) & node->index_mask)) {
			node->index[i] = node->index[j];
			i = j;
		}
	}
	node->index[i] = NIL;
}

static struct record *slot_take(struct node *node, uint64_t entity)
{
	struct record *rec;
	uint32_t slot = node->free, i, *link;

	assert(slot != NIL); /* services_max + cache_max are enough */
	assert(!table_find(node, entity));
	rec = &node->records[slot];
	node->free = rec->chain;
	memset(rec, 0, sizeof(*rec));
	rec->s.entity = entity;
	rec->key = entity;
	rec->flags = RECORD_USED;
	rec->cache_next = rec->cache_prev = NIL;
	for (i = 0; i < CHANNELS; i++)
		rec->out[i].list = OUTBOX_LISTS;
	memset(&node->path_seen[(size_t)slot * NODES_MAX], 0,
	       NODES_MAX * sizeof(uint32_t));
	for (i = index_home(node, entity); node->index[i] != NIL;)
		i = (i + 1) & node->index_mask;
	node->index[i] = slot;
	link = &node->bucket[table_bucket(entity)];
	while (*link != NIL && node->records[*link].s.entity < entity)
		link = &node->records[*link].chain;
	rec->chain = *link;
	*link = slot;
	return rec;
}

static void cache_link(struct node *node, struct record *rec)
{
	uint32_t slot = table_slot(node, rec);

	assert(rec->cache_prev == NIL && rec->cache_next == NIL);
	rec->cache_prev = node->cache_tail;
	if (node->cache_tail != NIL)
		node->records[node->cache_tail].cache_next = slot;
	else
		node->cache_head = slot;
	node->cache_tail = slot;
	node->cached++;
	assert(node->cached <= node->o.cache_max);
}

static void cache_unlink(struct node *node, struct record *rec)
{
	assert(node->cached > 0);
	assert(!(rec->flags & RECORD_CONFIGURED));
	if (rec->cache_prev != NIL)
		node->records[rec->cache_prev].cache_next = rec->cache_next;
	else
		node->cache_head = rec->cache_next;
	if (rec->cache_next != NIL)
		node->records[rec->cache_next].cache_prev = rec->cache_prev;
	else
		node->cache_tail = rec->cache_prev;
	rec->cache_prev = rec->cache_next = NIL;
	node->cached--;
}

struct record *table_cache(struct node *node, uint64_t entity)
{
	struct record *rec;

	assert(node->cached <= node->o.cache_max);
	if (!node->o.cache_max)
		return NULL;
	if (node->cached == node->o.cache_max) {
		/* The owner's copy is found again by digests once the service
		 * is configured here. */
		node->cache_drops++;
		table_remove(node, &node->records[node->cache_head]);
	}
	rec = slot_take(node, entity);
	cache_link(node, rec);
	return rec;
}

int table_add(struct node *node, uint64_t entity, struct record **ret)
{
	struct record *rec;

	assert(node->configured <= node->o.services_max);
	if (node->configured == node->o.services_max)
		return -ENOSPC;
	rec = slot_take(node, entity);
	rec->flags |= RECORD_CONFIGURED;
	node->configured++;
	*ret = rec;
	return 0;
}

int table_adopt(struct node *node, struct record *rec)
{
	assert(!(rec->flags & RECORD_CONFIGURED));
	assert(node->configured <= node->o.services_max);
	if (node->configured == node->o.services_max)
		return -ENOSPC;
	cache_unlink(node, rec);
	rec->flags |= RECORD_CONFIGURED;
	node->configured++;
	return 0;
}

void table_remove(struct node *node, struct record *rec)
{
	uint32_t slot = table_slot(node, rec);
	uint32_t *link = &node->bucket[table_bucket(rec->s.entity)];

	assert(rec->flags & RECORD_USED);
	assert(!rec->out[0].pend && !rec->out[1].pend);
	if (rec->flags & RECORD_CONFIGURED)
		node->configured--;
	else
		cache_unlink(node, rec);
	index_remove(node, rec->s.entity);
	while (*link != slot)
		link = &node->records[*link].chain;
	*link = rec->chain;
	memset(rec, 0, sizeof(*rec));
	rec->chain = node->free;
	node->free = slot;
}

void table_digest_toggle(struct node *node, const struct record *rec)
{
	uint32_t b = table_bucket(rec->s.entity);
	uint64_t h;

	assert(rec->flags & RECORD_USED);
	assert(b < DIGEST_BUCKETS);
	if (!(rec->flags & RECORD_CONFIGURED) ||
	    rec->service_flags & NODE_SERVICE_INTERNAL)
		return;
	h = rendezvous_mix(rec->s.entity ^ rendezvous_mix(rec->key + 1));
	node->digest[DIGEST_CONFIG][b] ^= h;
	node->total[DIGEST_CONFIG] ^= h;
	if (!rec->s.view)
		return;
	h = rendezvous_mix(h + rendezvous_mix(rec->s.view << 32 ^ rec->s.seq));
	node->digest[DIGEST_RECORDS][b] ^= h;
	node->total[DIGEST_RECORDS] ^= h;
}

void table_digests(const struct node *node, uint8_t kind, uint8_t group,
		   uint64_t ret[MSG_DIGESTS])
{
	const uint64_t *d = node->digest[kind];
	uint32_t i, j;

	assert(kind < DIGEST_KINDS);
	assert(group < DIGEST_GROUPS || group == DIGEST_ROOT);
	if (group != DIGEST_ROOT) {
		memcpy(ret, d + group * MSG_DIGESTS,
		       MSG_DIGESTS * sizeof(*ret));
		return;
	}
	for (i = 0; i < DIGEST_GROUPS; i++) {
		ret[i] = 0;
		for (j = 0; j < MSG_DIGESTS; j++)
			ret[i] ^= d[i * MSG_DIGESTS + j];
	}
}
