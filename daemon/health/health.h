/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health of services inside sluiced: spawns and supervises the sluice-prober
 * processes, gives them the table of monitors and services, receives what they
 * found, joins it with what the operator ordered and what other nodes reported,
 * and tells the rest of the daemon through ops.
 *
 * Three separate facts per service, and one that follows from them:
 *   admin      what the operator wants (enabled, draining, disabled)
 *   observed   what probes found here, or what the owning node reported
 *   reason     why, in words
 *   state      enum svc_state, the effective one: what engines and XDP obey
 *
 * Everything runs on the thread of the daemon's event loop. Callbacks are
 * called from that loop, and from inside health_apply(), health_admin(),
 * health_set_remote() and health_set_owned(); they may call health_status(),
 * nothing else of this module.
 */
#ifndef SLUICE_HEALTH_H
#define SLUICE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "ip_addr.h"
#include "limits.h"
#include "map_abi.h"

struct api;
struct config;
struct json_object;
struct health;

#define HEALTH_REASON_LEN 192

enum health_observed {
	HEALTH_UNKNOWN = 0, /* not yet probed */
	HEALTH_DOWN = 1,
	HEALTH_UP = 2,
};

enum health_admin {
	HEALTH_ENABLE,
	HEALTH_DISABLE,	 /* at once, or after delay_s */
	HEALTH_GRACEFUL, /* when its flows are gone; delay_s > 0: at most then */
};

struct health_event {
	uint64_t entity;
	const char *name;
	enum svc_state state, before;
	enum health_observed observed;
	const char *reason; /* valid during the call */
	uint32_t response_us; /* 0: not known */
};

/* Cumulative counts from the flow state of one service (struct svc_load). */
struct health_passive {
	uint64_t attempts, unanswered, resets;
};

struct health_ops {
	/* The effective state, or the observed one behind it, changed. Called
	 * once per change. Also called for each service that health_apply()
	 * has added, with before == SVC_UNKNOWN. */
	void (*state_changed)(void *ctx, const struct health_event *event);
	/* Share of its weight a service takes, 1..256 (256: all of it): grows
	 * over slow_start_ms after the service came up, to what the service
	 * itself wants (weight_metric of load monitors). May be NULL. */
	void (*weight_scale)(void *ctx, uint64_t entity, uint16_t scale);
	/* Mean response time changed by 5 % or more. May be NULL. */
	void (*response)(void *ctx, uint64_t entity, uint32_t response_us);
	/* Custom load changed; over: above load_max. May be NULL. */
	void (*load)(void *ctx, uint64_t entity, uint32_t load, bool over);
	/* This node resolved the domain of a service that it probes. Whether
	 * that becomes its address the daemon decides, by health_apply() with a
	 * configuration that says so. NULL, or why it never will (a constant).
	 * May be NULL. */
	const char *(*resolved)(void *ctx, uint64_t entity,
				const union ip_addr *addr, uint32_t ttl_s);
	/* Flows the service has now, for draining; negative: not known. NULL:
	 * draining ends by delay_s only, or at once without one. */
	int64_t (*connections)(void *ctx, uint64_t entity);
	/* For inline monitors; false: not known (counts as no traffic). */
	bool (*passive)(void *ctx, uint64_t entity, struct health_passive *ret);
};

struct health_options {
	const char *state_dir;	 /* STATE_DIR/health; NULL: nothing is kept */
	const char *prober_path; /* sluice-prober; NULL: beside /proc/self/exe,
				    then in /usr/libexec/sluice */
	unsigned int probers;	 /* 0: nothing is probed; states stay */
	int tunnels_fd; /* memory of probe_tunnel.h for probers, which stays
			   the caller's; 0 or less: none */
};

/* Starts the probers. Opens the state file, takes over states for
 * the services that the first health_apply() brings. 0 or -errno. */
int health_new(uv_loop_t *loop, const struct health_options *options,
	       const struct health_ops *ops, void *ctx, struct health **ret);

/* Stops the probers, writes the state file. The loop must be run afterwards
 * until its handles are closed (uv_run() returns 0) before it is freed. */
void health_free(struct health *health);

/* Makes CONFIG what is probed. Keeps states of services whose address, port and
 * monitors did not change. CONFIG may be freed afterwards. 0 or -errno; on
 * failure everything is as before. */
int health_apply(struct health *health, const struct config *config);

/* Runs N probers (0..PROBERS_MAX): the least possible number of bindings moves.
 * 0 or -errno. */
int health_set_probers(struct health *health, unsigned int n);

/* Cluster: whether this node probes the service. Services are owned until told
 * otherwise; losing ownership keeps the observed state. -ENOENT: unknown. */
int health_set_owned(struct health *health, uint64_t entity, bool owned);

/* What probes measure, beside the state. */
struct health_metrics {
	uint32_t response_us; /* mean over its monitors; 0: not known */
	uint32_t load;
	bool load_over;		/* above load_max */
	uint8_t weight_percent; /* 1..100: share of its weight it wants */
};

/* Cluster: state learnt from the owner; ignored with -EBUSY while this node
 * probes the service itself, and UP while it has no address. */
int health_set_remote(struct health *health, uint64_t entity,
		      enum health_observed observed, const char *reason,
		      const struct health_metrics *metrics);

/* Operator's order, by name. 0, -ENOENT, -EINVAL. */
int health_admin(struct health *health, const char *name,
		 enum health_admin admin, uint32_t delay_s);

struct health_status {
	enum svc_state state;
	enum health_observed observed;
	enum health_admin admin; /* HEALTH_GRACEFUL also with a delay: draining */
	bool owned;		 /* probed here */
	bool by_name;		 /* domain-based */
	bool unresolved;	 /* … and without an address so far: DOWN */
	union ip_addr addr;	 /* all zero: unresolved */
	uint32_t ttl_s;		 /* of a resolved address */
	char reason[HEALTH_REASON_LEN];
	int64_t since_s;      /* wall clock: last change of state */
	struct health_metrics metrics;
	uint16_t slow_start;  /* 1..256 */
	uint64_t changes;     /* of state, since the daemon knows the service */
};

/* -ENOENT: unknown. */
int health_status(const struct health *health, uint64_t entity,
		  struct health_status *ret);

/* Bindings of a service for `service show NAME`: who runs each, last results,
 * next probe, lateness. A new object, or NULL if the service is unknown. */
struct json_object *health_bindings_json(const struct health *health,
					 uint64_t entity);

/* How the name of a domain-based service is resolved, for `service show NAME`.
 * A new object, or NULL if the service has none. */
struct json_object *health_name_json(const struct health *health,
				     uint64_t entity);

/* Probers for `prober show`: a new array. */
struct json_object *health_probers_json(const struct health *health);

/* "UP", "DOWN-WHEN-GOING-OUT-OF-SERVICE", … */
const char *health_state_name(enum svc_state state);
const char *health_observed_name(enum health_observed observed);
const char *health_admin_name(enum health_admin admin);

/* One-off probe (`sluice monitor try`). CONFIG: one monitor bound to one
 * service, which is not added to anything. DONE is called later, once, with an
 * object that becomes the callee's: "passed", "reason", "elapsed_us", "steps".
 * 0, or -errno: -EAGAIN if no prober runs, -EBUSY if too many tries run,
 * -EINVAL. */
int health_try(struct health *health, const struct config *config,
	       void (*done)(void *ctx, struct json_object *result), void *ctx);

/* What GET /v1/monitors adds: bindings of a monitor, and how many pass. */
void health_monitor_count(const struct health *health, uint64_t entity,
			  unsigned int *ret_bindings, unsigned int *ret_passing);

#endif
