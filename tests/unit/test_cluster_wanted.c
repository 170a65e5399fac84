/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A node whose configuration gains many services at once, whose states only
 * another node knows: it asks for all of them, but for a bounded number in a
 * tick, and is ready when it knows them; those that nobody knows hold nothing up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/node.h"
#include "map_abi.h"

#define SERVICES 3000u
#define PER_TICK 1024u /* owner.c */
#define QUEUE 65536

static struct node *nodes[2];
static struct queued {
	uint32_t to;
	struct message m;
} *queue;
static uint32_t head, tail, pulled;
static bool ready;
static uint64_t now = 1000;

static void emit(void *ctx, const struct node_effect *e)
{
	uint32_t self = *(uint32_t *)ctx;

	if (e->type != NODE_EFFECT_SEND)
		return;
	if (e->send.message->type == MSG_PULL && self == 1)
		pulled += e->send.message->pull.n;
	if (e->send.message->type == MSG_HELLO && self == 1)
		ready = e->send.message->hello.flags & HELLO_READY;
	assert_true(tail < QUEUE);
	queue[tail].to = self ^ 1;
	queue[tail++].m = *e->send.message;
}

static void step(uint32_t node, struct node_event *e)
{
	struct node_update u = { emit, &node };

	e->now_ms = now;
	node_step(nodes[node], e, &u);
}

static void deliver(void)
{
	for (; head < tail; head++) {
		struct message m = queue[head].m;
		struct node_event e = { .type = NODE_EVENT_MESSAGE, .message = &m };

		step(queue[head].to, &e);
	}
	head = tail = 0;
}

/* The most that node 1 asked for in one tick. */
static uint32_t pass(uint32_t ms)
{
	uint32_t most = 0;

	for (uint64_t end = now + ms; now < end; now += NODE_TICK_MS) {
		pulled = 0;
		for (uint32_t i = 0; i < 2; i++) {
			struct node_event e = { .type = NODE_EVENT_TICK };

			step(i, &e);
		}
		most = pulled > most ? pulled : most;
		deliver();
	}
	return most;
}

static void add(uint32_t node, uint64_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct node_event e = {
			.type = NODE_EVENT_SERVICE_SET,
			.service = { first + i, 0, NODE_SERVICE_READY },
		};

		step(node, &e);
	}
	deliver();
}

static uint32_t known(uint32_t node, uint64_t first, uint32_t n)
{
	struct node_service_status st;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += !node_service_status(nodes[node], first + i, &st) &&
			 st.record.view && st.record.state == SVC_DOWN;
	return count;
}

static int begin(void **state)
{
	queue = calloc(QUEUE, sizeof(*queue));
	for (uint32_t i = 0; queue && i < 2; i++) {
		struct node_options o = {
			.id = i,
			.incarnation = 1,
			.configured = 3,
			/* Node 1 owns nothing: it only follows. */
			.admin = i ? ADMIN_PASSIVE : ADMIN_ACTIVE,
			.services_max = 2 * SERVICES,
			.cache_max = 4,
		};

		if (node_new(&o, NULL, &nodes[i]))
			return -1;
	}
	return queue ? 0 : -1;
}

static int end(void **state)
{
	node_free(nodes[0]);
	node_free(nodes[1]);
	free(queue);
	return 0;
}

static void test_many_gained_at_once(void **state)
{
	uint32_t most;

	add(0, 1, SERVICES);
	pass(800);
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct service_state s = { .entity = 1 + i,
					   .state = SVC_DOWN,
					   .reason = STATE_REASON_PROBE };
		struct node_event e = { .type = NODE_EVENT_LOCAL, .local = &s };

		step(0, &e);
		if (i % 256 == 0)
			deliver();
	}
	pass(800);
	assert_int_equal(known(0, 1, SERVICES), SERVICES);
	add(1, 1, SERVICES);
	assert_int_not_equal(known(1, 1, SERVICES), SERVICES);
	most = pass(NODE_TICK_MS);
	assert_in_range(most, 1, PER_TICK);
	most = pass(990);
	assert_in_range(most, 0, PER_TICK);
	assert_int_equal(known(1, 1, SERVICES), SERVICES);
	pass(200);
	assert_true(ready);
	/* Nobody has these: once that is clear there is nothing to ask or to
	 * wait for. */
	add(1, 1 + SERVICES, SERVICES);
	assert_in_range(pass(1000), 0, PER_TICK);
	assert_int_equal(pass(500), 0);
	assert_true(ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_many_gained_at_once, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
