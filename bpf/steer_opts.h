/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options of the program: `const volatile`, set by the loader between open
 * and load (skel->rodata->NAME), folded into the code by the verifier. With
 * the values here the object also loads by hand (`ip link … xdp obj`): its
 * tables are empty then, so it passes everything to the kernel.
 */
#ifndef SLUICE_STEER_OPTS_H
#define SLUICE_STEER_OPTS_H

#include "hash.h"

/* toeplitz_tables_build(key, skel->rodata->toeplitz): 36 KiB, of which the
 * client's half of an IPv4 packet touches 6. */
const volatile __u32 toeplitz[TOEPLITZ_TABLE_LEN] = {};

/* Number of sets of map "flows" - 1: its max_entries - 1, a power of two
 * minus one. The loader sets both. */
const volatile __u32 flow_mask = FLOW_SETS_DEFAULT - 1;

#endif
