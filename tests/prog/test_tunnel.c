// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tunnelled packets are taken for what is in them (IPIP in all family pairs,
 * GUE in both variants, VXLAN, GRE with and without options), and the cluster
 * tier: packets of another node's buckets go there once and not again.
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
#include "headers.h"
#include "lb.h"

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define TUNNEL4 "192.168.0.1"
#define TUNNEL6 "fd00:0::1"
#define FAR4 "203.0.113.9"
#define FAR6 "2001:db8:c::9"
#define ACK 0x10
#define SYN 0x02

static struct progtest t;
static struct pktbuild in, out;

static const uint8_t mac_client[6] = { 2, 0, 0, 0, 0, 0xfe };
static const uint8_t mac_in0[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t mac_out0[6] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t mac_svc[6] = { 2, 0, 0, 0, 1, 0x11 };

static void start(void)
{
	progtest_reset(&t);
	progtest_service(&t, 1, "10.0.1.11", 8080);
	progtest_service(&t, 2, "fd00:1::11", 8080);
	progtest_vserver(&t, 1, VIP4, 80, 6, FWD_NAT, SETUP_KERNEL, 1, 1);
	progtest_vserver(&t, 2, VIP6, 80, 6, FWD_NAT, SETUP_KERNEL, 2, 1);
	progtest_flow(&t, 1, CLIENT4, 4000, 1, 5555, 0);
	progtest_flow(&t, 2, CLIENT6, 4000, 2, 5555, 0);
	progtest_vip(&t, TUNNEL4, VIP_TUNNEL, 0);
	progtest_vip(&t, TUNNEL6, VIP_TUNNEL, 0);
	progtest_engines(&t, 1);
}

enum tunnel { IPIP, GUE, GUE1, GUE_PRIVATE, VXLAN, VXLAN_TAGGED, GRE, GRE_KEY,
	      GRE_ALL, GRE_ETH, TUNNELS };

static const char *const names[] = { "IPIP", "GUE", "GUE variant 1",
	"GUE with private data", "VXLAN", "VXLAN with inner tag", "GRE",
	"GRE with key", "GRE with all options", "GRE with Ethernet" };

static void put32(struct pktbuild *p, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
			 (uint8_t)(v >> 8), (uint8_t)v };

	pktbuild_bytes(p, b, 4);
}

static void inner(struct pktbuild *p, bool v6, const char *dst)
{
	pktbuild_ip(p, v6 ? CLIENT6 : CLIENT4, dst, 6);
	pktbuild_tcp(p, 4000, 80, ACK);
	pktbuild_payload(p, 33);
}

static void tunnelled(enum tunnel kind, bool outer6, bool inner6,
		      unsigned int tags, const char *dst, uint32_t hash)
{
	uint16_t type = inner6 ? 0x86dd : 0x0800;
	uint8_t proto = inner6 ? 41 : 4;

	pktbuild_init(&in);
	in.udp_no_csum = true;
	pktbuild_eth(&in, outer6 ? 0x86dd : 0x0800);
	if (tags > 1)
		pktbuild_vlan(&in, 0x88a8, 9, 0x8100);
	if (tags)
		pktbuild_vlan(&in, 0x8100, 5, outer6 ? 0x86dd : 0x0800);
	pktbuild_ip(&in, outer6 ? FAR6 : FAR4, outer6 ? TUNNEL6 : TUNNEL4,
		    kind == IPIP ? proto : kind >= GRE ? 47 : 17);
	switch (kind) {
	case GUE:
		pktbuild_udp(&in, 50000, 6080);
		put32(&in, (uint32_t)proto << 16);
		break;
	case GUE1:
		pktbuild_udp(&in, 50000, 6080);
		break;
	case GUE_PRIVATE:
		pktbuild_udp(&in, 50000, 6080);
		put32(&in, 0x02000000u | (uint32_t)proto << 16);
		put32(&in, GUE_PRIVATE_MAGIC);
		put32(&in, hash);
		break;
	case VXLAN:
	case VXLAN_TAGGED:
		pktbuild_udp(&in, 50000, 4789);
		put32(&in, 0x08000000);
		put32(&in, 77 << 8);
		pktbuild_eth(&in, type);
		if (kind == VXLAN_TAGGED)
			pktbuild_vlan(&in, 0x8100, 3, type);
		break;
	case GRE:
		put32(&in, type);
		break;
	case GRE_KEY:
		put32(&in, 0x20000000u | type);
		put32(&in, 1234);
		break;
	case GRE_ALL:
		put32(&in, 0xb0000000u | type);
		put32(&in, 0);
		put32(&in, 1234);
		put32(&in, 1);
		break;
	case GRE_ETH:
		put32(&in, 0x6558);
		pktbuild_eth(&in, type);
		break;
	default:
		break;
	}
	inner(&in, inner6, dst);
	pktbuild_finish(&in);
}

static void test_inner_is_forwarded(void **state)
{
	uint64_t decap = progtest_counter(&t, CNT_DECAP);
	unsigned int rows = 0;

	for (enum tunnel kind = 0; kind < TUNNELS; kind++)
		for (unsigned int fam = 0; fam < 4; fam++)
			for (unsigned int tags = 0; tags < 3; tags++) {
				bool v6 = fam & 1;

				start();
				tunnelled(kind, fam & 2, v6, tags,
					  v6 ? VIP6 : VIP4, 0);
				pktbuild_init(&out);
				pktbuild_eth_macs(&out, mac_svc, mac_out0,
						  v6 ? 0x86dd : 0x0800);
				out.ttl = 63;
				pktbuild_ip(&out, v6 ? "fd00:1::1" : "10.0.1.1",
					    v6 ? "fd00:1::11" : "10.0.1.11", 6);
				pktbuild_tcp(&out, 5555, 8080, ACK);
				pktbuild_payload(&out, 33);
				pktbuild_finish(&out);
				assert_true(progtest_check(
					&t, names[kind], &in, t.in0,
					XDP_REDIRECT, CNT_FWD_REDIRECT, &out));
				rows++;
			}
	assert_int_equal(progtest_counter(&t, CNT_DECAP) - decap, rows);
}

/* What is not for a vserver inside is the kernel's, untouched. */
static void test_other_inner(void **state)
{
	start();
	for (enum tunnel kind = 0; kind < TUNNELS; kind++) {
		tunnelled(kind, false, false, 0, "192.0.2.99", 0);
		assert_true(progtest_check(&t, names[kind], &in, t.in0,
					   XDP_PASS, CNT_PASS_OTHER, &in));
		/* Cut at every length behind the outer header. */
		tunnelled(kind, false, false, 0, VIP4, 0);
		for (size_t len = 34; len < in.len - 33; len++) {
			size_t whole = in.len;
			struct progtest_result r;

			in.len = len;
			in.data[16] = 0;
			in.data[17] = (uint8_t)(len - 14);
			progtest_run(&t, in.data, in.len, t.in0, &r);
			in.len = whole;
			assert_in_range(r.action, XDP_DROP, XDP_PASS);
			assert_int_not_equal(r.counter, -1);
		}
	}
	/* No tunnel: to a tunnel's address, but to another port. */
	pktbuild_l4(&in, FAR4, TUNNEL4, 17, 1, 53, 0, 30);
	assert_true(progtest_check(&t, "DNS", &in, t.in0, XDP_PASS,
				   CNT_PASS_OTHER, &in));
	pktbuild_l4(&in, FAR4, TUNNEL4, 6, 1, 22, ACK, 30);
	assert_true(progtest_check(&t, "ssh", &in, t.in0, XDP_PASS,
				   CNT_PASS_OTHER, &in));
	/* A tunnel in a tunnel is opened once. */
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x0800);
	pktbuild_ip(&in, FAR4, TUNNEL4, 4);
	pktbuild_ip(&in, FAR4, TUNNEL4, 4);
	inner(&in, false, VIP4);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "twice", &in, t.in0, XDP_PASS,
				   CNT_PASS_OTHER, &in));
}

static void all_buckets(uint8_t owner)
{
	for (unsigned int i = 0; i < NODE_BUCKETS; i++)
		t.node_bkts[i].b.owner = owner;
}

static void peer(const char *addr, uint8_t flags)
{
	t.nodes[5].addr = pktbuild_addr(addr);
	t.nodes[5].flags = flags;
}

static void test_node_same_segment(void **state)
{
	static const uint8_t mark[6] = { 2, 0x53, 0x4c, 0x43, 0, 3 };
	static const uint8_t mac_peer[6] = { 2, 0, 0, 0, 0, 0x12 };

	start();
	t.conf->node_id = 3;
	all_buckets(5);
	peer("192.168.0.12", NODE_PRESENT | NODE_SAME_SEGMENT);
	pktbuild_init(&in);
	pktbuild_eth(&in, 0x0800);
	inner(&in, false, VIP4);
	pktbuild_finish(&in);
	pktbuild_init(&out);
	pktbuild_eth_macs(&out, mac_peer, mark, 0x0800);
	out.ttl = 63;
	inner(&out, false, VIP4);
	pktbuild_finish(&out);
	assert_true(progtest_check(&t, "to the owner", &in, t.in0, XDP_TX,
				   CNT_STEER_NODE, &out));
	/* There, with tables that say otherwise: known flows go on, new ones
	 * do not go round. */
	in = out;
	memcpy(in.data, mac_in0, 6);
	assert_true(progtest_check(&t, "steered, known", &in, t.in0,
				   XDP_REDIRECT, CNT_FWD_REDIRECT, NULL));
	pktbuild_init(&in);
	pktbuild_eth_macs(&in, mac_in0, mark, 0x0800);
	pktbuild_ip(&in, CLIENT4, VIP4, 6);
	pktbuild_tcp(&in, 4001, 80, SYN);
	pktbuild_finish(&in);
	assert_true(progtest_check(&t, "steered, unknown", &in, t.in0, XDP_DROP,
				   CNT_DROP_STEERED, NULL));
	/* Nobody there: better here than nowhere. */
	peer("192.168.0.12", 0);
	memcpy(in.data + 6, mac_client, 6);
	assert_true(progtest_check(&t, "owner absent", &in, t.in0,
				   XDP_REDIRECT, CNT_FWD_NEW, NULL));
}

static void test_node_tunnel(void **state)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		uint32_t hash = progtest_hash(&t, CLIENT4, VIP4, 4000, 80);
		uint32_t attached;
		struct progtest_result r;
		size_t head;

		start();
		t.conf->node_id = 3;
		all_buckets(5);
		peer(v6 ? "fd00:1::12" : "10.0.1.12", NODE_PRESENT);
		pktbuild_init(&in);
		pktbuild_eth(&in, 0x0800);
		inner(&in, false, VIP4);
		pktbuild_finish(&in);
		progtest_run(&t, in.data, in.len, t.in0, &r);
		assert_int_equal(r.action, XDP_REDIRECT);
		assert_int_equal(r.counter, CNT_STEER_NODE);
		head = (v6 ? 40 : 20) + 8 + 4 + 8;
		assert_int_equal(r.len, in.len + head);
		/* Hash and mark are attached. */
		assert_memory_equal(r.data + 14 + head - 12,
				    ((uint8_t[]){ 2, 4, 0, 0, 'S', 'L', 'C',
						  '1' }), 8);
		memcpy(&attached, r.data + 14 + head - 4, sizeof(attached));
		assert_int_equal(from_be32(attached), hash);
		/* At the other node it is opened and handled, not steered. */
		in.len = r.len;
		memcpy(in.data, r.data, r.len);
		progtest_vip(&t, v6 ? "fd00:1::12" : "10.0.1.12", VIP_TUNNEL,
			     0);
		pktbuild_init(&out);
		pktbuild_eth_macs(&out, mac_svc, mac_out0, 0x0800);
		out.ttl = 62;
		pktbuild_ip(&out, "10.0.1.1", "10.0.1.11", 6);
		pktbuild_tcp(&out, 5555, 8080, ACK);
		pktbuild_payload(&out, 33);
		pktbuild_finish(&out);
		assert_true(progtest_check(&t, "arrived", &in, t.in0,
					   XDP_REDIRECT, CNT_FWD_REDIRECT,
					   &out));
	}
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
		cmocka_unit_test(test_inner_is_forwarded),
		cmocka_unit_test(test_other_inner),
		cmocka_unit_test(test_node_same_segment),
		cmocka_unit_test(test_node_tunnel),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
