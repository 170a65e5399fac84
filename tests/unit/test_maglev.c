/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maglev tables: every slot filled, shares proportional to weights, the same
 * table whatever the order of members, and little movement when one leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpf/maglev.h"
#include "config/config.h"
#include "limits.h"

static struct maglev_member *make(size_t n, uint32_t (*weight)(size_t))
{
	struct maglev_member *m = calloc(n, sizeof(*m));
	char name[16];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "s%zu", i);
		m[i].entity = config_entity("service", name);
		m[i].value = i + 1;
		m[i].weight = weight(i);
	}
	return m;
}

static uint32_t one(size_t i)
{
	return 1;
}

static uint32_t rising(size_t i)
{
	return 1 + i % 10;
}

static void test_sizes(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		uint32_t size;
	} rows[] = {
		{ "one", 1, 127 },	{ "two", 2, 509 },
		{ "five", 5, 509 },	{ "six", 6, 1021 },
		{ "655", 655, LB_SIZE_MAX }, { "many", 70000, LB_SIZE_MAX },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(maglev_size(rows[i].n), rows[i].size);
}

static void check_shares(size_t n, uint32_t (*weight)(size_t), double tolerance)
{
	struct maglev_member *m = make(n, weight);
	uint32_t size = maglev_size(n), i;
	uint32_t *table = calloc(size, sizeof(*table));
	uint32_t *count = calloc(n + 1, sizeof(*count));
	double sum = 0, want;

	assert_int_equal(maglev_build(m, n, table, size), 0);
	for (i = 0; i < size; i++) {
		assert_in_range(table[i], 1, n);
		count[table[i]]++;
	}
	for (i = 0; i < n; i++)
		sum += weight(i);
	for (i = 0; i < n; i++) {
		want = size * weight(i) / sum;
		if (count[i + 1] < want * (1 - tolerance) - 1 ||
		    count[i + 1] > want * (1 + tolerance) + 1)
			fail_msg("%zu members: member %u has %u slots, want %.1f",
				 n, i, count[i + 1], want);
	}
	free(m);
	free(table);
	free(count);
}

static void test_shares(void **state)
{
	check_shares(1, one, 0);
	check_shares(7, one, 0.01);
	check_shares(100, one, 0.02);
	check_shares(655, one, 0.02);
	check_shares(50, rising, 0.05);
}

static void test_order_does_not_matter(void **state)
{
	enum { N = 40 };
	struct maglev_member *a = make(N, rising), *b = make(N, rising), t;
	uint32_t size = maglev_size(N);
	uint32_t *x = calloc(size, 4), *y = calloc(size, 4);
	size_t i, j;

	srand(1);
	for (i = N - 1; i > 0; i--) {
		j = rand() % (i + 1);
		t = b[i];
		b[i] = b[j];
		b[j] = t;
	}
	assert_int_equal(maglev_build(a, N, x, size), 0);
	assert_int_equal(maglev_build(b, N, y, size), 0);
	assert_memory_equal(x, y, size * 4);
	free(a);
	free(b);
	free(x);
	free(y);
}

static void test_one_leaves(void **state)
{
	enum { N = 100 };
	struct maglev_member *m = make(N, one);
	uint32_t size = maglev_size(N), i, moved = 0, was = 0, gone;
	uint32_t *x = calloc(size, 4), *y = calloc(size, 4);

	assert_int_equal(maglev_build(m, N, x, size), 0);
	gone = m[17].value;
	m[17] = m[N - 1];
	assert_int_equal(maglev_build(m, N - 1, y, size), 0);
	for (i = 0; i < size; i++) {
		assert_int_not_equal(y[i], gone);
		if (x[i] == gone)
			was++;
		else if (x[i] != y[i])
			moved++;
	}
	/* The paper reports about 1–2 % at 100 slots per member. */
	assert_true(was > 0);
	assert_in_range(moved, 0, size * 4 / 100);
	free(m);
	free(x);
	free(y);
}

static void test_more_members_than_slots(void **state)
{
	enum { N = 70000 };
	struct maglev_member *m = make(N, one);
	uint32_t *table = calloc(LB_SIZE_MAX, 4), i;
	uint8_t *seen = calloc(1, N + 1);

	assert_int_equal(maglev_build(m, N, table, LB_SIZE_MAX), 0);
	for (i = 0; i < LB_SIZE_MAX; i++) {
		assert_in_range(table[i], 1, N);
		assert_false(seen[table[i]]);
		seen[table[i]] = 1;
	}
	free(m);
	free(table);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_one_leaves),
		cmocka_unit_test(test_more_members_than_slots),
	};

	return cmocka_run_group_tests_name("maglev", tests, NULL, NULL);
}
