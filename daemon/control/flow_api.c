/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listing reads the flow table without locks, as every packet does; entries
 * that change meanwhile are left out. A pass over a large table is cut after
 * SCAN_NS, so that the loop goes on; the answer says so.
 */
#include "control/flow_api.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpf/flow_where.h"
#include "control/json_add.h"
#include "control/object_api.h"
#include "flowtab.h"
#include "hash.h"
#include "util/addr_text.h"

#define SCAN_NS 500000000ull
#define LIMIT_DEFAULT 1000

static const char *tcp_name(const struct flow *f)
{
	static const char *const names[] = { "-", "syn", "established", "fin",
					     "rst" };
	uint32_t tcp = FLOW_ACTIVITY_TCP(f->activity);

	if (f->key.proto != 6)
		return "-";
	return tcp ? names[tcp < 5 ? tcp : 0] : "mid-flow";
}

static const char *kind_name(uint8_t kind)
{
	static const char *const names[] = { "?", "forward", "reverse",
					     "persistence", "fragment" };

	return names[kind < 5 ? kind : 0];
}

static void add_entry(const struct maps *maps, const struct flow *f,
		      uint64_t now, struct json_object *o)
{
	const struct vserver *v = &maps->vservers[flow_vserver(f) %
						  VSERVERS_MAX];
	const struct service *s = &maps->services[f->service % SERVICES_MAX];
	union ip_addr dst = v->addr;
	uint16_t dport = ntohs(v->port);

	json_add_str(o, "protocol", object_api_proto(f->key.proto));
	json_add_addr_port(o, "source", &f->key.peer, ntohs(f->key.sport));
	if (f->key.kind == FLOW_REVERSE) {
		dst = maps->conf->nat[f->key.id % NAT_ADDRS_MAX];
		dport = ntohs(f->key.dport);
	} else if (f->key.kind == FLOW_FRAGMENT) {
		dst = f->pair_addr;
		dport = 0;
	}
	json_add_addr_port(o, "destination", &dst, dport);
	json_add_str(o, "kind", kind_name(f->key.kind));
	if (f->key.kind != FLOW_FRAGMENT) {
		json_add_str(o, "vserver", v->name);
		json_add_str(o, "service", s->name);
		json_add_addr_port(o, "address", &s->addr, ntohs(s->port));
	}
	if (f->key.kind == FLOW_FORWARD &&
	    FLOW_ACTIVITY_FLAGS(f->activity) & FLOW_F_NAT)
		json_add_addr_port(o, "nat",
				   &maps->conf->nat[f->pair_id % NAT_ADDRS_MAX],
				   ntohs(f->pair_port));
	if (f->key.kind == FLOW_REVERSE)
		json_add_addr_port(o, "client", &f->pair_addr,
				   ntohs(f->pair_port));
	json_add_str(o, "state", tcp_name(f));
	if (FLOW_ACTIVITY_FLAGS(f->activity) & FLOW_F_INSPECT)
		json_add_bool(o, "inspect", true);
	json_add_int(o, "idle_ms",
		     ((uint64_t)flow_age(f->activity, flow_tick(now))
		      << FLOW_TICK_SHIFT) /
			     1000000);
}

/* ---- listing ----------------------------------------------------------- */

struct filter {
	bool has_src, has_dst;
	union ip_addr src, dst;
	uint16_t sport, dport; /* 0: any */
	uint8_t proto, kind;   /* 0: any; forward unless asked */
	uint32_t vserver, service;
	int64_t limit;
};

/* ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. */
static int parse_end(const char *text, union ip_addr *addr, uint16_t *port)
{
	*port = 0;
	return addr_text_parse_port(text, addr, port) ?
		       addr_text_parse(text, addr) :
		       0;
}

static int parse_proto(const char *text)
{
	if (!strcmp(text, "tcp"))
		return IPPROTO_TCP;
	return strcmp(text, "udp") ? -1 : IPPROTO_UDP;
}

static int parse_kind(const char *text)
{
	int i;

	for (i = FLOW_FORWARD; i <= FLOW_FRAGMENT; i++) {
		if (!strcmp(text, kind_name(i)))
			return i;
	}
	return strcmp(text, "all") ? -1 : 0;
}

static bool parse_filter(const struct apply *a,
			 const struct api_request *request, struct filter *f,
			 struct api_reply *reply)
{
	const struct config_vserver *v;
	const struct config_service *s;
	const char *text;
	int n;

	*f = (struct filter){ .kind = FLOW_FORWARD, .limit = LIMIT_DEFAULT };
	if ((text = api_query(request, "proto"))) {
		n = parse_proto(text);
		if (n < 0)
			goto bad_proto;
		f->proto = n;
	}
	if ((text = api_query(request, "kind"))) {
		n = parse_kind(text);
		if (n < 0)
			goto bad_kind;
		f->kind = n;
	}
	if ((text = api_query(request, "src"))) {
		f->has_src = true;
		if (parse_end(text, &f->src, &f->sport))
			goto bad_address;
	}
	if ((text = api_query(request, "dst"))) {
		f->has_dst = true;
		if (parse_end(text, &f->dst, &f->dport))
			goto bad_address;
	}
	if ((text = api_query(request, "vserver"))) {
		v = config_find_vserver(a->config, text);
		f->vserver = v ? publish_vserver_id(a->publish, v->entity) : 0;
		if (!f->vserver) {
			api_fail(reply, 404, "no vserver named %s", text);
			return false;
		}
	}
	if ((text = api_query(request, "service"))) {
		s = config_find_service(a->config, text);
		f->service = s ? publish_service_id(a->publish, s->entity) : 0;
		if (!f->service) {
			api_fail(reply, 404, "no service named %s", text);
			return false;
		}
	}
	if ((text = api_query(request, "limit")))
		f->limit = strtoll(text, NULL, 10);
	return true;
bad_proto:
	api_fail(reply, 400, "proto: expected tcp or udp, not %s", text);
	return false;
bad_kind:
	api_fail(reply, 400,
		 "kind: expected forward, reverse, persistence, fragment or all, not %s",
		 text);
	return false;
bad_address:
	api_fail(reply, 400,
		 "src, dst: expected ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT, not %s",
		 text);
	return false;
}

static bool matches(const struct maps *maps, const struct filter *f,
		    const struct flow *e)
{
	const struct vserver *v = &maps->vservers[flow_vserver(e) %
						  VSERVERS_MAX];

	if ((f->kind && e->key.kind != f->kind) ||
	    (f->proto && e->key.proto != f->proto) ||
	    (f->service && e->service != f->service) ||
	    (f->vserver && (e->key.kind == FLOW_FRAGMENT ||
			    flow_vserver(e) != f->vserver)))
		return false;
	if (f->has_src && (!ip_addr_equal(&f->src, &e->key.peer) ||
			   (f->sport && htons(f->sport) != e->key.sport)))
		return false;
	if (!f->has_dst)
		return true;
	if (e->key.kind == FLOW_REVERSE)
		return ip_addr_equal(&f->dst,
				     &maps->conf->nat[e->key.id %
						      NAT_ADDRS_MAX]) &&
		       (!f->dport || htons(f->dport) == e->key.dport);
	return ip_addr_equal(&f->dst, &v->addr) &&
	       (!f->dport || htons(f->dport) == v->port);
}

/* A whole copy of a live entry, or false. */
static bool read_entry(const struct flow *from, struct flow *ret)
{
	uint32_t word = __atomic_load_n(&from->word, __ATOMIC_ACQUIRE);

	if (FLOW_WORD_STATE(word) != FLOW_LIVE)
		return false;
	memcpy(ret, from, sizeof(*ret));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&from->word, __ATOMIC_RELAXED) == word;
}

static void get_flows(void *ctx, const struct api_request *request,
		      struct api_reply *reply)
{
	struct apply *a = ctx;
	const struct maps *maps = &a->dp->maps;
	uint64_t start = uv_hrtime();
	struct json_object *list, *o;
	int64_t total = 0, shown = 0;
	bool truncated = false;
	struct filter filter;
	struct flow f;
	uint32_t set, i;

	if (!parse_filter(a, request, &filter, reply))
		return;
	reply->json = json_object_new_object();
	list = json_add_array(reply->json, "flows");
	for (set = 0; set < maps->flow_sets && !truncated; set++) {
		for (i = 0; i < FLOW_WAYS; i++) {
			if (!read_entry(&maps->flows[set].way[i], &f) ||
			    !matches(maps, &filter, &f))
				continue;
			total++;
			if (filter.limit && shown >= filter.limit)
				continue;
			shown++;
			o = json_object_new_object();
			add_entry(maps, &f, start, o);
			json_object_array_add(list, o);
		}
		if (set % 4096 == 4095)
			truncated = uv_hrtime() - start > SCAN_NS;
	}
	json_add_int(reply->json, "total", total);
	json_add_bool(reply->json, "truncated", truncated || shown < total);
}

/* ---- where ------------------------------------------------------------- */

static const char *method_text(const struct vserver *vs)
{
	return vs->method == LB_SOURCE_HASH ? "the source's slot of the table" :
					      "its slot of the Maglev table";
}

static void explain(const struct maps *maps, const struct flow_where *w,
		    char *text, size_t len)
{
	const struct vserver *vs = &maps->vservers[w->vserver];
	const char *service = maps->services[w->service].name;

	switch (w->verdict) {
	case FLOW_WHERE_PASS:
		snprintf(text, len,
			 w->kind == VIP_NONE ?
				 "the destination is no vserver's: left to the kernel" :
			 w->kind == VIP_ADDR ?
				 "the address is a vserver's, but not this port and protocol: left to the kernel" :
			 w->kind == VIP_TUNNEL ?
				 "a tunnel address: what is inside the packet decides" :
				 "a NAT address without such a flow: left to the kernel");
		break;
	case FLOW_WHERE_NODE:
		snprintf(text, len, "bucket %u belongs to node %u: sent there",
			 w->node_bucket, w->node);
		break;
	case FLOW_WHERE_FORWARD:
		if (w->kind == VIP_NAT)
			snprintf(text, len,
				 "answer of service %s, flow entry found: sent to the client by XDP",
				 service);
		else
			snprintf(text, len,
				 "flow entry found: XDP forwards to service %s (%s)",
				 service, object_api_mode(vs->mode));
		break;
	case FLOW_WHERE_SETUP:
		snprintf(text, len,
			 "no entry: XDP sets the flow up, service %s by %s",
			 service,
			 w->persisted ? "persistence of its source" :
			 w->backup    ? "the backup vserver's table" :
					method_text(vs));
		break;
	case FLOW_WHERE_ENGINE:
		if (!w->service)
			snprintf(text, len,
				 "no entry: engine %u decides (%s)", w->engine,
				 object_api_method(vs->method));
		else
			snprintf(text, len,
				 "no entry: engine %u decides, service %s by %s",
				 w->engine, service,
				 w->persisted ? "persistence of its source" :
				 w->backup    ? "the backup vserver's table" :
						method_text(vs));
		break;
	case FLOW_WHERE_NO_SERVICE:
		snprintf(text, len, "no entry, and %s",
			 vs->flags & VS_ENABLED ?
				 "no service of the vserver takes new flows" :
				 "the vserver is disabled");
		break;
	case FLOW_WHERE_NO_ENGINE:
		snprintf(text, len, "no entry, and no engine is alive: dropped");
		break;
	}
}

static void where_json(const struct apply *a, const struct flow_where *w,
		       struct json_object *o)
{
	const struct maps *maps = &a->dp->maps;
	const struct config *c = a->config;
	const struct service *s = &maps->services[w->service];
	struct json_object *list;
	const char *node = NULL;
	char text[256];
	size_t i;

	snprintf(text, sizeof(text), "0x%08x", w->hash);
	json_add_str(o, "hash", text);
	if (w->vserver)
		json_add_str(o, "vserver", maps->vservers[w->vserver].name);
	json_add_int(o, "node_bucket", w->node_bucket);
	node = w->node == c->node_id ? c->node_name : NULL;
	for (i = 0; i < c->cluster.n_peers; i++) {
		if (c->cluster.peers[i].id == w->node)
			node = c->cluster.peers[i].name;
	}
	snprintf(text, sizeof(text), "%u", w->node);
	json_add_str(o, "node", node ? node : text);
	json_add_int(o, "core_bucket", w->core_bucket);
	if (w->engine != ENGINE_NONE)
		json_add_int(o, "engine", w->engine);
	list = json_add_array(o, "engines");
	for (i = 0; i < ENGINE_PREFS && w->engines[i] != ENGINE_NONE; i++)
		json_object_array_add(list, json_object_new_int(w->engines[i]));
	if (w->service) {
		json_add_str(o, "service", s->name);
		json_add_addr_port(o, "address", &s->addr, ntohs(s->port));
	}
	if (w->found)
		add_entry(maps, &w->entry, uv_hrtime(),
			  json_add_object(o, "entry"));
	explain(maps, w, text, sizeof(text));
	json_add_str(o, "why", text);
}

static void get_where(void *ctx, const struct api_request *request,
		      struct api_reply *reply)
{
	static uint32_t table[TOEPLITZ_TABLE_LEN];
	struct apply *a = ctx;
	const char *proto = api_query(request, "proto");
	const char *src = api_query(request, "src");
	const char *dst = api_query(request, "dst");
	struct flow_where_query q = { 0 };
	struct flow_where w;
	uint16_t sport, dport;
	int n;

	n = parse_proto(proto ? proto : "");
	if (n < 0) {
		api_fail(reply, 400, "proto: expected tcp or udp");
		return;
	}
	if (!src || !dst || addr_text_parse_port(src, &q.src, &sport) ||
	    addr_text_parse_port(dst, &q.dst, &dport)) {
		api_fail(reply, 400,
			 "src, dst: expected ADDRESS:PORT, [ADDRESS]:PORT for IPv6");
		return;
	}
	if (ip_addr_is_v4(&q.src) != ip_addr_is_v4(&q.dst)) {
		api_fail(reply, 400, "src, dst: of different families");
		return;
	}
	q.proto = n;
	q.sport = htons(sport);
	q.dport = htons(dport);
	toeplitz_tables_build(a->dp->options.rss_key, table);
	flow_where(&a->dp->maps, table, &q, uv_hrtime(), &w);
	reply->json = json_object_new_object();
	where_json(a, &w, reply->json);
}

void flow_api_routes(struct api *api, struct apply *apply)
{
	api_route(api, "GET", "/v1/flows", get_flows, apply);
	api_route(api, "GET", "/v1/flow-where", get_where, apply);
}
