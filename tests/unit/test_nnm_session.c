// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions between two nodes on a table top: what a thief of datagrams may try,
 * and that it changes nothing but a counter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cluster/nnm_session.h"

#define A 3
#define B 7

static const char keys_text[] =
	"key 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const char both_keys_use_1[] =
	"key 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	"key 2 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	"use 1\n";
static const char both_keys_use_2[] =
	"key 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	"key 2 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
	"use 2\n";
static const char new_key[] =
	"key 2 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

struct datagram {
	uint8_t data[NNM_DATAGRAM_MAX + 8];
	size_t len;
};

static struct nnm_sessions a, b;
static struct nnm_input in;
static uint64_t now = 1000000;

static void use_keys(struct nnm_sessions *s, const char *text)
{
	struct nnm_keys_error e;
	struct nnm_keys keys;

	assert_int_equal(nnm_keys_parse(text, strlen(text), &keys, &e), 0);
	nnm_session_set_keys(s, &keys);
}

static void start(struct nnm_sessions *s, uint8_t self, uint64_t counter, uint64_t random_part)
{
	const struct nnm_epoch epoch = { counter, random_part };
	struct nnm_keys_error e;
	struct nnm_keys keys;

	assert_int_equal(nnm_keys_parse(keys_text, strlen(keys_text), &keys, &e), 0);
	nnm_session_init(s, self, &epoch, &keys);
	nnm_session_set_peer(s, A + B - self, true);
}

/* A copy is opened, so that DATAGRAM can be used again. */
static enum nnm_input_result give(struct nnm_sessions *to, const struct datagram *d)
{
	struct datagram copy = *d;

	nnm_session_input(to, A + B - to->self, copy.data, copy.len, now, &in);
	if (in.result == NNM_INPUT_TEXT)
		in.text = memcpy(malloc(in.len + 1), in.text, in.len);
	return in.result;
}

static struct datagram challenge(struct nnm_sessions *s)
{
	struct datagram d;

	now += NNM_CHALLENGE_GAP_MS;
	d.len = nnm_session_challenge(s, A + B - s->self, now, d.data);
	assert_int_equal(d.len, NNM_HANDSHAKE_BYTES);
	return d;
}

static struct datagram answer(void)
{
	struct datagram d;

	assert_int_equal(in.answer_len, NNM_HANDSHAKE_BYTES);
	memcpy(d.data, in.answer, in.answer_len);
	d.len = in.answer_len;
	return d;
}

/* S learns the epoch of its peer. */
static void learn(struct nnm_sessions *s, struct nnm_sessions *peer)
{
	struct datagram d = challenge(s);

	assert_int_equal(give(peer, &d), NNM_INPUT_QUIET);
	d = answer();
	assert_int_equal(give(s, &d), NNM_INPUT_SESSION);
}

static struct datagram seal(struct nnm_sessions *s, const char *text)
{
	struct datagram d;
	uint64_t seq;

	memcpy(d.data + NNM_HEADER_BYTES, text, strlen(text));
	d.len = nnm_session_seal(s, A + B - s->self, d.data, strlen(text), &seq);
	return d;
}

static void expect_text(struct nnm_sessions *s, const struct datagram *d, const char *text)
{
	assert_int_equal(give(s, d), NNM_INPUT_TEXT);
	assert_int_equal(in.len, strlen(text));
	assert_memory_equal(in.text, text, in.len);
	free(in.text);
}

/* D must not be accepted, for reason WHY, and leave the session as it was. */
static void expect_drop(struct nnm_sessions *s, const struct datagram *d, enum nnm_counter why)
{
	uint8_t peer = A + B - s->self;
	struct nnm_peer_session before = s->peers[peer];
	uint64_t counted = s->counters.v[peer][why];

	assert_int_equal(give(s, d), NNM_INPUT_DROPPED);
	assert_int_equal(in.why, why);
	assert_int_equal(s->counters.v[peer][why], counted + 1);
	assert_memory_equal(&before.epoch, &s->peers[peer].epoch, sizeof(before.epoch));
	assert_memory_equal(&before.window, &s->peers[peer].window, sizeof(before.window));
	assert_memory_equal(before.tx_key, s->peers[peer].tx_key, sizeof(before.tx_key));
	assert_memory_equal(before.challenge, s->peers[peer].challenge, sizeof(before.challenge));
	assert_int_equal(before.up, s->peers[peer].up);
	assert_int_equal(before.challenge_open, s->peers[peer].challenge_open);
}

static int setup(void **state)
{
	assert_int_equal(nnm_crypto_init(), 0);
	start(&a, A, 10, 0x1111111111111111);
	start(&b, B, 20, 0x2222222222222222);
	learn(&a, &b);
	learn(&b, &a);
	return 0;
}

static void test_both_ways(void **state)
{
	struct datagram d = seal(&a, "one"), e = seal(&b, "two");

	expect_text(&b, &d, "one");
	expect_text(&a, &e, "two");
	assert_true(in.seq == 1);
}

/* The bytes on the wire, made by a second implementation of BLAKE2b, ChaCha20
 * and Poly1305 from the description in PROTOCOL.md. */
static void test_golden_datagram(void **state)
{
	static const uint8_t want[] = {
		0x53, 0x4c, 0x01, 0x01, 0x01, 0x03, 0x07, 0x00, /* SL, 1, data, key 1, 3 → 7 */
		0x11, 0x11, 0x11, 0x1b, 0x22, 0x22, 0x22, 0x36, /* epochs' tags */
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, /* sequence */
		0xd5, 0xf4, 0x2a, 0xca, 0x63, 0xcd, /* "golden", sealed */
		0xaf, 0x29, 0x0d, 0xcc, 0xa7, 0x92, 0xfa, 0x49,
		0x4d, 0x2a, 0x3c, 0x15, 0xd1, 0x9c, 0x09, 0x38,
	};
	struct datagram d = seal(&a, "golden");

	assert_int_equal(d.len, sizeof(want));
	assert_memory_equal(d.data, want, sizeof(want));
	expect_text(&b, &d, "golden");
}

static void test_replay(void **state)
{
	struct datagram first = seal(&a, "first"), d;

	expect_text(&b, &first, "first");
	expect_drop(&b, &first, NNM_drop_replay);
	for (int i = 0; i < NNM_REPLAY_WINDOW + 10; i++) {
		d = seal(&a, "more");
		expect_text(&b, &d, "more");
	}
	expect_drop(&b, &first, NNM_drop_replay);
	expect_drop(&b, &d, NNM_drop_replay);
}

static void test_reordering_is_fine(void **state)
{
	struct datagram d[1024];

	for (int i = 0; i < 1024; i++)
		d[i] = seal(&a, "x");
	for (int i = 1023; i >= 0; i--)
		expect_text(&b, &d[i], "x");
}

/* Each single bit of a datagram, header included. */
static void test_flipped_bits(void **state)
{
	struct datagram good = seal(&a, "a text of some length"), bad;

	for (size_t bit = 0; bit < good.len * 8; bit++) {
		struct nnm_replay before = b.peers[A].window;

		bad = good;
		bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(give(&b, &bad), NNM_INPUT_DROPPED);
		assert_memory_equal(&before, &b.peers[A].window, sizeof(before));
	}
	expect_text(&b, &good, "a text of some length");
}

static void test_flipped_bits_of_handshakes(void **state)
{
	struct datagram c = challenge(&a), r, bad;

	for (size_t bit = 0; bit < c.len * 8; bit++) {
		bad = c;
		bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(give(&b, &bad), NNM_INPUT_DROPPED);
		assert_int_equal(in.answer_len, 0);
	}
	assert_int_equal(give(&b, &c), NNM_INPUT_QUIET);
	r = answer();
	for (size_t bit = 0; bit < r.len * 8; bit++) {
		bad = r;
		bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(give(&a, &bad), NNM_INPUT_DROPPED);
	}
	/* Same epoch, answered: nothing new. */
	assert_int_equal(give(&a, &r), NNM_INPUT_QUIET);
}

static void test_truncated_and_extended(void **state)
{
	struct datagram good = seal(&a, "0123456789"), bad;

	for (size_t len = 0; len < good.len; len++) {
		bad = good;
		bad.len = len;
		expect_drop(&b, &bad, len < NNM_HEADER_BYTES + NNM_TAG_BYTES ? NNM_drop_short
									      : NNM_drop_forged);
	}
	bad = good;
	bad.data[bad.len++] = 0;
	expect_drop(&b, &bad, NNM_drop_forged);
	bad.len = NNM_DATAGRAM_MAX + 1;
	expect_drop(&b, &bad, NNM_drop_long);
	expect_text(&b, &good, "0123456789");
}

static void test_header_claims(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		uint8_t value;
		enum nnm_counter why;
	} rows[] = {
		{ "magic", 0, 0x54, NNM_drop_magic },
		{ "version of tomorrow", 2, 2, NNM_drop_version },
		{ "type 0", 3, 0, NNM_drop_type },
		{ "type 9", 3, 9, NNM_drop_type },
		{ "a key nobody has", 4, 99, NNM_drop_key },
		{ "sender not configured", 5, 9, NNM_drop_sender },
		{ "sender is the receiver", 5, B, NNM_drop_sender },
		{ "sender out of range", 5, 32, NNM_drop_sender },
		{ "other receiver", 6, 8, NNM_drop_receiver },
		{ "receiver out of range", 6, 200, NNM_drop_receiver },
		{ "reserved", 7, 1, NNM_drop_type },
		{ "sender's life", 8, 0, NNM_drop_session },
		{ "receiver's life", 12, 0, NNM_drop_session },
		{ "sequence 2^56", 16, 1, NNM_drop_forged },
	};
	struct datagram good = seal(&a, "claims");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct datagram bad = good;

		bad.data[rows[i].at] = rows[i].value;
		expect_drop(&b, &bad, rows[i].why);
	}
}

static void test_wrong_address(void **state)
{
	struct datagram d = seal(&a, "x");
	uint8_t copy[NNM_DATAGRAM_MAX];

	memcpy(copy, d.data, d.len);
	nnm_session_input(&b, NNM_STRANGER, copy, d.len, now, &in);
	assert_int_equal(in.result, NNM_INPUT_DROPPED);
	assert_int_equal(in.why, NNM_drop_address);
	assert_int_equal(b.counters.v[NNM_STRANGER][NNM_drop_address], 1);
	memcpy(copy, d.data, d.len);
	/* Another peer's address is no better. */
	nnm_session_input(&b, 5, copy, d.len, now, &in);
	assert_int_equal(in.why, NNM_drop_address);
	expect_text(&b, &d, "x");
}

static void test_reflected(void **state)
{
	struct datagram d = seal(&a, "mirror"), c = challenge(&a);

	expect_drop(&a, &d, NNM_drop_receiver);
	/* With the ids exchanged it is for A, but not sealed for it. */
	d.data[5] = B;
	d.data[6] = A;
	memcpy(d.data + 8, "\x22\x22\x22\x36\x11\x11\x11\x1b", 8);
	expect_drop(&a, &d, NNM_drop_forged);
	c.data[5] = B;
	c.data[6] = A;
	expect_drop(&a, &c, NNM_drop_forged);
}

static void test_receiver_restarts(void **state)
{
	struct datagram old[8], d;

	for (int i = 0; i < 8; i++) {
		old[i] = seal(&a, "before");
		expect_text(&b, &old[i], "before");
	}
	start(&b, B, 21, 0x3333333333333333);
	for (int i = 0; i < 8; i++)
		expect_drop(&b, &old[i], NNM_drop_no_session);
	assert_true(in.challenge);
	learn(&b, &a);
	/* A still seals for the former life of B. */
	for (int i = 0; i < 8; i++)
		expect_drop(&b, &old[i], NNM_drop_session);
	d = seal(&a, "to whom?");
	expect_drop(&b, &d, NNM_drop_session);
	learn(&a, &b);
	d = seal(&a, "again");
	expect_text(&b, &d, "again");
	for (int i = 0; i < 8; i++)
		expect_drop(&b, &old[i], NNM_drop_session);
}

static void test_sender_restarts(void **state)
{
	struct datagram old = seal(&a, "old life"), late = seal(&a, "late"), d;

	expect_text(&b, &old, "old life");
	start(&a, A, 11, 0x4444444444444444);
	/* On its way since before the restart: still from the life B knows. */
	expect_text(&b, &late, "late");
	learn(&a, &b);
	d = seal(&a, "new life");
	expect_drop(&b, &d, NNM_drop_session);
	assert_true(in.challenge);
	learn(&b, &a);
	d = seal(&a, "new life");
	expect_text(&b, &d, "new life");
	expect_drop(&b, &old, NNM_drop_session);
	expect_drop(&b, &late, NNM_drop_session);
}

/* All that was said in handshakes, said again later. */
static void test_replayed_handshakes(void **state)
{
	struct datagram c = challenge(&b), r, c2, r2;

	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	r = answer();
	start(&a, A, 11, 0x4444444444444444);
	c2 = challenge(&b);
	assert_int_equal(give(&a, &c2), NNM_INPUT_QUIET);
	r2 = answer();
	assert_int_equal(give(&b, &r2), NNM_INPUT_SESSION);
	/* The answer of the former life, and the same answer twice. */
	expect_drop(&b, &r, NNM_drop_challenge);
	expect_drop(&b, &r2, NNM_drop_challenge);
	/* Held back until another challenge is open. */
	c = challenge(&b);
	expect_drop(&b, &r, NNM_drop_challenge);
	expect_drop(&b, &r2, NNM_drop_challenge);
	/* A challenge again is answered again, and means nothing. */
	assert_int_equal(give(&a, &c2), NNM_INPUT_QUIET);
	assert_false(a.peers[B].up);
}

static void test_older_epoch_is_refused(void **state)
{
	struct datagram c, r;

	/* The answer of the former life reaches B as the first to its open
	 * challenge. B has met the newer life before. */
	start(&a, A, 9, 0x9999999999999999);
	c = challenge(&b);
	/* A hears from B that it was at 10 already. */
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	assert_int_equal(in.answer_len, 0);
	assert_true(in.epoch_floor == 10);
	/* If it answers all the same: */
	b.peers[A].epoch.counter = 1;
	c = challenge(&b);
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	r = answer();
	b.peers[A].epoch.counter = 10;
	assert_int_equal(give(&b, &r), NNM_INPUT_DROPPED);
	assert_int_equal(in.why, NNM_drop_old_epoch);
	/* Lost counter repaired: above the floor it is let in. */
	start(&a, A, 11, 0x9999999999999999);
	learn(&b, &a);
}

static void test_same_counter_other_random(void **state)
{
	struct datagram c, r;

	start(&a, A, 10, 0x5555555555555555);
	c = challenge(&b);
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	assert_true(in.epoch_floor == 10);
	memset(&b.peers[A].epoch, 0, sizeof(b.peers[A].epoch));
	c = challenge(&b);
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	r = answer();
	b.peers[A].epoch = (struct nnm_epoch){ 10, 0x1111111111111111 };
	assert_int_equal(give(&b, &r), NNM_INPUT_DROPPED);
	assert_int_equal(in.why, NNM_drop_old_epoch);
}

static void test_own_epoch_raised(void **state)
{
	const struct nnm_epoch next = { 31, 0x3131313131313131 };
	struct datagram old = seal(&a, "old"), back = seal(&b, "for epoch 10"), d;

	nnm_session_set_epoch(&a, &next);
	expect_drop(&a, &back, NNM_drop_no_session);
	learn(&a, &b);
	learn(&b, &a);
	d = seal(&a, "x");
	expect_text(&b, &d, "x");
	expect_drop(&b, &old, NNM_drop_session);
	expect_drop(&a, &back, NNM_drop_session);
}

static void test_challenge_grows_old(void **state)
{
	struct datagram c, r;

	start(&a, A, 11, 0x4444444444444444);
	c = challenge(&b);
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	r = answer();
	now += NNM_CHALLENGE_MS;
	expect_drop(&b, &r, NNM_drop_challenge);
}

static void test_slow_answer_to_repeated_challenge(void **state)
{
	struct datagram c, r;

	start(&a, A, 11, 0x4444444444444444);
	c = challenge(&b);
	assert_int_equal(give(&a, &c), NNM_INPUT_QUIET);
	r = answer();
	for (int i = 0; i < 10; i++)
		challenge(&b);
	assert_int_equal(give(&b, &r), NNM_INPUT_SESSION);
}

static void test_handshakes_are_limited(void **state)
{
	struct datagram c = challenge(&a);
	uint8_t buf[NNM_HANDSHAKE_BYTES];

	for (int i = 0; i < NNM_ANSWERS_MAX; i++) {
		now += NNM_ANSWER_SPAN_MS;
		assert_int_equal(give(&b, &c), NNM_INPUT_QUIET);
	}
	for (int i = 1; i < NNM_ANSWERS_MAX; i++)
		assert_int_equal(give(&b, &c), NNM_INPUT_QUIET);
	expect_drop(&b, &c, NNM_drop_handshake_rate);
	assert_int_equal(in.answer_len, 0);
	now += NNM_ANSWER_SPAN_MS;
	assert_int_equal(give(&b, &c), NNM_INPUT_QUIET);

	assert_true(nnm_session_challenge(&a, B, now, buf) > 0);
	assert_int_equal(nnm_session_challenge(&a, B, now + NNM_CHALLENGE_GAP_MS - 1, buf), 0);
}

/* Add on both, use on both, remove on both: data flows at every step. */
static void test_rolling_key_rotation(void **state)
{
	static const struct {
		int who;
		const char *keys;
	} steps[] = {
		{ 0, both_keys_use_1 }, { 1, both_keys_use_1 }, { 0, both_keys_use_2 },
		{ 1, both_keys_use_2 }, { 0, new_key },		{ 1, new_key },
	};
	struct datagram under_old_key = seal(&a, "kept"), d;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		use_keys(steps[i].who ? &b : &a, steps[i].keys);
		d = seal(&a, "to b");
		expect_text(&b, &d, "to b");
		d = seal(&b, "to a");
		expect_text(&a, &d, "to a");
	}
	assert_int_equal(d.data[4], 2);
	assert_int_equal(a.counters.v[B][NNM_sessions], 1);
	expect_drop(&b, &under_old_key, NNM_drop_key);
}

static void test_another_cluster_key(void **state)
{
	static const char stolen_id[] =
		"key 1 0101010101010101010101010101010101010101010101010101010101010101\n";
	struct datagram c, d;

	use_keys(&a, stolen_id);
	d = seal(&a, "x");
	expect_drop(&b, &d, NNM_drop_forged);
	c = challenge(&a);
	expect_drop(&b, &c, NNM_drop_forged);
}

static void test_sequence_survives_removal_of_the_peer(void **state)
{
	struct datagram d = seal(&a, "x"), e;
	uint64_t seq = a.peers[B].tx_seq;

	expect_text(&b, &d, "x");
	nnm_session_set_peer(&a, B, false);
	nnm_session_set_peer(&b, A, false);
	expect_drop(&b, &d, NNM_drop_sender);
	nnm_session_set_peer(&a, B, true);
	nnm_session_set_peer(&b, A, true);
	e = seal(&a, "x");
	assert_true(a.peers[B].tx_seq == seq + 1);
	expect_text(&b, &e, "x");
	expect_drop(&b, &d, NNM_drop_replay);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(test_both_ways),
		T(test_golden_datagram),
		T(test_replay),
		T(test_reordering_is_fine),
		T(test_flipped_bits),
		T(test_flipped_bits_of_handshakes),
		T(test_truncated_and_extended),
		T(test_header_claims),
		T(test_wrong_address),
		T(test_reflected),
		T(test_receiver_restarts),
		T(test_sender_restarts),
		T(test_replayed_handshakes),
		T(test_older_epoch_is_refused),
		T(test_same_counter_other_random),
		T(test_own_epoch_raised),
		T(test_challenge_grows_old),
		T(test_slow_answer_to_repeated_challenge),
		T(test_handshakes_are_limited),
		T(test_rolling_key_rotation),
		T(test_another_cluster_key),
		T(test_sequence_survives_removal_of_the_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
