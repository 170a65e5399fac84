/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a flow entry means, apart from the table it lies in: its key as words,
 * its clock, its TCP state, and how long it may be idle. XDP, engines and the
 * daemon's answers share it.
 */
#ifndef SLUICE_FLOW_RULES_H
#define SLUICE_FLOW_RULES_H

#include "compiler.h"
#include "flow.h"
#include "map_abi.h"

/* XDP writes activity only if it is this old: time-outs are longer by it. */
#define FLOW_ACTIVITY_SLACK 7
/* A fragment train is complete or lost after that. RFC 8200: 60 s at most. */
#define FLOW_FRAGMENT_S 30

/* sport, dport, id, kind and proto of a key, as they lie in memory. */
static __always_inline __u64 flow_key_tail(__be16 sport, __be16 dport, __u16 id,
					   __u8 kind, __u8 proto)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)sport | (__u64)dport << 16 | (__u64)id << 32 |
	       (__u64)kind << 48 | (__u64)proto << 56;
#else
	return (__u64)sport << 48 | (__u64)dport << 32 | (__u64)id << 16 |
	       (__u64)kind << 8 | (__u64)proto;
#endif
}

static __always_inline __u64 flow_key_tail_of(const struct flow_key *key)
{
	return flow_key_tail(key->sport, key->dport, key->id, key->kind,
			     key->proto);
}

static __always_inline __u32 flow_tick(__u64 now_ns)
{
	return (__u32)(now_ns >> FLOW_TICK_SHIFT) & 0xffffff;
}

/* Ticks since; a tick from the future (clocks read in another order) is 0. */
static __always_inline __u32 flow_age(__u32 activity, __u32 now_tick)
{
	__u32 age = (now_tick - FLOW_ACTIVITY_TICK(activity)) & 0xffffff;

	return age & 0x800000 ? 0 : age;
}

/* TCP state after a packet of either direction. */
static __always_inline __u32 flow_tcp_next(__u32 state, __u8 tcp_flags)
{
	if (tcp_flags & 0x04)
		return FLOW_TCP_RST;
	if (state == FLOW_TCP_RST)
		return state;
	if (tcp_flags & 0x01)
		return FLOW_TCP_FIN;
	if (state == FLOW_TCP_SYN && !(tcp_flags & 0x02))
		return FLOW_TCP_ESTABLISHED;
	return state;
}

/* Counted in svc_load.conns: a client's flow that has not seen FIN or RST.
 * The step out of it is counted by whoever makes it: the CAS that stores FIN
 * or RST, or the removal of an entry that is still open. */
static __always_inline bool flow_is_open(const struct flow *f)
{
	return f->key.kind == FLOW_FORWARD &&
	       FLOW_ACTIVITY_TCP(f->activity) < FLOW_TCP_FIN;
}

/* Seconds an entry may be idle. vs: the vserver it belongs to, or NULL. */
static __always_inline __u32 flow_timeout_s(const struct flow *f,
					    const struct vserver *vs)
{
	if (f->key.kind == FLOW_FRAGMENT)
		return FLOW_FRAGMENT_S;
	if (!vs)
		return 0; /* its vserver is gone */
	if (f->key.kind == FLOW_PERSIST)
		return vs->persist_s;
	if (f->key.proto != 6)
		return vs->udp_s;
	switch (FLOW_ACTIVITY_TCP(f->activity)) {
	case FLOW_TCP_SYN:
		return vs->syn_s;
	case FLOW_TCP_FIN:
	case FLOW_TCP_RST:
		return vs->fin_s;
	default:
		return vs->est_s;
	}
}

static __always_inline bool flow_expired(const struct flow *f,
					 const struct vserver *vs,
					 __u32 now_tick)
{
	return flow_age(f->activity, now_tick) >
	       flow_timeout_s(f, vs) * FLOW_TICKS_PER_S + FLOW_ACTIVITY_SLACK;
}

/* The vserver an entry belongs to. */
static __always_inline __u32 flow_vserver(const struct flow *f)
{
	return f->key.kind == FLOW_REVERSE ? f->pair_id : f->key.id;
}

#endif
