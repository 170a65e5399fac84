/* SPDX-License-Identifier: GPL-2.0-only */
/* The cluster's state machine by hand: views, operators' orders, ownership. */
#include "cluster_world.h"

/* ---- views ------------------------------------------------------------ */

static void test_single_node_is_its_own_majority(void **state)
{
	start(1);
	service(0, 1, 0, NODE_SERVICE_READY);
	pass(300);
	assert_int_equal(probers(1), 1);
}

static void test_minority_installs_nothing(void **state)
{
	start(3);
	service_all(1, 0, 0);
	pass(400);
	kill_node(1);
	kill_node(2);
	pass(3000);
	assert_int_equal(members(0), 7);
	struct node_peer_status ps;

	assert_int_equal(node_peer_status(w.node[0], 1, &ps), 0);
	assert_int_equal(ps.reason, NODE_REASON_SILENT);
}

static void test_dead_node_is_excluded_in_time(void **state)
{
	start(3);
	kill_node(2);
	pass(500);
	assert_int_equal(members(0), 3);
	assert_int_equal(members(1), 3);
}

/* Node 0, which hears both, is late again and again: that must not leave the
 * judgement to the two that do not hear each other. */
static void test_broken_link_beside_a_late_node_excludes_nobody(void **state)
{
	start(3);
	pass(300);
	w.unheard[1] = 1u << 2;
	w.unheard[2] = 1u << 1;
	for (int i = 0; i < 20; i++) {
		w.asleep = 1;
		pass(70);
		w.asleep = 0;
		pass(180);
		assert_int_equal(members(0), 7);
	}
	/* It cannot keep a dead node in, however often it is late. */
	kill_node(2);
	for (int i = 0; i < 10; i++) {
		w.asleep = 1;
		pass(70);
		w.asleep = 0;
		pass(180);
	}
	assert_int_equal(members(1), 3);
}

static void test_spare_stands_in_for_an_active_node(void **state)
{
	w.configured = 15;
	for (uint32_t i = 0; i < 4; i++)
		boot(i, 1, i == 1 ? ADMIN_SPARE : ADMIN_ACTIVE);
	pass(800);
	assert_int_equal(members(0), 13);
	struct node_status ns;

	node_status(w.node[1], &ns);
	assert_int_equal(ns.reason, NODE_REASON_SPARE);
	kill_node(3);
	pass(1500);
	assert_int_equal(members(0), 7);
	boot(3, 2, ADMIN_ACTIVE);
	pass(2000);
	assert_int_equal(members(0), 13);
}

static void test_orders_outlive_a_restart(void **state)
{
	start(3);
	admin(1, ADMIN_LEAVING);
	pass(300);
	assert_int_equal(members(0), 5);
	kill_node(1);
	boot(1, 2, ADMIN_ACTIVE);
	pass(1500);
	assert_int_equal(members(0), 5);
	struct node_status ns;

	node_status(w.node[1], &ns);
	assert_int_equal(ns.reason, NODE_REASON_LEFT);
	admin(1, ADMIN_ACTIVE);
	pass(1000);
	assert_int_equal(members(0), 7);
}

static void test_the_last_member_stays_until_replaced(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	uint32_t i;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	for (i = 0; i < 3; i++)
		local(i, &s);
	pass(100);
	for (i = 0; i < 3; i++)
		admin(i, ADMIN_LEAVING);
	pass(1000);
	assert_int_not_equal(members(0), 0);
	i = !members(0) ? 0 : (uint32_t)__builtin_ctz(members(0));
	admin((i + 1) % 3, ADMIN_ACTIVE);
	pass(1500);
	assert_int_equal(members(0), 1u << (i + 1) % 3);
	assert_int_equal(probers(5), 1u << (i + 1) % 3);
	assert_int_equal(status(i, 5).record.state, SVC_UP);
}

static void test_configured_set_follows_a_majority(void **state)
{
	uint32_t i;

	start(3);
	w.configured = 15;
	boot(3, 1, ADMIN_ACTIVE);
	configured(0, 15);
	pass(1000);
	/* One of three is not enough. */
	assert_int_equal(node_view(w.node[0])->configured, 7);
	assert_int_equal(members(0), 7);
	configured(1, 15);
	configured(2, 15);
	pass(1500);
	for (i = 0; i < 4; i++) {
		assert_int_equal(node_view(w.node[i])->configured, 15);
		assert_int_equal(members(i), 15);
	}
	/* And back: a node taken out of the configuration. */
	kill_node(3);
	for (i = 0; i < 3; i++)
		configured(i, 7);
	pass(1500);
	assert_int_equal(node_view(w.node[0])->configured, 7);
	assert_int_equal(members(0), 7);
}

static void test_restart_is_a_new_member(void **state)
{
	uint64_t before;

	start(3);
	before = node_view(w.node[0])->number;
	kill_node(2);
	boot(2, 2, ADMIN_ACTIVE);
	pass(1000);
	assert_int_equal(members(0), 7);
	assert_int_equal(node_view(w.node[0])->incarnation[2], 2);
	assert_true(node_view(w.node[0])->number >= before + 2);
}

static void test_messages_of_a_former_life_are_refused(void **state)
{
	struct message m = {.type = MSG_HELLO, .source = 1, .incarnation = 1};
	struct node_event e = {.type = NODE_EVENT_MESSAGE, .message = &m};
	struct node_status before, after;

	start(3);
	kill_node(1);
	boot(1, 5, ADMIN_ACTIVE);
	pass(50);
	node_status(w.node[0], &before);
	m.hello.seq = 1000000;
	m.hello.accused = 5;
	step(0, &e);
	node_status(w.node[0], &after);
	assert_int_equal(after.refused, before.refused + 1);
}

/* ---- ownership -------------------------------------------------------- */

static void test_one_prober_the_first_of_the_list(void **state)
{
	uint64_t e;

	start(3);
	for (e = 1; e < ENTITIES; e++)
		service_all(e, 0, 0);
	pass(500);
	for (e = 1; e < ENTITIES; e++)
		assert_int_equal(probers(e), 1u << rendezvous_first(e, 7));
}

static void test_leave_moves_only_the_leavers_services(void **state)
{
	uint64_t e;

	start(3);
	for (e = 1; e < ENTITIES; e++)
		service_all(e, 0, 0);
	pass(500);
	kill_node(2);
	pass(800);
	for (e = 1; e < ENTITIES; e++) {
		int was = rendezvous_first(e, 7);

		if (was != 2)
			assert_int_equal(status(0, e).record.owner, was);
		assert_int_equal(probers(e), 1u << rendezvous_first(e, 3));
	}
}

static void test_services_of_one_key_share_an_owner(void **state)
{
	uint64_t e;

	start(3);
	for (e = 1; e < 20; e++)
		service_all(e, 77, 0);
	pass(500);
	for (e = 1; e < 20; e++)
		assert_int_equal(probers(e), 1u << rendezvous_first(77, 7));
}

static void test_owner_is_the_first_that_has_the_service(void **state)
{
	uint64_t e;

	start(3);
	for (e = 1; e < 20; e++) {
		uint32_t without = 1u << rendezvous_first(e, 7), i;

		for (i = 0; i < 3; i++)
			if (!(without & 1u << i))
				service(i, e, 0, NODE_SERVICE_READY);
	}
	pass(1000);
	for (e = 1; e < 20; e++) {
		uint32_t with = 7 & ~(1u << rendezvous_first(e, 7));

		assert_int_equal(probers(e), 1u << rendezvous_first(e, with));
	}
}

static void test_internal_services_are_probed_by_all(void **state)
{
	start(3);
	service_all(9, 0, NODE_SERVICE_INTERNAL);
	pass(300);
	assert_int_equal(probers(9), 7);
	assert_int_equal(w.states_sent, 0);
}

static void test_deleted_service_is_gone_everywhere(void **state)
{
	struct node_event e = {.type = NODE_EVENT_SERVICE_DEL, .entity = 3};

	start(3);
	service_all(3, 0, 0);
	pass(400);
	for (uint32_t i = 0; i < 3; i++)
		step(i, &e);
	deliver();
	pass(300);
	assert_int_equal(probers(3), 0);
	struct node_status ns;

	node_status(w.node[0], &ns);
	assert_int_equal(ns.services, 0);
}

/* ---- text ------------------------------------------------------------- */

static void test_trace_text(void **state)
{
	struct node_trace t = {NODE_TRACE_ACCEPT, 2, 0xabc, 1, 7 << 16 | 3};
	char buf[100], tiny[8];

	assert_string_equal(node_trace_text(&t, buf, sizeof(buf)),
			    "accepts abc from node 2: state 1, version 7.3");
	node_trace_text(&t, tiny, sizeof(tiny));
	assert_string_equal(tiny, "accepts");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_single_node_is_its_own_majority),
		T(test_minority_installs_nothing),
		T(test_dead_node_is_excluded_in_time),
		T(test_broken_link_beside_a_late_node_excludes_nobody),
		T(test_spare_stands_in_for_an_active_node),
		T(test_orders_outlive_a_restart),
		T(test_the_last_member_stays_until_replaced),
		T(test_configured_set_follows_a_majority),
		T(test_restart_is_a_new_member),
		T(test_messages_of_a_former_life_are_refused),
		T(test_one_prober_the_first_of_the_list),
		T(test_leave_moves_only_the_leavers_services),
		T(test_services_of_one_key_share_an_owner),
		T(test_owner_is_the_first_that_has_the_service),
		T(test_internal_services_are_probed_by_all),
		T(test_deleted_service_is_gone_everywhere),
		T(test_trace_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
