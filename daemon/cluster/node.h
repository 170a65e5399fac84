/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cluster's state machine of one node: what happens goes in as an event,
 * what is to be done comes out as effects. Pure: no clock, socket, randomness,
 * file or allocation after node_new(); the same events give the same effects.
 * The runtime (cluster.c) and the simulator (tests/sim) are its two callers.
 * The rules and why they are safe: PROTOCOL.md.
 *
 * Effects are emitted one by one, in the order in which they must happen:
 *   1. NODE_EFFECT_PERSIST comes before every message and every other effect
 *      that relies on it. If it cannot be made durable, the caller must not
 *      carry out anything that follows, and must end this life of the node.
 *   2. A view is announced (NODE_EFFECT_VIEW) before the PROBE and PUBLISH
 *      effects that follow from it.
 *   3. For one service PROBE comes before PUBLISH.
 * Pointers inside an effect are valid during the call. emit() must not call
 * node_step().
 */
#ifndef SLUICE_CLUSTER_NODE_H
#define SLUICE_CLUSTER_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cluster/messages.h"
#include "cluster/reason.h"

struct node;

/* Bugs that tests plant to see them caught; 0 in production. */
#define NODE_MUTATIONS(X)                                                    \
	X(NONE, "none")                                                      \
	X(FORGET_PROMISE, "forget-promise")                                  \
	X(MINORITY, "minority")                                              \
	X(STALE_VIEW, "stale-view")                                          \
	X(NO_RETRANSMIT, "no-retransmit")                                    \
	X(ADMIT_UNSYNCED, "admit-unsynced")                                  \
	X(OWNER_GUESS, "owner-guess")                                        \
	X(METRIC_DRIFT, "metric-drift")                                      \
	X(NO_STEPDOWN, "no-stepdown")                                        \
	X(ACK_ANY, "ack-any")                                                \
	X(ADDRESS_QUIET, "address-quiet")

enum node_mutation {
#define X(name, text) NODE_MUTATION_##name,
	NODE_MUTATIONS(X)
#undef X
	NODE_MUTATION_COUNT,
};

/* Zero fields get the default in brackets. */
struct node_options {
	uint32_t id;
	uint32_t incarnation;	/* larger than in any former life of this id */
	uint32_t configured;	/* bit per node of the configuration, own too */
	bool quorum_none;
	uint8_t admin;		/* enum node_admin; what is kept durably wins */
	uint32_t hello_ms;	/* [100] */
	uint32_t dead_missed;	/* [4] */
	uint32_t observers;	/* [3] */
	uint32_t settle_ms;	/* changes of a burst join one view [30] */
	uint32_t backoff_ms;	/* second exclusion; doubles with each [1000] */
	uint32_t backoff_max_ms; /* [30000] */
	uint32_t services_max;	/* [SERVICES_MAX] */
	uint32_t cache_max;	/* updates for unknown services [4096] */
	uint32_t peer_bytes_tick; /* service states per peer and tick [65536] */
	enum node_mutation mutation;
};

/* What must survive a crash. All zero: a node that never ran. */
struct node_durable {
	struct view view;	/* installed */
	uint64_t promised;	/* ballots for slot view.number + 1 */
	uint64_t accepted;
	struct view value;	/* accepted with that ballot */
	uint8_t admin;		/* 1 + enum node_admin; 0: not set */
};

/* ---- events ----------------------------------------------------------- */

enum node_event_type {
	NODE_EVENT_TICK,	/* every NODE_TICK_MS */
	NODE_EVENT_MESSAGE,
	NODE_EVENT_SERVICE_SET, /* added or changed */
	NODE_EVENT_SERVICE_DEL,
	NODE_EVENT_LOCAL,	/* what this node's probes found */
	NODE_EVENT_PATH,	/* whether this node reaches a service */
	NODE_EVENT_ADMIN,
	NODE_EVENT_CONFIGURED,	/* nodes of the configuration changed */
};

#define NODE_TICK_MS 10

enum node_service_flag {
	NODE_SERVICE_INTERNAL = 1 << 0, /* each node probes it for itself */
	NODE_SERVICE_READY = 1 << 1,	/* all local engines know it */
	NODE_SERVICE_PATH = 1 << 2,	/* path monitoring */
	NODE_SERVICE_PATH_ANY = 1 << 3, /* "individual" off: one suffices */
	NODE_SERVICE_USE_RESPONSE = 1 << 4, /* a vserver balances by it */
	NODE_SERVICE_USE_LOAD = 1 << 5,
};

struct node_service {
	uint64_t entity;
	/* Its owner is chosen by this key: 0 for the entity itself; the
	 * monitor's entity if bound to a response-time monitor. */
	uint64_t key;
	uint32_t flags; /* enum node_service_flag */
};

struct node_event {
	enum node_event_type type;
	uint64_t now_ms; /* monotonic; going back is read as standing still */
	union {
		const struct message *message;
		struct node_service service; /* SERVICE_SET */
		uint64_t entity;	     /* SERVICE_DEL */
		/* Only entity, state, reason, flags and the fields from mac
		 * on are read. */
		const struct service_state *local;
		struct {
			uint64_t entity;
			bool reachable;
		} path;
		uint8_t admin;
		uint32_t configured;
	};
};

/* ---- effects ---------------------------------------------------------- */

enum node_effect_type {
	NODE_EFFECT_PERSIST,
	NODE_EFFECT_SEND,
	NODE_EFFECT_VIEW,
	NODE_EFFECT_PROBE,	/* run, stop the monitors of a service */
	NODE_EFFECT_PATH_PROBE, /* run, stop its path monitor */
	NODE_EFFECT_PUBLISH,	/* state to use on this node */
	NODE_EFFECT_TRACE,
};

struct node_publish {
	uint64_t entity;
	uint8_t state;	/* enum svc_state to act on here */
	uint8_t reason; /* enum state_reason of it */
	bool own;	/* this node is its master */
	uint32_t path_known, path_reachable; /* bit per node */
	const struct service_state *record;  /* as the owner advertised it */
};

/* X(name, "format"): %n peer, %e entity, %a and %b decimal,
 * %B hexadecimal b, %v a version: view << 16 | seq as b. */
#define NODE_TRACES(X)                                                       \
	X(VIEW, "installs view %a members %B")                      \
	X(PROPOSE, "proposes view %a members %B")                   \
	X(ADOPT, "must propose an earlier value for view %a")            \
	X(RETREAT, "gives up proposing view %a")                         \
	X(HEARD, "hears node %n, life %a")                             \
	X(ACCUSE, "accuses node %n, silent for %a ms")                 \
	X(LATE, "was late by %a ms, accuses nobody")                     \
	X(MASTER, "becomes master of %e in view %a, state %b")   \
	X(STEPDOWN, "stops being master of %e: node %n in view %a") \
	X(ACCEPT, "accepts %e from node %n: state %a, version %v") \
	X(CACHE, "caches %e from node %n: state %a")               \
	X(UNCACHE, "uses the cached update of %e: state %a")         \
	X(STALE, "ignores %e from node %n: view %a, has %b")   \
	X(ANNOUNCE, "announces %e: state %a, seq %b")            \
	X(ACKED, "all connected nodes acknowledged %e, seq %a")      \
	X(PATH, "path of node %n to %e: %a (0 broken, 1 fine, 2 not watched)")              \
	X(OVERRIDE, "uses %e as state %a, advertised is %b")     \
	X(SYNCED, "node %n has acknowledged all")                          \
	X(REPAIR, "compares %a with node %n")                          \
	X(KNOWN, "knows which services node %n has")                       \
	X(ADDED, "has service %e")                                       \
	X(DELETED, "has service %e no more")                             \
	X(REFUSED, "refuses message type %a of node %n")

enum node_trace_type {
#define X(name, format) NODE_TRACE_##name,
	NODE_TRACES(X)
#undef X
	NODE_TRACE_COUNT,
};

struct node_trace {
	enum node_trace_type type;
	uint32_t peer;
	uint64_t entity;
	uint64_t a, b;
};

struct node_effect {
	enum node_effect_type type;
	union {
		const struct node_durable *durable;
		struct {
			uint32_t to; /* bit per node, never this one */
			enum message_priority priority;
			const struct message *message;
		} send;
		const struct view *view;
		struct {
			uint64_t entity;
			bool on;
		} probe; /* PROBE, PATH_PROBE */
		struct node_publish publish;
		struct node_trace trace;
	};
};

struct node_update {
	void (*emit)(void *ctx, const struct node_effect *effect);
	void *ctx;
};

/* DURABLE: what the last PERSIST of a former life gave; NULL: first life.
 * Everything is allocated here. 0, -EINVAL or -ENOMEM. */
int node_new(const struct node_options *options,
	     const struct node_durable *durable, struct node **ret);
void node_free(struct node *node);

/* One event. Events of one node come in order, from one thread. */
void node_step(struct node *node, const struct node_event *event,
	       const struct node_update *update);

/* ---- what operators, tests and the runtime look at -------------------- */

struct node_status {
	uint64_t view;
	uint32_t members, configured, connected;
	enum node_reason reason; /* of this node itself */
	uint8_t admin;
	bool operational;
	uint32_t services, cached, masters;
	uint32_t queued; /* updates not acknowledged by a connected node */
	uint64_t config_digest, record_digest;
	uint64_t cache_drops, stale, duplicates, refused, conflicts;
};

void node_status(const struct node *node, struct node_status *ret);
const struct view *node_view(const struct node *node);

struct node_peer_status {
	bool connected;	 /* heard both ways */
	bool operational;
	enum node_reason reason;
	uint8_t admin;
	uint32_t incarnation;
	uint64_t view;
	uint64_t silent_ms;
	uint32_t accusers; /* bit per node that does not hear it */
	uint32_t pending;  /* updates it has not acknowledged */
	uint32_t strikes;
};

/* -ENOENT for ids that are not configured. */
int node_peer_status(const struct node *node, uint32_t peer,
		     struct node_peer_status *ret);

struct node_service_status {
	struct service_state record; /* view 0: nothing known */
	uint64_t key;
	int owner;		     /* by the current view; -1: none or unsure */
	bool configured, master;
	uint8_t state, reason;	     /* effective here */
	uint32_t pending;	     /* nodes that have not acknowledged */
	uint32_t path_known, path_reachable;
	uint32_t configured_on;	     /* as far as known */
	uint32_t response_us, load;  /* measured here, if master */
};

/* -ENOENT: unknown. */
int node_service_status(const struct node *node, uint64_t entity,
			struct node_service_status *ret);

/* Calls EACH for every configured service. */
void node_each_service(const struct node *node,
		       void (*each)(void *ctx, uint64_t entity), void *ctx);

const char *node_reason_text(enum node_reason reason);
const char *node_reason_name(enum node_reason reason);
const char *node_state_reason_text(enum state_reason reason);
const char *node_message_name(enum message_type type);
const char *node_mutation_name(enum node_mutation mutation);
const char *node_admin_name(enum node_admin admin);
/* One line without node id and time; writes into BUF and returns it. */
char *node_trace_text(const struct node_trace *trace, char *buf, size_t len);
const char *node_trace_name(enum node_trace_type type);

#endif
