/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers of vservers and services in the pinned maps. Flow entries carry
 * these numbers, so one thing keeps its number over reconfigurations and
 * restarts of the daemon, and a number is not given to another thing while an
 * entry may still mean the first one.
 *
 * "One thing" is a name *with* its address, port and protocol (ids_key): if an
 * operator changes a service's address, established flows must go on to the
 * old one, so the new address gets a new number.
 */
#ifndef SLUICE_IDS_H
#define SLUICE_IDS_H

#include <stdint.h>
#include "ip_addr.h"
#include "util/u64_map.h"

enum ids_state {
	IDS_FREE = 0,
	IDS_USED = 1,
	IDS_LEAVING = 2, /* no longer configured; flows may still refer to it */
};

struct ids {
	struct u64_map by_key;
	uint64_t *key;	/* by id; 0: free */
	uint8_t *state; /* enum ids_state */
	uint32_t max;	/* ids 1..max-1 */
	uint32_t next;	/* where the search for a free one starts */
	uint32_t leaving;
};

uint64_t ids_key(uint64_t entity, const union ip_addr *addr, uint16_t port,
		 uint8_t proto);

/* 0 or -ENOMEM. */
int ids_init(struct ids *ids, uint32_t max);
void ids_deinit(struct ids *ids);

/* A number found in a pinned map. 0; -EEXIST: another number has that key;
 * -EINVAL; -ENOMEM. It is LEAVING until ids_get() asks for it. */
int ids_recover(struct ids *ids, uint32_t id, uint64_t key);

/* The number of KEY: its old one, also if it was leaving, or a fresh one,
 * which was longest unused. *ret_before is its state before: IDS_FREE if it is
 * fresh. 0; -ENOSPC; -ENOMEM. */
int ids_get(struct ids *ids, uint64_t key, uint32_t *ret_id,
	    enum ids_state *ret_before);

void ids_leave(struct ids *ids, uint32_t id);

/* Nothing refers to it any more. */
void ids_free(struct ids *ids, uint32_t id);

#endif
