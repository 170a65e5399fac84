/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Edits of the configuration at run time: what they make, what they refuse,
 * and that the configuration they start from is never touched.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "config/config_edit.h"

static const char base[] =
	"{\"monitors\":[{\"name\":\"m\",\"type\":\"tcp\"},"
	"{\"name\":\"n\",\"type\":\"ping\"}],"
	"\"services\":[{\"name\":\"a\",\"address\":\"10.0.0.1\",\"port\":80,"
	"\"monitors\":[{\"monitor\":\"m\"}]},"
	"{\"name\":\"b\",\"address\":\"10.0.0.2\",\"port\":80}],"
	"\"vservers\":[{\"name\":\"v\",\"address\":\"192.0.2.1\",\"port\":80,"
	"\"services\":[{\"service\":\"a\"}],\"backup\":\"w\"},"
	"{\"name\":\"w\",\"address\":\"192.0.2.2\",\"port\":80}]}";

enum verb { ADD, SET, REMOVE, BIND, UNBIND };

struct row {
	const char *what;
	enum verb verb;
	enum config_kind kind;
	const char *name, *target;
	const char *keys;  /* JSON */
	uint32_t weight;
	int rc;
	/* rc 0: part of the resulting JSON; else: the error. */
	const char *expected;
};

#define V CONFIG_KIND_VSERVER
#define S CONFIG_KIND_SERVICE
#define M CONFIG_KIND_MONITOR

static const struct row rows[] = {
	{ "add a service", ADD, S, "c", NULL,
	  "{\"address\":\"10.0.0.3\",\"port\":80}", 0, 0,
	  "{\"name\":\"c\",\"address\":\"10.0.0.3\",\"port\":80}]" },
	{ "add with its name", ADD, S, "c", NULL,
	  "{\"name\":\"c\",\"address\":\"10.0.0.3\",\"port\":80}", 0, 0,
	  "{\"name\":\"c\"" },
	{ "add with another name", ADD, S, "c", NULL, "{\"name\":\"d\"}", 0,
	  -EINVAL,
	  "a service cannot be renamed: \"name\" must be \"c\" or left out" },
	{ "add what is there", ADD, V, "v", NULL, "{}", 0, -EEXIST,
	  "there is a vserver \"v\" already" },
	{ "add without keys", ADD, V, "x", NULL, "[]", 0, -EINVAL,
	  "expected an object with the keys of the vserver" },
	{ "set", SET, S, "b", NULL, "{\"port\":81,\"conns_max\":5}", 0, 0,
	  "{\"name\":\"b\",\"address\":\"10.0.0.2\",\"port\":81,"
	  "\"conns_max\":5}" },
	{ "set back to the default", SET, V, "v", NULL, "{\"backup\":null}", 0,
	  0, "\"services\":[{\"service\":\"a\"}]}," },
	{ "set unknown", SET, M, "x", NULL, "{}", 0, -ENOENT,
	  "there is no monitor \"x\"" },
	{ "rename", SET, M, "m", NULL, "{\"name\":\"q\"}", 0, -EINVAL,
	  "a monitor cannot be renamed: \"name\" must be \"m\" or left out" },
	{ "remove", REMOVE, S, "b", NULL, NULL, 0, 0,
	  "\"monitors\":[{\"monitor\":\"m\"}]}],\"vservers\"" },
	{ "remove unknown", REMOVE, S, "x", NULL, NULL, 0, -ENOENT,
	  "there is no service \"x\"" },
	{ "remove a service in use", REMOVE, S, "a", NULL, NULL, 0, -EBUSY,
	  "service \"a\" is in use by vserver \"v\": unbind it first" },
	{ "remove a monitor in use", REMOVE, M, "m", NULL, NULL, 0, -EBUSY,
	  "monitor \"m\" is in use by service \"a\": unbind it first" },
	{ "remove a backup in use", REMOVE, V, "w", NULL, NULL, 0, -EBUSY,
	  "vserver \"w\" is in use by vserver \"v\": unbind it first" },
	{ "remove a vserver", REMOVE, V, "v", NULL, NULL, 0, 0,
	  "\"vservers\":[{\"name\":\"w\"" },
	{ "bind a service", BIND, V, "v", "b", NULL, 3, 0,
	  "[{\"service\":\"a\"},{\"service\":\"b\",\"weight\":3}]" },
	{ "bind the first", BIND, V, "w", "b", NULL, 0, 0,
	  "\"port\":80,\"services\":[{\"service\":\"b\",\"weight\":1}]}]" },
	{ "bind again: weight", BIND, V, "v", "a", NULL, 9, 0,
	  "[{\"service\":\"a\",\"weight\":9}]" },
	{ "bind again: nothing", BIND, V, "v", "a", NULL, 0, 0,
	  "[{\"service\":\"a\"}]" },
	{ "bind a monitor", BIND, S, "b", "n", NULL, 0, 0,
	  "\"monitors\":[{\"monitor\":\"n\",\"weight\":1}]" },
	{ "bind to nothing", BIND, V, "x", "a", NULL, 0, -ENOENT,
	  "there is no vserver \"x\"" },
	{ "bind to a monitor", BIND, M, "m", "a", NULL, 0, -EINVAL,
	  "nothing is bound to a monitor" },
	{ "unbind", UNBIND, V, "v", "a", NULL, 0, 0, "\"services\":[]" },
	{ "unbind what is not bound", UNBIND, V, "v", "b", NULL, 0, -ENOENT,
	  "service \"b\" is not bound to vserver \"v\"" },
};

static int edit(const struct row *row, struct json_object *source,
		struct json_object **ret, struct config_error *e)
{
	struct json_object *keys =
		row->keys ? json_tokener_parse(row->keys) : NULL;
	int rc = 0;

	switch (row->verb) {
	case ADD:
		rc = config_edit_add(source, row->kind, row->name, keys, ret,
				     e);
		break;
	case SET:
		rc = config_edit_set(source, row->kind, row->name, keys, ret,
				     e);
		break;
	case REMOVE:
		rc = config_edit_remove(source, row->kind, row->name, ret, e);
		break;
	case BIND:
		rc = config_edit_bind(source, row->kind, row->name, row->target,
				      row->weight, ret, e);
		break;
	case UNBIND:
		rc = config_edit_unbind(source, row->kind, row->name,
					row->target, ret, e);
		break;
	}
	json_object_put(keys);
	return rc;
}

static void test_rows(void **state)
{
	struct json_object *source = json_tokener_parse(base);
	char *before = strdup(json_object_to_json_string_ext(source, 0));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *result = NULL;
		struct config_error error = { "" };
		struct config *config;
		const char *text;
		int rc = edit(&rows[i], source, &result, &error);

		print_message("row: %s\n", rows[i].what);
		assert_int_equal(rc, rows[i].rc);
		assert_string_equal(json_object_to_json_string_ext(source, 0),
				    before);
		if (rc) {
			assert_string_equal(error.text, rows[i].expected);
			assert_null(result);
			continue;
		}
		text = json_object_to_json_string_ext(result, 0);
		if (!strstr(text, rows[i].expected))
			fail_msg("%s", text);
		/* And it is a configuration. */
		rc = config_from_json(result, &config, &error);
		assert_string_equal(error.text, "");
		assert_int_equal(rc, 0);
		config_free(config);
		json_object_put(result);
	}
	free(before);
	json_object_put(source);
}

/* Errors in values are found by the one checker and name the object. */
static void test_bad_values(void **state)
{
	static const struct {
		const char *keys, *error;
	} bad[] = {
		{ "{\"port\":99999}", "service \"b\", port: expected a number "
				      "from 1 to 65535, found 99999" },
		{ "{\"prt\":1}", "service \"b\", prt: unknown key of service" },
		{ "{\"monitors\":[{\"monitor\":\"x\"}]}",
		  "service \"b\", monitors[0].monitor: there is no monitor "
		  "\"x\"" },
		{ "{\"address\":\"0.0.0.0\"}",
		  "service \"b\", address: the unspecified address is not one "
		  "of a machine" },
	};
	struct json_object *source = json_tokener_parse(base);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_object *keys = json_tokener_parse(bad[i].keys);
		struct json_object *result;
		struct config_error error;
		struct config *config = NULL;

		assert_int_equal(config_edit_set(source, S, "b", keys, &result,
						 &error),
				 0);
		assert_int_equal(config_from_json(result, &config, &error),
				 -EINVAL);
		assert_string_equal(error.text, bad[i].error);
		assert_null(config);
		json_object_put(keys);
		json_object_put(result);
	}
	json_object_put(source);
}

static void test_top(void **state)
{
	struct json_object *source = json_tokener_parse(base), *result;
	struct config_error error;
	struct config *config;

	assert_int_equal(config_edit_top(source, "engines", 4, &result,
					 &error),
			 0);
	assert_int_equal(config_from_json(result, &config, &error), 0);
	assert_int_equal(config->engines, 4);
	config_free(config);
	json_object_put(result);
	assert_int_equal(config_edit_top(source, "engines", 99, &result,
					 &error),
			 0);
	assert_int_equal(config_from_json(result, &config, &error), -EINVAL);
	assert_string_equal(error.text, "engines: expected a number from 1 to "
					"16, found 99");
	json_object_put(result);
	json_object_put(source);
}

/* One edit among 70 000 services: the daemon's loop stops for this long. */
static void test_edit_of_many_is_quick(void **state)
{
	struct json_object *source = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct json_object *keys, *result;
	struct config_error error;
	struct config *config;
	struct timespec a, b;
	double ms;

	for (int i = 0; i < 70000; i++) {
		struct json_object *s = json_object_new_object();
		char text[32];

		sprintf(text, "s%d", i);
		json_object_object_add(s, "name", json_object_new_string(text));
		sprintf(text, "10.%d.%d.%d", 1 + (i >> 16), i >> 8 & 255,
			i & 255);
		json_object_object_add(s, "address",
				       json_object_new_string(text));
		json_object_object_add(s, "port", json_object_new_int(80));
		json_object_array_add(list, s);
	}
	json_object_object_add(source, "services", list);
	keys = json_tokener_parse("{\"port\":81}");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	assert_int_equal(config_edit_set(source, S, "s69999", keys, &result,
					 &error),
			 0);
	assert_int_equal(config_from_json(result, &config, &error), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ms = (double)(b.tv_sec - a.tv_sec) * 1e3 +
	     (double)(b.tv_nsec - a.tv_nsec) / 1e6;
	print_message("edit and check of 70000 services: %.1f ms of CPU\n", ms);
	assert_int_equal(config->services[69999].port, 81);
	assert_true(ms < 10000);
	config_free(config);
	json_object_put(result);
	json_object_put(keys);
	json_object_put(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_edit_of_many_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
