/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records of all services of a node: configured ones, and updates cached
 * for services that are not configured (yet). Look-up by entity, chains per
 * digest bucket in order of entity, and the digests of both kinds, kept up
 * incrementally. Nothing is allocated after table_init().
 */
#ifndef SLUICE_CLUSTER_TABLE_H
#define SLUICE_CLUSTER_TABLE_H

#include "cluster/core.h"

int table_init(struct node *node);
void table_deinit(struct node *node);

/* NULL: unknown. */
struct record *table_find(const struct node *node, uint64_t entity);

static inline uint32_t table_slot(const struct node *node,
				  const struct record *rec)
{
	assert(rec >= node->records);
	assert(rec < node->records + node->slots);
	return (uint32_t)(rec - node->records);
}

/* A new record in the cache; the oldest cached one makes room. NULL if
 * nothing may be cached. */
struct record *table_cache(struct node *node, uint64_t entity);

/* A new configured record; -ENOSPC if services_max are. */
int table_add(struct node *node, uint64_t entity, struct record **ret);

/* Makes a cached record a configured one. -ENOSPC. */
int table_adopt(struct node *node, struct record *rec);

void table_remove(struct node *node, struct record *rec);

/* Around every change of what digests cover (configured, key, view, seq):
 * out, change, in. */
void table_digest_toggle(struct node *node, const struct record *rec);

/* Bucket of an entity in the digest tree. */
uint32_t table_bucket(uint64_t entity);
/* Digests of the buckets of GROUP, or of all groups for DIGEST_ROOT. */
void table_digests(const struct node *node, uint8_t kind, uint8_t group,
		   uint64_t ret[MSG_DIGESTS]);

/* Tag of an owner key, for messages. */
uint32_t table_tag(uint64_t key);

#endif
