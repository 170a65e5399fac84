// SPDX-License-Identifier: GPL-2.0-only
/* Flow set-up, forwarding and answers of an engine. */
#include "engine_fixture.h"
#include "nat.h"

/* ---- set-up ---- */

static void nat_case(struct fixture *f, bool v4)
{
	struct flow forward, reverse;
	const uint8_t *data;
	struct pkt pkt;

	set_vserver(f, FWD_NAT, v4, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	data = take(f, NULL, &pkt);
	assert_memory_equal(data, next_hop.dst_mac, 6);
	assert_memory_equal(data + 6, next_hop.src_mac, 6);
	assert_addr(&pkt.src, v4 ? NAT : NAT6);
	assert_memory_equal(&pkt.dst, &f->services[1].addr, 16);
	assert_int_equal(pkt.dport, htons(8080));
	assert_int_equal(pkt.ttl, 63);
	/* Both directions, each other's twin. */
	assert_non_null(forward_of(f, 1000, &forward));
	assert_int_equal(forward.pair_port, pkt.sport);
	assert_int_equal(forward.service, 1);
	assert_non_null(flows_find_twin(&f->e, &forward, &reverse));
	assert_addr(&reverse.pair_addr, v4 ? CLIENT : CLIENT6);
	assert_int_equal(reverse.pair_port, htons(1000));
	assert_int_equal(reverse.pair_id, VS);
	assert_non_null(flows_find_twin(&f->e, &reverse, &forward));
	assert_int_equal(FLOW_ACTIVITY_TCP(forward.activity), FLOW_TCP_SYN);
	assert_int_equal(f->e.maps.svc_load[1].conns, 1);
	assert_int_equal(f->e.info->setups, 1);
}

static void test_nat_set_up_ipv4(void **state)
{
	nat_case(*state, true);
}

static void test_nat_set_up_ipv6(void **state)
{
	nat_case(*state, false);
}

static void test_repeated_syn_keeps_its_flow(void **state)
{
	struct fixture *f = *state;
	struct pkt first, second;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &first);
	take(f, NULL, &second);
	assert_int_equal(first.sport, second.sport);
	assert_memory_equal(&first.dst, &second.dst, 16);
	assert_int_equal(live_entries(f), 2);
	assert_int_equal(f->e.info->setups, 1);
}

static void test_taken_nat_port_is_not_given_twice(void **state)
{
	struct fixture *f = *state;
	struct flow forward;
	struct pkt first, second;
	struct flow *old;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	add_services(f, 1, true);
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &first);
	/* The FORWARD entry goes, the REVERSE one still has the port. */
	old = forward_of(f, 1000, &forward);
	assert_true(flows_delete(&f->e, old, &forward));
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &second);
	assert_int_not_equal(first.sport, second.sport);
	assert_int_equal(live_entries(f), 3);
}

/* All candidates of a flow are taken: by live flows, or by closed ones. */
static void test_ports_of_closed_connections_are_reused(void **state)
{
	struct fixture *f = *state;
	uint32_t hash;
	struct pkt pkt;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	add_services(f, 1, true);
	pkt.src = pktbuild_addr(CLIENT);
	hash = flows_forward_hash(&f->e, &pkt.src, htons(1000), VS);
	for (uint32_t n = 0; n < NAT_TRIES_ENGINE; n++) {
		struct flow entry = {
			.service = 1, .pair_addr = pktbuild_addr("10.9.9.9"),
			.pair_port = htons(7), .pair_id = VS,
			.activity = FLOW_ACTIVITY(flow_tick(f->e.now_ns),
						  FLOW_TCP_ESTABLISHED,
						  FLOW_F_NAT),
		};
		struct flowtab_change change;

		flows_reverse_key(&f->e, &f->services[1].addr, htons(8080), 0,
				  nat_port_try(hash, n), PROTO_TCP, &entry.key,
				  &entry.hash);
		flows_insert(&f->e, &entry, &change);
	}
	give_tcp(f, 1000, TCP_SYN);
	assert_nothing_sent(f);
	assert_int_equal(dropped(f, DROP_NO_NAT), 1);
	for (uint32_t i = 0; i < SETS * FLOW_WAYS; i++) {
		struct flow *flow = &f->e.maps.flows[i / FLOW_WAYS]
					     .way[i % FLOW_WAYS];

		flow->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(
						       flow->activity),
					       FLOW_TCP_FIN, FLOW_F_NAT);
	}
	give_tcp(f, 1000, TCP_SYN); /* closed just now: not yet */
	assert_nothing_sent(f);
	f->e.now_ns += 2 * SECOND;
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &pkt);
	assert_int_equal(pkt.sport, nat_port_try(hash, 0));
}

static void test_closed_flow_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct flow copy;
	struct pkt first, second;
	struct flow *flow;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &first);
	flow = forward_of(f, 1000, &copy);
	flow->activity = FLOW_ACTIVITY(FLOW_ACTIVITY_TICK(copy.activity),
				       FLOW_TCP_FIN, FLOW_F_NAT);
	f->e.maps.svc_load[1].conns--; /* as XDP does with the FIN */
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &second);
	assert_memory_not_equal(&first.dst, &second.dst, 16);
	assert_int_equal(live_entries(f), 2);
	assert_int_equal(f->e.maps.svc_load[1].conns, 0);
	assert_int_equal(f->e.maps.svc_load[2].conns, 1);
}

static void test_nat_mid_flow_is_reset(void **state)
{
	struct fixture *f = *state;
	const struct tcp_hdr *tcp;
	const uint8_t *data;
	struct pktbuild p;
	struct pkt pkt;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	pktbuild_l4(&p, CLIENT, VIP, PROTO_TCP, 1000, 80, TCP_ACK, 10);
	give(f, &p, STEER_NEW);
	data = take(f, NULL, &pkt);
	assert_memory_equal(data, p.data + 6, 6);
	assert_memory_equal(data + 6, p.data, 6);
	assert_addr(&pkt.src, VIP);
	assert_addr(&pkt.dst, CLIENT);
	assert_int_equal(pkt.tcp_flags, TCP_RST);
	tcp = (const void *)(data + pkt.l4_off);
	assert_int_equal(tcp->seq, ((const struct tcp_hdr *)
				    (p.data + 34))->ack);
	assert_int_equal(live_entries(f), 0);
	assert_int_equal(dropped(f, DROP_MID_FLOW), 1);
	/* Never a reset for a reset. */
	give_tcp(f, 1000, TCP_RST);
	assert_nothing_sent(f);
}

static void test_dsr_mid_flow_is_taken_up(void **state)
{
	struct fixture *f = *state;
	struct flow copy;
	struct pkt pkt;

	set_vserver(f, FWD_DSR_IPIP, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_ACK);
	take(f, NULL, &pkt);
	assert_non_null(forward_of(f, 1000, &copy));
	assert_int_equal(copy.service, f->lb[lb_slot(copy.hash, 101)].service);
	assert_int_equal(FLOW_ACTIVITY_TCP(copy.activity), FLOW_TCP_NONE);
}

struct encap_row {
	const char *name;
	enum fwd_mode mode;
	bool inner4, outer4;
	uint8_t proto;
	uint32_t extra;
};

static void test_encapsulation(void **state)
{
	static const struct encap_row rows[] = {
		{ "4 in 4", FWD_DSR_IPIP, true, true, PROTO_IP4, 20 },
		{ "4 in 6", FWD_DSR_IPIP, true, false, PROTO_IP4, 40 },
		{ "6 in 4", FWD_DSR_IPIP, false, true, PROTO_IP6, 20 },
		{ "6 in 6", FWD_DSR_IPIP, false, false, PROTO_IP6, 40 },
		{ "gue 4 in 4", FWD_DSR_GUE, true, true, PROTO_UDP, 32 },
		{ "gue 6 in 6", FWD_DSR_GUE, false, false, PROTO_UDP, 52 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct encap_row *r = &rows[i];
		const uint8_t *data;
		struct pkt outer, inner;
		struct decap where;
		uint32_t len;

		print_message("%s\n", r->name);
		set_vserver(f, r->mode, r->inner4, PROTO_TCP);
		add_services(f, 2, r->outer4);
		give_tcp(f, (uint16_t)(2000 + i), TCP_SYN);
		data = take(f, &len, &outer);
		assert_int_equal(outer.proto, r->proto);
		assert_addr(&outer.src, r->outer4 ? NAT : NAT6);
		assert_memory_equal(&outer.dst.b[0], &f->services[1].addr.b[0],
				    15);
		assert_true(decap_find((void *)data, (void *)(data + len),
				       &outer, htons(6080), &where));
		assert_int_equal(where.off, 14 + r->extra);
		assert_int_equal(parse_l3((void *)data, (void *)(data + len),
					  where.off, where.type, &inner),
				 PARSE_OK);
		assert_int_equal(inner.bad, PKT_GOOD);
		assert_addr(&inner.src, r->inner4 ? CLIENT : CLIENT6);
		assert_addr(&inner.dst, r->inner4 ? VIP : VIP6);
		assert_int_equal(inner.ttl, 63);
	}
}

static void test_dsr_l2_changes_macs_only(void **state)
{
	struct fixture *f = *state;
	const uint8_t *data;
	struct pkt pkt;

	set_vserver(f, FWD_DSR_L2, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	data = take(f, NULL, &pkt);
	assert_memory_equal(data, next_hop.dst_mac, 6);
	assert_addr(&pkt.src, CLIENT);
	assert_addr(&pkt.dst, VIP);
	assert_int_equal(pkt.dport, htons(80));
}

static void test_tags_stay_on_the_same_interface_only(void **state)
{
	struct fixture *f = *state;
	struct pktbuild p;
	uint32_t len;
	struct pkt pkt;
	struct xsk_ring tx = ring_of(&f->tx_out);
	const uint8_t *data;

	set_vserver(f, FWD_DSR_IPIP, true, PROTO_UDP);
	pktbuild_init(&p);
	pktbuild_eth(&p, 0x0800);
	pktbuild_vlan(&p, 0x8100, 42, 0x0800);
	pktbuild_ip(&p, CLIENT, VIP, PROTO_UDP);
	pktbuild_udp(&p, 1000, 80);
	pktbuild_payload(&p, 10);
	pktbuild_finish(&p);
	give(f, &p, STEER_NEW);
	data = take(f, &len, &pkt);
	assert_int_equal(pkt.l3_off, 18);
	assert_memory_equal(data + 12, "\x81\x00\x00\x2a\x08\x00", 6);
	assert_int_equal(pkt.proto, PROTO_IP4);
	/* By another interface: untagged. */
	add_port(f, 1, 6, &f->tx_out);
	next_hop.ifindex = 6;
	give(f, &p, STEER_NEW);
	emit_flush(&f->e);
	assert_int_equal(f->tx_out.producer, 1);
	data = f->e.umem + xsk_ring_desc(&tx, 0)->addr;
	assert_memory_equal(data + 12, "\x08\x00\x45", 3);
}

static void test_no_service(void **state)
{
	struct fixture *f = *state;
	struct pktbuild p;
	struct pkt pkt;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	f->services[1].state = f->services[2].state = SVC_DOWN;
	give_tcp(f, 1000, TCP_SYN);
	assert_nothing_sent(f);
	assert_int_equal(dropped(f, DROP_NO_SERVICE), 1);
	f->vservers[VS].flags |= VS_DOWN_RESET;
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &pkt);
	assert_int_equal(pkt.tcp_flags, TCP_RST | TCP_ACK);
	assert_int_equal(live_entries(f), 0);
	for (int v4 = 0; v4 < 2; v4++) {
		set_vserver(f, FWD_NAT, v4, PROTO_UDP);
		add_services(f, 0, v4);
		f->vservers[VS].flags |= VS_DOWN_RESET;
		pktbuild_l4(&p, v4 ? CLIENT : CLIENT6, v4 ? VIP : VIP6,
			    PROTO_UDP, 1000, 80, 0, 30);
		give(f, &p, STEER_NEW);
		take(f, NULL, &pkt);
		assert_int_equal(pkt.icmp_type,
				 v4 ? ICMP4_UNREACH : ICMP6_UNREACH);
		assert_int_equal(pkt.icmp_code, v4 ? 3 : 4);
	}
}

static void test_flow_of_a_down_service_is_flushed(void **state)
{
	struct fixture *f = *state;
	struct pktbuild p;
	struct pkt request, pkt;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &request);
	f->services[1].state = SVC_DOWN;
	f->vservers[VS].flags |= VS_DOWN_FLUSH;
	pktbuild_l4(&p, CLIENT, VIP, PROTO_TCP, 1000, 80, TCP_ACK, 10);
	give(f, &p, STEER_NO_SERVICE);
	take(f, NULL, &pkt);
	assert_int_equal(pkt.tcp_flags, TCP_RST);
	assert_int_equal(live_entries(f), 0);
	assert_int_equal(f->e.maps.svc_load[1].conns, 0);
	/* The other direction ends it as well. */
	f->services[1].state = SVC_UP;
	f->services[2].state = SVC_OUT_OF_SERVICE;
	give_tcp(f, 1001, TCP_SYN);
	take(f, NULL, &request);
	f->services[1].state = SVC_DOWN;
	pktbuild_l4(&p, "10.0.1.11", NAT, PROTO_TCP, 8080,
		    ntohs(request.sport), TCP_ACK, 10);
	give(f, &p, STEER_NO_SERVICE);
	take(f, NULL, &pkt);
	assert_addr(&pkt.dst, "10.0.1.11");
	assert_int_equal(pkt.tcp_flags, TCP_RST);
	assert_int_equal(live_entries(f), 0);
}

static void test_persistence_outlives_the_method(void **state)
{
	struct fixture *f = *state;
	struct pkt first, pkt;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	f->vservers[VS].flags |= VS_PERSIST;
	give_tcp(f, 1000, TCP_SYN);
	take(f, NULL, &first);
	for (uint16_t port = 1001; port < 1010; port++) {
		give_tcp(f, port, TCP_SYN);
		take(f, NULL, &pkt);
		assert_memory_equal(&pkt.dst, &first.dst, 16);
	}
	/* Its service is gone: another, and that one stays. */
	f->services[1].state = SVC_DOWN;
	give_tcp(f, 1020, TCP_SYN);
	take(f, NULL, &pkt);
	assert_memory_not_equal(&pkt.dst, &first.dst, 16);
	f->services[1].state = SVC_UP;
	give_tcp(f, 1021, TCP_SYN);
	take(f, NULL, &first);
	assert_memory_equal(&pkt.dst, &first.dst, 16);
}

static void test_evicted_half_takes_its_twin_along(void **state)
{
	struct fixture *f = *state;

	set_vserver(f, FWD_NAT, true, PROTO_TCP);
	for (uint32_t i = 0; i < 3 * SETS * FLOW_WAYS; i++) {
		give_tcp(f, (uint16_t)(1024 + i), TCP_SYN);
		emit_flush(&f->e);
		f->tx.consumer = f->tx.producer;
	}
	assert_true(f->e.info->evict_half > 0);
	for (uint32_t i = 0; i < SETS * FLOW_WAYS; i++) {
		struct flow twin, *flow = &f->e.maps.flows[i / FLOW_WAYS]
						   .way[i % FLOW_WAYS];

		if (FLOW_WORD_STATE(flow->word) == FLOW_LIVE)
			assert_non_null(flows_find_twin(&f->e, flow, &twin));
	}
	assert_int_equal(f->e.maps.svc_load[1].conns +
				 f->e.maps.svc_load[2].conns,
			 live_entries(f) / 2);
}

/* ---- answers ---- */

static void test_ttl_and_size(void **state)
{
	struct fixture *f = *state;
	struct pktbuild p;
	struct pkt pkt;

	set_vserver(f, FWD_DSR_IPIP, true, PROTO_TCP);
	pktbuild_init(&p);
	p.ttl = 1;
	pktbuild_eth(&p, 0x0800);
	pktbuild_ip(&p, CLIENT, VIP, PROTO_TCP);
	pktbuild_tcp(&p, 1000, 80, TCP_SYN);
	pktbuild_payload(&p, 40);
	pktbuild_finish(&p);
	give(f, &p, STEER_NEW);
	take(f, NULL, &pkt);
	assert_int_equal(pkt.icmp_type, ICMP4_TIME_EXCEEDED);
	assert_addr(&pkt.dst, CLIENT);
	/* 1 500 bytes do not fit with another header. */
	pktbuild_init(&p);
	pktbuild_eth(&p, 0x0800);
	pktbuild_ip4_full(&p, CLIENT, VIP, PROTO_TCP, 0, 1, IP4_DF);
	pktbuild_tcp(&p, 1001, 80, TCP_SYN);
	pktbuild_payload(&p, 1460);
	pktbuild_finish(&p);
	give(f, &p, STEER_NEW);
	take(f, NULL, &pkt);
	assert_int_equal(pkt.icmp_type, ICMP4_UNREACH);
	assert_int_equal(pkt.icmp_code, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nat_set_up_ipv4),
		T(test_nat_set_up_ipv6),
		T(test_repeated_syn_keeps_its_flow),
		T(test_taken_nat_port_is_not_given_twice),
		T(test_ports_of_closed_connections_are_reused),
		T(test_closed_flow_begins_anew),
		T(test_nat_mid_flow_is_reset),
		T(test_dsr_mid_flow_is_taken_up),
		T(test_encapsulation),
		T(test_dsr_l2_changes_macs_only),
		T(test_tags_stay_on_the_same_interface_only),
		T(test_no_service),
		T(test_flow_of_a_down_service_is_flushed),
		T(test_persistence_outlives_the_method),
		T(test_evicted_half_takes_its_twin_along),
		T(test_ttl_and_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
