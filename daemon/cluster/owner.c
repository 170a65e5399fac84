/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ownership (see owner.h), and what is known about who has which service.
 *
 * Nearly always all nodes have the same services: then digests are equal and
 * nothing is kept per service (node->same). For peers that differ, record
 * bits config_on hold who has it, valid for the set with digest known_digest;
 * repair.c fetches them bucket by bucket.
 */
#include <errno.h>
#include <stdlib.h>

#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/path.h"
#include "cluster/sss.h"
#include "cluster/table.h"

/* Three questions to the previous owner before a service counts as new. */
#define CLAIM_PULL_MS 40
#define CLAIM_WAIT_MS 120
/* A wanted record is asked for this often, … */
#define WANT_MS 100
/* … but of very many only so many in one tick: 70 000 take 0.7 s, and no tick
 * longer than a fraction of a millisecond. */
#define WANT_PER_TICK 1024

bool owner_knows(const struct node *node, uint32_t peer, uint64_t digest)
{
	assert(peer < NODES_MAX);
	assert(node->o.id < NODES_MAX);
	if (peer == node->o.id)
		return digest == node->total[DIGEST_CONFIG];
	if (digest == node->total[DIGEST_CONFIG])
		return true;
	/* 0 is the digest of no service at all. */
	return !digest || node->peer[peer].known_digest == digest;
}

static bool member_has(const struct node *node, const struct record *rec,
		       uint32_t member)
{
	if (member == node->o.id ||
	    node->d.view.config[member] == node->total[DIGEST_CONFIG])
		return true;
	return node->d.view.config[member] && rec->config_on & 1u << member;
}

uint32_t owner_having(const struct node *node, const struct record *rec)
{
	uint32_t left = node->d.view.members, having = 0;

	assert(rec->flags & RECORD_CONFIGURED);
	assert(node->o.id < NODES_MAX);
	for (; left; left &= left - 1) {
		uint32_t m = (uint32_t)__builtin_ctz(left);

		if (!owner_knows(node, m, node->d.view.config[m]) ||
		    member_has(node, rec, m))
			having |= 1u << m;
	}
	return having;
}

int owner_of(const struct node *node, const struct record *rec)
{
	const struct view *view = &node->d.view;
	uint32_t left = view->members;

	assert(rec->flags & RECORD_CONFIGURED);
	assert(!(rec->service_flags & NODE_SERVICE_INTERNAL));
	while (left) {
		int first = rendezvous_first(rec->key, left);

		if (!owner_knows(node, (uint32_t)first, view->config[first]) &&
		    !node_mutant(node, NODE_MUTATION_OWNER_GUESS))
			return OWNER_UNSURE;
		if (member_has(node, rec, (uint32_t)first))
			return first;
		left &= ~(1u << first);
	}
	return OWNER_NONE;
}

void owner_probe(struct node *node, struct record *rec, bool on)
{
	struct node_effect e = {.type = NODE_EFFECT_PROBE};

	assert(rec->flags & RECORD_CONFIGURED);
	if (on == !!(rec->flags & RECORD_PROBING))
		return;
	rec->flags ^= RECORD_PROBING;
	e.probe.entity = rec->s.entity;
	e.probe.on = on;
	assert(on == !!(rec->flags & RECORD_PROBING));
	node_emit(node, &e);
}

/* Starts from the state last known, so that taking over changes nothing for
 * anybody until this node has probed. */
static void owner_claim(struct node *node, struct record *rec)
{
	struct service_state *s = &rec->s;

	assert(node->operational);
	assert(s->view <= node->d.view.number);
	table_digest_toggle(node, rec);
	/* No version twice, even if the service was deleted and came back in
	 * the same view: see owner_release(). */
	if (s->view != node->d.view.number || s->seq < node->claim_seq)
		s->seq = node->claim_seq;
	s->view = node->d.view.number;
	s->owner = (uint8_t)node->o.id;
	table_digest_toggle(node, rec);
	if (!(rec->flags & RECORD_MASTER)) {
		rec->measured = (struct measured){
			.state = s->state,
			.reason = s->reason,
			.load_flags = s->flags,
			.rr_weight = s->rr_weight,
			.response_us = s->response_us,
			.load = s->load,
		};
		if (s->reason == STATE_REASON_PATH_ANY) {
			/* What the monitors found was not advertised. */
			rec->measured.state = SVC_UP;
			rec->measured.reason = STATE_REASON_PROBE;
		}
		node->masters++;
	}
	rec->flags |= RECORD_MASTER;
	rec->flags &= ~RECORD_ACKED;
	owner_unwant(node, rec);
	rec->claim_at = 0;
	node_trace(node, NODE_TRACE_MASTER, 0, s->entity, s->view, s->state);
	owner_probe(node, rec, true);
	sss_advertise(node, rec);
	sss_recompute(node, rec);
}

void owner_release(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_MASTER);
	assert(node->masters > 0);
	rec->flags &= ~(RECORD_MASTER | RECORD_ACKED);
	node->masters--;
	if (rec->s.view == node->d.view.number && rec->s.seq > node->claim_seq)
		node->claim_seq = rec->s.seq;
	outbox_cancel(node, rec, CHANNEL_STATE);
	owner_probe(node, rec, false);
}

int owner_init(struct node *node)
{
	assert(!node->pulls);
	assert(node->o.id < NODES_MAX);
	node->want_head = node->want_tail = NIL;
	node->pulls = calloc(NODES_MAX, sizeof(*node->pulls));
	return node->pulls ? 0 : -ENOMEM;
}

void owner_deinit(struct node *node)
{
	free(node->pulls);
}

static void pull_send(struct node *node, uint32_t peer)
{
	assert(peer < NODES_MAX);
	assert(node->pulls[peer].pull.n <= MSG_PULL_MAX);
	if (node->pulls[peer].pull.n)
		node_send(node, 1u << peer, &node->pulls[peer], MSG_PULL);
	node->pulls[peer].pull.n = 0;
}

static void pull_one(struct node *node, struct record *rec, uint32_t peer)
{
	struct msg_pull *pull = &node->pulls[peer].pull;

	assert(peer < NODES_MAX);
	assert(!rec->s.view);
	pull->entity[pull->n++] = rec->s.entity;
	if (pull->n == MSG_PULL_MAX)
		pull_send(node, peer);
}

/* An owner that knows nothing about the service, while its previous owner may,
 * asks first and claims a little later: a node whose configuration gains the
 * service must not overwrite a known state with UNKNOWN. Waiting is safe: the
 * previous master goes on until it hears of another. */
static bool claim_waits(struct node *node, struct record *rec)
{
	uint32_t others = owner_having(node, rec) & node->connected;
	int peer = rendezvous_first(rec->key, others);

	assert(!(node->connected & node_self(node)));
	assert(rec->flags & RECORD_CONFIGURED);
	if (rec->s.view || peer < 0 || !node->peer[peer].hello.record_digest ||
	    (rec->claim_at && node->now >= rec->claim_at))
		return false;
	if (!rec->claim_at)
		rec->claim_at = node->now + CLAIM_WAIT_MS;
	node->claims_wait = node->now + CLAIM_PULL_MS;
	pull_one(node, rec, (uint32_t)peer);
	return true;
}

uint32_t owner_live(const struct node *node)
{
	uint32_t left = node->d.view.members & node->connected, live = 0;

	assert(!(left & node_self(node)));
	for (; left; left &= left - 1) {
		uint32_t m = (uint32_t)__builtin_ctz(left);

		assert(m < NODES_MAX);
		if (node->d.view.incarnation[m] == node->peer[m].incarnation)
			live |= 1u << m;
	}
	return live;
}

bool owner_wanting(const struct node *node)
{
	assert(node->wanted <= node->configured);
	assert(node->asked <= node->wanted);
	/* With nobody alive who could know, there is nothing to wait for. */
	return node->claims_wait || (node->asked && owner_live(node));
}

static void want_link(struct node *node, struct record *rec, uint64_t at)
{
	uint32_t slot = table_slot(node, rec);

	assert(node->want_tail == NIL ||
	       node->records[node->want_tail].want_at <= at);
	assert(rec->flags & RECORD_WANTED);
	rec->want_at = at;
	rec->want_next = NIL;
	rec->want_prev = node->want_tail;
	if (node->want_tail != NIL)
		node->records[node->want_tail].want_next = slot;
	else
		node->want_head = slot;
	node->want_tail = slot;
}

static void want_unlink(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_WANTED);
	assert(node->want_head != NIL && node->want_tail != NIL);
	if (rec->want_prev != NIL)
		node->records[rec->want_prev].want_next = rec->want_next;
	else
		node->want_head = rec->want_next;
	if (rec->want_next != NIL)
		node->records[rec->want_next].want_prev = rec->want_prev;
	else
		node->want_tail = rec->want_prev;
}

void owner_want(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_CONFIGURED);
	assert(!(rec->flags & RECORD_WANTED));
	if (!node->met || rec->s.view)
		return;
	rec->flags |= RECORD_WANTED | RECORD_ASKED;
	node->wanted++;
	node->asked++;
	/* With the next look of all that wait, at the latest. */
	want_link(node, rec, node->want_tail == NIL ?
				     node->now :
				     node->records[node->want_tail].want_at);
}

static void want_asked(struct node *node, struct record *rec, bool on)
{
	assert(rec->flags & RECORD_WANTED);
	assert(node->asked <= node->wanted);
	if (on == !!(rec->flags & RECORD_ASKED))
		return;
	rec->flags ^= RECORD_ASKED;
	node->asked += on ? 1 : -1u;
}

void owner_unwant(struct node *node, struct record *rec)
{
	if (!(rec->flags & RECORD_WANTED))
		return;
	assert(node->wanted > 0);
	assert(rec->flags & RECORD_CONFIGURED);
	want_asked(node, rec, false);
	want_unlink(node, rec);
	rec->flags &= ~RECORD_WANTED;
	node->wanted--;
}

/* Whom to ask for a wanted record: -1: nobody here has the service, so there is
 * nothing to wait for. Its master may be away and come back, and has told this
 * node already, as it thinks; so it is not forgotten. */
static int want_judge(struct node *node, struct record *rec)
{
	uint32_t live = owner_live(node);
	int peer = rendezvous_first(rec->key, owner_having(node, rec) & live);

	assert(rec->flags & RECORD_WANTED);
	assert(!rec->s.view);
	want_asked(node, rec, peer >= 0 || !live);
	return peer;
}

/* Masters send a service's state once; whoever forgot it with the service, or
 * had no room to cache it, asks. This ends: a member that has the service means
 * an owner, and what an owner claims it announces. */
static void want_review(struct node *node, struct record *rec)
{
	int peer = want_judge(node, rec);

	want_unlink(node, rec);
	want_link(node, rec, node->now + WANT_MS);
	if (peer >= 0)
		pull_one(node, rec, (uint32_t)peer);
}

void owner_met(struct node *node)
{
	uint32_t i;

	assert(!(node->connected & node_self(node)));
	assert(node->asked <= node->wanted);
	/* Before this node says again whether it is ready. */
	for (i = node->want_head; i != NIL; i = node->records[i].want_next) {
		want_judge(node, &node->records[i]);
		node->records[i].want_at = node->now;
	}
}

static void want_tick(struct node *node)
{
	uint32_t i;

	assert((node->want_head == NIL) == !node->wanted);
	assert(node->wanted <= node->configured);
	for (i = 0; i < WANT_PER_TICK && node->want_head != NIL; i++) {
		struct record *rec = &node->records[node->want_head];

		if (rec->want_at > node->now)
			break;
		want_review(node, rec);
	}
}

void owner_tick(struct node *node)
{
	uint32_t i;

	assert(node->update);
	assert(node->pulls);
	if (node->claims_wait && node->now >= node->claims_wait) {
		node->claims_wait = 0;
		node->reassign = true;
	}
	if (node->reassign)
		owner_review_all(node);
	want_tick(node);
	for (i = 0; i < NODES_MAX; i++)
		pull_send(node, i);
}

void owner_review(struct node *node, struct record *rec)
{
	const uint64_t number = node->d.view.number;

	assert(rec->flags & RECORD_USED);
	assert(!(rec->flags & RECORD_MASTER) || rec->s.owner == node->o.id ||
	       node_mutant(node, NODE_MUTATION_NO_STEPDOWN));
	if (!(rec->flags & RECORD_CONFIGURED) || !node->operational ||
	    rec->service_flags & NODE_SERVICE_INTERNAL)
		return;
	/* Master already, and nobody newer was heard of: goes on. A previous
	 * master goes on, too, until it hears its successor. */
	if (rec->flags & RECORD_MASTER && rec->s.owner == node->o.id)
		return;
	/* A record of a newer view: we are behind and shall hear of it. One of
	 * this view is ours if it was deleted and came back, else settled. */
	if (rec->s.view > number ||
	    (rec->s.view == number && rec->s.owner != node->o.id))
		return;
	if (owner_of(node, rec) == (int)node->o.id && !claim_waits(node, rec))
		owner_claim(node, rec);
}

void owner_review_all(struct node *node)
{
	uint32_t i;

	assert(node->records);
	assert(!node->operational || node->d.view.members & node_self(node));
	node->reassign = false;
	for (i = 0; i < node->slots; i++) {
		struct record *rec = &node->records[i];

		if (!(rec->flags & RECORD_CONFIGURED))
			continue;
		path_review(node, rec);
		if (rec->flags & RECORD_WANTED)
			want_judge(node, rec);
		if (rec->flags & RECORD_MASTER && rec->s.owner == node->o.id)
			sss_recompute(node, rec); /* members count */
		owner_review(node, rec);
	}
}

void owner_set_changes(struct node *node, bool grows)
{
	uint32_t i;

	assert(!(node->same & node_self(node)));
	node->config_seq++;
	if (node->same) {
		/* Their set is what ours was: write it down. */
		for (i = 0; i < node->slots; i++)
			node->records[i].config_on |= node->same;
		for (i = 0; i < NODES_MAX; i++)
			if (node->same & 1u << i)
				node->peer[i].known_digest =
					node->total[DIGEST_CONFIG];
	}
	/* The others may have had the new service before: unknown. */
	for (i = 0; grows && i < NODES_MAX; i++)
		if (!(node->same & 1u << i) && node->peer[i].known_digest)
			node->peer[i].known_digest = 0;
	node->same = 0;
	node->reassign = true;
	assert(!node->same);
}

void owner_compare(struct node *node, uint32_t peer)
{
	struct peer *p = &node->peer[peer];
	uint32_t bit = 1u << peer, i;
	bool equal = p->hello.config_digest == node->total[DIGEST_CONFIG];

	assert(peer < NODES_MAX);
	assert(bit != node_self(node));
	if (equal == !!(node->same & bit))
		return;
	if (equal) {
		node->same |= bit;
		node->reassign = true;
		return;
	}
	/* It was the same and changed; what it was is kept until the new set
	 * has been fetched. */
	for (i = 0; i < node->slots; i++)
		node->records[i].config_on |= bit;
	node->same &= ~bit;
	p->known_digest = node->total[DIGEST_CONFIG];
}
