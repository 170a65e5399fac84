/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Carries out a struct forward: next hop, TTL and size, rewriting or
 * encapsulation, Ethernet header, and out. The only place packets of flows
 * leave from.
 */
#ifndef SLUICE_EMIT_H
#define SLUICE_EMIT_H

#include "answer.h"
#include "compiler.h"
#include "encap.h"
#include "forward.h"
#include "icmp.h"
#include "maps.h"
#include "nexthop.h"
#include "parse.h"
#include "scratch.h"
#include "to_engine.h"
#include "verdict.h"

/* Source MAC address of what a node sends to another one of its segment: says
 * that it must not be steered again. Locally administered; last byte: node. 02:53:4c:43:00:NN */
static __always_inline bool emit_marked(void *data, void *data_end)
{
	__u8 *src = data + 6;

	if (data + sizeof(struct eth_hdr) > data_end)
		return false;
	return src[0] == 0x02 && src[1] == 0x53 && src[2] == 0x4c &&
	       src[3] == 0x43 && src[4] == 0;
}

static __always_inline void emit_mark(void *data, __u32 node)
{
	__u8 *src = data + 6;

	src[0] = 0x02;
	src[1] = 0x53;
	src[2] = 0x4c;
	src[3] = 0x43;
	src[4] = 0;
	src[5] = (__u8)node;
}

static __always_inline __u32 emit_overhead(const struct forward *fwd)
{
	bool v4 = ip_addr_is_v4(&fwd->to.dst);

	switch (fwd->mode) {
	case FWD_DSR_IPIP:
		return encap_len(v4, false, false);
	case FWD_DSR_GUE:
		return encap_len(v4, true, false);
	case FWD_NODE:
		return fwd->flags & FORWARD_MARK ? 0 :
						   encap_len(v4, true, true);
	default:
		return 0;
	}
}

static __always_inline int emit_verdict(const struct forward *fwd, int action)
{
	__u32 counter = action == XDP_TX ? CNT_FWD_TX : CNT_FWD_REDIRECT;

	if (fwd->counter)
		counter = fwd->counter;
	return VERDICT(action, counter);
}

static __always_inline int emit_out(struct xdp_md *ctx, const struct pkt *pkt,
				    struct forward *fwd, __u32 ifindex)
{
	if (unlikely(fwd->flags & FORWARD_INSPECT)) {
		fwd->egress = ifindex;
		return to_engine(ctx, pkt, fwd, STEER_INSPECT);
	}
	if (ifindex == ctx->ingress_ifindex)
		return emit_verdict(fwd, XDP_TX);
	if (bpf_redirect_map(&ports, ifindex, XDP_DROP) != XDP_REDIRECT)
		return DROP(NO_ROUTE);
	return emit_verdict(fwd, XDP_REDIRECT);
}

static __always_inline void emit_macs(void *data, const struct nexthop *nh)
{
	__u32 *w = data;

	w[0] = nh->mac[0];
	w[1] = nh->mac[1];
	w[2] = nh->mac[2];
}

/* Tags belong to the interface they came by. */
SUBPROG int emit_untag(struct xdp_md *ctx, struct pkt *pkt)
{
	void *data, *data_end;
	__u32 cut;

	if (!pkt)
		return -1;
	cut = (pkt->l3_off & 0x1f) - (__u32)sizeof(struct eth_hdr);
	if (cut != 4 && cut != 8)
		return 0;
	if (bpf_xdp_adjust_head(ctx, (int)cut))
		return -1;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct eth_hdr) > data_end)
		return -1;
	*(__u16 *)(data + 12) = pkt->flags & PKT_V6 ? be16(ETHERTYPE_IP6) :
						      be16(ETHERTYPE_IP4);
	pkt->l3_off -= (__u16)cut;
	if (pkt->l4_off)
		pkt->l4_off -= (__u16)cut;
	return 0;
}

/* Puts an outer header before the packet; tags stay (emit_untag came first if
 * they must not), MAC addresses are written later. The outer header becomes
 * pkt's layer 3. */
SUBPROG int emit_encap(struct xdp_md *ctx, struct pkt *pkt,
				 const struct forward *fwd, __be16 gue_port)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 tag[2], l2, need;
	struct encap e = {};
	bool v4;

	if (!pkt || !fwd)
		return -1;
	l2 = pkt->l3_off & 0x1f;
	if (l2 < sizeof(struct eth_hdr) || l2 > 22 || data + 22 > data_end)
		return -1;
	__builtin_memcpy(tag, data + 12, sizeof(tag));
	e.src = fwd->to.src;
	e.dst = fwd->to.dst;
	e.gue_port = gue_port;
	e.inner_len = pkt->l3_len;
	e.hash = pkt->hash;
	e.inner_v6 = !!(pkt->flags & PKT_V6);
	e.tos = pkt->tos;
	e.private_data = fwd->mode == FWD_NODE;
	v4 = ip_addr_is_v4(&e.dst);
	need = encap_len(v4, e.gue_port != 0, e.private_data);
	if (bpf_xdp_adjust_head(ctx, -(int)need))
		return -1;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + 22 > data_end)
		return -1;
	if (likely(l2 == 14)) {
		*(__u16 *)(data + 12) = v4 ? be16(ETHERTYPE_IP4) :
					     be16(ETHERTYPE_IP6);
	} else if (l2 == 18) {
		*(__u32 *)(data + 12) = tag[0];
		*(__u16 *)(data + 16) = v4 ? be16(ETHERTYPE_IP4) :
					     be16(ETHERTYPE_IP6);
	} else {
		*(__u32 *)(data + 12) = tag[0];
		*(__u32 *)(data + 16) = tag[1];
		*(__u16 *)(data + 20) = v4 ? be16(ETHERTYPE_IP4) :
					     be16(ETHERTYPE_IP6);
	}
	if (!encap_write(data + l2, data_end, &e))
		return -1;
	pkt->l4_off = 0;
	return 0;
}

/* The error of a NAT flow. By family: each needs much stack. */
SUBPROG int emit_icmp4(struct xdp_md *ctx, const struct pkt *pkt,
		       const struct forward *fwd)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct scratch *s = scratch_get();

	if (!pkt || !fwd || !s ||
	    !icmp_quoted(data, data_end, pkt, &s->quoted) ||
	    !icmp_error_nat4(data, data_end, pkt, &s->quoted, &fwd->to))
		return -1;
	return 0;
}

SUBPROG int emit_icmp6(struct xdp_md *ctx, const struct pkt *pkt,
		       const struct forward *fwd)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct scratch *s = scratch_get();

	if (!pkt || !fwd || !s ||
	    !icmp_quoted(data, data_end, pkt, &s->quoted) ||
	    !icmp_error_nat6(data, data_end, pkt, &s->quoted, &fwd->to))
		return -1;
	return 0;
}

/* IPIP without tags, the short way: what emit_encap does for all. */
static __always_inline int emit_ipip(struct xdp_md *ctx, struct pkt *pkt,
				     const struct forward *fwd)
{
	bool v4 = ip_addr_is_v4(&fwd->to.dst);
	void *data, *data_end;
	struct encap e = {};

	if (bpf_xdp_adjust_head(ctx, v4 ? -(int)sizeof(struct ip4_hdr) :
					  -(int)sizeof(struct ip6_hdr)))
		return -1;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct eth_hdr) > data_end)
		return -1;
	*(__u16 *)(data + 12) = v4 ? be16(ETHERTYPE_IP4) : be16(ETHERTYPE_IP6);
	e.src = fwd->to.src;
	e.dst = fwd->to.dst;
	e.inner_len = pkt->l3_len;
	e.hash = pkt->hash;
	e.inner_v6 = !!(pkt->flags & PKT_V6);
	e.tos = pkt->tos;
	pkt->l4_off = 0;
	return encap_write(data + sizeof(struct eth_hdr), data_end, &e) ? 0 :
									  -1;
}

static __always_inline int emit_rewrite(struct xdp_md *ctx, struct pkt *pkt,
					const struct forward *fwd)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct dp_conf *cfg;
	__u32 zero = 0;

	if (fwd->mode == FWD_ICMP_NAT)
		return pkt->flags & PKT_V6 ? emit_icmp6(ctx, pkt, fwd) :
					     emit_icmp4(ctx, pkt, fwd);
	if (fwd->mode == FWD_NAT)
		return rewrite_nat(data, data_end, pkt, &fwd->to) ? 0 : -1;
	if (!rewrite_ttl(data, data_end, pkt))
		return -1;
	if (fwd->mode == FWD_DSR_L2 || fwd->flags & FORWARD_MARK)
		return 0;
	if (likely(fwd->mode == FWD_DSR_IPIP))
		return pkt->flags & PKT_TAGGED ?
			       emit_encap(ctx, pkt, fwd, 0) :
			       emit_ipip(ctx, pkt, fwd);
	cfg = bpf_map_lookup_elem(&conf, &zero);
	if (!cfg)
		return -1;
	return emit_encap(ctx, pkt, fwd, cfg->gue_port);
}

SUBPROG int emit(struct xdp_md *ctx, struct pkt *pkt,
			   struct forward *fwd)
{
	struct nexthop *nh;
	void *data;
	__u32 slot, size, ifindex;
	int rc = NEXTHOP_OK;

	if (!pkt || !fwd)
		return DROP(MAP);
	if (unlikely(pkt->ttl <= 1))
		return answer_ttl(ctx, pkt, fwd->tick);
	slot = nexthop_slot(&fwd->to.dst);
	nh = bpf_map_lookup_elem(&nexthops, &slot);
	if (!nh)
		return DROP(MAP);
	if (unlikely(!nexthop_fresh(nh, &fwd->to.dst, ctx->ingress_ifindex,
				    fwd->tick))) {
		rc = nexthop_resolve(ctx, nh, &fwd->to.dst, &fwd->to.src,
				     fwd->tick);
		if (rc == NEXTHOP_NONE)
			return DROP(NO_ROUTE);
		/* The daemon keeps peers resolved. */
		if (rc != NEXTHOP_OK && fwd->mode == FWD_NODE)
			return DROP(NO_NEIGH);
	}
	ifindex = rc == NEXTHOP_OK ? nh->ifindex : 0;
	size = pkt->l3_len + emit_overhead(fwd);
	if (unlikely(nh->mtu && size > nh->mtu))
		return answer_too_big(ctx, pkt, nh->mtu - emit_overhead(fwd),
				      fwd->tick);
	if (unlikely(pkt->flags & PKT_TAGGED) &&
	    ifindex != ctx->ingress_ifindex && emit_untag(ctx, pkt))
		return DROP(HEADROOM);
	if (unlikely(emit_rewrite(ctx, pkt, fwd)))
		return DROP(HEADROOM);
	/* Rewritten, but no MAC address is known: an engine sends it by the
	 * kernel's stack, which asks for the address. */
	if (unlikely(rc != NEXTHOP_OK))
		return to_engine(ctx, pkt, fwd, STEER_NO_NEIGH);
	data = (void *)(long)ctx->data;
	if (data + sizeof(struct eth_hdr) > (void *)(long)ctx->data_end)
		return DROP(SHORT);
	emit_macs(data, nh);
	if (unlikely(fwd->flags & FORWARD_MARK))
		emit_mark(data, fwd->egress);
	return emit_out(ctx, pkt, fwd, ifindex);
}

#endif
