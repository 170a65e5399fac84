/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command `sluice` against a server made of the daemon's own api.c that
 * records what it was asked and answers what the row says. Each command runs
 * in a process of its own, as users run it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/dispatch.h"
#include "control/api.h"

static struct {
	char dir[64], path[96];
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct api *api;
	/* Set before a command runs, read after it has ended. */
	int status;
	const char *answer;
	char asked[4096];
} server;

/* ---- server ------------------------------------------------------------ */

static const char *const query_keys[] = { "name", "check", "proto", "src",
					  "dst",  "limit", "cpu",   "key",
					  "kind", "all",   NULL };

static void handle(void *ctx, const struct api_request *request,
		   struct api_reply *reply)
{
	size_t size = sizeof(server.asked);
	int n = snprintf(server.asked, size, "%s %s", request->method,
			 request->path);

	for (int i = 0; query_keys[i]; i++) {
		const char *value = api_query(request, query_keys[i]);

		if (value)
			n += snprintf(server.asked + n, size - (size_t)n,
				      " ?%s=%s", query_keys[i], value);
	}
	if (request->json)
		n += snprintf(server.asked + n, size - (size_t)n, " %s",
			      json_object_to_json_string_ext(
				      request->json,
				      JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (request->body_len)
		snprintf(server.asked + n, size - (size_t)n, " text:%s",
			 request->body);
	if (server.status >= 400)
		api_fail(reply, server.status, "%s", server.answer);
	else
		reply->json = json_tokener_parse(server.answer);
}

static void on_stop(uv_async_t *async)
{
	api_free(server.api);
	uv_close((uv_handle_t *)async, NULL);
}

static void *serve(void *arg)
{
	uv_run(&server.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start(void **state)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };

	strcpy(server.dir, "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(server.dir));
	snprintf(server.path, sizeof(server.path), "%s/s.sock", server.dir);
	uv_loop_init(&server.loop);
	uv_async_init(&server.loop, &server.stop, on_stop);
	assert_int_equal(api_new(&server.loop, server.path, &server.api), 0);
	for (int i = 0; i < 4; i++)
		api_route(server.api, methods[i], "/v1", handle, NULL);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	return 0;
}

static int stop(void **state)
{
	uv_async_send(&server.stop);
	pthread_join(server.thread, NULL);
	assert_int_equal(uv_loop_close(&server.loop), 0);
	rmdir(server.dir);
	return 0;
}

/* ---- command ----------------------------------------------------------- */

struct outcome {
	int status;
	char out[16384], err[4096];
};

static void drain(FILE *file, char *buf, size_t size)
{
	size_t n;

	rewind(file);
	n = fread(buf, 1, size - 1, file);
	buf[n] = '\0';
	fclose(file);
}

/* Words are split at blanks; "~" in a word stands for a blank. */
static struct outcome run_at(const char *socket, const char *line)
{
	char copy[1024], *argv[64] = { "sluice", "-s", (char *)socket };
	struct outcome outcome = { 0 };
	FILE *out = tmpfile(), *err = tmpfile();
	int argc = 3, status;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		for (char *p = word; *p; p++)
			if (*p == '~')
				*p = ' ';
		argv[argc++] = word;
	}
	server.asked[0] = '\0';
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(fileno(out), 1);
		dup2(fileno(err), 2);
		_exit(dispatch(argc, argv));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	outcome.status = WEXITSTATUS(status);
	drain(out, outcome.out, sizeof(outcome.out));
	drain(err, outcome.err, sizeof(outcome.err));
	return outcome;
}

static struct outcome run(const char *line)
{
	return run_at(server.path, line);
}

/* ---- what is asked ----------------------------------------------------- */

struct request_row {
	const char *line, *asked;
};

static const struct request_row request_rows[] = {
	{ "node", "GET /v1/node" },
	{ "n s", "GET /v1/node" },
	{ "vserver", "GET /v1/vservers" },
	{ "vserver show web", "GET /v1/vservers/web" },
	{ "vserver show a/b?c", "GET /v1/vservers/a/b?c" },
	{ "vserver add v address 192.0.2.1 port 80 mode dsr-l2 down_flush on "
	  "services w1,w2=3",
	  "POST /v1/vservers/v {\"address\":\"192.0.2.1\",\"port\":80,"
	  "\"mode\":\"dsr-l2\",\"down_flush\":true,\"services\":["
	  "{\"service\":\"w1\"},{\"weight\":3,\"service\":\"w2\"}]}" },
	{ "vserver set v addr 192.0.2.2 conns 1", NULL },
	{ "vserver set v persistence 60 est_s default",
	  "PUT /v1/vservers/v {\"persistence_s\":60,\"est_s\":null}" },
	{ "vserver rm v", "DELETE /v1/vservers/v" },
	{ "vserver bind v w3", "PUT /v1/vservers/v/services/w3 {}" },
	{ "vserver bind v w3 weight 5",
	  "PUT /v1/vservers/v/services/w3 {\"weight\":5}" },
	{ "vserver unbind v w3", "DELETE /v1/vservers/v/services/w3" },
	{ "service add w3 address 10.0.1.13 port 80",
	  "POST /v1/services/w3 {\"address\":\"10.0.1.13\",\"port\":80}" },
	{ "service set w3 conns_max 100 path_monitor true",
	  "PUT /v1/services/w3 {\"conns_max\":100,\"path_monitor\":true}" },
	{ "service enable w3", "POST /v1/services/w3/enable {}" },
	{ "service disable w3", "POST /v1/services/w3/disable {}" },
	{ "service dis w3 --graceful --delay 30",
	  "POST /v1/services/w3/disable {\"graceful\":true,\"delay_s\":30}" },
	{ "service disable w3 delay 0 graceful",
	  "POST /v1/services/w3/disable {\"delay_s\":0,\"graceful\":true}" },
	{ "monitor add m type tcp-ecv send a\\r\\n\\x00\\xff expect ^b.*~c$ "
	  "expect_regex yes",
	  "POST /v1/monitors/m {\"type\":\"tcp-ecv\",\"send\":"
	  "\"a\\r\\n\\u0000\xc3\xbf\",\"expect\":\"^b.*~c$\","
	  "\"expect_regex\":true}" },
	{ "monitor set m interval 100", "PUT /v1/monitors/m "
					"{\"interval_ms\":100}" },
	{ "monitor set m script /bin/x args a~b",
	  "PUT /v1/monitors/m {\"script\":\"/bin/x\",\"args\":[\"a\",\"b\"]}" },
	{ "monitor bind m w1 weight 2",
	  "PUT /v1/services/w1/monitors/m {\"weight\":2}" },
	{ "monitor unbind m w1", "DELETE /v1/services/w1/monitors/m" },
	{ "monitor try http [2001:db8::1]:80 path /x",
	  "POST /v1/monitors/try {\"type\":\"http\",\"target\":"
	  "\"[2001:db8::1]:80\",\"path\":\"/x\"}" },
	{ "prober scale 0", "POST /v1/probers/scale {\"count\":0}" },
	{ "engine scale 4", "POST /v1/engines/scale {\"count\":4}" },
	{ "bucket show", "GET /v1/buckets" },
	{ "-j bucket show", "GET /v1/buckets ?all=1" },
	{ "flow show", "GET /v1/flows" },
	{ "flow show proto tcp src [::1]:80 limit 10",
	  "GET /v1/flows ?proto=tcp ?src=[::1]:80 ?limit=10" },
	{ "flow where tcp 198.51.100.1:4000 192.0.2.1:80",
	  "GET /v1/flow-where ?proto=tcp ?src=198.51.100.1:4000 "
	  "?dst=192.0.2.1:80" },
	{ "datapath", "GET /v1/datapath" },
	{ "datapath swap", "POST /v1/datapath/swap {}" },
	{ "datapath detach", "POST /v1/datapath/detach {}" },
	{ "stats", "GET /v1/stats" },
	{ "stats -v", "GET /v1/stats ?cpu=1" },
	{ "hash 10.0.0.1:1 10.0.0.2:2",
	  "GET /v1/hash ?src=10.0.0.1:1 ?dst=10.0.0.2:2" },
	{ "config show", "GET /v1/config" },
	{ "config save", "POST /v1/config/save" },
	{ "cluster", "GET /v1/cluster" },
	{ "cluster leave", "POST /v1/cluster/leave {}" },
	{ "completion names services", "GET /v1/services" },
};

static void test_requests(void **state)
{
	server.status = 200;
	server.answer = "{\"passed\":true}";
	for (size_t i = 0;
	     i < sizeof(request_rows) / sizeof(request_rows[0]); i++) {
		const struct request_row *row = &request_rows[i];
		struct outcome outcome = run(row->line);
		char expected[1024];

		print_message("row: %s\n", row->line);
		if (!row->asked) {
			assert_int_equal(outcome.status, CLI_USAGE);
			assert_string_equal(server.asked, "");
			continue;
		}
		snprintf(expected, sizeof(expected), "%s", row->asked);
		/* The same sign for a blank as in the line. */
		if (strncmp(row->line, "monitor add", 11) == 0)
			for (char *p = expected; *p; p++)
				if (*p == '~')
					*p = ' ';
		assert_string_equal(server.asked, expected);
		assert_string_equal(outcome.err, "");
		assert_int_equal(outcome.status, CLI_DONE);
	}
}

/* ---- wrong usage ------------------------------------------------------- */

static void test_usage_errors(void **state)
{
	static const struct {
		const char *line, *err;
	} rows[] = {
		{ "nonsense", "unknown object \"nonsense\"" },
		{ "s", "\"s\" may mean service or stats" },
		{ "vserver frob", "vserver has no command \"frob\"" },
		{ "service s", "\"s\" may mean show or set" },
		{ "vserver rm", "arguments are missing" },
		{ "vserver rm a b", "unexpected \"b\"" },
		{ "service add w port eighty",
		  "port: expected a number, found \"eighty\"" },
		{ "service add w port", "\"port\" needs a value" },
		{ "service add w prt 80", "unknown key \"prt\"" },
		{ "service add w p 80", "may mean port or path_monitor" },
		{ "service add w port 80 port 81", "\"port\" is given twice" },
		{ "service add w name x", "the name stands first" },
		{ "service set w enabled maybe",
		  "enabled: expected true or false, found \"maybe\"" },
		{ "service disable w --fast", "unexpected \"--fast\"" },
		{ "service disable w --delay x",
		  "delay: expected a number from 0 to" },
		{ "monitor add m send \\xzz",
		  "send: expected text with the escapes" },
		{ "monitor try http nowhere",
		  "expected ADDRESS:PORT or [ADDRESS]:PORT" },
		{ "vserver bind v w weight 0",
		  "weight: expected a number from 1 to 65535" },
		{ "vserver bind v w wait 1", "unknown key \"wait\"" },
		{ "engine scale 17", "N: expected a number from 1 to 16" },
		{ "engine scale -1", "N: expected a number from 1 to 16" },
		{ "flow show colour red", "unknown key \"colour\"" },
		{ "flow where tcp 1.2.3.4 5.6.7.8:1",
		  "expected ADDRESS:PORT or [ADDRESS]:PORT" },
		{ "hash 1.2.3.4:1 [::1]:2", "must be of one family" },
		{ "hash 1.2.3.4:1 5.6.7.8", "or two addresses" },
		{ "hash 1.2.3.4 5.6.7.8 --key 00", "80 hexadecimal digits" },
		{ "completion fish", "the only shell known is bash" },
		{ "--frob", "unrecognized option" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome outcome = run(rows[i].line);

		print_message("row: %s\n", rows[i].line);
		if (!strstr(outcome.err, rows[i].err))
			fail_msg("stderr: %s", outcome.err);
		assert_int_equal(outcome.status, CLI_USAGE);
		/* Nothing was asked. */
		assert_string_equal(server.asked, "");
		assert_string_equal(outcome.out, "");
	}
}

/* ---- refusals ---------------------------------------------------------- */

static void test_refusals(void **state)
{
	struct outcome outcome;

	server.status = 404;
	server.answer = "there is no service \"w9\"\nreally";
	outcome = run("service rm w9");
	assert_int_equal(outcome.status, CLI_REFUSED);
	/* One line, whatever the daemon says. */
	assert_string_equal(outcome.err,
			    "sluice: there is no service \"w9\" really\n");
	assert_string_equal(outcome.out, "");
	outcome = run("service watch");
	assert_int_equal(outcome.status, CLI_REFUSED);
	assert_non_null(strstr(outcome.err, "there is no service"));

	server.status = 200;
	server.answer = "{\"passed\":false,\"reason\":\"timed out\",\"steps\":"
			"[{\"at_us\":1500,\"what\":\"connect\"}]}";
	outcome = run("monitor try tcp 10.0.0.1:80");
	assert_int_equal(outcome.status, CLI_REFUSED);
	assert_string_equal(outcome.out, "     1.500 ms  connect\n"
					 "failed: timed out\n");

	outcome = run_at("/nonexistent/s.sock", "node show");
	assert_int_equal(outcome.status, CLI_REFUSED);
	assert_string_equal(outcome.err,
			    "sluice: cannot reach the daemon at "
			    "/nonexistent/s.sock: No such file or directory "
			    "(is sluiced running?)\n");
}

/* ---- what is shown ----------------------------------------------------- */

static void test_tables(void **state)
{
	static const struct {
		const char *line, *answer, *out;
	} rows[] = {
		{ "vserver show",
		  "{\"vservers\":[{\"name\":\"web\",\"address\":\"192.0.2.1\","
		  "\"port\":80,\"protocol\":\"tcp\",\"state\":\"UP\","
		  "\"services_up\":1,\"services\":[{},{}],\"mode\":\"nat\","
		  "\"setup\":\"engine\",\"method\":\"maglev\",\"flows\":7,"
		  "\"packets\":12,\"bytes\":1258291},{\"name\":\"a\","
		  "\"address\":\"2001:db8::1\",\"port\":443}]}",
		  "VSERVER  ADDRESS            PROTO  STATE  UP  SERVICES  MODE"
		  "  SETUP   METHOD  FLOWS  PACKETS    BYTES\n"
		  "web      192.0.2.1:80       tcp    UP      1         2  nat "
		  "  engine  maglev      7       12  1.2 MiB\n"
		  "a        [2001:db8::1]:443  -      -       -         -  -   "
		  "  -       -           -        -        -\n" },
		{ "prober show", "{\"probers\":[]}",
		  "PROBER  PID  STATE  BINDINGS  PROBES  FAILED  LATE  "
		  "RESTARTS\n" },
		{ "prober show",
		  "{\"probers\":[{\"slot\":0,\"state\":\"a\\u001b[31mb\","
		  "\"lateness_us\":1234}]}",
		  "PROBER  PID  STATE    BINDINGS  PROBES  FAILED    LATE  "
		  "RESTARTS\n"
		  "0       -    a?[31mb         -       -       -  1.2 ms  "
		  "       -\n" },
		{ "bucket show",
		  "{\"node_buckets\":{\"n0\":4096},\"core_buckets\":[{"
		  "\"engine\":0,\"first\":512,\"second\":0}]}",
		  "NODE                             BUCKETS\n"
		  "n0                                  4096\n\n"
		  "ENGINE  BUCKETS  AS SECOND\n"
		  "0           512          0\n" },
		{ "flow where tcp 1.2.3.4:1 5.6.7.8:2",
		  "{\"hash\":\"0x1\",\"engines\":[0,1],\"why\":\"so it is\"}",
		  "hash         0x1\nengines      0,1\nbecause so it is\n" },
		{ "stats -v",
		  "{\"counters\":[{\"name\":\"fwd_tx\",\"value\":3,"
		  "\"per_cpu\":[1,2]}]}",
		  "fwd_tx                            3  cpu0=1 cpu1=2\n" },
		{ "-j node show", "{\"b\":1,\"a\":[\"/x\"]}",
		  "{\"b\":1,\"a\":[\"/x\"]}\n" },
		{ "-p node show", "{\"a\":1}", "{\n  \"a\": 1\n}\n" },
		{ "config show", "{\"a\":1}", "{\n  \"a\": 1\n}\n" },
		{ "-j engine scale 2", "{\"count\":2}", "{\"count\":2}\n" },
		{ "engine scale 2", "{\"count\":2}", "" },
		{ "config save", "{\"path\":\"/etc/x\"}",
		  "saved to  /etc/x\n" },
	};

	server.status = 200;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome outcome;

		print_message("row: %s\n", rows[i].line);
		server.answer = rows[i].answer;
		outcome = run(rows[i].line);
		assert_string_equal(outcome.out, rows[i].out);
		assert_int_equal(outcome.status, CLI_DONE);
	}
}

static void test_service_detail(void **state)
{
	struct outcome outcome;

	server.status = 200;
	server.answer = "{\"name\":\"w1\",\"address\":\"10.0.0.1\",\"port\":80,"
			"\"state\":\"UP\",\"vservers\":[\"a\",\"b\"],"
			"\"response_us\":830,\"cluster\":{\"owner\":\"n1\"},"
			"\"bindings\":[{\"monitor\":\"m\",\"passing\":true,"
			"\"next_ms\":1500}]}";
	outcome = run("service show w1");
	assert_int_equal(outcome.status, CLI_DONE);
	assert_non_null(strstr(outcome.out, "address         10.0.0.1:80\n"));
	assert_non_null(strstr(outcome.out, "response time   830 us\n"));
	assert_non_null(strstr(outcome.out, "vservers        a,b\n"));
	assert_non_null(strstr(outcome.out, "owner           n1\n"));
	assert_non_null(strstr(outcome.out, "\nMONITOR  TYPE"));
	assert_non_null(strstr(outcome.out, "1.5 s"));
	/* What the daemon does not say is left out. */
	assert_null(strstr(outcome.out, "slow start"));
}

/* ---- without a daemon -------------------------------------------------- */

static void test_hash_without_daemon(void **state)
{
	/* From the published verification suite. */
	static const struct {
		const char *line, *hash;
	} rows[] = {
		{ "-j hash 66.9.149.187:2794 161.142.100.80:1766",
		  "0x51ccc178" },
		{ "-j hash 66.9.149.187 161.142.100.80", "0x323e8fc2" },
		{ "-j hash [3ffe:2501:200:1fff::7]:2794 "
		  "[3ffe:2501:200:3::1]:1766",
		  "0x40207d3d" },
		{ "-j hash 3ffe:2501:200:1fff::7 3ffe:2501:200:3::1 --key "
		  "default",
		  "0x2cc18cd5" },
		{ "-j hash 66.9.149.187:2794 161.142.100.80:1766 key "
		  "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030"
		  "f20c6a42b73bbeac01fa",
		  "0x51ccc178" },
	};
	struct outcome a, b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a = run_at("/nonexistent", rows[i].line);
		assert_int_equal(a.status, CLI_DONE);
		if (!strstr(a.out, rows[i].hash))
			fail_msg("%s: %s", rows[i].line, a.out);
	}
	a = run_at("/nonexistent", "hash 1.2.3.4:1 5.6.7.8:2 --key symmetric");
	b = run_at("/nonexistent", "hash 5.6.7.8:2 1.2.3.4:1 --key symmetric");
	assert_string_equal(a.out, b.out);
}

static void test_config_files(void **state)
{
	char path[] = "/tmp/sluice-cli-XXXXXX", line[128], expected[256];
	int fd = mkstemp(path);
	struct outcome outcome;
	FILE *file;

	assert_int_equal(write(fd, "// c\n{ \"engine\": 1 }\n", 21), 21);
	close(fd);
	snprintf(line, sizeof(line), "config check %s", path);
	outcome = run_at("/nonexistent", line);
	assert_int_equal(outcome.status, CLI_REFUSED);
	snprintf(expected, sizeof(expected),
		 "sluice: %s:2: $.engine: unknown key of configuration\n",
		 path);
	assert_string_equal(outcome.err, expected);

	/* The text goes as it is, with its name; the daemon reads it. */
	server.status = 200;
	server.answer = "{\"generation\":2}";
	snprintf(line, sizeof(line), "config apply %s", path);
	outcome = run(line);
	assert_int_equal(outcome.status, CLI_DONE);
	snprintf(expected, sizeof(expected),
		 "POST /v1/config ?name=%s text:// c\n{ \"engine\": 1 }\n",
		 path);
	assert_string_equal(server.asked, expected);

	server.answer = "{\"engines\":3}";
	snprintf(line, sizeof(line), "config save %s", path);
	assert_int_equal(run(line).status, CLI_DONE);
	assert_string_equal(server.asked, "GET /v1/config");
	file = fopen(path, "r");
	assert_non_null(fgets(expected, sizeof(expected), file));
	assert_non_null(fgets(expected, sizeof(expected), file));
	assert_string_equal(expected, "  \"engines\": 3\n");
	fclose(file);
	unlink(path);
	assert_int_equal(run(line).status, CLI_DONE);
	unlink(path);
	assert_int_equal(run("config apply /nonexistent").status, CLI_REFUSED);
	assert_int_equal(run("config save /nonexistent/x").status,
			 CLI_REFUSED);
}

static void test_help_everywhere(void **state)
{
	static const struct {
		const char *line, *part;
	} rows[] = {
		{ "help", "Exit status: 0 done, 1 wrong usage, 2 refused." },
		{ "--help", "usage: sluice" },
		{ "help service", "service disable NAME" },
		{ "service help", "service disable NAME" },
		{ "service add help", "slow_start_ms" },
		{ "help monitor add", "interval_ms" },
		{ "flow show help", "keys: proto src" },
		{ "stats help", "usage: sluice stats [-v]" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome outcome =
			run_at("/nonexistent", rows[i].line);

		assert_int_equal(outcome.status, CLI_DONE);
		if (!strstr(outcome.out, rows[i].part))
			fail_msg("%s: %s", rows[i].line, outcome.out);
	}
	/* Every object has help. */
	for (size_t i = 0; i < cli_commands_count; i++) {
		char line[64];

		if (strcmp(cli_commands[i].object, "help") == 0)
			continue;
		snprintf(line, sizeof(line), "%s help",
			 cli_commands[i].object);
		assert_int_equal(run_at("/nonexistent", line).status, CLI_DONE);
	}
	assert_int_equal(run_at("/nonexistent", "").status, CLI_USAGE);
}

/* The script in a real bash: what Tab would offer. */
static void complete(const char *script, const char *words, int at,
		     const char *expected)
{
	char command[512], buf[2048] = "";
	FILE *pipe;
	size_t n;

	/* No `sluice` is on the path: names are not offered, nothing breaks. */
	snprintf(command, sizeof(command),
		 "bash -c 'source %s; COMP_WORDS=(%s); COMP_CWORD=%d; "
		 "_sluice; echo \"${COMPREPLY[*]}\"'",
		 script, words, at);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(buf, 1, sizeof(buf) - 1, pipe);
	buf[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
	if (strcmp(buf, expected) != 0)
		fail_msg("%s: expected %s, found %s", words, expected, buf);
}

static void test_bash_completion(void **state)
{
	struct outcome outcome = run_at("/nonexistent", "completion bash");
	char path[] = "/tmp/sluice-cli-XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(outcome.status, CLI_DONE);
	assert_int_equal(write(fd, outcome.out, strlen(outcome.out)),
			 strlen(outcome.out));
	close(fd);
	complete(path, "sluice vs", 1, "vserver\n");
	complete(path, "sluice -j -s /x serv", 4, "service\n");
	complete(path, "sluice service en", 2, "enable\n");
	complete(path, "sluice service disable w1 --g", 4, "--graceful\n");
	complete(path, "sluice monitor add m inter", 4, "interval_ms\n");
	complete(path, "sluice flow show proto tcp vs", 5, "vserver\n");
	complete(path, "sluice frob x", 2, "\n");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_service_detail),
		cmocka_unit_test(test_hash_without_daemon),
		cmocka_unit_test(test_config_files),
		cmocka_unit_test(test_help_everywhere),
		cmocka_unit_test(test_bash_completion),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
