/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state machine as its callers see it (node.h): set-up, dispatch of events,
 * and the only places that emit effects. What is decided where:
 * README.md names the files.
 */
#include <errno.h>
#include <stdlib.h>

#include "cluster/hello.h"
#include "cluster/member.h"
#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/path.h"
#include "cluster/repair.h"
#include "cluster/sss.h"
#include "cluster/table.h"
#include "cluster/view.h"

void node_emit(struct node *node, const struct node_effect *effect)
{
	assert(node->update);
	assert(effect->type <= NODE_EFFECT_TRACE);
	node->update->emit(node->update->ctx, effect);
}

void node_trace(struct node *node, enum node_trace_type type, uint32_t peer,
		uint64_t entity, uint64_t a, uint64_t b)
{
	struct node_effect e = {
		.type = NODE_EFFECT_TRACE,
		.trace = {type, peer, entity, a, b},
	};

	assert(type < NODE_TRACE_COUNT);
	assert(peer < NODES_MAX);
	node_emit(node, &e);
}

void node_persist(struct node *node)
{
	struct node_effect e = {
		.type = NODE_EFFECT_PERSIST,
		.durable = &node->d,
	};

	assert(node->d.view.configured);
	assert(node->d.accepted <= node->d.promised);
	node_emit(node, &e);
}

void node_send(struct node *node, uint32_t to, struct message *message,
	       enum message_type type)
{
	static const uint8_t priority[] = {
#define X(name, text, prio) prio,
		MESSAGE_TYPES(X)
#undef X
	};
	struct node_effect e = {.type = NODE_EFFECT_SEND};

	assert(!(to & node_self(node)));
	assert(type < MSG_TYPE_COUNT);
	if (!to)
		return;
	message->type = (uint8_t)type;
	message->source = (uint8_t)node->o.id;
	message->incarnation = node->o.incarnation;
	e.send.to = to;
	e.send.priority = priority[type];
	e.send.message = message;
	node_emit(node, &e);
}

/* ---- set-up ----------------------------------------------------------- */

static void defaults(struct node_options *o)
{
#define DEFAULT(field, value) (o->field = o->field ? o->field : (value))
	DEFAULT(hello_ms, 100);
	DEFAULT(dead_missed, 4);
	DEFAULT(observers, 3);
	DEFAULT(settle_ms, 30);
	DEFAULT(backoff_ms, 1000);
	DEFAULT(backoff_max_ms, 30000);
	DEFAULT(services_max, SERVICES_MAX);
	DEFAULT(cache_max, 4096);
	DEFAULT(peer_bytes_tick, 65536);
#undef DEFAULT
}

static bool options_valid(const struct node_options *o)
{
	return o->id < NODES_MAX && o->incarnation &&
	       o->configured & 1u << o->id && o->admin < ADMIN_COUNT &&
	       o->hello_ms >= NODE_TICK_MS && o->hello_ms <= 60000 &&
	       o->dead_missed <= 1000 && o->peer_bytes_tick >= 80 &&
	       o->services_max <= SERVICES_MAX && o->cache_max <= SERVICES_MAX;
}

int node_new(const struct node_options *options,
	     const struct node_durable *durable, struct node **ret)
{
	struct node *node = calloc(1, sizeof(*node));
	int err = -ENOMEM;

	if (!node)
		return -ENOMEM;
	node->o = *options;
	defaults(&node->o);
	if (!options_valid(&node->o)) {
		free(node);
		return -EINVAL;
	}
	err = table_init(node);
	if (!err)
		err = outbox_init(node);
	if (!err)
		err = owner_init(node);
	if (err) {
		node_free(node);
		return err;
	}
	if (durable)
		node->d = *durable;
	if (node->d.admin)
		node->o.admin = node->d.admin - 1;
	if (!node->d.view.number || !node->d.view.configured)
		node->d.view.configured = node->o.configured;
	/* It counts from the first event on; see node_step(). */
	*ret = node;
	return 0;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	owner_deinit(node);
	outbox_deinit(node);
	table_deinit(node);
	free(node);
}

/* ---- events ----------------------------------------------------------- */

static void on_tick(struct node *node)
{
	assert(node->update);
	assert(node->now >= node->ticked);
	node->ticked = node->now;
	hello_tick(node);
	view_tick(node);
	member_tick(node);
	owner_tick(node);
	repair_tick(node);
	outbox_flush(node);
}

static void on_message(struct node *node, const struct message *m)
{
	uint32_t peer = m->source;

	assert(node->update);
	assert(node->o.configured & node_self(node));
	if (peer >= NODES_MAX || peer == node->o.id ||
	    !(node->o.configured & 1u << peer) ||
	    !hello_heard(node, peer, m->incarnation)) {
		node->refused++;
		node_trace(node, NODE_TRACE_REFUSED,
			   peer < NODES_MAX ? peer : node->o.id, 0, m->type, 0);
		return;
	}
	switch (m->type) {
	case MSG_HELLO:
		hello_receive(node, peer, &m->hello);
		break;
	case MSG_PREPARE:
		view_prepare(node, peer, &m->prepare);
		break;
	case MSG_PROMISE:
		view_promise(node, peer, &m->promise);
		break;
	case MSG_ACCEPT:
		view_accept(node, peer, &m->accept);
		break;
	case MSG_ACCEPTED:
		view_accepted(node, peer, &m->accepted);
		break;
	case MSG_REJECT:
		view_reject(node, peer, &m->reject);
		break;
	case MSG_COMMIT:
		view_commit(node, peer, &m->commit);
		break;
	case MSG_STATE:
		sss_receive(node, peer, &m->state);
		break;
	case MSG_PATH:
		path_receive(node, peer, &m->path);
		break;
	case MSG_ACK:
		outbox_acked(node, peer, &m->ack);
		break;
	case MSG_DIGEST_ASK:
		repair_asked(node, peer, &m->digest_ask);
		break;
	case MSG_DIGEST:
		repair_digest(node, peer, &m->digest);
		break;
	case MSG_LIST:
		repair_list(node, peer, &m->list);
		break;
	case MSG_PULL:
		sss_pulled(node, peer, &m->pull);
		break;
	default:
		node->refused++;
	}
}

static void on_admin(struct node *node, uint8_t admin)
{
	assert(admin < ADMIN_COUNT);
	assert(node->o.id < NODES_MAX);
	node->o.admin = admin;
	node->d.admin = admin + 1;
	node_persist(node);
	node->hello_at = node->now; /* the others need not wait for it */
}

static void on_configured(struct node *node, uint32_t configured)
{
	uint32_t gone = node->o.configured & ~configured, i;
	uint32_t come = configured & ~node->o.configured;

	assert(configured & node_self(node));
	outbox_forget(node, gone & ~node_self(node));
	node->o.configured = configured;
	node->connected &= configured;
	node->accused &= configured;
	for (i = 0; i < NODES_MAX; i++)
		if (gone & 1u << i) {
			memset(&node->peer[i], 0, sizeof(node->peer[i]));
			node->same &= ~(1u << i);
		} else if (come & 1u << i) {
			outbox_restart(node, i);
		}
	/* Before the first view nothing was agreed, or even promised. */
	if (!node->d.view.number && !node->d.promised)
		node->d.view.configured = configured;
	node->hello_at = node->now;
	assert(!(node->connected & ~configured));
}

void node_step(struct node *node, const struct node_event *event,
	       const struct node_update *update)
{
	assert(update->emit);
	assert(!node->update); /* not from inside an effect */
	node->update = update;
	if (!node->started) {
		node->now = node->started = event->now_ms ? event->now_ms : 1;
		node->hello_at = node->want_since = node->now;
	}
	hello_time(node, event->now_ms);
	switch (event->type) {
	case NODE_EVENT_TICK:
		on_tick(node);
		break;
	case NODE_EVENT_MESSAGE:
		on_message(node, event->message);
		break;
	case NODE_EVENT_SERVICE_SET:
		sss_service_set(node, &event->service);
		break;
	case NODE_EVENT_SERVICE_DEL:
		sss_service_del(node, event->entity);
		break;
	case NODE_EVENT_LOCAL:
		sss_local(node, event->local);
		break;
	case NODE_EVENT_PATH:
		path_local(node, event->path.entity, event->path.reachable);
		break;
	case NODE_EVENT_ADMIN:
		on_admin(node, event->admin);
		break;
	case NODE_EVENT_CONFIGURED:
		on_configured(node, event->configured);
		break;
	}
	node->update = NULL;
}
