/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waits for the disk without going silent: the write is done by a thread, and
 * while the caller waits for it a callback runs in intervals. A disk may take a
 * second to flush a block when others use it; a node that says nothing for
 * that long is taken for dead.
 */
#ifndef SLUICE_CLUSTER_WRITER_H
#define SLUICE_CLUSTER_WRITER_H

#include "cluster/cluster_store.h"

struct cluster_writer;

/* Takes over STORE (closed by free). 0 or -errno, STORE stays the caller's. */
int cluster_writer_new(const struct cluster_store *store, struct cluster_writer **ret);
void cluster_writer_free(struct cluster_writer *writer);

/* As cluster_store_save(); calls WAITING(ctx) every EVERY_MS while it lasts. */
int cluster_writer_save(struct cluster_writer *writer, const struct node_durable *durable,
			uint32_t every_ms, void (*waiting)(void *ctx), void *ctx);

#endif
