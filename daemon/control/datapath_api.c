/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads live maps on every request; keeps nothing.
 */
#include "control/datapath_api.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bpf/features.h"
#include "control/json_add.h"
#include "counters.h"
#include "hash.h"
#include "util/addr_text.h"
#include "util/log.h"
#include "util/netif.h"
#include "version.h"

static const struct {
	const char *name, *help;
} counters[] = {
#define COUNTER_X(id, name, help) { name, help },
	COUNTER_VERDICTS(COUNTER_X) COUNTER_EVENTS(COUNTER_X)
#undef COUNTER_X
};

static bool asked(const struct api_request *request, const char *name)
{
	const char *value = api_query(request, name);

	return value && strcmp(value, "0");
}

static void get_stats(void *ctx, const struct api_request *request,
		      struct api_reply *reply)
{
	const struct datapath_api *d = ctx;
	const struct maps *maps = &d->apply->dp->maps;
	bool per_cpu = asked(request, "cpu");
	struct json_object *list, *o, *cpus;
	uint64_t sum, *each = NULL;
	uint32_t i;
	int c;

	if (per_cpu)
		each = calloc(maps->cpus, sizeof(*each));
	reply->json = json_object_new_object();
	list = json_add_array(reply->json, "counters");
	for (i = 0; i < CNT_MAX; i++) {
		if (maps_percpu(maps, MAPS_counters, i, 1, &sum, each))
			continue;
		o = json_object_new_object();
		json_add_str(o, "name", counters[i].name);
		json_add_int(o, "value", sum);
		json_add_str(o, "help", counters[i].help);
		if (each) {
			cpus = json_add_array(o, "per_cpu");
			for (c = 0; c < maps->cpus; c++)
				json_object_array_add(
					cpus, json_object_new_int64(each[c]));
		}
		json_object_array_add(list, o);
	}
	free(each);
}

/* ---- buckets ----------------------------------------------------------- */

static void add_node_buckets(const struct datapath_api *d,
			     struct json_object *to)
{
	const struct config *c = d->apply->config;
	struct json_object *o = json_add_object(to, "node_buckets");
	uint32_t count[256] = { 0 }, i;
	char number[16];
	const char *name;
	size_t p;

	for (i = 0; i < NODE_BUCKETS; i++)
		count[maps_node_bucket(&d->apply->dp->maps, i)->owner]++;
	for (i = 0; i < 256; i++) {
		if (!count[i])
			continue;
		snprintf(number, sizeof(number), "%u", i);
		name = i == c->node_id ? c->node_name : number;
		for (p = 0; p < c->cluster.n_peers; p++) {
			if (c->cluster.peers[p].id == i)
				name = c->cluster.peers[p].name;
		}
		json_add_int(o, name, count[i]);
	}
}

static struct json_object *preferences(const struct core_bucket *bucket)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < ENGINE_PREFS && bucket->pref[i] != ENGINE_NONE; i++)
		json_object_array_add(list,
				      json_object_new_int(bucket->pref[i]));
	return list;
}

static void get_buckets(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	const struct datapath_api *d = ctx;
	const struct maps *maps = &d->apply->dp->maps;
	uint32_t first[256] = { 0 }, second[256] = { 0 }, i;
	struct json_object *list, *o;

	reply->json = json_object_new_object();
	add_node_buckets(d, reply->json);
	for (i = 0; i < CORE_BUCKETS; i++) {
		first[maps_core_bucket(maps, i)->pref[0]]++;
		second[maps_core_bucket(maps, i)->pref[1]]++;
	}
	list = json_add_array(reply->json, "core_buckets");
	for (i = 0; i < ENGINES_MAX; i++) {
		if (!first[i] && !second[i])
			continue;
		o = json_object_new_object();
		json_add_int(o, "engine", i);
		json_add_int(o, "first", first[i]);
		json_add_int(o, "second", second[i]);
		json_object_array_add(list, o);
	}
	if (!asked(request, "all"))
		return;
	list = json_add_array(reply->json, "buckets");
	for (i = 0; i < CORE_BUCKETS; i++)
		json_object_array_add(list,
				      preferences(maps_core_bucket(maps, i)));
}

/* ---- program and interfaces -------------------------------------------- */

static void add_program(const struct datapath *dp, struct json_object *to)
{
	struct json_object *o = json_add_object(to, "program");

	json_add_int(o, "id", dp->program.id);
	json_add_str(o, "name", "steer");
	json_add_id(o, "tag", be64toh(*(const uint64_t *)dp->program.tag));
	json_add_int(o, "instructions", dp->program.instructions);
	json_add_int(o, "load_us", dp->program.load_us);
}

static void add_features(struct json_object *to)
{
	struct json_object *list = json_add_array(to, "features"), *o;
	const struct feature *f = features_all();

	for (int i = 0; i < FEATURES_N; i++) {
		o = json_object_new_object();
		json_add_str(o, "name", f[i].name);
		json_add_bool(o, "present", f[i].present);
		json_add_bool(o, "required", f[i].required);
		if (!f[i].present)
			json_add_str(o, "cost", f[i].cost);
		json_object_array_add(list, o);
	}
}

static void get_datapath(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	const struct datapath_api *d = ctx;
	const struct datapath *dp = d->apply->dp;
	struct json_object *list, *o;
	uint64_t rx, tx;
	size_t i;

	reply->json = json_object_new_object();
	json_add_int(reply->json, "generation", dp->maps.conf->generation);
	add_program(dp, reply->json);
	json_add_int(reply->json, "abi", dp->maps.conf->abi);
	json_add_int(reply->json, "swaps", dp->swaps);
	json_add_int(reply->json, "flow_sets", dp->maps.flow_sets);
	json_add_str(reply->json, "bpffs", dp->bpffs);
	list = json_add_array(reply->json, "interfaces");
	for (i = 0; i < IFACES_MAX; i++) {
		const struct attach *a = &dp->iface[i].attach;

		if (!dp->iface[i].used)
			continue;
		o = json_object_new_object();
		json_add_str(o, "name", a->name);
		json_add_int(o, "ifindex", a->ifindex);
		json_add_int(o, "slot", i);
		json_add_int(o, "queues", dp->iface[i].queues);
		json_add_str(o, "mode",
			     a->how == ATTACH_NOTHING ? "none" :
			     a->generic		      ? "generic" :
							"native");
		json_add_str(o, "attached_by", attach_how_name(a->how));
		json_add_bool(o, "adopted", a->adopted);
		json_add_int(o, "program", a->prog_id);
		if (!netif_drops(a->ifindex, &rx, &tx)) {
			json_add_int(o, "rx_dropped", rx);
			json_add_int(o, "tx_dropped", tx);
		}
		if (a->note[0])
			json_add_str(o, "reason", a->note);
		json_object_array_add(list, o);
	}
	add_features(reply->json);
}

/* An exchange under way: the verifier works in another thread, so that the
 * loop goes on meanwhile. */
struct swap {
	uv_work_t work;
	struct datapath_api *api;
	struct api_pending *pending;
	struct loader_options options;
	/* Written by the worker. */
	struct loader_program program;
	struct config_error error;
	int err;
};

static void swap_load(uv_work_t *work)
{
	struct swap *swap = work->data;

	swap->err = datapath_load(swap->api->apply->dp, &swap->options,
				  &swap->program, &swap->error);
}

static void swap_exchange(uv_work_t *work, int status)
{
	struct swap *swap = work->data;
	struct datapath *dp = swap->api->apply->dp;
	struct api_reply reply = { 0 };

	dp->loading = false;
	if (swap->api->closed) { /* and with it who waited for the answer */
		if (!status && !swap->err)
			loader_release(&swap->program);
		free(swap);
		return;
	}
	if (status)
		swap->err = status;
	if (!swap->err)
		swap->err = datapath_exchange(dp, &swap->program,
					      &swap->options, &swap->error);
	if (swap->err) {
		api_fail(&reply, 500, "the old program runs on: %s",
			 swap->error.text);
	} else {
		reply.json = json_object_new_object();
		add_program(dp, reply.json);
		json_add_int(reply.json, "load_us", dp->program.load_us);
		json_add_int(reply.json, "swap_us", dp->swap_us);
		json_add_int(reply.json, "swaps", dp->swaps);
	}
	api_complete(swap->pending, &reply);
	free(swap);
}

static void post_swap(void *ctx, const struct api_request *request,
		      struct api_reply *reply)
{
	struct datapath_api *d = ctx;
	struct datapath *dp = d->apply->dp;
	struct swap *swap;

	if (dp->loading) {
		api_fail(reply, 409,
			 "another program is being loaded: try again");
		return;
	}
	swap = calloc(1, sizeof(*swap));
	if (!swap) {
		api_fail(reply, 500, "out of memory");
		return;
	}
	swap->work.data = swap;
	swap->api = d;
	swap->options = dp->options;
	swap->pending = api_defer(request);
	if (!swap->pending ||
	    uv_queue_work(d->loop, &swap->work, swap_load, swap_exchange)) {
		api_fail(reply, 500, "out of memory");
		if (swap->pending)
			api_complete(swap->pending, reply);
		free(swap);
		return;
	}
	dp->loading = true;
}

static void post_detach(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	struct datapath_api *d = ctx;
	struct config_error e = { "" };
	uint32_t n;

	if (datapath_detach(d->apply->dp, &n, &e)) {
		api_fail(reply, 500, "%s", e.text);
		return;
	}
	reply->json = json_object_new_object();
	json_add_int(reply->json, "detached", n);
}

/* ---- hash, node -------------------------------------------------------- */

static int parse_key(const char *text, const uint8_t configured[40],
		     uint8_t ret[40])
{
	static const uint8_t standard[] = TOEPLITZ_KEY_DEFAULT;
	static const uint8_t symmetric[] = TOEPLITZ_KEY_SYMMETRIC;
	unsigned int byte, i;

	if (!text)
		memcpy(ret, configured, 40);
	else if (!strcmp(text, "default"))
		memcpy(ret, standard, 40);
	else if (!strcmp(text, "symmetric"))
		memcpy(ret, symmetric, 40);
	else if (strlen(text) == 80 &&
		 strspn(text, "0123456789abcdefABCDEF") == 80) {
		for (i = 0; i < 40; i++) {
			sscanf(text + 2 * i, "%2x", &byte);
			ret[i] = byte;
		}
	} else {
		return -EINVAL;
	}
	return 0;
}

static int parse_endpoint(const char *text, union ip_addr *addr,
			  uint16_t *port)
{
	if (!text)
		return -EINVAL;
	*port = 0;
	return addr_text_parse_port(text, addr, port) ?
		       addr_text_parse(text, addr) :
		       0;
}

static void get_hash(void *ctx, const struct api_request *request,
		     struct api_reply *reply)
{
	const struct datapath_api *d = ctx;
	static uint32_t table[TOEPLITZ_TABLE_LEN];
	union ip_addr src, dst;
	uint16_t sport, dport;
	uint8_t key[40];
	char text[16];
	uint32_t hash;

	if (parse_endpoint(api_query(request, "src"), &src, &sport) ||
	    parse_endpoint(api_query(request, "dst"), &dst, &dport)) {
		api_fail(reply, 400,
			 "src, dst: expected ADDRESS or ADDRESS:PORT, [ADDRESS]:PORT for IPv6");
		return;
	}
	if (ip_addr_is_v4(&src) != ip_addr_is_v4(&dst)) {
		api_fail(reply, 400, "src, dst: of different families");
		return;
	}
	if (parse_key(api_query(request, "key"), d->apply->config->rss_key,
		      key)) {
		api_fail(reply, 400,
			 "key: expected default, symmetric or 80 hexadecimal digits");
		return;
	}
	toeplitz_tables_build(key, table);
	hash = toeplitz_hash(table, &src, &dst, htons(sport), htons(dport));
	snprintf(text, sizeof(text), "0x%08x", hash);
	reply->json = json_object_new_object();
	json_add_str(reply->json, "hash", text);
	json_add_bool(reply->json, "with_ports", sport || dport);
	json_add_int(reply->json, "node_bucket", hash & (NODE_BUCKETS - 1));
	json_add_int(reply->json, "core_bucket",
		     hash >> NODE_BUCKET_BITS & (CORE_BUCKETS - 1));
}

static void get_node(void *ctx, const struct api_request *request,
		     struct api_reply *reply)
{
	const struct datapath_api *d = ctx;
	const struct apply *a = d->apply;
	const struct config *c = a->config;
	int64_t up = 0, flows = 0, n;
	struct json_object *o;
	uint32_t id;
	size_t i;

	for (i = 0; i < c->n_services; i++) {
		id = publish_service_id(a->publish, c->services[i].entity);
		up += a->dp->maps.services[id].state == SVC_UP;
		n = (int64_t)a->dp->maps.svc_load[id].conns;
		flows += n > 0 ? n : 0;
	}
	reply->json = o = json_object_new_object();
	json_add_int(o, "id", c->node_id);
	json_add_str(o, "name", c->node_name);
	json_add_str(o, "version", SLUICE_VERSION);
	json_add_int(o, "pid", getpid());
	json_add_int(o, "uptime_s", (uv_hrtime() - d->started_ns) / 1000000000);
	json_add_int(o, "generation", a->dp->maps.conf->generation);
	json_add_str(o, "config", d->config_path);
	json_add_bool(o, "saved", config_api_saved(d->config_api));
	json_add_int(o, "engines", c->engines);
	json_add_int(o, "engines_ready", engine_supervisor_ready(a->engines));
	json_add_int(o, "probers", c->probers);
	json_add_int(o, "services", c->n_services);
	json_add_int(o, "services_up", up);
	json_add_int(o, "vservers", c->n_vservers);
	json_add_int(o, "flows", flows);
	json_add_int(o, "flows_max", c->flows_max);
}

void datapath_api_routes(struct api *api, struct datapath_api *d)
{
	api_route(api, "GET", "/v1/stats", get_stats, d);
	api_route(api, "GET", "/v1/buckets", get_buckets, d);
	api_route(api, "GET", "/v1/datapath", get_datapath, d);
	api_route(api, "POST", "/v1/datapath/swap", post_swap, d);
	api_route(api, "POST", "/v1/datapath/detach", post_detach, d);
	api_route(api, "GET", "/v1/hash", get_hash, d);
	api_route(api, "GET", "/v1/node", get_node, d);
}
