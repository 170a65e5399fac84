/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands with arguments or output of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/run.h"
#include "cli/table.h"
#include "config/config_keys.h"
#include "util/addr_text.h"

static int post_service(struct cli *cli, const char *name, const char *verb,
			struct json_object *body)
{
	struct client_path path;
	struct json_object *json;
	int rc;

	client_path_init(&path, "/v1/services");
	client_path_add(&path, name);
	client_path_add(&path, verb);
	rc = client_ask(cli, "POST", &path, body, &json);
	json_object_put(body);
	if (rc)
		return rc;
	if (cli->json)
		run_print(cli, NULL, json);
	json_object_put(json);
	return CLI_DONE;
}

RUN(enable)
{
	(void)command;
	(void)argc;
	return post_service(cli, argv[0], "enable", json_object_new_object());
}

RUN(disable)
{
	struct json_object *body = json_object_new_object();
	uint64_t delay;

	for (int i = 1; i < argc; i++) {
		/* "graceful" and "--graceful" are the same. */
		const char *word = argv[i] +
				   (strncmp(argv[i], "--", 2) == 0 ? 2 : 0);

		if (args_compare(word, "graceful")) {
			json_object_object_add(body, "graceful",
					       json_object_new_boolean(1));
		} else if (args_compare(word, "delay") && i + 1 < argc) {
			if (args_number(command, "delay", argv[++i], 0,
					86400 * 365, &delay)) {
				json_object_put(body);
				return CLI_USAGE;
			}
			json_object_object_add(
				body, "delay_s",
				json_object_new_int64((int64_t)delay));
		} else {
			json_object_put(body);
			return cli_usage(command, "unexpected \"%s\"", argv[i]);
		}
	}
	return post_service(cli, argv[0], "disable", body);
}

/* ---- monitor try ------------------------------------------------------- */

static void print_try(struct json_object *json)
{
	struct json_object *steps = table_get(json, "steps");
	struct json_object *elapsed = table_get(json, "elapsed_us");
	struct json_object *reason = table_get(json, "reason");
	size_t n = json_object_is_type(steps, json_type_array) ?
			   json_object_array_length(steps) :
			   0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);
		struct json_object *what = table_get(step, "what");
		double at_us = json_object_get_double(table_get(step, "at_us"));

		printf("%10.3f ms  ", at_us / 1000);
		cli_print_safe(what ? json_object_get_string(what) : "");
		putchar('\n');
	}
	printf("%s", json_object_get_boolean(table_get(json, "passed")) ?
			     "passed" :
			     "failed");
	if (elapsed)
		printf(" after %.3f ms",
		       json_object_get_double(elapsed) / 1000);
	if (reason) {
		printf(": ");
		cli_print_safe(json_object_get_string(reason));
	}
	putchar('\n');
}

RUN(try)
{
	struct json_object *body = json_object_new_object(), *json;
	struct client_path path;
	union ip_addr addr;
	uint16_t port;
	bool passed;
	int rc;

	json_object_object_add(body, "type", json_object_new_string(argv[0]));
	json_object_object_add(body, "target", json_object_new_string(argv[1]));
	if (addr_text_parse_port(argv[1], &addr, &port) &&
	    addr_text_parse(argv[1], &addr))
		rc = cli_usage(command,
			       "expected ADDRESS:PORT or [ADDRESS]:PORT, found "
			       "\"%s\"",
			       argv[1]);
	else
		rc = args_object(command, argc - 2, argv + 2, body);
	if (rc == 0) {
		client_path_init(&path, command->path);
		rc = client_ask(cli, "POST", &path, body, &json);
	}
	json_object_put(body);
	if (rc)
		return rc;
	passed = json_object_get_boolean(table_get(json, "passed"));
	if (cli->json)
		run_print(cli, NULL, json);
	else
		print_try(json);
	json_object_put(json);
	return passed ? CLI_DONE : cli_refused("the probe failed");
}

/* ---- flow where -------------------------------------------------------- */

RUN(where)
{
	static const char *const keys[] = { "proto", "src", "dst" };
	struct client_path path;
	struct json_object *json, *why;
	union ip_addr addr;
	uint16_t port;
	int rc;

	(void)argc;
	client_path_init(&path, command->path);
	for (int i = 0; i < 3; i++) {
		if (i > 0 && addr_text_parse_port(argv[i], &addr, &port))
			return cli_usage(command,
					 "expected ADDRESS:PORT or "
					 "[ADDRESS]:PORT, found \"%s\"",
					 argv[i]);
		client_path_query(&path, keys[i], argv[i]);
	}
	rc = client_ask(cli, "GET", &path, NULL, &json);
	if (rc)
		return rc;
	run_print(cli, command->view, json);
	why = table_get(json, "why");
	if (!cli->json && why) {
		printf("because ");
		cli_print_safe(json_object_get_string(why));
		putchar('\n');
	}
	json_object_put(json);
	return CLI_DONE;
}

/* ---- bucket show ------------------------------------------------------- */

RUN(buckets)
{
	struct client_path path;
	struct json_object *json, *nodes;
	int rc;

	(void)argc;
	(void)argv;
	client_path_init(&path, command->path);
	/* JSON is for tools: they get the whole table. */
	if (cli->json)
		client_path_query(&path, "all", "1");
	rc = client_ask(cli, "GET", &path, NULL, &json);
	if (rc)
		return rc;
	nodes = table_get(json, "node_buckets");
	if (!cli->json && json_object_is_type(nodes, json_type_object)) {
		printf("%-31s  %7s\n", "NODE", "BUCKETS");
		json_object_object_foreach(nodes, name, count)
		{
			printf("%-31s  %7lld\n", name,
			       (long long)json_object_get_int64(count));
		}
		putchar('\n');
	}
	run_print(cli, command->view, json);
	json_object_put(json);
	return CLI_DONE;
}

/* ---- stats ------------------------------------------------------------- */

static void print_per_cpu(struct json_object *json)
{
	struct json_object *list = table_get(json, "counters");
	size_t n = json_object_is_type(list, json_type_array) ?
			   json_object_array_length(list) :
			   0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *c = json_object_array_get_idx(list, i);
		struct json_object *cpus = table_get(c, "per_cpu");
		size_t m = json_object_is_type(cpus, json_type_array) ?
				   json_object_array_length(cpus) :
				   0;

		printf("%-20s %14lld ",
		       json_object_get_string(table_get(c, "name")),
		       (long long)json_object_get_int64(
			       table_get(c, "value")));
		for (size_t k = 0; k < m; k++)
			printf(" cpu%zu=%lld", k,
			       (long long)json_object_get_int64(
				       json_object_array_get_idx(cpus, k)));
		putchar('\n');
	}
}

RUN(stats)
{
	struct client_path path;
	struct json_object *json;
	bool verbose = false;
	int rc;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (i > 0 || !args_compare(argv[i], "show"))
			return cli_usage(command, "unexpected \"%s\"", argv[i]);
	}
	client_path_init(&path, command->path);
	if (verbose)
		client_path_query(&path, "cpu", "1");
	rc = client_ask(cli, "GET", &path, NULL, &json);
	if (rc)
		return rc;
	if (verbose && !cli->json)
		print_per_cpu(json);
	else
		run_print(cli, command->view, json);
	json_object_put(json);
	return CLI_DONE;
}

/* ---- config ------------------------------------------------------------ */

static int read_all(const char *path, char **ret, size_t *ret_len)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t len = 0, room = 1 << 16;
	char *text = file ? malloc(room) : NULL;

	if (!text) {
		if (file && file != stdin)
			fclose(file);
		return cli_refused("cannot read %s: %m", path);
	}
	for (;;) {
		size_t n = fread(text + len, 1, room - len, file);
		char *more;

		len += n;
		if (len < room || len > CONFIG_BYTES_MAX)
			break;
		room *= 2;
		more = realloc(text, room);
		if (!more)
			break;
		text = more;
	}
	if (ferror(file) || len > CONFIG_BYTES_MAX || len == room) {
		free(text);
		if (file != stdin)
			fclose(file);
		return cli_refused("cannot read %s: %s", path,
				   ferror(file) ? "input error" :
						  "larger than 64 MiB");
	}
	if (file != stdin)
		fclose(file);
	*ret = text;
	*ret_len = len;
	return CLI_DONE;
}

RUN(config_show)
{
	struct cli pretty = *cli;

	/* It is JSON anyway: for people it is indented. */
	pretty.pretty = cli->pretty || !cli->json;
	pretty.json = true;
	return run_show(&pretty, command, argc, argv);
}

RUN(config_apply)
{
	struct json_object *json;
	struct client_path path;
	char *text;
	size_t len;
	int rc = read_all(argv[0], &text, &len);

	(void)argc;
	if (rc)
		return rc;
	client_path_init(&path, command->path);
	client_path_query(&path, "name", argv[0]);
	rc = client_send_text(cli, "POST", &path, text, len, &json);
	free(text);
	if (rc)
		return rc;
	if (cli->json)
		run_print(cli, NULL, json);
	json_object_put(json);
	return CLI_DONE;
}

static int write_config(const char *path, struct json_object *json)
{
	FILE *file = fopen(path, "we");
	int bad;

	if (!file)
		return cli_refused("cannot write %s: %m", path);
	bad = fputs(json_object_to_json_string_ext(
			    json, JSON_C_TO_STRING_PRETTY |
					  JSON_C_TO_STRING_SPACED |
					  JSON_C_TO_STRING_NOSLASHESCAPE),
		    file) < 0;
	bad |= fputc('\n', file) == EOF;
	bad |= fclose(file) != 0;
	return bad ? cli_refused("cannot write %s: %m", path) : CLI_DONE;
}

/* Without FILE the daemon writes its own; with one, the client does, with
 * the rights of who asks. */
RUN(config_save)
{
	struct client_path path;
	struct json_object *json;
	int rc;

	client_path_init(&path,
			 argc > 0 ? "/v1/config" : "/v1/config/save");
	if (argc > 0)
		rc = client_ask(cli, "GET", &path, NULL, &json);
	else
		rc = client_ask(cli, "POST", &path, NULL, &json);
	if (rc)
		return rc;
	if (argc > 0)
		rc = write_config(argv[0], json);
	else
		run_print(cli, command->view, json);
	json_object_put(json);
	return rc;
}

/* Works without a daemon. */
RUN(config_check)
{
	struct config_error error;
	struct config *config;
	char *text;
	size_t len;
	int rc = read_all(argv[0], &text, &len);

	(void)command;
	(void)argc;
	if (rc)
		return rc;
	rc = config_parse(argv[0], text, len, &config, &error);
	free(text);
	if (rc)
		return cli_refused("%s", error.text);
	if (cli->json)
		printf("{\"ok\":true,\"vservers\":%zu,\"services\":%zu,"
		       "\"monitors\":%zu}\n",
		       config->n_vservers, config->n_services,
		       config->n_monitors);
	else
		printf("%s: good: %zu vservers, %zu services, %zu monitors\n",
		       argv[0], config->n_vservers, config->n_services,
		       config->n_monitors);
	config_free(config);
	return CLI_DONE;
}
