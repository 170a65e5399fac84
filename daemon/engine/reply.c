// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's own answers; see reply.h. They go back by the interface and to
 * the MAC address the packet came from. ICMP errors are bounded per engine
 * (RFC 1812, 4.3.2.8), resets are not: each answers one packet with a smaller
 * one.
 */
#include "engine/reply.h"

#include <arpa/inet.h>
#include <string.h>
#include "csum.h"
#include "engine/emit.h"
#include "icmp.h"

/* As XDP: 128 per 134 ms. */
#define ICMP_PER_TICK 128u

static bool icmp_allowed(const struct engine *engine)
{
	static uint32_t tick, count;
	uint32_t now = flow_tick(engine->now_ns);

	if (now != tick) {
		tick = now;
		count = 0;
	}
	return count++ < ICMP_PER_TICK;
}

/* Why: counted instead if no answer is due. */
static void error(struct engine *engine, struct engine_packet *packet,
		  uint8_t type, uint8_t code, uint32_t info,
		  enum engine_drop why)
{
	const struct pkt *pkt = &packet->pkt;
	bool v6 = pkt->flags & PKT_V6;
	uint32_t quote = icmp_quote_len(pkt->l3_len);
	uint32_t head = ICMP_ERROR_HEAD(v6);
	uint8_t *quoted = packet->data + pkt->l3_off, *l3 = quoted - head;

	if (!quote || (pkt->flags & PKT_LATER) || !icmp_allowed(engine) ||
	    ((pkt->proto == PROTO_ICMP || pkt->proto == PROTO_ICMP6) &&
	     icmp_is_error(pkt)) ||
	    !icmp_error_write(l3, quoted + quote, pkt, type, code, info,
			      quote)) {
		engine_drop(engine, packet, why);
		return;
	}
	engine_count_drop(engine, why);
	emit_back(engine, packet, l3, head + quote);
}

void reply_ttl(struct engine *engine, struct engine_packet *packet)
{
	error(engine, packet,
	      packet->pkt.flags & PKT_V6 ? ICMP6_TIME_EXCEEDED :
					   ICMP4_TIME_EXCEEDED,
	      0, 0, DROP_TTL);
}

void reply_too_big(struct engine *engine, struct engine_packet *packet,
		   uint32_t mtu)
{
	if (packet->pkt.flags & PKT_V6)
		error(engine, packet, ICMP6_TOO_BIG, 0, mtu, DROP_TOO_BIG);
	else if (packet->pkt.flags & PKT_DF)
		error(engine, packet, ICMP4_UNREACH, 4, mtu, DROP_TOO_BIG);
	else
		engine_drop(engine, packet, DROP_TOO_BIG);
}

struct segment {
	__be16 sport, dport;
	uint32_t seq, ack, len; /* len: sequence numbers it takes */
	uint8_t flags;
};

static bool read_segment(const struct engine_packet *packet,
			 struct segment *ret)
{
	const struct pkt *pkt = &packet->pkt;
	const struct tcp_hdr *tcp =
		(const void *)(packet->data + pkt->l4_off);
	uint32_t used = (uint32_t)(pkt->l4_off - pkt->l3_off);
	uint32_t header = (uint32_t)(tcp->off >> 4) * 4;

	if (!pkt->l4_off || used + header > pkt->l3_len)
		return false;
	*ret = (struct segment){
		.sport = tcp->sport,
		.dport = tcp->dport,
		.seq = ntohl(tcp->seq),
		.ack = ntohl(tcp->ack),
		.len = pkt->l3_len - used - header,
		.flags = tcp->flags,
	};
	ret->len += !!(tcp->flags & TCP_SYN) + !!(tcp->flags & TCP_FIN);
	return true;
}

static uint8_t *write_ip(struct engine_packet *packet, uint32_t payload,
			 uint64_t *ret_pseudo)
{
	const struct pkt *pkt = &packet->pkt;
	uint8_t *l3 = packet->data + pkt->l3_off;
	uint64_t sum = (uint64_t)htons((uint16_t)payload) + htons(PROTO_TCP);

	for (int i = 0; i < 4; i++)
		sum += (uint64_t)pkt->src.w[i] + pkt->dst.w[i];
	if (pkt->flags & PKT_V6) {
		struct ip6_hdr *ip = (void *)l3;

		ip->ver_tc_flow = htonl(6u << 28);
		ip->payload_len = htons((uint16_t)payload);
		ip->next = PROTO_TCP;
		ip->hop_limit = ENCAP_TTL;
		memcpy(ip->src, &pkt->dst, 16);
		memcpy(ip->dst, &pkt->src, 16);
		*ret_pseudo = sum;
		return (uint8_t *)(ip + 1);
	}
	struct ip4_hdr *ip = (void *)l3;

	*ip = (struct ip4_hdr){
		.ver_ihl = 0x45,
		.tot_len = htons((uint16_t)(sizeof(*ip) + payload)),
		.frag = htons(IP4_DF),
		.ttl = ENCAP_TTL,
		.proto = PROTO_TCP,
		.src = pkt->dst.w[3],
		.dst = pkt->src.w[3],
	};
	ip->csum = (__be16)~csum_fold16(csum_words(ip, sizeof(*ip) / 2, 0));
	/* The mapped prefix of both addresses is not part of it. */
	*ret_pseudo = sum - 2 * (uint64_t)IP_ADDR_V4_PREFIX;
	return (uint8_t *)(ip + 1);
}

static void reset(struct engine *engine, struct engine_packet *packet,
		  enum engine_drop why)
{
	struct tcp_hdr *tcp, header = { .off = sizeof(header) / 4 << 4 };
	struct segment in;
	uint64_t sum;

	if ((packet->pkt.tcp_flags & TCP_RST) || !read_segment(packet, &in)) {
		engine_drop(engine, packet, why);
		return;
	}
	header.sport = in.dport;
	header.dport = in.sport;
	header.flags = TCP_RST;
	if (in.flags & TCP_ACK) {
		header.seq = htonl(in.ack);
	} else {
		header.flags |= TCP_ACK;
		header.ack = htonl(in.seq + in.len);
	}
	tcp = (void *)write_ip(packet, sizeof(*tcp), &sum);
	header.csum = (__be16)~csum_fold16(
		csum_words(&header, sizeof(header) / 2, sum));
	*tcp = header;
	engine_count_drop(engine, why);
	emit_back(engine, packet, packet->data + packet->pkt.l3_off,
		  (uint32_t)((uint8_t *)(tcp + 1) - packet->data) -
			  packet->pkt.l3_off);
}

void reply_refuse(struct engine *engine, struct engine_packet *packet,
		  enum engine_drop why)
{
	bool v6 = packet->pkt.flags & PKT_V6;

	if (packet->pkt.flags & PKT_FRAGMENT && packet->pkt.flags & PKT_LATER)
		engine_drop(engine, packet, why);
	else if (packet->pkt.proto == PROTO_TCP)
		reset(engine, packet, why);
	else
		error(engine, packet, v6 ? ICMP6_UNREACH : ICMP4_UNREACH,
		      v6 ? 4 : 3, 0, why);
}
