/* SPDX-License-Identifier: GPL-2.0-only */
/* Timer wheel against a model that scans all timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "health/wheel.h"

#define N 300

static void test_order_and_time(void **state)
{
	struct wheel w;
	struct wheel_node a = { 0 }, b = { 0 }, c = { 0 };

	wheel_init(&w, 1000);
	assert_true(wheel_next(&w) == WHEEL_NEVER);
	wheel_add(&w, &a, 1005);
	wheel_add(&w, &b, 1000000);
	wheel_add(&w, &c, 10); /* in the past: now */
	assert_ptr_equal(wheel_pop(&w, 1000), &c);
	assert_null(wheel_pop(&w, 1004));
	assert_ptr_equal(wheel_pop(&w, 1005), &a);
	assert_null(wheel_pop(&w, 999999));
	assert_true(wheel_next(&w) <= 1000000);
	assert_ptr_equal(wheel_pop(&w, 2000000), &b);
	assert_null(wheel_pop(&w, 3000000));
	assert_false(wheel_queued(&a));
	wheel_cancel(&w, &a); /* not queued: nothing happens */
}

/* Random adds, cancels and steps of time; nothing is early, late or lost. */
static void test_against_model(void **state)
{
	static struct wheel_node node[N];
	static uint64_t due[N]; /* 0: not queued */
	unsigned int seed = 7;
	uint64_t now = 123456789;
	struct wheel w;

	wheel_init(&w, now);
	for (int step = 0; step < 200000; step++) {
		int i = rand_r(&seed) % N;
		uint64_t range = 1ull << rand_r(&seed) % 30;

		if (due[i]) {
			wheel_cancel(&w, &node[i]);
			due[i] = 0;
		} else {
			due[i] = now + rand_r(&seed) % range;
			wheel_add(&w, &node[i], due[i]);
		}
		if (step % 16)
			continue;
		now += rand_r(&seed) % (1u << rand_r(&seed) % 20);
		uint64_t last = 0;
		struct wheel_node *n;

		while ((n = wheel_pop(&w, now))) {
			i = n - node;
			assert_true(due[i] && due[i] <= now && due[i] >= last);
			last = due[i];
			due[i] = 0;
		}
		uint64_t first = WHEEL_NEVER;

		for (i = 0; i < N; i++)
			if (due[i]) {
				assert_true(due[i] > now);
				if (due[i] < first)
					first = due[i];
			}
		assert_true(wheel_next(&w) <= first);
		if (first != WHEEL_NEVER)
			assert_true(wheel_next(&w) > now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_time),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
