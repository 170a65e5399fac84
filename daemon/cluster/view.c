/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * View agreement (see view.h). Roles of Paxos: every configured node is an
 * acceptor for slot = number of its installed view + 1; any node may propose
 * (member.c makes them take turns); a decided view is learnt by MSG_COMMIT.
 *
 * Durable before anything is sent: promised and accepted ballots, the accepted
 * value, and the installed view. A proposer promises its own ballot first, so
 * it never uses one twice, in no life. With the next slot the acceptor starts
 * afresh: the old one is decided, and is answered with what was decided.
 */
#include "cluster/member.h"
#include "cluster/owner.h"
#include "cluster/view.h"

/* A view every millisecond for 8 900 years: larger numbers are nonsense. */
#define NUMBER_END (1ull << 48)
#define RESEND_MS 20
#define COMMIT_RESENDS 3
#define GIVE_UP_MS 300

static uint64_t slot_of(const struct node *node)
{
	return node->d.view.number + 1;
}

static uint32_t voters(const struct node *node)
{
	assert(node->d.view.configured);
	return node->d.view.configured;
}

bool view_operational(const struct node *node)
{
	const struct view *view = &node->d.view;

	assert(node->o.id < NODES_MAX);
	return view->members & node_self(node) &&
	       view->incarnation[node->o.id] == node->o.incarnation;
}

void view_tell(struct node *node, uint32_t to)
{
	assert(!(to & node_self(node)));
	assert(node->d.view.number);
	if (!to)
		return;
	node->out.commit.view = node->d.view;
	node_send(node, to, &node->out, MSG_COMMIT);
}

static void install(struct node *node, const struct view *view)
{
	struct view before = node->d.view;
	struct node_effect e = {.type = NODE_EFFECT_VIEW};

	assert(view->number > before.number);
	assert(view->configured);
	node->d.view = *view;
	node->d.promised = node->d.accepted = 0;
	memset(&node->d.value, 0, sizeof(node->d.value));
	memset(&node->proposal, 0, sizeof(node->proposal));
	node->commits = 0;
	/* The others need not wait to hear that we have it. */
	node->hello_at = node->now;
	node_persist(node);
	node->operational = view_operational(node);
	node_trace(node, NODE_TRACE_VIEW, 0, 0, view->number, view->members);
	e.view = &node->d.view;
	node_emit(node, &e);
	node->claim_seq = 0;
	member_installed(node, &before);
	owner_review_all(node);
}

/* ---- proposer --------------------------------------------------------- */

static void decided(struct node *node)
{
	struct view value = node->proposal.value;
	uint32_t to = (voters(node) | value.configured | node->o.configured) &
		      ~node_self(node);

	assert(node->proposal.phase == PROPOSAL_ACCEPTING ||
	       node->o.quorum_none);
	assert(value.number > node->d.view.number);
	install(node, &value);
	view_tell(node, to & node->o.configured);
	/* A lost commit must not cost a hello interval. */
	node->commits = COMMIT_RESENDS;
	node->commit_next = node->now + RESEND_MS;
}

static void tell_again(struct node *node)
{
	uint32_t i, behind = 0;

	assert(node->commits);
	assert(node->d.view.number);
	node->commits--;
	node->commit_next = node->now + RESEND_MS;
	for (i = 0; i < NODES_MAX; i++)
		if (node->connected & 1u << i &&
		    node->peer[i].hello.view < node->d.view.number)
			behind |= 1u << i;
	view_tell(node, behind);
	if (!behind)
		node->commits = 0;
}

static bool enough(const struct node *node)
{
	assert(node->proposal.answered & node_self(node));
	assert(node->proposal.phase != PROPOSAL_IDLE);
	if (node_mutant(node, NODE_MUTATION_MINORITY))
		return true;
	return member_majority(voters(node), node->proposal.answered);
}

static void send_phase(struct node *node)
{
	struct proposal *p = &node->proposal;
	uint32_t to = voters(node) & node->o.configured & ~p->answered;

	assert(p->phase != PROPOSAL_IDLE);
	assert(!(to & node_self(node)));
	p->resend_at = node->now + RESEND_MS;
	if (!to)
		return;
	if (p->phase == PROPOSAL_PREPARING) {
		node->out.prepare = (struct msg_prepare){
			.slot = slot_of(node),
			.ballot = p->ballot,
			.configured = voters(node),
		};
		node_send(node, to, &node->out, MSG_PREPARE);
		return;
	}
	node->out.accept.ballot = p->ballot;
	node->out.accept.value = p->value;
	node_send(node, to, &node->out, MSG_ACCEPT);
}

static void start_accepting(struct node *node)
{
	struct proposal *p = &node->proposal;

	assert(p->phase == PROPOSAL_PREPARING);
	assert(p->value.number == slot_of(node));
	if (p->ballot < node->d.promised)
		return; /* promised another proposer meanwhile: will give up */
	p->phase = PROPOSAL_ACCEPTING;
	p->answered = node_self(node);
	node->d.accepted = p->ballot;
	node->d.value = p->value;
	node_persist(node);
	if (enough(node)) {
		decided(node);
		return;
	}
	send_phase(node);
}

static void propose_alone(struct node *node)
{
	struct proposal *p = &node->proposal;
	uint64_t number = (node->d.view.number >> 5 << 5) | node->o.id;

	assert(node->o.quorum_none);
	assert(node->o.id < 32);
	while (number <= node->d.view.number)
		number += 32;
	p->value.number = number;
	node_trace(node, NODE_TRACE_PROPOSE, 0, 0, number, p->value.members);
	decided(node);
}

void view_propose(struct node *node, const struct view *want)
{
	struct proposal *p = &node->proposal;
	uint64_t top = node->d.promised > p->seen ? node->d.promised : p->seen;

	assert(want->members);
	assert(!(want->members & ~want->configured));
	if (p->phase != PROPOSAL_IDLE || node->now < p->not_before)
		return;
	p->value = *want;
	if (node->o.quorum_none) {
		propose_alone(node);
		return;
	}
	p->value.number = slot_of(node);
	p->ballot = ((top >> 5) + 1) << 5 | node->o.id;
	p->phase = PROPOSAL_PREPARING;
	p->deadline = node->now + GIVE_UP_MS;
	p->answered = node_self(node);
	/* Our own earlier acceptance binds us like any other. */
	p->best = node->d.accepted;
	if (p->best)
		p->value = node->d.value;
	node_trace(node, p->best ? NODE_TRACE_ADOPT : NODE_TRACE_PROPOSE, 0, 0,
		   p->value.number, p->value.members);
	node->d.promised = p->ballot;
	node_persist(node);
	if (enough(node)) {
		start_accepting(node);
		return;
	}
	send_phase(node);
}

static void retreat(struct node *node)
{
	struct proposal *p = &node->proposal;

	assert(p->phase != PROPOSAL_IDLE);
	node_trace(node, NODE_TRACE_RETREAT, 0, 0, p->value.number, 0);
	p->phase = PROPOSAL_IDLE;
	if (p->attempts < 8)
		p->attempts++;
	/* Different for each id, so that duels end. */
	p->not_before = node->now + 50u * p->attempts +
			20u * p->attempts * (node->o.id & 7);
	assert(p->not_before > node->now);
}

void view_tick(struct node *node)
{
	struct proposal *p = &node->proposal;

	assert(node->update);
	if (node->commits && node->now >= node->commit_next)
		tell_again(node);
	if (p->phase == PROPOSAL_IDLE)
		return;
	assert(!node->o.quorum_none);
	if (node->now >= p->deadline || node->d.promised > p->ballot)
		retreat(node);
	else if (node->now >= p->resend_at)
		send_phase(node);
}

void view_promise(struct node *node, uint32_t peer, const struct msg_promise *m)
{
	struct proposal *p = &node->proposal;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (p->phase != PROPOSAL_PREPARING || m->slot != slot_of(node) ||
	    m->ballot != p->ballot || p->answered & 1u << peer)
		return;
	if (m->accepted &&
	    (m->value.number != m->slot || !m->value.configured)) {
		node->refused++;
		return;
	}
	p->answered |= 1u << peer;
	if (m->accepted > p->best) {
		p->best = m->accepted;
		p->value = m->value;
		node_trace(node, NODE_TRACE_ADOPT, peer, 0, m->slot,
			   m->value.members);
	}
	if (enough(node))
		start_accepting(node);
}

void view_accepted(struct node *node, uint32_t peer,
		   const struct msg_accepted *m)
{
	struct proposal *p = &node->proposal;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (p->phase != PROPOSAL_ACCEPTING || m->slot != slot_of(node) ||
	    m->ballot != p->ballot)
		return;
	p->answered |= 1u << peer;
	if (enough(node))
		decided(node);
}

void view_reject(struct node *node, uint32_t peer, const struct msg_reject *m)
{
	struct proposal *p = &node->proposal;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (m->slot != slot_of(node))
		return;
	if (m->promised > p->seen)
		p->seen = m->promised;
	if (p->phase != PROPOSAL_IDLE && m->promised > p->ballot)
		retreat(node);
}

/* ---- acceptor --------------------------------------------------------- */

/* False: not a slot this node can vote on. */
static bool votes_on(struct node *node, uint32_t peer, uint64_t slot)
{
	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (node->o.quorum_none ||
	    !(voters(node) & 1u << peer & node->o.configured) ||
	    !(voters(node) & node_self(node)))
		return false;
	if (slot == slot_of(node))
		return true;
	/* Decided already. (A later slot: the hello tells us what we lack.) */
	if (slot < slot_of(node))
		view_tell(node, 1u << peer);
	return false;
}

static void reject(struct node *node, uint32_t peer)
{
	assert(peer < NODES_MAX);
	assert(node->d.promised);
	node->out.reject = (struct msg_reject){
		.slot = slot_of(node),
		.promised = node->d.promised,
	};
	node_send(node, 1u << peer, &node->out, MSG_REJECT);
}

void view_prepare(struct node *node, uint32_t peer, const struct msg_prepare *m)
{
	assert(peer < NODES_MAX);
	assert(node->o.incarnation);
	if (!votes_on(node, peer, m->slot))
		return;
	/* Only before the first view can it differ: different configurations
	 * must not decide anything together. */
	if (m->configured != voters(node) || (m->ballot & 31) != peer) {
		node->refused++;
		return;
	}
	if (m->ballot < node->d.promised) {
		reject(node, peer);
		return;
	}
	if (m->ballot > node->d.promised) {
		node->d.promised = m->ballot;
		if (!node_mutant(node, NODE_MUTATION_FORGET_PROMISE))
			node_persist(node);
	}
	node->out.promise = (struct msg_promise){
		.slot = m->slot,
		.ballot = m->ballot,
		.accepted = node->d.accepted,
		.value = node->d.value,
	};
	node_send(node, 1u << peer, &node->out, MSG_PROMISE);
}

void view_accept(struct node *node, uint32_t peer, const struct msg_accept *m)
{
	assert(peer < NODES_MAX);
	assert(node->o.incarnation);
	if (!votes_on(node, peer, m->value.number))
		return;
	if ((m->ballot & 31) != peer || !m->value.configured ||
	    m->value.members & ~m->value.configured) {
		node->refused++;
		return;
	}
	if (m->ballot < node->d.promised) {
		reject(node, peer);
		return;
	}
	if (m->ballot != node->d.accepted) {
		node->d.promised = node->d.accepted = m->ballot;
		node->d.value = m->value;
		if (!node_mutant(node, NODE_MUTATION_FORGET_PROMISE))
			node_persist(node);
	}
	node->out.accepted = (struct msg_accepted){
		.slot = m->value.number,
		.ballot = m->ballot,
	};
	node_send(node, 1u << peer, &node->out, MSG_ACCEPTED);
}

void view_commit(struct node *node, uint32_t peer, const struct msg_commit *m)
{
	bool none = node->peer[peer].hello_at
			    ? node->peer[peer].hello.flags & HELLO_QUORUM_NONE
			    : node->o.quorum_none;

	assert(peer < NODES_MAX);
	assert(peer != node->o.id);
	if (m->view.number <= node->d.view.number ||
	    none != node->o.quorum_none)
		return;
	if (!m->view.configured || m->view.members & ~m->view.configured ||
	    m->view.number >= NUMBER_END) {
		node->refused++;
		return;
	}
	install(node, &m->view);
}
