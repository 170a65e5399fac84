// SPDX-License-Identifier: GPL-2.0-only
/* The way to a peer on a table top: round trips, loss, pace; bounded queues. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cluster/nnm_codec.h"
#include "cluster/nnm_link.h"
#include "cluster/nnm_queue.h"
#include "cluster/nnm_replay.h"

static struct nnm_link l;

static int setup(void **state)
{
	nnm_link_init(&l, 1000);
	return 0;
}

static void test_round_trip_without_the_peers_delay(void **state)
{
	const struct nnm_ack ack = { .top = 1, .delay_us = 90000 };

	nnm_link_sent(&l, 1, 100, true, false, 1000);
	assert_int_equal(nnm_link_acked(&l, &ack, 1000 + 90000 + 250), 0);
	assert_int_equal(l.srtt_us, 250);
	assert_int_equal(l.rtt_min_us, 250);
	assert_true(l.acked == 1 && l.lost == 0);
	/* Once only. */
	assert_int_equal(nnm_link_acked(&l, &ack, 500000), 0);
	assert_int_equal(l.srtt_us, 250);
	assert_true(l.acked == 1);
}

static void test_a_delay_longer_than_the_trip_is_not_believed(void **state)
{
	const struct nnm_ack ack = { .top = 1, .delay_us = UINT32_MAX };

	nnm_link_sent(&l, 1, 100, true, false, 1000);
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), 0);
	assert_int_equal(l.srtt_us, 1);
}

static void test_acknowledgement_of_the_future(void **state)
{
	const struct nnm_ack ack = { .top = 2, .bitmap = 1 };

	nnm_link_sent(&l, 1, 100, true, false, 1000);
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), -EINVAL);
	assert_true(l.acked == 0);
}

static void test_overtaken_by_three_is_lost(void **state)
{
	struct nnm_ack ack = { .top = 3, .bitmap = 2 };

	for (uint64_t seq = 1; seq <= 4; seq++)
		nnm_link_sent(&l, seq, 100, true, false, 1000);
	/* 2 is missing, overtaken by one. */
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), 0);
	assert_true(l.acked == 2 && l.lost == 0);
	nnm_link_sent(&l, 5, 100, true, false, 1000);
	ack = (struct nnm_ack){ .top = 5, .bitmap = 0xb };
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), 0);
	assert_true(l.acked == 4 && l.lost == 1);
	assert_true(l.loss_ppm > 0);
	/* It was only late. */
	ack.bitmap = 0xf;
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), 0);
	assert_true(l.acked == 5 && l.lost == 0);
}

static void test_untracked_ones_are_nobodys_loss(void **state)
{
	const struct nnm_ack ack = { .top = 200 };

	for (uint64_t seq = 1; seq < 200; seq++)
		nnm_link_sent(&l, seq, 50, false, false, 1000);
	nnm_link_sent(&l, 200, 50, true, false, 1000);
	assert_int_equal(nnm_link_acked(&l, &ack, 2000), 0);
	assert_true(l.acked == 1 && l.lost == 0);
}

/* A receiver with a replay window, a lossy way, and the truth. */
static void test_measured_loss_is_the_real_one(void **state)
{
	struct nnm_replay window;
	struct nnm_link peer;
	struct nnm_ack ack;
	unsigned int lost = 0;
	uint64_t now = 1000;

	srandom(3);
	nnm_replay_init(&window);
	nnm_link_init(&peer, now);
	for (uint64_t seq = 1; seq <= 50000; seq++, now += 100) {
		nnm_link_sent(&l, seq, 1000, true, true, now);
		if (random() % 100 < 10) {
			lost++;
			continue;
		}
		nnm_replay_mark(&window, seq);
		if (!nnm_link_received(&peer, seq, true, now + 50))
			continue;
		nnm_link_make_ack(&peer, nnm_replay_bitmap(&window), now + 60, &ack);
		/* Acknowledgements are lost as well. */
		if (random() % 100 >= 10)
			assert_int_equal(nnm_link_acked(&l, &ack, now + 110), 0);
	}
	assert_in_range(l.lost, lost - lost / 50, lost + lost / 50);
	assert_in_range(l.acked + l.lost, 49900, 50000);
	assert_in_range(l.srtt_us, 90, 110);
}

static void test_pace(void **state)
{
	size_t sent = 0;
	uint64_t seq = 0;

	/* One second of as much as allowed, asked every 10 ms. */
	for (uint64_t ms = 0; ms < 1000; ms += 10)
		for (;;) {
			if (nnm_link_allowance(&l, 1000 + ms * 1000) == 0)
				break;
			nnm_link_sent(&l, ++seq, 1400, false, true, 1000 + ms * 1000);
			sent += 1400;
		}
	assert_in_range(sent, NNM_LINK_RATE_START * 9 / 10,
			NNM_LINK_RATE_START + NNM_LINK_BURST + 1400);
	/* A pause fills the bucket, not more. */
	assert_in_range(nnm_link_allowance(&l, 1000 + 3600ull * 1000000), 1, NNM_LINK_BURST);
}

static void test_heavy_loss_slows_down_and_success_speeds_up(void **state)
{
	struct nnm_ack ack = { 0 };
	uint64_t now = 1000, seq = 0;

	for (int i = 0; i < 100; i++, now += 100000) {
		for (int j = 0; j < 64; j++)
			nnm_link_sent(&l, ++seq, 1400, true, true, now);
		ack.top = seq;
		ack.bitmap = 0x5555555555555555;
		assert_int_equal(nnm_link_acked(&l, &ack, now + 100), 0);
		nnm_link_allowance(&l, now);
	}
	assert_int_equal(l.rate, NNM_LINK_RATE_MIN);
	for (int i = 0; i < 100; i++, now += 100000) {
		for (int j = 0; j < 64; j++)
			nnm_link_sent(&l, ++seq, 1400, true, true, now);
		ack.top = seq;
		ack.bitmap = UINT64_MAX;
		assert_int_equal(nnm_link_acked(&l, &ack, now + 100), 0);
		nnm_link_held_back(&l);
		nnm_link_allowance(&l, now);
	}
	assert_int_equal(l.rate, NNM_LINK_RATE_MAX);
}

static void test_ring_overrun_counts_as_lost(void **state)
{
	for (uint64_t seq = 1; seq <= 3 * NNM_LINK_RING; seq++)
		nnm_link_sent(&l, seq, 100, true, false, 1000);
	assert_true(l.lost == 2 * NNM_LINK_RING);
	nnm_link_restart(&l, 2000);
	assert_true(l.lost == 2 * NNM_LINK_RING);
}

/* ---- queues ----------------------------------------------------------- */

static void test_queue_keeps_order_and_bytes(void **state)
{
	uint8_t data[NNM_FRAME_BYTES + NNM_BODY_MAX], back[sizeof(data)];
	unsigned int put = 0, taken = 0;
	struct nnm_queue q;

	assert_int_equal(nnm_queue_init(&q), 0);
	srandom(5);
	/* Many times around the ring, full and empty on the way. */
	for (int i = 0; i < 200000; i++) {
		bool fill = random() % 1000 < (i / 20000 % 2 ? 300 : 700);

		if (fill) {
			size_t len = 1 + put * 37 % sizeof(data);

			memset(data, (uint8_t)put, len);
			if (nnm_queue_put(&q, PRIO_STATE, data, len) == 0)
				put++;
			continue;
		}
		size_t len = nnm_queue_next(&q, PRIO_STATE);

		if (len == 0) {
			assert_int_equal(put, taken);
			assert_true(nnm_queue_empty(&q));
			continue;
		}
		assert_int_equal(len, 1 + taken * 37 % sizeof(data));
		nnm_queue_take(&q, PRIO_STATE, back);
		memset(data, (uint8_t)taken, len);
		assert_memory_equal(back, data, len);
		taken++;
	}
	assert_true(taken > 50000);
	nnm_queue_deinit(&q);
}

static void test_full_queue_refuses_and_others_do_not(void **state)
{
	uint8_t data[1000] = { 0 };
	struct nnm_queue q;
	int n = 0;

	assert_int_equal(nnm_queue_init(&q), 0);
	while (nnm_queue_put(&q, PRIO_BULK, data, sizeof(data)) == 0)
		n++;
	assert_in_range(n, 10, 20);
	assert_int_equal(nnm_queue_put(&q, PRIO_BULK, data, sizeof(data)), -ENOBUFS);
	assert_int_equal(nnm_queue_put(&q, PRIO_HELLO, data, 60), 0);
	nnm_queue_take(&q, PRIO_BULK, data);
	assert_int_equal(nnm_queue_put(&q, PRIO_BULK, data, sizeof(data)), 0);
	nnm_queue_clear(&q);
	assert_true(nnm_queue_empty(&q));
	nnm_queue_deinit(&q);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(test_round_trip_without_the_peers_delay),
		T(test_a_delay_longer_than_the_trip_is_not_believed),
		T(test_acknowledgement_of_the_future),
		T(test_overtaken_by_three_is_lost),
		T(test_untracked_ones_are_nobodys_loss),
		T(test_measured_loss_is_the_real_one),
		T(test_pace),
		T(test_heavy_loss_slows_down_and_success_speeds_up),
		T(test_ring_overrun_counts_as_lost),
		T(test_queue_keeps_order_and_bytes),
		T(test_full_queue_refuses_and_others_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
