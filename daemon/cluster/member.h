/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the membership should be, in this node's eyes, and whether this node is
 * the one to propose it. Agreement on it is view.c's.
 */
#ifndef SLUICE_CLUSTER_MEMBER_H
#define SLUICE_CLUSTER_MEMBER_H

#include "cluster/core.h"

/* Once per tick: judges all nodes, fills node->want and node->reason, and
 * starts a proposal when it is time for one. */
void member_tick(struct node *node);

/* This node knows what it needs to own services under the current view. */
bool member_ready(const struct node *node);

/* A view was installed: who was excluded waits before it is admitted again. */
void member_installed(struct node *node, const struct view *before);

/* Nodes of SET that are this node or connected to it make up a majority. */
bool member_majority(uint32_t set, uint32_t present);

#endif
