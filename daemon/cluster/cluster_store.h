/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the state machine asked to be kept (struct node_durable), in a file.
 *
 * Two slots of one block each, generations alternate between them. A new
 * generation goes to the slot that does not hold the last one and is flushed;
 * then, without waiting, the other slot gets a copy. So at any moment one slot
 * holds what was promised last: a write cut short by a crash leaves the slot
 * before it, and a flipped bit is healed by the copy. Blocks are overwritten in
 * place: flushing them does not wait for the file system's journal, in which
 * all other writers of the machine wait.
 *
 * If neither slot checks, that is an error and not an empty file: a promise
 * given and forgotten could let two views have one number.
 */
#ifndef SLUICE_CLUSTER_STORE_H
#define SLUICE_CLUSTER_STORE_H

#include "cluster/node.h"

struct cluster_store {
	int fd;
	uint64_t generation; /* of the last save; 0: nothing saved yet */
};

/* Opens PATH, or makes it. 0; -EBADMSG: damaged, or of another version;
 * -errno. *ret_durable is only written if the store's generation is not 0. */
int cluster_store_open(const char *path, struct cluster_store *ret,
		       struct node_durable *ret_durable);
void cluster_store_close(struct cluster_store *store);

/* 0 or -errno; durable when it returns 0. May be called from any thread, one
 * at a time. */
int cluster_store_save(struct cluster_store *store, const struct node_durable *durable);

#endif
