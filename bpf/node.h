/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cluster tier: a packet of another node's bucket goes there; by a new MAC
 * address on a shared segment (marked by its source MAC address), otherwise in
 * GUE with the hash in its private data. Either way the receiver knows that
 * it was steered and does not steer it again. And: tunnelled packets become
 * what was in them.
 */
#ifndef SLUICE_NODE_H
#define SLUICE_NODE_H

#include "compiler.h"
#include "emit.h"
#include "encap.h"
#include "forward.h"
#include "maps.h"
#include "parse.h"
#include "verdict.h"
#include "vip.h"

#define NODE_STAY 0 /* this node handles it */
#define NODE_GO 1   /* fwd says how it is sent to its owner */

SUBPROG int node_steer(struct xdp_md *ctx, struct pkt *pkt,
				 struct forward *fwd, __u32 owner)
{
	struct node_info *node = bpf_map_lookup_elem(&nodes, &owner);
	__u32 zero = 0;
	struct dp_conf *cfg = bpf_map_lookup_elem(&conf, &zero);

	if (!pkt || !fwd || !cfg)
		return NODE_STAY;
	if (!node || !(node->flags & NODE_PRESENT))
		return NODE_STAY; /* nobody there: better here than nowhere */
	if (emit_marked((void *)(long)ctx->data, (void *)(long)ctx->data_end)) {
		pkt->flags |= PKT_STEERED;
		return NODE_STAY;
	}
	if (!(node->flags & NODE_SAME_SEGMENT) && !cfg->gue_port)
		return NODE_STAY;
	fwd->to.dst = node->addr;
	fwd->to.src = ip_addr_is_v4(&node->addr) ? cfg->tunnel_src4 :
						   cfg->tunnel_src6;
	fwd->mode = FWD_NODE;
	fwd->counter = CNT_STEER_NODE;
	if (node->flags & NODE_SAME_SEGMENT) {
		fwd->flags = FORWARD_MARK;
		fwd->egress = cfg->node_id;
	}
	return NODE_GO;
}

/* What an address means, or 0. */
static __always_inline __u32 vip_lookup(const union ip_addr *addr, __be16 port,
					__u8 proto, __u32 *ret_index)
{
	__u32 h = vip_hash(addr, port, proto), at = VIP_BUCKET_FIRST(h), word;
	__u32 key = VIP_WORD_KEY(vip_word(port, proto, 0));
	struct vip_bucket *b = bpf_map_lookup_elem(&vips, &at);

	if (!b)
		return 0;
	word = vip_bucket_find(b, addr, key, ret_index);
	if (word || likely(!read_once(b->slot[0].pad)))
		return VIP_WORD_KIND(word);
	at = VIP_BUCKET_SECOND(h);
	b = bpf_map_lookup_elem(&vips, &at);
	word = b ? vip_bucket_find(b, addr, key, ret_index) : 0;
	return VIP_WORD_KIND(word);
}

SUBPROG int parse_ext(struct xdp_md *ctx, struct pkt *pkt)
{
	if (!pkt)
		return PARSE_PASS;
	return parse_ip6_rest((void *)(long)ctx->data,
			      (void *)(long)ctx->data_end, pkt);
}

SUBPROG int vip_is_served(const struct pkt *pkt)
{
	__u32 index = 0, kind = 0;

	if (!pkt)
		return 0;
	if (pkt->dport)
		kind = vip_lookup(&pkt->dst, pkt->dport, pkt->proto, &index);
	if (!kind)
		kind = vip_lookup(&pkt->dst, 0, 0, &index);
	return kind == VIP_VSERVER || kind == VIP_ADDR;
}

/* Of a packet to a tunnel address: true if it now is the inner packet, which
 * is one for us. *ret_hash: what the sending node attached; else 0. */
SUBPROG int node_decap(struct xdp_md *ctx, const struct pkt *pkt,
				 __u32 *ret_steered)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 mac[3], tag[2], l2, zero = 0;
	enum parse_result parsed;
	struct scratch *s = scratch_get();
	struct decap d;
	struct dp_conf *cfg = bpf_map_lookup_elem(&conf, &zero);

	if (!pkt || !ret_steered || !cfg || !s)
		return 0;
	l2 = pkt->l3_off & 0x1f;
	if (l2 < sizeof(struct eth_hdr) || l2 > 22 || data + 22 > data_end)
		return 0;
	if (!decap_find(data, data_end, pkt, cfg->gue_port, &d))
		return 0;
	d.off &= 0x3fff;
	if (d.off <= l2)
		return 0;
	parsed = parse_l3(data, data_end, d.off, d.type,
			  &s->inner);
	if (parsed == PARSE_EXT)
		parsed = parse_ext(ctx, &s->inner);
	if (parsed != PARSE_OK || !vip_is_served(&s->inner))
		return 0;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + 22 > data_end)
		return 0;
	__builtin_memcpy(mac, data, sizeof(mac));
	__builtin_memcpy(tag, data + 12, sizeof(tag));
	if (bpf_xdp_adjust_head(ctx, (int)(d.off - l2)))
		return 0;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + 22 > data_end)
		return 0;
	__builtin_memcpy(data, mac, sizeof(mac));
	if (l2 == 14) {
		*(__u16 *)(data + 12) = d.type;
	} else {
		*(__u32 *)(data + 12) = tag[0];
		*(__u16 *)(data + 16) = d.type;
		if (l2 == 22) {
			*(__u32 *)(data + 16) = tag[1];
			*(__u16 *)(data + 20) = d.type;
		}
	}
	*ret_steered = d.steered;
	count(CNT_DECAP);
	return 1;
}

#endif
