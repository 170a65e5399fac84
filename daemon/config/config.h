/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration as the rest of the daemon sees it: read whole from JSON
 * with comments, checked whole, then never changed. A reload makes a new one;
 * apply.c works out what differs.
 *
 * Cross references are resolved to pointers into the same struct config.
 * Everything is owned by the struct config and freed with it.
 */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ip_addr.h"
#include "limits.h"
#include "map_abi.h"

struct json_object;
struct config_index;

enum config_attach {
	CONFIG_ATTACH_AUTO,
	CONFIG_ATTACH_NATIVE,
	CONFIG_ATTACH_GENERIC,
	CONFIG_ATTACH_ADOPT,
	CONFIG_ATTACH_DISPATCHER,
};

struct config_interface {
	char name[16];
	enum config_attach attach;
};

enum config_monitor_type {
	MONITOR_PING,
	MONITOR_TCP,
	MONITOR_TCP_ECV,
	MONITOR_HTTP,
	MONITOR_HTTP_ECV,
	MONITOR_HTTPS,
	MONITOR_HTTPS_ECV,
	MONITOR_UDP,
	MONITOR_UDP_ECV,
	MONITOR_DNS,
	MONITOR_FTP,
	MONITOR_LOAD,
	MONITOR_SCRIPT,
	MONITOR_INLINE,
};

/* Times in milliseconds. Strings are NULL if not given. */
struct config_monitor {
	char name[NAME_LEN];
	uint64_t entity;
	enum config_monitor_type type;
	uint32_t interval_ms;	      /* 5000; at least 1 */
	uint32_t timeout_ms;	      /* 2000 */
	uint32_t retries;	      /* 3 */
	uint32_t success_retries;     /* 1 */
	uint32_t failure_retries;     /* 0: all of retries */
	uint32_t down_ms;	      /* 30000 */
	uint32_t deviation_ms;	      /* 0: fixed time-out */
	bool response_time;	      /* LRTM: dynamic time-out is shared */
	bool reverse;
	bool verify;		      /* TLS certificates; default on */
	bool has_address;	      /* destination override */
	union ip_addr address;
	uint16_t port;		      /* host order; 0: the service's */
	uint8_t tunnel;		      /* enum probe_tunnel_kind */
	char *send;		      /* tcp-ecv, udp-ecv: bytes to send */
	size_t send_len;
	char *expect;		      /* literal or regex */
	size_t expect_len;
	bool expect_regex;
	char *http_method;	      /* "GET" */
	char *http_path;	      /* "/" */
	char *http_host;
	char *http_codes;	      /* "200-299,304"; default "200" */
	char *sni;
	char *dns_query;
	char *dns_type;		      /* "A" */
	char *dns_answers;	      /* comma separated; any is enough */
	char *ftp_user;
	char *ftp_password;
	char *ftp_path;
	char *script;		      /* executable, absolute */
	char **script_args;	      /* NULL-terminated */
	char *load_metric;	      /* key in the reply's "key value" lines */
	char *weight_metric;	      /* key of its share of weight; NULL: none */
	uint32_t load_max;	      /* over it: the threshold flag */
	uint32_t inline_window_ms;    /* 10000 */
	uint32_t inline_failures;     /* attempts unanswered or reset */
};

struct config_binding {
	const struct config_monitor *monitor;
	uint32_t weight; /* 1 */
};

struct config_service {
	char name[NAME_LEN];
	uint64_t entity;     /* config_entity("service", name) */
	/* With a domain: what it resolved to, or all zero as long as it has
	 * not; written by apply_names.c, nothing else here ever changes. */
	union ip_addr addr;
	bool has_address;
	char *domain;	     /* in place of an address; NULL: none */
	uint8_t family;	     /* of the domain: 4, 6 */
	uint32_t ttl_s;	     /* of the domain's address */
	bool moves;	     /* it resolves to next_addr now */
	union ip_addr next_addr;
	uint32_t next_ttl_s;
	uint16_t port;	     /* host order */
	bool enabled;	     /* true */
	uint32_t threshold;  /* summed weight of passing monitors: 1 */
	uint32_t conns_max;  /* 0 */
	uint32_t slow_start_ms; /* 0 */
	bool path_monitor;   /* false */
	bool path_individual; /* true */
	struct config_binding *bindings;
	size_t n_bindings;
};

struct config_member {
	const struct config_service *service;
	uint16_t weight; /* 1 */
};

struct config_vserver {
	char name[NAME_LEN];
	uint64_t entity;
	union ip_addr addr;
	uint16_t port;		 /* host order */
	uint8_t proto;		 /* IPPROTO_TCP, IPPROTO_UDP */
	enum fwd_mode mode;
	enum setup_mode setup;
	enum lb_method method;
	bool enabled;		 /* true */
	uint32_t persist_s;	 /* 0: off */
	bool down_flush;	 /* false */
	bool down_reset;	 /* "down_action": "reset" | "drop" (default) */
	uint32_t members_min;	 /* 0 */
	const struct config_vserver *backup;
	uint32_t syn_s, est_s, fin_s, udp_s; /* 30, 3600, 30, 60 */
	struct config_member *members;
	size_t n_members;
};

struct config_peer {
	uint32_t id;
	char name[NAME_LEN];
	union ip_addr addr;
	uint16_t port;
};

struct config_cluster {
	bool enabled;
	char id[NAME_LEN];
	union ip_addr addr;
	uint16_t port;		 /* 7946 */
	struct config_peer *peers; /* without this node */
	size_t n_peers;
	char *key_file;
	uint32_t hello_ms;	 /* 100 */
	uint32_t dead_missed;	 /* 4 */
	uint32_t observers;	 /* 3 */
	bool quorum_majority;	 /* true */
};

struct config {
	uint32_t node_id;
	char node_name[NAME_LEN];
	struct config_interface ifaces[IFACES_MAX];
	size_t n_ifaces;
	uint32_t engines;	 /* 1..ENGINES_MAX; default 1 */
	uint32_t probers;	 /* 0..64; default 1 */
	uint8_t rss_key[40];	 /* "default" (Microsoft's), "symmetric", hex */
	uint32_t flows_max;	 /* "flows": {"max": N}; default 2^20 */
	uint32_t flow_sets_log2; /* enough for them: 2 entries per flow */
	union ip_addr nat[NAT_ADDRS_MAX]; /* "nat": [addresses] */
	size_t n_nat;
	bool has_tunnel4, has_tunnel6;	  /* "tunnel": {"source4","source6"} */
	union ip_addr tunnel_src4, tunnel_src6;
	union ip_addr tunnel_addrs[NAT_ADDRS_MAX]; /* decapsulated for hashing */
	size_t n_tunnel_addrs;
	uint16_t gue_port;	 /* 6080 */
	struct config_monitor *monitors;
	size_t n_monitors;
	struct config_service *services;
	size_t n_services;
	struct config_vserver *vservers;
	size_t n_vservers;
	struct config_cluster cluster;
	/* By name; NULL in a config that was not parsed: finds then scan. */
	struct config_index *monitor_index, *service_index, *vserver_index;
	struct json_object *source; /* what it was made from, normalised */
};

/* Where and what is wrong: "FILE:LINE: $.services[2].port: expected …". */
struct config_error {
	char text[512];
};

/* Reads and checks FILE. 0, or -errno with *ret_error filled. */
int config_load(const char *path, struct config **ret, struct config_error *e);

/* The same from memory; NAME stands for the file in errors. */
int config_parse(const char *name, const char *text, size_t len,
		 struct config **ret, struct config_error *e);

/* The same from JSON (for edits, config_edit.h), which is kept by reference
 * as the new config's source and must not be changed afterwards. Errors name
 * the object in place of file and line. */
int config_from_json(struct json_object *json, struct config **ret,
		     struct config_error *e);

void config_free(struct config *config);

/* Whether a domain-based service has no address yet. */
bool config_unresolved(const struct config_service *service);

/* NULL, or why a name that was resolved to ADDR cannot be SERVICE's: an address
 * that the configuration itself would refuse, or the machine's own. */
const char *config_address_problem(const struct config *config,
				   const struct config_service *service,
				   const union ip_addr *addr);

/* Unique id of a named object: the same on every node and after a restart
 * (64-bit SipHash of kind and name under a fixed key); never 0. */
uint64_t config_entity(const char *kind, const char *name);

const struct config_service *config_find_service(const struct config *config,
						 const char *name);
const struct config_vserver *config_find_vserver(const struct config *config,
						 const char *name);
const struct config_monitor *config_find_monitor(const struct config *config,
						 const char *name);

#endif
