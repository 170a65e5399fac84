// SPDX-License-Identifier: GPL-2.0-only
/* The core tier's table (daemon/control/engine_buckets.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "control/engine_buckets.h"

static _Alignas(8) struct core_bucket table[CORE_BUCKETS];

static void write_slots(uint32_t slots)
{
	engine_buckets_write(table, slots);
}

static void test_lists_hold_each_engine_once(void **state)
{
	write_slots(0x2f5);
	for (uint32_t b = 0; b < CORE_BUCKETS; b++) {
		uint32_t seen = 0;

		for (uint32_t i = 0; i < ENGINE_PREFS; i++) {
			uint8_t slot = table[b].pref[i];

			if (slot == ENGINE_NONE)
				continue;
			assert_true(0x2f5u & 1u << slot);
			assert_false(seen & 1u << slot);
			seen |= 1u << slot;
		}
		assert_int_equal(__builtin_popcount(seen),
				 __builtin_popcount(0x2f5));
	}
}

static void test_one_engine_has_all(void **state)
{
	write_slots(1 << 3);
	for (uint32_t b = 0; b < CORE_BUCKETS; b++) {
		assert_int_equal(table[b].pref[0], 3);
		assert_int_equal(table[b].pref[1], ENGINE_NONE);
	}
}

static void test_shares_are_fair(void **state)
{
	uint32_t share[ENGINES_MAX] = { 0 };

	write_slots(0xffff);
	for (uint32_t b = 0; b < CORE_BUCKETS; b++)
		share[table[b].pref[0]]++;
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		assert_in_range(share[i], 64 / 2, 64 * 3 / 2);
}

/* Only buckets of the engine that comes or goes change their first choice,
 * and nothing but that engine changes in any list of up to 8 engines. */
static void test_a_change_moves_only_its_share(void **state)
{
	static struct core_bucket before[CORE_BUCKETS];
	uint32_t moved, expected = 0;

	write_slots(0xf);
	memcpy(before, table, sizeof(before));
	moved = engine_buckets_write(table, 0xb); /* slot 2 goes */
	for (uint32_t b = 0; b < CORE_BUCKETS; b++) {
		uint32_t k = 0;

		expected += before[b].pref[0] == 2;
		for (uint32_t i = 0; i < 4; i++) {
			if (before[b].pref[i] != 2)
				assert_int_equal(table[b].pref[k++],
						 before[b].pref[i]);
		}
	}
	assert_int_equal(moved, expected);
	assert_in_range(moved, 200, 312);
	assert_int_equal(engine_buckets_write(table, 0xf), expected);
	assert_memory_equal(before, table, sizeof(before));
}

static void test_no_engine_changes_nothing(void **state)
{
	static struct core_bucket before[CORE_BUCKETS];

	write_slots(0x3);
	memcpy(before, table, sizeof(before));
	assert_int_equal(engine_buckets_write(table, 0), 0);
	assert_memory_equal(before, table, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists_hold_each_engine_once),
		cmocka_unit_test(test_one_engine_has_all),
		cmocka_unit_test(test_shares_are_fair),
		cmocka_unit_test(test_a_change_moves_only_its_share),
		cmocka_unit_test(test_no_engine_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
