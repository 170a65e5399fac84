/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The order of steps is that of steer_packet(), steer_flow() and flow_miss().
 * Whether an engine's socket is there cannot be asked from user space (XSKMAP
 * look-ups are refused); an engine counts as there if its state and heartbeat
 * say so.
 */
#include "bpf/flow_where.h"

#include <netinet/in.h>
#include <string.h>
#include "flowtab.h"
#include "hash.h"
#include "lb.h"

#define TRIES 4 /* SETUP_TRIES of bpf/setup.h */

static uint32_t live_engine(const struct maps *maps,
			    const struct core_bucket *bucket, uint64_t now)
{
	const struct engine_info *e;
	uint32_t silent = ENGINE_NONE;
	size_t i;

	for (i = 0; i < ENGINE_PREFS && bucket->pref[i] < ENGINES_MAX; i++) {
		e = &maps->engines[bucket->pref[i]];
		if (e->state != ENGINE_RUNNING)
			continue;
		if ((int64_t)(now - e->heartbeat_ns) <=
		    (int64_t)ENGINE_SILENT_NS)
			return bucket->pref[i];
		if (silent == ENGINE_NONE)
			silent = bucket->pref[i];
	}
	return silent;
}

static bool takes(const struct maps *maps, uint32_t id)
{
	const struct service *s;

	if (!id || id >= SERVICES_MAX)
		return false;
	s = &maps->services[id];
	return s->state == SVC_UP &&
	       (!s->conns_max || (int64_t)maps->svc_load[id].conns <
					 (int64_t)s->conns_max);
}

static uint32_t by_table(const struct maps *maps, const struct vserver *vs,
			 uint32_t hash)
{
	uint64_t span = vs->lb;
	uint32_t i, id;

	for (i = 0; SPAN_LEN(span) && i < TRIES; i++) {
		id = *maps_lb(maps, SPAN_OFF(span) +
					    lb_slot_try(hash, i,
							SPAN_LEN(span)));
		if (takes(maps, id))
			return id;
	}
	return 0;
}

/* Whether XDP decides, because it is asked to or no engine is left. */
static bool by_xdp(const struct vserver *vs, const struct flow_where *w)
{
	return vs->setup == SETUP_KERNEL ||
	       (vs->setup == SETUP_ENGINE && w->engine == ENGINE_NONE);
}

static void choose(const struct maps *maps, const uint32_t *toeplitz,
		   const struct flowtab *tab,
		   const struct flow_where_query *q, struct flow_where *w)
{
	const struct vserver *vs = &maps->vservers[w->vserver];
	struct flow_key key = { .peer = q->src,
				.id = w->vserver,
				.kind = FLOW_PERSIST,
				.proto = q->proto };
	struct flow copy;
	uint32_t hash;

	if (vs->flags & VS_PERSIST) {
		hash = toeplitz_src(toeplitz, ip_addr_is_v4(&q->src), &q->src,
				    0) ^
		       vs->hash_dst;
		if (flowtab_find(tab, hash, &key, &copy, NULL) &&
		    takes(maps, copy.service)) {
			w->service = copy.service;
			w->persisted = true;
			return;
		}
	}
	/* Engines have counters of their own for these. */
	if (!by_xdp(vs, w) && vs->method != LB_MAGLEV &&
	    vs->method != LB_SOURCE_HASH)
		return;
	hash = vs->method == LB_SOURCE_HASH ? lb_hash_source(&q->src) : w->hash;
	w->service = by_table(maps, vs, hash);
	if (!w->service && vs->backup && vs->backup < VSERVERS_MAX) {
		w->service = by_table(maps, &maps->vservers[vs->backup], hash);
		w->backup = w->service != 0;
	}
}

static void miss(const struct maps *maps, const uint32_t *toeplitz,
		 const struct flowtab *tab, const struct flow_where_query *q,
		 struct flow_where *w)
{
	const struct vserver *vs = &maps->vservers[w->vserver];

	w->verdict = FLOW_WHERE_NO_SERVICE;
	if (!(vs->flags & VS_ENABLED))
		return;
	choose(maps, toeplitz, tab, q, w);
	if (by_xdp(vs, w))
		w->verdict = w->service ? FLOW_WHERE_SETUP :
					  FLOW_WHERE_NO_SERVICE;
	else
		w->verdict = w->engine == ENGINE_NONE ? FLOW_WHERE_NO_ENGINE :
							FLOW_WHERE_ENGINE;
}

static void find_entry(const struct maps *maps, const struct flowtab *tab,
		       const struct flow_where_query *q, uint32_t index,
		       struct flow_where *w)
{
	struct flow_key key = { .peer = q->src,
				.sport = q->sport,
				.id = index,
				.kind = FLOW_FORWARD,
				.proto = q->proto };

	if (w->kind == VIP_NAT) {
		key.kind = FLOW_REVERSE;
		key.dport = q->dport;
	}
	w->found = flowtab_find(tab, w->hash, &key, &w->entry, NULL);
	if (!w->found)
		return;
	w->service = w->entry.service;
	if (w->kind == VIP_NAT)
		w->vserver = w->entry.pair_id;
	w->verdict = FLOW_WHERE_FORWARD;
}

void flow_where(const struct maps *maps, const uint32_t *toeplitz,
		const struct flow_where_query *q, uint64_t now,
		struct flow_where *ret)
{
	struct flow_where w = { .verdict = FLOW_WHERE_PASS,
				.engine = ENGINE_NONE };
	struct flowtab tab = { .mask = maps->flow_sets - 1,
			       .sets = maps->flows,
			       .vservers = maps->vservers };
	bool v4 = ip_addr_is_v4(&q->dst);
	uint32_t index = 0;

	memset(w.engines, ENGINE_NONE, sizeof(w.engines));
	w.kind = vip_find(maps->vips, &q->dst, q->dport, q->proto, &index);
	if (w.kind == VIP_NONE)
		w.kind = vip_find(maps->vips, &q->dst, 0, 0, &index);
	w.hash = toeplitz_hash(toeplitz, &q->src, &q->dst, q->sport, q->dport);
	if (w.kind == VIP_VSERVER && index < VSERVERS_MAX) {
		w.vserver = index;
		w.hash = toeplitz_src(toeplitz, v4, &q->src, q->sport) ^
			 maps->vservers[index].hash_dst;
	}
	w.node_bucket = w.hash & (NODE_BUCKETS - 1);
	w.core_bucket = w.hash >> NODE_BUCKET_BITS & (CORE_BUCKETS - 1);
	w.node = maps_node_bucket(maps, w.node_bucket)->owner;
	memcpy(w.engines, maps_core_bucket(maps, w.core_bucket)->pref,
	       sizeof(w.engines));
	w.engine = live_engine(maps, maps_core_bucket(maps, w.core_bucket),
			       now);
	if (w.kind == VIP_NAT || w.kind == VIP_VSERVER) {
		find_entry(maps, &tab, q, index, &w);
		if (w.kind == VIP_VSERVER && w.node != maps->conf->node_id &&
		    maps->nodes[w.node % NODES_MAX].flags & NODE_PRESENT)
			w.verdict = FLOW_WHERE_NODE;
		else if (w.kind == VIP_VSERVER && !w.found)
			miss(maps, toeplitz, &tab, q, &w);
	}
	*ret = w;
}
