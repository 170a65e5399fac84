// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flow set-up; see setup.h. The order is that of bpf/setup.h, so that a flow
 * has the same fate wherever it is decided: persistence, method, backup; for
 * NAT first the REVERSE entry, whose insertion claims the port, then the
 * FORWARD entry. Killed between the two, a port is taken until the entry
 * times out, nothing else. Engine thread.
 */
#include "engine/setup.h"

#include <string.h>
#include "engine/flows.h"
#include "engine/reply.h"
#include "nat.h"
#include "vip.h"

void setup_plan(const struct engine *engine, const struct pkt *pkt,
		const struct vserver *vs, const struct flow *copy,
		struct emit_plan *ret)
{
	const struct dp_conf *conf = engine->maps.conf;
	const struct service *svc =
		&engine->maps.services[copy->service % SERVICES_MAX];

	*ret = (struct emit_plan){ .mode = (enum fwd_mode)vs->mode };
	ret->to.dst = svc->addr;
	if (vs->mode == FWD_NAT) {
		ret->to.src = conf->nat[copy->pair_id % NAT_ADDRS_MAX];
		ret->to.sport = copy->pair_port;
		ret->to.dport = svc->port;
	} else if (vs->mode == FWD_DSR_L2) {
		ret->to.src = pkt->src;
	} else {
		ret->to.src = ip_addr_is_v4(&svc->addr) ? conf->tunnel_src4 :
							  conf->tunnel_src6;
	}
}

/* ---- which service ---- */

static uint32_t persisted(const struct engine *engine, const struct pkt *pkt,
			  uint32_t vserver)
{
	struct flow_key key;
	struct flow copy;
	uint32_t hash;

	flows_persist_key(engine, &pkt->src, vserver, pkt->proto, &key, &hash);
	if (!flows_find(engine, hash, &key, &copy) ||
	    !pick_takes(engine->pick, copy.service))
		return 0;
	return copy.service;
}

/* Remembers the choice, or renews it. */
static void persist(struct engine *engine, const struct pkt *pkt,
		    uint32_t vserver, uint32_t service, uint32_t activity)
{
	struct flow entry = { .service = service, .activity = activity };
	struct flowtab_change change;
	struct flow *f;

	flows_persist_key(engine, &pkt->src, vserver, pkt->proto, &entry.key,
			  &entry.hash);
	if (flows_insert(engine, &entry, &change) != FLOWTAB_EXISTED)
		return;
	f = &engine->flowtab.sets[change.index / FLOW_WAYS]
		     .way[change.index % FLOW_WAYS];
	if (change.other.service == service)
		write_once(f->activity, activity);
	else if (flows_delete(engine, f, &change.other))
		flows_insert(engine, &entry, &change);
}

static uint32_t choose(struct engine *engine, const struct engine_packet *packet,
		       const struct vserver *vs, uint32_t vserver)
{
	const struct pkt *pkt = &packet->pkt;
	uint32_t service = 0, by;

	if (vs->flags & VS_PERSIST)
		service = persisted(engine, pkt, vserver);
	if (service)
		return service;
	/* A flow without state elsewhere that is under way: the table leads
	 * all its packets to the same service, as it did before. */
	if (pkt->proto == PROTO_TCP && !(pkt->tcp_flags & TCP_SYN))
		return pick_stateless(engine->pick, vs, packet->meta.hash);
	return pick_service(engine->pick, vserver, packet->meta.hash, &pkt->src,
			    &by);
}

/* ---- entries ---- */

enum made { MADE, MADE_FAILED_PORT, MADE_FAILED_TABLE };

static struct flow *entry_at(const struct engine *engine, uint32_t index)
{
	return &engine->flowtab.sets[index / FLOW_WAYS].way[index % FLOW_WAYS];
}

/* Free ports are looked for so often before one of a closed connection is
 * taken: at 80 % of all ports in use, 1 of 36 flows comes to that. */
#define NAT_TRIES_FREE 16
/* Ticks (1 s) that a connection must have been closed for. */
#define NAT_REUSE_TICKS FLOW_TICKS_PER_S

/* A candidate port of a flow. */
struct candidate {
	struct flow entry; /* REVERSE */
	uint32_t index;	   /* into conf.nat */
	__be16 port;
};

static bool make_candidate(const struct engine *engine, const struct pkt *pkt,
			   uint32_t vserver, const struct flow *forward,
			   uint32_t attempt, struct candidate *ret)
{
	const struct service *svc = &engine->maps.services[forward->service];

	ret->port = nat_port_try(forward->hash, attempt);
	ret->index = nat_addr_try(engine->maps.conf, ip_addr_is_v4(&svc->addr),
				  forward->hash, attempt);
	if (ret->index >= NAT_ADDRS_MAX)
		return false;
	ret->entry = (struct flow){
		.activity = forward->activity,
		.pair_addr = pkt->src,
		.pair_port = pkt->sport,
		.pair_id = (uint16_t)vserver,
		.service = forward->service,
	};
	flows_reverse_key(engine, &svc->addr, svc->port, ret->index, ret->port,
			  pkt->proto, &ret->entry.key, &ret->entry.hash);
	return true;
}

static bool closed(const struct flow *f)
{
	return FLOW_ACTIVITY_TCP(f->activity) >= FLOW_TCP_FIN;
}

/* Its connection is over in both directions and waits for its time-out only.
 * Linux takes a new SYN in TIME_WAIT, or answers so that the next one works. */
static bool reusable(const struct engine *engine, const struct flow *reverse)
{
	struct flow twin;

	return closed(reverse) &&
	       flow_age(reverse->activity, flow_tick(engine->now_ns)) >=
		       NAT_REUSE_TICKS &&
	       (!flows_find_twin(engine, reverse, &twin) || closed(&twin));
}

static void use_candidate(const struct candidate *c, struct flow *forward)
{
	forward->pair_port = c->port;
	forward->pair_id = (uint16_t)c->index;
}

/* Claims a NAT port; forward->pair_port and pair_id are the FORWARD entry's
 * then. */
static enum made make_reverse(struct engine *engine, const struct pkt *pkt,
			      uint32_t vserver, struct flow *forward,
			      struct flowtab_change *change)
{
	struct flowtab_change old;
	struct candidate c, spare;
	bool has_spare = false;

	for (uint32_t n = 0; n < NAT_TRIES_ENGINE; n++) {
		enum flowtab_result result;

		if (n >= NAT_TRIES_FREE && has_spare)
			break;
		if (!make_candidate(engine, pkt, vserver, forward, n, &c))
			return MADE_FAILED_PORT;
		result = flows_insert(engine, &c.entry, change);
		if (result == FLOWTAB_LOCKED)
			return MADE_FAILED_TABLE;
		if (result == FLOWTAB_INSERTED) {
			use_candidate(&c, forward);
			return MADE;
		}
		if (!has_spare && reusable(engine, &change->other)) {
			has_spare = true;
			spare = c;
			old = *change;
		}
	}
	if (!has_spare)
		return MADE_FAILED_PORT;
	flows_delete_pair(engine, entry_at(engine, old.index), &old.other);
	if (flows_insert(engine, &spare.entry, change) != FLOWTAB_INSERTED)
		return MADE_FAILED_PORT;
	use_candidate(&spare, forward);
	return MADE;
}

/* Writes the flow's entries. FORWARD comes back as it stands in the table,
 * also if another engine or XDP was faster. */
static enum made make_flow(struct engine *engine, const struct pkt *pkt,
			   const struct vserver *vs, uint32_t vserver,
			   struct flow *forward)
{
	struct flowtab_change reverse, change;
	bool nat = vs->mode == FWD_NAT;
	enum flowtab_result result;
	enum made made;

	if (nat) {
		made = make_reverse(engine, pkt, vserver, forward, &reverse);
		if (made != MADE)
			return made;
	}
	result = flows_insert(engine, forward, &change);
	if (result == FLOWTAB_INSERTED)
		return MADE;
	if (nat)
		flowtab_delete(entry_at(engine, reverse.index), reverse.word);
	if (result == FLOWTAB_LOCKED)
		return MADE_FAILED_TABLE;
	*forward = change.other;
	return MADE;
}

static void refuse(struct engine *engine, struct engine_packet *packet,
		   const struct vserver *vs)
{
	engine->info->setup_failures++;
	if (vs->flags & VS_DOWN_RESET)
		reply_refuse(engine, packet, DROP_NO_SERVICE);
	else
		engine_drop(engine, packet, DROP_NO_SERVICE);
}

static void new_flow(struct engine *engine, struct engine_packet *packet,
		     const struct vserver *vs, uint32_t vserver,
		     const struct flow_key *key)
{
	const struct pkt *pkt = &packet->pkt;
	bool tcp = pkt->proto == PROTO_TCP;
	bool syn = tcp && pkt->tcp_flags & TCP_SYN;
	uint32_t flags = (vs->mode == FWD_NAT ? FLOW_F_NAT : 0) |
			 (vs->setup == SETUP_INSPECT ? FLOW_F_INSPECT : 0);
	struct flow forward = { .hash = packet->meta.hash, .key = *key };
	struct emit_plan plan;

	/* NAT without an entry has lost its port: nobody can go on with it.
	 * Others may (RST makes no flow: it only ends one). */
	if (tcp && !syn && (vs->mode == FWD_NAT || pkt->tcp_flags & TCP_RST)) {
		reply_refuse(engine, packet, DROP_MID_FLOW);
		return;
	}
	forward.service = choose(engine, packet, vs, vserver);
	if (!forward.service) {
		refuse(engine, packet, vs);
		return;
	}
	forward.activity = FLOW_ACTIVITY(flow_tick(engine->now_ns),
					 syn ? FLOW_TCP_SYN : FLOW_TCP_NONE,
					 flags);
	switch (make_flow(engine, pkt, vs, vserver, &forward)) {
	case MADE:
		break;
	case MADE_FAILED_PORT:
		engine->info->setup_failures++;
		engine_drop(engine, packet, DROP_NO_NAT);
		return;
	case MADE_FAILED_TABLE:
		engine->info->setup_failures++;
		engine_drop(engine, packet, DROP_TABLE);
		return;
	}
	engine->info->setups++;
	if (vs->flags & VS_PERSIST)
		persist(engine, pkt, vserver, forward.service,
			forward.activity & 0xffffff);
	setup_plan(engine, pkt, vs, &forward, &plan);
	emit_forward(engine, packet, &plan);
}

/* A connection that begins where an earlier one ended, or where its service
 * takes none, is decided anew (XDP does the same). */
static bool restarts(const struct engine *engine, const struct pkt *pkt,
		     const struct flow *copy)
{
	if ((pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return false;
	return FLOW_ACTIVITY_TCP(copy->activity) >= FLOW_TCP_FIN ||
	       engine->maps.services[copy->service % SERVICES_MAX].state !=
		       SVC_UP;
}

static const struct vserver *vserver_of(const struct engine *engine,
					const struct engine_packet *packet)
{
	const struct vserver *vs;

	if (!packet->meta.vserver || packet->meta.vserver >= VSERVERS_MAX)
		return NULL;
	vs = &engine->maps.vservers[packet->meta.vserver];
	/* The id may have been given to another since XDP looked. */
	if (!ip_addr_equal(&vs->addr, &packet->pkt.dst) ||
	    vs->port != packet->pkt.dport || vs->proto != packet->pkt.proto)
		return NULL;
	return vs;
}

void setup_packet(struct engine *engine, struct engine_packet *packet)
{
	const struct vserver *vs = vserver_of(engine, packet);
	uint32_t vserver = packet->meta.vserver;
	struct emit_plan plan;
	struct flow_key key;
	struct flow copy, *f;

	if (!vs) {
		engine_drop(engine, packet, DROP_NO_VSERVER);
		return;
	}
	if (!(vs->flags & VS_ENABLED)) {
		refuse(engine, packet, vs);
		return;
	}
	flows_forward_key(&packet->pkt, vserver, &key);
	f = flows_find(engine, packet->meta.hash, &key, &copy);
	if (f && restarts(engine, &packet->pkt, &copy)) {
		flows_delete_pair(engine, f, &copy);
		f = NULL;
	}
	if (!f) {
		new_flow(engine, packet, vs, vserver, &key);
		return;
	}
	setup_plan(engine, &packet->pkt, vs, &copy, &plan);
	emit_forward(engine, packet, &plan);
}

void setup_flush(struct engine *engine, struct engine_packet *packet)
{
	const struct vserver *vs = vserver_of(engine, packet);
	const struct pkt *pkt = &packet->pkt;
	struct flow_key key;
	struct flow copy, *f = NULL;
	uint32_t index, hash;

	if (vs) {
		flows_forward_key(pkt, packet->meta.vserver, &key);
		f = flows_find(engine, packet->meta.hash, &key, &copy);
	} else if (vip_find(engine->maps.vips, &pkt->dst, 0, 0, &index) ==
		   VIP_NAT) {
		flows_reverse_key(engine, &pkt->src, pkt->sport, index,
				  pkt->dport, pkt->proto, &key, &hash);
		f = flows_find(engine, hash, &key, &copy);
	}
	/* Without a flow XDP found no service for a new one, or things have
	 * changed meanwhile: decide now. */
	if (vs && (!f || engine->maps.services[copy.service % SERVICES_MAX]
					 .state != SVC_DOWN)) {
		setup_packet(engine, packet);
		return;
	}
	if (f)
		flows_delete_pair(engine, f, &copy);
	reply_refuse(engine, packet, DROP_NO_SERVICE);
}
