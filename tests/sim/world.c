/* SPDX-License-Identifier: GPL-2.0-only */
/* Nodes of the simulated world: boots and crashes them, lets their time pass,
 * gives them events and carries out their effects. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void bit_set(uint32_t *bits, uint32_t i, bool on)
{
	if (on)
		bits[i / 32] |= 1u << i % 32;
	else
		bits[i / 32] &= ~(1u << i % 32);
}

static bool bit_get(const uint32_t *bits, uint32_t i)
{
	return bits[i / 32] >> i % 32 & 1;
}

bool sim_up(const struct sim *sim, uint32_t node)
{
	return sim->nodes[node].node && !sim->nodes[node].paused;
}

uint32_t sim_find(const struct sim *sim, uint64_t entity)
{
	/* Entities are mix(index + 1): found by search, services are few. */
	for (uint32_t i = 0; i < sim->n_services; i++)
		if (sim->services[i].entity == entity)
			return i;
	return UINT32_MAX;
}

/* ---- effects ---------------------------------------------------------- */

struct context {
	struct sim *sim;
	uint32_t node;
};

static void schedule_probe(struct sim *sim, uint32_t node, uint32_t service,
			   enum sim_event_type type)
{
	struct sim_event e = {
		.at = sim->now + 1 * MS + sim_below(sim, 20 * MS),
		.node = node,
		.arg = service,
		.life = sim->nodes[node].life,
		.type = type,
	};

	sim_push(sim, &e);
}

static void on_probe(struct sim *sim, uint32_t node, uint64_t entity, bool on,
		     bool path)
{
	struct sim_node *n = &sim->nodes[node];
	uint32_t s = sim_find(sim, entity);

	if (s == UINT32_MAX) {
		sim_fail(sim, "b%u: probe of an unknown service", node);
		return;
	}
	bit_set(path ? n->path_probing : n->probing, s, on);
	if (on)
		schedule_probe(sim, node, s, path ? SIM_PATH_PROBE : SIM_PROBE);
}

static void emit(void *ctx, const struct node_effect *e)
{
	struct context *c = ctx;
	struct sim_node *n = &c->sim->nodes[c->node];

	/* A crash in the middle of a step: what follows does not happen. */
	if (n->crash_after == 0)
		n->dying = true;
	if (n->dying)
		return;
	if (n->crash_after > 0)
		n->crash_after--;
	check_effect(c->sim, c->node, e);
	if (c->sim->on_effect)
		c->sim->on_effect(c->sim, c->node, e);
	switch (e->type) {
	case NODE_EFFECT_PERSIST:
		n->disk = *e->durable;
		n->has_disk = true;
		break;
	case NODE_EFFECT_SEND:
		sim_send(c->sim, c->node, e->send.to, e->send.message);
		break;
	case NODE_EFFECT_PROBE:
	case NODE_EFFECT_PATH_PROBE:
		on_probe(c->sim, c->node, e->probe.entity, e->probe.on,
			 e->type == NODE_EFFECT_PATH_PROBE);
		break;
	case NODE_EFFECT_TRACE:
		sim_trace_node(c->sim, c->node, &e->trace);
		if (c->sim->on_trace)
			c->sim->on_trace(c->sim, c->node, &e->trace);
		break;
	case NODE_EFFECT_VIEW:
	case NODE_EFFECT_PUBLISH:
		break;
	}
}

static void step(struct sim *sim, uint32_t node, struct node_event *event)
{
	struct sim_node *n = &sim->nodes[node];
	struct context c = {sim, node};
	struct node_update update = {emit, &c};

	event->now_ms = sim->now / MS + n->clock;
	sim->stats.steps++;
	node_step(n->node, event, &update);
	if (n->dying) {
		sim_crash(sim, node);
		return;
	}
	n->crash_after = -1;
	check_step(sim, node);
}

/* ---- lives ------------------------------------------------------------ */

static void push_tick(struct sim *sim, uint32_t node, uint64_t in)
{
	struct sim_event e = {
		.at = sim->now + in,
		.node = node,
		.life = sim->nodes[node].life,
		.type = SIM_TICK,
	};

	sim_push(sim, &e);
}

static void give_service(struct sim *sim, uint32_t node, uint32_t service)
{
	const struct sim_service *s = &sim->services[service];
	struct node_event e = {
		.type = NODE_EVENT_SERVICE_SET,
		.service = {s->entity, s->key, s->flags | NODE_SERVICE_READY},
	};

	step(sim, node, &e);
}

void sim_boot(struct sim *sim, uint32_t node)
{
	struct sim_node *n = &sim->nodes[node];
	struct node_options o = {
		.id = node,
		.incarnation = (uint32_t)++n->life,
		.configured = sim->n_nodes == 32 ? UINT32_MAX
						 : (1u << sim->n_nodes) - 1,
		.quorum_none = sim->quorum_none,
		.admin = n->admin,
		.backoff_ms = 200,
		.backoff_max_ms = 1600,
		.services_max = sim->n_services,
		.cache_max = sim->n_services / 2 + 1,
		.mutation = sim->o.mutation,
	};
	uint32_t i;

	if (node_new(&o, n->has_disk ? &n->disk : NULL, &n->node))
		exit(2);
	n->paused = n->dying = false;
	n->crash_after = -1;
	memset(n->probing, 0, sizeof(n->probing));
	memset(n->path_probing, 0, sizeof(n->path_probing));
	check_booted(sim, node);
	sim_note(sim, node, "boots, life %u", (uint32_t)n->life);
	for (i = 0; i < sim->n_services && n->node; i++)
		if (sim->services[i].configured & 1u << node)
			give_service(sim, node, i);
	/* An order that came while it was down is given again. */
	if (n->has_disk && n->disk.admin && n->disk.admin != n->admin + 1)
		sim_admin(sim, node, n->admin);
	push_tick(sim, node, sim_below(sim, NODE_TICK_MS * MS));
}

static void drop_backlog(struct sim *sim, uint32_t node)
{
	struct sim_node *n = &sim->nodes[node];

	for (uint32_t i = 0; i < n->n_backlog; i++)
		sim_packet_put(sim, n->backlog[i].packet);
	n->n_backlog = 0;
}

void sim_crash(struct sim *sim, uint32_t node)
{
	struct sim_node *n = &sim->nodes[node];

	if (!n->node)
		return;
	sim_note(sim, node, "crashes");
	sim->stats.crashes++;
	node_free(n->node);
	n->node = NULL;
	n->paused = false;
	memset(n->probing, 0, sizeof(n->probing));
	memset(n->path_probing, 0, sizeof(n->path_probing));
	drop_backlog(sim, node);
}

void sim_pause(struct sim *sim, uint32_t node)
{
	sim_note(sim, node, "stops running");
	sim->stats.pauses++;
	sim->nodes[node].paused = true;
}

static void deliver(struct sim *sim, uint32_t node, struct sim_packet *packet)
{
	struct node_event e = {
		.type = NODE_EVENT_MESSAGE,
		.message = &packet->m,
	};

	step(sim, node, &e);
}

/* What waited in its socket is read first, as an event loop does. */
void sim_resume(struct sim *sim, uint32_t node)
{
	struct sim_node *n = &sim->nodes[node];
	uint32_t i;

	if (!n->node || !n->paused)
		return;
	sim_note(sim, node, "runs again, %u messages wait", n->n_backlog);
	n->paused = false;
	for (i = 0; i < n->n_backlog && n->node; i++)
		deliver(sim, node, n->backlog[i].packet);
	drop_backlog(sim, node);
}

/* ---- operators and truth ---------------------------------------------- */

void sim_configure(struct sim *sim, uint32_t node, uint32_t service, bool on)
{
	struct sim_service *s = &sim->services[service];
	struct node_event e = {
		.type = NODE_EVENT_SERVICE_DEL,
		.entity = s->entity,
	};

	if (on == !!(s->configured & 1u << node))
		return;
	s->configured ^= 1u << node;
	s->churned = sim->now;
	if (!sim->nodes[node].node)
		return;
	if (on) {
		give_service(sim, node, service);
	} else {
		step(sim, node, &e);
		check_forgot(sim, node, service);
	}
}

void sim_set_flags(struct sim *sim, uint32_t service, uint32_t flags)
{
	uint32_t i;

	sim->services[service].flags = flags;
	for (i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].node &&
		    sim->services[service].configured & 1u << i)
			give_service(sim, i, service);
}

void sim_admin(struct sim *sim, uint32_t node, uint8_t admin)
{
	struct node_event e = {.type = NODE_EVENT_ADMIN, .admin = admin};

	sim->nodes[node].admin = admin;
	sim_note(sim, node, "operator: %s", node_admin_name(admin));
	if (sim->nodes[node].node)
		step(sim, node, &e);
}

void sim_truth(struct sim *sim, uint32_t service)
{
	uint32_t i;

	for (i = 0; i < sim->n_nodes; i++) {
		if (bit_get(sim->nodes[i].probing, service))
			schedule_probe(sim, i, service, SIM_PROBE);
		if (bit_get(sim->nodes[i].path_probing, service))
			schedule_probe(sim, i, service, SIM_PATH_PROBE);
	}
}

union ip_addr sim_addr(uint32_t place)
{
	union ip_addr addr = {.w = {0}};

	if (place)
		addr = (union ip_addr){.w = {0, 0, IP_ADDR_V4_PREFIX,
					     htonl(0x0a000000 + place)}};
	return addr;
}

/* The owner has asked for the name; without an answer it goes on with what was
 * known before, by itself or by the owner before it. */
static void resolve(struct sim *sim, uint32_t node,
		    const struct sim_service *s, struct service_state *local)
{
	static const union ip_addr none;
	struct node_service_status st;

	local->addr = sim_addr(s->place);
	if (s->silent && !node_service_status(sim->nodes[node].node, s->entity,
					      &st))
		local->addr = st.record.addr;
	if (!ip_addr_equal(&local->addr, &none)) {
		local->ttl_s = 60;
		return;
	}
	local->state = SVC_DOWN;
	local->reason = STATE_REASON_RESOLVE;
}

static void probe_done(struct sim *sim, uint32_t node, uint32_t service)
{
	const struct sim_service *s = &sim->services[service];
	struct service_state local = {
		.entity = s->entity,
		.state = s->state,
		.reason = STATE_REASON_PROBE,
		.flags = s->over ? STATE_LOAD_OVER : 0,
		.mss = 1460,
		.response_us = s->response_us,
		.load = s->load,
	};
	struct node_event e = {.type = NODE_EVENT_LOCAL, .local = &local};

	if (!bit_get(sim->nodes[node].probing, service))
		return;
	if (s->named)
		resolve(sim, node, s, &local);
	step(sim, node, &e);
}

static void path_done(struct sim *sim, uint32_t node, uint32_t service)
{
	const struct sim_service *s = &sim->services[service];
	struct node_event e = {
		.type = NODE_EVENT_PATH,
		.path = {s->entity, s->reachable >> node & 1},
	};

	if (bit_get(sim->nodes[node].path_probing, service))
		step(sim, node, &e);
}

/* ---- time ------------------------------------------------------------- */

static void tick(struct sim *sim, uint32_t node)
{
	struct node_event e = {.type = NODE_EVENT_TICK};
	uint64_t next = NODE_TICK_MS * MS;

	/* The next one first: a crash inside this one ends them. */
	if (sim->nodes[node].slow)
		next += sim_below(sim, 60 * MS);
	push_tick(sim, node, next);
	if (!sim->nodes[node].paused)
		step(sim, node, &e);
}

static void arrive(struct sim *sim, struct sim_event *e)
{
	struct sim_node *n = &sim->nodes[e->node];

	if (n->node && n->paused && n->n_backlog < SIM_BACKLOG) {
		n->backlog[n->n_backlog++] = *e;
		return;
	}
	if (n->node && !n->paused)
		deliver(sim, e->node, e->packet);
	sim_packet_put(sim, e->packet);
}

static bool dispatch(struct sim *sim, struct sim_event *e)
{
	struct sim_node *n = &sim->nodes[e->node];
	bool mine = e->life == n->life && n->node;

	switch (e->type) {
	case SIM_TICK:
		if (mine)
			tick(sim, e->node);
		return true;
	case SIM_MESSAGE:
		arrive(sim, e);
		return true;
	case SIM_PROBE:
		if (mine && n->paused)
			schedule_probe(sim, e->node, e->arg, e->type);
		else if (mine)
			probe_done(sim, e->node, e->arg);
		return true;
	case SIM_PATH_PROBE:
		if (mine && n->paused)
			schedule_probe(sim, e->node, e->arg, e->type);
		else if (mine)
			path_done(sim, e->node, e->arg);
		return true;
	case SIM_FAULT:
		faults_next(sim);
		return true;
	case SIM_STOP:
		return false;
	}
	return false;
}

void sim_until(struct sim *sim, uint64_t at)
{
	struct sim_event e = {.at = at, .type = SIM_STOP};

	sim_push(sim, &e);
	while (!sim->failed && sim_pop(sim, &e)) {
		sim->now = e.at;
		if (!dispatch(sim, &e))
			return;
	}
}

/* ---- world ------------------------------------------------------------ */

static uint64_t entity_of(uint64_t seed, uint32_t i)
{
	uint64_t z = seed * 0x9e3779b97f4a7c15ull + i + 1;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z ^= z >> 27;
	return z ? z : 1;
}

void sim_init(struct sim *sim, const struct sim_options *options, uint64_t seed,
	      uint32_t nodes, uint32_t services)
{
	uint32_t i;

	memset(sim, 0, sizeof(*sim));
	sim->o = *options;
	sim->seed = seed;
	sim_seed(sim, seed);
	sim->n_nodes = nodes;
	sim->n_services = services;
	sim->services = calloc(services, sizeof(*sim->services));
	if (!sim->services)
		exit(2);
	for (i = 0; i < services; i++) {
		sim->services[i].entity = entity_of(seed, i);
		sim->services[i].state = SVC_UP;
		sim->services[i].response_us = 1000;
		sim->services[i].load = 100;
		sim->services[i].reachable = UINT32_MAX;
	}
	for (i = 0; i < nodes; i++) {
		struct sim_node *n = &sim->nodes[i];

		n->crash_after = -1;
		n->clock = 1 + sim_below(sim, 1000000);
		n->backlog = calloc(SIM_BACKLOG, sizeof(*n->backlog));
		if (!n->backlog)
			exit(2);
	}
	sim_net_perfect(sim);
	sim_trace_init(sim);
	check_init(sim);
}

void sim_free(struct sim *sim)
{
	uint32_t i;

	for (i = 0; i < sim->n_nodes; i++) {
		drop_backlog(sim, i);
		node_free(sim->nodes[i].node);
		free(sim->nodes[i].backlog);
	}
	sim_net_free(sim);
	check_free(sim);
	sim_trace_free(sim);
	free(sim->services);
}
