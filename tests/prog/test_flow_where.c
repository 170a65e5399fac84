/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's answer to "where does this flow go" against what the XDP
 * program does with the same packet, for random flows: 10 000 before and after
 * the number of engines changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/progtest.h"
#include "bpf/flow_where.h"
#include "bpf/maps.h"
#include "util/addr_text.h"

#define FLOWS 10000

static struct progtest t;
static struct maps maps;
static unsigned int seed = 1;

/* Destinations, chosen at random for each flow. */
static const struct {
	const char *addr;
	uint16_t port;
	uint8_t proto;
} targets[] = {
	{ "192.0.2.10", 80, IPPROTO_TCP },   /* kernel, NAT */
	{ "192.0.2.11", 80, IPPROTO_TCP },   /* engine */
	{ "192.0.2.12", 53, IPPROTO_UDP },   /* kernel, ipip */
	{ "2001:db8::10", 80, IPPROTO_TCP }, /* kernel, NAT */
	{ "2001:db8::11", 80, IPPROTO_TCP }, /* engine */
	{ "192.0.2.10", 81, IPPROTO_TCP },   /* no such port */
	{ "203.0.113.9", 80, IPPROTO_TCP },  /* nobody's */
};

static int start(void **state)
{
	char addr[64];
	uint32_t i;

	progtest_links();
	progtest_open(&t, 16384);
	progtest_reset(&t);
	for (i = 0; i < 4; i++) {
		snprintf(addr, sizeof(addr), "10.0.1.%u", 11 + i);
		progtest_service(&t, 1 + i, addr, 80);
		snprintf(addr, sizeof(addr), "fd00:1::%u", 11 + i);
		progtest_service(&t, 5 + i, addr, 80);
	}
	progtest_vserver(&t, 1, "192.0.2.10", 80, IPPROTO_TCP, FWD_NAT,
			 SETUP_KERNEL, 1, 4);
	progtest_vserver(&t, 2, "192.0.2.11", 80, IPPROTO_TCP, FWD_NAT,
			 SETUP_ENGINE, 1, 4);
	progtest_vserver(&t, 3, "192.0.2.12", 53, IPPROTO_UDP, FWD_DSR_IPIP,
			 SETUP_KERNEL, 1, 4);
	progtest_vserver(&t, 4, "2001:db8::10", 80, IPPROTO_TCP, FWD_NAT,
			 SETUP_KERNEL, 5, 4);
	progtest_vserver(&t, 5, "2001:db8::11", 80, IPPROTO_TCP, FWD_NAT,
			 SETUP_ENGINE, 5, 4);
	maps.memory[MAPS_conf] = t.conf;
	maps.memory[MAPS_vips] = t.vips;
	maps.memory[MAPS_vservers] = t.vservers;
	maps.memory[MAPS_services] = t.services;
	maps.memory[MAPS_svc_load] = t.svc_load;
	maps.memory[MAPS_lb_table] = t.lb_table;
	maps.memory[MAPS_node_bkts] = t.node_bkts;
	maps.memory[MAPS_core_bkts] = t.core_bkts;
	maps.memory[MAPS_nodes] = t.nodes;
	maps.memory[MAPS_engines] = t.engines;
	maps.memory[MAPS_flows] = t.flows;
	maps.flow_sets = t.flowtab.mask + 1;
	maps_assign(&maps);
	return 0;
}

static int end(void **state)
{
	progtest_close(&t);
	return 0;
}

/* COUNT engines, buckets spread over them. */
static void scale(unsigned int count)
{
	unsigned int b, i;

	progtest_engines(&t, count);
	for (b = 0; b < CORE_BUCKETS; b++) {
		for (i = 0; i < count && i < ENGINE_PREFS; i++)
			t.core_bkts[b].pref[i] = (b * 7 + i) % count;
	}
}

struct pick {
	struct flow_where_query q;
	char src[ADDR_TEXT_LEN];
	const char *dst;
	uint16_t sport, dport;
};

static void pick(struct pick *p)
{
	size_t at = rand_r(&seed) % (sizeof(targets) / sizeof(*targets));
	union ip_addr dst = pktbuild_addr(targets[at].addr);
	unsigned int r = rand_r(&seed);

	if (ip_addr_is_v4(&dst))
		snprintf(p->src, sizeof(p->src), "198.51.100.%u", 1 + r % 250);
	else
		snprintf(p->src, sizeof(p->src), "2001:db8:c::%x",
			 1 + r % 0xfffe);
	p->sport = 1024 + rand_r(&seed) % 60000;
	p->dst = targets[at].addr;
	p->dport = targets[at].port;
	p->q = (struct flow_where_query){ .src = pktbuild_addr(p->src),
					  .dst = dst,
					  .sport = htons(p->sport),
					  .dport = htons(p->dport),
					  .proto = targets[at].proto };
}

static void where(const struct pick *p, struct flow_where *w)
{
	flow_where(&maps, t.toeplitz, &p->q, flowtab_now_ns(), w);
}

static void run(const struct pick *p, struct progtest_result *r)
{
	static struct pktbuild in;

	pktbuild_l4(&in, p->src, p->dst, p->q.proto, p->sport, p->dport, 0x02,
		    20);
	progtest_run(&t, in.data, in.len, t.in0, r);
}

static void check_pass(const struct flow_where *w,
		       const struct progtest_result *r)
{
	assert_int_equal(r->action, XDP_PASS);
	assert_int_equal(r->counter,
			 w->kind == VIP_ADDR ? CNT_PASS_VIP : CNT_PASS_OTHER);
}

static void check_engine(const struct flow_where *w,
			 const struct progtest_result *r)
{
	assert_int_equal(r->counter, CNT_STEER_ENGINE);
	assert_true(r->has_meta);
	assert_int_equal(r->meta.hash, w->hash);
	assert_int_equal(r->meta.vserver, w->vserver);
	assert_int_equal(r->meta.engine, w->engines[0]);
	assert_int_equal(w->engine, w->engines[0]);
	/* An engine looks further than the four slots foretold. */
	assert_true(w->service || t.services[2].state != SVC_UP);
}

/* XDP chose; its entry must say what was foretold, and be found now. */
static void check_setup(const struct pick *p, const struct flow_where *w,
			const struct progtest_result *r)
{
	struct flow_where after;
	struct progtest_result again;

	assert_int_equal(r->counter, CNT_FWD_NEW);
	where(p, &after);
	assert_int_equal(after.verdict, FLOW_WHERE_FORWARD);
	assert_true(after.found);
	assert_int_equal(after.entry.hash, w->hash);
	assert_int_equal(after.entry.service, w->service);
	assert_int_equal(after.service, w->service);
	run(p, &again);
	assert_true(again.counter == CNT_FWD_TX ||
		    again.counter == CNT_FWD_REDIRECT);
}

/* ENGINES: whether there are any. */
static void compare(unsigned int flows, bool engines)
{
	unsigned int i, seen[FLOW_WHERE_NO_ENGINE + 1] = { 0 };
	struct progtest_result r;
	struct flow_where w;
	struct pick p;

	for (i = 0; i < flows; i++) {
		pick(&p);
		where(&p, &w);
		run(&p, &r);
		seen[w.verdict]++;
		switch (w.verdict) {
		case FLOW_WHERE_PASS:
			check_pass(&w, &r);
			break;
		case FLOW_WHERE_ENGINE:
			check_engine(&w, &r);
			break;
		case FLOW_WHERE_SETUP:
			check_setup(&p, &w, &r);
			break;
		case FLOW_WHERE_FORWARD: /* the same flow came before */
			assert_true(r.counter == CNT_FWD_TX ||
				    r.counter == CNT_FWD_REDIRECT);
			break;
		case FLOW_WHERE_NO_SERVICE: /* four slots, all of them DOWN */
			assert_int_equal(r.counter, CNT_DROP_NO_SERVICE);
			break;
		default:
			fail_msg("flow %u (%s:%u → %s:%u): verdict %d", i,
				 p.src, p.sport, p.dst, p.dport, w.verdict);
		}
	}
	assert_true(seen[FLOW_WHERE_PASS] > flows / 10);
	assert_true(engines ? seen[FLOW_WHERE_ENGINE] > flows / 10 :
			      !seen[FLOW_WHERE_ENGINE]);
	assert_true(seen[FLOW_WHERE_SETUP] > flows / 10);
}

static void test_random_flows_before_and_after_scaling(void **state)
{
	scale(2);
	compare(FLOWS, true);
	scale(4);
	compare(FLOWS, true);
}

static void test_no_engine_left(void **state)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		progtest_engine_kill(&t, i);
		t.engines[i].state = ENGINE_EMPTY;
	}
	compare(FLOWS / 10, false);
	scale(4);
}

static void test_services_down(void **state)
{
	t.services[2].state = SVC_DOWN;
	t.services[6].state = SVC_GOING_OUT;
	compare(FLOWS / 10, true);
	t.services[2].state = t.services[6].state = SVC_UP;
}

static void test_another_nodes_bucket(void **state)
{
	struct progtest_result r;
	struct flow_where w;
	struct pick p;

	do {
		pick(&p);
		where(&p, &w);
	} while (w.verdict != FLOW_WHERE_ENGINE);
	t.node_bkts[w.node_bucket].b.owner = 3;
	/* Nobody there: the packet stays. */
	where(&p, &w);
	assert_int_equal(w.verdict, FLOW_WHERE_ENGINE);
	t.nodes[3].flags = NODE_PRESENT;
	where(&p, &w);
	assert_int_equal(w.verdict, FLOW_WHERE_NODE);
	assert_int_equal(w.node, 3);
	t.node_bkts[w.node_bucket].b.owner = t.conf->node_id;
	run(&p, &r);
	assert_int_equal(r.counter, CNT_STEER_ENGINE);
}

static void test_nobody_takes_it(void **state)
{
	uint64_t before = t.vservers[1].lb;
	struct progtest_result r;
	struct flow_where w;
	struct pick p;

	do {
		pick(&p);
		where(&p, &w);
	} while (w.vserver != 1 || w.found);
	t.vservers[1].lb = 0;
	where(&p, &w);
	assert_int_equal(w.verdict, FLOW_WHERE_NO_SERVICE);
	run(&p, &r);
	assert_int_equal(r.counter, CNT_DROP_NO_SERVICE);
	t.vservers[1].lb = before;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_flows_before_and_after_scaling),
		cmocka_unit_test(test_no_engine_left),
		cmocka_unit_test(test_services_down),
		cmocka_unit_test(test_another_nodes_bucket),
		cmocka_unit_test(test_nobody_takes_it),
	};

	return cmocka_run_group_tests_name("flow_where", tests, start, end);
}
