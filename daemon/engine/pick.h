/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Choosing a service for a new flow by the vserver's method. Reads the shared
 * tables, keeps a little state of its own (positions of the round robins);
 * knows no packets and writes no shared memory.
 *
 * A service takes a flow if it is UP and below its connection limit. Slow
 * start, and what a load monitor reads, multiply its weight by weight_scale/256
 * in the methods that weigh.
 * Vservers of more than PICK_SCAN_MAX members are not scanned for each flow:
 * weighted round robin walks the vserver's look-up table, the "least" methods
 * look at PICK_SAMPLES random members (power of choices, Mitzenmacher 2001).
 */
#ifndef SLUICE_PICK_H
#define SLUICE_PICK_H

#include <stdbool.h>
#include <stdint.h>
#include "map_abi.h"

#define PICK_SCAN_MAX 256
#define PICK_SAMPLES 8

/* Array maps keep their values 8 bytes apart, also in mapped memory. */
struct pick_slot {
	uint32_t service;
	uint32_t pad;
};

struct pick_tables {
	const struct vserver *vservers;
	const struct service *services;
	const struct svc_load *svc_load;
	const struct member *members;
	const struct pick_slot *lb_table;
	uint32_t members_len;
	uint32_t lb_len;
};

struct pick;

/* SEED: engines start their round robins at different places. 0 or -errno. */
int pick_new(const struct pick_tables *tables, uint32_t seed,
	     struct pick **ret);
void pick_free(struct pick *pick);

/* The service for a flow of VSERVER with HASH from SOURCE, or 0: none takes
 * it. Follows `backup`; *ret_vserver is the vserver that chose. */
uint32_t pick_service(struct pick *pick, uint32_t vserver, uint32_t hash,
		      const union ip_addr *source, uint32_t *ret_vserver);

/* By the look-up table alone, whatever the method: the same on every node and
 * engine. 0: none. */
uint32_t pick_stateless(const struct pick *pick, const struct vserver *vs,
			uint32_t hash);

/* UP and below its limit. */
bool pick_takes(const struct pick *pick, uint32_t service);

#endif
