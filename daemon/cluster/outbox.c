/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See outbox.h. Invariants:
 *   - bit p of item.pend ⇔ p has not acknowledged item.stamp in its present
 *     life (as far as we heard of it);
 *   - peer[p].pend[c] counts the items of channel c with that bit;
 *   - an item is in a list if pend & connected is not empty; items for nodes
 *     that are away are parked, in no list, and cost nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "cluster/metrics.h"
#include "cluster/outbox.h"
#include "cluster/table.h"

/* Delay before the next try, by list: six tries within 300 ms so that 10 % loss
 * still leaves an update to 31 peers under 500 ms (99.9 %). List 0: at once. */
static const uint16_t delay_ms[OUTBOX_LISTS] = {0,  30,	 30,  60,
						60, 120, 240, 500};

/* Bytes on the wire of one item, for pacing; an upper bound. */
static const uint16_t item_bytes[CHANNELS] = {80, 22};

int outbox_init(struct node *node)
{
	uint32_t c, i;

	for (i = 0; i < OUTBOX_LISTS; i++)
		node->list_head[i] = node->list_tail[i] = NIL;
	for (c = 0; c < CHANNELS; c++) {
		node->batch[c] = calloc(NODES_MAX, sizeof(struct message));
		if (!node->batch[c])
			return -ENOMEM;
	}
	node->acks = calloc(NODES_MAX, sizeof(struct message));
	node->path_seen = calloc((size_t)node->slots * NODES_MAX,
				 sizeof(*node->path_seen));
	return node->acks && node->path_seen ? 0 : -ENOMEM;
}

void outbox_deinit(struct node *node)
{
	free(node->path_seen);
	free(node->acks);
	free(node->batch[1]);
	free(node->batch[0]);
}

/* Items are named slot × CHANNELS + channel in the lists. */
static struct outbox_item *item_at(struct node *node, uint32_t id)
{
	assert(id / CHANNELS < node->slots);
	return &node->records[id / CHANNELS].out[id % CHANNELS];
}

static void list_remove(struct node *node, uint32_t id)
{
	struct outbox_item *it = item_at(node, id);

	if (it->list == OUTBOX_LISTS)
		return;
	assert(node->list_head[it->list] != NIL);
	if (it->prev != NIL)
		item_at(node, it->prev)->next = it->next;
	else
		node->list_head[it->list] = it->next;
	if (it->next != NIL)
		item_at(node, it->next)->prev = it->prev;
	else
		node->list_tail[it->list] = it->prev;
	it->list = OUTBOX_LISTS;
}

static void list_append(struct node *node, uint32_t id, uint8_t list)
{
	struct outbox_item *it = item_at(node, id);

	assert(list < OUTBOX_LISTS);
	assert(it->list == OUTBOX_LISTS);
	it->list = list;
	it->due = node->now + delay_ms[list];
	it->next = NIL;
	it->prev = node->list_tail[list];
	if (it->prev != NIL)
		item_at(node, it->prev)->next = id;
	else
		node->list_head[list] = id;
	node->list_tail[list] = id;
}

static void pend_set(struct node *node, struct outbox_item *it,
		     enum channel channel, uint32_t pend)
{
	uint32_t diff = it->pend ^ pend;

	assert(!(pend & node_self(node)));
	for (; diff; diff &= diff - 1) {
		uint32_t p = (uint32_t)__builtin_ctz(diff);

		if (pend & 1u << p)
			node->peer[p].pend[channel]++;
		else
			node->peer[p].pend[channel]--;
		assert(node->peer[p].pend[channel] <= node->slots);
	}
	it->pend = pend;
}

static uint32_t item_id(const struct node *node, const struct record *rec,
			enum channel channel)
{
	return table_slot(node, rec) * CHANNELS + channel;
}

/* Into the first list, if anyone can be told. */
static void item_queue(struct node *node, uint32_t id)
{
	list_remove(node, id);
	if (item_at(node, id)->pend & node->connected)
		list_append(node, id, 0);
}

void outbox_post(struct node *node, struct record *rec, enum channel channel)
{
	struct outbox_item *it = &rec->out[channel];

	assert(channel < CHANNELS);
	assert(channel != CHANNEL_STATE || rec->flags & RECORD_MASTER);
	if (!++node->stamp)
		node->stamp = 1;
	it->stamp = node->stamp;
	pend_set(node, it, channel, node->o.configured & ~node_self(node));
	item_queue(node, item_id(node, rec, channel));
}

void outbox_cancel(struct node *node, struct record *rec, enum channel channel)
{
	assert(channel < CHANNELS);
	pend_set(node, &rec->out[channel], channel, 0);
	list_remove(node, item_id(node, rec, channel));
	rec->out[channel].stamp = 0;
	assert(rec->out[channel].list == OUTBOX_LISTS);
}

void outbox_repeat(struct node *node, struct record *rec, enum channel channel,
		   uint32_t peer)
{
	struct outbox_item *it = &rec->out[channel];

	assert(channel < CHANNELS);
	assert(peer != node->o.id);
	if (!it->stamp || !(node->o.configured & 1u << peer))
		return;
	pend_set(node, it, channel, it->pend | 1u << peer);
	if (it->list == OUTBOX_LISTS)
		item_queue(node, item_id(node, rec, channel));
}

void outbox_restart(struct node *node, uint32_t peer)
{
	uint32_t i, c;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (!(node->o.configured & 1u << peer))
		return;
	for (i = 0; i < node->slots; i++) {
		struct record *rec = &node->records[i];

		for (c = 0; c < CHANNELS; c++)
			outbox_repeat(node, rec, c, peer);
	}
	node->peer[peer].was_synced = false;
}

void outbox_connected(struct node *node, uint32_t gained)
{
	uint32_t id;

	assert(!(gained & ~node->connected));
	if (!gained)
		return;
	for (id = 0; id < node->slots * CHANNELS; id++) {
		struct outbox_item *it = item_at(node, id);

		if (it->pend & gained && it->list != 0)
			item_queue(node, id);
	}
}

/* All nodes that are connected have acknowledged. */
static void item_done(struct node *node, struct record *rec, uint32_t id)
{
	assert(!(item_at(node, id)->pend & node->connected));
	list_remove(node, id);
	if (id % CHANNELS != CHANNEL_STATE || !(rec->flags & RECORD_MASTER))
		return;
	node_trace(node, NODE_TRACE_ACKED, 0, rec->s.entity, rec->s.seq, 0);
	if (!(rec->flags & RECORD_ACKED)) {
		rec->flags |= RECORD_ACKED;
		metrics_review(node, rec);
	}
}

void outbox_forget(struct node *node, uint32_t peers)
{
	uint32_t id;

	assert(!(peers & node_self(node)));
	for (id = 0; id < node->slots * CHANNELS; id++) {
		struct outbox_item *it = item_at(node, id);

		if (!(it->pend & peers))
			continue;
		pend_set(node, it, id % CHANNELS, it->pend & ~peers);
		if (!it->pend)
			list_remove(node, id);
	}
}

static void batch_send(struct node *node, uint32_t peer, enum channel channel)
{
	struct message *m = &node->batch[channel][peer];
	uint32_t *n = channel == CHANNEL_STATE ? &m->state.n : &m->path.n;

	if (!*n)
		return;
	assert(node->peer[peer].ever);
	node_send(node, 1u << peer, m,
		  channel == CHANNEL_STATE ? MSG_STATE : MSG_PATH);
	*n = 0;
}

static void batch_state(struct node *node, uint32_t peer, struct record *rec)
{
	struct msg_state *m = &node->batch[CHANNEL_STATE][peer].state;
	struct msg_state_item *it = &m->item[m->n++];

	assert(m->n <= MSG_STATES_MAX);
	assert(rec->flags & RECORD_MASTER);
	it->handle = table_slot(node, rec);
	it->stamp = rec->out[CHANNEL_STATE].stamp;
	it->state = rec->s;
	if (m->n == MSG_STATES_MAX)
		batch_send(node, peer, CHANNEL_STATE);
}

static void batch_path(struct node *node, uint32_t peer, struct record *rec)
{
	struct msg_path *m = &node->batch[CHANNEL_PATH][peer].path;
	struct msg_path_item *it = &m->item[m->n++];

	assert(m->n <= MSG_PATHS_MAX);
	assert(rec->out[CHANNEL_PATH].stamp);
	it->handle = table_slot(node, rec);
	it->stamp = rec->out[CHANNEL_PATH].stamp;
	it->entity = rec->s.entity;
	it->known = !!(rec->path_known & node_self(node));
	it->asks = !!(rec->flags & RECORD_PATH_ASKS);
	it->reachable = !!(rec->path_reachable & node_self(node));
	if (m->n == MSG_PATHS_MAX)
		batch_send(node, peer, CHANNEL_PATH);
}

/* To all that wait for it and have budget left; returns whom it went to. */
static uint32_t item_send(struct node *node, uint32_t id)
{
	struct record *rec = &node->records[id / CHANNELS];
	enum channel channel = id % CHANNELS;
	uint32_t todo = rec->out[channel].pend & node->connected, sent = 0;

	assert(rec->flags & RECORD_USED);
	for (; todo; todo &= todo - 1) {
		uint32_t p = (uint32_t)__builtin_ctz(todo);
		struct peer *peer = &node->peer[p];

		if (peer->budget < item_bytes[channel])
			continue;
		peer->budget -= item_bytes[channel];
		if (channel == CHANNEL_STATE)
			batch_state(node, p, rec);
		else
			batch_path(node, p, rec);
		sent |= 1u << p;
	}
	return sent;
}

static void list_flush(struct node *node, uint8_t list)
{
	uint32_t idle = 0, id = node->list_head[list], next;
	/* What is put back into this list must not be met again. */
	uint32_t last = node->list_tail[list];
	bool end = id == NIL;

	for (; !end; id = next) {
		struct outbox_item *it = item_at(node, id);
		uint32_t sent;

		assert(it->list == list);
		if (it->due > node->now)
			break;
		end = id == last;
		next = it->next;
		if (!(it->pend & node->connected)) {
			/* Those that still want it are away: parked. */
			item_done(node, &node->records[id / CHANNELS], id);
			continue;
		}
		sent = item_send(node, id);
		if (!sent && ++idle == 256)
			break; /* budgets are used up: next tick */
		if (!sent)
			continue;
		list_remove(node, id);
		if (node_mutant(node, NODE_MUTATION_NO_RETRANSMIT))
			pend_set(node, it, id % CHANNELS, it->pend & ~sent);
		else
			list_append(node, id,
				    list + 1 < OUTBOX_LISTS ? list + 1 : list);
	}
}

void outbox_flush(struct node *node)
{
	uint32_t p, list, todo = node->connected;

	for (p = 0; p < NODES_MAX; p++)
		node->peer[p].budget = node->o.peer_bytes_tick;
	for (list = 0; list < OUTBOX_LISTS; list++)
		list_flush(node, (uint8_t)list);
	for (; todo; todo &= todo - 1) {
		p = (uint32_t)__builtin_ctz(todo);
		batch_send(node, p, CHANNEL_STATE);
		batch_send(node, p, CHANNEL_PATH);
	}
	for (p = 0; p < NODES_MAX; p++) {
		struct msg_ack *ack = &node->acks[p].ack;

		assert(ack->n <= MSG_ACKS_MAX);
		if (ack->n)
			node_send(node, 1u << p, &node->acks[p], MSG_ACK);
		ack->n = 0;
	}
}

void outbox_ack(struct node *node, uint32_t peer, uint32_t handle,
		uint32_t stamp)
{
	struct msg_ack *ack = &node->acks[peer].ack;

	assert(peer < NODES_MAX);
	assert(ack->n < MSG_ACKS_MAX);
	if (!stamp)
		return;
	ack->incarnation = node->peer[peer].incarnation;
	ack->item[ack->n].handle = handle;
	ack->item[ack->n++].stamp = stamp;
	if (ack->n < MSG_ACKS_MAX)
		return;
	node_send(node, 1u << peer, &node->acks[peer], MSG_ACK);
	ack->n = 0;
}

void outbox_acked(struct node *node, uint32_t peer, const struct msg_ack *ack)
{
	uint32_t i, c;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (ack->incarnation != node->o.incarnation || ack->n > MSG_ACKS_MAX)
		return;
	for (i = 0; i < ack->n; i++) {
		uint32_t slot = ack->item[i].handle;
		uint32_t stamp = ack->item[i].stamp;
		struct record *rec;

		if (slot >= node->slots || !stamp)
			continue;
		rec = &node->records[slot];
		for (c = 0; c < CHANNELS; c++) {
			struct outbox_item *it = &rec->out[c];

			/* Only the newest version counts as delivered. */
			if (!(it->pend & 1u << peer))
				continue;
			if (it->stamp != stamp &&
			    !node_mutant(node, NODE_MUTATION_ACK_ANY))
				continue;
			pend_set(node, it, c, it->pend & ~(1u << peer));
			/* All have heard that this node asks. */
			if (c == CHANNEL_PATH && !it->pend)
				rec->flags &= ~(uint32_t)RECORD_PATH_ASKS;
			if (!(it->pend & node->connected))
				item_done(node, rec, slot * CHANNELS + c);
		}
	}
}

bool outbox_synced(const struct node *node, uint32_t peer)
{
	const struct peer *p = &node->peer[peer];

	assert(peer < NODES_MAX);
	assert(p->pend[0] <= node->slots && p->pend[1] <= node->slots);
	return p->incarnation && !p->pend[CHANNEL_STATE] &&
	       !p->pend[CHANNEL_PATH];
}
