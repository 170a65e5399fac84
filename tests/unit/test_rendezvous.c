/* SPDX-License-Identifier: GPL-2.0-only */
/* Preference lists: fixed values (all nodes must agree on them), order, how
 * much moves, how even they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rendezvous.h"

#define KEYS 70000

static uint64_t key(uint32_t i)
{
	return rendezvous_mix(i * 0x9e3779b97f4a7c15ull + 1);
}

static void test_weights_are_part_of_the_protocol(void **state)
{
	assert_true(rendezvous_weight(1, 0) == 0xbfef8030ddc2d772ull);
	assert_true(rendezvous_weight(1, 31) == 0x76f1cf18bbf9a387ull);
	assert_true(rendezvous_weight(0x123456789abcdefull, 7) ==
		    0xedf7a42ab9d53094ull);
}

static void test_list_is_in_order_of_weight(void **state)
{
	uint8_t list[32];
	uint32_t k, i;

	for (k = 0; k < 200; k++) {
		unsigned int n = rendezvous_list(key(k), 0x80f0310fu, list);

		assert_int_equal(n, 12);
		assert_int_equal(list[0],
				 rendezvous_first(key(k), 0x80f0310fu));
		for (i = 1; i < n; i++)
			assert_true(rendezvous_weight(key(k), list[i - 1]) >
				    rendezvous_weight(key(k), list[i]));
	}
	assert_int_equal(rendezvous_first(1, 0), -1);
	assert_int_equal(rendezvous_list(1, 0, list), 0);
}

static void test_only_the_leavers_keys_move(void **state)
{
	uint32_t k, moved = 0;

	for (k = 0; k < KEYS; k++) {
		int before = rendezvous_first(key(k), UINT32_MAX);
		int after = rendezvous_first(key(k), UINT32_MAX >> 1);

		if (before == 31)
			moved++;
		else
			assert_int_equal(before, after);
	}
	/* 1/32 of them, four standard deviations. */
	assert_in_range(moved, 2003, 2372);
}

static void test_shares_are_even(void **state)
{
	uint32_t count[32] = {0}, k, max = 0;

	for (k = 0; k < KEYS; k++)
		count[rendezvous_first(key(k), UINT32_MAX)]++;
	for (k = 0; k < 32; k++)
		max = count[k] > max ? count[k] : max;
	assert_true(max * 32 < KEYS * 110ull / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_are_part_of_the_protocol),
		cmocka_unit_test(test_list_is_in_order_of_weight),
		cmocka_unit_test(test_only_the_leavers_keys_move),
		cmocka_unit_test(test_shares_are_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
