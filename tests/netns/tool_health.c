/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's health module alone, for tests and benchmarks: no BPF, no
 * data plane. Commands on standard input, one a line; answers and events on
 * standard output, one JSON object a line.
 *
 *   tool_health [--state-dir DIR] [--probers N] CONFIG
 *
 *   apply FILE                     {"applied": 0}
 *   probers N                      {"scaled": 0}
 *   admin NAME enable|disable|graceful [SECONDS]   {"admin": 0}
 *   owned NAME 0|1, remote NAME up|down            {"owned": 0}
 *   flows NAME N                   what ops->connections() says
 *   passive NAME ATTEMPTS UNANSWERED RESETS        added to its counts
 *   show NAME                      {"show": {…}}
 *   show-probers                   {"probers": […]}
 *   stats                          {"up": n, "down": n, "unknown": n}
 *   try FILE                       {"tried": {…}}
 *   quit                           or end of input
 *
 * link-with: daemon/health/assign.c daemon/health/consolidate.c
 * link-with: daemon/health/health.c daemon/health/link.c
 * link-with: daemon/health/nfa.c daemon/health/passive.c
 * link-with: daemon/health/pool.c daemon/health/probe_wire.c
 * link-with: daemon/health/reason.c daemon/health/report.c
 * link-with: daemon/health/state_file.c daemon/health/status_table.c
 * link-with: daemon/health/svc_fsm.c daemon/health/table.c
 * link-with: daemon/health/ticks.c daemon/health/tries.c
 * link-with: daemon/health/verdict.c daemon/health/wheel.c
 * link-with: daemon/config/config.c daemon/config/config_check.c
 * link-with: daemon/config/config_edit.c daemon/config/config_help.c
 * link-with: daemon/config/config_index.c daemon/config/config_keys.c
 * link-with: daemon/config/config_read.c daemon/config/config_scan.c
 * link-with: daemon/config/config_schema.c daemon/util/addr_text.c
 * link-with: daemon/util/log.c daemon/util/u64_map.c
 * link-with: daemon/util/durable.c
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "health/health.h"
#include "util/log.h"
#include "util/u64_map.h"

struct facts {
	int64_t flows;
	struct health_passive passive;
};

static uv_loop_t loop;
static struct health *health;
static struct config *config;
static struct u64_map facts_of;
static struct facts facts[64];
static size_t n_facts;
static uv_poll_t input;
static bool quiet;
static size_t counts[6];

static struct facts *facts_find(uint64_t entity)
{
	uint32_t i;

	if (u64_map_get(&facts_of, entity, &i))
		return &facts[i];
	if (n_facts == 64)
		return NULL;
	u64_map_put(&facts_of, entity, n_facts);
	facts[n_facts].flows = 0;
	return &facts[n_facts++];
}

static void print(const char *key, struct json_object *value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, key, value);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(o);
}

static void on_state(void *ctx, const struct health_event *e)
{
	static size_t known;
	struct json_object *o;

	(void)ctx;
	if (e->before != e->state || known < 1) {
		if (counts[e->before])
			counts[e->before]--;
		counts[e->state]++;
	}
	if (quiet)
		return;
	o = json_object_new_object();
	json_object_object_add(o, "service", json_object_new_string(e->name));
	json_object_object_add(
		o, "state", json_object_new_string(health_state_name(e->state)));
	json_object_object_add(
		o, "before",
		json_object_new_string(health_state_name(e->before)));
	json_object_object_add(
		o, "observed",
		json_object_new_string(health_observed_name(e->observed)));
	json_object_object_add(o, "reason", json_object_new_string(e->reason));
	print("event", o);
}

static void on_slow(void *ctx, uint64_t entity, uint16_t scale)
{
	struct json_object *o = json_object_new_object();

	(void)ctx;
	json_object_object_add(o, "entity", json_object_new_uint64(entity));
	json_object_object_add(o, "scale", json_object_new_int(scale));
	if (!quiet)
		print("slow", o);
	else
		json_object_put(o);
}

static void on_response(void *ctx, uint64_t entity, uint32_t us)
{
	(void)ctx;
	(void)entity;
	(void)us;
}

static void on_load(void *ctx, uint64_t entity, uint32_t load, bool over)
{
	struct json_object *o = json_object_new_object();

	(void)ctx;
	json_object_object_add(o, "entity", json_object_new_uint64(entity));
	json_object_object_add(o, "load", json_object_new_int64(load));
	json_object_object_add(o, "over", json_object_new_boolean(over));
	print("load", o);
}

static int64_t on_connections(void *ctx, uint64_t entity)
{
	struct facts *f = facts_find(entity);

	(void)ctx;
	return f ? f->flows : -1;
}

static bool on_passive(void *ctx, uint64_t entity, struct health_passive *ret)
{
	struct facts *f = facts_find(entity);

	(void)ctx;
	if (f)
		*ret = f->passive;
	return f != NULL;
}

static int apply(const char *path)
{
	struct config_error error = { "" };
	struct config *next;
	int r = config_load(path, &next, &error);

	if (r) {
		fprintf(stderr, "%s\n", error.text);
		return r;
	}
	r = health_apply(health, next);
	if (!r)
		r = health_set_probers(health, next->probers);
	if (r) {
		config_free(next);
		return r;
	}
	config_free(config);
	config = next;
	return 0;
}

static void on_tried(void *ctx, struct json_object *result)
{
	(void)ctx;
	print("tried", result);
}

static int try(const char *path)
{
	struct config_error error = { "" };
	struct config *one;
	int r = config_load(path, &one, &error);

	if (r) {
		fprintf(stderr, "%s\n", error.text);
		return r;
	}
	r = health_try(health, one, on_tried, NULL);
	config_free(one);
	return r;
}

static void show(const char *name)
{
	uint64_t entity = config_entity("service", name);
	struct json_object *o = json_object_new_object();
	struct health_status s;

	if (health_status(health, entity, &s)) {
		json_object_put(o);
		print("show", NULL);
		return;
	}
	json_object_object_add(
		o, "state", json_object_new_string(health_state_name(s.state)));
	json_object_object_add(
		o, "observed",
		json_object_new_string(health_observed_name(s.observed)));
	json_object_object_add(
		o, "admin", json_object_new_string(health_admin_name(s.admin)));
	json_object_object_add(o, "reason", json_object_new_string(s.reason));
	json_object_object_add(o, "response_us",
			       json_object_new_int64(s.metrics.response_us));
	json_object_object_add(o, "load", json_object_new_int64(s.metrics.load));
	json_object_object_add(o, "weight_percent",
			       json_object_new_int(s.metrics.weight_percent));
	json_object_object_add(o, "slow_start",
			       json_object_new_int(s.slow_start));
	json_object_object_add(o, "bindings",
			       health_bindings_json(health, entity));
	print("show", o);
}

static void stats(void)
{
	size_t n[6] = { 0 };
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; config && i < config->n_services; i++) {
		struct health_status s;

		if (!health_status(health, config->services[i].entity, &s))
			n[s.state]++;
	}
	json_object_object_add(o, "up", json_object_new_int64(n[SVC_UP]));
	json_object_object_add(o, "down", json_object_new_int64(n[SVC_DOWN]));
	json_object_object_add(o, "unknown",
			       json_object_new_int64(n[SVC_UNKNOWN]));
	print("stats", o);
}

static int admin(const char *name, const char *verb, const char *delay)
{
	return health_admin(health, name,
			    !strcmp(verb, "enable")  ? HEALTH_ENABLE :
			    !strcmp(verb, "disable") ? HEALTH_DISABLE :
						       HEALTH_GRACEFUL,
			    atoi(delay));
}

static bool command(char *line)
{
	static const struct health_metrics metrics = { .response_us = 100,
						       .weight_percent = 100 };
	char w[6][256] = { "" };
	struct facts *f;
	int r = 0;

	sscanf(line, "%255s %255s %255s %255s %255s", w[0], w[1], w[2], w[3],
	       w[4]);
	if (!strcmp(w[0], "quit"))
		return false;
	if (!strcmp(w[0], "apply"))
		r = apply(w[1]);
	else if (!strcmp(w[0], "probers"))
		r = health_set_probers(health, atoi(w[1]));
	else if (!strcmp(w[0], "admin"))
		r = admin(w[1], w[2], w[3]);
	else if (!strcmp(w[0], "owned"))
		r = health_set_owned(health, config_entity("service", w[1]),
				     atoi(w[2]));
	else if (!strcmp(w[0], "remote"))
		r = health_set_remote(
			health, config_entity("service", w[1]),
			!strcmp(w[2], "up") ? HEALTH_UP : HEALTH_DOWN,
			"as the owner says", &metrics);
	else if (!strcmp(w[0], "try"))
		r = try(w[1]);
	else if (!strcmp(w[0], "show"))
		return show(w[1]), true;
	else if (!strcmp(w[0], "stats"))
		return stats(), true;
	else if (!strcmp(w[0], "show-probers"))
		return print("probers", health_probers_json(health)), true;
	else if (!strcmp(w[0], "quiet"))
		quiet = true;
	else if (!strcmp(w[0], "flows") || !strcmp(w[0], "passive")) {
		f = facts_find(config_entity("service", w[1]));
		if (f && w[0][0] == 'f')
			f->flows = atoll(w[2]);
		else if (f) {
			f->passive.attempts += atoll(w[2]);
			f->passive.unanswered += atoll(w[3]);
			f->passive.resets += atoll(w[4]);
		}
	} else {
		r = -1;
	}
	print(w[0], json_object_new_int(r));
	return true;
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	static char buf[8192];
	static size_t len;
	ssize_t n = read(0, buf + len, sizeof(buf) - len - 1);
	char *eol;
	bool more = status >= 0 && n > 0;

	(void)events;
	if (more) {
		len += n;
		buf[len] = '\0';
		while (more && (eol = strchr(buf, '\n'))) {
			*eol = '\0';
			more = command(buf);
			len -= eol + 1 - buf;
			memmove(buf, eol + 1, len + 1);
		}
	}
	if (!more) {
		uv_close((uv_handle_t *)poll, NULL);
		health_free(health);
	}
}

int main(int argc, char **argv)
{
	static const struct health_ops ops = {
		.state_changed = on_state,
		.weight_scale = on_slow,
		.response = on_response,
		.load = on_load,
		.connections = on_connections,
		.passive = on_passive,
	};
	struct health_options options = { 0 };
	const char *file = NULL;
	int r;

	log_init("tool_health", LOG_INFO);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--state-dir") && i + 1 < argc)
			options.state_dir = argv[++i];
		else if (!strcmp(argv[i], "--quiet"))
			quiet = true;
		else
			file = argv[i];
	}
	if (!file) {
		fprintf(stderr, "usage: tool_health [--state-dir DIR] CONFIG\n");
		return 1;
	}
	uv_loop_init(&loop);
	u64_map_init(&facts_of, 64);
	options.prober_path = getenv("SLUICE_PROBER");
	r = health_new(&loop, &options, &ops, NULL, &health);
	if (r) {
		fprintf(stderr, "health: %s\n", strerror(-r));
		return 2;
	}
	if (apply(file))
		return 2;
	uv_poll_init(&loop, &input, 0);
	uv_poll_start(&input, UV_READABLE, on_input);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	config_free(config);
	u64_map_deinit(&facts_of);
	return 0;
}
