/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paths that change the configuration, with a real client and a daemon
 * that is reduced to "the configuration in use". A request that is refused,
 * for whatever reason, leaves that as it was.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "control/config_api.h"

static struct {
	char dir[64], socket[96], file[96];
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct api *api;
	struct config_api *config_api;
	struct config *config;
	uint32_t generation;
	int apply_rc; /* what the next apply answers */
	char command[128];
} d;

static const char base[] =
	"{\"services\":[{\"name\":\"a\",\"address\":\"10.0.0.1\",\"port\":80}],"
	"\"vservers\":[{\"name\":\"v\",\"address\":\"192.0.2.1\",\"port\":80,"
	"\"services\":[{\"service\":\"a\"}]}]}";

static const struct config *current(void *ctx)
{
	return d.config;
}

static int apply(void *ctx, struct config *config, uint32_t *ret_generation,
		 char *ret_error, size_t len)
{
	if (d.apply_rc) {
		snprintf(ret_error, len, "the kernel said no");
		config_free(config);
		return d.apply_rc;
	}
	config_free(d.config);
	d.config = config;
	*ret_generation = ++d.generation;
	return 0;
}

static void service_command(void *ctx, const struct config_service *service,
			    const char *verb, const struct api_request *request,
			    struct api_reply *reply)
{
	snprintf(d.command, sizeof(d.command), "%s %s %s", verb, service->name,
		 json_object_to_json_string_ext(request->json, 0));
}

static void on_stop(uv_async_t *async)
{
	api_free(d.api);
	config_api_free(d.config_api);
	uv_close((uv_handle_t *)async, NULL);
}

static void *serve(void *arg)
{
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start(void **state)
{
	static const struct config_api_ops ops = {
		.current = current,
		.apply = apply,
		.service_command = service_command,
	};
	struct config_error error;

	memset(&d, 0, sizeof(d));
	strcpy(d.dir, "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(d.dir));
	snprintf(d.socket, sizeof(d.socket), "%s/s.sock", d.dir);
	snprintf(d.file, sizeof(d.file), "%s/c.json", d.dir);
	assert_int_equal(config_parse("base", base, strlen(base), &d.config,
				      &error),
			 0);
	uv_loop_init(&d.loop);
	uv_async_init(&d.loop, &d.stop, on_stop);
	assert_int_equal(api_new(&d.loop, d.socket, &d.api), 0);
	assert_int_equal(config_api_new(d.api, &d.loop, d.file, &ops, NULL,
					&d.config_api),
			 0);
	return pthread_create(&d.thread, NULL, serve, NULL);
}

static int stop(void **state)
{
	uv_async_send(&d.stop);
	pthread_join(d.thread, NULL);
	assert_int_equal(uv_loop_close(&d.loop), 0);
	config_free(d.config);
	unlink(d.file);
	rmdir(d.dir);
	return 0;
}

static size_t take(char *data, size_t one, size_t n, void *arg)
{
	strncat(arg, data, n < 1000 ? n : 1000);
	return n;
}

static long ask(const char *method, const char *path, const char *body,
		const char *type, char *text)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	char url[256];
	long status;

	text[0] = '\0';
	snprintf(url, sizeof(url), "http://x%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, d.socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	if (type) {
		headers = curl_slist_append(headers, type);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	}
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return status;
}

static void test_changes(void **state)
{
	static const struct {
		const char *what, *method, *path, *body;
		int apply_rc;
		long status;
		const char *text;
	} rows[] = {
		{ "add", "POST", "/v1/services/b",
		  "{\"address\":\"10.0.0.2\",\"port\":80}", 0, 200,
		  "{\"generation\":1}" },
		{ "add again", "POST", "/v1/services/b", "{}", 0, 409,
		  "there is a service \\\"b\\\" already" },
		{ "add without a body", "POST", "/v1/services/c", NULL, 0, 400,
		  "expected an object" },
		{ "bad value", "PUT", "/v1/services/b", "{\"port\":0}", 0, 400,
		  "service \\\"b\\\", port: expected a number from 1" },
		{ "unknown", "PUT", "/v1/services/x", "{}", 0, 404,
		  "there is no service \\\"x\\\"" },
		{ "bind", "PUT", "/v1/vservers/v/services/b", "{\"weight\":2}",
		  0, 200, "{\"generation\":2}" },
		{ "bind without a body", "PUT", "/v1/vservers/v/services/b",
		  NULL, 0, 200, "{\"generation\":3}" },
		{ "bad weight", "PUT", "/v1/vservers/v/services/b",
		  "{\"weight\":\"2\"}", 0, 400,
		  "weight: expected a number from 1 to 65535" },
		{ "bind what is not there", "PUT", "/v1/vservers/v/services/x",
		  "{}", 0, 400, "there is no service \\\"x\\\"" },
		{ "in use", "DELETE", "/v1/services/b", NULL, 0, 409,
		  "unbind it first" },
		{ "unbind", "DELETE", "/v1/vservers/v/services/b", NULL, 0, 200,
		  "{\"generation\":4}" },
		{ "the kernel refuses", "DELETE", "/v1/services/b", NULL, -EIO,
		  500, "the kernel said no" },
		{ "contradicts what runs", "DELETE", "/v1/services/b", NULL,
		  -EBUSY, 409, "the kernel said no" },
		{ "remove", "DELETE", "/v1/services/b", NULL, 0, 200,
		  "{\"generation\":5}" },
		{ "wrong list", "PUT", "/v1/vservers/v/monitors/b", "{}", 0, 404,
		  "no such path" },
		{ "no name", "PUT", "/v1/services", "{}", 0, 404,
		  "no such path" },
		{ "too deep", "DELETE", "/v1/vservers/v/services/a/b", NULL, 0,
		  404, "no such path" },
		{ "order to nobody", "POST", "/v1/services/x/disable", "{}", 0,
		  404, "there is no service \\\"x\\\"" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct config *before = d.config;
		char text[2048];
		long status;

		print_message("row: %s\n", rows[i].what);
		d.apply_rc = rows[i].apply_rc;
		status = ask(rows[i].method, rows[i].path, rows[i].body, NULL,
			     text);
		if (!strstr(text, rows[i].text))
			fail_msg("%s", text);
		assert_int_equal(status, rows[i].status);
		assert_int_equal(status != 200, d.config == before);
	}
	/* Back where it began. */
	assert_string_equal(
		json_object_to_json_string_ext(d.config->source,
					       JSON_C_TO_STRING_PLAIN),
		base);
}

static void test_orders(void **state)
{
	char text[2048];

	assert_int_equal(ask("POST", "/v1/services/a/disable",
			     "{\"graceful\":true}", NULL, text),
			 200);
	assert_string_equal(d.command, "disable a {\"graceful\":true}");
	assert_int_equal(d.generation, 0);
}

static void test_whole(void **state)
{
	const char *type = "Content-Type: text/plain";
	struct config *saved;
	struct config_error error;
	char text[2048];
	struct stat st;

	assert_int_equal(ask("POST", "/v1/config?name=my.json",
			     "// c\n{ \"engines\": 0 }", type, text),
			 400);
	assert_non_null(strstr(text, "my.json:2: $.engines: expected"));
	assert_int_equal(d.generation, 0);
	/* Only checked. */
	assert_int_equal(ask("POST", "/v1/config?check=1", "{}", type, text),
			 200);
	assert_int_equal(d.generation, 0);
	assert_int_equal(ask("POST", "/v1/config", "{ \"engines\": 3, } // c",
			     type, text),
			 200);
	assert_string_equal(text, "{\"generation\":1}");
	assert_int_equal(d.config->engines, 3);
	assert_int_equal(ask("GET", "/v1/config", NULL, NULL, text), 200);
	assert_string_equal(text, "{\"engines\":3}");
	assert_false(config_api_saved(d.config_api));
	assert_int_equal(ask("POST", "/v1/config/save", NULL, NULL, text), 200);
	assert_true(config_api_saved(d.config_api));
	/* It may hold passwords. */
	assert_int_equal(stat(d.file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(config_load(d.file, &saved, &error), 0);
	assert_int_equal(saved->engines, 3);
	config_free(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, start, stop),
		cmocka_unit_test_setup_teardown(test_orders, start, stop),
		cmocka_unit_test_setup_teardown(test_whole, start, stop),
	};

	curl_global_init(CURL_GLOBAL_ALL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
