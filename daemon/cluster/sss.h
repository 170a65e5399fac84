/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Service state synchronisation: what a master advertises, which updates a
 * receiver accepts, caches or ignores, and the state that results here.
 */
#ifndef SLUICE_CLUSTER_SSS_H
#define SLUICE_CLUSTER_SSS_H

#include "cluster/core.h"

/* The configuration gained, changed or lost a service. */
void sss_service_set(struct node *node, const struct node_service *service);
void sss_service_del(struct node *node, uint64_t entity);

/* This node's probes found something; ignored unless it is the master. */
void sss_local(struct node *node, const struct service_state *local);

/* The next version of a record this node is master of goes to everybody. */
void sss_advertise(struct node *node, struct record *rec);

/* The master's state follows from what it measured and who reaches the
 * service; advertises it if it changed. */
void sss_recompute(struct node *node, struct record *rec);

void sss_receive(struct node *node, uint32_t peer, const struct msg_state *m);
/* Answers a repair: records in messages that want no acknowledgement. */
void sss_pulled(struct node *node, uint32_t peer, const struct msg_pull *m);

/* Publishes what to use here. */
void sss_publish(struct node *node, struct record *rec);

/* Version (a.view, a.seq) is newer than (b.view, b.seq). */
bool sss_newer(uint64_t view_a, uint32_t seq_a, uint64_t view_b,
	       uint32_t seq_b);

/* State to use here, and why. */
void sss_effective(const struct node *node, const struct record *rec,
		   uint8_t *ret_state, uint8_t *ret_reason);

#endif
