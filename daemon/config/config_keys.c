/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every key of the configuration: type, range, default, place, help. A new
 * key is a new row here (and a field in config.h) and nothing else, unless it
 * contradicts another key: then also a rule in config_check.c.
 */
#include "config/config_keys.h"

#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "config/config_check.h"
#include "config/config_index.h"
#include "config/config_read.h"
#include "probe_tunnel.h"

#define DAY_MS 86400000
#define YEAR_S 31536000

#define AT(type, field) .off = offsetof(struct type, field)
#define AT_SIZED(type, field)                                                  \
	AT(type, field), .size = sizeof(((struct type *)0)->field)
#define COUNT(type, field) .count_off = offsetof(struct type, field)

#define BOOL(key, t, f, value, ...)                                            \
	{ .name = key, .type = CONFIG_BOOL, AT_SIZED(t, f), .def = value,      \
	  __VA_ARGS__ }
#define NUMBER(key, t, f, low, high, value, ...)                               \
	{ .name = key, .type = CONFIG_NUMBER, AT_SIZED(t, f), .min = low,      \
	  .max = high, .def = value, __VA_ARGS__ }
#define ENUM(key, t, f, list, value, ...)                                      \
	{ .name = key, .type = CONFIG_ENUM, AT_SIZED(t, f), .names = list,     \
	  .def = value, __VA_ARGS__ }
#define NAME(key, t, f, ...)                                                   \
	{ .name = key, .type = CONFIG_NAME, AT(t, f), __VA_ARGS__ }
#define STRING(key, t, f, low, high, ...)                                      \
	{ .name = key, .type = CONFIG_STRING, AT(t, f), .min = low,            \
	  .max = high, __VA_ARGS__ }
#define OBJECT(key, list, ...)                                                 \
	{ .name = key, .type = CONFIG_OBJECT, .sub = &list, __VA_ARGS__ }
#define ARRAY(key, t, f, n, limit, list, ...)                                  \
	{ .name = key, .type = CONFIG_ARRAY, AT(t, f), COUNT(t, n),            \
	  .max = limit, .sub = &list, __VA_ARGS__ }
#define CUSTOM(key, t, f, function, ...)                                       \
	{ .name = key, .type = CONFIG_CUSTOM, AT(t, f), .read = function,      \
	  __VA_ARGS__ }
#define REQUIRED .flags = CONFIG_REQUIRED
#define HELP(text) .help = text

#define SCHEMA(called, rows, ...)                                              \
	{ .title = called, .keys = rows,                                       \
	  .n_keys = sizeof(rows) / sizeof(rows[0]), __VA_ARGS__ }

/* ---- node, interfaces, fabric ----------------------------------------- */

static const struct config_key node_keys[] = {
	NUMBER("id", config, node_id, 0, NODES_MAX - 1, 0,
	       HELP("number of this node in the cluster")),
	NAME("name", config, node_name, .def_help = "the host's name",
	     HELP("name of this node")),
};
static const struct config_schema node_schema = SCHEMA("node", node_keys);

static const char *const attach_names[] = { "auto", "native", "generic",
					    "adopt", "dispatcher", NULL };

static const struct config_key iface_keys[] = {
	CUSTOM("name", config_interface, name, config_read_ifname, REQUIRED,
	       HELP("network device")),
	ENUM("attach", config_interface, attach, attach_names,
	     CONFIG_ATTACH_AUTO,
	     HELP("how XDP is attached; auto: native, else generic, beside "
		  "others where libxdp's dispatcher is; adopt: only what is "
		  "there already; dispatcher: start one")),
};
static const struct config_schema iface_schema =
	SCHEMA("interface", iface_keys, .size = sizeof(struct config_interface));

static const struct config_key rss_keys[] = {
	CUSTOM("key", config, rss_key, config_read_rss_key,
	       .def_help = "default",
	       HELP("Toeplitz key: default (Microsoft's), symmetric, or 80 "
		    "hexadecimal digits; the same on all nodes")),
};
static const struct config_schema rss_schema = SCHEMA("rss", rss_keys);

static const struct config_key flows_keys[] = {
	NUMBER("max", config, flows_max, 1, 1u << 26, 1u << 20,
	       HELP("flows the table has room for, 128 bytes each")),
};
static const struct config_schema flows_schema = SCHEMA("flows", flows_keys);

static const struct config_key tunnel_keys[] = {
	{ .name = "source4", .type = CONFIG_ADDR, AT(config, tunnel_src4),
	  COUNT(config, has_tunnel4), .def_help = "the interface's address",
	  HELP("outer IPv4 source of encapsulated packets") },
	{ .name = "source6", .type = CONFIG_ADDR, AT(config, tunnel_src6),
	  COUNT(config, has_tunnel6), .def_help = "the interface's address",
	  HELP("outer IPv6 source of encapsulated packets") },
	{ .name = "addresses", .type = CONFIG_ADDRS, AT(config, tunnel_addrs),
	  COUNT(config, n_tunnel_addrs), .max = NAT_ADDRS_MAX,
	  HELP("encapsulated packets to these are hashed on inner headers") },
	NUMBER("gue_port", config, gue_port, 1, 65535, 6080,
	       HELP("UDP destination port of GUE")),
};
static const struct config_schema tunnel_schema =
	SCHEMA("tunnel", tunnel_keys);

/* ---- monitors ---------------------------------------------------------- */

#define M(type) (1u << MONITOR_##type)
#define M_HTTP (M(HTTP) | M(HTTP_ECV) | M(HTTPS) | M(HTTPS_ECV))
#define M_TLS (M(HTTPS) | M(HTTPS_ECV))
#define M_EXPECT (M(TCP_ECV) | M(UDP_ECV) | M(HTTP_ECV) | M(HTTPS_ECV))
#define M_ACTIVE (~M(INLINE))

static const char *const tunnel_names[] = {
	[PROBE_TUNNEL_NONE] = "none",
	[PROBE_TUNNEL_IPIP] = "ipip",
	[PROBE_TUNNEL_GUE] = "gue",
	NULL,
};

const char *const config_keys_monitor_types[] = {
	[MONITOR_PING] = "ping",
	[MONITOR_TCP] = "tcp",
	[MONITOR_TCP_ECV] = "tcp-ecv",
	[MONITOR_HTTP] = "http",
	[MONITOR_HTTP_ECV] = "http-ecv",
	[MONITOR_HTTPS] = "https",
	[MONITOR_HTTPS_ECV] = "https-ecv",
	[MONITOR_UDP] = "udp",
	[MONITOR_UDP_ECV] = "udp-ecv",
	[MONITOR_DNS] = "dns",
	[MONITOR_FTP] = "ftp",
	[MONITOR_LOAD] = "load",
	[MONITOR_SCRIPT] = "script",
	[MONITOR_INLINE] = "inline",
	NULL,
};

static uint32_t monitor_kind(const void *dst)
{
	return 1u << ((const struct config_monitor *)dst)->type;
}

static const struct config_key monitor_keys[] = {
	NAME("name", config_monitor, name, REQUIRED, HELP("unique name")),
	ENUM("type", config_monitor, type, config_keys_monitor_types,
	     MONITOR_PING, REQUIRED, HELP("what a probe does")),
	NUMBER("interval_ms", config_monitor, interval_ms, 1, DAY_MS, 5000,
	       .types = M_ACTIVE, HELP("time from probe to probe")),
	NUMBER("timeout_ms", config_monitor, timeout_ms, 1, DAY_MS, 2000,
	       .types = M_ACTIVE, HELP("a reply later than this is a failure")),
	NUMBER("retries", config_monitor, retries, 1, 127, 3,
	       HELP("probes looked at to call a service down")),
	NUMBER("success_retries", config_monitor, success_retries, 1, 32, 1,
	       HELP("successes in a row to call it up")),
	NUMBER("failure_retries", config_monitor, failure_retries, 0, 127, 0,
	       HELP("failures among \"retries\" that suffice; 0: all")),
	NUMBER("down_ms", config_monitor, down_ms, 1, DAY_MS, 30000,
	       HELP("time from probe to probe while the service is down")),
	NUMBER("deviation_ms", config_monitor, deviation_ms, 0, DAY_MS, 0,
	       .types = M_ACTIVE,
	       HELP("time-out = learned mean + this; 0: timeout_ms")),
	BOOL("response_time", config_monitor, response_time, 0,
	     .types = M_ACTIVE,
	     HELP("the mean is over all its services, which share one "
		  "owner; needs deviation_ms")),
	BOOL("reverse", config_monitor, reverse, 0, .types = M_ACTIVE,
	     HELP("a success counts as failure, and the reverse")),
	{ .name = "address", .type = CONFIG_ADDR, AT(config_monitor, address),
	  COUNT(config_monitor, has_address), .types = M_ACTIVE,
	  .def_help = "the service's", HELP("address that is probed") },
	NUMBER("port", config_monitor, port, 1, 65535, 0,
	       .types = M_ACTIVE & ~M(PING), .def_help = "the service's",
	       HELP("port that is probed")),
	ENUM("tunnel", config_monitor, tunnel, tunnel_names, 0,
	     .types = M_ACTIVE, /* script's is refused with the reason */
	     HELP("encapsulated to the service, as dsr-ipip or dsr-gue does; "
		  "\"address\" is the vserver's then; not of type script, "
		  "which connects by itself")),
	{ .name = "send", .type = CONFIG_BYTES, AT(config_monitor, send),
	  COUNT(config_monitor, send_len), .max = 4096,
	  .types = M(TCP_ECV) | M(UDP) | M(UDP_ECV),
	  HELP("bytes to send; \\u00NN is the byte NN") },
	{ .name = "expect", .type = CONFIG_BYTES, AT(config_monitor, expect),
	  COUNT(config_monitor, expect_len), .min = 1, .max = 1024,
	  .types = M_EXPECT, REQUIRED,
	  HELP("what the reply must contain") },
	BOOL("expect_regex", config_monitor, expect_regex, 0,
	     .types = M_EXPECT, HELP("\"expect\" is a regular expression")),
	STRING("method", config_monitor, http_method, 1, 16, .types = M_HTTP,
	       .def_string = "GET", HELP("HTTP method")),
	STRING("path", config_monitor, http_path, 1, 1024,
	       .types = M_HTTP | M(LOAD), .def_string = "/",
	       HELP("path asked for")),
	STRING("host", config_monitor, http_host, 1, 255,
	       .types = M_HTTP | M(LOAD), .def_help = "the address",
	       HELP("Host header")),
	STRING("codes", config_monitor, http_codes, 3, 255, .types = M_HTTP,
	       .def_string = "200", HELP("accepted, e.g. \"200-299,304\"")),
	BOOL("verify", config_monitor, verify, 1, .types = M_TLS,
	     HELP("check the certificate")),
	STRING("sni", config_monitor, sni, 1, 255, .types = M_TLS,
	       .def_help = "host", HELP("server name asked for")),
	STRING("query", config_monitor, dns_query, 1, 255, .types = M(DNS),
	       REQUIRED, HELP("name asked for")),
	STRING("query_type", config_monitor, dns_type, 1, 8, .types = M(DNS),
	       .def_string = "A", HELP("A, AAAA, CNAME, MX, NS, PTR, TXT")),
	STRING("answers", config_monitor, dns_answers, 1, 1024,
	       .types = M(DNS), .def_help = "any",
	       HELP("comma separated; one of them must be in the answer")),
	STRING("user", config_monitor, ftp_user, 1, 64, .types = M(FTP),
	       .def_help = "anonymous", HELP("FTP user")),
	STRING("password", config_monitor, ftp_password, 1, 128,
	       .types = M(FTP), HELP("FTP password")),
	STRING("path", config_monitor, ftp_path, 1, 1024, .types = M(FTP),
	       .def_help = "log in only", HELP("file that must be there")),
	STRING("script", config_monitor, script, 2, 1024, .types = M(SCRIPT),
	       REQUIRED, HELP("absolute path of an executable; what it connects to "
			    "it reaches plainly, through no tunnel")),
	{ .name = "args", .type = CONFIG_STRINGS,
	  AT(config_monitor, script_args), .max = 32, .types = M(SCRIPT),
	  HELP("its arguments, after address and port") },
	STRING("metric", config_monitor, load_metric, 1, 64, .types = M(LOAD),
	       REQUIRED, HELP("key of the \"key value\" line that is read")),
	STRING("weight_metric", config_monitor, weight_metric, 1, 64,
	       .types = M(LOAD),
	       HELP("key of a second line: 1 to 100, the share of its weight, "
		    "in per cent, that the server takes of new flows")),
	NUMBER("load_max", config_monitor, load_max, 0, UINT32_MAX, 0,
	       .types = M(LOAD),
	       HELP("more than this: overloaded; 0: no limit")),
	NUMBER("window_ms", config_monitor, inline_window_ms, 10, DAY_MS,
	       10000, .types = M(INLINE), HELP("time that is looked back")),
	NUMBER("failures", config_monitor, inline_failures, 1, 1000000, 5,
	       .types = M(INLINE),
	       HELP("attempts unanswered or reset in it: a failure")),
};
const struct config_schema config_keys_monitor =
	SCHEMA("monitor", monitor_keys, .size = sizeof(struct config_monitor),
	       .kind = monitor_kind);

/* ---- services ---------------------------------------------------------- */

static const struct config_key binding_keys[] = {
	CUSTOM("monitor", config_binding, monitor, config_read_monitor_ref,
	       REQUIRED, HELP("name of a monitor")),
	NUMBER("weight", config_binding, weight, 1, 65535, 1,
	       HELP("what it adds to the sum while it passes")),
};
static const struct config_schema binding_schema =
	SCHEMA("monitor of a service", binding_keys,
	       .size = sizeof(struct config_binding));

static const char *const family_names[] = { "ipv4", "ipv6", NULL };
static const uint8_t family_values[] = { 4, 6 };

static const struct config_key service_keys[] = {
	NAME("name", config_service, name, REQUIRED, HELP("unique name")),
	{ .name = "address", .type = CONFIG_ADDR, AT(config_service, addr),
	  COUNT(config_service, has_address),
	  .def_help = "the domain's", HELP("address of the back end") },
	STRING("domain", config_service, domain, 1, 253,
	       HELP("name to resolve, in place of an address")),
	ENUM("family", config_service, family, family_names, 0,
	     .values = family_values, .def_help = "ipv4",
	     HELP("of the addresses the domain is resolved to")),
	NUMBER("port", config_service, port, 1, 65535, 0, REQUIRED,
	       HELP("port of the back end")),
	BOOL("enabled", config_service, enabled, 1,
	     HELP("takes new flows")),
	NUMBER("threshold", config_service, threshold, 1, 1u << 20, 1,
	       HELP("summed weight of passing monitors that makes it up")),
	NUMBER("conns_max", config_service, conns_max, 0, UINT32_MAX, 0,
	       HELP("most flows at a time; 0: no limit")),
	NUMBER("slow_start_ms", config_service, slow_start_ms, 0, DAY_MS, 0,
	       HELP("time to reach its full weight after coming up; "
		    "round-robin has no weights")),
	BOOL("path_monitor", config_service, path_monitor, 0,
	     HELP("every node checks its own path to the service")),
	BOOL("path_individual", config_service, path_individual, 1,
	     HELP("a node without a path sees it down alone")),
	ARRAY("monitors", config_service, bindings, n_bindings,
	      BINDINGS_PER_SERVICE_MAX, binding_schema,
	      HELP("monitors bound to it")),
};
const struct config_schema config_keys_service =
	SCHEMA("service", service_keys, .size = sizeof(struct config_service));

/* ---- vservers ---------------------------------------------------------- */

static const char *const proto_names[] = { "tcp", "udp", NULL };
static const uint8_t proto_values[] = { IPPROTO_TCP, IPPROTO_UDP };
static const char *const down_names[] = { "drop", "reset", NULL };

const char *const config_keys_modes[] = {
	[FWD_NAT] = "nat",
	[FWD_DSR_L2] = "dsr-l2",
	[FWD_DSR_IPIP] = "dsr-ipip",
	[FWD_DSR_GUE] = "dsr-gue",
	NULL,
};

const char *const config_keys_setups[] = {
	[SETUP_ENGINE] = "engine",
	[SETUP_KERNEL] = "kernel",
	[SETUP_INSPECT] = "inspect",
	NULL,
};

const char *const config_keys_methods[] = {
	[LB_MAGLEV] = "maglev",
	[LB_ROUND_ROBIN] = "round-robin",
	[LB_WEIGHTED_ROUND_ROBIN] = "weighted-round-robin",
	[LB_LEAST_CONNECTIONS] = "least-connections",
	[LB_SOURCE_HASH] = "source-hash",
	[LB_LEAST_RESPONSE] = "least-response",
	[LB_LEAST_LOAD] = "least-load",
	NULL,
};

static const struct config_key member_keys[] = {
	CUSTOM("service", config_member, service, config_read_service_ref,
	       REQUIRED, HELP("name of a service")),
	NUMBER("weight", config_member, weight, 1, 65535, 1,
	       HELP("its share of new flows")),
};
static const struct config_schema member_schema =
	SCHEMA("service of a vserver", member_keys,
	       .size = sizeof(struct config_member));

static const struct config_key vserver_keys[] = {
	NAME("name", config_vserver, name, REQUIRED, HELP("unique name")),
	{ .name = "address", .type = CONFIG_ADDR, AT(config_vserver, addr),
	  REQUIRED, HELP("virtual address") },
	NUMBER("port", config_vserver, port, 1, 65535, 0, REQUIRED,
	       HELP("port")),
	ENUM("protocol", config_vserver, proto, proto_names, IPPROTO_TCP,
	     .values = proto_values, HELP("protocol")),
	ENUM("mode", config_vserver, mode, config_keys_modes, FWD_NAT,
	     HELP("how packets reach the services")),
	ENUM("setup", config_vserver, setup, config_keys_setups, SETUP_ENGINE,
	     HELP("who decides new flows; inspect: and sees all packets")),
	ENUM("method", config_vserver, method, config_keys_methods, LB_MAGLEV,
	     HELP("how a service is chosen")),
	BOOL("enabled", config_vserver, enabled, 1, HELP("takes new flows")),
	NUMBER("persistence_s", config_vserver, persist_s, 0, YEAR_S, 0,
	       HELP("a source keeps its service this long; 0: off")),
	BOOL("down_flush", config_vserver, down_flush, 0,
	     HELP("flows of a service that goes down are reset")),
	ENUM("down_action", config_vserver, down_reset, down_names, 0,
	     HELP("what new flows get while no service is up")),
	NUMBER("members_min", config_vserver, members_min, 0, SERVICES_MAX, 0,
	       HELP("with fewer services up the vserver is down")),
	CUSTOM("backup", config_vserver, backup, config_read_backup,
	       HELP("name of the vserver used while this one is down")),
	NUMBER("syn_s", config_vserver, syn_s, 1, YEAR_S, 30,
	       HELP("idle time-out of half-open TCP flows")),
	NUMBER("est_s", config_vserver, est_s, 1, YEAR_S, 3600,
	       HELP("idle time-out of established TCP flows")),
	NUMBER("fin_s", config_vserver, fin_s, 1, YEAR_S, 30,
	       HELP("idle time-out of closing TCP flows")),
	NUMBER("udp_s", config_vserver, udp_s, 1, YEAR_S, 60,
	       HELP("idle time-out of UDP flows")),
	ARRAY("services", config_vserver, members, n_members, MEMBERS_MAX,
	      member_schema, HELP("services behind it")),
};
const struct config_schema config_keys_vserver =
	SCHEMA("vserver", vserver_keys, .size = sizeof(struct config_vserver));

/* ---- cluster ----------------------------------------------------------- */

static const char *const quorum_names[] = { "none", "majority", NULL };

static const struct config_key peer_keys[] = {
	NUMBER("id", config_peer, id, 0, NODES_MAX - 1, 0, REQUIRED,
	       HELP("the node's number")),
	NAME("name", config_peer, name, .def_help = "\"n\" and its number",
	     HELP("the node's name")),
	CUSTOM("address", config_peer, addr, config_read_peer_address,
	       REQUIRED, HELP("ADDRESS or ADDRESS:PORT on the back plane")),
};
static const struct config_schema peer_schema =
	SCHEMA("peer", peer_keys, .size = sizeof(struct config_peer));

static const struct config_key cluster_keys[] = {
	NAME("id", config_cluster, id, REQUIRED, HELP("name of the cluster")),
	CUSTOM("address", config_cluster, addr, config_read_cluster_address,
	       REQUIRED, HELP("ADDRESS or ADDRESS:PORT of this node; port "
			      "7946 if not given")),
	ARRAY("peers", config_cluster, peers, n_peers, NODES_MAX, peer_schema,
	      HELP("the nodes; this one may be among them")),
	STRING("key_file", config_cluster, key_file, 1, 4096, REQUIRED,
	       HELP("file with the cluster's keys")),
	NUMBER("hello_ms", config_cluster, hello_ms, 10, 60000, 100,
	       HELP("time from hello to hello")),
	NUMBER("dead_missed", config_cluster, dead_missed, 2, 100, 4,
	       HELP("hellos missed that make a node suspect")),
	NUMBER("observers", config_cluster, observers, 1, NODES_MAX, 3,
	       HELP("nodes that must agree that it is dead (all, if fewer)")),
	ENUM("quorum", config_cluster, quorum_majority, quorum_names, 1,
	     HELP("none: a minority goes on alone, at the risk of two halves")),
};
static const struct config_schema cluster_schema =
	SCHEMA("cluster", cluster_keys);

/* ---- the whole --------------------------------------------------------- */

/* Read in this order: services name monitors, vservers name services. */
static const struct config_key top_keys[] = {
	OBJECT("node", node_schema, .after = config_read_node_done,
	       HELP("this machine")),
	{ .name = "interfaces", .type = CONFIG_FIXED, AT(config, ifaces),
	  COUNT(config, n_ifaces), .max = IFACES_MAX, .sub = &iface_schema,
	  HELP("network devices that packets arrive on") },
	NUMBER("engines", config, engines, 1, ENGINES_MAX, 1,
	       HELP("packet engine processes")),
	NUMBER("probers", config, probers, 0, 64, 1,
	       HELP("prober processes")),
	OBJECT("rss", rss_schema, .after = config_read_rss_done,
	       HELP("hash of the flows")),
	OBJECT("flows", flows_schema, HELP("flow table")),
	{ .name = "nat", .type = CONFIG_ADDRS, AT(config, nat),
	  COUNT(config, n_nat), .max = NAT_ADDRS_MAX,
	  .def_help = "the interface's addresses",
	  HELP("source addresses of mode nat") },
	OBJECT("tunnel", tunnel_schema, HELP("encapsulation")),
	ARRAY("monitors", config, monitors, n_monitors, MONITORS_MAX,
	      config_keys_monitor, .after = config_check_monitors,
	      HELP("probe definitions")),
	ARRAY("services", config, services, n_services, SERVICES_MAX - 1,
	      config_keys_service, .after = config_check_services,
	      HELP("back ends")),
	ARRAY("vservers", config, vservers, n_vservers, VSERVERS_MAX - 1,
	      config_keys_vserver, .after = config_check_vservers,
	      HELP("virtual servers")),
	{ .name = "cluster", .type = CONFIG_OBJECT, AT(config, cluster),
	  COUNT(config, cluster.enabled), .sub = &cluster_schema,
	  .after = config_check_cluster, HELP("the other nodes") },
};
const struct config_schema config_keys_top =
	SCHEMA("configuration", top_keys, .size = sizeof(struct config));
