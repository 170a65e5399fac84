/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Core tier: hands a packet to the engine of its bucket. The XSKMAP tells
 * whether an engine has a socket on this queue; the heartbeat tells whether
 * it runs. The first of the bucket's preference list that does both gets the
 * packet; if all of them are silent, the first that has a socket. Without any
 * (setup.h), XDP sets flows up alone.
 */
#ifndef SLUICE_TO_ENGINE_H
#define SLUICE_TO_ENGINE_H

#include "compiler.h"
#include "forward.h"
#include "maps.h"
#include "parse.h"
#include "verdict.h"

static __always_inline bool engine_silent(__u32 engine, __u64 now)
{
	struct engine_info *e = bpf_map_lookup_elem(&engines, &engine);

	return !e || (__s64)(now - read_once(e->heartbeat_ns)) >
			     (__s64)ENGINE_SILENT_NS;
}

/* Index in xsks, or -1. *ret_first: the bucket's first engine. */
SUBPROG int engine_choose(struct xdp_md *ctx, __u32 hash)
{
	__u32 ifindex = ctx->ingress_ifindex, base, bucket, i, silent = 0;
	struct core_bucket *b;
	struct iface *iface;
	__u64 now;

	iface = bpf_map_lookup_elem(&ifaces, &ifindex);
	bucket = hash >> NODE_BUCKET_BITS & (CORE_BUCKETS - 1);
	b = bpf_map_lookup_elem(&core_bkts, &bucket);
	if (!iface || !b || ctx->rx_queue_index >= QUEUES_MAX)
		return -1;
	base = XSK_INDEX(iface->slot, ctx->rx_queue_index, 0);
	now = bpf_ktime_get_ns();
	for (i = 0; i < ENGINE_PREFS; i++) {
		__u32 engine = read_once(b->pref[i]), key;

		if (engine >= ENGINES_MAX)
			break;
		key = base + engine;
		if (!bpf_map_lookup_elem(&xsks, &key)) {
			count(CNT_ENGINE_DEAD);
			continue;
		}
		if (engine_silent(engine, now)) {
			count(CNT_ENGINE_SILENT);
			silent = silent ? silent : key + 1;
			continue;
		}
		return (int)key;
	}
	return (int)silent - 1;
}

/* To the engine with index KEY in xsks. fwd: ids and, for STEER_INSPECT, egress
 * interface and flow. */
SUBPROG int to_engine_at(struct xdp_md *ctx, const struct pkt *pkt,
			 const struct forward *fwd, __u32 reason, int key)
{
	struct pkt_meta *meta;
	__u32 bucket, ifindex;
	struct core_bucket *b;

	if (!pkt || !fwd)
		return DROP(MAP);
	ifindex = ctx->ingress_ifindex;
	/* Not to be merged into a load from one of two pointers: a context
	 * cannot be read through a computed one. */
	barrier_var(ifindex);
	if (reason == STEER_INSPECT)
		ifindex = fwd->egress;
	if (key < 0) {
		if (reason != STEER_NO_NEIGH)
			return DROP(NO_ENGINE);
		/* The kernel asks for the address as well as an engine's
		 * socket does, but takes only packets that do not claim to
		 * come from itself. */
		return fwd->flags & FORWARD_REPLY ? PASS(NO_NEIGH) :
						    DROP(NO_NEIGH);
	}
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return DROP(HEADROOM);
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return DROP(HEADROOM);
	bucket = pkt->hash >> NODE_BUCKET_BITS & (CORE_BUCKETS - 1);
	b = bpf_map_lookup_elem(&core_bkts, &bucket);
	meta->hash = pkt->hash;
	meta->ifindex = ifindex;
	meta->service = fwd->service;
	meta->vserver = fwd->vserver;
	meta->reason = (__u8)reason;
	meta->engine = b ? b->pref[0] : ENGINE_NONE;
	meta->l3_off = pkt->l3_off;
	meta->l4_off = pkt->l4_off;
	meta->l4_proto = pkt->proto;
	meta->queue = (__u8)ctx->rx_queue_index;
	meta->pad = 0;
	meta->flow_index = fwd->flow_index;
	meta->magic = PKT_META_MAGIC;
	if (bpf_redirect_map(&xsks, (__u32)key, XDP_DROP) != XDP_REDIRECT)
		return DROP(NO_ENGINE);
	if (reason == STEER_NEW)
		return VERDICT(XDP_REDIRECT, CNT_STEER_ENGINE);
	if (reason == STEER_INSPECT)
		return VERDICT(XDP_REDIRECT, CNT_STEER_INSPECT);
	return VERDICT(XDP_REDIRECT, CNT_STEER_SLOW);
}

static __always_inline int to_engine(struct xdp_md *ctx, const struct pkt *pkt,
				     const struct forward *fwd, __u32 reason)
{
	return to_engine_at(ctx, pkt, fwd, reason,
			    engine_choose(ctx, pkt->hash));
}

#endif
