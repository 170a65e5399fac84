// SPDX-License-Identifier: GPL-2.0-only
/* Hostile input, waiting packets and ageing in an engine. */
#include "engine_fixture.h"

/* ---- hostile input ---- */

static void test_bad_metadata_is_refused(void **state)
{
	struct fixture *f = *state;
	struct pkt_meta meta = { .reason = STEER_NEW, .vserver = VS,
				 .l3_off = 14, .l4_off = 34 };
	struct pktbuild p;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	pktbuild_l4(&p, CLIENT, VIP, PROTO_TCP, 1, 80, TCP_SYN, 0);
	give_bytes(f, p.data, p.len, &meta);
	assert_int_equal(dropped(f, DROP_BAD_META), 1);
	meta.magic = PKT_META_MAGIC;
	meta.vserver = 0xffff;
	give_bytes(f, p.data, p.len, &meta);
	assert_int_equal(dropped(f, DROP_NO_VSERVER), 1);
	meta.vserver = VS;
	meta.l3_off = 18;
	give_bytes(f, p.data, p.len, &meta);
	assert_int_equal(dropped(f, DROP_BAD_PACKET), 1);
	meta.reason = 77;
	meta.l3_off = 14;
	give_bytes(f, p.data, p.len, &meta);
	assert_int_equal(dropped(f, DROP_ICMP), 1);
	assert_nothing_sent(f);
}

/* Every reason with every truncation of packets of all kinds. */
static void test_truncated_packets_do_no_harm(void **state)
{
	struct fixture *f = *state;
	struct pktbuild p[4];
	uint32_t given = 0;

	set_vserver(f, FWD_DSR_IPIP, true, PROTO_TCP);
	pktbuild_l4(&p[0], CLIENT, VIP, PROTO_TCP, 1000, 80, TCP_SYN, 20);
	pktbuild_l4(&p[1], CLIENT, VIP, PROTO_UDP, 1000, 80, 0, 20);
	pktbuild_l4(&p[2], CLIENT6, VIP6, PROTO_TCP, 1000, 80, TCP_ACK, 20);
	pktbuild_init(&p[3]);
	pktbuild_eth(&p[3], 0x0800);
	pktbuild_ip4_full(&p[3], CLIENT, VIP, PROTO_UDP, 3, 9, 100);
	pktbuild_payload(&p[3], 20);
	pktbuild_finish(&p[3]);
	for (uint32_t reason = 0; reason < 8; reason++) {
		for (size_t k = 0; k < 4; k++) {
			for (size_t len = 0; len <= p[k].len; len++) {
				struct pkt_meta meta = {
					.reason = (uint8_t)reason,
					.vserver = VS, .ifindex = 5,
					.service = 1, .l3_off = 14,
					.l4_off = 34, .l4_proto = PROTO_TCP,
					.magic = PKT_META_MAGIC,
				};

				give_bytes(f, p[k].data, len, &meta);
				given++;
				emit_flush(&f->e);
				f->tx.consumer = f->tx.producer;
				f->e.now_ns += 2 * HOLD_NEIGHBOUR_NS;
				hold_run(&f->e);
				f->e.frames.pool[0].depth = 0;
				assert_int_equal(hold_count(f->e.hold), 0);
			}
		}
	}
	assert_true(given > 2000);
}

/* ---- waiting ---- */

static void test_neighbour_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct pkt pkt;

	set_vserver(f, FWD_DSR_L2, true, PROTO_TCP);
	next_hop.result = NEXTHOP_UNRESOLVED;
	give_tcp(f, 1000, TCP_SYN);
	give_tcp(f, 1001, TCP_SYN);
	assert_nothing_sent(f);
	assert_int_equal(hold_count(f->e.hold), 2);
	next_hop.result = NEXTHOP_RESOLVED;
	f->e.now_ns += HOLD_RETRY_NS;
	hold_run(&f->e);
	assert_int_equal(hold_count(f->e.hold), 0);
	take(f, NULL, &pkt);
	assert_addr(&pkt.dst, VIP);
	take(f, NULL, &pkt);
	/* Not for ever, and not without bound. */
	next_hop.result = NEXTHOP_UNRESOLVED;
	for (uint32_t i = 0; i < HOLD_MAX + 5; i++)
		give_tcp(f, (uint16_t)(1100 + i), TCP_SYN);
	assert_int_equal(hold_count(f->e.hold), HOLD_MAX);
	assert_int_equal(dropped(f, DROP_HOLD_FULL), 5);
	f->e.now_ns += HOLD_NEIGHBOUR_NS + HOLD_RETRY_NS;
	hold_run(&f->e);
	assert_int_equal(hold_count(f->e.hold), 0);
	assert_int_equal(dropped(f, DROP_HOLD_TIMEOUT), HOLD_MAX);
}

static void test_fragment_waits_for_its_first_one(void **state)
{
	struct fixture *f = *state;
	struct flow train = { .pair_port = htons(1000),
			      .pair_id = htons(80) };
	struct flowtab_change change;
	struct pktbuild first, later;
	struct pkt pkt, frag;

	set_vserver(f, FWD_NAT, true, PROTO_UDP);
	pktbuild_init(&later);
	pktbuild_eth(&later, 0x0800);
	pktbuild_ip4_full(&later, CLIENT, VIP, PROTO_UDP, 0, 77, 100);
	pktbuild_payload(&later, 64);
	pktbuild_finish(&later);
	give(f, &later, STEER_FRAGMENT);
	assert_nothing_sent(f);
	assert_int_equal(hold_count(f->e.hold), 1);
	/* The first one: XDP records its ports, an engine its flow. */
	pktbuild_l4(&first, CLIENT, VIP, PROTO_UDP, 1000, 80, 0, 64);
	give(f, &first, STEER_NEW);
	take(f, NULL, &pkt);
	assert_int_equal(parse_packet(later.data, later.data + later.len,
				      &frag), PARSE_OK);
	train.hash = fragment_hash_of(f->e.toeplitz, &frag);
	train.key.peer = frag.src;
	((uint64_t *)(void *)&train.key)[2] = fragment_tail_of(&frag);
	train.pair_addr = frag.dst;
	train.activity = flow_tick(f->e.now_ns);
	assert_int_equal(flows_insert(&f->e, &train, &change),
			 FLOWTAB_INSERTED);
	f->e.now_ns += HOLD_RETRY_NS;
	hold_run(&f->e);
	take(f, NULL, &frag);
	assert_memory_equal(&frag.dst, &pkt.dst, 16);
	assert_addr(&frag.src, NAT);
	assert_int_equal(hold_count(f->e.hold), 0);
}

/* ---- ageing ---- */

static void sweep_all(struct fixture *f)
{
	for (uint32_t i = 0; i < SETS; i++)
		sweep_set(&f->e, i, flow_tick(f->e.now_ns));
}

static void test_unanswered_syn_expires_as_a_pair(void **state)
{
	struct fixture *f = *state;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	f->e.now_ns += 29 * SECOND;
	sweep_all(f);
	assert_int_equal(live_entries(f), 2);
	f->e.now_ns += 6 * SECOND;
	sweep_all(f);
	assert_int_equal(live_entries(f), 0);
	assert_int_equal(f->e.maps.svc_load[1].conns, 0);
	assert_int_equal(f->e.maps.svc_load[1].unanswered, 1);
	assert_int_equal(f->e.info->swept, 2);
	/* Tombstones are tidied away by the next pass. */
	sweep_all(f);
	for (uint32_t i = 0; i < SETS * FLOW_WAYS; i++)
		assert_int_equal(FLOW_WORD_STATE(f->e.maps.flows[i / FLOW_WAYS]
							 .way[i % FLOW_WAYS]
							 .word),
				 FLOW_EMPTY);
}

/* As XDP notes it when the service answers the SYN of PORT by RST. */
static void refuse_syn(struct fixture *f, uint16_t port)
{
	struct flow forward, reverse;
	struct flow *r;

	forward_of(f, port, &forward);
	r = flows_find_twin(&f->e, &forward, &reverse);
	r->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(reverse.activity),
				    FLOW_TCP_RST,
				    FLOW_ACTIVITY_FLAGS(reverse.activity));
}

static void test_refused_syn_counts_as_reset_at_once(void **state)
{
	struct fixture *f = *state;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	f->services[2].state = SVC_OUT_OF_SERVICE;
	give_tcp(f, 1000, TCP_SYN);
	give_tcp(f, 1001, TCP_SYN);
	refuse_syn(f, 1000);
	sweep_all(f);
	/* The one that still waits is not blamed on anybody yet. */
	assert_int_equal(live_entries(f), 2);
	assert_int_equal(f->e.maps.svc_load[1].conns, 1);
	assert_int_equal(f->e.maps.svc_load[1].resets, 1);
	assert_int_equal(f->e.maps.svc_load[1].unanswered, 0);
	assert_int_equal(f->e.info->swept, 2);
}

static void test_reset_of_an_established_flow_is_no_refusal(void **state)
{
	struct fixture *f = *state;
	struct flow forward;
	struct flow *fw;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	fw = forward_of(f, 1000, &forward);
	fw->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(forward.activity),
				     FLOW_TCP_ESTABLISHED, FLOW_F_NAT);
	refuse_syn(f, 1000);
	sweep_all(f);
	assert_int_equal(live_entries(f), 2);
	assert_int_equal(f->e.maps.svc_load[1].resets, 0);
}

static void test_refusals_of_inspected_flows_are_not_counted_twice(void **state)
{
	struct fixture *f = *state;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	f->vservers[VS].setup = SETUP_INSPECT;
	give_tcp(f, 1000, TCP_SYN);
	refuse_syn(f, 1000);
	sweep_all(f);
	assert_int_equal(live_entries(f), 0);
	/* inspect.c has counted it when the RST came. */
	assert_int_equal(f->e.maps.svc_load[1].resets, 0);
}

static void test_attempts_at_a_down_service_end_and_tell_nothing(void **state)
{
	static const enum fwd_mode modes[] = { FWD_NAT, FWD_DSR_L2 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		set_vserver(f, modes[i], true, PROTO_TCP);
		f->services[2].state = SVC_OUT_OF_SERVICE;
		give_tcp(f, 1000, TCP_SYN);
		f->services[1].state = SVC_DOWN;
		/* An answer may still be on its way. */
		sweep_all(f);
		assert_true(live_entries(f) > 0);
		f->e.now_ns += 2 * SECOND;
		sweep_all(f);
		assert_int_equal(live_entries(f), 0);
		assert_int_equal(f->e.maps.svc_load[1].conns, 0);
		assert_int_equal(f->e.maps.svc_load[1].unanswered, 0);
		f->services[1].state = SVC_UP;
	}
}

static void test_one_busy_direction_keeps_both(void **state)
{
	struct fixture *f = *state;
	struct flow forward, reverse;
	struct flow *fw, *rv;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	f->vservers[VS].est_s = 100;
	give_tcp(f, 1000, TCP_SYN);
	fw = forward_of(f, 1000, &forward);
	rv = flows_find_twin(&f->e, &forward, &reverse);
	fw->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(forward.activity),
				     FLOW_TCP_ESTABLISHED, FLOW_F_NAT);
	/* A download: only the service sends. */
	f->e.now_ns += 90 * SECOND;
	rv->activity = FLOW_ACTIVITY(flow_tick(f->e.now_ns),
				     FLOW_TCP_ESTABLISHED, FLOW_F_NAT);
	f->e.now_ns += 90 * SECOND;
	sweep_all(f);
	assert_int_equal(live_entries(f), 2);
	/* The client has closed: 30 s after the last packet both go. */
	fw->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(fw->activity),
				     FLOW_TCP_FIN, FLOW_F_NAT);
	f->e.maps.svc_load[1].conns--;
	sweep_all(f);
	assert_int_equal(live_entries(f), 0);
	assert_int_equal(f->e.maps.svc_load[1].conns, 0);
	assert_int_equal(f->e.maps.svc_load[1].established, 1);
}

static void test_orphans_and_udp_expire_alone(void **state)
{
	struct fixture *f = *state;
	struct flow copy;
	struct flow *flow;
	struct pktbuild p;

	set_vserver(f, FWD_NAT, true, PROTO_UDP);
	pktbuild_l4(&p, CLIENT, VIP, PROTO_UDP, 1000, 80, 0, 64);
	give(f, &p, STEER_NEW);
	flow = forward_of(f, 1000, &copy);
	assert_true(flows_delete(&f->e, flow, &copy));
	assert_int_equal(live_entries(f), 1);
	f->e.now_ns += 66 * SECOND;
	sweep_all(f);
	assert_int_equal(live_entries(f), 0);
	assert_int_equal(f->e.maps.svc_load[1].conns, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_metadata_is_refused),
		T(test_truncated_packets_do_no_harm),
		T(test_neighbour_is_waited_for),
		T(test_fragment_waits_for_its_first_one),
		T(test_unanswered_syn_expires_as_a_pair),
		T(test_refused_syn_counts_as_reset_at_once),
		T(test_reset_of_an_established_flow_is_no_refusal),
		T(test_refusals_of_inspected_flows_are_not_counted_twice),
		T(test_attempts_at_a_down_service_end_and_tell_nothing),
		T(test_one_busy_direction_keeps_both),
		T(test_orphans_and_udp_expire_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
