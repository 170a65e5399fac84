/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hellos (see hello.h). Any authenticated message counts as a sign of life.
 *
 * Lateness: messages wait in the socket while this process does not run, so
 * silence measured across such a gap says nothing about the others. After a gap
 * all silences are as long as before it, and for a whole detection time nobody
 * is accused and this node's word does not count (HELLO_LATE).
 */
#include "cluster/hello.h"
#include "cluster/member.h"
#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/path.h"
#include "cluster/view.h"

#define ACCUSE_HELLOS 3

bool hello_quiet(const struct node *node)
{
	assert(node->now >= node->started);
	assert(node->o.hello_ms);
	return node->now < node->quiet_until;
}

void hello_time(struct node *node, uint64_t now)
{
	uint64_t gap;
	uint32_t i;

	assert(node->o.hello_ms >= NODE_TICK_MS);
	assert(node->now >= node->started);
	if (now <= node->now)
		return;
	gap = now - node->now;
	node->now = now;
	if (gap <= node->o.hello_ms / 2)
		return;
	for (i = 0; i < NODES_MAX; i++) {
		node->peer[i].heard_at += gap;
		if (node->peer[i].hello_at)
			node->peer[i].hello_at += gap;
		if (node->peer[i].deaf_since)
			node->peer[i].deaf_since = now;
	}
	node->started += gap; /* never heard: the same clock */
	node->quiet_until = now + node_dead_ms(node);
	node->want_since = now;
	node_trace(node, NODE_TRACE_LATE, 0, 0, gap, 0);
}

bool hello_fresh(const struct node *node, uint32_t peer)
{
	const struct peer *p = &node->peer[peer];

	assert(peer < NODES_MAX);
	assert(p->hello_at <= node->now);
	return p->hello_at && node->now - p->hello_at < node_dead_ms(node);
}

uint32_t hello_lives(const struct node *node, uint32_t nodes)
{
	uint32_t hash = 0;

	assert(node->o.incarnation);
	for (; nodes; nodes &= nodes - 1) {
		uint32_t p = (uint32_t)__builtin_ctz(nodes);
		uint64_t life = p == node->o.id ? node->o.incarnation
						: node->peer[p].incarnation;

		assert(p < NODES_MAX);
		hash ^= (uint32_t)rendezvous_mix(life << 8 | p);
	}
	return hash;
}

static uint64_t silence(const struct node *node, uint32_t peer)
{
	const struct peer *p = &node->peer[peer];
	uint64_t since = p->ever ? p->heard_at : node->started;

	assert(peer < NODES_MAX);
	assert(since <= node->now);
	return node->now - since;
}

bool hello_heard(struct node *node, uint32_t peer, uint32_t incarnation)
{
	struct peer *p = &node->peer[peer];
	bool again = p->incarnation;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (!incarnation || incarnation < p->incarnation)
		return false;
	p->heard_at = node->now;
	p->ever = true;
	if (incarnation == p->incarnation)
		return true;
	p->incarnation = incarnation;
	p->hello_at = 0;
	p->deaf_since = 0;
	p->was_synced = false;
	p->mismatches = 0;
	node->connected &= ~(1u << peer);
	node_trace(node, NODE_TRACE_HEARD, peer, 0, incarnation, 0);
	if (!again)
		return true; /* all that is ours is pending for it already */
	path_restart(node, peer);
	outbox_restart(node, peer);
	return true;
}

/* Whoever is behind is told the current view, by one of every eight members. */
static void tell_view(struct node *node, uint32_t peer)
{
	struct peer *p = &node->peer[peer];
	uint32_t share =
		1 + (uint32_t)__builtin_popcount(node->d.view.members) / 8;

	assert(p->hello.view < node->d.view.number);
	assert(share <= 5);
	if ((p->hello.seq + node->o.id) % share ||
	    (p->commit_at && node->now - p->commit_at < node->o.hello_ms / 2))
		return;
	p->commit_at = node->now;
	view_tell(node, 1u << peer);
}

void hello_receive(struct node *node, uint32_t peer, const struct msg_hello *m)
{
	struct peer *p = &node->peer[peer];

	assert(peer < NODES_MAX);
	assert(p->incarnation);
	if (m->admin >= ADMIN_COUNT) {
		node->refused++;
		return;
	}
	/* Overtaken by a later one. */
	if (p->hello_at && (int32_t)(m->seq - p->hello.seq) <= 0)
		return;
	p->hello = *m;
	p->hello_at = node->now;
	owner_compare(node, peer);
	if (m->record_digest == node->total[DIGEST_RECORDS])
		p->mismatches = 0;
	else
		p->mismatches++;
	if (m->view < node->d.view.number)
		tell_view(node, peer);
}

static void hello_send(struct node *node)
{
	struct msg_hello *m = &node->out.hello;
	uint32_t i;

	assert(node->hello_at <= node->now + node->o.hello_ms);
	memset(m, 0, sizeof(*m));
	m->seq = ++node->hello_seq;
	m->admin = node->o.admin;
	m->flags = (hello_quiet(node) ? HELLO_LATE : 0) |
		   (node->o.quorum_none ? HELLO_QUORUM_NONE : 0) |
		   (member_ready(node) ? HELLO_READY : 0);
	m->view = node->d.view.number;
	m->configured = node->o.configured;
	m->heard = node_self(node);
	for (i = 0; i < NODES_MAX; i++) {
		if (!(node->o.configured & ~node_self(node) & 1u << i))
			continue;
		if (node->peer[i].ever && silence(node, i) < node_dead_ms(node))
			m->heard |= 1u << i;
		if (node->connected & 1u << i && outbox_synced(node, i))
			m->synced |= 1u << i;
	}
	m->accused = hello_quiet(node) ? 0 : node->accused;
	m->synced_lives = hello_lives(node, m->synced);
	m->config_seq = node->config_seq;
	m->config_digest = node->total[DIGEST_CONFIG];
	m->record_digest = node->total[DIGEST_RECORDS];
	assert(!(m->heard & m->accused));
	node_send(node, node->o.configured & ~node_self(node), &node->out,
		  MSG_HELLO);
}

/* True: somebody new is silent, and the others should hear of it at once. */
static bool accuse(struct node *node)
{
	uint32_t i, accused = 0;
	bool grew = false;

	assert(!hello_quiet(node));
	for (i = 0; i < NODES_MAX; i++) {
		struct peer *p = &node->peer[i];
		bool silent = node->o.configured & ~node_self(node) & 1u << i &&
			      silence(node, i) >= node_dead_ms(node);

		if (silent)
			accused |= 1u << i;
		if (silent && !p->was_accused) {
			grew = true;
			node_trace(node, NODE_TRACE_ACCUSE, i, 0,
				   silence(node, i), 0);
		}
		p->was_accused = silent;
	}
	node->accused = accused;
	assert(!(accused & node_self(node)));
	return grew;
}

static void connect(struct node *node)
{
	uint32_t i, now = 0, before = node->connected;

	for (i = 0; i < NODES_MAX; i++) {
		struct peer *p = &node->peer[i];
		bool synced;

		if (!(node->o.configured & ~node_self(node) & 1u << i) ||
		    !hello_fresh(node, i) ||
		    !(p->hello.heard & node_self(node)))
			continue;
		now |= 1u << i;
		synced = outbox_synced(node, i);
		if (synced && !p->was_synced)
			node_trace(node, NODE_TRACE_SYNCED, i, 0, 0, 0);
		p->was_synced = synced;
	}
	node->connected = now;
	if (now)
		node->met = true;
	assert(!(now & node_self(node)));
	if (now & ~before)
		owner_met(node);
	outbox_connected(node, now & ~before);
}

void hello_tick(struct node *node)
{
	bool grew = false;

	assert(node->update);
	assert(node->o.configured & node_self(node));
	if (hello_quiet(node))
		node->accused = 0;
	else
		grew = accuse(node);
	connect(node);
	/* An accusation is worth saying again: loss must not delay it by a
	 * whole interval. */
	if (grew)
		node->hello_burst = ACCUSE_HELLOS;
	if (!node->hello_burst && node->now < node->hello_at)
		return;
	if (node->hello_burst)
		node->hello_burst--;
	hello_send(node);
	node->hello_at = node->now + node->o.hello_ms;
}
