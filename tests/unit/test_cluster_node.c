/* SPDX-License-Identifier: GPL-2.0-only */
/* The cluster's state machine by hand: a few nodes on a network that delivers
 * at once. Random faults are the simulator's business (tests/sim). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/node.h"
#include "map_abi.h"
#include "rendezvous.h"

#define N 5
#define QUEUE 65536
#define ENTITIES 40

struct world {
	struct node *node[N];
	uint64_t now;
	uint32_t configured, cut; /* nodes that get and send nothing */
	struct queued {
		uint32_t to;
		struct message m;
	} * queue;
	uint32_t head, tail;
	bool probing[N][ENTITIES], path_probing[N][ENTITIES];
	uint8_t published[N][ENTITIES];
	uint32_t states_sent; /* MSG_STATE items */
	struct node_durable disk[N];
};

static struct world w;

struct context {
	uint32_t node;
};

static void emit(void *ctx, const struct node_effect *e)
{
	uint32_t self = ((struct context *)ctx)->node, to;

	switch (e->type) {
	case NODE_EFFECT_SEND:
		if (e->send.message->type == MSG_STATE)
			w.states_sent +=
				e->send.message->state.n *
				(uint32_t)__builtin_popcount(e->send.to);
		for (to = e->send.to; to; to &= to - 1) {
			assert_true(w.tail < QUEUE);
			w.queue[w.tail].to = (uint32_t)__builtin_ctz(to);
			w.queue[w.tail++].m = *e->send.message;
		}
		break;
	case NODE_EFFECT_PERSIST:
		w.disk[self] = *e->durable;
		break;
	case NODE_EFFECT_PROBE:
		w.probing[self][e->probe.entity] = e->probe.on;
		break;
	case NODE_EFFECT_PATH_PROBE:
		w.path_probing[self][e->probe.entity] = e->probe.on;
		break;
	case NODE_EFFECT_PUBLISH:
		w.published[self][e->publish.entity] = e->publish.state;
		break;
	default:
		break;
	}
}

static void step(uint32_t node, struct node_event *e)
{
	struct context c = {node};
	struct node_update u = {emit, &c};

	e->now_ms = w.now;
	node_step(w.node[node], e, &u);
}

static void deliver(void)
{
	while (w.head < w.tail) {
		struct queued q = w.queue[w.head++];
		struct node_event e = {.type = NODE_EVENT_MESSAGE,
				       .message = &q.m};

		if (q.to < N && w.node[q.to] &&
		    !(w.cut & (1u << q.to | 1u << q.m.source)))
			step(q.to, &e);
	}
	w.head = w.tail = 0;
}

static void pass(uint32_t ms)
{
	uint64_t end = w.now + ms;
	uint32_t i;

	for (; w.now < end; w.now += NODE_TICK_MS)
		for (i = 0; i < N; i++) {
			struct node_event e = {.type = NODE_EVENT_TICK};

			if (w.node[i])
				step(i, &e);
			deliver();
		}
}

static void boot(uint32_t id, uint32_t life, uint8_t admin)
{
	struct node_options o = {
		.id = id,
		.incarnation = life,
		.configured = w.configured,
		.admin = admin,
		.services_max = ENTITIES,
		.cache_max = 4,
	};

	assert_int_equal(node_new(&o, life > 1 ? &w.disk[id] : NULL,
				  &w.node[id]),
			 0);
}

static void kill_node(uint32_t id)
{
	node_free(w.node[id]);
	w.node[id] = NULL;
	memset(w.probing[id], 0, sizeof(w.probing[id]));
}

static void service(uint32_t node, uint64_t entity, uint64_t key,
		    uint32_t flags)
{
	struct node_event e = {.type = NODE_EVENT_SERVICE_SET,
			       .service = {entity, key, flags}};

	step(node, &e);
	deliver();
}

static void service_all(uint64_t entity, uint64_t key, uint32_t flags)
{
	for (uint32_t i = 0; i < N; i++)
		if (w.node[i])
			service(i, entity, key, flags | NODE_SERVICE_READY);
}

static void local(uint32_t node, const struct service_state *s)
{
	struct node_event e = {.type = NODE_EVENT_LOCAL, .local = s};

	step(node, &e);
	deliver();
}

static void admin(uint32_t node, uint8_t to)
{
	struct node_event e = {.type = NODE_EVENT_ADMIN, .admin = to};

	step(node, &e);
	deliver();
}

static void configured(uint32_t node, uint32_t set)
{
	struct node_event e = {.type = NODE_EVENT_CONFIGURED,
			       .configured = set};

	step(node, &e);
	deliver();
}

static uint32_t members(uint32_t node)
{
	return node_view(w.node[node])->members;
}

static struct node_service_status status(uint32_t node, uint64_t entity)
{
	struct node_service_status st;

	assert_int_equal(node_service_status(w.node[node], entity, &st), 0);
	return st;
}

/* Nodes that probe it. */
static uint32_t probers(uint64_t entity)
{
	uint32_t i, set = 0;

	for (i = 0; i < N; i++)
		if (w.probing[i][entity])
			set |= 1u << i;
	return set;
}

static int begin(void **state)
{
	memset(&w, 0, sizeof(w));
	w.queue = calloc(QUEUE, sizeof(*w.queue));
	w.now = 1000;
	w.configured = 7;
	return w.queue ? 0 : -1;
}

static int end(void **state)
{
	uint32_t i;

	for (i = 0; i < N; i++)
		node_free(w.node[i]);
	free(w.queue);
	return 0;
}

static void start(uint32_t nodes)
{
	w.configured = (1u << nodes) - 1;
	for (uint32_t i = 0; i < nodes; i++)
		boot(i, 1, ADMIN_ACTIVE);
	pass(600);
	assert_int_equal(members(0), w.configured);
}

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
		T(test_spare_stands_in_for_an_active_node),
		T(test_orders_outlive_a_restart),
		T(test_configured_set_follows_a_majority),
		T(test_restart_is_a_new_member),
		T(test_messages_of_a_former_life_are_refused),
		T(test_one_prober_the_first_of_the_list),
		T(test_leave_moves_only_the_leavers_services),
		T(test_services_of_one_key_share_an_owner),
		T(test_owner_is_the_first_that_has_the_service),
		T(test_internal_services_are_probed_by_all),
		T(test_deleted_service_is_gone_everywhere),
		T(test_change_reaches_all_within_a_flush),
		T(test_only_the_master_is_believed),
		T(test_not_ready_service_is_stored_but_not_used),
		T(test_cache_is_bounded_and_healed),
		T(test_retransmitted_until_acknowledged),
		T(test_newest_only_is_queued),
		T(test_metrics_are_sent_when_they_matter),
		T(test_metrics_wait_for_the_first_acknowledgement),
		T(test_path_bitmap_is_given_to_newcomers),
		T(test_path_update_before_the_service_is_cached),
		T(test_one_unreachable_node_suffices_if_not_individual),
		T(test_trace_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
