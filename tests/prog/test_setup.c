// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets without a flow entry: set up by XDP itself (kernel), handed to the
 * right engine, or refused; and hits whose service or TCP state changes that.
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
#include "lb.h"
#include "nat.h"

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define CLIENT4 "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define SYN 0x02
#define ACK 0x10
#define FIN 0x01
#define RST 0x04

static struct progtest t;

static void start(enum fwd_mode mode, enum setup_mode setup, uint8_t proto)
{
	char addr[64];

	progtest_reset(&t);
	for (uint32_t i = 0; i < 4; i++) {
		snprintf(addr, sizeof(addr), "10.0.1.%u", 11 + i);
		progtest_service(&t, 1 + i, addr, 8080);
		snprintf(addr, sizeof(addr), "fd00:1::%u", 11 + i);
		progtest_service(&t, 5 + i, addr, 8080);
	}
	progtest_vserver(&t, 1, VIP4, 80, proto, mode, setup, 1, 4);
	progtest_vserver(&t, 2, VIP6, 80, proto, mode, setup, 5, 4);
	progtest_engines(&t, 2);
}

static void run(struct progtest_result *r, bool v6, uint8_t proto,
		uint16_t sport, uint8_t flags)
{
	static struct pktbuild in;

	pktbuild_l4(&in, v6 ? CLIENT6 : CLIENT4, v6 ? VIP6 : VIP4, proto, sport,
		    80, flags, 20);
	progtest_run(&t, in.data, in.len, t.in0, r);
}

static void expect(const struct progtest_result *r, uint32_t action,
		   enum counter counter)
{
	if (r->counter != (int)counter)
		fprintf(stderr, "counted %s, expected %s\n",
			progtest_counter_name(r->counter),
			progtest_counter_name((int)counter));
	assert_int_equal(r->counter, (int)counter);
	assert_int_equal(r->action, action);
}

static uint32_t by_table(uint32_t vs, uint32_t hash)
{
	return t.lb_table[SPAN_OFF(t.vservers[vs].lb) + lb_slot(hash, 251)]
		.service;
}

static void test_kernel_nat_records_both_ways(void **state)
{
	for (int v6 = 0; v6 <= 1; v6++) {
		uint32_t vs = v6 ? 2 : 1, hash, want;
		struct progtest_result r;
		struct flow f, again;
		struct flow_key key = {};
		static struct pktbuild back;

		start(FWD_NAT, SETUP_KERNEL, 6);
		run(&r, v6, 6, 4000, SYN);
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		assert_true(pktbuild_checksums_ok(r.data, r.len));
		assert_non_null(progtest_find(&t, vs, v6 ? CLIENT6 : CLIENT4,
					      4000, &f));
		hash = progtest_hash(&t, v6 ? CLIENT6 : CLIENT4,
				     v6 ? VIP6 : VIP4, 4000, 80);
		want = by_table(vs, hash);
		assert_int_equal(f.service, want);
		assert_int_equal(f.pair_port, nat_port_try(hash, 0));
		assert_int_equal(FLOW_ACTIVITY_TCP(f.activity), FLOW_TCP_SYN);
		assert_int_equal(t.svc_load[want].conns, 1);
		assert_int_equal(t.svc_load[want].conns_total, 1);

		/* Its answer finds the way back. */
		key.peer = t.services[want].addr;
		pktbuild_l4(&back, v6 ? "fd00:1::11" : "10.0.1.11",
			    v6 ? "fd00:1::1" : "10.0.1.1", 6, 8080,
			    be16(f.pair_port), SYN | ACK, 0);
		if (v6)
			memcpy(back.data + 14 + 8, &key.peer, 16);
		else
			memcpy(back.data + 14 + 12, &key.peer.w[3], 4);
		progtest_run(&t, back.data, back.len, t.out0, &r);
		expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);

		/* And the next packet of the client is a hit, established. */
		run(&r, v6, 6, 4000, ACK);
		expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
		assert_non_null(progtest_find(&t, vs, v6 ? CLIENT6 : CLIENT4,
					      4000, &again));
		assert_int_equal(FLOW_ACTIVITY_TCP(again.activity),
				 FLOW_TCP_ESTABLISHED);
		assert_int_equal(again.service, f.service);
	}
}

static void test_kernel_port_taken(void **state)
{
	struct progtest_result r;
	struct flow f;
	uint32_t hash, service;

	start(FWD_NAT, SETUP_KERNEL, 17);
	hash = progtest_hash(&t, CLIENT4, VIP4, 4000, 80);
	service = by_table(1, hash);
	/* Another client has the first candidate. */
	progtest_flow(&t, 1, "198.51.100.8", 1, service,
		      be16(nat_port_try(hash, 0)), 0);
	run(&r, false, 17, 4000, 0);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(f.pair_port, nat_port_try(hash, 1));
	/* All eight are taken: an engine is asked. */
	for (uint32_t i = 0; i < NAT_TRIES_XDP; i++) {
		uint32_t h = progtest_hash(&t, CLIENT4, VIP4, 4001, 80);

		service = by_table(1, h);
		progtest_flow(&t, 1, "198.51.100.9", (uint16_t)(10 + i),
			      service, be16(nat_port_try(h, i)), 0);
	}
	run(&r, false, 17, 4001, 0);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	assert_null(progtest_find(&t, 1, CLIENT4, 4001, &f));
}

static void test_kernel_dsr(void **state)
{
	static const enum fwd_mode modes[] = { FWD_DSR_L2, FWD_DSR_IPIP,
					       FWD_DSR_GUE };
	struct progtest_result r;
	struct flow f;

	for (size_t i = 0; i < 3; i++) {
		start(modes[i], SETUP_KERNEL, 6);
		run(&r, false, 6, 4000, SYN);
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
		/* Mid-flow, entry lost: by the table again. */
		run(&r, true, 6, 4001, ACK);
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		run(&r, true, 6, 4002, RST);
		expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	}
}

static void test_kernel_skips_services(void **state)
{
	struct progtest_result r;
	struct flow f;

	start(FWD_DSR_L2, SETUP_KERNEL, 17);
	t.services[1].state = SVC_DOWN;
	t.services[2].state = SVC_GOING_OUT;
	t.services[3].conns_max = 1;
	t.svc_load[3].conns = 1;
	for (uint16_t sport = 1; sport < 60; sport++) {
		run(&r, false, 17, sport, 0);
		if (r.counter == CNT_DROP_NO_SERVICE)
			continue; /* four tries did not meet service 4 */
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		assert_non_null(progtest_find(&t, 1, CLIENT4, sport, &f));
		assert_int_equal(f.service, 4);
	}
	assert_in_range(t.svc_load[4].conns, 20, 59);
}

static void test_kernel_no_service(void **state)
{
	struct progtest_result r;

	start(FWD_NAT, SETUP_KERNEL, 6);
	t.vservers[1].lb = 0;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_DROP, CNT_DROP_NO_SERVICE);
	t.vservers[1].flags |= VS_DOWN_RESET;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_STEER_SLOW);
	assert_int_equal(r.meta.reason, STEER_NO_SERVICE);
	/* A backup vserver takes over. */
	progtest_vserver(&t, 3, "192.0.2.11", 80, 6, FWD_NAT, SETUP_KERNEL, 3,
			 1);
	t.vservers[1].backup = 3;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	t.vservers[1].flags = 0;
	run(&r, false, 6, 4001, SYN);
	expect(&r, XDP_DROP, CNT_DROP_NO_SERVICE);
}

static void test_kernel_persistence(void **state)
{
	struct progtest_result r;
	struct flow f;
	uint32_t first;

	start(FWD_NAT, SETUP_KERNEL, 6);
	t.vservers[1].flags |= VS_PERSIST;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	first = f.service;
	for (uint16_t sport = 4001; sport < 4030; sport++) {
		run(&r, false, 6, sport, SYN);
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		assert_non_null(progtest_find(&t, 1, CLIENT4, sport, &f));
		assert_int_equal(f.service, first);
	}
	/* Its service goes: another one is chosen, and kept. */
	t.services[first].state = SVC_DOWN;
	run(&r, false, 6, 5000, SYN);
	if (r.counter == CNT_DROP_NO_SERVICE)
		return;
	assert_non_null(progtest_find(&t, 1, CLIENT4, 5000, &f));
	assert_int_not_equal(f.service, first);
	t.services[first].state = SVC_UP;
	first = f.service;
	for (uint16_t sport = 5001; sport < 5020; sport++) {
		run(&r, false, 6, sport, SYN);
		assert_non_null(progtest_find(&t, 1, CLIENT4, sport, &f));
		assert_int_equal(f.service, first);
	}
}

static void test_source_hash(void **state)
{
	struct progtest_result r;
	struct flow f;
	uint32_t first = 0;

	start(FWD_DSR_L2, SETUP_KERNEL, 17);
	t.vservers[1].method = LB_SOURCE_HASH;
	for (uint16_t sport = 1; sport < 30; sport++) {
		run(&r, false, 17, sport, 0);
		assert_non_null(progtest_find(&t, 1, CLIENT4, sport, &f));
		first = first ? first : f.service;
		assert_int_equal(f.service, first);
	}
}

static void test_engine_gets_new_flows(void **state)
{
	struct progtest_result r;
	uint32_t hash = progtest_hash(&t, CLIENT4, VIP4, 4000, 80);
	uint32_t bucket = hash >> NODE_BUCKET_BITS & (CORE_BUCKETS - 1);

	start(FWD_NAT, SETUP_ENGINE, 6);
	t.core_bkts[bucket].pref[0] = 1;
	t.core_bkts[bucket].pref[1] = 0;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	assert_true(r.has_meta);
	assert_int_equal(r.meta.magic, PKT_META_MAGIC);
	assert_int_equal(r.meta.hash, hash);
	assert_int_equal(r.meta.reason, STEER_NEW);
	assert_int_equal(r.meta.vserver, 1);
	assert_int_equal(r.meta.ifindex, t.in0);
	assert_int_equal(r.meta.engine, 1);
	assert_int_equal(r.meta.l3_off, 14);
	assert_int_equal(r.meta.l4_off, 34);
	assert_int_equal(r.meta.l4_proto, 6);
	/* Not a SYN, not known: the engine's, too. */
	run(&r, true, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	assert_int_equal(r.meta.l4_off, 54);
}

static void test_engine_holes(void **state)
{
	struct progtest_result r;
	uint64_t dead = progtest_counter(&t, CNT_ENGINE_DEAD);
	uint64_t silent = progtest_counter(&t, CNT_ENGINE_SILENT);

	start(FWD_NAT, SETUP_ENGINE, 6);
	progtest_engine_kill(&t, 0);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	assert_int_equal(progtest_counter(&t, CNT_ENGINE_DEAD) - dead, 1);
	/* Silent, but the last one: better late than never. */
	t.engines[1].heartbeat_ns = flowtab_now_ns() - 2 * ENGINE_SILENT_NS;
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	assert_int_equal(progtest_counter(&t, CNT_ENGINE_SILENT) - silent, 1);
	progtest_engine_kill(&t, 1);
	/* In the middle of a connection that nobody knows. */
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_DROP, CNT_DROP_NO_ENGINE);
}

/* Without any engine XDP sets flows up itself, as with set-up in the kernel. */
static void test_alone(void **state)
{
	static struct pktbuild in;
	struct progtest_result r;
	uint64_t alone = progtest_counter(&t, CNT_SETUP_ALONE);
	struct flow f;

	start(FWD_NAT, SETUP_ENGINE, 6);
	progtest_engine_kill(&t, 0);
	progtest_engine_kill(&t, 1);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
	/* An interface without engines. */
	progtest_engines(&t, 2);
	pktbuild_l4(&in, CLIENT4, VIP4, 6, 1, 80, SYN, 0);
	progtest_run(&t, in.data, in.len, t.out0, &r);
	assert_int_equal(r.counter, CNT_FWD_NEW);
	/* Buckets nobody is in. */
	memset(t.core_bkts, 0xff, sizeof(*t.core_bkts) * CORE_BUCKETS);
	run(&r, false, 6, 4001, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_int_equal(progtest_counter(&t, CNT_SETUP_ALONE) - alone, 3);
	/* What is inspected goes through an engine or not at all. */
	start(FWD_NAT, SETUP_INSPECT, 6);
	progtest_engine_kill(&t, 0);
	progtest_engine_kill(&t, 1);
	run(&r, false, 6, 4002, SYN);
	expect(&r, XDP_DROP, CNT_DROP_NO_ENGINE);
}

static void test_inspect(void **state)
{
	static struct pktbuild out;
	struct progtest_result r;
	struct flow f;
	struct flow *at;

	start(FWD_NAT, SETUP_INSPECT, 6);
	progtest_flow(&t, 1, CLIENT4, 4000, 1, 5555, FLOW_F_INSPECT);
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_STEER_INSPECT);
	assert_int_equal(r.meta.reason, STEER_INSPECT);
	assert_int_equal(r.meta.ifindex, t.out0);
	assert_int_equal(r.meta.service, 1);
	assert_int_equal(r.meta.vserver, 1);
	at = progtest_find(&t, 1, CLIENT4, 4000, &f);
	assert_int_equal(r.meta.flow_index, flowtab_index(&t.flowtab, at));
	/* Rewritten and addressed already. */
	pktbuild_init(&out);
	out.ttl = 63;
	pktbuild_eth_macs(&out, (uint8_t[]){ 2, 0, 0, 0, 1, 0x11 },
			  (uint8_t[]){ 2, 0, 0, 0, 1, 1 }, 0x0800);
	pktbuild_ip(&out, "10.0.1.1", "10.0.1.11", 6);
	pktbuild_tcp(&out, 5555, 8080, ACK);
	pktbuild_payload(&out, 20);
	pktbuild_finish(&out);
	assert_int_equal(r.len, out.len);
	assert_memory_equal(r.data, out.data, out.len);
	progtest_engine_kill(&t, 0);
	progtest_engine_kill(&t, 1);
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_DROP, CNT_DROP_NO_ENGINE);
}

static void test_syn_on_closed_flow(void **state)
{
	struct progtest_result r;
	struct flow f;

	start(FWD_DSR_L2, SETUP_KERNEL, 6);
	run(&r, false, 6, 4000, SYN);
	run(&r, false, 6, 4000, ACK);
	run(&r, false, 6, 4000, FIN | ACK);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(FLOW_ACTIVITY_TCP(f.activity), FLOW_TCP_FIN);
	/* Last ACK of the old connection changes nothing. */
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(FLOW_ACTIVITY_TCP(f.activity), FLOW_TCP_SYN);
	assert_int_equal(t.svc_load[f.service].conns, 1);
	assert_int_equal(t.svc_load[f.service].conns_total, 2);
	run(&r, false, 6, 4000, RST);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(FLOW_ACTIVITY_TCP(f.activity), FLOW_TCP_RST);
	/* A repeated SYN of a flow in set-up stays where it is. */
	run(&r, false, 6, 4001, SYN);
	run(&r, false, 6, 4001, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
}

static void test_service_states(void **state)
{
	struct progtest_result r;
	struct flow f;

	start(FWD_DSR_L2, SETUP_KERNEL, 6);
	progtest_flow(&t, 1, CLIENT4, 4000, 1, 0, 0);
	t.services[1].state = SVC_GOING_OUT;
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
	t.services[1].state = SVC_DOWN;
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_FWD_REDIRECT);
	t.vservers[1].flags |= VS_DOWN_FLUSH;
	run(&r, false, 6, 4000, ACK);
	expect(&r, XDP_REDIRECT, CNT_STEER_SLOW);
	assert_int_equal(r.meta.reason, STEER_NO_SERVICE);
	/* A new connection on the same ports goes elsewhere. */
	run(&r, false, 6, 4000, SYN);
	if (r.counter != CNT_DROP_NO_SERVICE) {
		expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
		assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
		assert_int_not_equal(f.service, 1);
	}
}

static void test_locked_set(void **state)
{
	uint32_t hash = progtest_hash(&t, CLIENT4, VIP4, 4000, 80);
	uint32_t index = flowtab_set_index(&t.flowtab, hash) & ~1u;
	uint32_t now = (uint32_t)(flowtab_now_ns() / 1000000) & 0x7fffff;
	uint64_t locked = progtest_counter(&t, CNT_FLOW_LOCKED);
	uint64_t stolen = progtest_counter(&t, CNT_FLOW_STOLEN);
	struct progtest_result r;
	struct flow f;

	/* DSR goes on without an entry. */
	start(FWD_DSR_L2, SETUP_KERNEL, 6);
	t.flows[index].way[0].lock = FLOW_LOCK_WORD(7, now);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(progtest_counter(&t, CNT_FLOW_LOCKED) - locked, 1);
	/* A stale lock is taken over, and given back. */
	t.flows[index].way[0].lock =
		FLOW_LOCK_WORD(7, (now - 2 * FLOW_LOCK_STALE_MS) & 0x7fffff);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_FWD_NEW);
	assert_non_null(progtest_find(&t, 1, CLIENT4, 4000, &f));
	assert_int_equal(progtest_counter(&t, CNT_FLOW_STOLEN) - stolen, 1);
	assert_int_equal(t.flows[index].way[0].lock, 0);
	/* NAT needs its entries: an engine is asked. */
	start(FWD_NAT, SETUP_KERNEL, 6);
	t.flows[index].way[0].lock = FLOW_LOCK_WORD(7, now);
	run(&r, false, 6, 4000, SYN);
	expect(&r, XDP_REDIRECT, CNT_STEER_ENGINE);
	/* The REVERSE entry was first in, and is out again. */
	for (uint32_t s = 0; s <= t.flowtab.mask; s++)
		for (uint32_t w = 0; w < FLOW_WAYS; w++)
			assert_int_not_equal(
				FLOW_WORD_STATE(t.flows[s].way[w].word),
				FLOW_LIVE);
}

static void test_unknown_reverse(void **state)
{
	struct progtest_result r;
	static struct pktbuild in;

	start(FWD_NAT, SETUP_ENGINE, 6);
	/* To a NAT address, unknown: the kernel's own connection. */
	pktbuild_l4(&in, "10.0.1.11", "10.0.1.1", 6, 8080, 40000, ACK, 0);
	progtest_run(&t, in.data, in.len, t.out0, &r);
	expect(&r, XDP_PASS, CNT_PASS_VIP);
	assert_memory_equal(r.data, in.data, in.len);
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
		cmocka_unit_test(test_kernel_nat_records_both_ways),
		cmocka_unit_test(test_kernel_port_taken),
		cmocka_unit_test(test_kernel_dsr),
		cmocka_unit_test(test_kernel_skips_services),
		cmocka_unit_test(test_kernel_no_service),
		cmocka_unit_test(test_kernel_persistence),
		cmocka_unit_test(test_source_hash),
		cmocka_unit_test(test_engine_gets_new_flows),
		cmocka_unit_test(test_engine_holes),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_syn_on_closed_flow),
		cmocka_unit_test(test_service_states),
		cmocka_unit_test(test_locked_set),
		cmocka_unit_test(test_unknown_reverse),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
