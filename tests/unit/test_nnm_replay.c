// SPDX-License-Identifier: GPL-2.0-only
/* The replay window against a set that remembers everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cluster/nnm_replay.h"

#define SEQS 200000

static void test_each_number_once(void **state)
{
	struct nnm_replay w;

	nnm_replay_init(&w);
	assert_false(nnm_replay_fresh(&w, 0));
	for (uint64_t seq = 1; seq < 5000; seq++) {
		assert_true(nnm_replay_fresh(&w, seq));
		nnm_replay_mark(&w, seq);
		assert_false(nnm_replay_fresh(&w, seq));
	}
	assert_false(nnm_replay_fresh(&w, UINT64_MAX));
}

static void test_window_is_at_least_1024(void **state)
{
	struct nnm_replay w;

	nnm_replay_init(&w);
	nnm_replay_mark(&w, 100000);
	assert_true(NNM_REPLAY_WINDOW >= 1024);
	assert_true(nnm_replay_fresh(&w, 100000 - NNM_REPLAY_WINDOW + 1));
	assert_false(nnm_replay_fresh(&w, 100000 - NNM_REPLAY_WINDOW));
	assert_false(nnm_replay_fresh(&w, 1));
}

static void test_far_jump_forgets_old_bits(void **state)
{
	struct nnm_replay w;

	nnm_replay_init(&w);
	for (uint64_t seq = 1; seq <= 4096; seq++)
		nnm_replay_mark(&w, seq);
	nnm_replay_mark(&w, 1ULL << 62);
	for (uint64_t back = 1; back < NNM_REPLAY_WINDOW; back++)
		assert_true(nnm_replay_fresh(&w, (1ULL << 62) - back));
}

static void test_random_order_against_a_model(void **state)
{
	uint8_t *seen = calloc(1, SEQS + 1);
	struct nnm_replay w;
	uint64_t top = 0;

	assert_non_null(seen);
	nnm_replay_init(&w);
	srandom(7);
	for (int i = 0; i < 400000; i++) {
		uint64_t base = (uint64_t)i / 2;
		uint64_t seq = base + (uint64_t)random() % 3000;
		bool fresh;

		seq = seq < 1 ? 1 : seq > SEQS ? SEQS : seq;
		fresh = !seen[seq] && (seq > top || top - seq < NNM_REPLAY_WINDOW);
		assert_int_equal(nnm_replay_fresh(&w, seq), fresh);
		if (!fresh)
			continue;
		nnm_replay_mark(&w, seq);
		seen[seq] = 1;
		top = seq > top ? seq : top;
	}
	free(seen);
}

static void test_bitmap(void **state)
{
	struct nnm_replay w;

	nnm_replay_init(&w);
	assert_true(nnm_replay_bitmap(&w) == 0);
	nnm_replay_mark(&w, 1);
	assert_true(nnm_replay_bitmap(&w) == 0);
	nnm_replay_mark(&w, 2);
	nnm_replay_mark(&w, 5);
	/* 4 and 3 are missing, 2 and 1 are there. */
	assert_true(nnm_replay_bitmap(&w) == 0xc);
	nnm_replay_mark(&w, 69);
	/* Bit 63 is number 5; 2 and 1 are out of the bitmap. */
	assert_true(nnm_replay_bitmap(&w) == 1ULL << 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_number_once),
		cmocka_unit_test(test_window_is_at_least_1024),
		cmocka_unit_test(test_far_jump_forgets_old_bits),
		cmocka_unit_test(test_random_order_against_a_model),
		cmocka_unit_test(test_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
