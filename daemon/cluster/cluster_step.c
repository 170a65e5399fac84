// SPDX-License-Identifier: GPL-2.0-only
/*
 * One step of this node's state machine and what follows from it (see
 * cluster_step.h). Everything that happens becomes one node_step(), everything
 * it wants is carried out in its order.
 */
#include "cluster/cluster_step.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/cluster_show.h"
#include "health/health.h"
#include "util/log.h"

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- states of services ----------------------------------------------- */

static struct service_state from_health(const struct cluster_state *s)
{
	struct service_state state = {
		.entity = s->entity,
		/* The first three of enum svc_state are those of health. */
		.state = s->observed,
		.reason = s->unresolved			  ? STATE_REASON_RESOLVE :
			  s->observed == HEALTH_UNKNOWN ? STATE_REASON_NONE :
							  STATE_REASON_PROBE,
		.flags = s->metrics.load_over ? STATE_LOAD_OVER : 0,
		.response_us = s->metrics.response_us,
		.load = s->metrics.load,
		.rr_weight = s->metrics.weight_percent < 100 ? s->metrics.weight_percent : 0,
	};

	_Static_assert((int)HEALTH_UP == SVC_UP && (int)HEALTH_DOWN == SVC_DOWN &&
		       (int)HEALTH_UNKNOWN == SVC_UNKNOWN, "same numbers");
	assert(s->observed <= HEALTH_UP);
	if (s->has_address) {
		state.addr = s->address;
		state.ttl_s = s->ttl_s;
	}
	return state;
}

/* To be told to the state machine after the present step, by what health says
 * then: the newest is what counts. TOOK_OVER: has become this node's. */
static void push_pending(struct cluster *c, struct cluster_service *s, bool took_over)
{
	struct cluster_services *all = &c->services;

	if (s->pending) {
		s->pending_news |= !took_over;
		return;
	}
	s->pending = true;
	s->pending_news = !took_over;
	assert(all->n_queued < all->n);
	all->queue[(all->queue_head + all->n_queued++) % all->n] = (uint32_t)(s - all->items);
}

/* ---- effects ---------------------------------------------------------- */

/* Word for word: the others hear that this node lives, and nothing else. */
static void say_hello_again(void *ctx)
{
	struct cluster *c = ctx;

	if (c->hello_to == 0)
		return;
	nnm_send(c->nnm, c->hello_to, PRIO_HELLO, &c->hello);
	nnm_flush(c->nnm);
}

static void send_message(struct cluster *c, const struct node_effect *e)
{
	if (e->send.message->type == MSG_HELLO) {
		c->hello = *e->send.message;
		c->hello_to = e->send.to;
	}
	nnm_send(c->nnm, e->send.to, e->send.priority, e->send.message);
}

static void persist(struct cluster *c, const struct node_durable *durable)
{
	int ret = cluster_writer_save(c->writer, durable, c->options.hello_ms,
				      say_hello_again, c);

	if (ret < 0) {
		log_err("cluster: %s: %s: out of the cluster until it can be written",
			c->state_file, strerror(-ret));
		c->halted = true;
		c->halted_ms = now_ms();
		return;
	}
	c->durable = *durable;
	c->has_durable = true;
	c->persisted++;
}

static void announce_view(struct cluster *c, const struct view *v)
{
	const struct cluster_view view = { .number = v->number, .members = v->members };

	log_notice("cluster: view %llu, members %#x", (unsigned long long)v->number, v->members);
	if (c->ops->view)
		c->ops->view(c->ctx, &view);
}

void cluster_step_probe(struct cluster *c, uint64_t entity, bool on)
{
	struct cluster_service *s = cluster_services_find(&c->services, entity);

	/* A service that the configuration has just lost. */
	if (!s)
		return;
	s->probing = on;
	c->ops->probe(c->ctx, entity, on);
	if (on && c->stepping)
		push_pending(c, s, true);
}

/* Begins or ends what is wanted. Without memory it is tried again. */
static void match_path(struct cluster *c, struct cluster_service *s)
{
	if (s->path_probing == s->path_wanted)
		return;
	if (!s->path_wanted) {
		path_ping_remove(c->ping, s->path_slot);
	} else if (path_ping_add(c->ping, s->node.entity, &s->addr, &s->path_slot) < 0) {
		if (!c->path_missing)
			log_err("cluster: no memory to watch the path to %s", s->name);
		c->path_missing = true;
		return;
	}
	s->path_probing = s->path_wanted;
}

static void path_probe(struct cluster *c, uint64_t entity, bool on)
{
	struct cluster_service *s = cluster_services_find(&c->services, entity);

	if (!s)
		return;
	s->path_wanted = on;
	match_path(c, s);
}

void cluster_step_paths(struct cluster *c)
{
	c->path_missing = false;
	for (size_t i = 0; i < c->services.n && !c->path_missing; i++)
		match_path(c, &c->services.items[i]);
}

static uint8_t observed_of(uint8_t state)
{
	switch (state) {
	case SVC_UP:
	case SVC_GOING_OUT:
		return HEALTH_UP;
	case SVC_DOWN:
	case SVC_DOWN_GOING_OUT:
		return HEALTH_DOWN;
	default:
		return HEALTH_UNKNOWN;
	}
}

static void publish(struct cluster *c, const struct node_publish *p)
{
	struct cluster_service *service = cluster_services_find(&c->services, p->entity);
	const struct service_state *r = p->record;
	static const union ip_addr none;
	char reason[128];
	struct cluster_state s = {
		.entity = p->entity,
		.observed = observed_of(p->state),
		.reason = reason,
		.metrics = {
			.response_us = r->response_us,
			.load = r->load,
			.load_over = r->flags & STATE_LOAD_OVER,
			/* Zero, or what nobody sends: all of it. */
			.weight_percent = r->rr_weight && r->rr_weight < 100 ?
						  r->rr_weight : 100,
		},
		.has_address = !ip_addr_equal(&r->addr, &none),
		.address = r->addr,
		.ttl_s = r->ttl_s,
		.owner = r->owner,
		.view = r->view,
		.own = p->own,
	};

	if (!service)
		return;
	/* Paths and members are published, too, without a newer version. */
	if (service->version_view != r->view || service->version_seq != r->seq) {
		service->version_view = r->view;
		service->version_seq = r->seq;
		service->updated_ms = now_ms();
	}
	snprintf(reason, sizeof(reason), "%s (from %s)",
		 node_state_reason_text((enum state_reason)p->reason),
		 cluster_show_node_name(c, r->owner));
	c->ops->publish(c->ctx, &s);
}

void cluster_step_publish_again(struct cluster *c, uint64_t entity)
{
	struct node_service_status s;
	struct node_publish p = { .entity = entity, .record = &s.record };

	if (c->halted || node_service_status(c->node, entity, &s) < 0 || !s.configured ||
	    s.record.view == 0)
		return;
	p.state = s.state;
	p.reason = s.reason;
	p.own = s.master;
	p.path_known = s.path_known;
	p.path_reachable = s.path_reachable;
	publish(c, &p);
}

static void trace(struct cluster *c, const struct node_trace *t)
{
	struct json_object *event;

	if (!c->trace || !c->trace->wanted(c->trace_ctx))
		return;
	event = cluster_show_trace(c, t);
	c->trace->event(c->trace_ctx, event);
	json_object_put(event);
}

static void on_effect(void *ctx, const struct node_effect *e)
{
	struct cluster *c = ctx;

	/* What relies on something that could not be kept must not happen. */
	if (c->halted)
		return;
	switch (e->type) {
	case NODE_EFFECT_PERSIST:
		persist(c, e->durable);
		break;
	case NODE_EFFECT_SEND:
		send_message(c, e);
		break;
	case NODE_EFFECT_VIEW:
		announce_view(c, e->view);
		break;
	case NODE_EFFECT_PROBE:
		cluster_step_probe(c, e->probe.entity, e->probe.on);
		break;
	case NODE_EFFECT_PATH_PROBE:
		path_probe(c, e->probe.entity, e->probe.on);
		break;
	case NODE_EFFECT_PUBLISH:
		publish(c, &e->publish);
		break;
	case NODE_EFFECT_TRACE:
		trace(c, &e->trace);
		break;
	}
}

/* ---- events ----------------------------------------------------------- */

static void step(struct cluster *c, struct node_event *event)
{
	const struct node_update update = { .emit = on_effect, .ctx = c };

	assert(!c->stepping);
	if (c->halted)
		return;
	event->now_ms = now_ms();
	c->stepping = true;
	node_step(c->node, event, &update);
	c->stepping = false;
}

/* Nobody in the cluster knows the service's state: what this node remembers
 * is better than nothing. Otherwise what its last owner said goes on. */
static bool is_news(const struct cluster *c, const struct service_state *s)
{
	struct node_service_status status;

	return s->state != SVC_UNKNOWN &&
	       node_service_status(c->node, s->entity, &status) == 0 &&
	       status.record.state == SVC_UNKNOWN;
}

/* States that came up while effects were carried out. */
static void drain(struct cluster *c)
{
	struct cluster_services *all = &c->services;

	/* Each of these steps may add more. */
	while (all->n_queued > 0) {
		struct cluster_service *s = &all->items[all->queue[all->queue_head]];
		struct cluster_state current;
		struct service_state state;
		struct node_event event = { .type = NODE_EVENT_LOCAL, .local = &state };
		bool news = s->pending_news;

		all->queue_head = (all->queue_head + 1) % (uint32_t)all->n;
		all->n_queued--;
		s->pending = s->pending_news = false;
		if (!s->probing || !c->ops->current(c->ctx, s->node.entity, &current))
			continue;
		state = from_health(&current);
		if (news || is_news(c, &state))
			step(c, &event);
	}
}

/* A step, and everything that follows from it. */
void cluster_step_event(struct cluster *c, struct node_event *event)
{
	step(c, event);
	drain(c);
}

void cluster_step_local(struct cluster *c, const struct cluster_state *s)
{
	struct cluster_service *service = cluster_services_find(&c->services, s->entity);
	struct service_state state = from_health(s);
	struct node_event event = { .type = NODE_EVENT_LOCAL, .local = &state };

	if (!service || !service->probing)
		return;
	if (c->stepping) {
		push_pending(c, service, false);
		return;
	}
	cluster_step_event(c, &event);
	nnm_flush(c->nnm);
}
