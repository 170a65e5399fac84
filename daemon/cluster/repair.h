/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Anti-entropy: finds, through a two-level tree of digests, which services a
 * peer has configured where that differs from here, and which newer records it
 * knows. One comparison at a time, so what it costs is bounded.
 */
#ifndef SLUICE_CLUSTER_REPAIR_H
#define SLUICE_CLUSTER_REPAIR_H

#include "cluster/core.h"

void repair_tick(struct node *node);

/* Answers. */
void repair_asked(struct node *node, uint32_t peer,
		  const struct msg_digest_ask *m);

void repair_digest(struct node *node, uint32_t peer,
		   const struct msg_digest *m);
void repair_list(struct node *node, uint32_t peer, const struct msg_list *m);

#endif
