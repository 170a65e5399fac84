/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services of the configuration as the cluster's state machine wants them, and
 * what differs after a new configuration. Pure; sorted by entity.
 */
#ifndef SLUICE_CLUSTER_SERVICES_H
#define SLUICE_CLUSTER_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include "cluster/node.h"
#include "config/config.h"

struct cluster_service {
	struct node_service node;
	union ip_addr addr; /* to ping; all zero: not resolved yet */
	char name[NAME_LEN];
	bool probing;	    /* this node runs its monitors */
	/* Its state is to be told to the state machine (cluster_services.queue):
	 * as news, or only if nothing is known of it. */
	bool pending, pending_news;
	bool path_wanted;   /* it is to look at the path to it, … */
	bool path_probing;  /* … and does, in … */
	uint32_t path_slot; /* … this slot of the pings */
	uint64_t version_view; /* of its state last used here, and … */
	uint32_t version_seq;
	uint64_t updated_ms; /* … when that came; 0: none yet */
};

struct cluster_services {
	struct cluster_service *items;
	size_t n;
	/* Services whose local state came while a step was being taken: each at
	 * most once, so there is always room. Empty between steps. */
	uint32_t *queue; /* indices */
	uint32_t queue_head, n_queued;
};

/* 0 or -ENOMEM. */
int cluster_services_make(const struct config *config, struct cluster_services *ret);
void cluster_services_free(struct cluster_services *services);

/* NULL: not one of them. */
struct cluster_service *cluster_services_find(const struct cluster_services *services,
					      uint64_t entity);

/* Calls GONE for services only in OLD, then SET for those new or changed in
 * NEXT. States of services in both are carried over before either. */
void cluster_services_compare(const struct cluster_services *old,
			      struct cluster_services *next,
			      void (*gone)(void *ctx, const struct cluster_service *s),
			      void (*set)(void *ctx, const struct cluster_service *s,
					  bool added),
			      void *ctx);

#endif
