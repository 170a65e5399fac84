/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The API server with a real client: the server's loop runs in one thread,
 * libcurl (or a bare socket, for what libcurl would not send) in the other.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "control/api.h"
#include "limits.h"

static struct {
	char dir[64], path[96];
	uv_loop_t loop;
	uv_async_t work;
	pthread_t thread;
	struct api *api;
	struct api_topic *topic;
	struct api_pending *pending;
	uv_timer_t timer;
	/* Given to the loop by on_work(). */
	int publish, stop;
	size_t publish_size;
	volatile int deferred, rows_done;
} server;

/* ---- server ------------------------------------------------------------ */

static void handle_echo(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	const char *query = api_query(request, "q");

	reply->json = json_object_new_object();
	json_object_object_add(reply->json, "method",
			       json_object_new_string(request->method));
	json_object_object_add(reply->json, "tail",
			       json_object_new_string(request->tail));
	json_object_object_add(reply->json, "ctx", json_object_new_string(ctx));
	json_object_object_add(reply->json, "len",
			       json_object_new_int64((int64_t)request->body_len));
	json_object_object_add(reply->json, "uid",
			       json_object_new_int64(request->uid));
	if (query)
		json_object_object_add(reply->json, "q",
				       json_object_new_string(query));
	if (request->json)
		json_object_object_add(reply->json, "body",
				       json_object_get(request->json));
}

static void handle_refuse(void *ctx, const struct api_request *request,
			  struct api_reply *reply)
{
	api_fail(reply, 409, "no \"%s\" today", request->tail);
}

static void on_defer_timer(uv_timer_t *timer)
{
	struct api_reply reply = { .json = json_object_new_string("late") };

	api_complete(server.pending, &reply);
	assert_null(reply.json);
}

static void handle_defer(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	struct api_reply now = { 0 };

	server.pending = api_defer(request);
	if (strcmp(request->tail, "now") == 0) {
		api_fail(&now, 410, "at once");
		api_complete(server.pending, &now);
	} else if (strcmp(request->tail, "never") == 0) {
		server.deferred = 1;
	} else {
		uv_timer_start(&server.timer, on_defer_timer, 20, 0);
	}
}

static struct json_object *next_row(void *ctx, size_t i)
{
	struct json_object *row;

	if (i >= (size_t)(intptr_t)ctx)
		return NULL;
	row = json_object_new_object();
	json_object_object_add(row, "row", json_object_new_int64((int64_t)i));
	return row;
}

static void rows_done(void *ctx)
{
	server.rows_done++;
}

static void handle_rows(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	reply->rows = (struct api_rows){
		.key = "rows",
		.next = next_row,
		.done = rows_done,
		.ctx = (void *)(intptr_t)atoi(request->tail),
	};
}

static void on_work(uv_async_t *async)
{
	char *filler = NULL;

	if (server.publish_size) {
		filler = malloc(server.publish_size + 1);
		memset(filler, 'x', server.publish_size);
		filler[server.publish_size] = '\0';
	}
	for (int i = 0; i < server.publish; i++) {
		struct json_object *event = json_object_new_object();

		json_object_object_add(event, "n", json_object_new_int(i));
		if (filler)
			json_object_object_add(event, "x",
					       json_object_new_string(filler));
		api_topic_publish(server.topic, event);
		json_object_put(event);
	}
	free(filler);
	server.publish = 0;
	if (server.stop) {
		api_free(server.api);
		uv_close((uv_handle_t *)&server.work, NULL);
		uv_close((uv_handle_t *)&server.timer, NULL);
	}
}

static void *serve(void *arg)
{
	uv_run(&server.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start(void **state)
{
	memset(&server, 0, sizeof(server));
	strcpy(server.dir, "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(server.dir));
	snprintf(server.path, sizeof(server.path), "%s/s.sock", server.dir);
	assert_int_equal(uv_loop_init(&server.loop), 0);
	uv_async_init(&server.loop, &server.work, on_work);
	uv_timer_init(&server.loop, &server.timer);
	assert_int_equal(api_new(&server.loop, server.path, &server.api), 0);
	api_route(server.api, "GET", "/v1/things", handle_echo, "short");
	api_route(server.api, "POST", "/v1/things", handle_echo, "short");
	api_route(server.api, "GET", "/v1/things/deep", handle_echo, "deep");
	api_route(server.api, "POST", "/v1/refuse", handle_refuse, NULL);
	api_route(server.api, "GET", "/v1/defer", handle_defer, NULL);
	api_route(server.api, "GET", "/v1/rows", handle_rows, NULL);
	server.topic = api_topic_new(server.api, "/v1/things/watch");
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	return 0;
}

static int stop(void **state)
{
	server.stop = 1;
	uv_async_send(&server.work);
	pthread_join(server.thread, NULL);
	/* Every handle must have been closed. */
	assert_int_equal(uv_loop_close(&server.loop), 0);
	assert_int_equal(access(server.path, F_OK), -1);
	assert_int_equal(rmdir(server.dir), 0);
	return 0;
}

/* ---- client ------------------------------------------------------------ */

struct answer {
	long status;
	char text[8192];
	size_t len;
};

static size_t take(char *data, size_t one, size_t n, void *arg)
{
	struct answer *answer = arg;
	size_t room = sizeof(answer->text) - 1 - answer->len;
	size_t part = n < room ? n : room;

	memcpy(answer->text + answer->len, data, part);
	answer->len += part;
	answer->text[answer->len] = '\0';
	return n;
}

static struct answer ask_as(const char *method, const char *path,
			    const char *body, size_t len, const char *type)
{
	struct answer answer = { 0 };
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	char url[512];

	snprintf(url, sizeof(url), "http://localhost%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, server.path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
	}
	if (type) {
		headers = curl_slist_append(headers, type);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	}
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return answer;
}

static struct answer ask(const char *method, const char *path,
			 const char *body)
{
	return ask_as(method, path, body, body ? strlen(body) : 0, NULL);
}

static int connect_raw(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, server.path);
	assert_int_equal(connect(fd, (void *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

/* Reads until TEXT has come, or the end. True if it came. */
static bool read_until(int fd, const char *text, char *buf, size_t size)
{
	time_t until = time(NULL) + 20;
	size_t len = 0;

	buf[0] = '\0';
	/* Keep-alives may come for ever, so silence is not the only end. */
	while (!strstr(buf, text) && len + 1 < size && time(NULL) < until) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		buf[len] = '\0';
	}
	return strstr(buf, text) != NULL;
}

/* ---- tests ------------------------------------------------------------- */

static void test_routes(void **state)
{
	static const struct {
		const char *what, *method, *path, *body;
		long status;
		const char *part;
	} rows[] = {
		{ "whole prefix", "GET", "/v1/things", NULL, 200,
		  "\"tail\":\"\",\"ctx\":\"short\"" },
		{ "tail", "GET", "/v1/things/a/b", NULL, 200,
		  "\"tail\":\"a/b\"" },
		{ "tail is decoded", "GET", "/v1/things/a%20b", NULL, 200,
		  "\"tail\":\"a b\"" },
		{ "longest prefix", "GET", "/v1/things/deep/x", NULL, 200,
		  "\"tail\":\"x\",\"ctx\":\"deep\"" },
		{ "prefix ends at a segment", "GET", "/v1/things/deepest", NULL,
		  200, "\"tail\":\"deepest\",\"ctx\":\"short\"" },
		{ "a longer prefix without the method", "POST",
		  "/v1/things/deep", "{}", 200, "\"ctx\":\"short\"" },
		{ "unknown path", "GET", "/v1/thing", NULL, 404,
		  "{\"error\":\"no such path\"}" },
		{ "root", "GET", "/", NULL, 404, "no such path" },
		{ "wrong method", "DELETE", "/v1/things/x", NULL, 405,
		  "does not have this method" },
		{ "refused", "POST", "/v1/refuse/cake", "{}", 409,
		  "{\"error\":\"no \\\"cake\\\" today\"}" },
		{ "query", "GET", "/v1/things?q=1%2F2&x", NULL, 200,
		  "\"q\":\"1/2\"" },
		{ "body", "POST", "/v1/things", " { \"a\" : [ 1 ] }\n", 200,
		  "\"body\":{\"a\":[1]}" },
		{ "a number is JSON", "POST", "/v1/things", "17", 200,
		  "\"body\":17" },
		{ "malformed body", "POST", "/v1/things", "{\n\"a\": }", 400,
		  "line 2: not JSON" },
		{ "cut body", "POST", "/v1/things", "{\"a\":", 400,
		  "it ends too early" },
		{ "text after the body", "POST", "/v1/things", "{} {}", 400,
		  "text after its end" },
		{ "later", "GET", "/v1/defer", NULL, 200, "\"late\"" },
		{ "deferred and answered at once", "GET", "/v1/defer/now", NULL,
		  410, "{\"error\":\"at once\"}" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer answer =
			ask(rows[i].method, rows[i].path, rows[i].body);

		print_message("row: %s\n", rows[i].what);
		assert_int_equal(answer.status, rows[i].status);
		if (!strstr(answer.text, rows[i].part))
			fail_msg("%s: %s", rows[i].what, answer.text);
	}
}

static void test_socket_is_private(void **state)
{
	struct stat st;
	struct api *second = NULL;

	assert_int_equal(stat(server.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* A living daemon's socket is not taken away. */
	assert_int_equal(api_new(&server.loop, server.path, &second),
			 -EADDRINUSE);
	assert_null(second);
}

static void test_stale_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/sluice-test-XXXXXX", path[128], long_path[256];
	uv_loop_t loop;
	struct api *api;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(api_new(&loop, path, &api), 0);
	api_free(api);
	uv_run(&loop, UV_RUN_DEFAULT);
	/* A plain file of that name is somebody's: left alone. */
	fclose(fopen(path, "w"));
	assert_int_equal(api_new(&loop, path, &api), -EEXIST);
	unlink(path);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(api_new(&loop, long_path, &api), -ENAMETOOLONG);
	assert_int_equal(uv_loop_close(&loop), 0);
	rmdir(dir);
}

static void test_text_body_is_not_parsed(void **state)
{
	struct answer answer =
		ask_as("POST", "/v1/things", "// no JSON", 10,
		       "Content-Type: text/plain; charset=utf-8");

	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.text, "\"len\":10"));
	assert_null(strstr(answer.text, "\"body\""));
}

static void test_large_body(void **state)
{
	size_t len = 5 << 20;
	char *body = malloc(len + 1);
	struct answer answer;

	memset(body, ' ', len);
	body[0] = '1';
	body[len] = '\0';
	answer = ask_as("POST", "/v1/things", body, len, NULL);
	free(body);
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.text, "\"len\":5242880"));
}

static void test_oversized_body(void **state)
{
	static char chunk[1 << 20];
	char text[4096];
	int fd = connect_raw();

	/* Announced: refused at once, nothing is read. */
	snprintf(text, sizeof(text),
		 "POST /v1/things HTTP/1.1\r\nHost: x\r\n"
		 "Content-Length: %llu\r\n\r\n",
		 (unsigned long long)API_BODY_MAX + 1);
	send_text(fd, text);
	assert_true(read_until(fd, "larger than", text, sizeof(text)));
	assert_non_null(strstr(text, " 413 "));
	close(fd);

	/* Not announced: refused at its end, the surplus is not kept. */
	fd = connect_raw();
	send_text(fd, "POST /v1/things HTTP/1.1\r\nHost: x\r\n"
		      "Transfer-Encoding: chunked\r\n\r\n");
	memset(chunk, ' ', sizeof(chunk));
	for (int i = 0; i < (API_BODY_MAX >> 20) + 2; i++) {
		send_text(fd, "100000\r\n");
		for (size_t n = 0; n < sizeof(chunk);) {
			ssize_t sent = send(fd, chunk + n, sizeof(chunk) - n,
					    MSG_NOSIGNAL);

			assert_true(sent > 0);
			n += (size_t)sent;
		}
		send_text(fd, "\r\n");
	}
	send_text(fd, "0\r\n\r\n");
	assert_true(read_until(fd, "larger than", text, sizeof(text)));
	assert_non_null(strstr(text, " 413 "));
	close(fd);
	assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
}

static void test_malformed_requests(void **state)
{
	static const char *const rows[] = {
		"GET\r\n\r\n",
		"GARBAGE GARBAGE GARBAGE\r\n\r\n",
		"GET /v1/things HTTP/9.9\r\n\r\n",
		"POST /v1/things HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: -1\r\n\r\n",
		"POST /v1/things HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /v1/things HTTP/1.1\r\nno colon\r\n\r\n",
		"GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = connect_raw();
		char text[4096];

		send_text(fd, rows[i]);
		shutdown(fd, SHUT_WR);
		/* An error or a closed connection; never a hang. */
		if (read_until(fd, "\r\n", text, sizeof(text)))
			assert_null(strstr(text, " 200 "));
		close(fd);
	}
	assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
}

/* A client that sends byte by byte is served, and holds nobody up. */
static void test_slow_request(void **state)
{
	const char *request = "POST /v1/things HTTP/1.1\r\nHost: x\r\n"
			      "Content-Length: 2\r\n\r\n{}";
	int fd = connect_raw();
	char text[4096];

	for (const char *p = request; *p; p++) {
		assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
		if (p[0] == '\n')
			assert_int_equal(ask("GET", "/v1/things", NULL).status,
					 200);
	}
	assert_true(read_until(fd, "\"len\":2", text, sizeof(text)));
	close(fd);
}

static void test_rows_of_long_lists(void **state)
{
	struct answer answer = ask("GET", "/v1/rows/0", NULL);
	char *text = malloc(8 << 20), *p;
	int fd;

	assert_string_equal(answer.text, "{\"rows\":[]}");
	answer = ask("GET", "/v1/rows/3", NULL);
	assert_string_equal(answer.text,
			    "{\"rows\":[{\"row\":0},{\"row\":1},{\"row\":2}]}");
	/* The server is done when it has seen the client take it all. */
	while (server.rows_done < 2)
		assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);

	/* Far more than a socket holds: others are served meanwhile. */
	fd = connect_raw();
	send_text(fd, "GET /v1/rows/100000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(fd, "\"row\":99}", text, 8 << 20));
	assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
	assert_int_equal(server.rows_done, 2);
	/* All come, in order, chunk headers aside. */
	assert_true(read_until(fd, "]}\r\n0\r\n", text, 8 << 20));
	p = strstr(text, "\"row\":99999}]}");
	assert_non_null(p);
	close(fd);

	/* A client that goes in the middle. */
	fd = connect_raw();
	send_text(fd, "GET /v1/rows/1000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(fd, "\"row\":99}", text, 8 << 20));
	close(fd);
	while (server.rows_done < 4)
		assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
	free(text);
}

static void publish(int n, size_t size)
{
	server.publish_size = size;
	server.publish = n;
	uv_async_send(&server.work);
}

static int open_stream(void)
{
	char text[4096];
	int fd = connect_raw();

	send_text(fd, "GET /v1/things/watch HTTP/1.1\r\nHost: x\r\n\r\n");
	/* The first, blank line: from here on nothing is missed. */
	assert_true(read_until(fd, "\r\n\r\n1\r\n\n\r\n", text, sizeof(text)));
	return fd;
}

static void test_stream(void **state)
{
	int a = open_stream(), b = open_stream();
	char text[4096];

	publish(3, 0);
	assert_true(read_until(a, "{\"n\":2}\n", text, sizeof(text)));
	assert_non_null(strstr(text, "{\"n\":0}\n{\"n\":1}\n"));
	assert_true(read_until(b, "{\"n\":2}\n", text, sizeof(text)));
	assert_null(strstr(text, "lost"));
	close(a);
	publish(1, 0);
	assert_true(read_until(b, "{\"n\":0}\n", text, sizeof(text)));
	/* The keep-alive finds the dead reader without events. */
	assert_true(read_until(b, "1\r\n\n\r\n", text, sizeof(text)));
	close(b);
}

static void test_slow_reader_is_told(void **state)
{
	int fd = open_stream();
	char *text = malloc(4 << 20);
	unsigned long long lost;

	/* 8 MB: more than its buffer and the socket's together. */
	publish(1000, 8192);
	assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
	while (server.publish)
		assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
	/* It wakes up and reads: the note comes with the next event. */
	for (time_t until = time(NULL) + 20; time(NULL) < until;) {
		publish(1, 0);
		if (read_until(fd, "lost", text, 600 << 10))
			break;
	}
	assert_non_null(strstr(text, "{\"lost\": "));
	assert_int_equal(
		sscanf(strstr(text, "{\"lost\": "), "{\"lost\": %llu", &lost),
		1);
	assert_in_range(lost, 100, 2000);
	free(text);
	close(fd);
}

/* The client of a deferred answer goes away; then the daemon stops with
 * another one still open: nothing leaks, nothing hangs (stop() checks). */
static void test_deferred_client_gone(void **state)
{
	int fd = connect_raw(), stream = open_stream();
	char text[64];

	send_text(fd, "GET /v1/defer/never HTTP/1.1\r\nHost: x\r\n\r\n");
	while (!server.deferred)
		assert_int_equal(ask("GET", "/v1/things", NULL).status, 200);
	server.stop = 1;
	uv_async_send(&server.work);
	assert_true(read_until(fd, " 503 ", text, sizeof(text)));
	/* The stream ends, too. */
	assert_false(read_until(stream, "never sent", text, sizeof(text)));
	close(fd);
	close(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_routes, start, stop),
		cmocka_unit_test_setup_teardown(test_socket_is_private, start,
						stop),
		cmocka_unit_test(test_stale_socket),
		cmocka_unit_test_setup_teardown(test_text_body_is_not_parsed,
						start, stop),
		cmocka_unit_test_setup_teardown(test_large_body, start, stop),
		cmocka_unit_test_setup_teardown(test_oversized_body, start,
						stop),
		cmocka_unit_test_setup_teardown(test_malformed_requests, start,
						stop),
		cmocka_unit_test_setup_teardown(test_slow_request, start, stop),
		cmocka_unit_test_setup_teardown(test_rows_of_long_lists, start,
						stop),
		cmocka_unit_test_setup_teardown(test_stream, start, stop),
		cmocka_unit_test_setup_teardown(test_slow_reader_is_told, start,
						stop),
		cmocka_unit_test_setup_teardown(test_deferred_client_gone,
						start, stop),
	};

	curl_global_init(CURL_GLOBAL_ALL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
