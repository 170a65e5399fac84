/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table from XDP's side: look-up, insertion with its accounting, and
 * fragment trains. The algorithm is include/flowtab.h.
 */
#ifndef SLUICE_FLOWS_H
#define SLUICE_FLOWS_H

#include "compiler.h"
#include "maps.h"
#include "verdict.h"
#include "flowtab.h"
#include "fragment.h"
#include "lb.h"
#include "parse.h"
#include "scratch.h"
#include "steer_opts.h"

/* Adds to svc_load.conns; wraps below 0 while others count (map_abi.h). */
static __always_inline void flows_conns(__u32 service, bool opened)
{
	struct svc_load *load = bpf_map_lookup_elem(&svc_load, &service);

	if (!load)
		return;
	if (opened) {
		__sync_fetch_and_add(&load->conns, 1);
		__sync_fetch_and_add(&load->conns_total, 1);
	} else {
		__sync_fetch_and_add(&load->conns, (__u64)-1);
	}
}

/* The entry, or NULL; copy: see flowtab_probe. */
static __always_inline struct flow *
flows_find(__u32 hash, const union ip_addr *peer, __u64 tail, struct flow *copy)
{
	struct flowtab tab = { .mask = flow_mask };
	__u32 index = flowtab_set_index(&tab, hash);
	struct flow_set *set = flowtab_set(&tab, index);
	struct flow *f;

	if (!set)
		return NULL;
	f = flowtab_probe(set, hash, peer, tail, true, copy, NULL);
	if (unlikely(!f) && flowtab_overflowed(set)) {
		set = flowtab_set(&tab, index ^ 1);
		if (set)
			f = flowtab_probe(set, hash, peer, tail, true, copy,
					  NULL);
	}
	return f;
}

/* Of an entry that flows_find returned. */
static __always_inline __u32 flows_index(__u32 hash, const struct flow *f)
{
	struct flowtab tab = { .mask = flow_mask };
	__u32 index = flowtab_set_index(&tab, hash);
	struct flow_set *home = flowtab_set(&tab, index);
	struct flow_set *other = flowtab_set(&tab, index ^ 1);

	return home && other ? flowtab_index_of(&tab, f, home, other, hash) : 0;
}

/* Out of line, for slow paths: true and the copy. */
SUBPROG int flows_find_slow(__u32 hash, const union ip_addr *peer,
				      __u64 tail, struct flow *copy)
{
	if (!peer || !copy)
		return 0;
	return flows_find(hash, peer, tail, copy) != NULL;
}

static __always_inline void flows_count(const struct flowtab_change *ch)
{
	if (ch->stolen)
		count(CNT_FLOW_STOLEN);
	if (ch->overflow)
		count(CNT_FLOW_OVERFLOW);
	if (ch->evict == FLOWTAB_EVICT_NONE)
		return;
	count(ch->evict == FLOWTAB_EVICT_IDLE	? CNT_FLOW_EVICT_IDLE :
	      ch->evict == FLOWTAB_EVICT_CLOSED ? CNT_FLOW_EVICT_CLOSED :
	      ch->evict == FLOWTAB_EVICT_HALF	? CNT_FLOW_EVICT_NEW :
						  CNT_FLOW_EVICT_LIVE);
	if (flow_is_open(&ch->other))
		flows_conns(ch->other.service, false);
}

/* enum flowtab_result, with events and connections counted. */
SUBPROG int flows_insert(const struct flow *entry,
				   struct flowtab_change *ch)
{
	struct flowtab tab = { .mask = flow_mask };
	enum flowtab_result result;
	__u32 cpu = bpf_get_smp_processor_id();

	if (!entry || !ch)
		return FLOWTAB_LOCKED;
	result = flowtab_insert(&tab, entry, FLOW_WRITER_CPU(cpu),
				bpf_ktime_get_coarse_ns(), false, ch);
	if (result == FLOWTAB_EXISTED)
		return result;
	flows_count(ch);
	if (result == FLOWTAB_LOCKED) {
		count(CNT_FLOW_LOCKED);
		return result;
	}
	count(CNT_FLOW_INSERT);
	if (entry->key.kind == FLOW_FORWARD)
		flows_conns(entry->service, true);
	return result;
}

/* Removes the entry an insertion reported (not one of kind FORWARD). */
static __always_inline void flows_undo(__u32 index, __u32 word)
{
	struct flowtab tab = { .mask = flow_mask };
	struct flow_set *set = flowtab_set(&tab, index / FLOW_WAYS);

	if (set)
		flowtab_delete(&set->way[index % FLOW_WAYS], word);
}

/* A flow that is over is to be decided anew: its entry goes. */
static __always_inline void flows_forget(struct flow *f, const struct flow *copy)
{
	if (flowtab_delete(f, copy->word) &&
	    FLOW_ACTIVITY_TCP(copy->activity) < FLOW_TCP_FIN)
		flows_conns(copy->service, false);
}

/* ---- fragment trains ---------------------------------------------------- */

static __always_inline __u32 fragment_hash(const struct pkt *pkt)
{
	return fragment_hash_of(toeplitz, pkt);
}

static __always_inline void flow_key_from_tail(struct flow_key *key, __u64 tail)
{
	((__u64 *)(void *)key)[2] = tail;
}

/* First fragment: remembers the ports for the others. */
SUBPROG int fragment_record(const struct pkt *pkt, __u32 tick)
{
	struct scratch *s = scratch_get();
	struct flow *entry;

	if (!pkt || !s)
		return 0;
	entry = &s->flow;
	entry->hash = fragment_hash(pkt);
	entry->activity = FLOW_ACTIVITY(tick, FLOW_TCP_NONE, 0);
	entry->key.peer = pkt->src;
	flow_key_from_tail(&entry->key, fragment_tail_of(pkt));
	entry->pair_addr = pkt->dst;
	entry->pair_port = pkt->sport;
	entry->pair_id = pkt->dport;
	entry->service = 0;
	flows_insert(entry, &s->change);
	return 0;
}

/* Later fragment: fills the ports; 0: its first one is not known. */
SUBPROG int fragment_find(struct pkt *pkt)
{
	struct scratch *s = scratch_get();
	struct flow *copy;

	if (!pkt || !s)
		return 0;
	copy = &s->flow;
	if (!flows_find(fragment_hash(pkt), &pkt->src, fragment_tail_of(pkt),
			copy) ||
	    !ip_addr_equal(&copy->pair_addr, &pkt->dst))
		return 0;
	pkt->sport = copy->pair_port;
	pkt->dport = (__be16)copy->pair_id;
	return 1;
}

#endif
