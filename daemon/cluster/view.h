/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Agreement on numbered views: one instance of single-decree Paxos (Lamport,
 * "Paxos Made Simple", 2001) per view number, among the nodes configured by the
 * view before it. Without quorum, numbers carry their proposer's id instead,
 * so that they stay unique.
 */
#ifndef SLUICE_CLUSTER_VIEW_H
#define SLUICE_CLUSTER_VIEW_H

#include "cluster/core.h"

/* Starts agreement on WANT (its number is ours to set). Ignored while one is
 * running or backing off. */
void view_propose(struct node *node, const struct view *want);

/* Once per tick: resends, gives up. */
void view_tick(struct node *node);

void view_prepare(struct node *node, uint32_t peer,
		  const struct msg_prepare *m);
void view_promise(struct node *node, uint32_t peer,
		  const struct msg_promise *m);
void view_accept(struct node *node, uint32_t peer, const struct msg_accept *m);
void view_accepted(struct node *node, uint32_t peer,
		   const struct msg_accepted *m);
void view_reject(struct node *node, uint32_t peer, const struct msg_reject *m);
void view_commit(struct node *node, uint32_t peer, const struct msg_commit *m);

/* Sends the installed view. */
void view_tell(struct node *node, uint32_t to);

/* This node, in this life, belongs to the operational set. */
bool view_operational(const struct node *node);

#endif
