/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules between values. Every refusal says what contradicts what and, where
 * it is short, why. Nothing here is quadratic in services: 70 000 of them
 * are checked in a fraction of a second.
 */
#include "config/config_check.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_index.h"
#include "config/config_keys.h"
#include "util/addr_text.h"

/* Fails at element I's KEY (or, KEY NULL, at the element) of the part that
 * the path stands at. */
#define FAIL_AT(reader, i, key, ...)                                           \
	({                                                                     \
		config_schema_push(reader, NULL, i);                           \
		if (key)                                                       \
			config_schema_push(reader, key, 0);                    \
		config_schema_fail(reader, __VA_ARGS__);                       \
	})

#define NO_KEY ((const char *)NULL)

static int build_index(struct config_reader *reader, const char *kind,
		       void *base, size_t stride, size_t n,
		       struct config_index **ret)
{
	size_t second, first;
	const struct config_named *a, *b;
	int rc = config_index_new(kind, base, stride, n, ret, &second, &first);

	if (rc != -EEXIST)
		return rc;
	a = (void *)((char *)base + first * stride);
	b = (void *)((char *)base + second * stride);
	if (strcmp(a->name, b->name) == 0)
		return FAIL_AT(reader, second, "name",
			       "the name \"%s\" is taken by element %zu",
			       b->name, first);
	return FAIL_AT(reader, second, "name",
		       "\"%s\" and \"%s\" hash alike: choose another name",
		       b->name, a->name);
}

/* ---- monitors ---------------------------------------------------------- */

/* "200-299,304": codes 100..599, ranges upward. */
static bool codes_valid(const char *text)
{
	for (;;) {
		char *end;
		unsigned long low, high;

		if (*text < '1' || *text > '5')
			return false;
		low = high = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (*text < '1' || *text > '5')
				return false;
			high = strtoul(text, &end, 10);
		}
		if (low < 100 || high > 599 || high < low)
			return false;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

static bool one_of(const char *text, const char *list)
{
	size_t len = strlen(text);

	for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strncmp(p, text, len) == 0 && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

static int check_monitor(struct config_reader *reader, size_t i)
{
	const struct config_monitor *m = &reader->config->monitors[i];

	if (m->failure_retries > m->retries)
		return FAIL_AT(reader, i, "failure_retries",
			       "expected at most \"retries\" (%u)", m->retries);
	if (m->http_method &&
	    strspn(m->http_method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") !=
		    strlen(m->http_method))
		return FAIL_AT(reader, i, "method",
			       "expected capital letters, as in GET");
	if (m->http_path &&
	    (m->http_path[0] != '/' || strchr(m->http_path, ' ')))
		return FAIL_AT(reader, i, "path",
			       "expected a path that starts with / and has "
			       "no spaces");
	if (m->http_host && strchr(m->http_host, ' '))
		return FAIL_AT(reader, i, "host", "expected no spaces");
	if (m->http_codes && !codes_valid(m->http_codes))
		return FAIL_AT(reader, i, "codes",
			       "expected codes from 100 to 599 as in "
			       "\"200-299,304\", found \"%.40s\"",
			       m->http_codes);
	if (m->dns_type &&
	    !one_of(m->dns_type, "A AAAA CNAME MX NS PTR SOA SRV TXT"))
		return FAIL_AT(reader, i, "query_type",
			       "expected A, AAAA, CNAME, MX, NS, PTR, SOA, SRV "
			       "or TXT, found \"%.40s\"",
			       m->dns_type);
	if (m->response_time && !m->deviation_ms)
		return FAIL_AT(reader, i, "response_time",
			       "the time-out is the mean over its services plus "
			       "\"deviation_ms\", which is missing");
	if (m->tunnel && m->type == MONITOR_SCRIPT)
		return FAIL_AT(reader, i, "tunnel",
			       "a script makes its own connections, which go "
			       "plainly: none can be led through a tunnel");
	if (m->tunnel && !m->has_address)
		return FAIL_AT(reader, i, "tunnel",
			       "\"address\" is missing: what is asked inside "
			       "the tunnel is the vserver's address");
	if (m->script && m->script[0] != '/')
		return FAIL_AT(reader, i, "script",
			       "expected an absolute path, found \"%.60s\"",
			       m->script);
	if (m->type == MONITOR_UDP_ECV && !m->send)
		return FAIL_AT(reader, i, NO_KEY,
			       "\"send\" is missing: a UDP server answers "
			       "only when asked");
	return 0;
}

int config_check_monitors(struct config_reader *reader)
{
	struct config *config = reader->config;
	int rc = build_index(reader, "monitor", config->monitors,
			     sizeof(*config->monitors), config->n_monitors,
			     &config->monitor_index);

	for (size_t i = 0; rc == 0 && i < config->n_monitors; i++)
		rc = check_monitor(reader, i);
	return rc;
}

/* ---- services ---------------------------------------------------------- */

/* NULL, or why ADDR cannot be one machine's address. */
static const char *addr_problem(const union ip_addr *addr)
{
	if (ip_addr_is_unspecified(addr))
		return "the unspecified address is not one of a machine";
	if (ip_addr_is_multicast(addr))
		return "a multicast or reserved address is not one of a machine";
	return NULL;
}

/* Labels of letters, digits, hyphens and underscores; not an address. */
static bool is_domain(const char *name)
{
	size_t label = 0, len = strlen(name);
	bool letter = false;

	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)c) && c != '-' && c != '_')
			return false;
		letter |= !isdigit((unsigned char)c);
		if (++label > 63)
			return false;
	}
	return letter;
}

static int check_place(struct config_reader *reader, size_t i)
{
	struct config_service *s = &reader->config->services[i];

	if (s->has_address == (s->domain != NULL))
		return FAIL_AT(reader, i, NO_KEY,
			       "expected either \"address\" or \"domain\", "
			       "found %s",
			       s->domain ? "both" : "neither");
	if (s->domain && !is_domain(s->domain))
		return FAIL_AT(reader, i, "domain",
			       "expected a domain name, as in "
			       "\"www.example.org\", found \"%.80s\"",
			       s->domain);
	if (!s->domain && s->family)
		return FAIL_AT(reader, i, "family",
			       "says what a domain is resolved to: an address "
			       "has one already");
	if (s->domain && !s->family)
		s->family = 4;
	if (s->has_address && addr_problem(&s->addr))
		return FAIL_AT(reader, i, "address", "%s",
			       addr_problem(&s->addr));
	return 0;
}

bool config_unresolved(const struct config_service *s)
{
	static const union ip_addr none;

	return s->domain && ip_addr_equal(&s->addr, &none);
}

const char *config_address_problem(const struct config *config,
				   const struct config_service *s,
				   const union ip_addr *addr)
{
	if (ip_addr_is_v4(addr) != (s->family == 4))
		return "it is not of the family asked for";
	if (addr_problem(addr))
		return addr_problem(addr);
	if (ip_addr_is_loopback(addr))
		return "a loopback address is another machine on each node";
	for (size_t i = 0; i < config->n_vservers; i++)
		if (ip_addr_equal(&config->vservers[i].addr, addr))
			return "it is a vserver's own address";
	return NULL;
}

static int check_service(struct config_reader *reader, size_t i)
{
	const struct config_service *s = &reader->config->services[i];
	uint64_t sum = 0;
	int rc = check_place(reader, i);

	if (rc)
		return rc;
	for (size_t k = 0; k < s->n_bindings; k++) {
		const struct config_monitor *m = s->bindings[k].monitor;

		for (size_t j = 0; j < k; j++)
			if (s->bindings[j].monitor == m)
				return FAIL_AT(reader, i, "monitors",
					       "\"%s\" is bound twice", m->name);
		sum += s->bindings[k].weight;
	}
	if (s->n_bindings && sum < s->threshold)
		return FAIL_AT(reader, i, "threshold",
			       "the service could never be up: the weights of "
			       "its monitors sum to %llu, the threshold is %u",
			       (unsigned long long)sum, s->threshold);
	return 0;
}

int config_check_services(struct config_reader *reader)
{
	struct config *config = reader->config;
	int rc = build_index(reader, "service", config->services,
			     sizeof(*config->services), config->n_services,
			     &config->service_index);

	for (size_t i = 0; rc == 0 && i < config->n_services; i++)
		rc = check_service(reader, i);
	return rc;
}

/* ---- vservers ---------------------------------------------------------- */

static int by_pointer(const void *a, const void *b)
{
	const struct config_service *x = *(struct config_service *const *)a;
	const struct config_service *y = *(struct config_service *const *)b;

	return x < y ? -1 : x > y;
}

/* The same service twice is a mistake: weights are what shares are for. */
static int check_members_unique(struct config_reader *reader, size_t i)
{
	const struct config_vserver *v = &reader->config->vservers[i];
	const struct config_service **sorted, *twice = NULL;

	sorted = malloc((v->n_members + 1) * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t k = 0; k < v->n_members; k++)
		sorted[k] = v->members[k].service;
	qsort(sorted, v->n_members, sizeof(*sorted), by_pointer);
	for (size_t k = 1; k < v->n_members; k++)
		if (sorted[k] == sorted[k - 1])
			twice = sorted[k];
	free(sorted);
	if (!twice)
		return 0;
	return FAIL_AT(reader, i, "services", "\"%s\" is bound twice",
		       twice->name);
}

static int fail_member(struct config_reader *reader, size_t i, size_t k,
		       const char *why)
{
	config_schema_push(reader, NULL, i);
	config_schema_push(reader, "services", 0);
	config_schema_push(reader, NULL, k);
	return config_schema_fail(
		reader, "service \"%s\" does not fit: %s",
		reader->config->vservers[i].members[k].service->name, why);
}

static int check_members(struct config_reader *reader, size_t i)
{
	const struct config_vserver *v = &reader->config->vservers[i];
	bool v4 = ip_addr_is_v4(&v->addr);

	for (size_t k = 0; k < v->n_members; k++) {
		const struct config_service *s = v->members[k].service;
		bool same = v4 == (s->domain ? s->family == 4 :
					       ip_addr_is_v4(&s->addr));

		/* NAT and MAC rewriting keep the packet's family. */
		if (!same && (v->mode == FWD_NAT || v->mode == FWD_DSR_L2))
			return fail_member(reader, i, k,
					   "this mode needs the address family "
					   "of the vserver");
		/* In DSR the back end sees the client's packet as sent. */
		if (v->mode != FWD_NAT && s->port != v->port)
			return fail_member(reader, i, k,
					   "the dsr modes cannot change the "
					   "port: it must be the vserver's");
		if (ip_addr_equal(&s->addr, &v->addr))
			return fail_member(reader, i, k,
					   "its address is the vserver's own");
	}
	return check_members_unique(reader, i);
}

static int check_vserver(struct config_reader *reader, size_t i)
{
	const struct config_vserver *v = &reader->config->vservers[i];

	if (addr_problem(&v->addr))
		return FAIL_AT(reader, i, "address", "%s",
			       addr_problem(&v->addr));
	/* The XDP program chooses by one look-up in a table. */
	if (v->setup == SETUP_KERNEL && v->method != LB_MAGLEV &&
	    v->method != LB_SOURCE_HASH)
		return FAIL_AT(reader, i, "method",
			       "setup \"kernel\" chooses from a table: "
			       "expected maglev or source-hash, or setup "
			       "\"engine\"");
	if (v->setup == SETUP_KERNEL && v->persist_s)
		return FAIL_AT(reader, i, "persistence_s",
			       "setup \"kernel\" keeps no persistence: use "
			       "method source-hash, or setup \"engine\"");
	if (v->members_min > v->n_members)
		return FAIL_AT(reader, i, "members_min",
			       "the vserver could never be up: it has %zu "
			       "services",
			       v->n_members);
	return check_members(reader, i);
}

/* Backups may stand anywhere in the file, so they are resolved last. */
static int resolve_backups(struct config_reader *reader)
{
	struct config *config = reader->config;
	struct json_object *list, *value;

	if (!json_object_object_get_ex(config->source, "vservers", &list))
		return 0;
	for (size_t i = 0; i < config->n_vservers; i++) {
		struct config_vserver *v = &config->vservers[i];
		const struct config_vserver *backup;

		if (!json_object_object_get_ex(
			    json_object_array_get_idx(list, i), "backup",
			    &value))
			continue;
		backup = config_index_find(config->vserver_index,
					   json_object_get_string(value));
		if (!backup)
			return FAIL_AT(reader, i, "backup",
				       "there is no vserver \"%.40s\"",
				       json_object_get_string(value));
		/* Its services get this vserver's packets as they are. */
		if (backup->proto != v->proto || backup->mode != v->mode ||
		    ip_addr_is_v4(&backup->addr) != ip_addr_is_v4(&v->addr) ||
		    (v->mode != FWD_NAT && backup->port != v->port))
			return FAIL_AT(reader, i, "backup",
				       "\"%s\" must have the same protocol, "
				       "mode and address family, in the dsr "
				       "modes the same port, too",
				       backup->name);
		v->backup = backup;
	}
	for (size_t i = 0; i < config->n_vservers; i++) {
		const struct config_vserver *v = &config->vservers[i];
		size_t steps = 0;

		for (const struct config_vserver *b = v->backup; b;
		     b = b->backup)
			if (b == v || ++steps > config->n_vservers)
				return FAIL_AT(reader, i, "backup",
					       "backups form a circle");
	}
	return 0;
}

static int by_endpoint(const void *a, const void *b)
{
	const struct config_vserver *x = *(struct config_vserver *const *)a;
	const struct config_vserver *y = *(struct config_vserver *const *)b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (order)
		return order;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return x < y ? -1 : 1;
}

static int check_endpoints(struct config_reader *reader)
{
	struct config *config = reader->config;
	size_t n = config->n_vservers, twice = 0;
	const struct config_vserver **sorted, *first = NULL;

	sorted = malloc((n + 1) * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &config->vservers[i];
	qsort(sorted, n, sizeof(*sorted), by_endpoint);
	for (size_t i = 1; i < n && !first; i++) {
		const struct config_vserver *a = sorted[i - 1], *b = sorted[i];

		if (ip_addr_equal(&a->addr, &b->addr) && a->port == b->port &&
		    a->proto == b->proto) {
			first = a;
			twice = (size_t)(b - config->vservers);
		}
	}
	free(sorted);
	if (!first)
		return 0;
	return FAIL_AT(reader, twice, NO_KEY,
		       "address, port and protocol are those of vserver \"%s\"",
		       first->name);
}

int config_check_vservers(struct config_reader *reader)
{
	struct config *config = reader->config;
	size_t members = 0;
	int rc = build_index(reader, "vserver", config->vservers,
			     sizeof(*config->vservers), config->n_vservers,
			     &config->vserver_index);

	for (size_t i = 0; rc == 0 && i < config->n_vservers; i++) {
		rc = check_vserver(reader, i);
		members += config->vservers[i].n_members;
		if (rc == 0 && members > MEMBERS_MAX)
			return FAIL_AT(reader, i, "services",
				       "more than %d services of all vservers "
				       "together",
				       MEMBERS_MAX);
	}
	if (rc == 0)
		rc = check_endpoints(reader);
	if (rc == 0)
		rc = resolve_backups(reader);
	return rc;
}

/* ---- cluster ----------------------------------------------------------- */

/* The file may be the same on all nodes: this node's own row is dropped. */
int config_check_cluster(struct config_reader *reader)
{
	struct config *config = reader->config;
	struct config_cluster *cluster = &config->cluster;
	size_t kept = 0;

	if (!cluster->enabled)
		return 0;
	config_schema_push(reader, "peers", 0);
	for (size_t i = 0; i < cluster->n_peers; i++) {
		struct config_peer *peer = &cluster->peers[i];

		if (addr_problem(&peer->addr))
			return FAIL_AT(reader, i, "address", "%s",
				       addr_problem(&peer->addr));
		for (size_t k = 0; k < i; k++) {
			if (cluster->peers[k].id == peer->id)
				return FAIL_AT(reader, i, "id",
					       "the id %u is taken", peer->id);
			if (ip_addr_equal(&cluster->peers[k].addr,
					  &peer->addr) &&
			    cluster->peers[k].port == peer->port)
				return FAIL_AT(reader, i, "address",
					       "the address is taken");
		}
		if (!peer->name[0])
			snprintf(peer->name, NAME_LEN, "n%u", peer->id);
		if (peer->id != config->node_id &&
		    ip_addr_equal(&peer->addr, &cluster->addr) &&
		    peer->port == cluster->port)
			return FAIL_AT(reader, i, "address",
				       "this is the address of this node "
				       "(id %u)",
				       config->node_id);
	}
	for (size_t i = 0; i < cluster->n_peers; i++)
		if (cluster->peers[i].id != config->node_id)
			cluster->peers[kept++] = cluster->peers[i];
	cluster->n_peers = kept;
	config_schema_pop(reader);
	config_schema_push(reader, "address", 0);
	if (addr_problem(&cluster->addr))
		return config_schema_fail(reader, "%s",
					  addr_problem(&cluster->addr));
	config_schema_pop(reader);
	return 0;
}

/* ---- the whole --------------------------------------------------------- */

static int check_interfaces(struct config_reader *reader)
{
	struct config *config = reader->config;

	config_schema_push(reader, "interfaces", 0);
	for (size_t i = 0; i < config->n_ifaces; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(config->ifaces[i].name,
				   config->ifaces[k].name) == 0)
				return FAIL_AT(reader, i, "name",
					       "the device is listed twice");
	config_schema_pop(reader);
	return 0;
}

/* One address has one meaning in the XDP program's look-up. */
static int check_addrs(struct config_reader *reader,
		       const union ip_addr *addrs, size_t n)
{
	struct config *config = reader->config;

	for (size_t i = 0; i < n; i++) {
		if (addr_problem(&addrs[i]))
			return FAIL_AT(reader, i, NO_KEY, "%s",
				       addr_problem(&addrs[i]));
		for (size_t k = 0; k < i; k++)
			if (ip_addr_equal(&addrs[i], &addrs[k]))
				return FAIL_AT(reader, i, NO_KEY,
					       "the address is listed twice");
		for (size_t k = 0; k < config->n_vservers; k++)
			if (ip_addr_equal(&addrs[i],
					  &config->vservers[k].addr))
				return FAIL_AT(reader, i, NO_KEY,
					       "this is the address of vserver "
					       "\"%s\"",
					       config->vservers[k].name);
	}
	return 0;
}

int config_check_whole(struct config_reader *reader)
{
	struct config *config = reader->config;
	uint64_t sets;

	if (check_interfaces(reader))
		return -EINVAL;
	config_schema_push(reader, "nat", 0);
	if (check_addrs(reader, config->nat, config->n_nat))
		return -EINVAL;
	config_schema_pop(reader);
	config_schema_push(reader, "tunnel", 0);
	config_schema_push(reader, "addresses", 0);
	if (check_addrs(reader, config->tunnel_addrs, config->n_tunnel_addrs))
		return -EINVAL;
	for (size_t i = 0; i < config->n_tunnel_addrs; i++)
		for (size_t k = 0; k < config->n_nat; k++)
			if (ip_addr_equal(&config->tunnel_addrs[i],
					  &config->nat[k]))
				return FAIL_AT(reader, i, NO_KEY,
					       "this is a NAT address, too");
	config_schema_pop(reader);
	config_schema_push(reader, "source4", 0);
	if (config->has_tunnel4 && !ip_addr_is_v4(&config->tunnel_src4))
		return config_schema_fail(reader, "expected an IPv4 address");
	config_schema_pop(reader);
	config_schema_push(reader, "source6", 0);
	if (config->has_tunnel6 && ip_addr_is_v4(&config->tunnel_src6))
		return config_schema_fail(reader, "expected an IPv6 address");
	config_schema_pop(reader);
	config_schema_pop(reader);
	/* A flow has two entries (forward and reverse) in sets of FLOW_WAYS. */
	config->flow_sets_log2 = FLOW_SETS_LOG2_MIN;
	sets = (2 * (uint64_t)config->flows_max + FLOW_WAYS - 1) / FLOW_WAYS;
	while (sets > 1ull << config->flow_sets_log2)
		config->flow_sets_log2++;
	return 0;
}
