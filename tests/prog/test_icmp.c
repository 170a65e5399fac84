// SPDX-License-Identifier: GPL-2.0-only
/*
 * ICMP and ICMPv6 through the XDP program: echo to a VIP, neighbour
 * discovery, errors that follow the flow they quote in every mode and in both
 * directions of NAT, errors of our own (TTL, size) and their rate bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/bpf.h>
#include <cmocka.h>
#include "../lib/progtest.h"
#include "icmp.h"

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define ROUTER4 "203.0.113.1"
#define ROUTER6 "2001:db8:c::1"
#define ACK 0x10

static struct progtest t;
static struct pktbuild in, out;

static const uint8_t mac_client[6] = { 2, 0, 0, 0, 0, 0xfe };
static const uint8_t mac_in0[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t mac_out0[6] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t mac_svc[6] = { 2, 0, 0, 0, 1, 0x11 };

static void start(enum fwd_mode mode, uint8_t proto)
{
	uint16_t nat = mode == FWD_NAT ? 5555 : 0;

	progtest_reset(&t);
	progtest_service(&t, 1, "10.0.1.11", 8080);
	progtest_service(&t, 2, "fd00:1::11", 8080);
	progtest_service(&t, 3, "10.0.3.11", 8080);
	progtest_service(&t, 4, "fd00:3::11", 8080);
	progtest_vserver(&t, 1, VIP4, 80, proto, mode, SETUP_ENGINE, 1, 1);
	progtest_vserver(&t, 2, VIP6, 80, proto, mode, SETUP_ENGINE, 2, 1);
	progtest_flow(&t, 1, CLIENT4, 4000, 1, nat, 0);
	progtest_flow(&t, 2, CLIENT6, 4000, 2, nat, 0);
}

/* Header of a frame: client side → us, or us → service. */
static void begin(struct pktbuild *p, bool v6, bool to_service)
{
	pktbuild_init(p);
	pktbuild_eth_macs(p, to_service ? mac_svc : mac_in0,
			  to_service ? mac_out0 : mac_client,
			  v6 ? 0x86dd : 0x0800);
}

/* An IP packet with `payload` bytes of layer 4 behind the ports, as quoted. */
static void quote(struct pktbuild *p, bool v6, uint8_t proto, const char *src,
		  const char *dst, uint16_t sport, uint16_t dport, size_t keep)
{
	static struct pktbuild q;

	pktbuild_init(&q);
	q.ttl = 50;
	pktbuild_ip(&q, src, dst, proto);
	if (proto == 6)
		pktbuild_tcp(&q, sport, dport, ACK);
	else
		pktbuild_udp(&q, sport, dport);
	pktbuild_payload(&q, 32);
	pktbuild_finish(&q);
	pktbuild_bytes(p, q.data, (v6 ? 40 : 20) + keep);
}

static void test_echo(void **state)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		const char *vip = v6 ? VIP6 : VIP4, *cl = v6 ? CLIENT6 : CLIENT4;

		start(FWD_NAT, 6);
		begin(&in, v6, false);
		in.ttl = 9;
		pktbuild_ip(&in, cl, vip, v6 ? 58 : 1);
		pktbuild_icmp(&in, v6, v6 ? 128 : 8, 0, 0x12345678);
		pktbuild_payload(&in, 31);
		pktbuild_finish(&in);
		pktbuild_init(&out);
		pktbuild_eth_macs(&out, mac_client, mac_in0,
				  v6 ? 0x86dd : 0x0800);
		pktbuild_ip(&out, vip, cl, v6 ? 58 : 1);
		pktbuild_icmp(&out, v6, v6 ? 129 : 0, 0, 0x12345678);
		pktbuild_payload(&out, 31);
		pktbuild_finish(&out);
		assert_true(progtest_check(&t, "echo", &in, t.in0, XDP_TX,
					   CNT_ICMP_ECHO, &out));
	}
}

static void test_passed(void **state)
{
	static const struct {
		const char *what;
		bool v6;
		uint8_t type;
		const char *dst;
		enum counter counter;
	} rows[] = {
		{ "neighbour solicitation", 1, 135, VIP6, CNT_PASS_ND },
		{ "neighbour advertisement", 1, 136, VIP6, CNT_PASS_ND },
		{ "echo reply to a VIP", 0, 0, VIP4, CNT_PASS_VIP },
		{ "timestamp to a VIP", 0, 13, VIP4, CNT_PASS_VIP },
		{ "echo to the NAT address", 0, 8, "10.0.1.1", CNT_PASS_VIP },
		{ "echo to somebody else", 0, 8, "192.0.2.99", CNT_PASS_OTHER },
		{ "ICMPv6 number in IPv4", 0, 128, VIP4, CNT_PASS_VIP },
	};

	start(FWD_NAT, 6);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = rows[i].v6;

		begin(&in, v6, false);
		pktbuild_ip(&in, v6 ? CLIENT6 : CLIENT4, rows[i].dst,
			    v6 ? 58 : 1);
		pktbuild_icmp(&in, v6, rows[i].type, 0, 0);
		pktbuild_payload(&in, 24);
		pktbuild_finish(&in);
		assert_true(progtest_check(&t, rows[i].what, &in, t.in0,
					   XDP_PASS, rows[i].counter, &in));
	}
}

/* From a router near the client, about what the client was sent. */
static void error_from_client_side(bool v6, uint8_t proto, size_t keep,
				   uint8_t type, uint8_t code, uint32_t rest)
{
	begin(&in, v6, false);
	pktbuild_ip(&in, v6 ? ROUTER6 : ROUTER4, v6 ? VIP6 : VIP4,
		    v6 ? 58 : 1);
	pktbuild_icmp(&in, v6, type, code, rest);
	quote(&in, v6, proto, v6 ? VIP6 : VIP4, v6 ? CLIENT6 : CLIENT4, 80, 4000,
	      keep);
	pktbuild_finish(&in);
}

static void test_error_nat(void **state)
{
	static const struct {
		const char *what;
		bool v6;
		uint8_t proto, type, code;
		size_t keep;
	} rows[] = {
		{ "v4 frag needed, whole TCP header", 0, 6, 3, 4, 20 + 32 },
		{ "v4 frag needed, 8 bytes of TCP", 0, 6, 3, 4, 8 },
		{ "v4 time exceeded, UDP", 0, 17, 11, 0, 8 },
		{ "v4 parameter problem", 0, 6, 12, 0, 20 },
		{ "v6 too big, whole TCP header", 1, 6, 2, 0, 20 + 32 },
		{ "v6 too big, 8 bytes of TCP", 1, 6, 2, 0, 8 },
		{ "v6 unreachable, UDP", 1, 17, 1, 4, 8 + 3 },
		{ "v6 time exceeded", 1, 6, 3, 0, 20 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = rows[i].v6;
		const char *svc = v6 ? "fd00:1::11" : "10.0.1.11";
		const char *nat = v6 ? "fd00:1::1" : "10.0.1.1";

		start(FWD_NAT, rows[i].proto);
		error_from_client_side(v6, rows[i].proto, rows[i].keep,
				       rows[i].type, rows[i].code, 1300);
		begin(&out, v6, true);
		out.ttl = 63;
		pktbuild_ip(&out, nat, svc, v6 ? 58 : 1);
		pktbuild_icmp(&out, v6, rows[i].type, rows[i].code, 1300);
		quote(&out, v6, rows[i].proto, svc, nat, 8080, 5555,
		      rows[i].keep);
		pktbuild_finish(&out);
		assert_true(progtest_check(&t, rows[i].what, &in, t.in0,
					   XDP_REDIRECT, CNT_FWD_ICMP, &out));

		/* The other way: a router near the service complains. */
		pktbuild_init(&in);
		pktbuild_eth_macs(&in, mac_out0, mac_svc, v6 ? 0x86dd : 0x0800);
		pktbuild_ip(&in, v6 ? "fd00:1::12" : "10.0.1.12", nat,
			    v6 ? 58 : 1);
		pktbuild_icmp(&in, v6, rows[i].type, rows[i].code, 1300);
		quote(&in, v6, rows[i].proto, nat, svc, 5555, 8080,
		      rows[i].keep);
		pktbuild_finish(&in);
		pktbuild_init(&out);
		pktbuild_eth_macs(&out, mac_client, mac_in0,
				  v6 ? 0x86dd : 0x0800);
		out.ttl = 63;
		pktbuild_ip(&out, v6 ? VIP6 : VIP4, v6 ? CLIENT6 : CLIENT4,
			    v6 ? 58 : 1);
		pktbuild_icmp(&out, v6, rows[i].type, rows[i].code, 1300);
		quote(&out, v6, rows[i].proto, v6 ? CLIENT6 : CLIENT4,
		      v6 ? VIP6 : VIP4, 4000, 80, rows[i].keep);
		pktbuild_finish(&out);
		assert_true(progtest_check(&t, rows[i].what, &in, t.out0,
					   XDP_REDIRECT, CNT_FWD_ICMP, &out));
	}
}

static void test_error_dsr(void **state)
{
	struct progtest_result r;

	for (int v6 = 0; v6 <= 1; v6++) {
		start(FWD_DSR_L2, 6);
		error_from_client_side(v6, 6, 20, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
		out = in;
		memcpy(out.data, mac_svc, 6);
		memcpy(out.data + 6, mac_out0, 6);
		out.data[14 + (v6 ? 7 : 8)]--;
		pktbuild_finish(&out);
		assert_true(progtest_check(&t, "dsr-l2", &in, t.in0,
					   XDP_REDIRECT, CNT_FWD_ICMP, &out));
		start(FWD_DSR_IPIP, 6);
		progtest_run(&t, in.data, in.len, t.in0, &r);
		assert_int_equal(r.counter, CNT_FWD_ICMP);
		assert_int_equal(r.len, in.len + (v6 ? 40 : 20));
		/* Inside is what came, one hop older. */
		assert_memory_equal(r.data + r.len - 60, out.data + out.len - 60,
				    60);
	}
}

static void test_error_unknown(void **state)
{
	start(FWD_NAT, 6);
	/* No such client. */
	begin(&in, false, false);
	pktbuild_ip(&in, ROUTER4, VIP4, 1);
	pktbuild_icmp(&in, false, 3, 4, 1300);
	quote(&in, false, 6, VIP4, CLIENT4, 80, 4001, 20);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "no flow", &in, t.in0, XDP_DROP,
				   CNT_DROP_ICMP, NULL));
	/* Quotes somebody else's packet. */
	begin(&in, false, false);
	pktbuild_ip(&in, ROUTER4, VIP4, 1);
	pktbuild_icmp(&in, false, 3, 4, 1300);
	quote(&in, false, 6, "192.0.2.11", CLIENT4, 80, 4000, 20);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "quotes another", &in, t.in0, XDP_DROP,
				   CNT_DROP_ICMP, NULL));
	/* No vserver's port. */
	begin(&in, false, false);
	pktbuild_ip(&in, ROUTER4, VIP4, 1);
	pktbuild_icmp(&in, false, 3, 4, 1300);
	quote(&in, false, 6, VIP4, CLIENT4, 81, 4000, 20);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "no vserver", &in, t.in0, XDP_DROP,
				   CNT_DROP_ICMP, NULL));
	/* Cut off at every length. */
	for (size_t keep = 0; keep < 28; keep++) {
		begin(&in, false, false);
		pktbuild_ip(&in, ROUTER4, VIP4, 1);
		pktbuild_icmp(&in, false, 3, 4, 1300);
		pktbuild_payload(&in, keep);
		if (keep)
			in.data[in.len - keep] = 0x45;
		pktbuild_finish(&in);
		assert_true(progtest_check(&t, "short quote", &in, t.in0,
					   XDP_DROP, CNT_DROP_ICMP, NULL));
	}
	/* About a connection of the kernel itself. */
	pktbuild_init(&in);
	pktbuild_eth_macs(&in, mac_out0, mac_svc, 0x0800);
	pktbuild_ip(&in, "10.0.1.12", "10.0.1.1", 1);
	pktbuild_icmp(&in, false, 3, 1, 0);
	quote(&in, false, 6, "10.0.1.1", "10.0.1.11", 40000, 22, 20);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "kernel's own", &in, t.out0, XDP_PASS,
				   CNT_PASS_VIP, &in));
}

static void own_error(bool v6, unsigned int tags, size_t quoted, uint8_t type,
		      uint8_t code, uint32_t rest)
{
	size_t l3 = 14 + tags * 4;

	pktbuild_init(&out);
	pktbuild_eth_macs(&out, mac_client, mac_in0, v6 ? 0x86dd : 0x0800);
	if (tags > 1)
		pktbuild_vlan(&out, 0x88a8, 7, 0x8100);
	if (tags)
		pktbuild_vlan(&out, 0x8100, 5, v6 ? 0x86dd : 0x0800);
	pktbuild_ip(&out, v6 ? VIP6 : VIP4, v6 ? CLIENT6 : CLIENT4, v6 ? 58 : 1);
	pktbuild_icmp(&out, v6, type, code, rest);
	pktbuild_bytes(&out, in.data + l3, quoted);
	pktbuild_finish(&out);
}

static void client_packet(bool v6, unsigned int tags, uint8_t ttl, size_t len)
{
	begin(&in, v6, false);
	if (tags > 1)
		pktbuild_vlan(&in, 0x88a8, 7, 0x8100);
	if (tags)
		pktbuild_vlan(&in, 0x8100, 5, v6 ? 0x86dd : 0x0800);
	in.ttl = ttl;
	pktbuild_ip(&in, v6 ? CLIENT6 : CLIENT4, v6 ? VIP6 : VIP4, 6);
	pktbuild_tcp(&in, 4000, 80, ACK);
	pktbuild_payload(&in, len);
	pktbuild_finish(&in);
}

static void test_ttl(void **state)
{
	static const struct {
		bool v6;
		unsigned int tags;
		size_t payload, quoted;
	} rows[] = {
		{ 0, 0, 500, 128 }, { 0, 0, 0, 28 },  { 0, 1, 60, 100 },
		{ 0, 2, 88, 128 },  { 1, 0, 500, 128 }, { 1, 0, 1, 60 },
		{ 1, 2, 3, 60 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint8_t ttl = 0; ttl <= 1; ttl++) {
			start(FWD_NAT, 6);
			client_packet(rows[i].v6, rows[i].tags, ttl,
				      rows[i].payload);
			own_error(rows[i].v6, rows[i].tags, rows[i].quoted,
				  rows[i].v6 ? 3 : 11, 0, 0);
			assert_true(progtest_check(&t, "ttl", &in, t.in0,
						   XDP_TX, CNT_ICMP_TTL, &out));
		}
}

static void test_too_big(void **state)
{
	/* What fits: 1300 on the way, less what encapsulation adds. */
	static const struct {
		const char *what;
		enum fwd_mode mode;
		bool v6;
		uint32_t service;
		uint32_t overhead;
	} rows[] = {
		{ "nat v4", FWD_NAT, 0, 3, 0 },
		{ "nat v6", FWD_NAT, 1, 4, 0 },
		{ "dsr-l2 v4", FWD_DSR_L2, 0, 3, 0 },
		{ "ipip v4", FWD_DSR_IPIP, 0, 3, 20 },
		{ "ipip v4 in v6", FWD_DSR_IPIP, 0, 4, 40 },
		{ "gue v4", FWD_DSR_GUE, 0, 3, 32 },
		{ "gue v6", FWD_DSR_GUE, 1, 4, 52 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = rows[i].v6;
		uint32_t mtu = 1300 - rows[i].overhead;
		size_t head = v6 ? 60 : 40;
		struct progtest_result r;

		start(rows[i].mode, 6);
		progtest_flow(&t, v6 ? 2 : 1, v6 ? CLIENT6 : CLIENT4, 4001,
			      rows[i].service,
			      rows[i].mode == FWD_NAT ? 5556 : 0, 0);
		client_packet(v6, 0, 64, mtu - head);
		in.data[14 + head - 20] = 4001 >> 8;
		in.data[14 + head - 19] = 4001 & 0xff;
		pktbuild_finish(&in);
		progtest_run(&t, in.data, in.len, t.in0, &r);
		assert_int_equal(r.counter, CNT_FWD_REDIRECT);
		client_packet(v6, 0, 64, mtu - head + 1);
		in.data[14 + head - 20] = 4001 >> 8;
		in.data[14 + head - 19] = 4001 & 0xff;
		pktbuild_finish(&in);
		own_error(v6, 0, 128, v6 ? 2 : 3, v6 ? 0 : 4, mtu);
		assert_true(progtest_check(&t, rows[i].what, &in, t.in0, XDP_TX,
					   CNT_ICMP_TOOBIG, &out));
		if (v6)
			continue;
		in.data[14 + 6] = 0; /* may be fragmented: not our job */
		pktbuild_finish(&in);
		assert_true(progtest_check(&t, rows[i].what, &in, t.in0,
					   XDP_DROP, CNT_DROP_TOO_BIG, NULL));
	}
}

static void test_no_error_about_errors(void **state)
{
	start(FWD_NAT, 6);
	begin(&in, false, false);
	in.ttl = 1;
	pktbuild_ip(&in, ROUTER4, VIP4, 1);
	pktbuild_icmp(&in, false, 3, 4, 1300);
	quote(&in, false, 6, VIP4, CLIENT4, 80, 4000, 20);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "error at its end", &in, t.in0, XDP_DROP,
				   CNT_DROP_TTL, NULL));
}

static void test_rate_bound(void **state)
{
	uint64_t limited = progtest_counter(&t, CNT_ICMP_LIMIT);
	uint64_t answered = progtest_counter(&t, CNT_ICMP_TTL);
	struct progtest_result r;
	unsigned int i;

	start(FWD_NAT, 6);
	client_packet(false, 0, 1, 10);
	/* A tick of 134 ms holds far more runs than the bound. */
	for (i = 0; i < 20000; i++) {
		progtest_run(&t, in.data, in.len, t.in0, &r);
		if (r.counter == CNT_DROP_TTL)
			break;
		assert_int_equal(r.counter, CNT_ICMP_TTL);
	}
	/* On a slow machine too few fit a tick: then nothing was bounded. */
	if (i == 20000)
		return;
	assert_true(progtest_counter(&t, CNT_ICMP_LIMIT) > limited);
	assert_in_range(progtest_counter(&t, CNT_ICMP_TTL) - answered, 100,
			20000);
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
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_error_nat),
		cmocka_unit_test(test_error_dsr),
		cmocka_unit_test(test_error_unknown),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_no_error_about_errors),
		cmocka_unit_test(test_rate_bound),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
