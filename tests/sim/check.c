/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The invariants, checked while effects are carried out and after every step.
 * What each one means and why it should hold: daemon/cluster/PROTOCOL.md.
 *
 *  1 same number, same members      views by number, for ever
 *  2 views only grow                per node, across its lives
 *  3 a minority changes nothing     a majority's disks accepted each new view
 *  4 durable before acted upon      a view is on disk when it takes effect
 *  5 one owner per service and view from every claim and every acceptance
 *  6 no stale overwrite             published versions only grow
 *  7 one version, one content       of every record ever sent
 *  8 brought up to date before      a newcomer knows what masters know
 *  9 bounded                        queues and caches
 * 10 remote load within 5 %, or an update in flight
 * 11 no lost final update, one prober, one address: check_converged()
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define VIEWS_MAX 4096
#define OWNERS 16384
#define CONTENTS 8192

struct seen_view {
	struct view view;
	uint32_t accepted; /* nodes whose disks ever held it as accepted */
	bool installed;
};

struct check {
	struct seen_view *views;
	uint32_t n_views;
	uint64_t installed[NODES_MAX]; /* highest, over all lives */
	struct owner_entry {
		uint64_t entity, view;
		uint32_t owner;
	} * owners;
	struct content_entry {
		uint64_t entity, view;
		uint32_t seq;
		struct service_state state;
	} * contents;
};

void check_init(struct sim *sim)
{
	uint32_t i;
	struct check *c = calloc(1, sizeof(*c));

	if (!c)
		exit(2);
	c->views = calloc(VIEWS_MAX, sizeof(*c->views));
	c->owners = calloc(OWNERS, sizeof(*c->owners));
	c->contents = calloc(CONTENTS, sizeof(*c->contents));
	if (!c->views || !c->owners || !c->contents)
		exit(2);
	sim->check = c;
	for (i = 0; i < sim->n_nodes; i++) {
		struct sim_node *n = &sim->nodes[i];

		n->seen_view = calloc(sim->n_services, sizeof(uint64_t));
		n->seen_seq = calloc(sim->n_services, sizeof(uint32_t));
		if (!n->seen_view || !n->seen_seq)
			exit(2);
	}
}

void check_free(struct sim *sim)
{
	uint32_t i;

	for (i = 0; i < sim->n_nodes; i++) {
		free(sim->nodes[i].seen_view);
		free(sim->nodes[i].seen_seq);
	}
	free(sim->check->contents);
	free(sim->check->owners);
	free(sim->check->views);
	free(sim->check);
}

void check_booted(struct sim *sim, uint32_t node)
{
	struct sim_node *n = &sim->nodes[node];

	memset(n->seen_view, 0, sim->n_services * sizeof(uint64_t));
	memset(n->seen_seq, 0, sim->n_services * sizeof(uint32_t));
	memset(n->forgot, 0, sizeof(n->forgot));
}

void check_forgot(struct sim *sim, uint32_t node, uint32_t service)
{
	sim->nodes[node].seen_view[service] = 0;
	sim->nodes[node].seen_seq[service] = 0;
	sim->nodes[node].forgot[service / 32] |= 1u << service % 32;
}

/* ---- views ------------------------------------------------------------ */

/* By number and content: proposals of one number may differ, decisions not. */
static struct seen_view *view_entry(struct sim *sim, const struct view *view)
{
	struct check *c = sim->check;
	uint32_t i;

	for (i = c->n_views; i-- > 0;)
		if (!memcmp(&c->views[i].view, view, sizeof(*view)))
			return &c->views[i];
	if (c->n_views == VIEWS_MAX) {
		sim_fail(sim, "more than %u views in one run", VIEWS_MAX);
		return &c->views[0];
	}
	c->views[c->n_views].view = *view;
	return &c->views[c->n_views++];
}

static void check_persist(struct sim *sim, uint32_t node,
			  const struct node_durable *d)
{
	if (d->accepted)
		view_entry(sim, &d->value)->accepted |= 1u << node;
}

static void check_majority(struct sim *sim, uint32_t node,
			   const struct seen_view *v)
{
	uint32_t set = v->view.configured;

	if (sim->quorum_none)
		return;
	if (2 * __builtin_popcount(v->accepted & set) <=
	    __builtin_popcount(set))
		sim_fail(sim,
			 "b%u installs view %llu, accepted by %#x only: a "
			 "minority",
			 node, (unsigned long long)v->view.number, v->accepted);
}

/* Whether N knows what the master of each service knew a while ago. */
static void check_newcomer(struct sim *sim, uint32_t n, uint32_t kept,
			   uint64_t number)
{
	struct node_service_status st;
	uint32_t s, m;

	for (s = 0; s < sim->n_services; s++) {
		const struct sim_service *svc = &sim->services[s];

		if (!(svc->configured & 1u << n) ||
		    svc->churned + 3000 * MS > sim->now ||
		    svc->flags & NODE_SERVICE_INTERNAL)
			continue;
		if (node_service_status(sim->nodes[n].node, svc->entity, &st) ||
		    st.record.view)
			continue;
		for (m = 0; m < sim->n_nodes; m++)
			if (kept & 1u << m && sim->nodes[m].node &&
			    !node_service_status(sim->nodes[m].node,
						 svc->entity, &st) &&
			    st.master)
				sim_fail(sim,
					 "b%u enters view %llu without the "
					 "state of service %u, which b%u "
					 "monitors",
					 n, (unsigned long long)number, s, m);
	}
}

static void check_admitted(struct sim *sim, const struct view *view)
{
	struct check *c = sim->check;
	const struct view *before = NULL;
	uint32_t i, kept, added;

	for (i = 0; i < c->n_views; i++)
		if (c->views[i].installed &&
		    c->views[i].view.number < view->number &&
		    (!before || c->views[i].view.number > before->number))
			before = &c->views[i].view;
	if (!before)
		return;
	kept = view->members & before->members;
	for (i = 0; i < NODES_MAX; i++)
		if (view->incarnation[i] != before->incarnation[i])
			kept &= ~(1u << i);
	added = view->members & ~kept;
	if (!kept || sim->quorum_none)
		return;
	for (i = 0; i < sim->n_nodes; i++)
		if (added & 1u << i && sim_up(sim, i) &&
		    sim->nodes[i].life == view->incarnation[i])
			check_newcomer(sim, i, kept, view->number);
}

static void check_view(struct sim *sim, uint32_t node, const struct view *view)
{
	struct check *c = sim->check;
	struct seen_view *v = view_entry(sim, view);
	uint32_t i;

	if (sim->nodes[node].disk.view.number != view->number)
		sim_fail(sim, "b%u acts on view %llu, its disk has %llu", node,
			 (unsigned long long)view->number,
			 (unsigned long long)sim->nodes[node].disk.view.number);
	if (view->number <= c->installed[node])
		sim_fail(sim, "b%u installs view %llu after %llu", node,
			 (unsigned long long)view->number,
			 (unsigned long long)c->installed[node]);
	c->installed[node] = view->number;
	if (v->installed)
		return;
	v->installed = true;
	sim->stats.views++;
	for (i = 0; i < c->n_views; i++)
		if (&c->views[i] != v && c->views[i].installed &&
		    c->views[i].view.number == view->number)
			sim_fail(sim,
				 "view %llu has members %#x at b%u, %#x "
				 "elsewhere (or other lives or configurations)",
				 (unsigned long long)view->number,
				 view->members, node, c->views[i].view.members);
	check_majority(sim, node, v);
	check_admitted(sim, view);
}

/* ---- services --------------------------------------------------------- */

static uint64_t hash(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15ull ^ b * 0xbf58476d1ce4e5b9ull;

	return x ^ x >> 29;
}

static void check_owner(struct sim *sim, uint32_t node, uint64_t entity,
			uint64_t view, uint32_t owner)
{
	struct owner_entry *e =
		&sim->check->owners[hash(entity, view) % OWNERS];

	if (e->entity == entity && e->view == view && e->owner != owner)
		sim_fail(sim,
			 "service %u has owners b%u and b%u in view %llu (b%u)",
			 sim_find(sim, entity), e->owner, owner,
			 (unsigned long long)view, node);
	*e = (struct owner_entry){entity, view, owner};
}

static void check_content(struct sim *sim, uint32_t node,
			  const struct service_state *s)
{
	struct content_entry *e =
		&sim->check->contents[hash(s->entity ^ s->seq, s->view) %
				      CONTENTS];

	if (e->entity == s->entity && e->view == s->view && e->seq == s->seq &&
	    memcmp(&e->state, s, sizeof(*s)))
		sim_fail(sim,
			 "service %u version %llu.%u has two contents (b%u)",
			 sim_find(sim, s->entity), (unsigned long long)s->view,
			 s->seq, node);
	e->entity = s->entity;
	e->view = s->view;
	e->seq = s->seq;
	e->state = *s;
}

static void check_publish(struct sim *sim, uint32_t node,
			  const struct node_publish *p)
{
	struct sim_node *n = &sim->nodes[node];
	uint32_t i = sim_find(sim, p->entity);
	uint64_t view = p->record->view;
	uint32_t seq = p->record->seq;

	if (i == UINT32_MAX) {
		sim_fail(sim, "b%u publishes an unknown service", node);
		return;
	}
	sim->stats.published++;
	if (view < n->seen_view[i] ||
	    (view == n->seen_view[i] && seq < n->seen_seq[i]))
		sim_fail(sim,
			 "b%u: service %u goes from %llu.%u back to %llu.%u",
			 node, i, (unsigned long long)n->seen_view[i],
			 n->seen_seq[i], (unsigned long long)view, seq);
	n->seen_view[i] = view;
	n->seen_seq[i] = seq;
	if (!view)
		return;
	check_owner(sim, node, p->entity, view, p->record->owner);
	check_content(sim, node, p->record);
}

static void check_send(struct sim *sim, uint32_t node, const struct message *m)
{
	uint32_t i;

	if (m->type != MSG_STATE)
		return;
	for (i = 0; i < m->state.n; i++)
		check_content(sim, node, &m->state.item[i].state);
}

void check_effect(struct sim *sim, uint32_t node, const struct node_effect *e)
{
	switch (e->type) {
	case NODE_EFFECT_PERSIST:
		check_persist(sim, node, e->durable);
		break;
	case NODE_EFFECT_VIEW:
		check_view(sim, node, e->view);
		break;
	case NODE_EFFECT_PUBLISH:
		check_publish(sim, node, &e->publish);
		break;
	case NODE_EFFECT_SEND:
		check_send(sim, node, e->send.message);
		break;
	case NODE_EFFECT_TRACE:
		if (e->trace.type == NODE_TRACE_MASTER) {
			check_owner(sim, node, e->trace.entity, e->trace.a,
				    node);
			sim->stats.claims++;
		}
		if (e->trace.type == NODE_TRACE_REPAIR)
			sim->stats.repairs++;
		break;
	default:
		break;
	}
}

/* Less than 5 % of what was sent last. */
static bool within(uint32_t sent, uint32_t truth)
{
	uint64_t diff = sent > truth ? sent - truth : truth - sent;

	return diff * 20 < sent || !diff;
}

/* A master's advertised load is within 5 % of what it measured, or an update is
 * in flight to somebody. */
static void check_advertised(struct sim *sim, uint32_t node, uint32_t i,
			     const struct node_service_status *st)
{
	const struct sim_service *s = &sim->services[i];

	if (s->flags & NODE_SERVICE_USE_LOAD &&
	    !within(st->record.load, st->load))
		sim_fail(sim, "b%u measures load %u of service %u, told %u",
			 node, st->load, i, st->record.load);
	if (s->flags & NODE_SERVICE_USE_RESPONSE &&
	    !within(st->record.response_us, st->response_us))
		sim_fail(sim, "b%u measures %u us of service %u, told %u", node,
			 st->response_us, i, st->record.response_us);
}

/* Whoever has acknowledged the newest version uses it, or a newer one: so what
 * others balance by is what was advertised, or an update is in flight. Not who
 * forgot it with the service, while its master is away: seed 13470. */
static void check_acknowledged(struct sim *sim, uint32_t node, uint32_t i,
			       const struct node_service_status *st)
{
	const struct sim_service *s = &sim->services[i];
	struct node_service_status other;
	struct node_peer_status peer;
	uint32_t n;

	for (n = 0; n < sim->n_nodes; n++) {
		if (n == node || !sim->nodes[n].node ||
		    !(s->configured & 1u << n) || st->pending & 1u << n ||
		    sim->nodes[n].forgot[i / 32] >> i % 32 & 1 ||
		    node_peer_status(sim->nodes[node].node, n, &peer) ||
		    !peer.connected || peer.incarnation != sim->nodes[n].life ||
		    node_service_status(sim->nodes[n].node, s->entity,
					&other) ||
		    !other.record.view)
			continue;
		if (other.record.view < st->record.view ||
		    (other.record.view == st->record.view &&
		     other.record.seq < st->record.seq))
			sim_fail(sim,
				 "b%u acknowledged service %u %llu.%u of b%u, "
				 "uses %llu.%u",
				 n, i, (unsigned long long)st->record.view,
				 st->record.seq, node,
				 (unsigned long long)other.record.view,
				 other.record.seq);
	}
}

/* One service of one node in each step: all come round, at a bearable cost. */
static void check_remote(struct sim *sim, uint32_t node)
{
	uint32_t i = (uint32_t)(sim->stats.steps % sim->n_services);
	const struct sim_service *s = &sim->services[i];
	struct node_service_status st;

	if (!(s->configured & 1u << node) || s->flags & NODE_SERVICE_INTERNAL ||
	    s->churned + 3000 * MS > sim->now ||
	    node_service_status(sim->nodes[node].node, s->entity, &st) ||
	    !st.master)
		return;
	if (!st.pending)
		check_advertised(sim, node, i, &st);
	check_acknowledged(sim, node, i, &st);
}

void check_step(struct sim *sim, uint32_t node)
{
	struct node_status st;

	node_status(sim->nodes[node].node, &st);
	if (st.cached > sim->n_services / 2 + 1)
		sim_fail(sim, "b%u caches %u updates", node, st.cached);
	if (st.queued > 2 * 31 * (sim->n_services + st.cached))
		sim_fail(sim, "b%u queues %u updates", node, st.queued);
	if (st.conflicts)
		sim_fail(sim, "b%u met two masters of one version", node);
	check_remote(sim, node);
}

/* ---- convergence ------------------------------------------------------ */

static uint32_t operational(const struct sim *sim)
{
	uint32_t i, set = 0;
	struct node_status st;

	for (i = 0; i < sim->n_nodes; i++) {
		if (!sim_up(sim, i))
			continue;
		node_status(sim->nodes[i].node, &st);
		if (st.operational)
			set |= 1u << i;
	}
	return set;
}

static bool check_metrics(const struct sim_service *s,
			  const struct node_service_status *st)
{
	if (s->flags & NODE_SERVICE_USE_RESPONSE &&
	    !within(st->record.response_us, s->response_us))
		return false;
	return !(s->flags & NODE_SERVICE_USE_LOAD) ||
	       (within(st->record.load, s->load) &&
		!!(st->record.flags & STATE_LOAD_OVER) == s->over);
}

/* What node N should use as the state of S. */
static uint8_t expected(const struct sim *sim, const struct sim_service *s,
			uint32_t n, uint32_t members)
{
	uint32_t looks = s->configured & members;

	(void)sim;
	if (s->named && !s->place)
		return SVC_DOWN;
	if (!(s->flags & NODE_SERVICE_PATH) || s->state != SVC_UP)
		return s->state;
	if (s->flags & NODE_SERVICE_PATH_ANY)
		return looks & ~s->reachable ? SVC_DOWN : SVC_UP;
	return members & 1u << n && !(s->reachable & 1u << n) ? SVC_DOWN
							      : SVC_UP;
}

static bool check_address(const struct sim_service *s,
			  const struct node_service_status *st)
{
	union ip_addr addr = sim_addr(s->named ? s->place : 0);

	return ip_addr_equal(&st->record.addr, &addr);
}

static bool check_service(struct sim *sim, uint32_t i, uint32_t members,
			  char *why, size_t len)
{
	const struct sim_service *s = &sim->services[i];
	struct node_service_status st;
	uint32_t n, probers = 0, masters = 0;

	if (!(s->configured & members) || s->flags & NODE_SERVICE_INTERNAL)
		return true;
	for (n = 0; n < sim->n_nodes; n++) {
		if (!sim_up(sim, n) || !(s->configured & 1u << n))
			continue;
		if (sim->nodes[n].probing[i / 32] >> i % 32 & 1)
			probers |= 1u << n;
		if (node_service_status(sim->nodes[n].node, s->entity, &st)) {
			snprintf(why, len, "b%u lacks service %u", n, i);
			return false;
		}
		if (st.master)
			masters |= 1u << n;
		if (st.state != expected(sim, s, n, members)) {
			snprintf(why, len,
				 "b%u has service %u as %u, truth is %u (owner "
				 "b%u %llu.%u)",
				 n, i, st.state, s->state, st.record.owner,
				 (unsigned long long)st.record.view,
				 st.record.seq);
			return false;
		}
		if (!check_address(s, &st)) {
			snprintf(why, len,
				 "b%u has service %u at another address than "
				 "its name's, %u (owner b%u %llu.%u)",
				 n, i, s->place, st.record.owner,
				 (unsigned long long)st.record.view,
				 st.record.seq);
			return false;
		}
		if (!check_metrics(s, &st)) {
			snprintf(why, len,
				 "b%u has service %u at load %u, %u us; truth "
				 "is %u, %u",
				 n, i, st.record.load, st.record.response_us,
				 s->load, s->response_us);
			return false;
		}
	}
	if (__builtin_popcount(probers) != 1 || probers != masters ||
	    probers & ~members) {
		snprintf(why, len, "service %u is probed by %#x, masters %#x",
			 i, probers, masters);
		return false;
	}
	return true;
}

bool check_states(struct sim *sim, char *why, size_t len)
{
	uint32_t i, members = operational(sim);

	for (i = 0; i < sim->n_services; i++)
		if (!check_service(sim, i, members, why, len))
			return false;
	return true;
}

bool check_converged(struct sim *sim, char *why, size_t len)
{
	uint32_t i, want = 0, view_of = UINT32_MAX, left;
	struct node_status st;
	uint64_t view = 0;

	for (i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].admin == ADMIN_ACTIVE)
			want |= 1u << i;
	for (i = 0; i < sim->n_nodes; i++) {
		if (!sim_up(sim, i)) {
			snprintf(why, len, "b%u is down", i);
			return false;
		}
		node_status(sim->nodes[i].node, &st);
		if (view_of == UINT32_MAX)
			view = st.view;
		view_of = i;
		if (st.view != view || st.members != want ||
		    st.operational != (want >> i & 1)) {
			snprintf(why, len,
				 "b%u: view %llu (b0: %llu), members %#x of "
				 "%#x: %s",
				 i, (unsigned long long)st.view,
				 (unsigned long long)view, st.members, want,
				 node_reason_text(st.reason));
			for (left = want & ~st.members; left;
			     left &= left - 1) {
				struct node_peer_status ps;
				size_t at = strlen(why);
				uint32_t p = (uint32_t)__builtin_ctz(left);

				if (!node_peer_status(sim->nodes[i].node, p,
						      &ps) &&
				    at < len)
					snprintf(why + at, len - at,
						 "; b%u: %s", p,
						 node_reason_text(ps.reason));
			}
			return false;
		}
		if (st.queued) {
			snprintf(why, len, "b%u has %u updates under way", i,
				 st.queued);
			return false;
		}
	}
	return check_states(sim, why, len);
}
