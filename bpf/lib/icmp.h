/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP and ICMPv6: which types matter, the packet an error quotes, errors
 * translated along with their flow, echo replies, and errors of our own.
 *
 * An error quotes the packet that caused it, so it travels against the flow's
 * direction: its quoted source is what it is addressed to.
 */
#ifndef SLUICE_ICMP_H
#define SLUICE_ICMP_H

#include "compiler.h"
#include "csum.h"
#include "encap.h"
#include "headers.h"
#include "parse.h"
#include "rewrite_nat.h"

#define ICMP4_ECHO_REPLY 0
#define ICMP4_UNREACH 3
#define ICMP4_ECHO 8
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAMETER 12
#define ICMP6_UNREACH 1
#define ICMP6_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAMETER 4
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_ND_FIRST 133 /* router solicitation … redirect */
#define ICMP6_ND_LAST 137

/* Bytes of the offending packet that our errors quote: headers with options
 * and some payload. Trimmed to a size whose sum is cheap. */
#define ICMP_QUOTE_MAX 128

struct quoted {
	union ip_addr src;
	union ip_addr dst;
	__be16 sport;
	__be16 dport;
	__u16 l3_off; /* from the start of the frame */
	__u16 l4_off;
	__u8 proto;
	__u8 pad[3];
};

static __always_inline bool icmp_is_error(const struct pkt *pkt)
{
	if (pkt->flags & PKT_V6)
		return pkt->icmp_type >= ICMP6_UNREACH &&
		       pkt->icmp_type <= ICMP6_PARAMETER;
	return pkt->icmp_type == ICMP4_UNREACH ||
	       pkt->icmp_type == ICMP4_TIME_EXCEEDED ||
	       pkt->icmp_type == ICMP4_PARAMETER;
}

static __always_inline bool icmp_is_echo(const struct pkt *pkt)
{
	return pkt->flags & PKT_V6 ? pkt->icmp_type == ICMP6_ECHO :
				     pkt->icmp_type == ICMP4_ECHO;
}

static __always_inline bool icmp_is_nd(const struct pkt *pkt)
{
	return (pkt->flags & PKT_V6) && pkt->icmp_type >= ICMP6_ND_FIRST &&
	       pkt->icmp_type <= ICMP6_ND_LAST;
}

/*
 * The quoted packet's addresses and ports: RFC 792 promises 8 bytes of its
 * layer 4. False: cut off, a later fragment, or not TCP or UDP.
 */
static __always_inline bool icmp_quoted(void *data, void *end,
					const struct pkt *pkt,
					struct quoted *ret)
{
	__u32 off = (pkt->l4_off & 0x3fff) + (__u32)sizeof(struct icmp_hdr);
	struct ip4_hdr *ip4 = data + off;
	struct ip6_hdr *ip6 = data + off;
	struct udp_hdr *ports;
	__u32 l4;

	if (!pkt->l4_off)
		return false;
	if (pkt->flags & PKT_V6) {
		if ((void *)ip6 + sizeof(*ip6) > end ||
		    *(__u8 *)ip6 >> 4 != 6)
			return false;
		ip_addr_set_v6(&ret->src, ip6->src);
		ip_addr_set_v6(&ret->dst, ip6->dst);
		ret->proto = ip6->next;
		l4 = off + (__u32)sizeof(*ip6);
		if (ret->proto == PROTO_FRAGMENT) {
			struct ip6_frag_hdr *frag = data + l4;

			if ((void *)frag + sizeof(*frag) > end ||
			    frag->offset & be16(0xfff8))
				return false;
			ret->proto = frag->next;
			l4 += sizeof(*frag);
		}
	} else {
		__u32 ihl;

		if ((void *)ip4 + sizeof(*ip4) > end ||
		    ip4->ver_ihl >> 4 != 4)
			return false;
		ihl = (ip4->ver_ihl & 0xf) * 4u;
		if (ihl < sizeof(*ip4) || ip4->frag & be16(IP4_OFFSET))
			return false;
		ip_addr_set_v4(&ret->src, ip4->src);
		ip_addr_set_v4(&ret->dst, ip4->dst);
		ret->proto = ip4->proto;
		l4 = off + ihl;
	}
	if (ret->proto != PROTO_TCP && ret->proto != PROTO_UDP)
		return false;
	ports = data + l4;
	if ((void *)ports + sizeof(*ports) > end)
		return false;
	ret->sport = ports->sport;
	ret->dport = ports->dport;
	ret->l3_off = (__u16)off;
	ret->l4_off = (__u16)l4;
	return true;
}

/* Changes the quoted layer 4; returns by how much the ICMP sum changed. */
static __always_inline __u64 icmp_quote_l4(void *l4, void *end, __u8 proto,
					   const struct nat_to *to,
					   __u64 pseudo)
{
	struct udp_hdr *udp = l4;
	struct tcp_hdr *tcp = l4;
	__u64 ports, delta;
	__be16 old, now;

	if (l4 + sizeof(*udp) > end)
		return 0;
	ports = csum_delta16(0, udp->sport, to->dport);
	ports = csum_delta16(ports, udp->dport, to->sport);
	udp->sport = to->dport;
	udp->dport = to->sport;
	delta = ports;
	if (proto == PROTO_UDP) {
		old = udp->csum;
		now = csum_apply_udp(old, pseudo + ports);
		udp->csum = now;
		return csum_delta16(delta, old, now);
	}
	if (l4 + sizeof(*tcp) > end)
		return delta; /* its checksum is not quoted */
	old = tcp->csum;
	now = csum_apply(old, pseudo + ports);
	tcp->csum = now;
	return csum_delta16(delta, old, now);
}

/*
 * Translates an error: `to` is what a packet of the flow in the error's
 * direction gets. Its addresses replace the error's own; what is quoted went
 * the other way and gets them crosswise, ports too. One step of TTL is taken.
 */
static __always_inline bool icmp_error_nat6(void *data, void *end,
					    const struct pkt *pkt,
					    const struct quoted *q,
					    const struct nat_to *to)
{
	struct ip6_hdr *ip = PKT_L3(pkt, data);
	struct ip6_hdr *qip = data + (q->l3_off & 0x3fff);
	struct icmp_hdr *icmp = PKT_L4(pkt, data);
	__u64 delta = 0, pseudo = 0;
	int i;

	if ((void *)icmp + sizeof(*icmp) > end ||
	    (void *)ip + sizeof(*ip) > end || (void *)qip + sizeof(*qip) > end)
		return false;
	ROLLED
	for (i = 0; i < 4; i++) {
		/* ICMPv6 sums its own pseudo-header, too. */
		delta = csum_delta32(delta, ip->src[i], to->src.w[i]);
		delta = csum_delta32(delta, ip->dst[i], to->dst.w[i]);
		ip->src[i] = to->src.w[i];
		ip->dst[i] = to->dst.w[i];
		barrier(); /* few registers, little stack */
	}
	ROLLED
	for (i = 0; i < 4; i++) {
		pseudo = csum_delta32(pseudo, qip->src[i], to->dst.w[i]);
		pseudo = csum_delta32(pseudo, qip->dst[i], to->src.w[i]);
		qip->src[i] = to->dst.w[i];
		qip->dst[i] = to->src.w[i];
		barrier();
	}
	ip->hop_limit--;
	delta += (pseudo & 0xffffffff) + (pseudo >> 32);
	delta += icmp_quote_l4(data + (q->l4_off & 0x3fff), end, q->proto,
			       to, pseudo);
	icmp->csum = csum_apply(icmp->csum, delta);
	return true;
}

static __always_inline bool icmp_error_nat4(void *data, void *end,
					    const struct pkt *pkt,
					    const struct quoted *q,
					    const struct nat_to *to)
{
	struct ip4_hdr *ip = PKT_L3(pkt, data);
	struct ip4_hdr *qip = data + (q->l3_off & 0x3fff);
	struct icmp_hdr *icmp = PKT_L4(pkt, data);
	__u64 head, pseudo, delta;
	__be16 old;

	if ((void *)icmp + sizeof(*icmp) > end ||
	    (void *)ip + sizeof(*ip) > end || (void *)qip + sizeof(*qip) > end)
		return false;
	head = csum_delta32(0, ip->src, to->src.w[3]);
	head = csum_delta32(head, ip->dst, to->dst.w[3]);
	head = csum_delta16(head, be16(ip->ttl << 8), be16((__u8)(ip->ttl - 1) << 8));
	ip->src = to->src.w[3];
	ip->dst = to->dst.w[3];
	ip->ttl--;
	ip->csum = csum_apply(ip->csum, head);
	pseudo = csum_delta32(0, qip->src, to->dst.w[3]);
	pseudo = csum_delta32(pseudo, qip->dst, to->src.w[3]);
	qip->src = to->dst.w[3];
	qip->dst = to->src.w[3];
	old = qip->csum;
	qip->csum = csum_apply(old, pseudo);
	delta = csum_delta16(pseudo, old, qip->csum);
	delta += icmp_quote_l4(data + (q->l4_off & 0x3fff), end, q->proto,
			       to, pseudo);
	icmp->csum = csum_apply(icmp->csum, delta);
	return true;
}

static __always_inline bool icmp_error_nat(void *data, void *end,
					   const struct pkt *pkt,
					   const struct quoted *q,
					   const struct nat_to *to)
{
	if (pkt->flags & PKT_V6)
		return icmp_error_nat6(data, end, pkt, q, to);
	return icmp_error_nat4(data, end, pkt, q, to);
}

/* Turns an echo request into its reply, in place; TTL as a fresh packet. */
static __always_inline bool icmp_echo_reply(void *data, void *end,
					    const struct pkt *pkt)
{
	struct icmp_hdr *icmp = PKT_L4(pkt, data);
	void *l3 = PKT_L3(pkt, data);
	__u8 type;
	int i;

	if ((void *)icmp + sizeof(*icmp) > end)
		return false;
	type = icmp->type;
	if (pkt->flags & PKT_V6) {
		struct ip6_hdr *ip = l3;

		if (l3 + sizeof(*ip) > end)
			return false;
	UNROLL
		for (i = 0; i < 4; i++) {
			ip->src[i] = pkt->dst.w[i];
			ip->dst[i] = pkt->src.w[i];
		}
		ip->hop_limit = ENCAP_TTL;
		icmp->type = ICMP6_ECHO_REPLY;
	} else {
		struct ip4_hdr *ip = l3;
		__u64 delta;

		if (l3 + sizeof(*ip) > end)
			return false;
		delta = csum_delta16(0, be16(ip->ttl << 8),
				     be16(ENCAP_TTL << 8));
		ip->src = pkt->dst.w[3];
		ip->dst = pkt->src.w[3];
		ip->ttl = ENCAP_TTL;
		ip->csum = csum_apply(ip->csum, delta);
		icmp->type = ICMP4_ECHO_REPLY;
	}
	icmp->csum = csum_apply(icmp->csum,
				csum_delta16(0, be16(type << 8),
					     be16(icmp->type << 8)));
	return true;
}

/* How much of a packet of l3_len bytes our error quotes: 0: too little. */
static __always_inline __u32 icmp_quote_len(__u32 l3_len)
{
	if (l3_len >= ICMP_QUOTE_MAX)
		return ICMP_QUOTE_MAX;
	return l3_len >= 48 ? l3_len & ~3u : l3_len >= 28 ? 28 : 0;
}

/* Bytes before the quote. */
#define ICMP_ERROR_HEAD(v6)                                                    \
	((__u32)((v6) ? sizeof(struct ip6_hdr) : sizeof(struct ip4_hdr)) +     \
	 (__u32)sizeof(struct icmp_hdr))

static __always_inline __u64 icmp_sum(const void *p, const void *end,
				      __u64 sum)
{
	int i;

	for (i = 0; i < (ICMP_QUOTE_MAX + 8) / 4; i++) {
		__u32 w;

		if (p + 4 > end)
			break;
		__builtin_memcpy(&w, p, 4);
		sum += w;
		p += 4;
	}
	return sum;
}

/*
 * An error of our own: writes ICMP_ERROR_HEAD bytes at l3; the quote of
 * quote_len bytes lies behind them already and ends at `end`, exactly. From
 * the offending packet's destination (an address of ours) to its source.
 * info: the second word of the header: v4 MTU in its lower half, v6 MTU.
 */
static __always_inline bool icmp_error_write(void *l3, void *end,
					     const struct pkt *pkt, __u8 type,
					     __u8 code, __u32 info,
					     __u32 quote_len)
{
	bool v6 = pkt->flags & PKT_V6;
	struct icmp_hdr *icmp = l3 + (v6 ? sizeof(struct ip6_hdr) :
					   sizeof(struct ip4_hdr));
	__u32 len = quote_len + (__u32)sizeof(*icmp);
	__u64 sum = 0;
	int i;

	if ((void *)icmp + sizeof(*icmp) > end)
		return false;
	if (v6) {
		struct ip6_hdr *ip = l3;

		ip->ver_tc_flow = be32(6u << 28);
		ip->payload_len = be16(len);
		ip->next = PROTO_ICMP6;
		ip->hop_limit = ENCAP_TTL;
	UNROLL
		for (i = 0; i < 4; i++) {
			ip->src[i] = pkt->dst.w[i];
			ip->dst[i] = pkt->src.w[i];
			sum += (__u64)pkt->dst.w[i] + pkt->src.w[i];
		}
		sum += (__u64)be16(len) + be16(PROTO_ICMP6);
	} else {
		struct ip4_hdr *ip = l3;

		ip->ver_ihl = 0x45;
		ip->tos = 0;
		ip->tot_len = be16(len + sizeof(*ip));
		ip->id = 0;
		ip->frag = be16(IP4_DF);
		ip->ttl = ENCAP_TTL;
		ip->proto = PROTO_ICMP;
		ip->csum = 0;
		ip->src = pkt->dst.w[3];
		ip->dst = pkt->src.w[3];
		ip->csum = (__be16)~csum_fold16(
			csum_words(ip, sizeof(*ip) / 2, 0));
	}
	icmp->type = type;
	icmp->code = code;
	icmp->csum = 0;
	icmp->id = be16(info >> 16);
	icmp->seq = be16(info & 0xffff);
	icmp->csum = (__be16)~csum_fold16(icmp_sum(icmp, end, sum));
	return true;
}

#endif
