/* SPDX-License-Identifier: GPL-2.0-only */
/* The cluster's state machine by hand: service states, metrics, paths. */
#include "cluster_world.h"

/* ---- states ----------------------------------------------------------- */

static uint32_t owner_of(uint64_t entity)
{
	return (uint32_t)__builtin_ctz(probers(entity));
}

static void test_change_reaches_all_within_a_flush(void **state)
{
	struct service_state s = {.entity = 5,
				  .state = SVC_UP,
				  .reason = STATE_REASON_PROBE,
				  .mss = 1400,
				  .vlan = 12,
				  .ttl_s = 30,
				  .mac = {2, 0, 0, 0, 0, 1}};
	uint32_t i;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	s.addr.b[15] = 9;
	local(owner_of(5), &s);
	pass(2 * NODE_TICK_MS);
	for (i = 0; i < 3; i++) {
		struct node_service_status st = status(i, 5);

		assert_int_equal(w.published[i][5], SVC_UP);
		assert_int_equal(st.record.mss, 1400);
		assert_int_equal(st.record.vlan, 12);
		assert_int_equal(st.record.ttl_s, 30);
		assert_int_equal(st.record.mac[5], 1);
		assert_int_equal(st.record.addr.b[15], 9);
	}
	pass(2 * NODE_TICK_MS);
	assert_int_equal(status(owner_of(5), 5).pending, 0);
}

static void test_only_the_master_is_believed(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_DOWN};

	start(3);
	service_all(5, 0, 0);
	pass(400);
	local((owner_of(5) + 1) % 3, &s);
	pass(100);
	assert_int_equal(status(owner_of(5), 5).record.state, SVC_UNKNOWN);
}

static void test_not_ready_service_is_stored_but_not_used(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	uint32_t other;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	other = (owner_of(5) + 1) % 3;
	service(other, 5, 0, 0); /* an engine does not know it yet */
	local(owner_of(5), &s);
	pass(100);
	assert_int_equal(w.published[other][5], SVC_UNKNOWN);
	service(other, 5, 0, NODE_SERVICE_READY);
	assert_int_equal(w.published[other][5], SVC_UP);
}

static void test_cache_is_bounded_and_healed(void **state)
{
	struct node_status ns;
	uint64_t e;
	uint32_t lacks = 0;

	start(3);
	/* Twenty services unknown to node 0, whose cache holds four. */
	for (e = 1; e <= 20; e++) {
		service(1, e, 0, NODE_SERVICE_READY);
		service(2, e, 0, NODE_SERVICE_READY);
	}
	pass(1000);
	for (e = 1; e <= 20; e++) {
		struct service_state s = {.entity = e, .state = SVC_UP};

		local(owner_of(e), &s);
	}
	pass(200);
	node_status(w.node[0], &ns);
	assert_int_equal(ns.cached, 4);
	assert_true(ns.cache_drops > 0);
	for (e = 1; e <= 20; e++)
		service(0, e, 0, NODE_SERVICE_READY);
	pass(8000);
	for (e = 1; e <= 20; e++)
		lacks += status(0, e).record.state != SVC_UP;
	assert_int_equal(lacks, 0);
}

static void test_a_service_added_again_is_asked_for(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	struct node_event del = {.type = NODE_EVENT_SERVICE_DEL, .entity = 5};
	uint32_t other;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	local(owner_of(5), &s);
	pass(100);
	other = (owner_of(5) + 1) % 3;
	step(other, &del);
	service(other, 5, 0, NODE_SERVICE_READY);
	assert_int_equal(status(other, 5).record.view, 0);
	pass(50);
	assert_int_equal(w.published[other][5], SVC_UP);
}

static void test_retransmitted_until_acknowledged(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	uint32_t other;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	other = (owner_of(5) + 1) % 3;
	w.cut = 1u << other; /* shorter than detection */
	local(owner_of(5), &s);
	pass(200);
	assert_true(status(owner_of(5), 5).pending & 1u << other);
	w.cut = 0;
	pass(300);
	assert_int_equal(status(owner_of(5), 5).pending, 0);
	assert_int_equal(w.published[other][5], SVC_UP);
	assert_int_equal(members(0), 7);
}

static void test_newest_only_is_queued(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	uint32_t other, i, before;

	start(3);
	service_all(5, 0, 0);
	pass(400);
	other = (owner_of(5) + 1) % 3;
	before = w.states_sent;
	for (i = 0; i < 100; i++) {
		s.state = i % 2 ? SVC_UP : SVC_DOWN;
		local(owner_of(5), &s);
	}
	pass(100);
	assert_int_equal(w.states_sent - before, 2); /* one to each peer */
	assert_int_equal(status(other, 5).record.state, SVC_UP);
}

/* ---- metrics ---------------------------------------------------------- */

struct metric_row {
	const char *name;
	uint32_t flags;
	uint32_t response_us, load;
	uint8_t over;
	bool sent;
};

static void test_metrics_are_sent_when_they_matter(void **state)
{
	static const struct metric_row rows[] = {
		{"unused", 0, 5000, 5000, 0, false},
		{"response below 5 %", NODE_SERVICE_USE_RESPONSE, 1049, 100, 0,
		 false},
		{"response at 5 %", NODE_SERVICE_USE_RESPONSE, 1050, 100, 0,
		 true},
		{"response down 5 %", NODE_SERVICE_USE_RESPONSE, 950, 100, 0,
		 true},
		{"load is not response", NODE_SERVICE_USE_RESPONSE, 1000, 900,
		 0, false},
		{"load below 5 %", NODE_SERVICE_USE_LOAD, 1, 104, 0, false},
		{"load at 5 %", NODE_SERVICE_USE_LOAD, 1, 105, 0, true},
		{"threshold at once", NODE_SERVICE_USE_LOAD, 1000, 100,
		 STATE_LOAD_OVER, true},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct metric_row *r = &rows[i];
		struct service_state s = {.entity = 5,
					  .state = SVC_UP,
					  .response_us = 1000,
					  .load = 100};
		uint32_t before;

		start(3);
		service_all(5, 0, r->flags);
		pass(400);
		local(owner_of(5), &s);
		pass(100);
		before = status(owner_of(5), 5).record.seq;
		s.response_us = r->response_us;
		s.load = r->load;
		s.flags = r->over;
		local(owner_of(5), &s);
		pass(100);
		if ((status(owner_of(5), 5).record.seq != before) != r->sent)
			fail_msg("%s", r->name);
		end(NULL);
		begin(NULL);
	}
}

static void test_metrics_wait_for_the_first_acknowledgement(void **state)
{
	struct service_state s = {.entity = 5,
				  .state = SVC_UNKNOWN,
				  .reason = STATE_REASON_NONE,
				  .load = 200};
	uint32_t owner;

	start(3);
	service_all(5, 0, NODE_SERVICE_USE_LOAD);
	while (!probers(5))
		pass(NODE_TICK_MS);
	/* A new master whose announcement is not acknowledged yet. */
	owner = owner_of(5);
	w.cut = 7 & ~(1u << owner);
	local(owner, &s);
	pass(100);
	assert_int_equal(status(owner, 5).record.seq, 1);
	assert_int_equal(status(owner, 5).record.load, 0);
	w.cut = 0;
	pass(200);
	assert_int_equal(status(owner, 5).record.seq, 2);
	assert_int_equal(status((owner + 1) % 3, 5).record.load, 200);
}

/* ---- path monitoring -------------------------------------------------- */

static void reach(uint32_t node, uint64_t entity, bool yes)
{
	struct node_event e = {.type = NODE_EVENT_PATH, .path = {entity, yes}};

	step(node, &e);
	deliver();
}

static void test_path_bitmap_is_given_to_newcomers(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};

	start(3);
	service_all(5, 0, NODE_SERVICE_PATH);
	pass(400);
	local(owner_of(5), &s);
	reach(0, 5, false);
	reach(1, 5, true);
	pass(100);
	assert_int_equal(w.published[0][5], SVC_DOWN);
	kill_node(2);
	boot(2, 2, ADMIN_ACTIVE);
	service(2, 5, 0, NODE_SERVICE_PATH | NODE_SERVICE_READY);
	pass(1500);
	assert_int_equal(members(0), 7);
	assert_int_equal(status(2, 5).path_known & 3, 3);
	assert_int_equal(status(2, 5).path_reachable & 3, 2);
}

static void test_path_update_before_the_service_is_cached(void **state)
{
	start(3);
	service(0, 5, 0, NODE_SERVICE_PATH | NODE_SERVICE_READY);
	service(1, 5, 0, NODE_SERVICE_PATH | NODE_SERVICE_READY);
	pass(1000);
	reach(0, 5, false);
	pass(100);
	service(2, 5, 0, NODE_SERVICE_PATH | NODE_SERVICE_READY);
	assert_int_equal(status(2, 5).path_known, 1);
	assert_int_equal(status(2, 5).path_reachable, 0);
}

static void test_path_words_come_again_to_a_service_added_again(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	struct node_event del = {.type = NODE_EVENT_SERVICE_DEL, .entity = 5};
	uint32_t owner, other;

	start(3);
	service_all(5, 0, NODE_SERVICE_PATH | NODE_SERVICE_PATH_ANY);
	pass(400);
	owner = owner_of(5);
	other = (owner + 1) % 3;
	local(owner, &s);
	reach(owner, 5, true);
	reach(other, 5, false);
	pass(100);
	assert_int_equal(status(owner, 5).record.state, SVC_DOWN);
	/* Deleted and added again between two looks of the others: they see
	 * no difference, it has forgotten what they said. The word with which
	 * it asks is lost at first. */
	step(owner, &del);
	service(owner, 5, 0,
		NODE_SERVICE_PATH | NODE_SERVICE_PATH_ANY | NODE_SERVICE_READY);
	w.cut = 1u << other;
	reach(owner, 5, true);
	pass(100);
	assert_int_equal(status(owner, 5).path_known & 1u << other, 0);
	w.cut = 0;
	pass(600);
	assert_int_equal(status(owner, 5).path_known & 1u << other, 1u << other);
	assert_int_equal(status(owner, 5).path_reachable & 1u << other, 0);
	assert_int_equal(status(owner, 5).record.state, SVC_DOWN);
}

static void test_one_unreachable_node_suffices_if_not_individual(void **state)
{
	struct service_state s = {.entity = 5, .state = SVC_UP};
	uint32_t i, other;

	start(3);
	service_all(5, 0, NODE_SERVICE_PATH | NODE_SERVICE_PATH_ANY);
	pass(400);
	local(owner_of(5), &s);
	for (i = 0; i < 3; i++)
		reach(i, 5, true);
	pass(100);
	assert_int_equal(status(0, 5).record.state, SVC_UP);
	other = (owner_of(5) + 1) % 3;
	reach(other, 5, false);
	pass(100);
	for (i = 0; i < 3; i++) {
		assert_int_equal(status(i, 5).record.state, SVC_DOWN);
		assert_int_equal(status(i, 5).record.reason,
				 STATE_REASON_PATH_ANY);
	}
	/* A node that is not operational does not count. */
	admin(other, ADMIN_LEAVING);
	pass(500);
	assert_int_equal(status(0, 5).record.state, SVC_UP);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_change_reaches_all_within_a_flush),
		T(test_only_the_master_is_believed),
		T(test_not_ready_service_is_stored_but_not_used),
		T(test_cache_is_bounded_and_healed),
		T(test_a_service_added_again_is_asked_for),
		T(test_retransmitted_until_acknowledged),
		T(test_newest_only_is_queued),
		T(test_metrics_are_sent_when_they_matter),
		T(test_metrics_wait_for_the_first_acknowledgement),
		T(test_path_bitmap_is_given_to_newcomers),
		T(test_path_update_before_the_service_is_cached),
		T(test_path_words_come_again_to_a_service_added_again),
		T(test_one_unreachable_node_suffices_if_not_individual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
