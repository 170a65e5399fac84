// SPDX-License-Identifier: GPL-2.0-only
/* Cursors over network bytes: order, bounds, sticky errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "util/wire.h"

static void test_golden_bytes(void **state)
{
	static const uint8_t want[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
					0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 'a', 'b' };
	uint8_t buf[sizeof(want)], two[2];
	struct wire_writer w;
	struct wire_reader r;

	wire_writer_init(&w, buf, sizeof(buf));
	wire_put_u8(&w, 0x01);
	wire_put_u16(&w, 0x0203);
	wire_put_u32(&w, 0x04050607);
	wire_put_u64(&w, 0x08090a0b0c0d0e0f);
	wire_put_bytes(&w, "ab", 2);
	assert_false(w.failed);
	assert_int_equal(wire_written(&w), sizeof(want));
	assert_int_equal(wire_room(&w), 0);
	assert_memory_equal(buf, want, sizeof(want));

	wire_reader_init(&r, want, sizeof(want));
	assert_int_equal(wire_get_u8(&r), 0x01);
	assert_int_equal(wire_get_u16(&r), 0x0203);
	assert_int_equal(wire_get_u32(&r), 0x04050607);
	assert_true(wire_get_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_false(wire_reader_done(&r));
	wire_get_bytes(&r, two, 2);
	assert_memory_equal(two, "ab", 2);
	assert_true(wire_reader_done(&r));
}

static void test_reading_past_the_end_is_sticky(void **state)
{
	static const uint8_t data[3] = { 1, 2, 3 };
	uint8_t bytes[4] = { 9, 9, 9, 9 };
	struct wire_reader r;

	wire_reader_init(&r, data, sizeof(data));
	assert_int_equal(wire_get_u32(&r), 0);
	assert_true(r.failed);
	/* The bytes are there, but the message is broken already. */
	assert_int_equal(wire_get_u8(&r), 0);
	assert_null(wire_get_view(&r, 1));
	wire_get_bytes(&r, bytes, sizeof(bytes));
	assert_int_equal(bytes[0] | bytes[1] | bytes[2] | bytes[3], 0);
	assert_int_equal(wire_left(&r), 0);
	assert_false(wire_reader_done(&r));
}

static void test_huge_lengths_do_not_wrap(void **state)
{
	static const uint8_t data[3] = { 1, 2, 3 };
	struct wire_reader r;

	wire_reader_init(&r, data, sizeof(data));
	assert_null(wire_get_view(&r, SIZE_MAX));
	assert_true(r.failed);
}

static void test_writing_past_the_end_is_sticky(void **state)
{
	uint8_t buf[4] = { 0, 0, 0, 0xee };
	struct wire_writer w;

	wire_writer_init(&w, buf, 3);
	wire_put_u16(&w, 0x1122);
	wire_put_u16(&w, 0x3344);
	assert_true(w.failed);
	wire_put_u8(&w, 0x55);
	assert_int_equal(wire_written(&w), 2);
	assert_int_equal(buf[2], 0);
	assert_int_equal(buf[3], 0xee);
}

static void test_patch(void **state)
{
	uint8_t buf[4];
	struct wire_writer w;

	wire_writer_init(&w, buf, sizeof(buf));
	wire_put_u16(&w, 0);
	wire_put_u16(&w, 0xffff);
	wire_patch_u16(&w, 0, 0x1234);
	assert_false(w.failed);
	assert_memory_equal(buf, "\x12\x34\xff\xff", 4);
	wire_patch_u16(&w, 3, 1);
	assert_true(w.failed);
}

static void test_reserved_bytes(void **state)
{
	static const uint8_t data[2] = { 0, 1 };
	struct wire_reader r;

	wire_reader_init(&r, data, sizeof(data));
	wire_expect_u8(&r, 0);
	assert_false(r.failed);
	wire_expect_u8(&r, 0);
	assert_true(r.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_reading_past_the_end_is_sticky),
		cmocka_unit_test(test_huge_lengths_do_not_wrap),
		cmocka_unit_test(test_writing_past_the_end_is_sticky),
		cmocka_unit_test(test_patch),
		cmocka_unit_test(test_reserved_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
