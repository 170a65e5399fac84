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

struct api;
struct cluster;
struct cluster_api;
struct config;
struct health;
struct json_object;

struct clustering {
	uv_loop_t *loop;
	struct health *health;
	const char *state_dir;
	struct cluster *cluster; /* NULL: this node is alone */
	struct cluster_api *api;
};

/* Registers the API paths. 0 or -ENOMEM. */
int clustering_init(struct clustering *c, uv_loop_t *loop, struct health *health,
		    const char *state_dir, struct api *api);

/* Stops. The loop must run afterwards until its handles are closed. */
void clustering_deinit(struct clustering *c);

/* Makes CONFIG's cluster section and services what counts; after
 * health_apply(). 0, or -errno with everything as before and one line in the
 * log. */
int clustering_apply(struct clustering *c, const struct config *config);

/* Something about the service may have changed in health: tells the cluster. */
void clustering_changed(struct clustering *c, uint64_t entity);

/* For `service show NAME`: a new object; NULL without a cluster. */
struct json_object *clustering_show_service(const struct clustering *c,
					    uint64_t entity);

#endif
