/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A few state machines of the cluster on a network that delivers at once, moved
 * by hand. Random faults are the simulator's business (tests/sim).
 */
#ifndef SLUICE_TEST_CLUSTER_WORLD_H
#define SLUICE_TEST_CLUSTER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/node.h"
#include "map_abi.h"
#include "rendezvous.h"

#define N 5
#define QUEUE 65536
#define ENTITIES 40

struct world {
	struct node *node[N];
	uint64_t now;
	uint32_t configured, cut; /* nodes that get and send nothing */
	uint32_t asleep;	  /* nodes that do not run at the moment */
	uint32_t unheard[N];	  /* by this node: broken links */
	struct queued {
		uint32_t to;
		struct message m;
	} * queue;
	uint32_t head, tail;
	bool probing[N][ENTITIES], path_probing[N][ENTITIES];
	uint8_t published[N][ENTITIES];
	uint32_t states_sent; /* MSG_STATE items */
	struct node_durable disk[N];
};

static struct world w;

struct context {
	uint32_t node;
};

static inline void emit(void *ctx, const struct node_effect *e)
{
	uint32_t self = ((struct context *)ctx)->node, to;

	switch (e->type) {
	case NODE_EFFECT_SEND:
		if (e->send.message->type == MSG_STATE)
			w.states_sent +=
				e->send.message->state.n *
				(uint32_t)__builtin_popcount(e->send.to);
		for (to = e->send.to; to; to &= to - 1) {
			assert_true(w.tail < QUEUE);
			w.queue[w.tail].to = (uint32_t)__builtin_ctz(to);
			w.queue[w.tail++].m = *e->send.message;
		}
		break;
	case NODE_EFFECT_PERSIST:
		w.disk[self] = *e->durable;
		break;
	case NODE_EFFECT_PROBE:
		w.probing[self][e->probe.entity] = e->probe.on;
		break;
	case NODE_EFFECT_PATH_PROBE:
		w.path_probing[self][e->probe.entity] = e->probe.on;
		break;
	case NODE_EFFECT_PUBLISH:
		w.published[self][e->publish.entity] = e->publish.state;
		break;
	default:
		break;
	}
}

static inline void step(uint32_t node, struct node_event *e)
{
	struct context c = {node};
	struct node_update u = {emit, &c};

	e->now_ms = w.now;
	node_step(w.node[node], e, &u);
}

static inline void deliver(void)
{
	while (w.head < w.tail) {
		struct queued q = w.queue[w.head++];
		struct node_event e = {.type = NODE_EVENT_MESSAGE,
				       .message = &q.m};

		if (q.to < N && w.node[q.to] && !(w.asleep & 1u << q.to) &&
		    !(w.unheard[q.to] & 1u << q.m.source) &&
		    !(w.cut & (1u << q.to | 1u << q.m.source)))
			step(q.to, &e);
	}
	w.head = w.tail = 0;
}

static inline void pass(uint32_t ms)
{
	uint64_t end = w.now + ms;
	uint32_t i;

	for (; w.now < end; w.now += NODE_TICK_MS)
		for (i = 0; i < N; i++) {
			struct node_event e = {.type = NODE_EVENT_TICK};

			if (w.node[i] && !(w.asleep & 1u << i))
				step(i, &e);
			deliver();
		}
}

static inline void boot(uint32_t id, uint32_t life, uint8_t admin)
{
	struct node_options o = {
		.id = id,
		.incarnation = life,
		.configured = w.configured,
		.admin = admin,
		.services_max = ENTITIES,
		.cache_max = 4,
	};

	assert_int_equal(node_new(&o, life > 1 ? &w.disk[id] : NULL,
				  &w.node[id]),
			 0);
}

static inline void kill_node(uint32_t id)
{
	node_free(w.node[id]);
	w.node[id] = NULL;
	memset(w.probing[id], 0, sizeof(w.probing[id]));
}

static inline void service(uint32_t node, uint64_t entity, uint64_t key,
		    uint32_t flags)
{
	struct node_event e = {.type = NODE_EVENT_SERVICE_SET,
			       .service = {entity, key, flags}};

	step(node, &e);
	deliver();
}

static inline void service_all(uint64_t entity, uint64_t key, uint32_t flags)
{
	for (uint32_t i = 0; i < N; i++)
		if (w.node[i])
			service(i, entity, key, flags | NODE_SERVICE_READY);
}

static inline void local(uint32_t node, const struct service_state *s)
{
	struct node_event e = {.type = NODE_EVENT_LOCAL, .local = s};

	step(node, &e);
	deliver();
}

static inline void admin(uint32_t node, uint8_t to)
{
	struct node_event e = {.type = NODE_EVENT_ADMIN, .admin = to};

	step(node, &e);
	deliver();
}

static inline void configured(uint32_t node, uint32_t set)
{
	struct node_event e = {.type = NODE_EVENT_CONFIGURED,
			       .configured = set};

	step(node, &e);
	deliver();
}

static inline uint32_t members(uint32_t node)
{
	return node_view(w.node[node])->members;
}

static inline struct node_service_status status(uint32_t node, uint64_t entity)
{
	struct node_service_status st;

	assert_int_equal(node_service_status(w.node[node], entity, &st), 0);
	return st;
}

/* Nodes that probe it. */
static inline uint32_t probers(uint64_t entity)
{
	uint32_t i, set = 0;

	for (i = 0; i < N; i++)
		if (w.probing[i][entity])
			set |= 1u << i;
	return set;
}

static inline int begin(void **state)
{
	memset(&w, 0, sizeof(w));
	w.queue = calloc(QUEUE, sizeof(*w.queue));
	w.now = 1000;
	w.configured = 7;
	return w.queue ? 0 : -1;
}

static inline int end(void **state)
{
	uint32_t i;

	for (i = 0; i < N; i++)
		node_free(w.node[i]);
	free(w.queue);
	return 0;
}

static inline void start(uint32_t nodes)
{
	w.configured = (1u << nodes) - 1;
	for (uint32_t i = 0; i < nodes; i++)
		boot(i, 1, ADMIN_ACTIVE);
	pass(600);
	assert_int_equal(members(0), w.configured);
}

#endif
