/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Encapsulation: IPIP in all four family pairs (RFC 2003, 2473, 4213) and GUE
 * (draft-ietf-intarea-gue, variant 0; with private data between nodes), and
 * where the inner packet of a tunnelled one starts.
 *
 * Outer IPv4: DF set, identification 0 (RFC 6864), because the size was
 * checked against the next hop. GUE: the UDP source port carries 14 bits of
 * the flow's hash, so that the fabric spreads flows; the UDP checksum is 0,
 * which IPv6 allows for tunnels (RFC 6935): the inner checksum covers what
 * matters.
 */
#ifndef SLUICE_ENCAP_H
#define SLUICE_ENCAP_H

#include "compiler.h"
#include "csum.h"
#include "headers.h"
#include "lb.h"
#include "parse.h"

#define ENCAP_TTL 64
#define ENCAP_MAX (40 + 8 + 4 + 8)

struct encap {
	union ip_addr src; /* outer addresses, one family */
	union ip_addr dst;
	__be16 gue_port;   /* 0: plain IP in IP */
	__u16 inner_len;
	__u32 hash;
	__u8 inner_v6;
	__u8 tos;
	__u8 private_data; /* GUE: attach hash and marker */
	__u8 pad;
};

/* Bytes put before the inner IP header. */
static __always_inline __u32 encap_len(bool outer_v4, bool gue, bool priv)
{
	return (outer_v4 ? (__u32)sizeof(struct ip4_hdr) :
			   (__u32)sizeof(struct ip6_hdr)) +
	       (gue ? (__u32)(sizeof(struct udp_hdr) +
			      sizeof(struct gue_hdr)) : 0) +
	       (priv ? (__u32)sizeof(struct gue_private) : 0);
}

static __always_inline bool encap_gue(void *p, void *end, const struct encap *e)
{
	struct udp_hdr *udp = p;
	struct gue_hdr *gue = p + sizeof(*udp);
	struct gue_private *priv = (void *)gue + sizeof(*gue);
	__u32 len = e->inner_len + (__u32)(sizeof(*udp) + sizeof(*gue));

	if ((void *)gue + sizeof(*gue) > end)
		return false;
	if (e->private_data)
		len += sizeof(*priv);
	udp->sport = be16(0xc000 | (lb_mix(e->hash) & 0x3fff));
	udp->dport = e->gue_port;
	udp->len = be16(len);
	udp->csum = 0;
	gue->ver_hlen = e->private_data ? sizeof(*priv) / 4 : 0;
	gue->proto = e->inner_v6 ? PROTO_IP6 : PROTO_IP4;
	gue->flags = 0;
	if (e->private_data) {
		if ((void *)priv + sizeof(*priv) > end)
			return false;
		priv->magic = be32(GUE_PRIVATE_MAGIC);
		priv->hash = be32(e->hash);
	}
	return true;
}

/* Writes encap_len() bytes at p, behind which the inner packet starts. */
static __always_inline bool encap_write(void *p, void *end,
					const struct encap *e)
{
	bool v4 = ip_addr_is_v4(&e->dst), gue = e->gue_port != 0;
	__u32 payload = encap_len(v4, gue, e->private_data) + e->inner_len;
	__u8 proto = gue ? PROTO_UDP : e->inner_v6 ? PROTO_IP6 : PROTO_IP4;
	__u64 sum;
	int i;

	if (v4) {
		struct ip4_hdr *ip = p;

		if (p + sizeof(*ip) > end)
			return false;
		ip->ver_ihl = 0x45;
		ip->tos = e->tos;
		ip->tot_len = be16(payload);
		ip->id = 0;
		ip->frag = be16(IP4_DF);
		ip->ttl = ENCAP_TTL;
		ip->proto = proto;
		ip->src = e->src.w[3];
		ip->dst = e->dst.w[3];
		/* The same words, not read back from memory. */
		sum = (__u64)be16(0x4500 | e->tos) + be16(payload) +
		      be16(IP4_DF) + be16(ENCAP_TTL << 8 | proto) +
		      (__u32)e->src.w[3] + (__u32)e->dst.w[3];
		ip->csum = (__be16)~csum_fold16(sum);
		p += sizeof(*ip);
	} else {
		struct ip6_hdr *ip = p;

		if (p + sizeof(*ip) > end)
			return false;
		ip->ver_tc_flow = be32(6u << 28 | (__u32)e->tos << 20 |
				       (lb_mix(e->hash) & 0xfffff));
		ip->payload_len = be16(payload - sizeof(*ip));
		ip->next = proto;
		ip->hop_limit = ENCAP_TTL;
	UNROLL
		for (i = 0; i < 4; i++) {
			ip->src[i] = e->src.w[i];
			ip->dst[i] = e->dst.w[i];
		}
		p += sizeof(*ip);
	}
	return gue ? encap_gue(p, end, e) : true;
}

/* ---- the way back ------------------------------------------------------- */

/* Where the inner packet of a tunnelled one is. */
struct decap {
	__u32 off;   /* of the inner IP header */
	__be16 type; /* its Ethernet type */
	__u8 steered; /* another node attached a hash */
	__u8 pad;
	__u32 hash;
};

static __always_inline bool decap_gue(void *data, void *end, __u32 off,
				      struct decap *ret)
{
	struct gue_hdr *gue = data + off;
	struct gue_private *priv = (void *)gue + sizeof(*gue);
	__u8 proto;

	if ((void *)gue + sizeof(*gue) > end)
		return false;
	/* Variant 1: an IP packet follows UDP at once. */
	if (gue->ver_hlen >> 4 == 4 || gue->ver_hlen >> 4 == 6) {
		ret->type = gue->ver_hlen >> 4 == 4 ? be16(ETHERTYPE_IP4) :
						      be16(ETHERTYPE_IP6);
		ret->off = off;
		return true;
	}
	if (gue->ver_hlen >> 5) /* other variants, control messages */
		return false;
	proto = gue->proto;
	if ((gue->ver_hlen & 0x1f) == sizeof(*priv) / 4 && !gue->flags &&
	    (void *)priv + sizeof(*priv) <= end &&
	    priv->magic == be32(GUE_PRIVATE_MAGIC)) {
		ret->steered = 1;
		ret->hash = from_be32(priv->hash);
	}
	ret->off = off + (__u32)sizeof(*gue) + (gue->ver_hlen & 0x1f) * 4u;
	ret->type = proto == PROTO_IP4 ? be16(ETHERTYPE_IP4) :
					 be16(ETHERTYPE_IP6);
	return proto == PROTO_IP4 || proto == PROTO_IP6;
}

static __always_inline bool decap_gre(void *data, void *end, __u32 off,
				      struct decap *ret)
{
	struct gre_hdr *gre = data + off;
	__u16 flags;

	if ((void *)gre + sizeof(*gre) > end)
		return false;
	flags = from_be16(gre->flags);
	if (flags & 0x4fff) /* routing, version 1 (PPTP), reserved */
		return false;
	ret->off = off + (__u32)sizeof(*gre) + (flags & 0x8000 ? 4 : 0) +
		   (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
	ret->type = gre->proto;
	if (ret->type == be16(ETHERTYPE_TEB))
		ret->off = parse_eth(data, end, ret->off, &ret->type);
	return ret->off != 0;
}

/* Finds the inner packet of pkt; false: it is no tunnel known here. */
static __always_inline bool decap_find(void *data, void *end,
				       const struct pkt *pkt, __be16 gue_port,
				       struct decap *ret)
{
	__u32 l4 = pkt->l4_off & 0x3fff;

	ret->off = l4;
	ret->steered = 0;
	ret->hash = 0;
	ret->type = 0;
	if (!l4 || pkt->bad || (pkt->flags & PKT_FRAGMENT))
		return false;
	switch (pkt->proto) {
	case PROTO_IP4:
		ret->type = be16(ETHERTYPE_IP4);
		return true;
	case PROTO_IP6:
		ret->type = be16(ETHERTYPE_IP6);
		return true;
	case PROTO_GRE:
		return decap_gre(data, end, l4, ret);
	case PROTO_UDP:
		if (pkt->dport == gue_port)
			return decap_gue(data, end,
					 l4 + (__u32)sizeof(struct udp_hdr),
					 ret);
		if (pkt->dport != be16(VXLAN_PORT))
			return false;
		ret->off = parse_eth(data, end,
				     l4 + (__u32)sizeof(struct udp_hdr) + 8,
				     &ret->type);
		return ret->off != 0;
	default:
		return false;
	}
}

#endif
