/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the state machine asked to be kept (struct node_durable) as a file:
 * written whole, checked by a hash when read. A file that does not check is
 * an error and not an empty one: a promise that was given and forgotten could
 * let two views have one number.
 */
#ifndef SLUICE_CLUSTER_STORE_H
#define SLUICE_CLUSTER_STORE_H

#include "cluster/node.h"

/* 0 or -errno; durable when it returns. */
int cluster_store_save(const char *path, const struct node_durable *durable);

/* 0; -ENOENT: never saved; -EBADMSG: damaged, or of another version; -errno. */
int cluster_store_load(const char *path, struct node_durable *ret);

#endif
