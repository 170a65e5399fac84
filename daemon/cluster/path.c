/* SPDX-License-Identifier: GPL-2.0-only */
/* Path monitoring (see path.h). Stamps of one life of a node grow, so the
 * newest word of each node about each service wins, however late it comes. */
#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/path.h"
#include "cluster/sss.h"
#include "cluster/table.h"

bool path_overrides(const struct node *node, const struct record *rec)
{
	uint32_t self = node_self(node);

	assert(rec->flags & RECORD_USED);
	assert(!(rec->path_reachable & ~rec->path_known));
	return rec->service_flags & NODE_SERVICE_PATH &&
	       !(rec->service_flags & NODE_SERVICE_PATH_ANY) &&
	       rec->s.state == SVC_UP && rec->path_known & self &&
	       !(rec->path_reachable & self);
}

bool path_forbids(const struct node *node, const struct record *rec)
{
	assert(rec->flags & RECORD_USED);
	assert(!(rec->path_reachable & ~rec->path_known));
	if (!(rec->service_flags & NODE_SERVICE_PATH) ||
	    !(rec->service_flags & NODE_SERVICE_PATH_ANY) ||
	    rec->path_known == rec->path_reachable)
		return false;
	return rec->path_known & ~rec->path_reachable & owner_having(node, rec);
}

/* The bitmap changed. */
static void path_changed(struct node *node, struct record *rec)
{
	uint32_t seq = rec->s.seq;

	assert(rec->flags & RECORD_CONFIGURED);
	assert(!(rec->path_reachable & ~rec->path_known));
	if (rec->flags & RECORD_MASTER && rec->s.owner == node->o.id)
		sss_recompute(node, rec);
	/* Else it was published with the new version. */
	if (rec->s.seq == seq && rec->service_flags & NODE_SERVICE_PATH)
		sss_publish(node, rec);
}

static void path_probe(struct node *node, struct record *rec, bool on)
{
	struct node_effect e = {.type = NODE_EFFECT_PATH_PROBE};

	assert(rec->flags & RECORD_CONFIGURED);
	if (on == !!(rec->flags & RECORD_PATH_PROBING))
		return;
	rec->flags ^= RECORD_PATH_PROBING;
	e.probe.entity = rec->s.entity;
	e.probe.on = on;
	assert(on == !!(rec->flags & RECORD_PATH_PROBING));
	node_emit(node, &e);
}

void path_review(struct node *node, struct record *rec)
{
	uint32_t self = node_self(node);
	bool on = node->operational && rec->service_flags & NODE_SERVICE_PATH &&
		  !(rec->service_flags & NODE_SERVICE_INTERNAL);

	assert(rec->flags & RECORD_CONFIGURED);
	assert(!(rec->path_reachable & ~rec->path_known));
	path_probe(node, rec, on);
	if (on || !(rec->path_known & self))
		return;
	rec->path_known &= ~self;
	rec->path_reachable &= ~self;
	outbox_post(node, rec, CHANNEL_PATH);
	path_changed(node, rec);
}

void path_stop(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_CONFIGURED);
	path_probe(node, rec, false);
	assert(!(rec->flags & RECORD_PATH_PROBING));
}

void path_local(struct node *node, uint64_t entity, bool reachable)
{
	struct record *rec = table_find(node, entity);
	uint32_t self = node_self(node);

	assert(entity);
	if (!rec || !(rec->flags & RECORD_PATH_PROBING))
		return;
	assert(rec->flags & RECORD_CONFIGURED);
	if (rec->path_known & self &&
	    reachable == !!(rec->path_reachable & self))
		return;
	rec->path_known |= self;
	if (reachable)
		rec->path_reachable |= self;
	else
		rec->path_reachable &= ~self;
	node_trace(node, NODE_TRACE_PATH, node->o.id, entity, reachable, 0);
	outbox_post(node, rec, CHANNEL_PATH);
	path_changed(node, rec);
}

static void receive_one(struct node *node, uint32_t peer,
			const struct msg_path_item *it)
{
	struct record *rec = table_find(node, it->entity);
	uint32_t bit = 1u << peer, *seen, known, reachable;

	assert(peer < NODES_MAX);
	assert(bit != node_self(node));
	if (!rec)
		rec = table_cache(node, it->entity);
	if (!rec)
		return;
	seen = &node->path_seen[(size_t)table_slot(node, rec) * NODES_MAX +
				peer];
	if (*seen && (int32_t)(it->stamp - *seen) <= 0)
		return;
	*seen = it->stamp;
	/* It was told before it had the service, or forgot with it. */
	if (it->asks)
		outbox_repeat(node, rec, CHANNEL_PATH, peer);
	known = it->known ? rec->path_known | bit : rec->path_known & ~bit;
	reachable = it->known && it->reachable ? rec->path_reachable | bit
					       : rec->path_reachable & ~bit;
	if (known == rec->path_known && reachable == rec->path_reachable)
		return;
	rec->path_known = known;
	rec->path_reachable = reachable;
	node_trace(node, NODE_TRACE_PATH, peer, it->entity,
		   it->known ? it->reachable : 2, 0);
	if (rec->flags & RECORD_CONFIGURED)
		path_changed(node, rec);
}

void path_receive(struct node *node, uint32_t peer, const struct msg_path *m)
{
	uint32_t i;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	for (i = 0; i < m->n && i < MSG_PATHS_MAX; i++) {
		if (!m->item[i].entity || !m->item[i].stamp) {
			node->refused++;
			continue;
		}
		receive_one(node, peer, &m->item[i]);
		outbox_ack(node, peer, m->item[i].handle, m->item[i].stamp);
	}
}

void path_restart(struct node *node, uint32_t peer)
{
	uint32_t i, bit = 1u << peer;

	assert(peer < NODES_MAX);
	assert(bit != node_self(node));
	for (i = 0; i < node->slots; i++) {
		struct record *rec = &node->records[i];

		node->path_seen[(size_t)i * NODES_MAX + peer] = 0;
		if (!(rec->flags & RECORD_USED) || !(rec->path_known & bit))
			continue;
		rec->path_known &= ~bit;
		rec->path_reachable &= ~bit;
		if (rec->flags & RECORD_CONFIGURED)
			path_changed(node, rec);
	}
}
