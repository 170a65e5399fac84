/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands that differ only by what the table says of them.
 */
#include "cli/run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/table.h"
#include "limits.h"

void run_print(const struct cli *cli, const struct cli_view *view,
	       struct json_object *json)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	if (cli->json || !view) {
		flags |= cli->pretty || !cli->json ? JSON_C_TO_STRING_PRETTY |
					       JSON_C_TO_STRING_SPACED :
				       JSON_C_TO_STRING_PLAIN;
		puts(json_object_to_json_string_ext(json, flags));
		return;
	}
	table_print(view, json);
}

/* Asks and, when done, says nothing; with -j it gives the answer. */
static int ask_quietly(struct cli *cli, const char *method,
		       const struct client_path *path, struct json_object *body)
{
	struct json_object *json;
	int rc = client_ask(cli, method, path, body, &json);

	json_object_put(body);
	if (rc)
		return rc;
	if (cli->json)
		run_print(cli, NULL, json);
	json_object_put(json);
	return CLI_DONE;
}

RUN(show)
{
	struct client_path path;
	struct json_object *json;
	int rc;

	client_path_init(&path, command->path);
	if (argc > 0)
		client_path_add(&path, argv[0]);
	rc = client_ask(cli, command->method, &path, NULL, &json);
	if (rc)
		return rc;
	run_print(cli, argc > 0 ? command->detail : command->view, json);
	json_object_put(json);
	return CLI_DONE;
}

RUN(query)
{
	struct client_path path;
	struct json_object *json, *truncated, *total;
	int rc;

	client_path_init(&path, command->path);
	for (int i = 0; i < argc; i += 2) {
		const char *key = args_key(command, argv[i], command->keys);

		if (!key)
			return CLI_USAGE;
		if (i + 1 >= argc)
			return cli_usage(command, "\"%s\" needs a value", key);
		client_path_query(&path, key, argv[i + 1]);
	}
	rc = client_ask(cli, command->method, &path, NULL, &json);
	if (rc)
		return rc;
	run_print(cli, command->view, json);
	if (!cli->json &&
	    json_object_object_get_ex(json, "truncated", &truncated) &&
	    json_object_get_boolean(truncated)) {
		printf("… more; \"limit N\" shows more");
		if (json_object_object_get_ex(json, "total", &total))
			printf(" of %lld",
			       (long long)json_object_get_int64(total));
		putchar('\n');
	}
	json_object_put(json);
	return CLI_DONE;
}

RUN(post)
{
	struct client_path path;
	struct json_object *json;
	int rc;

	(void)argc;
	(void)argv;
	client_path_init(&path, command->path);
	if (!command->view)
		return ask_quietly(cli, command->method, &path,
				   json_object_new_object());
	rc = client_ask(cli, command->method, &path, NULL, &json);
	if (rc)
		return rc;
	run_print(cli, command->view, json);
	json_object_put(json);
	return CLI_DONE;
}

RUN(name)
{
	struct client_path path;

	(void)argc;
	client_path_init(&path, command->path);
	client_path_add(&path, argv[0]);
	return ask_quietly(cli, command->method, &path, NULL);
}

RUN(edit)
{
	struct json_object *body = json_object_new_object();
	struct client_path path;
	int rc = args_object(command, argc - 1, argv + 1, body);

	if (rc == 0 && json_object_object_get_ex(body, "name", NULL))
		rc = cli_usage(command, "the name stands first, without "
					"\"name\"");
	if (rc) {
		json_object_put(body);
		return rc;
	}
	client_path_init(&path, command->path);
	client_path_add(&path, argv[0]);
	return ask_quietly(cli, command->method, &path, body);
}

/* kind 0: NAME holds the list (vserver bind VSERVER SERVICE); 1: TARGET does
 * (monitor bind MONITOR SERVICE). */
RUN(bind)
{
	static const char *const keys[] = { "weight", NULL };
	bool unbind = strcmp(command->method, "DELETE") == 0;
	const char *holder = argv[command->kind ? 1 : 0];
	const char *bound = argv[command->kind ? 0 : 1];
	struct json_object *body = NULL;
	struct client_path path;
	uint64_t weight;

	if (argc > 2) {
		if (unbind || argc != 4)
			return cli_usage(command, "unexpected \"%s\"", argv[2]);
		if (!args_key(command, argv[2], keys) ||
		    args_number(command, "weight", argv[3], 1, 65535, &weight))
			return CLI_USAGE;
		body = json_object_new_object();
		json_object_object_add(body, "weight",
				       json_object_new_int64((int64_t)weight));
	} else if (!unbind) {
		body = json_object_new_object();
	}
	client_path_init(&path, command->path);
	client_path_add(&path, holder);
	client_path_add(&path, command->kind ? "monitors" : "services");
	client_path_add(&path, bound);
	return ask_quietly(cli, command->method, &path, body);
}

RUN(scale)
{
	struct json_object *body;
	struct client_path path;
	uint64_t count;

	(void)argc;
	if (args_number(command, "N", argv[0],
			(uint64_t)command->kind >> 16, command->kind & 0xffff,
			&count))
		return CLI_USAGE;
	body = json_object_new_object();
	json_object_object_add(body, "count",
			       json_object_new_int64((int64_t)count));
	client_path_init(&path, command->path);
	return ask_quietly(cli, "POST", &path, body);
}

/* ---- streams ----------------------------------------------------------- */

static const char *text_of(struct json_object *event, const char *key)
{
	struct json_object *value = table_get(event, key);

	return value ? json_object_get_string(value) : NULL;
}

/* "12:00:01.234 w1 UP -> DOWN: reason", and other events as key=value. */
static void print_event(const struct cli *cli, const char *text,
			struct json_object *event)
{
	const char *service = text_of(event, "service");
	const char *state = text_of(event, "state");
	const char *before = text_of(event, "before");
	const char *reason = text_of(event, "reason");
	struct timespec now;
	struct tm tm;
	char clock[32];

	if (cli->json) {
		puts(text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s.%03ld ", clock, now.tv_nsec / 1000000);
	if (service && state) {
		cli_print_safe(service);
		printf(" %s%s%s", before ? before : "", before ? " -> " : "",
		       state);
		if (reason) {
			printf(": ");
			cli_print_safe(reason);
		}
	} else {
		bool first = true;

		json_object_object_foreach(event, key, value)
		{
			printf(first ? "%s=" : " %s=", key);
			cli_print_safe(value ? json_object_get_string(value) :
					       "-");
			first = false;
		}
	}
	putchar('\n');
}

RUN(stream)
{
	struct client_path path;

	(void)argc;
	(void)argv;
	client_path_init(&path, command->path);
	return client_stream(cli, &path, print_event);
}
