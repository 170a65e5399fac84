/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See sss.h. A version is (view, seq): VIEW is the one in which its master took
 * the service, SEQ counts the master's changes since. A view gives a service
 * one owner (owner.c), an owner counts alone, and a new life of a node never
 * belongs to an old view; so one version never stands for two contents, and
 * "newer" is a total order.
 */
#include "cluster/metrics.h"
#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/path.h"
#include "cluster/sss.h"
#include "cluster/table.h"

bool sss_newer(uint64_t view_a, uint32_t seq_a, uint64_t view_b, uint32_t seq_b)
{
	return view_a > view_b || (view_a == view_b && seq_a > seq_b);
}

void sss_effective(const struct node *node, const struct record *rec,
		   uint8_t *ret_state, uint8_t *ret_reason)
{
	assert(rec->flags & RECORD_USED);
	assert(ret_state && ret_reason);
	*ret_state = rec->s.state;
	*ret_reason = rec->s.reason;
	/* `individual`: the advertised state stays in the record as backup. */
	if (path_overrides(node, rec)) {
		*ret_state = SVC_DOWN;
		*ret_reason = STATE_REASON_PATH_LOCAL;
	}
}

void sss_publish(struct node *node, struct record *rec)
{
	struct node_effect e = {.type = NODE_EFFECT_PUBLISH};
	uint8_t state, reason;

	assert(rec->flags & RECORD_CONFIGURED);
	/* (b): not before all local engines know the service. */
	if (!(rec->service_flags & NODE_SERVICE_READY) ||
	    rec->service_flags & NODE_SERVICE_INTERNAL)
		return;
	sss_effective(node, rec, &state, &reason);
	if (!rec->s.view && reason != STATE_REASON_PATH_LOCAL)
		return;
	if (state != rec->s.state &&
	    (!(rec->flags & RECORD_PUBLISHED) || state != rec->published_state))
		node_trace(node, NODE_TRACE_OVERRIDE, 0, rec->s.entity, state,
			   rec->s.state);
	rec->published_state = state;
	rec->published_reason = reason;
	rec->flags |= RECORD_PUBLISHED;
	e.publish = (struct node_publish){
		.entity = rec->s.entity,
		.state = state,
		.reason = reason,
		.own = rec->flags & RECORD_MASTER,
		.path_known = rec->path_known,
		.path_reachable = rec->path_reachable,
		.record = &rec->s,
	};
	node_emit(node, &e);
}

void sss_advertise(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_MASTER);
	assert(rec->s.owner == node->o.id);
	table_digest_toggle(node, rec);
	rec->s.seq++;
	table_digest_toggle(node, rec);
	metrics_fill(node, rec);
	node_trace(node, NODE_TRACE_ANNOUNCE, 0, rec->s.entity, rec->s.state,
		   rec->s.seq);
	outbox_post(node, rec, CHANNEL_STATE);
	sss_publish(node, rec);
}

void sss_recompute(struct node *node, struct record *rec)
{
	uint8_t state = rec->measured.state, reason = rec->measured.reason;

	assert(rec->flags & RECORD_MASTER);
	assert(rec->s.owner == node->o.id);
	if (path_forbids(node, rec) && state == SVC_UP) {
		state = SVC_DOWN;
		reason = STATE_REASON_PATH_ANY;
	}
	if (state == rec->s.state && reason == rec->s.reason)
		return;
	rec->s.state = state;
	rec->s.reason = reason;
	sss_advertise(node, rec);
}

void sss_local(struct node *node, const struct service_state *local)
{
	struct record *rec = table_find(node, local->entity);
	struct service_state *s;
	bool changed;

	assert(local->state <= SVC_DOWN_GOING_OUT);
	assert(local->reason < STATE_REASON_COUNT);
	if (!rec || !(rec->flags & RECORD_MASTER))
		return;
	s = &rec->s;
	rec->measured = (struct measured){
		.state = local->state,
		.reason = local->reason,
		.load_flags = local->flags,
		.rr_weight = local->rr_weight,
		.response_us = local->response_us,
		.load = local->load,
	};
	changed = memcmp(s->mac, local->mac, sizeof(s->mac)) ||
		  s->vlan != local->vlan || s->mss != local->mss ||
		  s->ttl_s != local->ttl_s ||
		  (!ip_addr_equal(&s->addr, &local->addr) &&
		   !node_mutant(node, NODE_MUTATION_ADDRESS_QUIET));
	memcpy(s->mac, local->mac, sizeof(s->mac));
	s->vlan = local->vlan;
	s->mss = local->mss;
	s->ttl_s = local->ttl_s;
	s->addr = local->addr;
	if (changed) {
		/* One version for both kinds of change. */
		s->state = path_forbids(node, rec) && local->state == SVC_UP
				   ? SVC_DOWN
				   : local->state;
		s->reason = s->state == local->state ? local->reason
						     : STATE_REASON_PATH_ANY;
		sss_advertise(node, rec);
		return;
	}
	sss_recompute(node, rec);
	if (metrics_due(node, rec))
		sss_advertise(node, rec);
	else if (node_mutant(node, NODE_MUTATION_METRIC_DRIFT))
		metrics_fill(node, rec);
}

/* ---- receiving -------------------------------------------------------- */

static void send_record(struct node *node, uint32_t peer, struct record *rec)
{
	struct msg_state *m = &node->out.state;

	assert(rec->s.view);
	assert(peer < NODES_MAX);
	memset(&m->item[0], 0, sizeof(m->item[0]));
	m->n = 1;
	m->item[0].state = rec->s;
	node_send(node, 1u << peer, &node->out, MSG_STATE);
}

/* (c) failed: not newer than what is recorded. True: acknowledge. */
static bool receive_old(struct node *node, uint32_t peer, struct record *rec,
			const struct service_state *s)
{
	assert(!sss_newer(s->view, s->seq, rec->s.view, rec->s.seq));
	assert(peer < NODES_MAX);
	if (s->view == rec->s.view && s->owner == rec->s.owner) {
		node->duplicates++;
		return true; /* the same, or overtaken on the way */
	}
	if (s->view == rec->s.view) {
		node->conflicts++;
		return false;
	}
	node->stale++;
	node_trace(node, NODE_TRACE_STALE, peer, s->entity, s->view,
		   rec->s.view);
	/* A previous master that missed its successor learns of it here. */
	send_record(node, peer, rec);
	return false;
}

static void stepdown(struct node *node, struct record *rec,
		     const struct service_state *s)
{
	node_trace(node, NODE_TRACE_STEPDOWN, s->owner, s->entity, s->view, 0);
	if (node_mutant(node, NODE_MUTATION_NO_STEPDOWN))
		return;
	owner_release(node, rec);
	assert(!(rec->flags & RECORD_MASTER));
	assert(!rec->out[CHANNEL_STATE].pend);
}

static bool receive_one(struct node *node, uint32_t peer,
			const struct service_state *s)
{
	struct record *rec = table_find(node, s->entity);
	bool known = rec && rec->flags & RECORD_CONFIGURED;

	assert(s->owner < NODES_MAX);
	assert(s->state <= SVC_DOWN_GOING_OUT);
	if (!rec)
		rec = table_cache(node, s->entity);
	if (!rec)
		return true; /* no cache: digests will find it when needed */
	if (known && (rec->service_flags & NODE_SERVICE_INTERNAL ||
		      s->tag != table_tag(rec->key))) {
		/* Configured differently there: not the same service. It is
		 * delivered all the same. */
		node->conflicts++;
		return true;
	}
	if (!sss_newer(s->view, s->seq, rec->s.view, rec->s.seq) &&
	    !node_mutant(node, NODE_MUTATION_STALE_VIEW))
		return receive_old(node, peer, rec, s);
	if (rec->flags & RECORD_MASTER) {
		if (s->owner == node->o.id || s->view == rec->s.view) {
			node->conflicts++;
			return false;
		}
		stepdown(node, rec, s);
	}
	table_digest_toggle(node, rec);
	rec->s = *s;
	table_digest_toggle(node, rec);
	if (!known) {
		node_trace(node, NODE_TRACE_CACHE, peer, s->entity, s->state,
			   0);
		return true;
	}
	node_trace(node, NODE_TRACE_ACCEPT, s->owner, s->entity, s->state,
		   s->view << 16 | (s->seq & 0xffff));
	owner_unwant(node, rec);
	sss_publish(node, rec);
	/* Ours by the current view, though another was master in between. */
	owner_review(node, rec);
	return true;
}

void sss_receive(struct node *node, uint32_t peer, const struct msg_state *m)
{
	uint32_t i;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	for (i = 0; i < m->n && i < MSG_STATES_MAX; i++) {
		const struct msg_state_item *it = &m->item[i];

		if (!it->state.entity || !it->state.view || !it->state.seq ||
		    it->state.owner >= NODES_MAX ||
		    it->state.state > SVC_DOWN_GOING_OUT) {
			node->refused++;
			continue;
		}
		if (receive_one(node, peer, &it->state))
			outbox_ack(node, peer, it->handle, it->stamp);
	}
}

void sss_pulled(struct node *node, uint32_t peer, const struct msg_pull *pull)
{
	struct msg_state *m = &node->out.state;
	uint32_t i;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	m->n = 0;
	for (i = 0; i < pull->n && i < MSG_PULL_MAX; i++) {
		struct record *rec = table_find(node, pull->entity[i]);

		if (!rec || !(rec->flags & RECORD_CONFIGURED) || !rec->s.view ||
		    rec->service_flags & NODE_SERVICE_INTERNAL)
			continue;
		memset(&m->item[m->n], 0, sizeof(m->item[0]));
		m->item[m->n++].state = rec->s;
		if (m->n < MSG_STATES_MAX)
			continue;
		node_send(node, 1u << peer, &node->out, MSG_STATE);
		m->n = 0;
	}
	if (m->n)
		node_send(node, 1u << peer, &node->out, MSG_STATE);
}

/* ---- configuration ---------------------------------------------------- */

static void service_flags_set(struct node *node, struct record *rec,
			      uint32_t flags)
{
	uint32_t before = rec->service_flags;

	assert(rec->flags & RECORD_CONFIGURED);
	assert(!((flags ^ before) & NODE_SERVICE_INTERNAL));
	rec->service_flags = flags;
	path_review(node, rec);
	if (rec->flags & RECORD_MASTER && rec->s.owner == node->o.id) {
		sss_recompute(node, rec);
		if (metrics_due(node, rec))
			sss_advertise(node, rec);
	}
	sss_publish(node, rec);
}

void sss_service_set(struct node *node, const struct node_service *service)
{
	uint64_t key = service->key ? service->key : service->entity;
	struct record *rec = table_find(node, service->entity);
	bool cached = rec && !(rec->flags & RECORD_CONFIGURED);

	assert(service->entity);
	assert(node->configured <= node->o.services_max);
	if (rec && !cached &&
	    (rec->key != key ||
	     (rec->service_flags ^ service->flags) & NODE_SERVICE_INTERNAL)) {
		sss_service_del(node, service->entity);
		rec = NULL;
	}
	if (rec && !cached) {
		service_flags_set(node, rec, service->flags);
		return;
	}
	owner_set_changes(node, true);
	if (cached ? table_adopt(node, rec)
		   : table_add(node, service->entity, &rec))
		return; /* the configuration is limited to services_max */
	rec->key = key;
	rec->service_flags = service->flags;
	rec->config_on = 0;
	if (cached && rec->s.view && rec->s.tag != table_tag(key)) {
		uint64_t entity = rec->s.entity;

		memset(&rec->s, 0, sizeof(rec->s));
		rec->s.entity = entity;
	}
	rec->s.tag = table_tag(key);
	rec->flags |= RECORD_PATH_ASKS;
	table_digest_toggle(node, rec);
	node_trace(node, NODE_TRACE_ADDED, 0, rec->s.entity, 0, 0);
	if (rec->service_flags & NODE_SERVICE_INTERNAL) {
		owner_probe(node, rec, true);
		return;
	}
	if (rec->s.view)
		node_trace(node, NODE_TRACE_UNCACHE, 0, rec->s.entity,
			   rec->s.state, 0);
	else
		owner_want(node, rec);
	path_review(node, rec);
	sss_publish(node, rec);
	owner_review(node, rec);
}

void sss_service_del(struct node *node, uint64_t entity)
{
	struct record *rec = table_find(node, entity);

	assert(entity);
	if (!rec || !(rec->flags & RECORD_CONFIGURED))
		return;
	owner_set_changes(node, false);
	if (rec->flags & RECORD_MASTER)
		owner_release(node, rec);
	owner_unwant(node, rec);
	owner_probe(node, rec, false);
	path_stop(node, rec);
	outbox_cancel(node, rec, CHANNEL_STATE);
	outbox_cancel(node, rec, CHANNEL_PATH);
	table_digest_toggle(node, rec);
	table_remove(node, rec);
	node_trace(node, NODE_TRACE_DELETED, 0, entity, 0, 0);
	assert(!table_find(node, entity));
}
