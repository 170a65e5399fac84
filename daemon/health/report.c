/* SPDX-License-Identifier: GPL-2.0-only */
/* Health as JSON, for the API. Shapes: daemon/control/README.md. */
#include <json-c/json.h>
#include <stdio.h>
#include <time.h>

#include "config/config.h"
#include "health/assign.h"
#include "health/health_internal.h"

static const char *const types[] = {
	"ping",	   "tcp",	"tcp-ecv", "http",    "http-ecv",
	"https",   "https-ecv", "udp",	   "udp-ecv", "dns",
	"ftp",	   "load",	"script",  "inline",
};

static void add_int(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

static void add_string(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void add_last(struct json_object *o, const struct status_row *row)
{
	struct reason_info reason;
	char text[HEALTH_REASON_LEN];

	reason_set(&reason, row->reason, row->detail);
	add_string(o, "last", reason_format(&reason, text, sizeof(text)));
	if (row->response_us)
		add_int(o, "response_us", row->response_us);
	if (row->mean_us)
		add_int(o, "mean_us", row->mean_us);
	add_int(o, "timeout_ms", row->timeout_ms);
	add_int(o, "probes", (int64_t)row->passed + row->failed);
	add_int(o, "failures", row->failed);
	add_int(o, "discarded", row->discarded);
	add_int(o, "lateness_us", row->late_us);
}

static struct json_object *binding_json(const struct health *health,
					const struct health_service *s,
					const struct health_binding *b)
{
	const struct config_monitor *m =
		&health->table.monitors[b->monitor]->config;
	const struct status_row *row = &health->pool.status->row[b->row];
	struct json_object *o = json_object_new_object();
	int runner = assign_runner(health->pool.mask, m->entity,
				   assign_share(m, s->entity));
	int consolidator = assign_consolidator(health->pool.mask, s->entity);
	uint64_t now = now_ns();

	add_string(o, "monitor", m->name);
	add_string(o, "type", types[m->type]);
	add_int(o, "weight", b->weight);
	add_string(o, "verdict",
		   b->verdict == VERDICT_PASS ? "pass" :
		   b->verdict == VERDICT_FAIL ? "fail" :
						"unknown");
	json_object_object_add(o, "passing",
			       json_object_new_boolean(b->verdict ==
						       VERDICT_PASS));
	/* Inline monitors are looked after by the daemon itself. */
	if (s->owned && !b->passive && runner >= 0)
		add_int(o, "prober", runner);
	if (s->owned && consolidator >= 0)
		json_object_object_add(
			o, "consolidator",
			json_object_new_boolean(consolidator == runner &&
						!b->passive));
	add_last(o, row);
	if (row->next_ns)
		add_int(o, "next_ms",
			row->next_ns > now ? (row->next_ns - now) / 1000000 :
					     0);
	return o;
}

struct json_object *health_bindings_json(const struct health *health,
					 uint64_t entity)
{
	const struct health_service *s = health_table_find(health, entity);
	struct json_object *list;

	if (!s)
		return NULL;
	list = json_object_new_array();
	for (uint32_t i = 0; i < s->n_bindings; i++)
		json_object_array_add(list,
				      binding_json(health, s, &s->bindings[i]));
	return list;
}

struct json_object *health_name_json(const struct health *health,
				     uint64_t entity)
{
	const struct health_service *s = health_table_find(health, entity);
	struct json_object *o;

	if (!s || !s->domain)
		return NULL;
	o = json_object_new_object();
	add_string(o, "domain", s->domain);
	add_string(o, "family", s->family == 4 ? "ipv4" : "ipv6");
	json_object_object_add(o, "resolved",
			       json_object_new_boolean(!s->unresolved));
	if (s->ttl_s)
		add_int(o, "ttl_s", s->ttl_s);
	/* Of others' services nothing is known but the address. */
	if (!s->owned)
		return o;
	if (s->named_s)
		add_int(o, "answered_s", s->named_s);
	add_int(o, "failures", s->name_failures);
	if (s->name_error)
		add_string(o, "error", s->name_error);
	return o;
}

static const char *state_name(enum pool_state state)
{
	static const char *const names[] = {
		[POOL_EMPTY] = "stopped",   [POOL_WAITING] = "waiting",
		[POOL_STARTING] = "starting", [POOL_SYNCING] = "syncing",
		[POOL_RUNNING] = "running", [POOL_SILENT] = "silent",
		[POOL_STOPPING] = "stopping",
	};

	return names[state];
}

static struct json_object *prober_json(const struct health *health,
				       const struct pool_prober *p)
{
	const struct status_prober *st = &health->pool.status->prober[p->slot];
	struct json_object *o = json_object_new_object();

	add_int(o, "slot", p->slot);
	if (p->process_open)
		add_int(o, "pid", p->process.pid);
	add_string(o, "state", state_name(p->state));
	add_int(o, "restarts", p->restarts);
	add_int(o, "bindings", st->bindings);
	add_int(o, "consolidates", st->consolidated);
	add_int(o, "probes", st->probes);
	add_int(o, "failures", st->failed);
	add_int(o, "discarded", st->discarded);
	add_int(o, "local_errors", st->local_errors);
	add_int(o, "in_flight", st->in_flight);
	add_int(o, "lateness_us", status_table_late_us(st, 500));
	add_int(o, "lateness_p99_us", status_table_late_us(st, 990));
	add_int(o, "loop_lag_us", st->lag_us_max);
	add_int(o, "late_windows", st->late_windows);
	add_int(o, "self_checks", st->self_checks);
	add_int(o, "holding", st->holding);
	add_int(o, "results_sent", st->results_sent);
	add_int(o, "results_received", st->results_received);
	add_int(o, "cpu_us", st->cpu_us);
	add_string(o, "ping",
		   st->ping_kind == 1 ? "ping sockets" :
		   st->ping_kind == 2 ? "raw sockets" :
					"not possible");
	return o;
}

struct json_object *health_probers_json(const struct health *health)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < PROBERS_MAX; i++) {
		const struct pool_prober *p = health->pool.probers[i];

		if (p && p->state != POOL_EMPTY)
			json_object_array_add(list, prober_json(health, p));
	}
	return list;
}

void health_monitor_count(const struct health *health, uint64_t entity,
			  unsigned int *ret_bindings, unsigned int *ret_passing)
{
	const struct health_table *t = &health->table;

	*ret_bindings = *ret_passing = 0;
	for (uint32_t slot = 0; slot < t->n_slots; slot++) {
		const struct health_service *s = t->services[slot];

		for (uint32_t i = 0; s && i < s->n_bindings; i++) {
			const struct health_binding *b = &s->bindings[i];

			if (t->monitors[b->monitor]->config.entity != entity)
				continue;
			++*ret_bindings;
			*ret_passing += b->verdict == VERDICT_PASS;
		}
	}
}
