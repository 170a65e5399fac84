/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts, consolidation, distribution over probers, effective states,
 * inline monitors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "health/assign.h"
#include "health/consolidate.h"
#include "health/passive.h"
#include "health/svc_fsm.h"
#include "health/verdict.h"

/* ---- verdicts: results as text, 1 passed, 0 failed -------------------- */

static const struct {
	const char *what;
	uint32_t retries, failures, successes;
	const char *results, *verdicts; /* u unknown, + pass, - fail */
} verdict_rows[] = {
	{ "one success is up", 3, 0, 1, "1", "+" },
	{ "three failures in a row", 3, 0, 1, "000", "uu-" },
	{ "a success in between", 3, 0, 1, "100100", "++++++" },
	{ "down after three", 3, 0, 1, "1000", "+++-" },
	{ "two of three", 3, 2, 1, "1010", "+++-" },
	{ "old failures leave the window", 3, 2, 1, "10110", "+++++" },
	{ "failures are not cumulative", 3, 0, 1, "10010010", "++++++++" },
	{ "two successes for up", 3, 0, 2, "1011", "uuu+" },
	{ "up again needs two", 2, 0, 2, "110010011", "u++----" "-+" },
	{ "one retry: at once", 1, 0, 1, "1010", "+-+-" },
	{ "more failures asked than kept", 2, 9, 1, "100", "++-" },
};

static void test_verdicts(void **state)
{
	for (size_t i = 0; i < sizeof(verdict_rows) / sizeof(*verdict_rows);
	     i++) {
		struct config_monitor m = {
			.retries = verdict_rows[i].retries,
			.failure_retries = verdict_rows[i].failures,
			.success_retries = verdict_rows[i].successes,
		};
		struct verdict v;

		verdict_init(&v, VERDICT_UNKNOWN);
		for (const char *r = verdict_rows[i].results,
				*w = verdict_rows[i].verdicts;
		     *r; r++, w++) {
			enum verdict_value before = v.value, guess;
			bool passed = *r == '1';

			guess = verdict_preview(&v, &m, passed);
			assert_int_equal(verdict_result(&v, &m, passed),
					 guess != before);
			if (v.value != guess || "u-+"[v.value] != *w)
				fail_msg("%s: result %td: %c, expected %c",
					 verdict_rows[i].what,
					 r - verdict_rows[i].results,
					 "u-+"[v.value], *w);
		}
	}
}

static void test_window_of_127(void **state)
{
	struct config_monitor m = { .retries = 127,
				    .failure_retries = 64,
				    .success_retries = 1 };
	struct verdict v;

	verdict_init(&v, VERDICT_PASS);
	for (int i = 0; i < 63; i++) {
		assert_false(verdict_result(&v, &m, false));
		assert_false(verdict_result(&v, &m, true));
	}
	assert_true(verdict_result(&v, &m, false));
	assert_int_equal(v.value, VERDICT_FAIL);
}

static void test_dynamic_timeout(void **state)
{
	struct config_monitor m = { .timeout_ms = 2000, .deviation_ms = 50 };
	struct verdict v;

	verdict_init(&v, VERDICT_UNKNOWN);
	for (int i = 0; i < VERDICT_LEARN; i++) {
		assert_int_equal(verdict_timeout_ms(&v.mean, &m), 2000);
		verdict_response(&v.mean, 10000);
	}
	assert_int_equal(verdict_timeout_ms(&v.mean, &m), 60);
	for (int i = 0; i < 100; i++)
		verdict_response(&v.mean, 20000);
	assert_in_range(verdict_timeout_ms(&v.mean, &m), 69, 70);
	m.deviation_ms = 5000;
	assert_int_equal(verdict_timeout_ms(&v.mean, &m), 2000);
	m.deviation_ms = 0;
	assert_int_equal(verdict_timeout_ms(&v.mean, &m), 2000);
}

static void test_delays(void **state)
{
	struct config_monitor m = { .interval_ms = 1000,
				    .down_ms = 30000,
				    .retries = 1,
				    .success_retries = 2 };
	struct verdict v;

	verdict_init(&v, VERDICT_UNKNOWN);
	assert_int_equal(verdict_delay_ms(&v, &m, 0), 1000);
	assert_in_range(verdict_delay_ms(&v, &m, UINT32_MAX), 950, 951);
	verdict_result(&v, &m, false);
	assert_int_equal(verdict_delay_ms(&v, &m, 0), 30000);
	/* One of two successes: no need to wait for the down time. */
	verdict_result(&v, &m, true);
	assert_int_equal(v.value, VERDICT_FAIL);
	assert_int_equal(verdict_delay_ms(&v, &m, 0), 1000);
	m.interval_ms = 1;
	verdict_init(&v, VERDICT_PASS);
	assert_int_equal(verdict_delay_ms(&v, &m, UINT32_MAX), 1);
}

/* ---- consolidation ---------------------------------------------------- */

static void test_consolidate(void **state)
{
	static const struct {
		const char *what, *verdicts;
		uint16_t weights[3];
		uint32_t threshold;
		enum health_observed was, is;
	} rows[] = {
		{ "no monitors", "", { 0 }, 1, HEALTH_UNKNOWN, HEALTH_UP },
		{ "one passes", "+", { 1 }, 1, HEALTH_DOWN, HEALTH_UP },
		{ "one fails", "-", { 1 }, 1, HEALTH_UP, HEALTH_DOWN },
		{ "one of two is enough", "+-", { 1, 1 }, 1, HEALTH_DOWN,
		  HEALTH_UP },
		{ "both needed", "+-", { 1, 1 }, 2, HEALTH_UP, HEALTH_DOWN },
		{ "weights count", "+--", { 5, 1, 1 }, 5, HEALTH_DOWN,
		  HEALTH_UP },
		{ "light ones do not", "-++", { 5, 1, 1 }, 5, HEALTH_UP,
		  HEALTH_DOWN },
		{ "open: as it was", "u-", { 1, 1 }, 1, HEALTH_UP, HEALTH_UP },
		{ "open from the start", "u", { 1 }, 1, HEALTH_UNKNOWN,
		  HEALTH_UNKNOWN },
		{ "open but cannot help", "u-", { 1, 1 }, 2, HEALTH_UP,
		  HEALTH_DOWN },
		{ "weight 0 decides nothing", "-+", { 0, 1 }, 1, HEALTH_DOWN,
		  HEALTH_UP },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t v[3];
		size_t n = strlen(rows[i].verdicts);

		for (size_t b = 0; b < n; b++)
			v[b] = strchr("u-+", rows[i].verdicts[b]) - "u-+";
		if (consolidate(v, rows[i].weights, n, rows[i].threshold,
				rows[i].was) != rows[i].is)
			fail_msg("%s", rows[i].what);
	}
}

/* ---- distribution ----------------------------------------------------- */

static void test_assign_even_and_stable(void **state)
{
	enum { BINDINGS = 10000, PROBERS = 8 };
	static int before[BINDINGS];
	static uint64_t monitor[BINDINGS], service[BINDINGS];
	unsigned int share[PROBERS] = { 0 }, moved = 0;

	for (int i = 0; i < BINDINGS; i++) {
		char name[32];

		/* 100 monitors, each bound to 100 services. */
		snprintf(name, sizeof(name), "check-%d", i % 100);
		monitor[i] = config_entity("monitor", name);
		snprintf(name, sizeof(name), "web-%d", i / 2);
		service[i] = config_entity("service", name);
		before[i] = assign_runner((1 << PROBERS) - 1, monitor[i],
					  service[i]);
		share[before[i]]++;
	}
	for (int p = 0; p < PROBERS; p++)
		if (fabs(share[p] - BINDINGS / 8.0) > BINDINGS / 80.0)
			fail_msg("prober %d has %u of %d", p, share[p],
				 BINDINGS);
	/* One dies: only its own move, and not all to one. */
	memset(share, 0, sizeof(share));
	for (int i = 0; i < BINDINGS; i++) {
		int now = assign_runner(((1 << PROBERS) - 1) & ~(1 << 3),
					monitor[i], service[i]);

		if (now == before[i])
			continue;
		assert_int_equal(before[i], 3);
		moved++;
		share[now]++;
	}
	for (int p = 0; p < PROBERS; p++)
		if (p != 3)
			assert_in_range(share[p], moved / 7 * 6 / 10,
					moved / 7 * 14 / 10);
	/* One comes: only to it. */
	for (int i = 0; i < BINDINGS; i++) {
		int now = assign_runner((1 << (PROBERS + 1)) - 1, monitor[i],
					service[i]);

		assert_true(now == before[i] || now == PROBERS);
	}
	assert_int_equal(assign_runner(0, 1, 2), ASSIGN_NONE);
	assert_int_equal(assign_consolidator(1ull << 63, 2), 63);
}

/* ---- effective states ------------------------------------------------- */

static void test_states(void **state)
{
	struct svc_fsm f;

	svc_fsm_init(&f, SVC_ADMIN_ENABLED, HEALTH_UNKNOWN);
	assert_int_equal(f.state, SVC_UNKNOWN);
	assert_true(svc_fsm_set(&f, SVC_ADMIN_ENABLED, HEALTH_UP));
	assert_false(svc_fsm_set(&f, SVC_ADMIN_ENABLED, HEALTH_UP));
	/* A verdict is kept until there is another. */
	assert_false(svc_fsm_set(&f, SVC_ADMIN_ENABLED, HEALTH_UNKNOWN));
	assert_int_equal(f.state, SVC_UP);
	assert_true(svc_fsm_set(&f, SVC_ADMIN_DRAINING, HEALTH_UP));
	assert_int_equal(f.state, SVC_GOING_OUT);
	assert_true(svc_fsm_set(&f, SVC_ADMIN_DRAINING, HEALTH_DOWN));
	assert_int_equal(f.state, SVC_DOWN_GOING_OUT);
	assert_true(svc_fsm_set(&f, SVC_ADMIN_DRAINING, HEALTH_UP));
	assert_int_equal(f.state, SVC_GOING_OUT);
	assert_true(svc_fsm_set(&f, SVC_ADMIN_DISABLED, HEALTH_UP));
	assert_int_equal(f.state, SVC_OUT_OF_SERVICE);
	/* Nothing to drain. */
	assert_false(svc_fsm_set(&f, SVC_ADMIN_DRAINING, HEALTH_UP));
	assert_int_equal(f.admin, SVC_ADMIN_DISABLED);
	/* Probed on, so that it comes back in the right state. */
	assert_false(svc_fsm_set(&f, SVC_ADMIN_DISABLED, HEALTH_DOWN));
	assert_true(svc_fsm_set(&f, SVC_ADMIN_ENABLED, HEALTH_DOWN));
	assert_int_equal(f.state, SVC_DOWN);
}

/* Any order of single changes keeps to the table (it asserts). */
static void test_states_random(void **state)
{
	unsigned int seed = 11;
	struct svc_fsm f;

	svc_fsm_init(&f, SVC_ADMIN_ENABLED, HEALTH_UNKNOWN);
	for (int i = 0; i < 100000; i++) {
		enum svc_state before = f.state;
		bool changed;

		if (rand_r(&seed) & 1)
			changed = svc_fsm_set(&f, rand_r(&seed) % 3,
					      f.observed);
		else
			changed = svc_fsm_set(&f, f.admin,
					      1 + rand_r(&seed) % 2);
		assert_int_equal(changed, before != f.state);
	}
}

/* ---- inline monitors -------------------------------------------------- */

static void test_passive(void **state)
{
	struct config_monitor m = { .inline_window_ms = 8000,
				    .inline_failures = 5,
				    .down_ms = 1000 };
	struct health_passive c = { 0 };
	struct passive p;
	uint64_t now = 1000;

	passive_init(&p);
	assert_false(passive_step(&p, &m, &c, now));
	/* A busy service with a few resets is not down. */
	c.attempts += 1000, c.resets += 20;
	assert_false(passive_step(&p, &m, &c, now += 100));
	/* The window moves on. */
	for (int i = 0; i < 9; i++)
		assert_false(passive_step(&p, &m, &c, now += 1000));
	c.attempts += 4, c.unanswered += 4;
	assert_false(passive_step(&p, &m, &c, now += 100));
	c.attempts += 1, c.unanswered += 1;
	assert_true(passive_step(&p, &m, &c, now += 100));
	assert_int_equal(p.value, VERDICT_FAIL);
	assert_false(passive_step(&p, &m, &c, now += 999));
	assert_true(passive_step(&p, &m, &c, now += 1));
	assert_int_equal(p.value, VERDICT_PASS);
	/* What led to FAIL does not count again. */
	assert_false(passive_step(&p, &m, &c, now += 100));
	/* Counters that start anew are no failures. */
	memset(&c, 0, sizeof(c));
	assert_false(passive_step(&p, &m, &c, now += 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_window_of_127),
		cmocka_unit_test(test_dynamic_timeout),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_consolidate),
		cmocka_unit_test(test_assign_even_and_stable),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_states_random),
		cmocka_unit_test(test_passive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
