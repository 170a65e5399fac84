/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cluster inside sluiced: drives the pure step function (node.h) with
 * timers and messages (nnm.h), keeps on disk what it asks to be kept, and
 * tells the daemon through ops what to do. Runs on the thread of the daemon's
 * event loop. Callbacks come from that loop and from inside cluster_new(),
 * cluster_apply(), cluster_local_state() and cluster_command(); they may call
 * cluster_local_state(), cluster_bucket_owner() and cluster_show*().
 *
 * Exists only while the configuration has a cluster: without one the daemon
 * makes no struct cluster, owns every service, and all buckets are its own.
 */
#ifndef SLUICE_CLUSTER_H
#define SLUICE_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "health/health.h"
#include "ip_addr.h"
#include "limits.h"

struct cluster;
struct config;
struct json_object;

/* What a node knows about a service that it probes, or was told about one. */
struct cluster_state {
	uint64_t entity;
	uint8_t observed;      /* enum health_observed */
	const char *reason;    /* one line; valid during the call, may be NULL */
	struct health_metrics metrics;
	bool unresolved;       /* domain-based service: no address so far */
	bool has_address;      /* domain-based service: what it resolved to */
	union ip_addr address;
	uint32_t ttl_s;	       /* of that address, when it was learnt */
	/* To the daemon only: who probes it, and since which view. OWN: this
	 * node does, and OBSERVED differs from what it found only by the paths
	 * of others. */
	uint8_t owner;
	uint64_t view;
	bool own;
};

struct cluster_view {
	uint64_t number;
	uint32_t members; /* bit per node id: the operational set */
};

struct cluster_ops {
	/* This node begins (ON) or ends to probe the service. */
	void (*probe)(void *ctx, uint64_t entity, bool on);
	/* What is known here of a service that this node begins to probe; asked
	 * if nobody in the cluster knows its state. False: nothing. */
	bool (*current)(void *ctx, uint64_t entity, struct cluster_state *ret);
	/* State of a service to use here, learnt from its owner. */
	void (*publish)(void *ctx, const struct cluster_state *state);
	/* A view was installed: bucket tables follow, with the owners of
	 * cluster_bucket_owner(). May be NULL. */
	void (*view)(void *ctx, const struct cluster_view *view);
};

struct cluster_options {
	const char *state_dir; /* STATE_DIR; STATE_DIR/cluster is made in it */
};

/* CONFIG must have cluster.enabled. Everything it needs is copied. Reads the
 * key file and what was kept; binds the UDP socket. 0 or -errno, with one
 * line in the log that says what is wrong. */
int cluster_new(uv_loop_t *loop, const struct config *config,
		const struct cluster_options *options,
		const struct cluster_ops *ops, void *ctx, struct cluster **ret);

/* Goes silent: a daemon that is started again soon comes back as itself, one
 * that stays away is found out like any other. The loop must be run afterwards
 * until its handles are closed. Accepts NULL. */
void cluster_free(struct cluster *cluster);

/* Makes CONFIG's services and peers what counts; also reads the key file again.
 * To be called after health_apply(): services must exist there. The node's own
 * id and address cannot change while it runs: -EINVAL with everything as
 * before. Times, observers and quorum take effect at the next start. 0 or
 * -errno with one line in the log. */
int cluster_apply(struct cluster *cluster, const struct config *config);

/* The same of CONFIG's services only. 0 or -ENOMEM. */
int cluster_apply_services(struct cluster *cluster, const struct config *config);

/* Publishes the service's state as it is known now, if one is. */
void cluster_publish_again(struct cluster *cluster, uint64_t entity);

/* From health: what probes found here. Ignored for services that another node
 * owns. May be called from inside the ops (it is then done afterwards). */
void cluster_local_state(struct cluster *cluster, const struct cluster_state *state);

/* Node to which a flow bucket belongs under the installed view. */
uint32_t cluster_bucket_owner(const struct cluster *cluster, uint32_t bucket);

/* "join", "leave", "passive", "active". 0, -EINVAL for another word. */
int cluster_command(struct cluster *cluster, const char *command);

/* For GET /v1/cluster: a new object. */
struct json_object *cluster_show(const struct cluster *cluster);

/* For `service show NAME`: owner, preference list, view, last update, who has
 * acknowledged. A new object, or NULL if the service is unknown. */
struct json_object *cluster_show_service(const struct cluster *cluster,
					 uint64_t entity);

/* Where events of the state machine go; both may be NULL. */
struct cluster_trace {
	bool (*wanted)(void *ctx);			      /* asked first */
	void (*event)(void *ctx, struct json_object *event); /* borrowed */
};

/* TRACE must outlive the cluster; NULL turns it off. */
void cluster_set_trace(struct cluster *cluster, const struct cluster_trace *trace, void *ctx);

#endif
