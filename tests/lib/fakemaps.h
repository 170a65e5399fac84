/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mapped maps as plain memory, for tests of what writes and reads them.
 */
#ifndef SLUICE_TEST_FAKEMAPS_H
#define SLUICE_TEST_FAKEMAPS_H

#include "bpf/maps.h"

/* FLOW_SETS: a power of two. Ends the test program if memory runs out. */
void fakemaps_init(struct maps *maps, uint32_t flow_sets);
void fakemaps_deinit(struct maps *maps);

/* Hash over the memory of all maps: equal if nothing changed. */
uint64_t fakemaps_digest(const struct maps *maps);

#endif
