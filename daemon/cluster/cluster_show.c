// SPDX-License-Identifier: GPL-2.0-only
/* The cluster as JSON (see cluster_show.h). */
#include "cluster/cluster_show.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cluster/cluster_impl.h"
#include "health/health.h"
#include "rendezvous.h"
#include "util/addr_text.h"

/* Key ids shown: as many as a key file may hold. */
#define NNM_KEYS_SHOWN 4

const char *cluster_show_node_name(const struct cluster *c, uint32_t id)
{
	static char text[NAME_LEN];

	if (id < NODES_MAX && c->members[id].used && c->members[id].name[0])
		return c->members[id].name;
	snprintf(text, sizeof(text), "node-%u", id);
	return text;
}

static void add(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void add_flag(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

static void add_entity(struct json_object *o, const char *key, uint64_t entity)
{
	char text[20];

	snprintf(text, sizeof(text), "%016" PRIx64, entity);
	add_text(o, key, text);
}

static struct json_object *names_of(const struct cluster *c, uint32_t set)
{
	struct json_object *a = json_object_new_array();

	for (uint32_t id = 0; id < NODES_MAX; id++)
		if (set >> id & 1)
			json_object_array_add(
				a, json_object_new_string(cluster_show_node_name(c, id)));
	return a;
}

/* Where the owner says that a domain-based service is. */
static void add_address(struct json_object *o, const struct service_state *s)
{
	static const union ip_addr none;
	char text[ADDR_TEXT_LEN];

	if (ip_addr_equal(&s->addr, &none))
		return;
	add_text(o, "address", addr_text_format(&s->addr, text));
	add(o, "ttl_s", s->ttl_s);
}

/* ---- nodes ------------------------------------------------------------ */

struct owners {
	const struct cluster *cluster;
	uint32_t count[NODES_MAX];
};

static void count_owner(void *ctx, uint64_t entity)
{
	struct owners *o = ctx;
	struct node_service_status s;

	if (node_service_status(o->cluster->node, entity, &s) == 0 && s.owner >= 0 &&
	    s.owner < NODES_MAX)
		o->count[s.owner]++;
}

/* All counters that are not 0. */
static struct json_object *counters_of(const struct cluster *c, unsigned int peer)
{
	struct json_object *o = json_object_new_object();
	const struct nnm_counters *counters = nnm_counters(c->nnm);

	for (unsigned int i = 0; i < NNM_COUNTERS_N; i++)
		if (counters->v[peer][i] != 0)
			add(o, nnm_counter_name(i), counters->v[peer][i]);
	return o;
}

/* A member of the last view that it knows of; but can there be another one? */
static enum node_reason own_reason(const struct cluster *c, const struct node_status *s)
{
	uint32_t here = s->connected | 1u << c->options.id;

	if (s->operational && !c->options.quorum_none &&
	    2 * __builtin_popcount(here & s->configured) <= __builtin_popcount(s->configured))
		return NODE_REASON_NO_QUORUM;
	return s->reason;
}

static void add_self(const struct cluster *c, struct json_object *o,
		     const struct node_status *s)
{
	enum node_reason reason = own_reason(c, s);

	add_text(o, "admin", node_admin_name(s->admin));
	add_text(o, "state", s->operational ? "operational" : "connected");
	add_text(o, "reason", c->halted ? "its disk does not take what must be kept"
					: node_reason_text(reason));
	add_text(o, "reason_name", c->halted ? "HALTED" : node_reason_name(reason));
	add(o, "view", s->view);
	add(o, "incarnation", c->options.incarnation);
	add_flag(o, "self", true);
}

static void add_peer(const struct cluster *c, struct json_object *o, uint32_t id)
{
	struct node_peer_status p;
	struct nnm_peer_stats stats;

	if (nnm_peer_stats(c->nnm, (uint8_t)id, &stats) == 0) {
		add_flag(o, "session", stats.session);
		if (stats.srtt_us) {
			add(o, "rtt_us", stats.srtt_us);
			add(o, "rtt_min_us", stats.rtt_min_us);
		}
		add(o, "loss_permille", (stats.loss_ppm + 500) / 1000);
		add(o, "rate_bytes_per_second", stats.rate);
		add(o, "queued_bytes", stats.queued_bytes);
		json_object_object_add(o, "counters", counters_of(c, id));
	}
	if (node_peer_status(c->node, id, &p) < 0)
		return;
	add_text(o, "admin", node_admin_name(p.admin));
	add_text(o, "state", p.operational ? "operational" : p.connected ? "connected" : "away");
	add_text(o, "reason", node_reason_text(p.reason));
	add_text(o, "reason_name", node_reason_name(p.reason));
	add(o, "view", p.view);
	add(o, "incarnation", p.incarnation);
	add(o, "silent_ms", p.silent_ms);
	add(o, "pending", p.pending);
	add(o, "strikes", p.strikes);
	if (p.accusers)
		json_object_object_add(o, "accusers", names_of(c, p.accusers));
}

static struct json_object *nodes_of(const struct cluster *c, const struct node_status *s)
{
	struct json_object *a = json_object_new_array();
	struct owners owners = { .cluster = c };

	node_each_service(c->node, count_owner, &owners);
	for (uint32_t id = 0; id < NODES_MAX; id++) {
		const struct cluster_member *m = &c->members[id];
		struct json_object *o;
		char text[ADDR_TEXT_LEN];

		if (!m->used)
			continue;
		o = json_object_new_object();
		add(o, "id", id);
		add_text(o, "name", cluster_show_node_name(c, id));
		add_text(o, "address", addr_text_format_port(&m->addr, m->port, text));
		if (id == c->options.id)
			add_self(c, o, s);
		else
			add_peer(c, o, id);
		add(o, "owned", owners.count[id]);
		json_object_array_add(a, o);
	}
	return a;
}

struct json_object *cluster_show(const struct cluster *c)
{
	struct json_object *o = json_object_new_object(), *keys = json_object_new_array();
	uint8_t ids[NNM_KEYS_SHOWN];
	struct node_status s;
	unsigned int n;

	node_status(c->node, &s);
	add_flag(o, "enabled", true);
	add_text(o, "id", c->id);
	add_text(o, "node", cluster_show_node_name(c, c->options.id));
	add(o, "view", s.view);
	json_object_object_add(o, "members", names_of(c, s.members));
	json_object_object_add(o, "connected", names_of(c, s.connected));
	add_text(o, "quorum", c->options.quorum_none ? "none" : "majority");
	add_flag(o, "operational", s.operational);
	add(o, "hello_ms", c->options.hello_ms);
	add(o, "dead_missed", c->options.dead_missed);
	add(o, "observers", c->options.observers);
	add(o, "services", s.services);
	add(o, "masters", s.masters);
	add(o, "cached", s.cached);
	add(o, "unacknowledged", s.queued);
	add_entity(o, "config_digest", s.config_digest);
	add_entity(o, "record_digest", s.record_digest);
	add(o, "cache_drops", s.cache_drops);
	add(o, "stale", s.stale);
	add(o, "duplicates", s.duplicates);
	add(o, "refused", s.refused);
	add(o, "conflicts", s.conflicts);
	n = nnm_key_ids(c->nnm, ids, NNM_KEYS_SHOWN);
	for (unsigned int i = 0; i < n; i++)
		json_object_array_add(keys, json_object_new_int(ids[i]));
	json_object_object_add(o, "keys", keys);
	json_object_object_add(o, "strangers", counters_of(c, NNM_STRANGER));
	add(o, "socket_overflows", nnm_overflows(c->nnm));
	json_object_object_add(o, "nodes", nodes_of(c, &s));
	return o;
}

/* ---- services and events ---------------------------------------------- */

struct json_object *cluster_show_service(const struct cluster *c, uint64_t entity)
{
	const struct cluster_service *service = cluster_services_find(&c->services, entity);
	struct node_service_status s;
	struct node_status status;
	struct json_object *o, *list;
	uint8_t order[NODES_MAX];
	unsigned int n;

	if (node_service_status(c->node, entity, &s) < 0)
		return NULL;
	node_status(c->node, &status);
	o = json_object_new_object();
	if (s.owner >= 0)
		add_text(o, "owner", cluster_show_node_name(c, (uint32_t)s.owner));
	list = json_object_new_array();
	n = rendezvous_list(s.key ? s.key : entity, status.configured, order);
	for (unsigned int i = 0; i < n; i++)
		json_object_array_add(
			list, json_object_new_string(cluster_show_node_name(c, order[i])));
	json_object_object_add(o, "preference", list);
	json_object_object_add(o, "configured_on", names_of(c, s.configured_on));
	add_flag(o, "master", s.master);
	add_text(o, "state", health_state_name((enum svc_state)s.state));
	add_text(o, "reason", node_state_reason_text((enum state_reason)s.reason));
	if (s.record.view != 0) {
		add(o, "view", s.record.view);
		add(o, "sequence", s.record.seq);
		if (service && service->updated_ms)
			add(o, "updated_s", (uint64_t)time(NULL) -
				(uv_hrtime() / 1000000 - service->updated_ms) / 1000);
		add_text(o, "advertised_by", cluster_show_node_name(c, s.record.owner));
		add_text(o, "advertised", health_state_name((enum svc_state)s.record.state));
		add(o, "response_us", s.record.response_us);
		add(o, "load", s.record.load);
		add_address(o, &s.record);
	}
	if (s.master)
		json_object_object_add(
			o, "acknowledged",
			names_of(c, status.connected & ~s.pending & ~(1u << c->options.id)));
	if (s.path_known) {
		json_object_object_add(o, "path_known", names_of(c, s.path_known));
		json_object_object_add(o, "path_reachable", names_of(c, s.path_reachable));
	}
	return o;
}

struct json_object *cluster_show_trace(const struct cluster *c, const struct node_trace *trace)
{
	struct json_object *o = json_object_new_object();
	const struct cluster_service *s = cluster_services_find(&c->services, trace->entity);
	char text[160];

	add(o, "time_ms", uv_hrtime() / 1000000);
	add_text(o, "event", node_trace_name(trace->type));
	add_text(o, "text", node_trace_text(trace, text, sizeof(text)));
	if (s)
		add_text(o, "service", s->name);
	add(o, "peer", trace->peer);
	if (trace->entity)
		add_entity(o, "entity", trace->entity);
	add(o, "a", trace->a);
	add(o, "b", trace->b);
	return o;
}
