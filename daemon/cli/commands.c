/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of all commands, and how their answers look. A new command is a
 * row here; help, abbreviations and completion follow from it.
 */
#include "cli/cli.h"
#include "cli/run.h"
#include "cli/table.h"
#include "config/config_keys.h"
#include "limits.h"

#define VIEW(view, rows, ...)                                                  \
	static const struct cli_view view = {                                  \
		.columns = rows,                                               \
		.n_columns = sizeof(rows) / sizeof(rows[0]),                   \
		__VA_ARGS__                                                    \
	}

/* ---- views ------------------------------------------------------------- */

static const struct cli_column node_columns[] = {
	{ "node", "name", CLI_TEXT },
	{ "id", "id", CLI_TEXT },
	{ "version", "version", CLI_TEXT },
	{ "pid", "pid", CLI_TEXT },
	{ "up", "uptime_s", CLI_SECONDS },
	{ "configuration", "config", CLI_TEXT },
	{ "generation", "generation", CLI_TEXT },
	{ "saved", "saved", CLI_YESNO },
	{ "engines", "engines", CLI_TEXT },
	{ "engines ready", "engines_ready", CLI_TEXT },
	{ "probers", "probers", CLI_TEXT },
	{ "vservers", "vservers", CLI_TEXT },
	{ "services", "services", CLI_TEXT },
	{ "services up", "services_up", CLI_TEXT },
	{ "flows", "flows", CLI_TEXT },
	{ "flows at most", "flows_max", CLI_TEXT },
};
VIEW(node_view, node_columns);

static const struct cli_column vserver_columns[] = {
	{ "VSERVER", "name", CLI_TEXT },
	{ "ADDRESS", "address", CLI_ENDPOINT },
	{ "PROTO", "protocol", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "UP", "services_up", CLI_COUNT },
	{ "SERVICES", "services", CLI_LENGTH },
	{ "MODE", "mode", CLI_TEXT },
	{ "SETUP", "setup", CLI_TEXT },
	{ "METHOD", "method", CLI_TEXT },
	{ "FLOWS", "flows", CLI_COUNT },
	{ "PACKETS", "packets", CLI_COUNT },
	{ "BYTES", "bytes", CLI_BYTES },
};
VIEW(vserver_view, vserver_columns, .list = "vservers");

static const struct cli_column member_columns[] = {
	{ "SERVICE", "name", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "WEIGHT", "weight", CLI_COUNT },
	{ "CONNECTIONS", "connections", CLI_COUNT },
};
VIEW(member_view, member_columns, .list = "services");

static const struct cli_column vserver_detail_columns[] = {
	{ "vserver", "name", CLI_TEXT },
	{ "id", "id", CLI_TEXT },
	{ "entity", "entity", CLI_TEXT },
	{ "address", "address", CLI_ENDPOINT },
	{ "protocol", "protocol", CLI_TEXT },
	{ "state", "state", CLI_TEXT },
	{ "enabled", "enabled", CLI_YESNO },
	{ "services up", "services_up", CLI_TEXT },
	{ "mode", "mode", CLI_TEXT },
	{ "setup", "setup", CLI_TEXT },
	{ "method", "method", CLI_TEXT },
	{ "persistence", "persistence_s", CLI_SECONDS },
	{ "backup", "backup", CLI_TEXT },
	{ "flows", "flows", CLI_TEXT },
	{ "packets", "packets", CLI_TEXT },
	{ "bytes", "bytes", CLI_BYTES },
};
VIEW(vserver_detail, vserver_detail_columns, .next = &member_view);

static const struct cli_column service_columns[] = {
	{ "SERVICE", "name", CLI_TEXT },
	{ "ADDRESS", "address", CLI_ENDPOINT },
	{ "STATE", "state", CLI_TEXT },
	{ "SINCE", "since_s", CLI_AGO },
	{ "CONNS", "connections", CLI_COUNT },
	{ "TOTAL", "connections_total", CLI_COUNT },
	{ "RESPONSE", "response_us", CLI_US },
	{ "BYTES", "bytes", CLI_BYTES },
	{ "REASON", "reason", CLI_TEXT },
};
VIEW(service_view, service_columns, .list = "services");

static const struct cli_column binding_columns[] = {
	{ "MONITOR", "monitor", CLI_TEXT },
	{ "TYPE", "type", CLI_TEXT },
	{ "WEIGHT", "weight", CLI_COUNT },
	{ "PASSING", "passing", CLI_YESNO },
	{ "PROBER", "prober", CLI_TEXT },
	{ "NEXT", "next_ms", CLI_MS },
	{ "LATE", "lateness_us", CLI_US },
	{ "RESPONSE", "response_us", CLI_US },
	{ "PROBES", "probes", CLI_COUNT },
	{ "FAILED", "failures", CLI_COUNT },
	{ "LAST", "last", CLI_TEXT },
};
VIEW(binding_view, binding_columns, .list = "bindings");

static const struct cli_column service_detail_columns[] = {
	{ "service", "name", CLI_TEXT },
	{ "id", "id", CLI_TEXT },
	{ "entity", "entity", CLI_TEXT },
	{ "address", "address", CLI_ENDPOINT },
	{ "domain", "domain", CLI_TEXT },
	{ "its TTL", "name_resolution.ttl_s", CLI_TEXT },
	{ "answered", "name_resolution.answered_s", CLI_AGO },
	{ "name error", "name_resolution.error", CLI_TEXT },
	{ "state", "state", CLI_TEXT },
	{ "administrative", "admin", CLI_TEXT },
	{ "observed", "observed", CLI_TEXT },
	{ "reason", "reason", CLI_TEXT },
	{ "since", "since_s", CLI_AGO },
	{ "slow start", "slow_start", CLI_TEXT },
	{ "connections", "connections", CLI_TEXT },
	{ "in all", "connections_total", CLI_TEXT },
	{ "unanswered", "unanswered", CLI_TEXT },
	{ "resets", "resets", CLI_TEXT },
	{ "response time", "response_us", CLI_US },
	{ "load", "load", CLI_TEXT },
	{ "weight, %", "weight_percent", CLI_TEXT },
	{ "packets", "packets", CLI_TEXT },
	{ "bytes", "bytes", CLI_BYTES },
	{ "vservers", "vservers", CLI_TEXT },
	{ "owner", "cluster.owner", CLI_TEXT },
	{ "preference", "cluster.preference", CLI_TEXT },
	{ "view", "cluster.view", CLI_TEXT },
	{ "update number", "cluster.sequence", CLI_TEXT },
	{ "last update", "cluster.updated_s", CLI_AGO },
	{ "acknowledged", "cluster.acknowledged", CLI_TEXT },
};
VIEW(service_detail, service_detail_columns, .next = &binding_view);

static const struct cli_column monitor_columns[] = {
	{ "MONITOR", "name", CLI_TEXT },
	{ "TYPE", "type", CLI_TEXT },
	{ "INTERVAL", "interval_ms", CLI_MS },
	{ "TIMEOUT", "timeout_ms", CLI_MS },
	{ "DOWN", "down_ms", CLI_MS },
	{ "RETRIES", "retries", CLI_COUNT },
	{ "SERVICES", "services", CLI_COUNT },
	{ "PASSING", "passing", CLI_COUNT },
};
VIEW(monitor_view, monitor_columns, .list = "monitors");

static const struct cli_column prober_columns[] = {
	{ "PROBER", "slot", CLI_TEXT },
	{ "PID", "pid", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "BINDINGS", "bindings", CLI_COUNT },
	{ "PROBES", "probes", CLI_COUNT },
	{ "FAILED", "failures", CLI_COUNT },
	{ "LATE", "lateness_us", CLI_US },
	{ "RESTARTS", "restarts", CLI_COUNT },
};
VIEW(prober_view, prober_columns, .list = "probers");

static const struct cli_column frame_columns[] = {
	{ "frames", "frames.total", CLI_TEXT },
	{ "  fill rings", "frames.fill", CLI_TEXT },
	{ "  rx", "frames.rx", CLI_TEXT },
	{ "  held", "frames.held", CLI_TEXT },
	{ "  tx", "frames.tx", CLI_TEXT },
	{ "  completion", "frames.completion", CLI_TEXT },
	{ "  free", "frames.free", CLI_TEXT },
	{ "reclaimed", "frames.reclaimed", CLI_TEXT },
	{ "reclaiming", "frames.reclaiming", CLI_YESNO },
};
VIEW(frame_view, frame_columns);

static const struct cli_column engine_columns[] = {
	{ "ENGINE", "slot", CLI_TEXT },
	{ "PID", "pid", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "LOAD", "load_permille", CLI_PERMILLE },
	{ "BEAT", "heartbeat_age_ms", CLI_MS },
	{ "BUCKETS", "buckets", CLI_COUNT },
	{ "RX", "rx", CLI_COUNT },
	{ "TX", "tx", CLI_COUNT },
	{ "SETUPS", "setups", CLI_COUNT },
	{ "DROPPED", "dropped", CLI_COUNT },
	{ "RESTARTS", "restarts", CLI_COUNT },
	{ "LAST EXIT", "last_exit", CLI_TEXT },
};
VIEW(engine_list, engine_columns, .list = "engines", .next = &frame_view);

static const struct cli_column engine_summary[] = {
	{ "engines wanted", "count", CLI_TEXT },
	{ "ready", "ready", CLI_TEXT },
	{ "reason", "reason", CLI_TEXT },
};
VIEW(engine_view, engine_summary, .next = &engine_list);

static const struct cli_column flow_columns[] = {
	{ "PROTO", "protocol", CLI_TEXT },
	{ "SOURCE", "source", CLI_TEXT },
	{ "DESTINATION", "destination", CLI_TEXT },
	{ "KIND", "kind", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "VSERVER", "vserver", CLI_TEXT },
	{ "SERVICE", "service", CLI_TEXT },
	{ "BACK END", "address", CLI_TEXT },
	{ "NAT", "nat", CLI_TEXT },
	{ "IDLE", "idle_ms", CLI_MS },
};
VIEW(flow_view, flow_columns, .list = "flows");

static const struct cli_column where_columns[] = {
	{ "hash", "hash", CLI_TEXT },
	{ "vserver", "vserver", CLI_TEXT },
	{ "node bucket", "node_bucket", CLI_TEXT },
	{ "node", "node", CLI_TEXT },
	{ "core bucket", "core_bucket", CLI_TEXT },
	{ "engine", "engine", CLI_TEXT },
	{ "engines", "engines", CLI_TEXT },
	{ "service", "service", CLI_TEXT },
	{ "address", "address", CLI_TEXT },
	{ "flow state", "entry.state", CLI_TEXT },
	{ "idle", "entry.idle_ms", CLI_MS },
};
VIEW(where_view, where_columns);

static const struct cli_column core_columns[] = {
	{ "ENGINE", "engine", CLI_TEXT },
	{ "BUCKETS", "first", CLI_COUNT },
	{ "AS SECOND", "second", CLI_COUNT },
};
VIEW(bucket_view, core_columns, .list = "core_buckets");

static const struct cli_column iface_columns[] = {
	{ "INTERFACE", "name", CLI_TEXT },
	{ "INDEX", "ifindex", CLI_TEXT },
	{ "SLOT", "slot", CLI_TEXT },
	{ "QUEUES", "queues", CLI_COUNT },
	{ "MODE", "mode", CLI_TEXT },
	{ "ATTACHED BY", "attached_by", CLI_TEXT },
	{ "RX DROPS", "rx_dropped", CLI_COUNT },
	{ "TX DROPS", "tx_dropped", CLI_COUNT },
	{ "NOTE", "reason", CLI_TEXT },
};

static const struct cli_column feature_columns[] = {
	{ "KERNEL FEATURE", "name", CLI_TEXT },
	{ "PRESENT", "present", CLI_YESNO },
	{ "REQUIRED", "required", CLI_YESNO },
	{ "WITHOUT IT", "cost", CLI_TEXT },
};
VIEW(feature_view, feature_columns, .list = "features");
VIEW(iface_view, iface_columns, .list = "interfaces", .next = &feature_view);

static const struct cli_column datapath_columns[] = {
	{ "program", "program.name", CLI_TEXT },
	{ "id", "program.id", CLI_TEXT },
	{ "tag", "program.tag", CLI_TEXT },
	{ "generation", "generation", CLI_TEXT },
	{ "map ABI", "abi", CLI_TEXT },
	{ "swaps", "swaps", CLI_TEXT },
	{ "flow sets", "flow_sets", CLI_TEXT },
};
VIEW(datapath_view, datapath_columns, .next = &iface_view);

static const struct cli_column counter_columns[] = {
	{ "COUNTER", "name", CLI_TEXT },
	{ "VALUE", "value", CLI_COUNT },
	{ "MEANING", "help", CLI_TEXT },
};
VIEW(stats_view, counter_columns, .list = "counters");

static const struct cli_column hash_columns[] = {
	{ "hash", "hash", CLI_TEXT },
	{ "key", "key", CLI_TEXT },
	{ "with ports", "with_ports", CLI_YESNO },
	{ "node bucket", "node_bucket", CLI_TEXT },
	{ "core bucket", "core_bucket", CLI_TEXT },
};
VIEW(hash_view, hash_columns);

static const struct cli_column save_columns[] = {
	{ "saved to", "path", CLI_TEXT },
};
VIEW(save_view, save_columns);

static const struct cli_column peer_columns[] = {
	{ "NODE", "name", CLI_TEXT },
	{ "ID", "id", CLI_TEXT },
	{ "ADDRESS", "address", CLI_TEXT },
	{ "ADMIN", "admin", CLI_TEXT },
	{ "STATE", "state", CLI_TEXT },
	{ "RTT", "rtt_us", CLI_US },
	{ "LOSS", "loss_permille", CLI_PERMILLE },
	{ "OWNED", "owned", CLI_COUNT },
	{ "REASON", "reason", CLI_TEXT },
};
VIEW(peer_view, peer_columns, .list = "nodes");

static const struct cli_column cluster_columns[] = {
	{ "cluster", "id", CLI_TEXT },
	{ "enabled", "enabled", CLI_YESNO },
	{ "view", "view", CLI_TEXT },
	{ "members", "members", CLI_TEXT },
	{ "quorum", "quorum", CLI_TEXT },
};
VIEW(cluster_view, cluster_columns, .next = &peer_view);

/* ---- commands ---------------------------------------------------------- */

static const char *const flow_keys[] = { "proto",   "src",   "dst", "vserver",
					 "service", "kind",  "limit", NULL };

#define RANGE(low, high) ((uint32_t)(low) << 16 | (high))

#define SHOW(what, where, text, list_view, ...)                                \
	{ .object = what, .name = "show", .args = "[NAME]", .help = text,      \
	  .run = run_show, .method = "GET", .path = where,                     \
	  .view = &list_view, .args_max = 1, __VA_ARGS__ }
#define SHOW_ALL(what, where, text, list_view)                                 \
	{ .object = what, .name = "show", .args = "", .help = text,            \
	  .run = run_show, .method = "GET", .path = where, .view = &list_view }
#define EDIT(what, word, verb, where, text, table)                             \
	{ .object = what, .name = word, .args = "NAME KEY VALUE ...",             \
	  .help = text, .run = run_edit, .method = verb, .path = where,        \
	  .schema = &table, .args_min = 1, .args_max = 255 }
#define REMOVE(what, where, text)                                              \
	{ .object = what, .name = "rm", .args = "NAME", .help = text,          \
	  .run = run_name, .method = "DELETE", .path = where, .args_min = 1,   \
	  .args_max = 1 }
#define POST(what, word, where, text)                                          \
	{ .object = what, .name = word, .args = "", .help = text,              \
	  .run = run_post, .method = "POST", .path = where }

const struct cli_command cli_commands[] = {
	SHOW_ALL("node", "/v1/node", "this node and its daemon", node_view),

	SHOW("vserver", "/v1/vservers", "virtual servers, or one in detail",
	     vserver_view, .detail = &vserver_detail),
	EDIT("vserver", "add", "POST", "/v1/vservers", "add one",
	     config_keys_vserver),
	EDIT("vserver", "set", "PUT", "/v1/vservers", "change keys of one",
	     config_keys_vserver),
	REMOVE("vserver", "/v1/vservers", "remove one"),
	{ .object = "vserver", .name = "bind",
	  .args = "VSERVER SERVICE [weight N]",
	  .help = "put a service behind one", .run = run_bind,
	  .method = "PUT", .path = "/v1/vservers", .args_min = 2,
	  .args_max = 4 },
	{ .object = "vserver", .name = "unbind", .args = "VSERVER SERVICE",
	  .help = "take a service from one", .run = run_bind,
	  .method = "DELETE", .path = "/v1/vservers", .args_min = 2,
	  .args_max = 2 },

	SHOW("service", "/v1/services", "back ends, or one in detail",
	     service_view, .detail = &service_detail),
	EDIT("service", "add", "POST", "/v1/services", "add one",
	     config_keys_service),
	EDIT("service", "set", "PUT", "/v1/services", "change keys of one",
	     config_keys_service),
	REMOVE("service", "/v1/services", "remove one"),
	{ .object = "service", .name = "enable", .args = "NAME",
	  .help = "let it take new flows", .run = run_enable, .args_min = 1,
	  .args_max = 1 },
	{ .object = "service", .name = "disable",
	  .args = "NAME [--graceful] [--delay S]",
	  .help = "take it out; graceful: when its flows have ended",
	  .run = run_disable, .args_min = 1, .args_max = 4 },
	{ .object = "service", .name = "watch", .args = "",
	  .help = "changes of state as they happen", .run = run_stream,
	  .path = "/v1/services/watch" },

	SHOW("monitor", "/v1/monitors", "probe definitions", monitor_view,
	     .detail = NULL),
	EDIT("monitor", "add", "POST", "/v1/monitors", "add one",
	     config_keys_monitor),
	EDIT("monitor", "set", "PUT", "/v1/monitors", "change keys of one",
	     config_keys_monitor),
	REMOVE("monitor", "/v1/monitors", "remove one"),
	{ .object = "monitor", .name = "bind",
	  .args = "MONITOR SERVICE [weight N]",
	  .help = "let it watch a service", .run = run_bind, .method = "PUT",
	  .path = "/v1/services", .args_min = 2, .args_max = 4, .kind = 1 },
	{ .object = "monitor", .name = "unbind", .args = "MONITOR SERVICE",
	  .help = "let it watch a service no more", .run = run_bind,
	  .method = "DELETE", .path = "/v1/services", .args_min = 2,
	  .args_max = 2, .kind = 1 },
	{ .object = "monitor", .name = "try",
	  .args = "TYPE ADDRESS:PORT [KEY VALUE ...]",
	  .help = "run one probe now and show its steps", .run = run_try,
	  .path = "/v1/monitors/try", .schema = &config_keys_monitor,
	  .args_min = 2, .args_max = 255 },

	SHOW_ALL("prober", "/v1/probers", "prober processes", prober_view),
	{ .object = "prober", .name = "scale", .args = "N",
	  .help = "run N of them", .run = run_scale,
	  .path = "/v1/probers/scale", .args_min = 1, .args_max = 1,
	  .kind = RANGE(0, 64) },

	SHOW_ALL("engine", "/v1/engines", "engine processes and their frames",
		 engine_view),
	{ .object = "engine", .name = "scale", .args = "N",
	  .help = "run N of them", .run = run_scale,
	  .path = "/v1/engines/scale", .args_min = 1, .args_max = 1,
	  .kind = RANGE(1, ENGINES_MAX) },

	{ .object = "bucket", .name = "show", .args = "",
	  .help = "how many buckets each node and engine has",
	  .run = run_buckets, .path = "/v1/buckets", .view = &bucket_view },

	{ .object = "flow", .name = "show", .args = "[KEY VALUE ...]",
	  .help = "flows, filtered by proto, src, dst, vserver, ...",
	  .run = run_query, .method = "GET", .path = "/v1/flows",
	  .view = &flow_view, .keys = flow_keys, .args_max = 32 },
	{ .object = "flow", .name = "where", .args = "PROTO SRC:PORT DST:PORT",
	  .help = "where a packet would go, and why", .run = run_where,
	  .path = "/v1/flow-where", .view = &where_view, .args_min = 3,
	  .args_max = 3 },

	SHOW_ALL("datapath", "/v1/datapath", "XDP program and interfaces",
		 datapath_view),
	POST("datapath", "swap", "/v1/datapath/swap",
	     "load the program anew and replace it without loss"),
	POST("datapath", "detach", "/v1/datapath/detach",
	     "take it off all interfaces; swap puts it on again"),

	{ .object = "stats", .name = "", .args = "[-v]",
	  .help = "counters by name; -v: per CPU", .run = run_stats,
	  .path = "/v1/stats", .view = &stats_view, .args_max = 2 },

	{ .object = "hash", .name = "",
	  .args = "SRC:PORT DST:PORT [--key default|symmetric|HEX]",
	  .help = "RSS hash and buckets of a flow", .run = run_hash,
	  .path = "/v1/hash", .view = &hash_view, .args_min = 2,
	  .args_max = 4 },

	{ .object = "config", .name = "show", .args = "",
	  .help = "the configuration in use", .run = run_config_show,
	  .method = "GET", .path = "/v1/config" },
	{ .object = "config", .name = "apply", .args = "FILE",
	  .help = "check FILE and make it the one in use; -: stdin",
	  .run = run_config_apply, .path = "/v1/config", .args_min = 1,
	  .args_max = 1 },
	{ .object = "config", .name = "save", .args = "[FILE]",
	  .help = "write it to the daemon's file, or to FILE",
	  .run = run_config_save, .view = &save_view, .args_max = 1 },
	{ .object = "config", .name = "check", .args = "FILE",
	  .help = "check FILE only, without a daemon",
	  .run = run_config_check, .args_min = 1, .args_max = 1 },

	{ .object = "config", .name = "keys", .args = "[man]",
	  .help = "reference of all configuration keys",
	  .run = run_config_keys, .args_max = 1 },

	SHOW_ALL("cluster", "/v1/cluster", "nodes, states, view",
		 cluster_view),
	POST("cluster", "join", "/v1/cluster/join", "become a member"),
	POST("cluster", "leave", "/v1/cluster/leave",
	     "hand over and stop being one"),
	POST("cluster", "passive", "/v1/cluster/passive",
	     "stay a member that owns nothing"),
	POST("cluster", "active", "/v1/cluster/active", "own a share again"),
	POST("cluster", "spare", "/v1/cluster/spare",
	     "stand by until members are missing"),
	{ .object = "cluster", .name = "trace", .args = "",
	  .help = "events of the state machine as they happen",
	  .run = run_stream, .path = "/v1/cluster/trace" },

	{ .object = "completion", .name = "", .args = "bash",
	  .help = "completion script for a shell", .run = run_completion,
	  .args_min = 1, .args_max = 2 },
	{ .object = "help", .name = "", .args = "[OBJECT [COMMAND]]",
	  .help = "this", .run = run_help, .args_max = 2 },
};
const size_t cli_commands_count =
	sizeof(cli_commands) / sizeof(cli_commands[0]);
