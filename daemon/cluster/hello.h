/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who hears whom: hellos, silence, and the rule that a node whose own tick was
 * late accuses nobody. Decides nothing about membership (member.c does).
 */
#ifndef SLUICE_CLUSTER_HELLO_H
#define SLUICE_CLUSTER_HELLO_H

#include "cluster/core.h"

/* At the start of each step: time passes, perhaps too much at once. */
void hello_time(struct node *node, uint64_t now);

/* Any message of PEER: it lives. False: from a former life, to be dropped. */
bool hello_heard(struct node *node, uint32_t peer, uint32_t incarnation);

void hello_receive(struct node *node, uint32_t peer, const struct msg_hello *m);

/* Once per tick: who is silent, who is connected; says hello when due. */
void hello_tick(struct node *node);

/* Its last hello is recent enough to be believed. */
bool hello_fresh(const struct node *node, uint32_t peer);

/* Hash of the lives of NODES as known here, for msg_hello.synced_lives. */
uint32_t hello_lives(const struct node *node, uint32_t nodes);

/* This node's own tick was late not long ago. */
bool hello_quiet(const struct node *node);

#endif
