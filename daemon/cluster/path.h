/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Path monitoring: every operational node looks itself whether it reaches a
 * service and tells all others; everybody keeps a bitmap per service, so that
 * it survives a change of owner. "individual": a node that cannot reach the
 * service uses its own DOWN. Otherwise (PATH_ANY) the owner advertises DOWN as
 * soon as one operational node that has the service cannot reach it.
 */
#ifndef SLUICE_CLUSTER_PATH_H
#define SLUICE_CLUSTER_PATH_H

#include "cluster/core.h"

bool path_overrides(const struct node *node, const struct record *rec);
bool path_forbids(const struct node *node, const struct record *rec);

/* Options, membership or operational state changed: starts or stops the path
 * monitor here. */
void path_review(struct node *node, struct record *rec);

/* Stops it for good: the service is deleted. */
void path_stop(struct node *node, struct record *rec);

void path_local(struct node *node, uint64_t entity, bool reachable);
void path_receive(struct node *node, uint32_t peer, const struct msg_path *m);

/* PEER started again: what it told is void. */
void path_restart(struct node *node, uint32_t peer);

#endif
