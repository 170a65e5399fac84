// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table under several processes that are stopped and killed in the
 * middle of their critical sections.
 *
 * Workers insert, find, delete and tidy the same few keys in the same few
 * sets. At points inside the algorithm (FLOWTAB_POINT) they sometimes stop or
 * kill themselves; the parent lets the stopped ones go on after a while, often
 * beyond the age at which locks are taken over, and replaces the dead ones
 * after flowtab_release_writer. Now and then it stops everybody and looks:
 *
 *  - no two LIVE entries of one key
 *  - no LIVE entry whose parts do not belong together; nor did any worker
 *    ever read one
 *  - entries = insertions − removals, but for one per kill
 *  - at the end: nothing locked, nothing claimed, every set takes entries
 *
 * SEED=n repeats a run's choices (not its timing); SECONDS=n: how long.
 */
#define FLOW_LOCK_STALE_MS 5
#define FLOWTAB_POINT() stress_point()
static void stress_point(void);

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "flowtab.h"

#define SETS 8
#define WORKERS 4
#define KEYS 160 /* of 64 places: full most of the time */

struct shared {
	struct flow_set sets[SETS];
	struct vserver vservers[VSERVERS_MAX];
	uint32_t intent[WORKERS];
	uint64_t inserted, removed, torn, ops, stolen, locked, existed;
};

static struct shared *shm;
static struct flowtab tab;
static uint32_t rng;
static bool faults;

static uint32_t random32(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

static void stress_point(void)
{
	if (!faults)
		return;
	if (random32() % 3000 == 0)
		raise(random32() % 4 ? SIGSTOP : SIGKILL);
	else if (random32() % 200 == 0)
		sched_yield();
}

static uint32_t mix(uint32_t a, uint32_t b)
{
	a = (a ^ b) * 0x9e3779b1u;
	return a ^ a >> 15;
}

/* All parts of an entry follow from its number and a nonce. */
static struct flow make(uint32_t number, uint32_t nonce)
{
	struct flow f = {};

	f.hash = mix(number, 77);
	f.key.peer.d[0] = number;
	f.key.peer.d[1] = number * 3ull;
	f.key.sport = (__be16)number;
	f.key.id = 1;
	f.key.kind = FLOW_FORWARD;
	f.key.proto = 17;
	f.service = nonce;
	f.pair_addr.d[0] = mix(nonce, number);
	f.pair_addr.d[1] = mix(nonce, ~number);
	f.pair_port = (__be16)mix(nonce, 1);
	f.pair_id = (uint16_t)mix(nonce, 2);
	f.activity = FLOW_ACTIVITY(flow_tick(flowtab_now_ns()), 0, 0);
	return f;
}

static bool whole(const struct flow *f)
{
	uint32_t number = (uint32_t)f->key.peer.d[0];
	struct flow want = make(number, f->service);

	return f->hash == want.hash &&
	       !memcmp(&f->key, &want.key, sizeof(f->key)) &&
	       f->pair_addr.d[0] == want.pair_addr.d[0] &&
	       f->pair_addr.d[1] == want.pair_addr.d[1] &&
	       f->pair_port == want.pair_port && f->pair_id == want.pair_id;
}

static void add(uint64_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void check_copy(const struct flow *copy)
{
	if (!whole(copy))
		add(&shm->torn);
}

static void step(uint32_t writer)
{
	struct flow e = make(random32() % KEYS, random32()), copy;
	struct flowtab_change ch;
	enum flowtab_result result;
	struct flow *f;

	add(&shm->ops);
	switch (random32() % 8) {
	case 0:
	case 1:
	case 2:
		result = flowtab_insert(&tab, &e, writer, flowtab_now_ns(),
					random32() % 2, &ch);
		if (ch.stolen)
			add(&shm->stolen);
		if (result == FLOWTAB_EXISTED) {
			check_copy(&ch.other);
			add(&shm->existed);
			return;
		}
		if (ch.evict) {
			check_copy(&ch.other);
			add(&shm->removed);
		}
		add(result == FLOWTAB_INSERTED ? &shm->inserted :
						 &shm->locked);
		return;
	case 3:
	case 4:
		f = flowtab_find(&tab, e.hash, &e.key, &copy, NULL);
		if (!f)
			return;
		check_copy(&copy);
		if (flowtab_delete(f, copy.word))
			add(&shm->removed);
		return;
	case 5:
		flowtab_compact(&tab, random32() % SETS, writer);
		return;
	default:
		if (flowtab_find(&tab, e.hash, &e.key, &copy, NULL))
			check_copy(&copy);
	}
}

static pid_t start(unsigned int slot, uint32_t seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rng = seed | 1;
	faults = true;
	tab.intent = &shm->intent[slot];
	for (;;)
		step(FLOW_WRITER_ENGINE(slot));
}

static void scan(uint64_t *ret_live)
{
	bool seen[KEYS] = {};

	*ret_live = 0;
	for (unsigned int i = 0; i < SETS * FLOW_WAYS; i++) {
		const struct flow *f = &shm->sets[i / FLOW_WAYS]
						.way[i % FLOW_WAYS];

		if (FLOW_WORD_STATE(f->word) != FLOW_LIVE)
			continue;
		++*ret_live;
		assert_true(whole(f));
		assert_in_range(f->key.peer.d[0], 0, KEYS - 1);
		if (seen[f->key.peer.d[0]])
			fprintf(stderr, "key %llu is there twice\n",
				(unsigned long long)f->key.peer.d[0]);
		assert_false(seen[f->key.peer.d[0]]);
		seen[f->key.peer.d[0]] = true;
	}
}

static struct {
	pid_t pid;
	bool stopped;
	uint64_t until; /* ns: when it goes on */
} worker[WORKERS];

/* Takes note of who stopped or died. True if somebody died. */
static bool reap(unsigned int slot, uint64_t now)
{
	int status;
	pid_t pid = waitpid(worker[slot].pid, &status, WNOHANG | WUNTRACED);

	if (pid <= 0)
		return false;
	if (WIFSTOPPED(status)) {
		worker[slot].stopped = true;
		worker[slot].until = now + random32() % 20 * 1000000ull;
		return false;
	}
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return true;
}

static void revive(unsigned int slot)
{
	uint32_t writer = FLOW_WRITER_ENGINE(slot);
	uint32_t intent = shm->intent[slot];

	/* The promise of `intent`: nothing is held anywhere else. */
	if (intent)
		flowtab_release_writer(&tab, intent - 1, writer);
	for (unsigned int s = 0; s < SETS; s += 2)
		assert_false(flowtab_release_writer(&tab, s, writer));
	shm->intent[slot] = 0;
	worker[slot].stopped = false;
	worker[slot].pid = start(slot, random32());
}

/* Everybody stands still, wherever they are. */
static void stop_all(void)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		if (worker[i].stopped)
			continue;
		kill(worker[i].pid, SIGSTOP);
		for (;;) {
			int status;

			if (waitpid(worker[i].pid, &status, WUNTRACED) !=
			    worker[i].pid)
				break;
			if (WIFSTOPPED(status))
				break;
			revive(i); /* died before it could stop */
			kill(worker[i].pid, SIGSTOP);
		}
		worker[i].stopped = true;
		worker[i].until = 0;
	}
}

static uint64_t run(uint64_t seconds)
{
	uint64_t end = flowtab_now_ns() + seconds * 1000000000ull;
	uint64_t kills = 0, scans = 0, live, next_scan = 0;
	struct timespec ms = { .tv_nsec = 500000 };

	for (;;) {
		uint64_t now = flowtab_now_ns();

		if (now > end && scans > 10)
			break;
		for (unsigned int i = 0; i < WORKERS; i++) {
			if (worker[i].stopped) {
				if (now < worker[i].until)
					continue;
				worker[i].stopped = false;
				kill(worker[i].pid, SIGCONT);
			}
			if (reap(i, now)) {
				kills++;
				revive(i);
			}
		}
		if (now > next_scan) {
			stop_all();
			scan(&live);
			assert_int_equal(shm->torn, 0);
			scans++;
			next_scan = flowtab_now_ns() + 5000000;
		}
		nanosleep(&ms, NULL);
	}
	return kills;
}

static void test_stop_and_kill(void **state)
{
	const char *seed = getenv("SEED"), *seconds = getenv("SECONDS");
	uint64_t kills, live, left;
	struct flowtab_change ch;

	rng = seed ? (uint32_t)strtoul(seed, NULL, 0) | 1 :
		     (uint32_t)time(NULL) | 1;
	printf("SEED=%u\n", rng);
	for (unsigned int i = 0; i < WORKERS; i++)
		worker[i].pid = start(i, random32());
	kills = run(seconds ? strtoul(seconds, NULL, 0) : 6);
	/* The end: all die, wherever they are. */
	for (unsigned int i = 0; i < WORKERS; i++) {
		kill(worker[i].pid, SIGKILL);
		waitpid(worker[i].pid, NULL, 0);
		if (shm->intent[i])
			flowtab_release_writer(&tab, shm->intent[i] - 1,
					       FLOW_WRITER_ENGINE(i));
		kills++;
	}
	scan(&live);
	left = shm->inserted - shm->removed;
	printf("%llu operations, %llu insertions, %llu takeovers, %llu locked, "
	       "%llu kills, %llu live (%lld counted)\n",
	       (unsigned long long)shm->ops, (unsigned long long)shm->inserted,
	       (unsigned long long)shm->stolen, (unsigned long long)shm->locked,
	       (unsigned long long)kills, (unsigned long long)live,
	       (long long)left);
	assert_int_equal(shm->torn, 0);
	assert_true(shm->stolen > 3); /* or the test did not test that */
	assert_true(kills > WORKERS);
	assert_true((int64_t)(live - left) <= (int64_t)kills &&
		    (int64_t)(left - live) <= (int64_t)kills);
	for (unsigned int s = 0; s < SETS; s++) {
		if (!(s & 1))
			assert_int_equal(shm->sets[s].way[0].lock, 0);
		for (unsigned int w = 0; w < FLOW_WAYS; w++) {
			uint32_t st = FLOW_WORD_STATE(shm->sets[s].way[w].word);

			assert_true(st != FLOW_BUSY && st != FLOW_QUARANTINE);
		}
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		struct flow e = make(i, 1);

		assert_in_range(flowtab_insert(&tab, &e, FLOW_WRITER_DAEMON,
					       flowtab_now_ns(), false, &ch),
				FLOWTAB_INSERTED, FLOWTAB_EXISTED);
	}
	scan(&live);
}

static int setup(void **state)
{
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shm == MAP_FAILED)
		return -1;
	shm->vservers[1].udp_s = 3600;
	tab = (struct flowtab){ .mask = SETS - 1, .sets = shm->sets,
				.vservers = shm->vservers };
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_and_kill),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
