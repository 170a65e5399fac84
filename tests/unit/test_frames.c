// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frame ownership (daemon/engine/frames.c) against a model of the kernel's
 * side of the rings: single operations in one process, and real processes
 * that are killed with SIGKILL wherever they are.
 *
 * The model kernel takes frames from fill rings and puts them into RX rings
 * of engines, takes them from TX rings and puts them, later, into completion
 * rings. Like the real one it publishes the fill ring's consumer after the RX
 * ring's producer. Seed: $SEED; printed on failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "engine/frames.h"

#define POOLS 2u
#define PER_POOL 256u
#define ALL (POOLS * PER_POOL)
#define WORKERS 3u
#define KILLS 150

struct ring_memory {
	uint32_t producer, consumer, flags, pad;
	struct xdp_desc entries[ALL];
};

/* Shared by the test and its children. */
struct world {
	uint32_t stop;
	uint64_t handled[WORKERS];
	struct ring_memory fill[POOLS], completion[POOLS];
	struct ring_memory rx[WORKERS][POOLS], tx[WORKERS][POOLS];
	/* The model kernel's own counters. */
	uint32_t fill_taken[POOLS];
};

struct fixture {
	struct world *w;
	struct engine_ctl *ctl;
	size_t ctl_len;
	struct frames daemon;
	/* Sent, completion due: the wire. */
	uint32_t wire[ALL], wire_pool[ALL], n_wire;
	uint64_t now_ms;
	uint32_t random;
};

static uint32_t rnd(struct fixture *f, uint32_t n)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 17;
	f->random ^= f->random << 5;
	return f->random % n;
}

static struct xsk_ring ring_of(struct ring_memory *m, uint32_t size)
{
	return (struct xsk_ring){
		.producer = &m->producer,
		.consumer = &m->consumer,
		.flags = &m->flags,
		.entries = m->entries,
		.mask = size - 1,
	};
}

static void view_init(struct fixture *f, struct frames *frames, uint32_t owner)
{
	frames_init(frames, f->ctl, owner);
	for (uint32_t p = 0; p < POOLS; p++) {
		frames->pool[p].stack = calloc(PER_POOL, sizeof(uint32_t));
		assert_non_null(frames->pool[p].stack);
		frames->pool[p].fill = ring_of(&f->w->fill[p], PER_POOL);
		/* Frames of all pools may complete here. */
		frames->pool[p].completion =
			ring_of(&f->w->completion[p], ALL);
		frames->pool[p].mapped = true;
	}
}

static void view_free(struct frames *frames)
{
	for (uint32_t p = 0; p < POOLS; p++)
		free(frames->pool[p].stack);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *seed = getenv("SEED");

	assert_non_null(f);
	f->random = seed ? (uint32_t)strtoul(seed, NULL, 0) :
			   (uint32_t)time(NULL) * 2654435761u;
	f->random |= 1;
	f->now_ms = 1000;
	f->w = mmap(NULL, sizeof(*f->w), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->ctl_len = frames_ctl_len(ALL);
	f->ctl = mmap(NULL, f->ctl_len, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(f->w != MAP_FAILED && f->ctl != MAP_FAILED);
	assert_int_equal(frames_ctl_init(f->ctl, 7, ALL, PER_POOL), 0);
	assert_true(frames_ctl_valid(f->ctl, f->ctl_len));
	view_init(f, &f->daemon, FRAME_OWNER_DAEMON);
	assert_int_equal(frames_refill(&f->daemon, f->now_ms), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	view_free(&f->daemon);
	munmap(f->w, sizeof(*f->w));
	munmap(f->ctl, f->ctl_len);
	free(f);
	return 0;
}

/* ---- the model kernel ---- */

static void kernel_receive(struct fixture *f, uint32_t pool, uint32_t worker)
{
	struct xsk_ring fill = ring_of(&f->w->fill[pool], PER_POOL);
	struct xsk_ring rx = ring_of(&f->w->rx[worker][pool], PER_POOL);
	uint32_t consumer = *fill.consumer, producer = *rx.producer;
	uint64_t addr;

	if (consumer == xsk_ring_load(fill.producer))
		return;
	/* The RX ring has room for all frames of the pool. */
	assert_true(producer - xsk_ring_load(rx.consumer) < PER_POOL);
	addr = *xsk_ring_addr(&fill, consumer);
	assert_int_equal(frames_of_addr(addr) / PER_POOL, pool);
	xsk_ring_desc(&rx, producer)->addr = addr + 256;
	xsk_ring_store(rx.producer, producer + 1);
	xsk_ring_store(fill.consumer, consumer + 1);
	f->w->fill_taken[pool]++;
}

static void kernel_transmit(struct fixture *f, uint32_t pool, uint32_t worker)
{
	struct xsk_ring tx = ring_of(&f->w->tx[worker][pool], ALL);
	uint32_t consumer = *tx.consumer;

	if (consumer == xsk_ring_load(tx.producer))
		return;
	assert_true(f->n_wire < ALL);
	f->wire[f->n_wire] = frames_of_addr(xsk_ring_desc(&tx, consumer)->addr);
	f->wire_pool[f->n_wire++] = pool;
	xsk_ring_store(tx.consumer, consumer + 1);
}

static void kernel_complete(struct fixture *f)
{
	struct xsk_ring ring;
	uint32_t i;

	if (!f->n_wire)
		return;
	i = rnd(f, f->n_wire);
	ring = ring_of(&f->w->completion[f->wire_pool[i]], ALL);
	assert_true(*ring.producer - xsk_ring_load(ring.consumer) < ALL);
	*xsk_ring_addr(&ring, *ring.producer) = ((uint64_t)f->wire[i]
						 << FRAME_SHIFT) + 300;
	xsk_ring_store(ring.producer, *ring.producer + 1);
	f->n_wire--;
	f->wire[i] = f->wire[f->n_wire];
	f->wire_pool[i] = f->wire_pool[f->n_wire];
}

static void kernel_run(struct fixture *f, uint32_t steps, uint32_t alive)
{
	while (steps--) {
		uint32_t pool = rnd(f, POOLS), worker = rnd(f, WORKERS);

		if (alive & 1u << worker) {
			kernel_receive(f, pool, worker);
			kernel_transmit(f, pool, worker);
		}
		if (rnd(f, 2))
			kernel_complete(f);
	}
}

/* The dead one's sockets are gone, and with them its rings. */
static void kernel_close(struct fixture *f, uint32_t worker)
{
	memset(f->w->rx[worker], 0, sizeof(f->w->rx[worker]));
	memset(f->w->tx[worker], 0, sizeof(f->w->tx[worker]));
}

static struct frames_census census(struct fixture *f)
{
	struct frames_census c;

	frames_census(&f->daemon, &c);
	assert_int_equal(c.total, c.fill + c.rx + c.held + c.tx + c.completion +
					  c.local + c.quarantine + c.free);
	return c;
}

static void assert_all_home(struct fixture *f)
{
	struct frames_census c = census(f);

	if (c.fill != ALL || c.misfiled)
		fail_msg("fill %u rx %u held %u tx %u completion %u local %u "
			 "quarantine %u free %u misfiled %u",
			 c.fill, c.rx, c.held, c.tx, c.completion, c.local,
			 c.quarantine, c.free, c.misfiled);
	for (uint32_t p = 0; p < POOLS; p++)
		assert_int_equal(f->w->fill[p].producer -
					 f->w->fill[p].consumer, PER_POOL);
}

/* ---- single operations ---- */

static void test_fresh_memory_is_all_in_fill_rings(void **state)
{
	assert_all_home(*state);
}

static void test_ctl_init_refuses_bad_sizes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(frames_ctl_init(f->ctl, 1, 100, 100), -EINVAL);
	assert_int_equal(frames_ctl_init(f->ctl, 1, 0, 64), -EINVAL);
	assert_int_equal(frames_ctl_init(f->ctl, 1, 96, 64), -EINVAL);
	assert_int_equal(frames_ctl_init(f->ctl, 1, 64 * (POOLS_MAX + 1), 64),
			 -EINVAL);
}

static void test_ctl_of_wrong_length_or_version_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_false(frames_ctl_valid(f->ctl, f->ctl_len - 1));
	f->ctl->version++;
	assert_false(frames_ctl_valid(f->ctl, f->ctl_len));
	f->ctl->version--;
	f->ctl->pools = POOLS_MAX + 1;
	assert_false(frames_ctl_valid(f->ctl, f->ctl_len));
	f->ctl->pools = POOLS;
}

static void take_rx(struct fixture *f, struct frames *e, uint32_t pool,
		    uint32_t worker, uint32_t *ret_frame)
{
	struct xsk_ring rx = ring_of(&f->w->rx[worker][pool], PER_POOL);

	assert_true(*rx.consumer != *rx.producer);
	*ret_frame = frames_of_addr(xsk_ring_desc(&rx, *rx.consumer)->addr);
	frames_receive(e, *ret_frame);
	xsk_ring_store(rx.consumer, *rx.consumer + 1);
}

static void put_tx(struct fixture *f, struct frames *e, uint32_t pool,
		   uint32_t worker, uint32_t frame)
{
	struct xsk_ring tx = ring_of(&f->w->tx[worker][pool], ALL);

	frames_send(e, frame, pool);
	xsk_ring_desc(&tx, *tx.producer)->addr = (uint64_t)frame << FRAME_SHIFT;
	xsk_ring_store(tx.producer, *tx.producer + 1);
}

static void test_each_state_is_counted(void **state)
{
	struct fixture *f = *state;
	struct frames e;
	uint32_t frame;

	view_init(f, &e, 1);
	kernel_receive(f, 0, 1);
	assert_int_equal(census(f).rx, 1);
	take_rx(f, &e, 0, 1, &frame);
	assert_int_equal(census(f).held, 1);
	/* Out by the other pool, and home to its own. */
	put_tx(f, &e, 1, 1, frame);
	assert_int_equal(census(f).tx, 1);
	kernel_transmit(f, 1, 1);
	assert_false(frames_pending(&e, 1));
	kernel_complete(f);
	assert_int_equal(census(f).completion, 1);
	assert_true(frames_pending(&e, 1));
	assert_true(frames_exchange(&e, 1));
	assert_int_equal(census(f).local, 1);
	assert_true(frames_pending(&e, 0));
	assert_true(frames_exchange(&e, 0));
	assert_all_home(f);
	view_free(&e);
}

static void test_completion_of_another_engines_frame(void **state)
{
	struct fixture *f = *state;
	struct frames a, b;
	uint32_t frame;

	view_init(f, &a, 0);
	view_init(f, &b, 2);
	kernel_receive(f, 0, 0);
	take_rx(f, &a, 0, 0, &frame);
	put_tx(f, &a, 0, 0, frame);
	kernel_transmit(f, 0, 0);
	kernel_complete(f);
	assert_true(frames_exchange(&b, 0));
	assert_all_home(f);
	view_free(&a);
	view_free(&b);
}

static void test_late_completion_is_ignored_and_counted(void **state)
{
	struct fixture *f = *state;
	struct xsk_ring ring = ring_of(&f->w->completion[0], ALL);

	*xsk_ring_addr(&ring, 0) = 5ull << FRAME_SHIFT; /* is in a fill ring */
	*xsk_ring_addr(&ring, 1) = (uint64_t)ALL << FRAME_SHIFT; /* no frame */
	xsk_ring_store(ring.producer, 2);
	assert_true(frames_exchange(&f->daemon, 0));
	assert_int_equal(census(f).completions_late, 2);
	assert_all_home(f);
}

static void test_held_lock_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct frames e;
	uint32_t frame;
	int status;
	pid_t pid;

	view_init(f, &e, 1);
	kernel_receive(f, 0, 1);
	take_rx(f, &e, 0, 1, &frame);
	frames_put(&e, frame);
	/* A mutex must be held by another thread to be busy. */
	pid = fork();
	if (!pid) {
		pthread_mutex_lock(&f->ctl->pool[0].lock);
		__atomic_store_n(&f->w->stop, 1, __ATOMIC_SEQ_CST);
		pause();
		_exit(0);
	}
	while (!__atomic_load_n(&f->w->stop, __ATOMIC_SEQ_CST))
		sched_yield();
	assert_false(frames_exchange(&e, 0));
	assert_false(frames_reclaim(&f->daemon, 2, f->now_ms));
	assert_int_equal(census(f).local, 1);
	/* Its death is seen by the next one, who repairs and goes on. */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(frames_exchange(&e, 0));
	assert_int_equal(f->ctl->pool[0].lock_recoveries, 1);
	assert_all_home(f);
	view_free(&e);
}

static void test_death_between_record_and_ring(void **state)
{
	struct fixture *f = *state;
	struct frames e;
	uint32_t frame, producer;
	pid_t pid;

	view_init(f, &e, 1);
	kernel_receive(f, 0, 1);
	take_rx(f, &e, 0, 1, &frame);
	producer = f->w->fill[0].producer;
	pid = fork();
	if (!pid) {
		/* What fill() does, up to the moment before it publishes. */
		pthread_mutex_lock(&f->ctl->pool[0].lock);
		frames_record(&e, frame, FRAME_FILL, producer);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	kernel_close(f, 1);
	assert_true(frames_reclaim(&f->daemon, 1, f->now_ms));
	assert_int_equal(frames_refill(&f->daemon, f->now_ms), 0);
	assert_all_home(f);
	view_free(&e);
}

static void test_tx_of_the_dead_rests_in_quarantine(void **state)
{
	struct fixture *f = *state;
	struct frames e;
	uint32_t frame[2];

	view_init(f, &e, 1);
	for (int i = 0; i < 2; i++) {
		kernel_receive(f, 0, 1);
		take_rx(f, &e, 0, 1, &frame[i]);
		put_tx(f, &e, 0, 1, frame[i]);
	}
	kernel_transmit(f, 0, 1);
	kernel_close(f, 1);
	assert_true(frames_reclaim(&f->daemon, 1, f->now_ms));
	assert_int_equal(census(f).quarantine, 2);
	assert_int_equal(frames_refill(&f->daemon, f->now_ms + 1999), 2);
	/* One completes in time, the other never does. */
	kernel_complete(f);
	assert_true(frames_exchange(&f->daemon, 0));
	assert_int_equal(census(f).quarantine, 1);
	assert_int_equal(frames_refill(&f->daemon, f->now_ms + 2000), 0);
	assert_all_home(f);
	assert_int_equal(census(f).completions_late, 0);
	view_free(&e);
}

static void test_elimination_spares_what_the_living_have(void **state)
{
	struct fixture *f = *state;
	uint32_t marks[POOLS_MAX], frame;
	struct frames living;

	view_init(f, &living, 0);
	for (int i = 0; i < 5; i++)
		kernel_receive(f, 0, 1); /* the dead one's RX ring */
	kernel_receive(f, 0, 0);
	kernel_close(f, 1);
	assert_true(frames_reclaim(&f->daemon, 1, f->now_ms));
	frames_mark(&f->daemon, marks);
	take_rx(f, &living, 0, 0, &frame); /* has drained */
	kernel_receive(f, 0, 0);	   /* after the mark */
	assert_int_equal(frames_eliminate(&f->daemon, marks), 5);
	assert_int_equal(census(f).free, 5);
	assert_int_equal(census(f).held, 1);
	assert_int_equal(census(f).rx, 1);
	view_free(&living);
}

static void test_retired_pool_gives_all_back(void **state)
{
	struct fixture *f = *state;
	struct frames e;
	uint32_t frame;

	view_init(f, &e, 1);
	kernel_receive(f, 0, 1);
	take_rx(f, &e, 0, 1, &frame);
	put_tx(f, &e, 1, 1, frame); /* by the pool that goes */
	kernel_receive(f, 1, 1);
	f->daemon.pool[1].mapped = false;
	frames_retire_pool(&f->daemon, 1, f->now_ms);
	assert_int_equal(census(f).quarantine, 1);
	assert_int_equal(census(f).free, PER_POOL);
	frames_refill(&f->daemon, f->now_ms + 2000);
	assert_int_equal(census(f).fill, PER_POOL);
	/* And the pool can be used again. */
	memset(&f->w->fill[1], 0, sizeof(f->w->fill[1]));
	f->daemon.pool[1].mapped = true;
	assert_int_equal(frames_refill(&f->daemon, f->now_ms + 2000), 0);
	assert_all_home(f);
	view_free(&e);
}

/* ---- processes that die anywhere ---- */

static void worker(struct fixture *f, uint32_t slot)
{
	uint32_t seed = f->random + slot * 7919u, drained = 0;
	struct frames e;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	view_init(f, &e, slot);
	while (!__atomic_load_n(&f->w->stop, __ATOMIC_RELAXED)) {
		uint32_t request = __atomic_load_n(&f->ctl->drain_request,
						   __ATOMIC_ACQUIRE);
		bool idle = true;

		for (uint32_t p = 0; p < POOLS; p++) {
			struct xsk_ring rx = ring_of(&f->w->rx[slot][p],
						     PER_POOL);
			struct xsk_ring tx;

			while (*rx.consumer != xsk_ring_load(rx.producer)) {
				uint32_t frame;

				take_rx(f, &e, p, slot, &frame);
				seed = seed * 1664525u + 1013904223u;
				tx = ring_of(&f->w->tx[slot][seed >> 31], ALL);
				if ((seed >> 8) % 3 &&
				    *tx.producer - xsk_ring_load(tx.consumer) <
					    ALL)
					put_tx(f, &e, seed >> 31, slot, frame);
				else
					frames_put(&e, frame);
				f->w->handled[slot]++;
				idle = false;
			}
		}
		/* More often than an engine would: dying with the lock held
		 * is what is to be met. */
		for (uint32_t n = 0; n < 64; n++)
			frames_exchange(&e, n % POOLS);
		if (request != drained) {
			drained = request;
			__atomic_store_n(&f->ctl->engine[slot].drained, request,
					 __ATOMIC_RELEASE);
		}
		if (idle)
			sched_yield();
	}
	_exit(0);
}

static pid_t spawn(struct fixture *f, uint32_t slot)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		worker(f, slot);
	return pid;
}

/* As engine_reclaim.c does it. */
static void bury(struct fixture *f, uint32_t slot, uint32_t alive)
{
	uint32_t marks[POOLS_MAX], request;

	kernel_close(f, slot);
	while (!frames_reclaim(&f->daemon, slot, f->now_ms))
		sched_yield();
	frames_mark(&f->daemon, marks);
	request = __atomic_add_fetch(&f->ctl->drain_request, 1,
				     __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < WORKERS; i++) {
		while ((alive & 1u << i) &&
		       __atomic_load_n(&f->ctl->engine[i].drained,
				       __ATOMIC_ACQUIRE) != request) {
			kernel_run(f, 4, alive);
			sched_yield();
		}
	}
	frames_eliminate(&f->daemon, marks);
	frames_refill(&f->daemon, f->now_ms);
}

static void test_no_frame_is_lost_by_kills(void **state)
{
	struct fixture *f = *state;
	uint32_t all = (1u << WORKERS) - 1, seed = f->random;
	pid_t pid[WORKERS];

	for (uint32_t i = 0; i < WORKERS; i++)
		pid[i] = spawn(f, i);
	for (int kills = 0; kills < KILLS; kills++) {
		uint32_t victim = rnd(f, WORKERS);
		uint64_t before = f->w->handled[victim];

		/* It works; then it dies at a moment of the scheduler's. */
		while (__atomic_load_n(&f->w->handled[victim],
				       __ATOMIC_RELAXED) < before + 20)
			kernel_run(f, 16, all);
		kernel_run(f, rnd(f, 200), all);
		kill(pid[victim], SIGKILL);
		assert_int_equal(waitpid(pid[victim], NULL, 0), pid[victim]);
		/* Completions in time: before the quarantine is over. */
		while (f->n_wire)
			kernel_complete(f);
		bury(f, victim, all & ~(1u << victim));
		f->now_ms += rnd(f, 3000);
		census(f);
		pid[victim] = spawn(f, victim);
	}
	__atomic_store_n(&f->w->stop, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < WORKERS; i++) {
		assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
		all &= ~(1u << i);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		bury(f, i, 0);
	while (f->n_wire)
		kernel_complete(f);
	frames_refill(&f->daemon, f->now_ms);
	assert_int_equal(frames_refill(&f->daemon, f->now_ms + 2000), 0);
	if (census(f).fill != ALL)
		print_message("SEED=%u\n", seed);
	assert_all_home(f);
	print_message("%u frames handled, %llu taken back, %llu of them by "
		      "elimination, %llu lock recoveries\n",
		      (uint32_t)(f->w->handled[0] + f->w->handled[1] +
				 f->w->handled[2]),
		      (unsigned long long)f->ctl->frames_reclaimed,
		      (unsigned long long)f->ctl->frames_lost,
		      (unsigned long long)(f->ctl->pool[0].lock_recoveries +
					   f->ctl->pool[1].lock_recoveries));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_fresh_memory_is_all_in_fill_rings),
		T(test_ctl_init_refuses_bad_sizes),
		T(test_ctl_of_wrong_length_or_version_is_refused),
		T(test_each_state_is_counted),
		T(test_completion_of_another_engines_frame),
		T(test_late_completion_is_ignored_and_counted),
		T(test_held_lock_is_not_waited_for),
		T(test_death_between_record_and_ring),
		T(test_tx_of_the_dead_rests_in_quarantine),
		T(test_elimination_spares_what_the_living_have),
		T(test_retired_pool_gives_all_back),
		T(test_no_frame_is_lost_by_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
