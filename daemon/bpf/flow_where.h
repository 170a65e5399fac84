/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What XDP would do with a packet, step by step as bpf/steer.bpf.c does it,
 * from the same tables by the same headers (vip.h, hash.h, lb.h, flowtab.h).
 * Reads only.
 */
#ifndef SLUICE_FLOW_WHERE_H
#define SLUICE_FLOW_WHERE_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/maps.h"
#include "flow.h"
#include "vip.h"

enum flow_where_verdict {
	FLOW_WHERE_PASS,       /* not ours: the kernel's */
	FLOW_WHERE_NODE,       /* another node's bucket */
	FLOW_WHERE_FORWARD,    /* entry found: forwarded */
	FLOW_WHERE_SETUP,      /* no entry: XDP sets the flow up */
	FLOW_WHERE_ENGINE,     /* no entry: an engine decides */
	FLOW_WHERE_NO_SERVICE, /* nobody takes it */
	FLOW_WHERE_NO_ENGINE,  /* nobody to decide */
};

struct flow_where_query {
	union ip_addr src, dst;
	__be16 sport, dport;
	uint8_t proto;
};

struct flow_where {
	enum flow_where_verdict verdict;
	enum vip_kind kind;
	uint32_t hash;
	uint32_t vserver;	      /* id; 0: none */
	uint32_t node_bucket, node;
	uint32_t core_bucket;
	uint8_t engines[ENGINE_PREFS]; /* preference list, ENGINE_NONE: end */
	uint32_t engine;	      /* first live one; ENGINE_NONE */
	uint32_t service;	      /* id; 0: not decided yet */
	bool found;		      /* entry is filled */
	struct flow entry;
	bool persisted;		      /* service comes from persistence */
	bool backup;		      /* service comes from the backup vserver */
};

/* TOEPLITZ: tables of the key in use. For TCP a SYN is assumed where no entry
 * is found. NOW: CLOCK_MONOTONIC, ns. */
void flow_where(const struct maps *maps, const uint32_t *toeplitz,
		const struct flow_where_query *query, uint64_t now,
		struct flow_where *ret);

#endif
