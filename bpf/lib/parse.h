/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From bytes to one struct pkt: Ethernet, up to two VLAN tags, IPv4 with
 * options, IPv6 with extension headers, TCP, UDP, the type of ICMP. Reads
 * only, keeps no pointer. Used by XDP (data, data_end of the context), by
 * engines and by the fuzzer (any memory).
 *
 * What a packet means is not decided here. A packet whose addresses cannot be
 * read is the kernel's business (PARSE_PASS); one that is cut off or
 * contradicts itself behind the addresses is kept with `bad` set, because
 * only then it matters whether it was for us.
 */
#ifndef SLUICE_PARSE_H
#define SLUICE_PARSE_H

#include "compiler.h"
#include "headers.h"

/* Extension headers followed in one IPv6 packet. RFC 8200 has six kinds, one
 * of them allowed twice. */
#define IP6_EXT_MAX 7

enum parse_result {
	PARSE_OK = 0,
	PARSE_NOT_IP = 1,
	PARSE_PASS = 2, /* no readable addresses */
	PARSE_EXT = 3,	/* IPv6: parse_ip6_rest() is to be called, too */
};

enum pkt_bad {
	PKT_GOOD = 0,
	PKT_SHORT = 1,	/* a header is cut off */
	PKT_HEADER = 2, /* a header contradicts itself or the frame */
};

enum pkt_flag {
	PKT_V6 = 1 << 0,
	PKT_FRAGMENT = 1 << 1, /* part of a datagram */
	PKT_LATER = 1 << 2,    /* not its first part: no layer-4 header */
	PKT_MORE = 1 << 3,     /* more fragments follow */
	PKT_STEERED = 1 << 4,  /* another node sent it here on purpose */
	PKT_DF = 1 << 5,       /* IPv4: must not be fragmented */
	PKT_TAGGED = 1 << 6,   /* has VLAN tags */
	PKT_TUNNELLED = 1 << 7, /* came in a tunnel, which is gone */
};

struct pkt {
	union ip_addr src;
	union ip_addr dst;
	__be16 sport; /* TCP, UDP; 0 if there are none */
	__be16 dport;
	__u16 l3_off; /* from the start of the frame */
	__u16 l4_off; /* 0: none (PKT_LATER, or unknown protocol cut off) */
	__u16 l3_len; /* as the IP header says; never beyond the frame */
	__u8 proto;   /* layer 4, extension headers skipped */
	__u8 flags;   /* enum pkt_flag */
	__u8 bad;     /* enum pkt_bad */
	__u8 tcp_flags;
	__u8 ttl;
	__u8 tos;
	__u8 icmp_type;
	__u8 icmp_code;
	__u16 pad;
	__be32 frag_id;
	__u32 hash; /* set later */
};

static __always_inline void parse_ports(void *data, void *data_end,
					struct pkt *pkt, __u32 l4_off,
					__u32 l4_len)
{
	void *l4 = data + l4_off;

	if (pkt->flags & PKT_LATER)
		return;
	pkt->l4_off = (__u16)l4_off;
	if (pkt->proto == PROTO_TCP) {
		struct tcp_hdr *tcp = l4;

		if (l4 + sizeof(*tcp) > data_end || l4_len < sizeof(*tcp)) {
			pkt->bad = PKT_SHORT;
			return;
		}
		pkt->sport = tcp->sport;
		pkt->dport = tcp->dport;
		pkt->tcp_flags = tcp->flags;
		if (unlikely(tcp->off < 5 << 4))
			pkt->bad = PKT_HEADER;
		else if (unlikely((__u32)(tcp->off >> 4) * 4 > l4_len))
			pkt->bad = PKT_SHORT;
	} else if (pkt->proto == PROTO_UDP) {
		struct udp_hdr *udp = l4;
		__u32 len;

		if (l4 + sizeof(*udp) > data_end || l4_len < sizeof(*udp)) {
			pkt->bad = PKT_SHORT;
			return;
		}
		pkt->sport = udp->sport;
		pkt->dport = udp->dport;
		len = from_be16(udp->len);
		if (unlikely(len < sizeof(*udp) ||
			     (len > l4_len && !(pkt->flags & PKT_FRAGMENT))))
			pkt->bad = PKT_HEADER;
	} else if (pkt->proto == PROTO_ICMP || pkt->proto == PROTO_ICMP6) {
		struct icmp_hdr *icmp = l4;

		if (l4 + sizeof(*icmp) > data_end || l4_len < sizeof(*icmp)) {
			pkt->bad = PKT_SHORT;
			return;
		}
		pkt->icmp_type = icmp->type;
		pkt->icmp_code = icmp->code;
	}
}

static __always_inline enum parse_result
parse_ip4(void *data, void *data_end, __u32 off, struct pkt *pkt)
{
	struct ip4_hdr *ip = data + off;
	__u32 ihl, len, avail;
	__u16 frag;

	if ((void *)ip + sizeof(*ip) > data_end)
		return PARSE_PASS;
	if (ip->ver_ihl >> 4 != 4)
		return PARSE_PASS;
	ip_addr_set_v4(&pkt->src, ip->src);
	ip_addr_set_v4(&pkt->dst, ip->dst);
	pkt->proto = ip->proto;
	pkt->ttl = ip->ttl;
	pkt->tos = ip->tos;
	pkt->l3_off = (__u16)off;
	ihl = (ip->ver_ihl & 0xf) * 4u;
	len = from_be16(ip->tot_len);
	avail = (__u32)(data_end - (void *)ip);
	if (unlikely(ihl < sizeof(*ip) || len < ihl)) {
		pkt->bad = PKT_HEADER;
		return PARSE_OK;
	}
	if (unlikely(len > avail)) {
		pkt->bad = PKT_SHORT;
		return PARSE_OK;
	}
	pkt->l3_len = (__u16)len;
	frag = from_be16(ip->frag);
	if (frag & IP4_DF)
		pkt->flags |= PKT_DF;
	if (unlikely(frag & (IP4_MF | IP4_OFFSET))) {
		pkt->flags |= PKT_FRAGMENT;
		if (frag & IP4_OFFSET)
			pkt->flags |= PKT_LATER;
		if (frag & IP4_MF)
			pkt->flags |= PKT_MORE;
		pkt->frag_id = (__be32)ip->id;
	}
	parse_ports(data, data_end, pkt, off + ihl, len - ihl);
	return PARSE_OK;
}

/* Skips extension headers; `off` behind them, or 0 with pkt->bad set. */
static __always_inline __u32 parse_ip6_ext(void *data, void *data_end,
					   __u32 off, __u32 end,
					   struct pkt *pkt)
{
	__u8 next = pkt->proto;
	int i;

	for (i = 0; i < IP6_EXT_MAX; i++) {
		struct ip6_frag_hdr *ext = data + off;
		__u32 len;

		if (next != PROTO_HOPOPTS && next != PROTO_ROUTING &&
		    next != PROTO_FRAGMENT && next != PROTO_DSTOPTS &&
		    next != PROTO_AH)
			break;
		if ((void *)ext + sizeof(*ext) > data_end ||
		    off + sizeof(*ext) > end) {
			pkt->bad = PKT_SHORT;
			return 0;
		}
		len = (ext->reserved + 1u) * 8;
		if (next == PROTO_FRAGMENT) {
			__u16 o = from_be16(ext->offset);

			len = 8;
			pkt->frag_id = ext->id;
			/* RFC 6946: an atomic fragment is a whole datagram. */
			if (o & 0xfff9)
				pkt->flags |= PKT_FRAGMENT;
			if (o & 0xfff8)
				pkt->flags |= PKT_LATER;
			if (o & 1)
				pkt->flags |= PKT_MORE;
		} else if (next == PROTO_AH) {
			len = (ext->reserved + 2u) * 4;
		}
		next = ext->next;
		off += len;
		if (pkt->flags & PKT_LATER)
			break;
	}
	pkt->proto = next;
	if (off > end) {
		pkt->bad = PKT_SHORT;
		return 0;
	}
	return off;
}

static __always_inline enum parse_result
parse_ip6(void *data, void *data_end, __u32 off, struct pkt *pkt)
{
	struct ip6_hdr *ip = data + off;
	__u32 len, avail, end;

	if ((void *)ip + sizeof(*ip) > data_end)
		return PARSE_PASS;
	if (*(__u8 *)ip >> 4 != 6)
		return PARSE_PASS;
	ip_addr_set_v6(&pkt->src, ip->src);
	ip_addr_set_v6(&pkt->dst, ip->dst);
	pkt->proto = ip->next;
	pkt->ttl = ip->hop_limit;
	pkt->tos = (__u8)(from_be32(ip->ver_tc_flow) >> 20);
	pkt->flags |= PKT_V6 | PKT_DF;
	pkt->l3_off = (__u16)off;
	len = from_be16(ip->payload_len) + (__u32)sizeof(*ip);
	avail = (__u32)(data_end - (void *)ip);
	if (unlikely(len > avail || len > 0xffff)) {
		pkt->bad = PKT_SHORT;
		return PARSE_OK;
	}
	pkt->l3_len = (__u16)len;
	end = off + len;
	off += sizeof(*ip);
	if (likely(ip->next == PROTO_TCP || ip->next == PROTO_UDP)) {
		parse_ports(data, data_end, pkt, off, end - off);
		return PARSE_OK;
	}
	return PARSE_EXT;
}

/* The slow half of parse_ip6: extension headers, and all but TCP and UDP. A
 * step of its own because XDP wants it out of line. */
static __always_inline enum parse_result
parse_ip6_rest(void *data, void *data_end, struct pkt *pkt)
{
	__u32 off = pkt->l3_off & 0x3fff, end = off + pkt->l3_len;

	off = parse_ip6_ext(data, data_end, off + (__u32)sizeof(struct ip6_hdr),
			    end, pkt);
	if (off)
		parse_ports(data, data_end, pkt, off, end - off);
	return PARSE_OK;
}

static __always_inline void parse_clear(struct pkt *pkt)
{
	pkt->sport = 0;
	pkt->dport = 0;
	pkt->l3_off = 0;
	pkt->l4_off = 0;
	pkt->l3_len = 0;
	pkt->proto = 0;
	pkt->flags = 0;
	pkt->bad = PKT_GOOD;
	pkt->tcp_flags = 0;
	pkt->ttl = 0;
	pkt->tos = 0;
	pkt->icmp_type = 0;
	pkt->icmp_code = 0;
	pkt->pad = 0;
	pkt->frag_id = 0;
	pkt->hash = 0;
}

/* From layer 3 on, at `off` from data; type: Ethernet type, network order.
 * May return PARSE_EXT. */
static __always_inline enum parse_result
parse_l3(void *data, void *data_end, __u32 off, __be16 type, struct pkt *pkt)
{
	parse_clear(pkt);
	if (type == be16(ETHERTYPE_IP4))
		return parse_ip4(data, data_end, off, pkt);
	if (type == be16(ETHERTYPE_IP6))
		return parse_ip6(data, data_end, off, pkt);
	return PARSE_NOT_IP;
}

/* Skips Ethernet and tags: offset of layer 3 and its type; 0: cut off. */
static __always_inline __u32 parse_eth(void *data, void *data_end,
				       __u32 off, __be16 *ret_type)
{
	struct eth_hdr *eth = data + off;
	__be16 type;
	int i;

	if ((void *)eth + sizeof(*eth) > data_end)
		return 0;
	type = eth->type;
	off += sizeof(*eth);
	UNROLL
	for (i = 0; i < 2; i++) {
		struct vlan_hdr *tag = data + off;

		if (likely(type != be16(ETHERTYPE_VLAN) &&
			   type != be16(ETHERTYPE_QINQ)))
			break;
		if ((void *)tag + sizeof(*tag) > data_end)
			return 0;
		type = tag->type;
		off += sizeof(*tag);
	}
	*ret_type = type;
	return off;
}

/* May return PARSE_EXT. */
static __always_inline enum parse_result
parse_packet_fast(void *data, void *data_end, struct pkt *pkt)
{
	enum parse_result result;
	__be16 type;
	__u32 off = parse_eth(data, data_end, 0, &type);

	if (!off)
		return PARSE_PASS;
	result = parse_l3(data, data_end, off, type, pkt);
	if (off != sizeof(struct eth_hdr))
		pkt->flags |= PKT_TAGGED;
	return result;
}

static __always_inline enum parse_result
parse_packet(void *data, void *data_end, struct pkt *pkt)
{
	enum parse_result result = parse_packet_fast(data, data_end, pkt);

	if (result == PARSE_EXT)
		result = parse_ip6_rest(data, data_end, pkt);
	return result;
}

#endif
