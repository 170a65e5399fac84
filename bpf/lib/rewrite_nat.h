/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address translation in place: both addresses, both ports, one step of TTL,
 * and every checksum that covers them, incrementally. Later fragments have no
 * layer-4 header: their addresses change and nothing else. IPv4 UDP without a
 * checksum stays without.
 *
 * data..end is the frame, pkt what parse.h made of it.
 */
#ifndef SLUICE_REWRITE_NAT_H
#define SLUICE_REWRITE_NAT_H

#include "compiler.h"
#include "csum.h"
#include "headers.h"
#include "parse.h"

/* Offsets of a struct pkt, bounded so that the verifier believes them:
 * Ethernet, tags and at most 255 bytes; IPv6 extension headers of 14 KiB. */
#define PKT_L3(pkt, data) ((void *)(data) + ((pkt)->l3_off & 0xff))
#define PKT_L4(pkt, data) ((void *)(data) + ((pkt)->l4_off & 0x3fff))

struct nat_to {
	union ip_addr src;
	union ip_addr dst;
	__be16 sport;
	__be16 dport;
};

/* Ports and layer-4 checksum; delta: what the pseudo-header changed by.
 * False: not inside the frame (cannot be, after parse.h). */
static __always_inline bool rewrite_nat_l4(void *l4, void *end, __u8 proto,
					   const struct nat_to *to,
					   __u64 delta)
{
	if (proto == PROTO_TCP) {
		struct tcp_hdr *tcp = l4;

		if (l4 + sizeof(*tcp) > end)
			return false;
		delta = csum_delta16(delta, tcp->sport, to->sport);
		delta = csum_delta16(delta, tcp->dport, to->dport);
		tcp->sport = to->sport;
		tcp->dport = to->dport;
		tcp->csum = csum_apply(tcp->csum, delta);
	} else {
		struct udp_hdr *udp = l4;

		if (l4 + sizeof(*udp) > end)
			return false;
		delta = csum_delta16(delta, udp->sport, to->sport);
		delta = csum_delta16(delta, udp->dport, to->dport);
		udp->sport = to->sport;
		udp->dport = to->dport;
		udp->csum = csum_apply_udp(udp->csum, delta);
	}
	return true;
}

/* Only TTL / hop limit, one less. The caller saw that it is above 1. */
static __always_inline bool rewrite_ttl(void *data, void *end,
					const struct pkt *pkt)
{
	void *l3 = PKT_L3(pkt, data);

	if (pkt->flags & PKT_V6) {
		struct ip6_hdr *ip6 = l3;

		if (l3 + sizeof(*ip6) > end)
			return false;
		ip6->hop_limit--;
	} else {
		struct ip4_hdr *ip4 = l3;
		__u64 delta;

		if (l3 + sizeof(*ip4) > end)
			return false;
		delta = csum_delta16(0, be16(ip4->ttl << 8),
				     be16((__u8)(ip4->ttl - 1) << 8));
		ip4->ttl--;
		ip4->csum = csum_apply(ip4->csum, delta);
	}
	return true;
}

static __always_inline bool rewrite_nat4(void *data, void *end,
					 const struct pkt *pkt,
					 const struct nat_to *to)
{
	struct ip4_hdr *ip = PKT_L3(pkt, data);
	__u64 delta, ttl;

	if ((void *)ip + sizeof(*ip) > end)
		return false;
	delta = csum_delta32(0, ip->src, to->src.w[3]);
	delta = csum_delta32(delta, ip->dst, to->dst.w[3]);
	ip->src = to->src.w[3];
	ip->dst = to->dst.w[3];
	ttl = csum_delta16(0, be16(ip->ttl << 8), be16((__u8)(ip->ttl - 1) << 8));
	ip->ttl--;
	ip->csum = csum_apply(ip->csum, delta + ttl);
	if (pkt->flags & PKT_LATER)
		return true;
	return rewrite_nat_l4(PKT_L4(pkt, data), end, pkt->proto, to, delta);
}

static __always_inline bool rewrite_nat6(void *data, void *end,
					 const struct pkt *pkt,
					 const struct nat_to *to)
{
	struct ip6_hdr *ip = PKT_L3(pkt, data);
	__u64 delta = 0;
	int i;

	if ((void *)ip + sizeof(*ip) > end)
		return false;
	UNROLL
	for (i = 0; i < 4; i++) {
		delta = csum_delta32(delta, ip->src[i], to->src.w[i]);
		delta = csum_delta32(delta, ip->dst[i], to->dst.w[i]);
		ip->src[i] = to->src.w[i];
		ip->dst[i] = to->dst.w[i];
	}
	ip->hop_limit--;
	if (pkt->flags & PKT_LATER)
		return true;
	return rewrite_nat_l4(PKT_L4(pkt, data), end, pkt->proto, to, delta);
}

static __always_inline bool rewrite_nat(void *data, void *end,
					const struct pkt *pkt,
					const struct nat_to *to)
{
	if (pkt->flags & PKT_V6)
		return rewrite_nat6(data, end, pkt, to);
	return rewrite_nat4(data, end, pkt, to);
}

#endif
