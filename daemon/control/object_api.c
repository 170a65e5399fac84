/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the configuration, the pinned maps and health; keeps nothing.
 */
#include "control/object_api.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "control/json_add.h"

const char *object_api_mode(uint8_t mode)
{
	static const char *const names[] = { "nat", "dsr-l2", "dsr-ipip",
					     "dsr-gue" };

	return mode < 4 ? names[mode] : "?";
}

const char *object_api_setup(uint8_t setup)
{
	static const char *const names[] = { "engine", "kernel", "inspect" };

	return setup < 3 ? names[setup] : "?";
}

const char *object_api_method(uint8_t method)
{
	static const char *const names[] = {
		"maglev",      "round-robin",	 "weighted-round-robin",
		"least-connections", "source-hash", "least-response",
		"least-load"
	};

	return method < 7 ? names[method] : "?";
}

const char *object_api_proto(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	default:
		return "?";
	}
}

static void add_traffic(const struct apply *a, struct json_object *to,
			enum maps_id map, uint32_t id, bool flows)
{
	uint64_t sum[3];

	if (maps_percpu(&a->dp->maps, map, id, 3, sum, NULL))
		return;
	json_add_int(to, "packets", sum[0]);
	json_add_int(to, "bytes", sum[1]);
	if (flows)
		json_add_int(to, "flows", sum[2]);
}

/* Flows now; below zero only for a moment while entries are being counted. */
static int64_t connections(const struct svc_load *load)
{
	int64_t n = (int64_t)__atomic_load_n(&load->conns, __ATOMIC_RELAXED);

	return n < 0 ? 0 : n;
}

/* ---- vservers ---------------------------------------------------------- */

static void add_members(const struct apply *a, const struct config_vserver *v,
			struct json_object *to)
{
	struct json_object *list = json_object_new_array();
	uint32_t up = 0;
	size_t i;

	for (i = 0; i < v->n_members; i++) {
		const struct config_service *s = v->members[i].service;
		uint32_t id = publish_service_id(a->publish, s->entity);
		enum svc_state state = a->dp->maps.services[id].state;
		struct json_object *o = json_object_new_object();

		json_add_str(o, "name", s->name);
		json_add_int(o, "weight", v->members[i].weight);
		json_add_str(o, "state", health_state_name(state));
		json_add_int(o, "connections",
			     connections(&a->dp->maps.svc_load[id]));
		json_object_array_add(list, o);
		up += state == SVC_UP;
	}
	json_add_str(to, "state",
		     !v->enabled			  ? "OUT-OF-SERVICE" :
		     up && up >= v->members_min ? "UP" :
						  "DOWN");
	json_add_int(to, "services_up", up);
	json_object_object_add(to, "services", list);
}

static struct json_object *vserver_json(const struct apply *a,
					const struct config_vserver *v)
{
	struct json_object *o = json_object_new_object();
	uint32_t id = publish_vserver_id(a->publish, v->entity);

	json_add_str(o, "name", v->name);
	json_add_int(o, "id", id);
	json_add_id(o, "entity", v->entity);
	json_add_addr(o, "address", &v->addr);
	json_add_int(o, "port", v->port);
	json_add_str(o, "protocol", object_api_proto(v->proto));
	json_add_str(o, "mode", object_api_mode(v->mode));
	json_add_str(o, "setup", object_api_setup(v->setup));
	json_add_str(o, "method", object_api_method(v->method));
	json_add_bool(o, "enabled", v->enabled);
	if (v->persist_s)
		json_add_int(o, "persistence_s", v->persist_s);
	if (v->members_min)
		json_add_int(o, "members_min", v->members_min);
	if (v->backup)
		json_add_str(o, "backup", v->backup->name);
	json_add_int(o, "table_size",
		     SPAN_LEN(a->dp->maps.vservers[id].lb));
	add_traffic(a, o, MAPS_vs_stats, id, true);
	add_members(a, v, o);
	return o;
}

static void get_vservers(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	const struct apply *a = ctx;
	const struct config_vserver *v;
	struct json_object *list;
	size_t i;

	if (request->tail[0]) {
		v = config_find_vserver(a->config, request->tail);
		if (!v)
			api_fail(reply, 404, "no vserver named %s",
				 request->tail);
		else
			reply->json = vserver_json(a, v);
		return;
	}
	reply->json = json_object_new_object();
	list = json_add_array(reply->json, "vservers");
	for (i = 0; i < a->config->n_vservers; i++)
		json_object_array_add(list,
				      vserver_json(a, &a->config->vservers[i]));
}

/* ---- services ---------------------------------------------------------- */

static void add_health(const struct apply *a, struct json_object *o,
		       const struct config_service *s, enum svc_state published)
{
	struct health_status status;

	if (health_status(a->health, s->entity, &status)) {
		json_add_str(o, "state", health_state_name(published));
		return;
	}
	json_add_str(o, "state", health_state_name(status.state));
	json_add_str(o, "admin", health_admin_name(status.admin));
	json_add_str(o, "observed", health_observed_name(status.observed));
	json_add_str(o, "reason", status.reason);
	json_add_int(o, "since_s", status.since_s);
	if (status.metrics.response_us)
		json_add_int(o, "response_us", status.metrics.response_us);
	if (status.metrics.load)
		json_add_int(o, "load", status.metrics.load);
	json_add_int(o, "weight_percent", status.metrics.weight_percent);
	json_add_int(o, "slow_start", status.slow_start);
	json_add_int(o, "changes", status.changes);
}

/* VSERVERS: names; ownership passes. */
static struct json_object *service_json(const struct apply *a,
					const struct config_service *s,
					struct json_object *vservers)
{
	struct json_object *o = json_object_new_object();
	uint32_t id = publish_service_id(a->publish, s->entity);
	const struct svc_load *load = &a->dp->maps.svc_load[id];

	json_add_str(o, "name", s->name);
	json_add_int(o, "id", id);
	json_add_id(o, "entity", s->entity);
	if (!config_unresolved(s))
		json_add_addr(o, "address", &s->addr);
	json_add_int(o, "port", s->port);
	if (s->domain)
		json_add_str(o, "domain", s->domain);
	add_health(a, o, s, a->dp->maps.services[id].state);
	json_add_int(o, "connections", connections(load));
	if (s->conns_max)
		json_add_int(o, "connections_max", s->conns_max);
	json_add_int(o, "connections_total", load->conns_total);
	json_add_int(o, "established", load->established);
	json_add_int(o, "unanswered", load->unanswered);
	json_add_int(o, "resets", load->resets);
	add_traffic(a, o, MAPS_svc_stats, id, false);
	json_object_object_add(o, "vservers",
			       vservers ? vservers : json_object_new_array());
	return o;
}

/* Names of the vservers of each service, or of ONLY; by index. */
static struct json_object **users(const struct config *c,
				  const struct config_service *only)
{
	struct json_object **by = calloc(c->n_services + 1, sizeof(*by));
	size_t v, m, i;

	for (v = 0; by && v < c->n_vservers; v++) {
		for (m = 0; m < c->vservers[v].n_members; m++) {
			const struct config_service *s =
				c->vservers[v].members[m].service;

			if (only && s != only)
				continue;
			i = s - c->services;
			if (!by[i])
				by[i] = json_object_new_array();
			json_object_array_add(by[i],
					      json_object_new_string(
						      c->vservers[v].name));
		}
	}
	return by;
}

static void get_service(const struct apply *a, const char *name,
			struct api_reply *reply)
{
	const struct config_service *s = config_find_service(a->config, name);
	struct json_object **by, *bindings, *domain, *cluster;

	if (!s) {
		api_fail(reply, 404, "no service named %s", name);
		return;
	}
	by = users(a->config, s);
	reply->json = service_json(a, s,
				   by ? by[s - a->config->services] : NULL);
	free(by);
	bindings = health_bindings_json(a->health, s->entity);
	if (bindings)
		json_object_object_add(reply->json, "bindings", bindings);
	domain = health_name_json(a->health, s->entity);
	if (domain)
		json_object_object_add(reply->json, "name_resolution", domain);
	cluster = a->clustering ?
			  clustering_show_service(a->clustering, s->entity) :
			  NULL;
	if (cluster)
		json_object_object_add(reply->json, "cluster", cluster);
}

/* One answer under way: rows are made while the client reads. */
struct service_rows {
	const struct apply *apply;
	uint64_t generation; /* by[] is of this configuration */
	struct json_object **by;
	size_t n;
};

static struct json_object *next_service(void *ctx, size_t i)
{
	struct service_rows *rows = ctx;
	const struct config *c = rows->apply->config;
	struct json_object *by = NULL;

	if (i >= c->n_services)
		return NULL;
	if (rows->generation == rows->apply->generation && rows->by) {
		by = rows->by[i];
		rows->by[i] = NULL;
	}
	return service_json(rows->apply, &c->services[i], by);
}

static void services_done(void *ctx)
{
	struct service_rows *rows = ctx;
	size_t i;

	for (i = 0; rows->by && i < rows->n; i++)
		json_object_put(rows->by[i]);
	free(rows->by);
	free(rows);
}

static void get_services(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	const struct apply *a = ctx;
	struct service_rows *rows;

	if (request->tail[0]) {
		get_service(a, request->tail, reply);
		return;
	}
	rows = calloc(1, sizeof(*rows));
	if (!rows) {
		api_fail(reply, 500, "out of memory");
		return;
	}
	rows->apply = a;
	rows->generation = a->generation;
	rows->by = users(a->config, NULL);
	rows->n = a->config->n_services;
	reply->rows = (struct api_rows){ .key = "services",
					 .next = next_service,
					 .done = services_done,
					 .ctx = rows };
}

void object_api_service_command(struct apply *a,
				const struct config_service *service,
				const char *verb,
				const struct api_request *request,
				struct api_reply *reply)
{
	enum health_admin admin = HEALTH_ENABLE;
	struct json_object *value;
	int64_t delay_s = 0;
	int err;

	if (!strcmp(verb, "disable")) {
		admin = HEALTH_DISABLE;
		if (json_object_object_get_ex(request->json, "graceful",
					      &value) &&
		    json_object_get_boolean(value))
			admin = HEALTH_GRACEFUL;
		if (json_object_object_get_ex(request->json, "delay_s", &value))
			delay_s = json_object_get_int64(value);
	}
	if (delay_s < 0 || delay_s > 86400) {
		api_fail(reply, 400, "delay_s: expected 0 to 86400");
		return;
	}
	err = health_admin(a->health, service->name, admin, delay_s);
	if (err) {
		api_fail(reply, 500, "service %s: %s", service->name,
			 strerror(-err));
		return;
	}
	reply->json = json_object_new_object();
	add_health(a, reply->json, service, SVC_UNKNOWN);
}

void object_api_routes(struct api *api, struct apply *apply)
{
	api_route(api, "GET", "/v1/vservers", get_vservers, apply);
	api_route(api, "GET", "/v1/services", get_services, apply);
}
