// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's side of the flow table; see flows.h. Every entry that comes or
 * goes through here is accounted for here: svc_load.conns counts open flows
 * (flow_is_open), whoever writes or removes them.
 */
#include "engine/flows.h"

#include <string.h>
#include "fragment.h"

static void key_from_tail(struct flow_key *key, uint64_t tail)
{
	memcpy((char *)key + 16, &tail, sizeof(tail));
}

void flows_forward_key(const struct pkt *pkt, uint32_t vserver,
		       struct flow_key *ret)
{
	ret->peer = pkt->src;
	key_from_tail(ret, flow_key_tail(pkt->sport, 0, (uint16_t)vserver,
					 FLOW_FORWARD, pkt->proto));
}

void flows_reverse_key(const struct engine *engine, const union ip_addr *service,
		       __be16 service_port, uint32_t nat_index, __be16 nat_port,
		       uint8_t proto, struct flow_key *ret, uint32_t *ret_hash)
{
	const union ip_addr *nat =
		&engine->maps.conf->nat[nat_index % NAT_ADDRS_MAX];

	ret->peer = *service;
	key_from_tail(ret, flow_key_tail(service_port, nat_port,
					 (uint16_t)nat_index, FLOW_REVERSE,
					 proto));
	*ret_hash = toeplitz_hash(engine->toeplitz, service, nat, service_port,
				  nat_port);
}

void flows_persist_key(const struct engine *engine, const union ip_addr *client,
		       uint32_t vserver, uint8_t proto, struct flow_key *ret,
		       uint32_t *ret_hash)
{
	ret->peer = *client;
	key_from_tail(ret, flow_key_tail(0, 0, (uint16_t)vserver, FLOW_PERSIST,
					 proto));
	*ret_hash = flows_forward_hash(engine, client, 0, vserver);
}

uint32_t flows_forward_hash(const struct engine *engine,
			    const union ip_addr *client, __be16 port,
			    uint32_t vserver)
{
	return toeplitz_src(engine->toeplitz, ip_addr_is_v4(client), client,
			    port) ^
	       engine->maps.vservers[vserver % VSERVERS_MAX].hash_dst;
}

struct flow *flows_find(const struct engine *engine, uint32_t hash,
			const struct flow_key *key, struct flow *ret_copy)
{
	return flowtab_find(&engine->flowtab, hash, key, ret_copy, NULL);
}

struct flow *flows_find_twin(const struct engine *engine,
			     const struct flow *copy, struct flow *ret_twin)
{
	const struct service *svc =
		&engine->maps.services[copy->service % SERVICES_MAX];
	struct flow_key key;
	uint32_t hash;
	struct flow *f;

	if (copy->key.kind == FLOW_FORWARD) {
		flows_reverse_key(engine, &svc->addr, svc->port, copy->pair_id,
				  copy->pair_port, copy->key.proto, &key,
				  &hash);
		f = flows_find(engine, hash, &key, ret_twin);
		/* Its port may be another flow's by now. */
		if (f && (ret_twin->pair_id != copy->key.id ||
			  ret_twin->pair_port != copy->key.sport ||
			  !ip_addr_equal(&ret_twin->pair_addr,
					 &copy->key.peer)))
			return NULL;
		return f;
	}
	key.peer = copy->pair_addr;
	key_from_tail(&key, flow_key_tail(copy->pair_port, 0, copy->pair_id,
					  FLOW_FORWARD, copy->key.proto));
	hash = flows_forward_hash(engine, &key.peer, copy->pair_port,
				  copy->pair_id);
	f = flows_find(engine, hash, &key, ret_twin);
	if (f && (ret_twin->pair_id != copy->key.id ||
		  ret_twin->pair_port != copy->key.dport ||
		  ret_twin->service != copy->service))
		return NULL;
	return f;
}

static void count_opened(struct engine *engine, uint32_t service)
{
	struct svc_load *load = &engine->maps.svc_load[service % SERVICES_MAX];

	__atomic_fetch_add(&load->conns, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&load->conns_total, 1, __ATOMIC_RELAXED);
}

static void count_closed(struct engine *engine, const struct flow *copy)
{
	struct svc_load *load =
		&engine->maps.svc_load[copy->service % SERVICES_MAX];

	if (flow_is_open(copy))
		__atomic_fetch_sub(&load->conns, 1, __ATOMIC_RELAXED);
}

/* An entry had to make room. Half a NAT flow would be worse than none: the
 * client would wait for answers that find no way back, instead of being set up
 * anew (or told to go). */
static void evicted(struct engine *engine, const struct flowtab_change *change)
{
	struct engine_info *info = engine->info;
	struct flow twin, *t;

	switch ((enum flowtab_evict)change->evict) {
	case FLOWTAB_EVICT_NONE:
		return;
	case FLOWTAB_EVICT_IDLE:
		info->evict_idle++;
		break;
	case FLOWTAB_EVICT_CLOSED:
		info->evict_closed++;
		break;
	case FLOWTAB_EVICT_HALF:
		info->evict_half++;
		break;
	case FLOWTAB_EVICT_LIVE:
		info->evict_live++;
		break;
	}
	count_closed(engine, &change->other);
	if (!(FLOW_ACTIVITY_FLAGS(change->other.activity) & FLOW_F_NAT) ||
	    change->other.key.kind > FLOW_REVERSE)
		return;
	t = flows_find_twin(engine, &change->other, &twin);
	if (t)
		flows_delete(engine, t, &twin);
}

enum flowtab_result flows_insert(struct engine *engine,
				 const struct flow *entry,
				 struct flowtab_change *change)
{
	enum flowtab_result result;

	result = flowtab_insert(&engine->flowtab, entry,
				FLOW_WRITER_ENGINE(engine->slot),
				engine->now_ns, true, change);
	engine->info->lock_stolen += change->stolen;
	if (result == FLOWTAB_EXISTED)
		return result;
	evicted(engine, change);
	if (result == FLOWTAB_INSERTED && flow_is_open(entry))
		count_opened(engine, entry->service);
	return result;
}

bool flows_delete(struct engine *engine, struct flow *f,
		  const struct flow *copy)
{
	if (!flowtab_delete(f, copy->word))
		return false;
	count_closed(engine, copy);
	return true;
}

void flows_delete_pair(struct engine *engine, struct flow *f,
		       const struct flow *copy)
{
	struct flow twin, *t = NULL;

	if (FLOW_ACTIVITY_FLAGS(copy->activity) & FLOW_F_NAT)
		t = flows_find_twin(engine, copy, &twin);
	flows_delete(engine, f, copy);
	if (t)
		flows_delete(engine, t, &twin);
}

bool flows_fragment_ports(const struct engine *engine, struct pkt *pkt)
{
	struct flow_key key = { .peer = pkt->src };
	struct flow copy;

	key_from_tail(&key, fragment_tail_of(pkt));
	if (!flows_find(engine, fragment_hash_of(engine->toeplitz, pkt), &key,
			&copy) ||
	    !ip_addr_equal(&copy.pair_addr, &pkt->dst))
		return false;
	pkt->sport = copy.pair_port;
	pkt->dport = (__be16)copy.pair_id;
	return true;
}
