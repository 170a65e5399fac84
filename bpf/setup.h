/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets without a flow entry: to an engine, or, with set-up in the kernel or
 * where no engine is left, decided here: persistence, look-up table, NAT port,
 * flow entries.
 */
#ifndef SLUICE_SETUP_H
#define SLUICE_SETUP_H

#include "compiler.h"
#include "flows.h"
#include "forward.h"
#include "lb.h"
#include "maps.h"
#include "nat.h"
#include "parse.h"
#include "scratch.h"
#include "to_engine.h"
#include "verdict.h"

/* Slots of the look-up table tried until one leads to a service that takes
 * flows: the daemon takes services that do not out of the table at once. */
#define SETUP_TRIES 4

static __always_inline bool setup_takes(__u32 id)
{
	struct service *svc = bpf_map_lookup_elem(&services, &id);
	struct svc_load *load;

	if (!id || !svc || read_once(svc->state) != SVC_UP)
		return false;
	if (!svc->conns_max)
		return true;
	load = bpf_map_lookup_elem(&svc_load, &id);
	return load && (__s64)read_once(load->conns) < (__s64)svc->conns_max;
}

/* A service by the vserver's table, or 0. */
SUBPROG int setup_by_table(const struct vserver *vs, __u32 hash)
{
	__u32 i, off, len, key, *id;
	__u64 span;

	if (!vs)
		return 0;
	span = read_once(vs->lb);
	off = SPAN_OFF(span);
	len = SPAN_LEN(span);
	if (!len)
		return 0;
	for (i = 0; i < SETUP_TRIES; i++) {
		key = off + lb_slot_try(hash, i, len);
		id = bpf_map_lookup_elem(&lb_table, &key);
		if (id && setup_takes(read_once(*id)))
			return (int)read_once(*id);
	}
	return 0;
}

static __always_inline __u32 setup_persist_hash(const struct vserver *vs,
						const union ip_addr *src)
{
	return toeplitz_src(toeplitz, ip_addr_is_v4(src), src, 0) ^
	       vs->hash_dst;
}

/* The service for a new flow, or 0. `scratch` is used for look-ups. */
SUBPROG int setup_choose(const struct pkt *pkt, __u32 vs_id,
				   struct flow *scratch)
{
	struct vserver *vs = bpf_map_lookup_elem(&vservers, &vs_id), *backup;
	__u32 hash, backup_id;
	int service;

	if (!pkt || !vs || !scratch)
		return 0;
	if (vs->flags & VS_PERSIST) {
		__u64 tail = flow_key_tail(0, 0, (__u16)vs_id, FLOW_PERSIST,
					   pkt->proto);

		hash = setup_persist_hash(vs, &pkt->src);
		if (flows_find_slow(hash, &pkt->src, tail, scratch) &&
		    setup_takes(scratch->service))
			return (int)scratch->service;
	}
	hash = vs->method == LB_SOURCE_HASH ? lb_hash_source(&pkt->src) :
					      pkt->hash;
	service = setup_by_table(vs, hash);
	backup_id = vs->backup;
	if (service || !backup_id)
		return service;
	backup = bpf_map_lookup_elem(&vservers, &backup_id);
	return backup ? setup_by_table(backup, hash) : 0;
}

/* Source persistence: remembers the choice, or renews it. */
SUBPROG int setup_persist(const struct pkt *pkt, __u32 vs_id,
				    struct flow *entry,
				    struct flowtab_change *ch)
{
	struct vserver *vs = bpf_map_lookup_elem(&vservers, &vs_id);
	struct flowtab tab = { .mask = flow_mask };
	struct flow_set *set;

	if (!pkt || !vs || !entry || !ch || !(vs->flags & VS_PERSIST))
		return 0;
	entry->hash = setup_persist_hash(vs, &pkt->src);
	entry->key.peer = pkt->src;
	flow_key_from_tail(&entry->key,
			   flow_key_tail(0, 0, (__u16)vs_id, FLOW_PERSIST,
					 pkt->proto));
	entry->pair_port = 0;
	entry->pair_id = 0;
	if (flows_insert(entry, ch) != FLOWTAB_EXISTED)
		return 0;
	set = flowtab_set(&tab, ch->index / FLOW_WAYS);
	if (!set)
		return 0;
	if (ch->other.service == entry->service)
		write_once(set->way[ch->index % FLOW_WAYS].activity,
			   entry->activity);
	else if (flowtab_delete(&set->way[ch->index % FLOW_WAYS], ch->word))
		flows_insert(entry, ch);
	return 0;
}

/* Index of the n-th try's NAT address. A function of its own: the verifier
 * then walks its loops once and not once per try. */
SUBPROG int setup_nat_addr(__u32 v4, __u32 hash, __u32 attempt)
{
	__u32 zero = 0;
	struct dp_conf *cfg = bpf_map_lookup_elem(&conf, &zero);

	return cfg ? (int)nat_addr_try(cfg, v4, hash, attempt) : NAT_ADDRS_MAX;
}

/* Gets a NAT port: the REVERSE entry is in the table after it. On success the
 * flow's NAT port and address index are in entry->pair_*. */
SUBPROG int setup_nat(const struct pkt *pkt, __u32 service,
				__u16 vs_id, struct flow *entry,
				struct flowtab_change *ch)
{
	struct service *svc = bpf_map_lookup_elem(&services, &service);
	__u32 zero = 0, i, index;
	struct dp_conf *cfg = bpf_map_lookup_elem(&conf, &zero);
	int result;

	if (!pkt || !svc || !cfg || !entry || !ch)
		return -1;
	entry->pair_addr = pkt->src;
	entry->pair_port = pkt->sport;
	entry->pair_id = vs_id;
	entry->key.peer = svc->addr;
	for (i = 0; i < NAT_TRIES_XDP; i++) {
		__be16 port = nat_port_try(pkt->hash, i);

		index = (__u32)setup_nat_addr(ip_addr_is_v4(&svc->addr),
					      pkt->hash, i);
		if (index >= NAT_ADDRS_MAX)
			return -1;
		entry->hash = toeplitz_hash(toeplitz, &svc->addr,
					    &cfg->nat[index], svc->port, port);
		flow_key_from_tail(&entry->key,
				   flow_key_tail(svc->port, port, (__u16)index,
						 FLOW_REVERSE, pkt->proto));
		result = flows_insert(entry, ch);
		if (result == FLOWTAB_LOCKED)
			return -1;
		if (result == FLOWTAB_INSERTED) {
			entry->pair_port = port;
			entry->pair_id = (__u16)index;
			return 0;
		}
	}
	return -1;
}

/* No service takes new flows. */
static __always_inline int setup_no_service(struct xdp_md *ctx,
					    const struct pkt *pkt,
					    const struct vserver *vs,
					    struct forward *fwd)
{
	if (vs->flags & VS_DOWN_RESET)
		return to_engine(ctx, pkt, fwd, STEER_NO_SERVICE);
	return DROP(NO_SERVICE);
}

/* Set-up in XDP. 0: entry and its service are filled, go on; else a verdict.
 * entry comes in zeroed. */
SUBPROG int setup_kernel(struct xdp_md *ctx, const struct pkt *pkt,
				   struct forward *fwd, struct flow *entry)
{
	__u32 vs_id, service, tcp, flags, reverse_word, reverse_index;
	struct scratch *s = scratch_get();
	struct flowtab_change *ch;
	struct vserver *vs;
	int result;

	if (!pkt || !fwd || !entry || !s)
		return DROP(MAP);
	ch = &s->change;
	vs_id = fwd->vserver;
	vs = bpf_map_lookup_elem(&vservers, &vs_id);
	if (!vs)
		return DROP(MAP);
	service = (__u32)setup_choose(pkt, vs_id, entry);
	if (!service)
		return setup_no_service(ctx, pkt, vs, fwd);
	tcp = pkt->proto == PROTO_TCP && pkt->tcp_flags & TCP_SYN ?
		      FLOW_TCP_SYN : FLOW_TCP_NONE;
	flags = vs->mode == FWD_NAT ? FLOW_F_NAT : 0;
	entry->activity = FLOW_ACTIVITY(fwd->tick, tcp, flags);
	entry->service = service;
	entry->pair_port = 0;
	entry->pair_id = 0;
	if (vs->mode == FWD_NAT &&
	    setup_nat(pkt, service, (__u16)vs_id, entry, ch))
		/* An engine has more patience, and more ports to try. */
		return to_engine(ctx, pkt, fwd, STEER_NEW);
	entry->hash = pkt->hash;
	entry->key.peer = pkt->src;
	flow_key_from_tail(&entry->key,
			   flow_key_tail(pkt->sport, 0, (__u16)vs_id,
					 FLOW_FORWARD, pkt->proto));
	__builtin_memset(&entry->pair_addr, 0, sizeof(entry->pair_addr));
	reverse_index = ch->index;
	reverse_word = ch->word;
	result = flows_insert(entry, ch);
	if (result != FLOWTAB_INSERTED && vs->mode == FWD_NAT)
		flows_undo(reverse_index, reverse_word);
	if (result == FLOWTAB_EXISTED) {
		/* Another CPU was faster: its choice stands. */
		entry->service = ch->other.service;
		entry->pair_port = ch->other.pair_port;
		entry->pair_id = ch->other.pair_id;
		return 0;
	}
	if (result == FLOWTAB_LOCKED)
		/* Stateless is as good while the table stands still. */
		return vs->mode == FWD_NAT ?
			       to_engine(ctx, pkt, fwd, STEER_NEW) : 0;
	if (vs->flags & VS_PERSIST) {
		__be16 port = entry->pair_port;
		__u16 id = entry->pair_id;

		setup_persist(pkt, vs_id, entry, ch);
		entry->pair_port = port;
		entry->pair_id = id;
	}
	return 0;
}

/* Whether XDP may begin a flow with this packet. */
static __always_inline bool setup_here(const struct vserver *vs,
				       const struct pkt *pkt)
{
	if (pkt->proto != PROTO_TCP)
		return true;
	if ((pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return true;
	/* Without state at the service's side of us, the table leads every
	 * packet of a flow to the same service: mid-flow packets survive the
	 * loss of the entry. */
	return vs->mode != FWD_NAT && !(pkt->tcp_flags & TCP_RST);
}

#endif
