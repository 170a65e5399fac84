/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reliable delivery of the newest version of each item to every configured
 * node: per item one bitmap of who has not acknowledged it, and a place in one
 * list of things to send. So at most one version is queued per service and
 * peer, memory does not depend on what peers do, and a tick costs nothing where
 * nothing changed.
 */
#ifndef SLUICE_CLUSTER_OUTBOX_H
#define SLUICE_CLUSTER_OUTBOX_H

#include "cluster/core.h"

int outbox_init(struct node *node);
void outbox_deinit(struct node *node);

/* A new version: everybody has to acknowledge it. */
void outbox_post(struct node *node, struct record *rec, enum channel channel);

/* Nobody has to acknowledge it any more: another node speaks for it. */
void outbox_cancel(struct node *node, struct record *rec, enum channel channel);

/* PEER alone is told once more, if anything was. */
void outbox_repeat(struct node *node, struct record *rec, enum channel channel,
		   uint32_t peer);

/* PEER started again and knows nothing: it gets all that is ours. */
void outbox_restart(struct node *node, uint32_t peer);

/* Nodes were (dis)connected or left the configuration: park and unpark. */
void outbox_connected(struct node *node, uint32_t gained);
void outbox_forget(struct node *node, uint32_t peers);

/* Sends what is due within each peer's budget. Once per tick. */
void outbox_flush(struct node *node);

/* Acknowledges an item of PEER; sent with the next flush. */
void outbox_ack(struct node *node, uint32_t peer, uint32_t handle,
		uint32_t stamp);
void outbox_acked(struct node *node, uint32_t peer, const struct msg_ack *ack);

/* PEER has acknowledged all that is ours. */
bool outbox_synced(const struct node *node, uint32_t peer);

#endif
