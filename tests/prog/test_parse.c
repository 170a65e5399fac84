// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is not for us passes untouched; what is for us and broken is dropped
 * under its name: every header cut off at every length, every field that can
 * contradict another. VLAN tags, IPv4 options, IPv6 extension headers and
 * fragments find their flow. XDP's hash is the host's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <cmocka.h>
#include "../lib/progtest.h"
#include "hash.h"

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define ACK 0x10

static struct progtest t;
static struct pktbuild in, out;

static void start(uint8_t proto)
{
	progtest_reset(&t);
	progtest_service(&t, 1, "10.0.1.11", 8080);
	progtest_service(&t, 2, "fd00:1::11", 8080);
	progtest_vserver(&t, 1, VIP4, 80, proto, FWD_NAT, SETUP_ENGINE, 1, 1);
	progtest_vserver(&t, 2, VIP6, 80, proto, FWD_NAT, SETUP_ENGINE, 2, 1);
	progtest_flow(&t, 1, CLIENT4, 4000, 1, 5555, 0);
	progtest_flow(&t, 2, CLIENT6, 4000, 2, 5555, 0);
	progtest_engines(&t, 1);
}

static void run(struct progtest_result *r)
{
	progtest_run(&t, in.data, in.len, t.in0, r);
}

static bool passes(const char *what, enum counter counter)
{
	return progtest_check(&t, what, &in, t.in0, XDP_PASS, counter, &in);
}

static void test_not_ours(void **state)
{
	start(6);
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x0806);
	pktbuild_payload(&in, 46);
	assert_true(passes("ARP", CNT_PASS_ARP));
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x88cc);
	pktbuild_payload(&in, 46);
	assert_true(passes("LLDP", CNT_PASS_ARP));
	pktbuild_l4(&in, CLIENT4, "192.0.2.99", 6, 4000, 80, ACK, 10);
	assert_true(passes("other address", CNT_PASS_OTHER));
	pktbuild_l4(&in, CLIENT6, "2001:db8::99", 17, 4000, 80, 0, 10);
	assert_true(passes("other address, v6", CNT_PASS_OTHER));
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4000, 81, ACK, 10);
	assert_true(passes("other port", CNT_PASS_VIP));
	pktbuild_l4(&in, CLIENT4, VIP4, 17, 4000, 80, 0, 10);
	assert_true(passes("other protocol", CNT_PASS_VIP));
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4000, 0, ACK, 10);
	assert_true(passes("port 0", CNT_PASS_VIP));
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x0800);
	pktbuild_ip(&in, CLIENT4, VIP4, 132);
	pktbuild_payload(&in, 20);
	pktbuild_finish(&in);
	assert_true(passes("SCTP", CNT_PASS_VIP));
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4000, 80, ACK, 10);
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x0800);
	pktbuild_vlan(&in, 0x8100, 1, 0x8100);
	pktbuild_vlan(&in, 0x8100, 2, 0x8100);
	pktbuild_vlan(&in, 0x8100, 3, 0x0800);
	pktbuild_ip(&in, CLIENT4, VIP4, 6);
	pktbuild_tcp(&in, 4000, 80, ACK);
	pktbuild_finish(&in);
	assert_true(passes("three tags", CNT_PASS_ARP));
}

/* To us and broken, to somebody else and broken: dropped, passed. */
static void broken(const char *what, bool v6, enum counter counter)
{
	assert_true(progtest_check(&t, what, &in, t.in0, XDP_DROP, counter,
				   NULL));
	in.data[14 + (v6 ? 39 : 19)]++;
	assert_true(passes(what, CNT_PASS_OTHER));
	in.data[14 + (v6 ? 39 : 19)]--;
}

static void test_truncated(void **state)
{
	static const struct {
		bool v6;
		uint8_t proto;
		size_t l4, l4_len;
	} rows[] = {
		{ 0, 6, 34, 20 }, { 0, 17, 34, 8 }, { 1, 6, 54, 20 },
		{ 1, 17, 54, 8 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = rows[i].v6;

		start(rows[i].proto);
		for (size_t len = 14; len < rows[i].l4 + rows[i].l4_len;
		     len++) {
			pktbuild_l4(&in, v6 ? CLIENT6 : CLIENT4,
				    v6 ? VIP6 : VIP4, rows[i].proto, 4000, 80,
				    ACK, 0);
			in.len = len;
			if (len < rows[i].l4) {
				/* No address: the kernel's business. */
				assert_true(passes("cut", CNT_PASS_OTHER));
				continue;
			}
			/* The frame is cut, the IP length is not. */
			broken("frame cut", v6, CNT_DROP_SHORT);
			/* Both are: the layer-4 header is short. */
			if (v6)
				in.data[14 + 5] = (uint8_t)(len - 54);
			else
				in.data[14 + 3] = (uint8_t)(len - 14);
			broken("length cut", v6, CNT_DROP_SHORT);
			/* The frame is whole: what follows is padding. */
			in.len = rows[i].l4 + rows[i].l4_len;
			broken("length cut, padded", v6, CNT_DROP_SHORT);
		}
		/* Padding behind the packet is no part of it. */
		pktbuild_l4(&in, v6 ? CLIENT6 : CLIENT4, v6 ? VIP6 : VIP4,
			    rows[i].proto, 4000, 80, ACK, 0);
		in.len += 6;
		assert_true(progtest_check(&t, "padded", &in, t.in0,
					   XDP_REDIRECT, CNT_FWD_REDIRECT,
					   NULL));
	}
}

static void test_tags_truncated(void **state)
{
	start(6);
	for (unsigned int tags = 1; tags <= 2; tags++)
		for (size_t cut = 0; cut < 4; cut++) {
			pktbuild_init(&in);
			pktbuild_eth(&in, 0x0800);
			for (unsigned int k = 0; k < tags; k++)
				pktbuild_vlan(&in, 0x8100, 1, 0x0800);
			in.len -= 4 - cut;
			if (in.len < 14)
				continue;
			assert_true(passes("tag cut", CNT_PASS_OTHER));
		}
}

static void test_bad_fields(void **state)
{
	start(6);
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4000, 80, ACK, 10);
	in.data[14] = 0x65;
	assert_true(passes("version 6 in IPv4", CNT_PASS_OTHER));
	for (uint8_t ihl = 0; ihl < 5; ihl++) {
		in.data[14] = 0x40 | ihl;
		broken("header length", false, CNT_DROP_HEADER);
	}
	in.data[14] = 0x4f; /* options beyond the packet */
	broken("options", false, CNT_DROP_HEADER);
	in.data[14] = 0x45;
	in.data[14 + 2] = 0;
	in.data[14 + 3] = 19;
	broken("total length", false, CNT_DROP_HEADER);
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4000, 80, ACK, 10);
	for (uint8_t off = 0; off < 5; off++) {
		in.data[34 + 12] = (uint8_t)(off << 4);
		broken("TCP offset", false, CNT_DROP_HEADER);
	}
	in.data[34 + 12] = 8 << 4; /* 32 of 30 bytes */
	broken("TCP options", false, CNT_DROP_SHORT);
	pktbuild_l4(&in, CLIENT6, VIP6, 6, 4000, 80, ACK, 10);
	in.data[14] = 0x45;
	assert_true(passes("version 4 in IPv6", CNT_PASS_OTHER));
	start(17);
	for (uint8_t len = 0; len < 8; len++) {
		pktbuild_l4(&in, CLIENT4, VIP4, 17, 4000, 80, 0, 10);
		in.data[34 + 5] = len;
		broken("UDP length", false, CNT_DROP_HEADER);
	}
	in.data[34 + 5] = 19;
	broken("UDP length beyond", false, CNT_DROP_HEADER);
	/* Broken packets to our own address are the kernel's. */
	pktbuild_l4(&in, "10.0.1.11", "10.0.1.1", 17, 4000, 80, 0, 10);
	in.data[34 + 5] = 3;
	assert_true(passes("NAT address", CNT_PASS_VIP));
}

static void put_ext(struct pktbuild *p, unsigned int kind)
{
	/* kind: the first header's number is set by the caller */
	pktbuild_ip6_ext(p, 6, kind % 3);
}

static void test_ip6_extensions(void **state)
{
	static const uint8_t chain[] = { 0, 43, 60, 60, 43, 60, 60 };

	start(6);
	for (unsigned int n = 1; n <= sizeof(chain); n++) {
		for (int side = 0; side < 2; side++) {
			struct pktbuild *p = side ? &out : &in;

			pktbuild_init(p);
			if (side)
				pktbuild_eth_macs(
					p, (uint8_t[]){ 2, 0, 0, 0, 1, 0x11 },
					(uint8_t[]){ 2, 0, 0, 0, 1, 1 },
					0x86dd);
			else
				pktbuild_eth(p, 0x86dd);
			p->ttl = side ? 63 : 64;
			pktbuild_ip(p, side ? "fd00:1::1" : CLIENT6,
				    side ? "fd00:1::11" : VIP6, chain[0]);
			for (unsigned int k = 0; k < n; k++) {
				put_ext(p, k);
				p->data[p->len - 8 - 8 * (k % 3)] =
					k + 1 < n ? chain[k + 1] : 6;
			}
			pktbuild_tcp(p, side ? 5555 : 4000, side ? 8080 : 80,
				     ACK);
			pktbuild_payload(p, 9);
			/* The builder's pseudo-header wants the IP header
			 * right before: it is, extensions are raw bytes. */
			pktbuild_finish(p);
		}
		assert_true(progtest_check(&t, "extensions", &in, t.in0,
					   XDP_REDIRECT, CNT_FWD_REDIRECT,
					   &out));
		/* Cut at every length. */
		for (size_t len = 54; len < in.len - 9; len++) {
			size_t whole = in.len;

			in.len = len;
			in.data[14 + 4] = 0;
			in.data[14 + 5] = (uint8_t)(len - 54);
			broken("extensions cut", true, CNT_DROP_SHORT);
			in.len = whole;
		}
	}
	/* One more than we follow: no port known, the kernel's. */
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x86dd);
	pktbuild_ip(&in, CLIENT6, VIP6, 60);
	for (unsigned int k = 0; k < 8; k++)
		pktbuild_ip6_ext(&in, k < 7 ? 60 : 6, 0);
	pktbuild_tcp(&in, 4000, 80, ACK);
	pktbuild_finish(&in);
	assert_true(passes("eight extensions", CNT_PASS_VIP));
	/* Nothing follows. */
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x86dd);
	pktbuild_ip(&in, CLIENT6, VIP6, 0);
	pktbuild_ip6_ext(&in, 59, 0);
	pktbuild_finish(&in);
	assert_true(passes("no next header", CNT_PASS_VIP));
}

/* A datagram in three parts. */
static void fragment(struct pktbuild *p, bool v6, bool translated,
		     unsigned int part)
{
	const char *src = translated ? (v6 ? "fd00:1::1" : "10.0.1.1") :
				       (v6 ? CLIENT6 : CLIENT4);
	const char *dst = translated ? (v6 ? "fd00:1::11" : "10.0.1.11") :
				       (v6 ? VIP6 : VIP4);
	static struct pktbuild whole;
	size_t head = v6 ? 54 : 34;

	pktbuild_l4(&whole, src, dst, 17, translated ? 5555 : 4000,
		    translated ? 8080 : 80, 0, 184);
	pktbuild_init(p);
	if (translated)
		pktbuild_eth_macs(p, (uint8_t[]){ 2, 0, 0, 0, 1, 0x11 },
				  (uint8_t[]){ 2, 0, 0, 0, 1, 1 },
				  v6 ? 0x86dd : 0x0800);
	else
		pktbuild_eth(p, v6 ? 0x86dd : 0x0800);
	p->ttl = translated ? 63 : 64;
	if (v6) {
		pktbuild_ip(p, src, dst, 44);
		pktbuild_ip6_frag(p, 17, (uint16_t)(part * 8), part < 2,
				  0x12345678);
	} else {
		pktbuild_ip4_full(p, src, dst, 17, 0, 0x1234,
				  (uint16_t)(part * 8 | (part < 2) << 13));
	}
	pktbuild_bytes(p, whole.data + head + part * 64, 64);
	pktbuild_finish(p);
}

static void test_fragments(void **state)
{
	struct progtest_result r;

	for (int v6 = 0; v6 <= 1; v6++) {
		start(17);
		/* Before the first one: an engine holds it. */
		fragment(&in, v6, false, 1);
		run(&r);
		assert_int_equal(r.counter, CNT_STEER_SLOW);
		assert_int_equal(r.meta.reason, STEER_FRAGMENT);
		for (unsigned int part = 0; part < 3; part++) {
			fragment(&in, v6, false, part);
			fragment(&out, v6, true, part);
			assert_true(progtest_check(&t, "fragment", &in, t.in0,
						   XDP_REDIRECT,
						   CNT_FWD_REDIRECT, &out));
		}
		/* Another datagram's. */
		fragment(&in, v6, false, 2);
		in.data[v6 ? 14 + 40 + 7 : 14 + 5]++;
		run(&r);
		assert_int_equal(r.counter, CNT_STEER_SLOW);
		/* To the NAT address: the kernel's, if unknown. */
		fragment(&in, v6, false, 2);
		if (v6) {
			union ip_addr a = pktbuild_addr("fd00:1::1");

			memcpy(in.data + 14 + 24, a.b, 16);
		} else {
			memcpy(in.data + 14 + 16, (uint8_t[]){ 10, 0, 1, 1 },
			       4);
		}
		run(&r);
		assert_int_equal(r.counter, CNT_PASS_VIP);
	}
}

/* A service's answer in two parts finds its client; what the kernel gets in
 * parts leaves nothing in the table. */
static void test_reply_fragments(void **state)
{
	static struct pktbuild whole;
	uint64_t inserts;

	start(17);
	for (int known = 1; known >= 0; known--) {
		inserts = progtest_counter(&t, CNT_FLOW_INSERT);
		pktbuild_l4(&whole, "10.0.1.11", "10.0.1.1", 17, 8080,
			    known ? 5555 : 53, 0, 120);
		for (unsigned int part = 0; part < 2; part++) {
			pktbuild_init(&in);
			pktbuild_eth(&in, 0x0800);
			pktbuild_ip4_full(&in, "10.0.1.11", "10.0.1.1", 17, 0,
					  0x4321,
					  (uint16_t)(part * 8 | !part << 13));
			pktbuild_bytes(&in, whole.data + 34 + part * 64, 64);
			pktbuild_finish(&in);
			if (!known) {
				in.data[14 + 5]++; /* another datagram */
				pktbuild_finish(&in);
			}
			assert_true(progtest_check(
				&t, "reply in parts", &in, t.out0,
				known ? XDP_REDIRECT : XDP_PASS,
				known ? CNT_FWD_REDIRECT : CNT_PASS_VIP, NULL));
		}
		assert_int_equal(progtest_counter(&t, CNT_FLOW_INSERT) -
					 inserts, known);
	}
}

/* RFC 6946: a fragment header on a whole datagram changes nothing. */
static void test_atomic_fragment(void **state)
{
	uint64_t inserts = progtest_counter(&t, CNT_FLOW_INSERT);
	struct progtest_result r;

	start(17);
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x86dd);
	pktbuild_ip(&in, CLIENT6, VIP6, 44);
	pktbuild_ip6_frag(&in, 17, 0, false, 77);
	pktbuild_udp(&in, 4000, 80);
	pktbuild_payload(&in, 20);
	pktbuild_finish(&in);
	run(&r);
	assert_int_equal(r.counter, CNT_FWD_REDIRECT);
	assert_int_equal(progtest_counter(&t, CNT_FLOW_INSERT), inserts);
}

static void test_hash_equals_host(void **state)
{
	struct progtest_result r;

	start(6);
	srand(5);
	for (int i = 0; i < 2000; i++) {
		char src[64];
		uint16_t sport = (uint16_t)(1 + rand() % 65535);
		bool v6 = i & 1;

		if (v6)
			snprintf(src, sizeof(src), "2001:db8:%x:%x::%x",
				 rand() & 0xffff, rand() & 0xffff,
				 rand() & 0xffff);
		else
			snprintf(src, sizeof(src), "%d.%d.%d.%d",
				 1 + rand() % 223, rand() & 255, rand() & 255,
				 rand() & 255);
		pktbuild_l4(&in, src, v6 ? VIP6 : VIP4, 6, sport, 80, ACK, 0);
		run(&r);
		assert_int_equal(r.counter, CNT_STEER_ENGINE);
		assert_int_equal(r.meta.hash,
				 progtest_hash(&t, src, v6 ? VIP6 : VIP4, sport,
					       80));
	}
}

static void test_next_hops(void **state)
{
	struct progtest_result r;

	start(6);
	/* No neighbour: rewritten, then to an engine. */
	progtest_service(&t, 3, "10.0.1.99", 8080);
	progtest_flow(&t, 1, CLIENT4, 4001, 3, 5556, 0);
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4001, 80, ACK, 10);
	run(&r);
	assert_int_equal(r.counter, CNT_STEER_SLOW);
	assert_int_equal(r.meta.reason, STEER_NO_NEIGH);
	assert_int_equal(r.meta.service, 3);
	assert_true(pktbuild_checksums_ok(r.data, r.len));
	assert_memory_equal(r.data + 14 + 16, ((uint8_t[]){ 10, 0, 1, 99 }), 4);
	assert_int_equal(r.data[14 + 8], 63);
	progtest_engine_kill(&t, 0);
	run(&r);
	assert_int_equal(r.action, XDP_DROP);
	assert_int_equal(r.counter, CNT_DROP_NO_NEIGH);
	/* A reply is the kernel's to send then. */
	progtest_flow(&t, 1, "10.0.1.98", 4003, 1, 5558, 0);
	pktbuild_l4(&in, "10.0.1.11", "10.0.1.1", 6, 8080, 5558, ACK, 10);
	run(&r);
	assert_int_equal(r.action, XDP_PASS);
	assert_int_equal(r.counter, CNT_PASS_NO_NEIGH);
	assert_true(pktbuild_checksums_ok(r.data, r.len));
	assert_memory_equal(r.data + 14 + 16, ((uint8_t[]){ 10, 0, 1, 98 }), 4);
	/* No route. */
	progtest_service(&t, 4, "172.31.0.1", 8080);
	progtest_flow(&t, 1, CLIENT4, 4002, 4, 5557, 0);
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 4002, 80, ACK, 10);
	run(&r);
	assert_int_equal(r.action, XDP_DROP);
	assert_int_equal(r.counter, CNT_DROP_NO_ROUTE);
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
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_tags_truncated),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_ip6_extensions),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_reply_fragments),
		cmocka_unit_test(test_atomic_fragment),
		cmocka_unit_test(test_hash_equals_host),
		cmocka_unit_test(test_next_hops),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
