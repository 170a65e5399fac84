// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to bytes and back: golden bytes of every type (made from
 * PROTOCOL.md by a second implementation), limits, truncation, hostile counts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cluster/nnm_codec.h"
#include "cluster/nnm_header.h"
#include "map_abi.h"

static const struct view view = {
	.number = 0x0102030405060708,
	.configured = 0x8000000b,
	.members = 0x80000003,
	.incarnation = { [0] = 0x100, [1] = 0x101, [31] = 0x11f },
	.config = { [0] = 0x2000000000000000, [1] = 0x2000000000000001,
		    [31] = 0x200000000000001f },
};

static const struct service_state service = {
	.entity = 0xe1e2e3e4e5e6e7e8,
	.tag = 0xaabbccdd,
	.view = 0x77,
	.seq = 9,
	.owner = 5,
	.state = SVC_UP,
	.reason = 3,
	.flags = STATE_LOAD_OVER,
	.mac = { 2, 0, 0, 0, 0, 1 },
	.vlan = 100,
	.mss = 1460,
	.rr_weight = 7,
	.ttl_s = 60,
	.response_us = 1234,
	.load = 99,
};

static const char *const golden[] = {
	/* hello */
	"000000380000000701050000000000000000002a000000070000000600000001"
	"00000003a1a2a3a40000000c00000000000011110000000000002222",
	/* prepare */
	"010000140000000000000005000000000000004100000007",
	/* promise, nothing accepted */
	"02000018000000000000000500000000000000410000000000000000",
	/* promise with a value */
	"0200004c00000000000000050000000000000041000000000000002101020304"
	"050607088000000b800000030000010020000000000000000000010120000000"
	"000000010000011f200000000000001f",
	/* accept */
	"0300003c000000000000004101020304050607088000000b8000000300000100"
	"20000000000000000000010120000000000000010000011f200000000000001f",
	/* accepted */
	"0400001000000000000000050000000000000041",
	/* reject */
	"0500001000000000000000050000000000000061",
	/* commit */
	"0600003401020304050607088000000b80000003000001002000000000000000"
	"0000010120000000000000010000011f200000000000001f",
	/* state */
	"0700004e00010000000b0000000ce1e2e3e4e5e6e7e80000000000000077aabb"
	"ccdd0000000905020301020000000001006405b400070000003c000004d20000"
	"006300000000000000000000ffff0a00010b",
	/* path */
	"0800001400010000000b0000000c00000000000000e10300",
	/* ack */
	"0900001600000003000200000001000000020000000300000004",
	/* digest-ask */
	"0a00000a013f8000000000000001",
	/* digest */
	"0b00020e00ff0000000400000000000000990000000000000000000000000000"
	"000300000000000000060000000000000009000000000000000c000000000000"
	"000f000000000000001200000000000000150000000000000018000000000000"
	"001b000000000000001e00000000000000210000000000000024000000000000"
	"0027000000000000002a000000000000002d0000000000000030000000000000"
	"003300000000000000360000000000000039000000000000003c000000000000"
	"003f000000000000004200000000000000450000000000000048000000000000"
	"004b000000000000004e00000000000000510000000000000054000000000000"
	"0057000000000000005a000000000000005d0000000000000060000000000000"
	"006300000000000000660000000000000069000000000000006c000000000000"
	"006f000000000000007200000000000000750000000000000078000000000000"
	"007b000000000000007e00000000000000810000000000000084000000000000"
	"0087000000000000008a000000000000008d0000000000000090000000000000"
	"009300000000000000960000000000000099000000000000009c000000000000"
	"009f00000000000000a200000000000000a500000000000000a8000000000000"
	"00ab00000000000000ae00000000000000b100000000000000b4000000000000"
	"00b700000000000000ba00000000000000bd",
	/* list */
	"0c000031010fff000000040000000000000001ffffffffffffffff0001000000"
	"00000000e10000000000000008000000090000000a",
	/* pull */
	"0d000012000200000000000000e100000000000000e2",
};
#define ROWS (sizeof(golden) / sizeof(golden[0]))

static const char *const names[ROWS] = {
	"hello", "prepare", "promise", "promise", "accept", "accepted", "reject", "commit",
	"state", "path", "ack", "digest-ask", "digest", "list", "pull",
};

static struct message sample(size_t row)
{
	static const uint8_t v4[16] = { [10] = 0xff, 0xff, 10, 0, 1, 11 };
	struct message m = { .type = row < 3 ? (uint8_t)row : (uint8_t)(row - 1) };

	switch (row) {
	case 0:
		m.hello = (struct msg_hello){
			.seq = 7, .admin = ADMIN_PASSIVE,
			.flags = HELLO_LATE | HELLO_READY, .view = 42, .configured = 7,
			.heard = 6, .accused = 1, .synced = 3,
			.synced_lives = 0xa1a2a3a4, .config_seq = 12,
			.config_digest = 0x1111, .record_digest = 0x2222,
		};
		break;
	case 1:
		m.prepare = (struct msg_prepare){ 5, 0x41, 7 };
		break;
	case 2:
		m.promise = (struct msg_promise){ .slot = 5, .ballot = 0x41 };
		break;
	case 3:
		m.promise = (struct msg_promise){ 5, 0x41, 0x21, view };
		break;
	case 4:
		m.accept = (struct msg_accept){ 0x41, view };
		break;
	case 5:
		m.accepted = (struct msg_accepted){ 5, 0x41 };
		break;
	case 6:
		m.reject = (struct msg_reject){ 5, 0x61 };
		break;
	case 7:
		m.commit.view = view;
		break;
	case 8:
		m.state.n = 1;
		m.state.item[0] = (struct msg_state_item){ 11, 12, service };
		memcpy(&m.state.item[0].state.addr, v4, sizeof(v4));
		break;
	case 9:
		m.path.n = 1;
		m.path.item[0] = (struct msg_path_item){ 11, 12, 0xe1, 1, 0, 1 };
		break;
	case 10:
		m.ack = (struct msg_ack){ 3, 2, { { 1, 2 }, { 3, 4 } } };
		break;
	case 11:
		m.digest_ask = (struct msg_digest_ask){ DIGEST_RECORDS, 63, 0x8000000000000001 };
		break;
	case 12:
		m.digest = (struct msg_digest){ DIGEST_CONFIG, DIGEST_ROOT, 4, 0x99, { 0 } };
		for (unsigned int i = 0; i < MSG_DIGESTS; i++)
			m.digest.digest[i] = i * 3;
		break;
	case 13:
		m.list = (struct msg_list){ DIGEST_RECORDS, 4095, 4, 1, UINT64_MAX, 1, { { 0 } } };
		m.list.item[0] = (struct msg_list_item){ 0xe1, 8, 9, 10 };
		break;
	case 14:
		m.pull = (struct msg_pull){ 2, { 0xe1, 0xe2 } };
		break;
	}
	return m;
}

static size_t from_hex(const char *hex, uint8_t *to)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		const char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		to[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static enum nnm_codec_result decode(const uint8_t *data, size_t len, struct message *ret)
{
	struct wire_reader r;
	enum nnm_codec_result result;

	wire_reader_init(&r, data, len);
	result = nnm_codec_get(&r, ret);
	if (result != NNM_CODEC_BAD)
		assert_true(wire_reader_done(&r));
	else
		assert_true(r.failed);
	return result;
}

static void test_golden_bytes(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t want[NNM_BODY_MAX], got[NNM_BODY_MAX];
		size_t len = from_hex(golden[i], want);
		struct message m = sample(i), back;
		struct wire_writer w;

		print_message("%s\n", names[i]);
		assert_string_equal(nnm_codec_type_name(m.type), names[i]);
		wire_writer_init(&w, got, sizeof(got));
		assert_int_equal(nnm_codec_put(&w, &m), 0);
		assert_int_equal(wire_written(&w), len);
		assert_memory_equal(got, want, len);
		assert_int_equal(nnm_codec_size(&m), len);
		assert_int_equal(decode(want, len, &back), NNM_CODEC_OK);
		assert_memory_equal(&m, &back, sizeof(m));
	}
}

/* Every type is in the list above. */
static void test_all_types_are_covered(void **state)
{
	for (unsigned int type = 0; type < MSG_TYPE_COUNT; type++) {
		bool found = false;

		for (size_t i = 0; i < ROWS; i++)
			found |= sample(i).type == type;
		assert_true(found);
	}
}

static void test_truncated_at_every_byte(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint8_t data[NNM_BODY_MAX], copy[NNM_BODY_MAX];
		size_t len = from_hex(golden[i], data);
		struct message m;

		for (size_t cut = 0; cut < len; cut++) {
			assert_int_equal(decode(data, cut, &m), NNM_CODEC_BAD);
			if (cut < NNM_FRAME_BYTES)
				continue;
			/* The length tells the truth, the body is short. */
			memcpy(copy, data, cut);
			copy[2] = (uint8_t)((cut - NNM_FRAME_BYTES) >> 8);
			copy[3] = (uint8_t)(cut - NNM_FRAME_BYTES);
			assert_int_equal(decode(copy, cut, &m), NNM_CODEC_BAD);
		}
		/* And one too many. */
		memcpy(copy, data, len);
		copy[len] = 0;
		copy[2] = (uint8_t)((len + 1 - NNM_FRAME_BYTES) >> 8);
		copy[3] = (uint8_t)(len + 1 - NNM_FRAME_BYTES);
		assert_int_equal(decode(copy, len + 1, &m), NNM_CODEC_BAD);
	}
}

static void test_values_out_of_range(void **state)
{
	static const struct {
		const char *name;
		size_t row, at, bytes;
		uint64_t value;
	} rows[] = {
		{ "hello: admin", 0, 4 + 4, 1, ADMIN_COUNT },
		{ "state: no items", 8, 4, 2, 0 },
		{ "state: a million items", 8, 4, 2, 0xffff },
		{ "state: entity 0", 8, 4 + 2 + 8, 8, 0 },
		{ "state: owner 32", 8, 4 + 2 + 8 + 24, 1, 32 },
		{ "state: state", 8, 4 + 2 + 8 + 25, 1, SVC_DOWN_GOING_OUT + 1 },
		{ "path: no items", 9, 4, 2, 0 },
		{ "path: stamp 0", 9, 4 + 2 + 4, 4, 0 },
		{ "path: entity 0", 9, 4 + 2 + 8, 8, 0 },
		{ "path: known 4", 9, 4 + 2 + 16, 1, 4 },
		{ "path: reachable 2", 9, 4 + 2 + 17, 1, 2 },
		{ "ack: no items", 10, 8, 2, 0 },
		{ "ack: too many", 10, 8, 2, MSG_ACKS_MAX + 1 },
		{ "digest-ask: kind", 11, 4, 1, DIGEST_KINDS },
		{ "digest-ask: group", 11, 5, 1, DIGEST_GROUPS },
		{ "digest-ask: lists of the root", 11, 5, 1, DIGEST_ROOT },
		{ "digest: kind", 12, 4, 1, DIGEST_KINDS },
		{ "digest: group", 12, 5, 1, 254 },
		{ "list: kind", 13, 4, 1, 7 },
		{ "list: bucket", 13, 5, 2, DIGEST_BUCKETS },
		{ "list: count", 13, 4 + 23, 2, MSG_LIST_MAX + 1 },
		{ "pull: none", 14, 4, 2, 0 },
		{ "pull: too many", 14, 4, 2, MSG_PULL_MAX + 1 },
		{ "commit: more members than bytes", 7, 4 + 12, 4, 0xffffffff },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t data[NNM_BODY_MAX];
		size_t len = from_hex(golden[rows[i].row], data);
		struct message m;

		print_message("%s\n", rows[i].name);
		assert_int_equal(decode(data, len, &m), NNM_CODEC_OK);
		for (size_t b = 0; b < rows[i].bytes; b++)
			data[rows[i].at + b] =
				(uint8_t)(rows[i].value >> 8 * (rows[i].bytes - 1 - b));
		assert_int_equal(decode(data, len, &m), NNM_CODEC_BAD);
	}
}

/* The largest of each fits into a datagram with its acknowledgement. */
static void test_largest_messages_fit(void **state)
{
	struct message m = { .type = MSG_PROMISE };
	size_t room = NNM_TEXT_MAX - 32;

	m.promise.accepted = 1;
	m.promise.value.members = UINT32_MAX;
	assert_true(nnm_codec_size(&m) <= room);
	memset(&m, 0, sizeof(m));
	m.type = MSG_STATE;
	m.state.n = MSG_STATES_MAX;
	for (int i = 0; i < MSG_STATES_MAX; i++)
		m.state.item[i].state = service;
	assert_true(nnm_codec_size(&m) <= room);
	memset(&m, 0, sizeof(m));
	m.type = MSG_PATH;
	m.path.n = MSG_PATHS_MAX;
	for (int i = 0; i < MSG_PATHS_MAX; i++)
		m.path.item[i] = (struct msg_path_item){ .stamp = 1, .entity = 1 };
	assert_true(nnm_codec_size(&m) <= room);
	memset(&m, 0, sizeof(m));
	m.type = MSG_ACK;
	m.ack.n = MSG_ACKS_MAX;
	assert_true(nnm_codec_size(&m) <= room);
	m.type = MSG_LIST;
	memset(&m.list, 0, sizeof(m.list));
	m.list.n = MSG_LIST_MAX;
	assert_true(nnm_codec_size(&m) <= room);
	m.type = MSG_PULL;
	m.pull.n = MSG_PULL_MAX;
	assert_true(nnm_codec_size(&m) <= room);
	assert_true(nnm_codec_size(&m) <= NNM_FRAME_BYTES + NNM_BODY_MAX);
}

static void test_types_of_later_versions_are_skipped(void **state)
{
	uint8_t data[256] = { 200, 9, 0, 3, 1, 2, 3 };
	size_t len = from_hex(golden[1], data + 7);
	struct wire_reader r;
	struct message m;

	wire_reader_init(&r, data, 7 + len);
	assert_int_equal(nnm_codec_get(&r, &m), NNM_CODEC_UNKNOWN);
	assert_int_equal(nnm_codec_get(&r, &m), NNM_CODEC_OK);
	assert_int_equal(m.type, MSG_PREPARE);
	assert_true(wire_reader_done(&r));
}

static void test_full_buffer(void **state)
{
	struct message m = sample(8);
	uint8_t buf[64];
	struct wire_writer w;

	wire_writer_init(&w, buf, sizeof(buf));
	assert_int_equal(nnm_codec_put(&w, &m), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_all_types_are_covered),
		cmocka_unit_test(test_truncated_at_every_byte),
		cmocka_unit_test(test_values_out_of_range),
		cmocka_unit_test(test_largest_messages_fit),
		cmocka_unit_test(test_types_of_later_versions_are_skipped),
		cmocka_unit_test(test_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
