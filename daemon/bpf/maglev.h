/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maglev look-up tables (Eisenbud et al., "Maglev", NSDI 2016, section 3.4),
 * with weights. A table depends on the members' entity ids and weights and on
 * nothing else: every node builds the same one, and a member that comes or
 * goes moves little more than its own share.
 */
#ifndef SLUICE_MAGLEV_H
#define SLUICE_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

struct maglev_member {
	uint64_t entity; /* unique */
	uint32_t value;	 /* what the table's slots hold */
	uint32_t weight; /* ≥ 1 */
};

/* Table size for N configured members: the smallest prime of a fixed list that
 * is at least 100 × N, or the largest (LB_SIZE_MAX). It depends on configured
 * members, up or not, so that a change of state keeps the size. */
uint32_t maglev_size(size_t n);

/* Fills TABLE[SIZE]; SIZE is one of maglev_size()'s. Sorts MEMBERS by entity.
 * N must be at least 1. Members beyond SIZE get no slot. 0 or -ENOMEM. */
int maglev_build(struct maglev_member *members, size_t n, uint32_t *table,
		 uint32_t size);

#endif
