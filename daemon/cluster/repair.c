/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Anti-entropy (see repair.h). Acknowledged delivery (outbox.c) already brings
 * every update to every node that its master reaches. Digests find the rest: a
 * node that a broken link keeps from one master but not from others, a cached
 * update that had to make room, a master that died before all had heard it,
 * and who has which services when configurations differ.
 *
 * Session: root digests → for each group that differs, its bucket digests → for
 * each bucket that differs, its list → pull of newer records. Each step is
 * asked again when the answer is missing; three silent tries end the session.
 */
#include "cluster/owner.h"
#include "cluster/repair.h"
#include "cluster/sss.h"
#include "cluster/table.h"

#define STEP_MS 100
#define TRIES 3
/* Hellos in a row with another record digest: not just updates in flight. */
#define MISMATCHES 10
#define PEER_APART_MS 1000
/* With different configurations digests never agree: less often. */
#define PEER_APART_DIFFERENT_MS 5000

static void send_ask(struct node *node)
{
	struct repair *r = &node->repair;

	assert(r->phase != REPAIR_IDLE);
	assert(r->peer < NODES_MAX);
	node->out.digest_ask = (struct msg_digest_ask){
		.kind = r->kind,
		.group = r->phase == REPAIR_ROOT ? DIGEST_ROOT : r->group,
		.mask = r->phase == REPAIR_LISTS ? r->buckets : 0,
	};
	r->deadline = node->now + STEP_MS;
	node_send(node, 1u << r->peer, &node->out, MSG_DIGEST_ASK);
}

static void session_end(struct node *node)
{
	assert(node->repair.phase != REPAIR_IDLE);
	assert(node->repair.peer < NODES_MAX);
	node->repair.phase = REPAIR_IDLE;
	node->peer[node->repair.peer].repaired_at = node->now;
	node->peer[node->repair.peer].mismatches = 0;
}

static void session_done(struct node *node)
{
	struct repair *r = &node->repair;

	assert(!r->groups && !r->buckets);
	assert(r->peer < NODES_MAX);
	if (r->kind == DIGEST_CONFIG && r->own_seq == node->config_seq) {
		node->peer[r->peer].known_digest = r->total;
		node->reassign = true;
		node_trace(node, NODE_TRACE_KNOWN, r->peer, 0, 0, 0);
	}
	session_end(node);
}

static void session_start(struct node *node, uint32_t peer, uint8_t kind)
{
	struct repair *r = &node->repair;

	assert(r->phase == REPAIR_IDLE);
	assert(node->connected & 1u << peer);
	memset(r, 0, offsetof(struct repair, next_start));
	r->peer = (uint8_t)peer;
	r->kind = kind;
	r->phase = REPAIR_ROOT;
	r->own_seq = node->config_seq;
	node_trace(node, NODE_TRACE_REPAIR, peer, 0, kind, 0);
	send_ask(node);
}

static bool config_unknown(const struct node *node, uint32_t peer)
{
	return !owner_knows(node, peer, node->peer[peer].hello.config_digest);
}

static bool records_differ(const struct node *node, uint32_t peer)
{
	const struct peer *p = &node->peer[peer];
	uint64_t apart = node->same & 1u << peer ? PEER_APART_MS
						 : PEER_APART_DIFFERENT_MS;

	assert(peer < NODES_MAX);
	assert(p->repaired_at <= node->now);
	return p->mismatches >= MISMATCHES &&
	       (!p->repaired_at || node->now - p->repaired_at >= apart);
}

static void session_choose(struct node *node)
{
	struct repair *r = &node->repair;
	uint32_t i, kind;

	assert(r->phase == REPAIR_IDLE);
	assert(r->next_peer < NODES_MAX);
	for (kind = 0; kind < DIGEST_KINDS; kind++)
		for (i = 0; i < NODES_MAX; i++) {
			uint32_t peer = (r->next_peer + i) % NODES_MAX;

			if (!(node->connected & 1u << peer) ||
			    !(kind == DIGEST_CONFIG
				      ? config_unknown(node, peer)
				      : records_differ(node, peer)))
				continue;
			r->next_peer = (peer + 1) % NODES_MAX;
			session_start(node, peer, (uint8_t)kind);
			return;
		}
}

void repair_tick(struct node *node)
{
	struct repair *r = &node->repair;

	assert(node->update);
	if (r->phase == REPAIR_IDLE) {
		if (node->now >= r->next_start)
			session_choose(node);
		return;
	}
	assert(r->peer < NODES_MAX);
	if (!(node->connected & 1u << r->peer) ||
	    (r->kind == DIGEST_CONFIG && r->own_seq != node->config_seq)) {
		session_end(node);
		return;
	}
	if (node->now < r->deadline)
		return;
	if (++r->tries >= TRIES)
		session_end(node);
	else
		send_ask(node);
}

/* ---- answers ---------------------------------------------------------- */

static void list_part(struct node *node, uint32_t peer, struct msg_list *m,
		      uint64_t last)
{
	assert(m->n <= MSG_LIST_MAX);
	assert(last >= m->first);
	m->last = last;
	node_send(node, 1u << peer, &node->out, MSG_LIST);
	m->first = last + 1;
	m->n = 0;
}

static void answer_list(struct node *node, uint32_t peer, uint8_t kind,
			uint32_t bucket)
{
	struct msg_list *m = &node->out.list;
	uint32_t slot;

	assert(bucket < DIGEST_BUCKETS);
	assert(kind < DIGEST_KINDS);
	memset(m, 0, offsetof(struct msg_list, item));
	m->kind = kind;
	m->bucket = (uint16_t)bucket;
	m->config_seq = node->config_seq;
	for (slot = node->bucket[bucket]; slot != NIL;
	     slot = node->records[slot].chain) {
		const struct record *rec = &node->records[slot];

		if (!(rec->flags & RECORD_CONFIGURED) ||
		    rec->service_flags & NODE_SERVICE_INTERNAL)
			continue;
		if (m->n == MSG_LIST_MAX)
			list_part(node, peer, m, rec->s.entity - 1);
		m->item[m->n++] = (struct msg_list_item){
			.entity = rec->s.entity,
			.view = rec->s.view,
			.seq = rec->s.view ? rec->s.seq : 0,
			.tag = table_tag(rec->key),
		};
	}
	list_part(node, peer, m, UINT64_MAX);
}

void repair_asked(struct node *node, uint32_t peer,
		  const struct msg_digest_ask *m)
{
	uint64_t left = m->mask;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (m->kind >= DIGEST_KINDS ||
	    (m->group >= DIGEST_GROUPS && (m->group != DIGEST_ROOT || left))) {
		node->refused++;
		return;
	}
	for (; left; left &= left - 1)
		answer_list(node, peer, m->kind,
			    m->group * MSG_DIGESTS +
				    (uint32_t)__builtin_ctzll(left));
	if (m->mask)
		return;
	node->out.digest.kind = m->kind;
	node->out.digest.group = m->group;
	node->out.digest.config_seq = node->config_seq;
	node->out.digest.total = node->total[m->kind];
	table_digests(node, m->kind, m->group, node->out.digest.digest);
	node_send(node, 1u << peer, &node->out, MSG_DIGEST);
}

/* ---- the asking side -------------------------------------------------- */

/* All services of these buckets are configured there, too. */
static void bucket_same(struct node *node, uint32_t bucket)
{
	uint32_t slot = node->bucket[bucket];
	uint32_t bit = 1u << node->repair.peer;

	assert(bucket < DIGEST_BUCKETS);
	assert(bit != node_self(node));
	if (node->repair.kind != DIGEST_CONFIG)
		return;
	for (; slot != NIL; slot = node->records[slot].chain)
		node->records[slot].config_on |= bit;
}

static void next_group(struct node *node)
{
	struct repair *r = &node->repair;

	assert(!r->buckets);
	assert(r->phase != REPAIR_IDLE);
	r->tries = 0;
	if (!r->groups) {
		session_done(node);
		return;
	}
	r->group = (uint8_t)__builtin_ctzll(r->groups);
	r->groups &= r->groups - 1;
	r->phase = REPAIR_GROUP;
	send_ask(node);
}

static void root_answer(struct node *node, const struct msg_digest *m)
{
	struct repair *r = &node->repair;
	uint64_t own[MSG_DIGESTS];
	uint32_t i, j;

	assert(r->phase == REPAIR_ROOT);
	assert(m->group == DIGEST_ROOT);
	table_digests(node, r->kind, DIGEST_ROOT, own);
	r->total = m->total;
	r->config_seq = m->config_seq;
	if (r->kind == DIGEST_CONFIG)
		node->peer[r->peer].known_digest = 0; /* bits change now */
	for (i = 0; i < DIGEST_GROUPS; i++) {
		if (own[i] != m->digest[i]) {
			r->groups |= 1ull << i;
			continue;
		}
		for (j = 0; j < MSG_DIGESTS; j++)
			bucket_same(node, i * MSG_DIGESTS + j);
	}
	next_group(node);
}

static void group_answer(struct node *node, const struct msg_digest *m)
{
	struct repair *r = &node->repair;
	uint64_t own[MSG_DIGESTS];
	uint32_t i;

	assert(r->phase == REPAIR_GROUP);
	assert(r->group < DIGEST_GROUPS);
	table_digests(node, r->kind, r->group, own);
	for (i = 0; i < MSG_DIGESTS; i++) {
		r->next[i] = 0;
		if (own[i] != m->digest[i])
			r->buckets |= 1ull << i;
		else
			bucket_same(node, r->group * MSG_DIGESTS + i);
	}
	if (!r->buckets) {
		next_group(node);
		return;
	}
	r->phase = REPAIR_LISTS;
	r->tries = 0;
	send_ask(node);
}

void repair_digest(struct node *node, uint32_t peer, const struct msg_digest *m)
{
	struct repair *r = &node->repair;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (r->phase == REPAIR_IDLE || peer != r->peer || m->kind != r->kind ||
	    (r->kind == DIGEST_CONFIG && r->own_seq != node->config_seq))
		return;
	if (r->phase == REPAIR_ROOT && m->group == DIGEST_ROOT)
		root_answer(node, m);
	else if (r->phase == REPAIR_GROUP && m->group == r->group) {
		if (m->config_seq != r->config_seq)
			session_end(node); /* its configuration changed */
		else
			group_answer(node, m);
	}
}

static const struct msg_list_item *list_find(const struct msg_list *m,
					     uint64_t entity)
{
	uint32_t i;

	assert(m->n <= MSG_LIST_MAX);
	for (i = 0; i < m->n; i++)
		if (m->item[i].entity == entity)
			return &m->item[i];
	return NULL;
}

/* Takes the part over into config_on; pulls what is newer there. */
static void list_use(struct node *node, const struct msg_list *m)
{
	uint32_t bit = 1u << node->repair.peer, slot = node->bucket[m->bucket];
	struct msg_pull *pull = &node->out.pull;

	assert(m->bucket < DIGEST_BUCKETS);
	assert(m->n <= MSG_LIST_MAX);
	pull->n = 0;
	for (; slot != NIL; slot = node->records[slot].chain) {
		struct record *rec = &node->records[slot];
		const struct msg_list_item *it;
		bool has;

		if (rec->s.entity < m->first || rec->s.entity > m->last ||
		    !(rec->flags & RECORD_CONFIGURED))
			continue;
		it = list_find(m, rec->s.entity);
		has = it && it->tag == table_tag(rec->key);
		if (m->kind == DIGEST_CONFIG)
			rec->config_on = has ? rec->config_on | bit
					     : rec->config_on & ~bit;
		if (has && it->view && pull->n < MSG_PULL_MAX &&
		    sss_newer(it->view, it->seq, rec->s.view, rec->s.seq))
			pull->entity[pull->n++] = rec->s.entity;
	}
	if (pull->n)
		node_send(node, bit, &node->out, MSG_PULL);
}

void repair_list(struct node *node, uint32_t peer, const struct msg_list *m)
{
	struct repair *r = &node->repair;
	uint32_t i = m->bucket % MSG_DIGESTS;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (r->phase != REPAIR_LISTS || peer != r->peer || m->kind != r->kind ||
	    m->bucket >= DIGEST_BUCKETS ||
	    m->bucket / MSG_DIGESTS != r->group || m->n > MSG_LIST_MAX ||
	    (r->kind == DIGEST_CONFIG && r->own_seq != node->config_seq))
		return;
	if (m->config_seq != r->config_seq) {
		session_end(node);
		return;
	}
	/* Parts are used in their order; a lost one is asked for again. */
	if (!(r->buckets & 1ull << i) || m->first != r->next[i])
		return;
	list_use(node, m);
	r->tries = 0;
	if (m->last != UINT64_MAX) {
		r->next[i] = m->last + 1;
		return;
	}
	r->buckets &= ~(1ull << i);
	if (!r->buckets)
		next_group(node);
}
