/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Joins the cluster to the rest of the daemon: exists while the configuration
 * has a "cluster"; its orders go to health, what health finds goes to it.
 */
#ifndef SLUICE_CLUSTERING_H
#define SLUICE_CLUSTERING_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "ip_addr.h"

struct api;
struct cluster;
struct cluster_api;
struct config;
struct health;
struct json_object;

struct clustering_ops {
	/* The owner of a service that SAYS where it is: whether this node uses
	 * that address already. If not, it will, and calls clustering_again().
	 * True for services whose address is configured. */
	bool (*is_at)(void *ctx, uint64_t entity, const union ip_addr *addr,
		      uint32_t ttl_s);
	void *ctx;
};

struct clustering {
	struct clustering_ops ops;
	uv_loop_t *loop;
	struct health *health;
	const char *state_dir;
	struct cluster *cluster; /* NULL: this node is alone */
	struct cluster_api *api;
};

/* Registers the API paths. 0 or -ENOMEM. */
int clustering_init(struct clustering *c, uv_loop_t *loop, struct health *health,
		    const char *state_dir, struct api *api,
		    const struct clustering_ops *ops);

/* Stops. The loop must run afterwards until its handles are closed. */
void clustering_deinit(struct clustering *c);

/* Makes CONFIG's cluster section and services what counts; after
 * health_apply(). 0, or -errno with everything as before and one line in the
 * log. */
int clustering_apply(struct clustering *c, const struct config *config);

/* The same of services only: cluster section and key file stay what they are. 0
 * or -ENOMEM. */
int clustering_apply_services(struct clustering *c, const struct config *config);

/* The state that the service's owner gave counts from now on; nothing if this
 * node owns it, or nothing is known. */
void clustering_again(struct clustering *c, uint64_t entity);

/* Something about the service may have changed in health: tells the cluster. */
void clustering_changed(struct clustering *c, uint64_t entity);

/* For `service show NAME`: a new object; NULL without a cluster. */
struct json_object *clustering_show_service(const struct clustering *c,
					    uint64_t entity);

#endif
