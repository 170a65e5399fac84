/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who monitors a service: the first operational node in its preference list
 * that has it configured. A function of the installed view alone: the view
 * carries the digest of every member's configured services, and a node that
 * does not know the set behind a digest it needs claims nothing.
 */
#ifndef SLUICE_CLUSTER_OWNER_H
#define SLUICE_CLUSTER_OWNER_H

#include "cluster/core.h"

/* -1: nobody has it; -2: not known yet. */
#define OWNER_NONE (-1)
#define OWNER_UNSURE (-2)
int owner_of(const struct node *node, const struct record *rec);

/* Operational nodes that have it, or may have it. */
uint32_t owner_having(const struct node *node, const struct record *rec);

/* Takes the service if the current view makes this node its owner. */
void owner_review(struct node *node, struct record *rec);

/* The view, or what is known about configurations, changed: all services. */
void owner_review_all(struct node *node);

/* Connected members that are still in the life that was admitted. */
uint32_t owner_live(const struct node *node);

/* A service was added while others may know its state: it is asked for, and
 * this node is not ready to be admitted until then (owner_wanting()). */
void owner_want(struct node *node, struct record *rec);
void owner_unwant(struct node *node, struct record *rec);
/* Somebody was connected, who may know. */
void owner_met(struct node *node);

/* It has services to claim, or lacks the state of one that a node here has. */
bool owner_wanting(const struct node *node);

/* Once per tick: asks for missing records, claims what has waited. */
void owner_tick(struct node *node);

int owner_init(struct node *node);
void owner_deinit(struct node *node);

/* No longer master: probing stops, nobody has to acknowledge. */
void owner_release(struct node *node, struct record *rec);

/* Switches the service's monitors on this node; says so once. */
void owner_probe(struct node *node, struct record *rec, bool on);

/* Must be called before the set of configured services changes. */
void owner_set_changes(struct node *node, bool grows);

/* Peers whose set of services is that of the digest they advertise. */
bool owner_knows(const struct node *node, uint32_t peer, uint64_t digest);

/* After a hello with another digest: perhaps the same set as ours. */
void owner_compare(struct node *node, uint32_t peer);

#endif
