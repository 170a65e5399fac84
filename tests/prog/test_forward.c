// SPDX-License-Identifier: GPL-2.0-only
/*
 * Established flows through the XDP program: every forwarding mode, both
 * families, both directions of NAT, one- and two-armed, with tags, options
 * and odd checksums. Each row is a packet in and the exact packet out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/bpf.h>
#include <cmocka.h>
#include "lb.h"
#include "../lib/progtest.h"

static struct progtest t;

/* Ids: service 1..4 two-armed v4, 5..8 v6, 9 one-armed v4, 10 v6, 11 small,
 * 12 without neighbour, 13 without route. */
static void services(void)
{
	char addr[64];

	progtest_reset(&t);
	for (uint32_t i = 0; i < 4; i++) {
		snprintf(addr, sizeof(addr), "10.0.1.%u", 11 + i);
		progtest_service(&t, 1 + i, addr, 8080);
		snprintf(addr, sizeof(addr), "fd00:1::%u", 11 + i);
		progtest_service(&t, 5 + i, addr, 8080);
	}
	progtest_service(&t, 9, "192.168.0.11", 8080);
	progtest_service(&t, 10, "fd00:0::11", 8080);
	progtest_service(&t, 11, "10.0.3.11", 8080);
	progtest_service(&t, 12, "10.0.1.99", 8080);
	progtest_service(&t, 13, "172.31.0.1", 8080);
}

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"

static const uint8_t mac_client[6] = { 2, 0, 0, 0, 0, 0xfe };
static const uint8_t mac_in0[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t mac_out0[6] = { 2, 0, 0, 0, 1, 1 };
static uint8_t mac_svc[6] = { 2, 0, 0, 0, 1, 0x11 };
static const uint8_t mac_one_arm[6] = { 2, 0, 0, 0, 0, 0x11 };

struct row {
	const char *what;
	bool v6;
	uint8_t proto;
	enum fwd_mode mode;
	uint32_t service;
	uint8_t tcp_flags;
	uint16_t options; /* IPv4 option words */
	unsigned int tags;
	bool udp_no_csum;
	size_t payload;
};

static void put_tags(struct pktbuild *p, unsigned int tags, uint16_t type)
{
	if (tags > 1)
		pktbuild_vlan(p, 0x88a8, 0x0123, 0x8100);
	if (tags)
		pktbuild_vlan(p, 0x8100, 0x2064, type);
}

static void put_l4(struct pktbuild *p, const struct row *r, uint16_t sport,
		   uint16_t dport)
{
	if (r->proto == 6)
		pktbuild_tcp(p, sport, dport, r->tcp_flags ? r->tcp_flags : 16);
	else
		pktbuild_udp(p, sport, dport);
	pktbuild_payload(p, r->payload);
}

static void put_ip(struct pktbuild *p, const struct row *r, const char *src,
		   const char *dst)
{
	if (r->v6)
		pktbuild_ip(p, src, dst, r->proto);
	else
		pktbuild_ip4_full(p, src, dst, r->proto, r->options, 7,
				  0x4000);
}

/* Frame from mac_src to mac_dst around what the row says. */
static void frame(struct pktbuild *p, const struct row *r, const uint8_t *dst,
		  const uint8_t *src, unsigned int tags, bool outer_v6)
{
	uint16_t type = outer_v6 ? 0x86dd : 0x0800;

	pktbuild_init(p);
	p->udp_no_csum = r->udp_no_csum;
	pktbuild_eth_macs(p, dst, src, type);
	put_tags(p, tags, type);
}

static const char *service_text(const struct row *r)
{
	static char text[64];

	switch (r->service) {
	case 9:
		return "192.168.0.11";
	case 10:
		return "fd00:0::11";
	default:
		snprintf(text, sizeof(text),
			 r->service >= 5 ? "fd00:1::%u" : "10.0.1.%u",
			 11 + (r->service - 1) % 4);
		return text;
	}
}

static void expect_encap(struct pktbuild *p, const struct row *r)
{
	const char *svc = service_text(r);
	bool v6 = strchr(svc, ':');
	uint32_t hash = progtest_hash(&t, r->v6 ? CLIENT6 : CLIENT4,
				      r->v6 ? VIP6 : VIP4, 40000, 80);
	uint8_t inner = r->v6 ? 41 : 4;
	uint8_t *gue;

	if (v6) {
		pktbuild_ip(p, "fd00:1::1", svc,
			    r->mode == FWD_DSR_GUE ? 17 : inner);
		/* flow label: 20 bits of the mixed hash */
		p->data[p->len - 39] |= (uint8_t)(lb_mix(hash) >> 16 & 0xf);
		p->data[p->len - 38] = (uint8_t)(lb_mix(hash) >> 8);
		p->data[p->len - 37] = (uint8_t)lb_mix(hash);
	} else {
		pktbuild_ip4_full(p, "10.0.1.1", svc,
				  r->mode == FWD_DSR_GUE ? 17 : inner, 0, 0,
				  0x4000);
	}
	if (r->mode != FWD_DSR_GUE)
		return;
	pktbuild_udp(p, 0xc000 | (lb_mix(hash) & 0x3fff), 6080);
	pktbuild_payload(p, 4);
	gue = p->data + p->len - 4;
	memset(gue, 0, 4);
	gue[1] = inner;
}

static void run_row(const struct row *r)
{
	static struct pktbuild in, out;
	bool one_armed = r->service == 9 || r->service == 10;
	unsigned int out_tags = one_armed ? r->tags : 0;
	const char *client = r->v6 ? CLIENT6 : CLIENT4;
	const char *vip = r->v6 ? VIP6 : VIP4, *svc = service_text(r);
	bool nat = r->mode == FWD_NAT, encap = r->mode >= FWD_DSR_IPIP;
	size_t gue_udp;

	mac_svc[5] = (uint8_t)(0x11 + (r->service - 1) % 4);
	services();
	progtest_vserver(&t, 1, vip, 80, r->proto, r->mode, SETUP_ENGINE, 1, 4);
	progtest_flow(&t, 1, client, 40000, r->service, nat ? 5555 : 0, 0);

	frame(&in, r, mac_in0, mac_client, r->tags, r->v6);
	put_ip(&in, r, client, vip);
	put_l4(&in, r, 40000, 80);
	pktbuild_finish(&in);

	frame(&out, r, one_armed ? mac_one_arm : mac_svc,
	      one_armed ? mac_in0 : mac_out0, out_tags,
	      encap ? !!strchr(svc, ':') : r->v6);
	if (encap)
		expect_encap(&out, r);
	gue_udp = out.len - 12;
	out.ttl = 63;
	put_ip(&out, r, nat ? (r->v6 ? "fd00:1::1" : "10.0.1.1") : client,
	       nat ? svc : vip);
	put_l4(&out, r, nat ? 5555 : 40000, nat ? 8080 : 80);
	pktbuild_finish(&out);
	if (r->mode == FWD_DSR_GUE) /* the outer UDP has no checksum */
		memset(out.data + gue_udp + 6, 0, 2);
	assert_true(progtest_check(&t, r->what, &in, t.in0,
				   one_armed ? XDP_TX : XDP_REDIRECT,
				   one_armed ? CNT_FWD_TX : CNT_FWD_REDIRECT,
				   &out));
}

static void test_established(void **state)
{
	static const struct row rows[] = {
		{ "nat tcp v4", 0, 6, FWD_NAT, 1, .payload = 100 },
		{ "nat tcp v4, no payload", 0, 6, FWD_NAT, 2, .payload = 0 },
		{ "nat tcp v4, odd payload", 0, 6, FWD_NAT, 3, .payload = 13 },
		{ "nat tcp v4, options", 0, 6, FWD_NAT, 1, .options = 3 },
		{ "nat tcp v4, most options", 0, 6, FWD_NAT, 1, .options = 10 },
		{ "nat tcp v4, tag", 0, 6, FWD_NAT, 1, .tags = 1 },
		{ "nat tcp v4, two tags", 0, 6, FWD_NAT, 1, .tags = 2 },
		{ "nat tcp v4, one-armed", 0, 6, FWD_NAT, 9, .payload = 9 },
		{ "nat tcp v4, one-armed, tag", 0, 6, FWD_NAT, 9, .tags = 1 },
		{ "nat tcp v4, one-armed, two tags", 0, 6, FWD_NAT, 9,
		  .tags = 2 },
		{ "nat udp v4", 0, 17, FWD_NAT, 1, .payload = 50 },
		{ "nat udp v4 without checksum", 0, 17, FWD_NAT, 1,
		  .udp_no_csum = true, .payload = 50 },
		{ "nat tcp v6", 1, 6, FWD_NAT, 5, .payload = 100 },
		{ "nat tcp v6, one-armed", 1, 6, FWD_NAT, 10, .payload = 3 },
		{ "nat tcp v6, one-armed, tag", 1, 6, FWD_NAT, 10, .tags = 1 },
		{ "nat udp v6", 1, 17, FWD_NAT, 6, .payload = 77 },
		{ "dsr-l2 tcp v4", 0, 6, FWD_DSR_L2, 1, .payload = 5 },
		{ "dsr-l2 tcp v4, one-armed", 0, 6, FWD_DSR_L2, 9, .payload = 0 },
		{ "dsr-l2 udp v4, one-armed, tag", 0, 17, FWD_DSR_L2, 9,
		  .tags = 1 },
		{ "dsr-l2 tcp v6", 1, 6, FWD_DSR_L2, 5, .payload = 0 },
		{ "dsr-l2 udp v6, one-armed", 1, 17, FWD_DSR_L2, 10, .payload = 0 },
		{ "ipip tcp v4 in v4", 0, 6, FWD_DSR_IPIP, 1, .payload = 40 },
		{ "ipip tcp v4 in v4, options", 0, 6, FWD_DSR_IPIP, 1,
		  .options = 2 },
		{ "ipip tcp v6 in v6", 1, 6, FWD_DSR_IPIP, 5, .payload = 40 },
		{ "ipip tcp v4 in v6", 0, 6, FWD_DSR_IPIP, 5, .payload = 0 },
		{ "ipip tcp v6 in v4", 1, 6, FWD_DSR_IPIP, 1, .payload = 0 },
		{ "ipip udp v4 in v4, tag goes", 0, 17, FWD_DSR_IPIP, 1,
		  .tags = 1 },
		{ "gue tcp v4 in v4", 0, 6, FWD_DSR_GUE, 1, .payload = 40 },
		{ "gue tcp v6 in v6", 1, 6, FWD_DSR_GUE, 5, .payload = 40 },
		{ "gue udp v4 in v6", 0, 17, FWD_DSR_GUE, 6, .payload = 0 },
		{ "gue udp v6 in v4", 1, 17, FWD_DSR_GUE, 2, .payload = 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

static int setup(void **state)
{
	progtest_open(&t, 0);
	return 0;
}

static int teardown(void **state)
{
	progtest_close(&t);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_established),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
