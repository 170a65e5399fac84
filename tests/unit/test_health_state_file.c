/* SPDX-License-Identifier: GPL-2.0-only */
/* The state file and the messages of probers: what is written is read back,
 * what is damaged is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "health/health.h"
#include "health/probe_wire.h"
#include "health/state_file.h"
#include "health/svc_fsm.h"
#include "health/verdict.h"

static char *sample(size_t *ret_len)
{
	struct state_file_entry e[2] = {
		{ .entity = 0x123456789abcdef0,
		  .where = 7,
		  .since_s = 1764036000,
		  .admin = SVC_ADMIN_DRAINING,
		  .observed = HEALTH_UP,
		  .n_bindings = 2,
		  .verdicts = { VERDICT_PASS, VERDICT_FAIL },
		  .monitors = { 1, UINT64_MAX } },
		{ .entity = 1, .observed = HEALTH_DOWN },
	};

	return state_file_format(e, 2, ret_len);
}

static void test_round_trip(void **state)
{
	struct state_file file;
	size_t len;
	char *text = sample(&len);

	assert_int_equal(state_file_parse(text, len, &file), 0);
	assert_int_equal(file.n, 2);
	assert_true(file.entries[0].entity == 0x123456789abcdef0);
	assert_true(file.entries[0].where == 7);
	assert_int_equal(file.entries[0].since_s, 1764036000);
	assert_int_equal(file.entries[0].admin, SVC_ADMIN_DRAINING);
	assert_int_equal(file.entries[0].n_bindings, 2);
	assert_int_equal(file.entries[0].verdicts[1], VERDICT_FAIL);
	assert_true(file.entries[0].monitors[1] == UINT64_MAX);
	assert_int_equal(file.entries[1].observed, HEALTH_DOWN);
	state_file_free(&file);
	free(text);
}

static void test_every_damage_is_seen(void **state)
{
	struct state_file file;
	size_t len;
	char *text = sample(&len);

	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(state_file_parse(text, cut, &file), -EBADMSG);
	for (size_t at = 0; at < len; at++)
		for (int bit = 0; bit < 8; bit++) {
			text[at] ^= 1 << bit;
			assert_int_equal(state_file_parse(text, len, &file),
					 -EBADMSG);
			text[at] ^= 1 << bit;
		}
	free(text);
}

static void test_monitor_over_the_wire(void **state)
{
	char *args[] = { "one", "two", NULL };
	struct config_monitor in = {
		.name = "m",
		.entity = 5,
		.type = MONITOR_SCRIPT,
		.interval_ms = 1,
		.verify = true,
		.send = (char *)"\0\1",
		.send_len = 2,
		.script = (char *)"/bin/true",
		.script_args = args,
	};
	struct config_monitor out;
	uint8_t buf[4096];
	struct cursor c = cursor_on(buf, sizeof(buf));
	size_t len;

	probe_wire_put_monitor(&c, &in);
	assert_false(c.error);
	len = c.at;
	for (size_t cut = 0; cut < len; cut++) {
		c = cursor_on(buf, cut);
		assert_int_equal(probe_wire_get_monitor(&c, &out), -EBADMSG);
	}
	c = cursor_on(buf, len);
	assert_int_equal(probe_wire_get_monitor(&c, &out), 0);
	assert_string_equal(out.name, "m");
	assert_int_equal(out.send_len, 2);
	assert_memory_equal(out.send, "\0\1", 2);
	assert_null(out.expect);
	assert_string_equal(out.script_args[1], "two");
	assert_null(out.script_args[2]);
	assert_true(out.verify);
	probe_wire_free_monitor(&out);
}

static void test_hostile_state(void **state)
{
	struct probe_wire_state in = { .slot = 3,
				       .generation = 4,
				       .observed = HEALTH_UP,
				       .n_bindings = 1,
				       .verdicts = { VERDICT_PASS } },
				out;
	uint8_t buf[512];
	struct cursor c = cursor_on(buf, sizeof(buf));
	size_t len;

	reason_set(&in.reason, REASON_TIMEOUT, 9);
	reason_text(&in.reason, "a\x1b[31mb\nc", 9);
	assert_string_equal(in.reason.text, "a.[31mb");
	probe_wire_put_state(&c, &in);
	len = c.at;
	c = cursor_on(buf, len);
	assert_true(probe_wire_get_state(&c, &out));
	assert_int_equal(out.reason.detail, 9);
	for (size_t cut = 0; cut < len; cut++) {
		c = cursor_on(buf, cut);
		assert_false(probe_wire_get_state(&c, &out));
	}
	buf[8] = 3; /* observed */
	c = cursor_on(buf, len);
	assert_false(probe_wire_get_state(&c, &out));
	buf[8] = HEALTH_UP;
	buf[9] = BINDINGS_PER_SERVICE_MAX + 1;
	c = cursor_on(buf, len);
	assert_false(probe_wire_get_state(&c, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_damage_is_seen),
		cmocka_unit_test(test_monitor_over_the_wire),
		cmocka_unit_test(test_hostile_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
