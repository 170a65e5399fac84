/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of our own, sent back where a packet came from: echo replies,
 * "too big" and "time exceeded". They leave by the interface and the VLAN
 * they concern, to the sender's MAC address; errors are bounded per CPU.
 */
#ifndef SLUICE_ANSWER_H
#define SLUICE_ANSWER_H

#include "compiler.h"
#include "icmp.h"
#include "maps.h"
#include "verdict.h"

static __always_inline bool answer_swap_macs(void *data, void *data_end)
{
	__u32 *w = data, a, b, c;

	if (data + sizeof(struct eth_hdr) > data_end)
		return false;
	a = w[0];
	b = w[1];
	c = w[2];
	/* dst is a and b's first half, src b's second half and c. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	w[0] = b >> 16 | c << 16;
	w[1] = c >> 16 | a << 16;
	w[2] = a >> 16 | b << 16;
#else
	w[0] = b << 16 | c >> 16;
	w[1] = c << 16 | a >> 16;
	w[2] = a << 16 | b >> 16;
#endif
	return true;
}

static __always_inline bool answer_allowed(__u32 tick)
{
	__u32 zero = 0;
	struct icmp_rate *r = bpf_map_lookup_elem(&icmp_rate, &zero);

	if (!r)
		return false;
	if (r->tick != tick) {
		r->tick = tick;
		r->count = 0;
	}
	if (r->count >= ICMP_PER_TICK) {
		count(CNT_ICMP_LIMIT);
		return false;
	}
	r->count += 1;
	return true;
}

SUBPROG int answer_echo(struct xdp_md *ctx, const struct pkt *pkt)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;

	if (!pkt || !icmp_echo_reply(data, data_end, pkt) ||
	    !answer_swap_macs(data, data_end))
		return DROP(SHORT);
	return VERDICT(XDP_TX, CNT_ICMP_ECHO);
}

/* RFC 1122, 3.2.2 and RFC 4443, 2.4(e): no error about an error, a later
 * fragment, or something that was not sent to one host by one host. */
static __always_inline bool answer_due(const struct pkt *pkt)
{
	if (pkt->flags & PKT_LATER)
		return false;
	if ((pkt->proto == PROTO_ICMP || pkt->proto == PROTO_ICMP6) &&
	    icmp_is_error(pkt))
		return false;
	return true;
}

/*
 * Turns the packet into an ICMP error about itself. type_code: type << 8 |
 * code; info: MTU or 0; counter: CNT_ICMP_TTL or CNT_ICMP_TOOBIG.
 */
SUBPROG int answer_error(struct xdp_md *ctx, const struct pkt *pkt,
				   __u32 type_code, __u32 info,
				   __u32 counter)
{
	int otherwise = counter == CNT_ICMP_TTL ? DROP(TTL) : DROP(TOO_BIG);
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 mac[3], tag[2] = {}, quote, head, l2, len;

	if (!pkt || !answer_due(pkt))
		return otherwise;
	quote = icmp_quote_len(pkt->l3_len);
	l2 = pkt->l3_off & 0x1f;
	if (!quote || l2 < sizeof(struct eth_hdr) || l2 > 22 ||
	    data + 22 > data_end || !answer_swap_macs(data, data_end))
		return otherwise;
	__builtin_memcpy(mac, data, sizeof(mac));
	__builtin_memcpy(tag, data + 12, sizeof(tag));
	len = (__u32)(data_end - data);
	if (len < l2 + quote)
		return otherwise;
	if (len > l2 + quote &&
	    bpf_xdp_adjust_tail(ctx, (int)(l2 + quote) - (int)len))
		return otherwise;
	head = ICMP_ERROR_HEAD(pkt->flags & PKT_V6);
	if (bpf_xdp_adjust_head(ctx, -(int)head))
		return DROP(HEADROOM);
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + 22 > data_end)
		return otherwise;
	__builtin_memcpy(data, mac, sizeof(mac));
	if (l2 == 14) {
		*(__u16 *)(data + 12) = (__u16)tag[0];
	} else {
		*(__u32 *)(data + 12) = tag[0];
		*(__u32 *)(data + 16) = tag[1];
		if (l2 == 22)
			*(__u16 *)(data + 20) = pkt->flags & PKT_V6 ?
				be16(ETHERTYPE_IP6) : be16(ETHERTYPE_IP4);
	}
	if (!icmp_error_write(data + l2, data_end, pkt, (__u8)(type_code >> 8),
			      (__u8)type_code, info, quote))
		return otherwise;
	return VERDICT(XDP_TX, counter);
}

static __always_inline int answer_ttl(struct xdp_md *ctx,
				      const struct pkt *pkt, __u32 tick)
{
	if (!answer_allowed(tick))
		return DROP(TTL);
	return answer_error(ctx, pkt,
			    pkt->flags & PKT_V6 ? ICMP6_TIME_EXCEEDED << 8 :
						  ICMP4_TIME_EXCEEDED << 8,
			    0, CNT_ICMP_TTL);
}

/* mtu: the largest packet that would have fit. */
static __always_inline int answer_too_big(struct xdp_md *ctx,
					  const struct pkt *pkt, __u32 mtu,
					  __u32 tick)
{
	/* IPv4 that may be fragmented: not by us, and no answer is due. */
	if (!(pkt->flags & PKT_DF) || !answer_allowed(tick))
		return DROP(TOO_BIG);
	return answer_error(ctx, pkt,
			    pkt->flags & PKT_V6 ? ICMP6_TOO_BIG << 8 :
						  ICMP4_UNREACH << 8 | 4,
			    mtu, CNT_ICMP_TOOBIG);
}

#endif
