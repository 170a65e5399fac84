// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet logic of bpf/lib, compiled for the host under ASan and UBSan:
 * parser, tunnels, quoted packets, and every rewriting, on any bytes. The
 * frame lies at the end of its allocation, so one byte too many is seen.
 *
 * Besides not crashing: what the parser calls good lies inside the frame, and
 * a layer-4 checksum is right after translation exactly if it was before.
 *
 * The first byte's top bit lays the rest over one of eight valid packets
 * (XOR), so that deep layers are reached at once.
 *
 * fuzz-sources: tests/lib/pktbuild.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "csum.h"
#include "encap.h"
#include "icmp.h"
#include "parse.h"
#include "rewrite_nat.h"
#include "../lib/pktbuild.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADROOM 128

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* Sum of layer 4 with its pseudo-header: 0xffff if the checksum is right. */
static uint16_t l4_sum(const uint8_t *data, const struct pkt *pkt)
{
	size_t len = (size_t)pkt->l3_off + pkt->l3_len - pkt->l4_off;
	const uint8_t *p = data + pkt->l4_off;
	const uint8_t *ip = data + pkt->l3_off;
	uint64_t sum = pkt->proto + len;
	bool v6 = pkt->flags & PKT_V6;

	for (size_t i = v6 ? 8 : 12; i < (v6 ? 40u : 20u); i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void check_parsed(const struct pkt *pkt, size_t len)
{
	require(pkt->l3_off >= 14 && pkt->l3_off <= 22);
	if (pkt->bad)
		return;
	require((size_t)pkt->l3_off + pkt->l3_len <= len);
	require(pkt->l4_off == 0 || pkt->l4_off >= pkt->l3_off + 20);
	require(pkt->l4_off <= pkt->l3_off + pkt->l3_len);
	require(pkt->l4_off < 0x4000);
}

static void translate(uint8_t *frame, uint8_t *end, const struct pkt *pkt,
		      const struct nat_to *to)
{
	bool checked = !(pkt->flags & PKT_FRAGMENT), right = false;

	if (pkt->proto == PROTO_UDP && checked) {
		struct udp_hdr *udp = (void *)(frame + pkt->l4_off);

		checked = udp->csum != 0;
	}
	if (checked)
		right = l4_sum(frame, pkt) == 0xffff;
	require(rewrite_nat(frame, end, pkt, to));
	if (checked)
		require((l4_sum(frame, pkt) == 0xffff) == right);
}

static void encapsulate(uint8_t *frame, uint8_t *end, const struct pkt *pkt,
			uint8_t choice)
{
	struct encap e = { .inner_len = pkt->l3_len, .hash = 0x12345678,
			   .inner_v6 = !!(pkt->flags & PKT_V6),
			   .tos = pkt->tos };
	struct decap d;
	struct pkt outer;
	uint32_t need;

	if (choice & 1)
		ip_addr_set_v4(&e.dst, 0x01020304);
	else
		e.dst.d[0] = 1;
	e.src = e.dst;
	e.gue_port = choice & 2 ? be16(6080) : 0;
	e.private_data = (choice & 6) == 6;
	need = encap_len(choice & 1, choice & 2, e.private_data);
	if ((uint32_t)pkt->l3_len + need > 0xffff)
		return;
	frame -= need;
	require(encap_write(frame + pkt->l3_off, end, &e));
	/* What was put around can be taken off. */
	require(parse_l3(frame, end, pkt->l3_off,
			 choice & 1 ? be16(ETHERTYPE_IP4) :
				      be16(ETHERTYPE_IP6), &outer) != PARSE_PASS);
	if (outer.proto == PROTO_IP4 || outer.proto == PROTO_IP6)
		outer.l4_off = (uint16_t)(pkt->l3_off + need);
	require(!outer.bad);
	require(decap_find(frame, end, &outer, be16(6080), &d));
	require(d.off == pkt->l3_off + need);
	require(d.steered == e.private_data);
}

static struct pktbuild templates[8];

static void quote(struct pktbuild *p, bool v6)
{
	static struct pktbuild q;

	pktbuild_l4(&q, v6 ? "2001:db8::1" : "192.0.2.1",
		    v6 ? "2001:db8::2" : "192.0.2.2", v6 ? 17 : 6, 80, 4000, 16,
		    8);
	pktbuild_bytes(p, q.data + 14, q.len - 14);
}

static void make_templates(void)
{
	struct pktbuild *p = templates;
	const char *a4 = "198.51.100.1", *b4 = "192.0.2.1";
	const char *a6 = "2001:db8::2", *b6 = "2001:db8::1";

	pktbuild_l4(p++, a4, b4, 6, 4000, 80, 16, 32);
	pktbuild_l4(p++, a4, b4, 17, 4000, 80, 0, 33);
	pktbuild_l4(p++, a6, b6, 6, 4000, 80, 16, 5);
	pktbuild_init(p);
	pktbuild_eth(p, 0x86dd);
	pktbuild_vlan(p, 0x8100, 1, 0x86dd);
	pktbuild_ip(p, a6, b6, 0);
	pktbuild_ip6_ext(p, 60, 0);
	pktbuild_ip6_ext(p, 44, 1);
	pktbuild_ip6_frag(p, 17, 0, false, 7);
	pktbuild_udp(p, 4000, 80);
	pktbuild_payload(p, 16);
	pktbuild_finish(p++);
	for (int v6 = 0; v6 <= 1; v6++) {
		pktbuild_init(p);
		pktbuild_eth(p, v6 ? 0x86dd : 0x0800);
		pktbuild_ip(p, v6 ? a6 : a4, v6 ? b6 : b4, v6 ? 58 : 1);
		pktbuild_icmp(p, v6, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
		quote(p, v6);
		pktbuild_finish(p++);
	}
	pktbuild_init(p);
	pktbuild_eth(p, 0x0800);
	pktbuild_ip(p, a4, b4, 17);
	pktbuild_udp(p, 50000, 6080);
	pktbuild_bytes(p, "\2\4\0\0SLC1\1\2\3\4", 12);
	quote(p, false);
	pktbuild_finish(p++);
	pktbuild_init(p);
	pktbuild_eth(p, 0x0800);
	pktbuild_ip(p, a4, b4, 47);
	pktbuild_bytes(p, "\x20\0\x65\x58\1\2\3\4", 8);
	pktbuild_eth(p, 0x0800);
	quote(p, false);
	pktbuild_finish(p);
}

/* The frame to try, at the end of its allocation behind HEADROOM. */
static uint8_t *make_frame(const uint8_t *data, size_t size, uint8_t choice,
			   size_t *ret_len)
{
	const struct pktbuild *t = &templates[choice >> 4 & 7];
	size_t len = choice & 0x80 ? t->len : size;
	uint8_t *mem = malloc(HEADROOM + len);

	if (!mem)
		return NULL;
	memset(mem, 0, HEADROOM);
	*ret_len = len;
	if (!(choice & 0x80)) {
		memcpy(mem + HEADROOM, data, len);
		return mem;
	}
	memcpy(mem + HEADROOM, t->data, len);
	for (size_t i = 0; i < len && i < size; i++)
		mem[HEADROOM + i] ^= data[i];
	return mem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nat_to to = { .sport = be16(5555), .dport = be16(8080) };
	uint8_t *mem, *frame, *end;
	struct quoted q;
	struct decap d;
	struct pkt pkt;
	uint8_t choice;

	if (size < 1 || size > 4096)
		return 0;
	if (!templates[0].len)
		make_templates();
	choice = data[0];
	mem = make_frame(data + 1, size - 1, choice, &size);
	if (!mem)
		return 0;
	frame = mem + HEADROOM;
	end = frame + size;
	if (parse_packet(frame, end, &pkt) != PARSE_OK)
		goto out;
	check_parsed(&pkt, size);
	decap_find(frame, end, &pkt, be16(6080), &d);
	if (pkt.bad)
		goto out;
	if (pkt.flags & PKT_V6) {
		to.src.d[0] = to.dst.d[1] = 0x1122334455667788ull;
	} else {
		ip_addr_set_v4(&to.src, 0x0a0b0c0d);
		ip_addr_set_v4(&to.dst, 0x01020304);
	}
	if (pkt.proto == PROTO_ICMP || pkt.proto == PROTO_ICMP6) {
		if (pkt.l4_off && icmp_is_error(&pkt) &&
		    icmp_quoted(frame, end, &pkt, &q))
			require(icmp_error_nat(frame, end, &pkt, &q, &to));
		else if (pkt.l4_off && icmp_is_echo(&pkt))
			require(icmp_echo_reply(frame, end, &pkt));
	} else if (pkt.proto == PROTO_TCP || pkt.proto == PROTO_UDP) {
		translate(frame, end, &pkt, &to);
	}
	if (choice & 8) {
		encapsulate(frame, end, &pkt, choice);
	} else {
		uint32_t quote = icmp_quote_len(pkt.l3_len);
		uint32_t head = ICMP_ERROR_HEAD(pkt.flags & PKT_V6);

		if (quote)
			require(icmp_error_write(
				frame + pkt.l3_off - head,
				frame + pkt.l3_off + quote, &pkt, 3, 4, 1400,
				quote));
	}
out:
	free(mem);
	return 0;
}
