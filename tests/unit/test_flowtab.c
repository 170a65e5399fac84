// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table, one writer: against a plain list, its eviction rule, the
 * overflow between the sets of a pair, tombstones, and each way in which a
 * writer may be late or dead. Many writers: test_flowtab_stress.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "flowtab.h"

#define SETS 64
#define WRITER 3

static struct flow_set sets[SETS];
static struct vserver vservers[VSERVERS_MAX];
static struct flowtab tab = { .mask = SETS - 1, .sets = sets,
			      .vservers = vservers };
static uint64_t now = 1000000000000ull;

static void reset(void)
{
	memset(sets, 0, sizeof(sets));
	vservers[1] = (struct vserver){ .syn_s = 10, .est_s = 1000,
					.fin_s = 20, .udp_s = 30,
					.persist_s = 40 };
}

/* A hash that leads to a set and a preferred way. */
static uint32_t hash_of(uint32_t set, uint32_t way, uint32_t salt)
{
	return set << NODE_BUCKET_BITS | (salt & 0x1ff) << 3 | way;
}

static struct flow entry(uint32_t hash, uint32_t number, uint32_t tcp)
{
	struct flow f = {};

	f.hash = hash;
	ip_addr_set_v4(&f.key.peer, number);
	f.key.sport = (__be16)number;
	f.key.id = 1;
	f.key.kind = FLOW_FORWARD;
	f.key.proto = 6;
	f.service = number;
	f.activity = FLOW_ACTIVITY(flow_tick(now), tcp, 0);
	return f;
}

static enum flowtab_result put(const struct flow *f, struct flowtab_change *ch)
{
	return flowtab_insert(&tab, f, WRITER, now, false, ch);
}

static struct flow *get(const struct flow *f, struct flow *copy)
{
	return flowtab_find(&tab, f->hash, &f->key, copy, NULL);
}

static bool drop(const struct flow *f)
{
	struct flow copy;
	struct flow *at = get(f, &copy);

	return at && flowtab_delete(at, copy.word);
}

static void test_against_list(void **state)
{
	enum { N = 3000 };
	static struct flow model[N];
	static bool present[N];
	unsigned int count = 0;

	reset();
	srand(3);
	for (unsigned int i = 0; i < N; i++)
		model[i] = entry((uint32_t)rand() * 2654435761u, i,
				 FLOW_TCP_ESTABLISHED);
	for (unsigned int n = 0; n < 300000; n++) {
		unsigned int i = (unsigned int)rand() % N;
		struct flowtab_change ch;
		struct flow copy;
		struct flow *f = get(&model[i], &copy);

		assert_int_equal(f != NULL, present[i]);
		if (f) {
			assert_int_equal(copy.service, i);
			assert_memory_equal(&copy.key, &model[i].key,
					    sizeof(copy.key));
		}
		if (present[i] && rand() % 2) {
			assert_int_equal(put(&model[i], &ch), FLOWTAB_EXISTED);
			assert_int_equal(ch.other.service, i);
			assert_int_equal(ch.word, copy.word);
			assert_int_equal(ch.index, flowtab_index(&tab, f));
		} else if (present[i]) {
			assert_true(flowtab_delete(f, copy.word));
			assert_false(flowtab_delete(f, copy.word));
			present[i] = false;
			count--;
		} else if (count < 300) { /* of 512: pairs rarely fill */
			assert_int_equal(put(&model[i], &ch), FLOWTAB_INSERTED);
			present[i] = true;
			count++;
			if (ch.evict) {
				assert_true(present[ch.other.service]);
				present[ch.other.service] = false;
				count--;
			}
			assert_non_null(get(&model[i], &copy));
			assert_int_equal(copy.word, ch.word);
		}
		if (n % 7 == 0)
			flowtab_compact(&tab, (uint32_t)rand() % SETS, WRITER);
	}
	for (unsigned int i = 0; i < N; i++) {
		struct flow copy;
		struct flow *f = get(&model[i], &copy);

		assert_int_equal(f != NULL, present[i]);
		if (f)
			assert_true(flowtab_delete(f, copy.word));
	}
	/* Empty again, without a trace. */
	for (unsigned int s = 0; s < SETS; s++) {
		flowtab_compact(&tab, s, WRITER);
		assert_int_equal(sets[s].way[0].lock & 1, 0);
		assert_int_equal(sets[s].way[1].lock & 1, 0);
		for (unsigned int w = 0; w < FLOW_WAYS; w++)
			assert_int_equal(FLOW_WORD_STATE(sets[s].way[w].word),
					 FLOW_EMPTY);
	}
}

/* Fills a pair with established flows, numbers 0..15 by set. */
static void fill(uint32_t set, uint32_t tcp)
{
	struct flowtab_change ch;

	for (uint32_t s = 0; s < 2; s++)
		for (uint32_t w = 0; w < FLOW_WAYS; w++) {
			struct flow f = entry(hash_of(set ^ s, w, 0),
					      s * FLOW_WAYS + w, tcp);

			assert_int_equal(put(&f, &ch), FLOWTAB_INSERTED);
			assert_int_equal(ch.evict, FLOWTAB_EVICT_NONE);
			assert_int_equal(ch.overflow, 0);
		}
}

static void age(uint32_t set, uint32_t way, uint32_t tcp, uint32_t seconds)
{
	sets[set].way[way].activity = FLOW_ACTIVITY(
		flow_tick(now) - seconds * FLOW_TICKS_PER_S, tcp, 0);
}

static void evicts(uint32_t set, uint32_t number, enum flowtab_evict kind,
		   bool overflow)
{
	static uint32_t fresh = 1000;
	struct flow f = entry(hash_of(set, 2, fresh), fresh, FLOW_TCP_SYN);
	struct flowtab_change ch;
	struct flow copy;

	fresh++;
	assert_int_equal(put(&f, &ch), FLOWTAB_INSERTED);
	assert_int_equal(ch.evict, kind);
	assert_int_equal(ch.overflow, overflow);
	if (kind)
		assert_int_equal(ch.other.service, number);
	assert_non_null(get(&f, &copy));
	assert_int_equal(copy.service, f.service);
}

static void test_eviction_order(void **state)
{
	reset();
	fill(4, FLOW_TCP_ESTABLISHED);
	age(4, 1, FLOW_TCP_ESTABLISHED, 500);
	age(4, 5, FLOW_TCP_ESTABLISHED, 700);
	age(4, 3, FLOW_TCP_SYN, 5);
	age(4, 6, FLOW_TCP_FIN, 1);
	age(4, 7, FLOW_TCP_RST, 2);
	age(4, 0, FLOW_TCP_SYN, 100);	       /* timed out */
	age(5, 4, FLOW_TCP_ESTABLISHED, 5000); /* timed out */
	evicts(4, 0, FLOWTAB_EVICT_IDLE, false);
	evicts(4, 8 + 4, FLOWTAB_EVICT_IDLE, true);
	assert_true(flowtab_overflowed(&sets[4]));
	assert_false(flowtab_overflowed(&sets[5]));
	evicts(4, 7, FLOWTAB_EVICT_CLOSED, false);
	evicts(4, 6, FLOWTAB_EVICT_CLOSED, false);
	evicts(4, 3, FLOWTAB_EVICT_HALF, false);
	/* What we put in is half open, too, and younger: way 0, 7, 6, 3. Let
	 * it be established. */
	for (uint32_t w = 0; w < FLOW_WAYS; w++)
		if (FLOW_ACTIVITY_TCP(sets[4].way[w].activity) == FLOW_TCP_SYN)
			age(4, w, FLOW_TCP_ESTABLISHED, 0);
	evicts(4, 5, FLOWTAB_EVICT_LIVE, false);
}

/* A full pair's other set is not looked at again for a second, but before an
 * established flow goes. */
static void test_other_set_is_tried_once_a_second(void **state)
{
	reset();
	fill(6, FLOW_TCP_SYN);
	for (uint32_t w = 0; w < FLOW_WAYS; w++)
		age(6, w, FLOW_TCP_SYN, w < 4 ? 4 : 2);
	evicts(6, 2, FLOWTAB_EVICT_HALF, false);
	age(7, 4, FLOW_TCP_ESTABLISHED, 5000);
	evicts(6, 3, FLOWTAB_EVICT_HALF, false);
	now += 2000000000ull;
	evicts(6, 8 + 4, FLOWTAB_EVICT_IDLE, true);
	/* Tried in vain again, then nothing but established flows at home. */
	evicts(6, 0, FLOWTAB_EVICT_HALF, false);
	for (uint32_t w = 0; w < FLOW_WAYS; w++)
		age(6, w, FLOW_TCP_ESTABLISHED, 0);
	age(7, 5, FLOW_TCP_ESTABLISHED, 5000);
	evicts(6, 8 + 5, FLOWTAB_EVICT_IDLE, true);
}

static void test_overflow(void **state)
{
	struct flowtab_change ch;
	struct flow f[12], copy;

	reset();
	for (uint32_t i = 0; i < 12; i++) {
		f[i] = entry(hash_of(9, i % 8, i), i, FLOW_TCP_ESTABLISHED);
		assert_int_equal(put(&f[i], &ch), FLOWTAB_INSERTED);
		assert_int_equal(ch.overflow, i >= 8);
		assert_int_equal(ch.index / FLOW_WAYS, i >= 8 ? 8 : 9);
	}
	for (uint32_t i = 0; i < 12; i++)
		assert_non_null(get(&f[i], &copy));
	flowtab_compact(&tab, 9, WRITER);
	assert_true(flowtab_overflowed(&sets[9]));
	/* Room at home again; the guests are still found, and are not doubled. */
	for (uint32_t i = 0; i < 8; i++)
		assert_true(drop(&f[i]));
	flowtab_compact(&tab, 9, WRITER);
	for (uint32_t i = 8; i < 12; i++) {
		assert_int_equal(put(&f[i], &ch), FLOWTAB_EXISTED);
		assert_true(drop(&f[i]));
	}
	flowtab_compact(&tab, 8, WRITER);
	assert_false(flowtab_overflowed(&sets[9]));
}

/* A tombstone on the way to an entry stays; others become EMPTY. */
static void test_compact(void **state)
{
	struct flow a = entry(hash_of(2, 6, 1), 1, 0);
	struct flow b = entry(hash_of(2, 6, 2), 2, 0);
	struct flow c = entry(hash_of(2, 6, 3), 3, 0);
	struct flow copy;
	struct flowtab_change ch;

	reset();
	put(&a, &ch); /* way 6 */
	put(&b, &ch); /* way 7 */
	put(&c, &ch); /* way 0: around the corner */
	assert_true(drop(&b));
	flowtab_compact(&tab, 2, WRITER);
	assert_int_equal(FLOW_WORD_STATE(sets[2].way[7].word), FLOW_DEAD);
	assert_non_null(get(&c, &copy));
	assert_true(drop(&c));
	flowtab_compact(&tab, 2, WRITER);
	assert_int_equal(FLOW_WORD_STATE(sets[2].way[7].word), FLOW_EMPTY);
	assert_int_equal(FLOW_WORD_STATE(sets[2].way[0].word), FLOW_EMPTY);
	assert_non_null(get(&a, &copy));
}

static uint32_t lock_word(uint32_t writer, uint64_t at)
{
	return FLOW_LOCK_WORD(writer, (uint32_t)(at / 1000000) & 0x7fffff);
}

static void test_locks(void **state)
{
	struct flow f = entry(hash_of(3, 1, 0), 1, 0), copy;
	struct flowtab_change ch;
	struct flow *late = &sets[3].way[4];
	uint32_t busy = FLOW_WORD(FLOW_BUSY, 9, 77);

	reset();
	/* Held by somebody: the lock of set 3 is that of set 2. */
	sets[2].way[0].lock = lock_word(9, now);
	late->word = busy;
	assert_int_equal(put(&f, &ch), FLOWTAB_LOCKED);
	assert_int_equal(ch.evict, FLOWTAB_EVICT_NONE);
	assert_null(get(&f, &copy));
	sets[2].way[0].lock = lock_word(9, now + 500000000);
	assert_int_equal(put(&f, &ch), FLOWTAB_LOCKED);
	/* Stale: taken over; what its holder claimed is quarantined. */
	sets[2].way[0].lock =
		lock_word(9, now - (FLOW_LOCK_STALE_MS + 1) * 1000000ull);
	assert_int_equal(put(&f, &ch), FLOWTAB_INSERTED);
	assert_int_equal(ch.stolen, 1);
	assert_int_equal(sets[2].way[0].lock, 0);
	assert_int_equal(late->word, FLOW_WORD(FLOW_QUARANTINE, 9, 77));
	/* Nobody uses that way, and it hides nothing. */
	for (uint32_t i = 2; i < 9; i++) {
		struct flow g = entry(hash_of(3, i % 8, i), i, 0);

		assert_int_equal(put(&g, &ch), FLOWTAB_INSERTED);
		assert_ptr_not_equal(get(&g, &copy), late);
	}
	/* Its owner comes back: it fails to publish and gives the way up. */
	assert_int_not_equal(cmpxchg_u32(&late->word, busy,
					 FLOW_WORD(FLOW_LIVE, 9, 77)), busy);
	flowtab_abandon(late, busy);
	assert_int_equal(FLOW_WORD_STATE(late->word), FLOW_DEAD);
}

static void test_release_writer(void **state)
{
	struct flow f = entry(hash_of(3, 1, 0), 1, 0);
	struct flowtab_change ch;

	reset();
	sets[2].way[0].lock = lock_word(9, now);
	sets[2].way[5].word = FLOW_WORD(FLOW_BUSY, 9, 5);
	sets[3].way[6].word = FLOW_WORD(FLOW_QUARANTINE, 9, 6);
	sets[3].way[7].word = FLOW_WORD(FLOW_BUSY, 8, 7);
	assert_false(flowtab_release_writer(&tab, 3, 4));
	assert_true(flowtab_release_writer(&tab, 3, 9));
	assert_int_equal(sets[2].way[0].lock, 0);
	assert_int_equal(FLOW_WORD_STATE(sets[2].way[5].word), FLOW_DEAD);
	assert_int_equal(FLOW_WORD_STATE(sets[3].way[6].word), FLOW_DEAD);
	assert_int_equal(FLOW_WORD_STATE(sets[3].way[7].word), FLOW_BUSY);
	assert_int_equal(put(&f, &ch), FLOWTAB_INSERTED);
}

static void test_stale_lock_age(void **state)
{
	/* Any date more than the limit ago is stale, up to the wrap. */
	for (uint32_t age_ms = FLOW_LOCK_STALE_MS + 1; age_ms < 0x7fffff - 1000;
	     age_ms += 997)
		assert_true(flowtab_lock_stale(
			FLOW_LOCK_WORD(1, (5000 - age_ms) & 0x7fffff), 5000));
	for (uint32_t ahead = 0; ahead < 1000; ahead += 9)
		assert_false(flowtab_lock_stale(
			FLOW_LOCK_WORD(1, (5000 + ahead) & 0x7fffff), 5000));
	for (uint32_t age_ms = 0; age_ms <= FLOW_LOCK_STALE_MS; age_ms++)
		assert_false(flowtab_lock_stale(
			FLOW_LOCK_WORD(1, (50 - age_ms) & 0x7fffff), 50));
}

static void test_timeouts(void **state)
{
	static const struct {
		uint8_t kind, proto;
		uint32_t tcp, seconds;
	} rows[] = {
		{ FLOW_FORWARD, 6, FLOW_TCP_SYN, 10 },
		{ FLOW_FORWARD, 6, FLOW_TCP_ESTABLISHED, 1000 },
		{ FLOW_FORWARD, 6, FLOW_TCP_NONE, 1000 },
		{ FLOW_FORWARD, 6, FLOW_TCP_FIN, 20 },
		{ FLOW_FORWARD, 6, FLOW_TCP_RST, 20 },
		{ FLOW_REVERSE, 6, FLOW_TCP_FIN, 20 },
		{ FLOW_FORWARD, 17, FLOW_TCP_NONE, 30 },
		{ FLOW_REVERSE, 17, FLOW_TCP_NONE, 30 },
		{ FLOW_PERSIST, 6, FLOW_TCP_NONE, 40 },
		{ FLOW_FRAGMENT, 17, FLOW_TCP_NONE, FLOW_FRAGMENT_S },
	};

	reset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t tick = 0xfffff0; /* near the wrap */
		struct flow f = { .key.kind = rows[i].kind,
				  .key.proto = rows[i].proto,
				  .activity = FLOW_ACTIVITY(tick, rows[i].tcp,
							    0) };

		assert_false(flow_expired(&f, &vservers[1], tick));
		assert_false(flow_expired(&f, &vservers[1], tick - 5));
		/* Never early … */
		assert_false(flow_expired(&f, &vservers[1],
					  tick + rows[i].seconds *
						 FLOW_TICKS_PER_S));
		/* … nor later than the slack of the clock kept in it. */
		assert_true(flow_expired(&f, &vservers[1],
					 tick + rows[i].seconds *
						FLOW_TICKS_PER_S +
						FLOW_ACTIVITY_SLACK + 1));
		if (rows[i].kind != FLOW_FRAGMENT)
			assert_true(flow_expired(&f, NULL, tick + 20));
	}
}

static void test_tcp_states(void **state)
{
	static const struct {
		uint32_t from;
		uint8_t flags;
		uint32_t to;
	} rows[] = {
		{ FLOW_TCP_SYN, 0x02, FLOW_TCP_SYN },
		{ FLOW_TCP_SYN, 0x12, FLOW_TCP_SYN },
		{ FLOW_TCP_SYN, 0x10, FLOW_TCP_ESTABLISHED },
		{ FLOW_TCP_SYN, 0x11, FLOW_TCP_FIN },
		{ FLOW_TCP_SYN, 0x14, FLOW_TCP_RST },
		{ FLOW_TCP_ESTABLISHED, 0x10, FLOW_TCP_ESTABLISHED },
		{ FLOW_TCP_ESTABLISHED, 0x02, FLOW_TCP_ESTABLISHED },
		{ FLOW_TCP_ESTABLISHED, 0x11, FLOW_TCP_FIN },
		{ FLOW_TCP_ESTABLISHED, 0x04, FLOW_TCP_RST },
		{ FLOW_TCP_FIN, 0x10, FLOW_TCP_FIN },
		{ FLOW_TCP_FIN, 0x04, FLOW_TCP_RST },
		{ FLOW_TCP_RST, 0x11, FLOW_TCP_RST },
		{ FLOW_TCP_NONE, 0x10, FLOW_TCP_NONE },
		{ FLOW_TCP_NONE, 0x11, FLOW_TCP_FIN },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(flow_tcp_next(rows[i].from, rows[i].flags),
				 rows[i].to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_eviction_order),
		cmocka_unit_test(test_other_set_is_tried_once_a_second),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_release_writer),
		cmocka_unit_test(test_stale_lock_age),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_tcp_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
