/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Membership as it should be (see member.h). Rules, each with its reason:
 *
 *  - A member is dead when `observers` nodes (or all there are) accuse it at
 *    the same time. One broken link accuses with one voice and excludes nobody.
 *  - A member is deaf when, for a whole detection time, it accuses more than
 *    half of the members whom the others hear: it is the broken one.
 *  - Changes settle before they are proposed, longer while accusations are
 *    still coming in, so that a burst becomes one view.
 *  - Nobody is admitted in a view that excludes somebody: services of the
 *    excluded first get a master, which brings the newcomer up to date.
 *  - A node that was excluded repeatedly waits, twice as long each time.
 *  - Proposers take turns by rank: members first, lower ids first.
 */
#include "cluster/hello.h"
#include "cluster/member.h"
#include "cluster/outbox.h"
#include "cluster/owner.h"
#include "cluster/view.h"

#define TURN_MS 100 /* between proposers of neighbouring rank */
#define ADMIT_SETTLE_MS 100
#define COLD_SETTLE_HELLOS 3 /* nobody is operational: wait for all to come */
#define CONFIG_SETTLE_MS 50
#define CONFIG_APART_MS 200 /* views that only follow configurations */
#define SPARE_GRACE_MS 2000 /* a node never heard counts as active after it */

/* Working state of one judgement. */
struct judge {
	uint32_t observers; /* whose accusations count */
	uint32_t late;	    /* who accuses nobody now, but may hear it */
	uint32_t live;	    /* members that stay, as far as they live */
	uint32_t excluded;
	uint32_t candidates;
	bool unstable;
};

bool member_majority(uint32_t set, uint32_t present)
{
	assert(set);
	return 2 * __builtin_popcount(set & present) > __builtin_popcount(set);
}

static bool is_self(const struct node *node, uint32_t n)
{
	return n == node->o.id;
}

static uint32_t incarnation_of(const struct node *node, uint32_t n)
{
	return is_self(node, n) ? node->o.incarnation
				: node->peer[n].incarnation;
}

static uint8_t admin_of(const struct node *node, uint32_t n)
{
	return is_self(node, n) ? node->o.admin : node->peer[n].hello.admin;
}

static uint32_t accused_by(const struct node *node, uint32_t n)
{
	return is_self(node, n) ? node->accused : node->peer[n].hello.accused;
}

bool member_ready(const struct node *node)
{
	const struct view *view = &node->d.view;
	uint32_t left = view->members & ~node_self(node);
	uint32_t i;

	assert(node->o.configured);
	assert(!(left & node_self(node)));
	/* What it is going to claim, a newcomer could not have been told; what
	 * it lacks, it could not use. */
	if (owner_wanting(node))
		return false;
	for (i = 0; i < NODES_MAX; i++)
		if (node->connected & 1u << i &&
		    node->peer[i].hello.view > view->number)
			return false;
	for (; left; left &= left - 1) {
		i = (uint32_t)__builtin_ctz(left);
		if (node->connected & 1u << i &&
		    !owner_knows(node, i, node->peer[i].hello.config_digest))
			return false;
	}
	return true;
}

static void find_observers(const struct node *node, struct judge *j)
{
	uint32_t i;

	j->observers = hello_quiet(node) ? 0 : node_self(node);
	j->late = 0;
	for (i = 0; i < NODES_MAX; i++) {
		if (!(node->o.configured & ~node_self(node) & 1u << i) ||
		    !hello_fresh(node, i))
			continue;
		if (node->peer[i].hello.flags & HELLO_LATE)
			j->late |= 1u << i;
		else
			j->observers |= 1u << i;
	}
	assert(!((j->observers | j->late) & ~node->o.configured));
	assert(!(j->observers & j->late));
}

/* Those who were late and hear N. Their silence must not make fewer voices
 * enough: then one broken link would exclude whenever a third node is late. */
static uint32_t late_hearers(const struct node *node, const struct judge *j,
			     uint32_t n)
{
	uint32_t left = j->late & ~(1u << n), hear = 0;

	assert(n < NODES_MAX);
	assert(!(left & node_self(node)));
	for (; left; left &= left - 1) {
		uint32_t o = (uint32_t)__builtin_ctz(left);

		if (node->peer[o].hello.heard & 1u << n)
			hear |= 1u << o;
	}
	return hear;
}

static bool is_dead(struct node *node, const struct judge *j, uint32_t n)
{
	uint32_t left = j->observers & ~(1u << n), need, by = 0;

	assert(n < NODES_MAX);
	need = (uint32_t)__builtin_popcount(left | late_hearers(node, j, n));
	if (need > node->o.observers)
		need = node->o.observers;
	for (; left; left &= left - 1) {
		uint32_t o = (uint32_t)__builtin_ctz(left);

		if (accused_by(node, o) & 1u << n)
			by |= 1u << o;
	}
	node->accusers[n] = by;
	assert(!(by & 1u << n));
	return need && (uint32_t)__builtin_popcount(by) >= need;
}

/* It accuses more than half of the other members, who are fine. */
static bool is_deaf(struct node *node, const struct judge *j, uint32_t n)
{
	struct peer *p = &node->peer[n];
	uint32_t others = node->d.view.members & ~(1u << n);
	uint32_t wrong;

	assert(n < NODES_MAX);
	if (is_self(node, n) || !(j->observers & 1u << n) ||
	    __builtin_popcount(others) < 2) {
		p->deaf_since = 0;
		return false;
	}
	wrong = p->hello.accused & others & j->observers & ~node->accused;
	if (2 * __builtin_popcount(wrong) <= __builtin_popcount(others)) {
		p->deaf_since = 0;
		return false;
	}
	if (!p->deaf_since)
		p->deaf_since = node->now;
	assert(p->deaf_since <= node->now);
	return node->now - p->deaf_since >= node_dead_ms(node);
}

static enum node_reason judge_member(struct node *node, struct judge *j,
				     uint32_t n)
{
	assert(node->d.view.members & 1u << n);
	assert(n < NODES_MAX);
	if (!(node->o.configured & 1u << n))
		return NODE_REASON_NOT_CONFIGURED;
	if (!is_self(node, n) && is_dead(node, j, n))
		return NODE_REASON_SILENT;
	if (node->accusers[n] && !is_self(node, n))
		j->unstable = true;
	if (is_deaf(node, j, n))
		return NODE_REASON_DEAF;
	if (incarnation_of(node, n) &&
	    incarnation_of(node, n) != node->d.view.incarnation[n])
		return NODE_REASON_RESTARTED;
	if (!incarnation_of(node, n))
		return NODE_REASON_NONE; /* not heard yet: not judged */
	switch (admin_of(node, n)) {
	case ADMIN_LEAVING:
		return NODE_REASON_LEFT;
	case ADMIN_PASSIVE:
		return NODE_REASON_PASSIVE;
	default:
		return NODE_REASON_NONE;
	}
}

/* All live members have sent N what they own, in N's present life. */
static enum node_reason judge_sync(const struct node *node,
				   const struct judge *j, uint32_t n)
{
	uint32_t left = j->live;

	assert(n < NODES_MAX);
	assert(!(j->live & 1u << n));
	for (; left; left &= left - 1) {
		uint32_t m = (uint32_t)__builtin_ctz(left);
		const struct msg_hello *h = &node->peer[m].hello;

		if (is_self(node, m)) {
			if (!outbox_synced(node, n) || !member_ready(node))
				return NODE_REASON_SYNCING;
			continue;
		}
		if (!hello_fresh(node, m))
			return NODE_REASON_LINK;
		if (!(h->heard & 1u << n) || h->accused & 1u << n)
			return NODE_REASON_LINK;
		if (h->view != node->d.view.number ||
		    !(h->flags & HELLO_READY) || !(h->synced & 1u << n) ||
		    h->synced_lives != hello_lives(node, h->synced))
			return NODE_REASON_SYNCING;
	}
	return NODE_REASON_NONE;
}

static enum node_reason judge_admin(const struct node *node, uint32_t n)
{
	assert(n < NODES_MAX);
	switch (admin_of(node, n)) {
	case ADMIN_LEAVING:
		return NODE_REASON_LEFT;
	case ADMIN_PASSIVE:
		return NODE_REASON_PASSIVE;
	default: /* spares are chosen later */
		return NODE_REASON_NONE;
	}
}

static enum node_reason judge_candidate(struct node *node, struct judge *j,
					uint32_t n)
{
	const struct peer *p = &node->peer[n];
	const struct msg_hello *h = &p->hello;
	bool self = is_self(node, n);
	enum node_reason r;

	assert(n < NODES_MAX);
	assert(!(j->live & 1u << n));
	if (!(node->o.configured & 1u << n))
		return NODE_REASON_NOT_CONFIGURED;
	if (!self && !p->ever)
		return NODE_REASON_NEVER_HEARD;
	if (!self && (!hello_fresh(node, n) || node->accused & 1u << n))
		return NODE_REASON_SILENT;
	if (!self && !!(h->flags & HELLO_QUORUM_NONE) != node->o.quorum_none)
		return NODE_REASON_QUORUM_MODE;
	if (!self && h->configured != node->o.configured)
		return NODE_REASON_SET_DIFFERS;
	r = judge_admin(node, n);
	if (r != NODE_REASON_NONE)
		return r;
	if (self ? hello_quiet(node) : !!(h->flags & HELLO_LATE))
		return NODE_REASON_LATE;
	if (!self && h->view != node->d.view.number)
		return NODE_REASON_VIEW_BEHIND;
	if (self ? node->accused & j->live
		 : (h->heard & (j->live | node_self(node))) !=
			    (j->live | node_self(node)))
		return NODE_REASON_DEAF;
	if (node->now < p->retry_at)
		return NODE_REASON_BACKOFF;
	if (!node_mutant(node, NODE_MUTATION_ADMIT_UNSYNCED)) {
		r = judge_sync(node, j, n);
		if (r != NODE_REASON_NONE)
			return r;
	}
	if (self ? !member_ready(node) : !(h->flags & HELLO_READY))
		return NODE_REASON_NOT_READY;
	j->candidates |= 1u << n;
	return NODE_REASON_NONE;
}

/* As many spares as active nodes are missing; those in use stay in use. */
static void choose_spares(struct node *node, struct judge *j)
{
	uint32_t set = j->live | j->candidates, spares = 0, i;
	int missing = 0, round;

	for (i = 0; i < NODES_MAX; i++) {
		if (!(node->o.configured & 1u << i))
			continue;
		if (set & 1u << i) {
			if (admin_of(node, i) == ADMIN_SPARE &&
			    incarnation_of(node, i))
				spares |= 1u << i;
		} else if (incarnation_of(node, i)
				   ? admin_of(node, i) == ADMIN_ACTIVE
				   : node->now - node->started >
					     SPARE_GRACE_MS) {
			missing++;
		}
	}
	for (round = 0; round < 2; round++)
		for (i = 0; i < NODES_MAX; i++) {
			uint32_t bit = 1u << i;
			bool in_use = node->d.view.members & bit;

			if (!(spares & bit) || in_use != !round)
				continue;
			if (missing-- > 0)
				continue;
			if (j->live & bit)
				j->excluded |= bit;
			j->live &= ~bit;
			j->candidates &= ~bit;
			node->reason[i] = NODE_REASON_SPARE;
		}
	assert(!(j->live & j->candidates));
}

/* The set of voters follows the configuration once a majority of both the old
 * and the new set have the same new one. */
static uint32_t want_configured(const struct node *node)
{
	uint32_t now = node->d.view.configured, next = node->o.configured;
	uint32_t agree = node_self(node), i;

	assert(now && next);
	if (now == next)
		return now;
	for (i = 0; i < NODES_MAX; i++)
		if (node->connected & 1u << i &&
		    node->peer[i].hello.configured == next)
			agree |= 1u << i;
	assert(agree & node_self(node));
	return member_majority(now, agree) && member_majority(next, agree)
		       ? next
		       : now;
}

static void want_view(struct node *node, const struct judge *j,
		      struct view *want)
{
	uint32_t left;

	memset(want, 0, sizeof(*want));
	want->number = node->d.view.number;
	want->configured = want_configured(node);
	want->members = j->live;
	/* See the head of this file: first exclude, then admit. */
	if (!j->live || !j->excluded ||
	    node_mutant(node, NODE_MUTATION_ADMIT_UNSYNCED))
		want->members |= j->candidates;
	want->members &= want->configured;
	for (left = want->members; left; left &= left - 1) {
		uint32_t n = (uint32_t)__builtin_ctz(left);

		assert(n < NODES_MAX);
		want->incarnation[n] = incarnation_of(node, n);
		want->config[n] = is_self(node, n)
					  ? node->total[DIGEST_CONFIG]
					  : node->peer[n].hello.config_digest;
		/* Not heard in this life of ours: as it was. */
		if (!want->incarnation[n] ||
		    (!is_self(node, n) && !node->peer[n].hello_at)) {
			want->incarnation[n] = node->d.view.incarnation[n];
			want->config[n] = node->d.view.config[n];
		}
	}
}

/* Taken out by order, but nobody else is left: goes on until somebody has taken
 * over, and brings that one up to date like any other member. */
static void keep_the_last(const struct node *node, struct judge *j)
{
	uint32_t left = j->excluded;

	assert(!j->live);
	for (; left; left &= left - 1) {
		uint32_t n = (uint32_t)__builtin_ctz(left);

		assert(node->d.view.members & 1u << n);
		if (node->reason[n] == NODE_REASON_LEFT ||
		    node->reason[n] == NODE_REASON_PASSIVE ||
		    node->reason[n] == NODE_REASON_SPARE)
			j->live |= 1u << n;
	}
	j->excluded &= ~j->live;
}

static void judge_all(struct node *node, struct judge *j)
{
	uint32_t i, members = node->d.view.members;

	memset(j, 0, sizeof(*j));
	find_observers(node, j);
	for (i = 0; i < NODES_MAX; i++) {
		node->accusers[i] = 0;
		if (!(members & 1u << i))
			continue;
		node->reason[i] = judge_member(node, j, i);
		if (node->reason[i] == NODE_REASON_NONE)
			j->live |= 1u << i;
		else
			j->excluded |= 1u << i;
	}
	if (!j->live)
		keep_the_last(node, j);
	for (i = 0; i < NODES_MAX; i++) {
		uint32_t bit = 1u << i;

		if (j->live & bit)
			continue;
		/* A life that is a member stays or goes: were it taken out and
		 * in again by one view, those admitted with it would not have
		 * been told what it knows. Another life: excluded first. */
		if (members & bit &&
		    (j->live || incarnation_of(node, i) ==
					node->d.view.incarnation[i]))
			continue;
		node->reason[i] = judge_candidate(node, j, i);
	}
	choose_spares(node, j);
	if (!j->live && !j->candidates)
		keep_the_last(node, j);
	assert(!(j->live & j->excluded));
	assert(!(j->live & j->candidates));
}

static uint64_t settle_ms(const struct node *node, const struct judge *j)
{
	const struct view *have = &node->d.view, *want = &node->want;
	uint64_t since;

	assert(node->now >= node->viewed_at);
	if (!j->live)
		return (uint64_t)COLD_SETTLE_HELLOS * node->o.hello_ms;
	if (want->members & ~have->members)
		return ADMIT_SETTLE_MS;
	if (want->members != have->members)
		return node->o.settle_ms * (j->unstable ? 3u : 1u);
	since = node->now - node->viewed_at;
	return since >= CONFIG_APART_MS ? CONFIG_SETTLE_MS
					: CONFIG_APART_MS - since;
}

/* 0: the first to propose. */
static uint32_t rank(const struct node *node, uint32_t live)
{
	uint32_t before = node_self(node) - 1, i, n = 0;
	bool member = live & node_self(node);

	assert(!(before & node_self(node)));
	for (i = 0; i < NODES_MAX; i++) {
		uint32_t bit = 1u << i;

		if (!(node->connected & node->d.view.configured & bit) ||
		    node->peer[i].hello.flags & HELLO_LATE)
			continue;
		if (live & bit ? !member || before & bit
			       : !member && before & bit)
			n++;
	}
	assert(n < NODES_MAX);
	return n;
}

static bool somebody_is_ahead(const struct node *node)
{
	uint32_t left = node->connected;

	assert(!(left & node_self(node)));
	for (; left; left &= left - 1)
		if (node->peer[__builtin_ctz(left)].hello.view >
		    node->d.view.number)
			return true;
	return false;
}

static void reasons_of_all(struct node *node, uint32_t waiting)
{
	uint32_t i;

	assert(node->o.configured);
	for (i = 0; i < NODES_MAX; i++) {
		bool member = node->d.view.members & 1u << i;
		bool voters =
			node->o.quorum_none ||
			member_majority(node->d.view.configured,
					node->connected | node_self(node));

		if (node->reason[i] == NODE_REASON_NONE && !member)
			node->reason[i] = voters ? NODE_REASON_AGREEING
						 : NODE_REASON_NO_QUORUM;
	}
	(void)waiting;
}

void member_tick(struct node *node)
{
	struct judge j;
	struct view want;
	uint32_t present = node->connected | node_self(node);

	assert(node->update);
	assert(node->d.view.configured);
	judge_all(node, &j);
	want_view(node, &j, &want);
	reasons_of_all(node, 0);
	if (memcmp(&want, &node->want, sizeof(want))) {
		node->want = want;
		node->want_since = node->now;
	}
	if (!memcmp(&want, &node->d.view, sizeof(want)) || !want.members ||
	    hello_quiet(node) || somebody_is_ahead(node) ||
	    !(node->d.view.configured & node_self(node)))
		return;
	if (!node->o.quorum_none &&
	    !member_majority(node->d.view.configured, present) &&
	    !node_mutant(node, NODE_MUTATION_MINORITY))
		return;
	if (node->now - node->want_since <
	    settle_ms(node, &j) + (uint64_t)TURN_MS * rank(node, j.live))
		return;
	view_propose(node, &node->want);
}

void member_installed(struct node *node, const struct view *before)
{
	const struct view *now = &node->d.view;
	uint32_t left = before->members;

	assert(now->number > before->number);
	node->viewed_at = node->now;
	for (; left; left &= left - 1) {
		uint32_t n = (uint32_t)__builtin_ctz(left);
		struct peer *p = &node->peer[n];
		uint32_t shift;

		if ((now->members & 1u << n &&
		     now->incarnation[n] == before->incarnation[n]) ||
		    admin_of(node, n) != ADMIN_ACTIVE)
			continue;
		if (node->now - p->struck_at > 10ull * node->o.backoff_max_ms)
			p->strikes = 0;
		p->struck_at = node->now;
		shift = p->strikes++;
		if (!shift)
			continue; /* once is no habit */
		p->retry_at = node->now + node->o.backoff_max_ms;
		if (shift < 16 &&
		    node->o.backoff_ms << (shift - 1) < node->o.backoff_max_ms)
			p->retry_at = node->now + ((uint64_t)node->o.backoff_ms
						   << (shift - 1));
	}
	assert(node->viewed_at == node->now);
}
