/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one run of the program works with, in a per-CPU map instead of on the
 * stack: 512 bytes for all frames of a call chain are too few, and the
 * verifier does not follow values through a map, so it compares fewer states.
 * XDP does not nest on a CPU: it runs with soft interrupts disabled.
 */
#ifndef SLUICE_SCRATCH_H
#define SLUICE_SCRATCH_H

#include "encap.h"
#include "flowtab.h"
#include "forward.h"
#include "icmp.h"
#include "maps.h"
#include "parse.h"

struct scratch {
	struct pkt pkt;
	struct forward fwd;
	struct flow flow;
	struct flowtab_change change;
	struct pkt inner;      /* of a tunnel */
	struct quoted quoted;  /* of an ICMP error */
};

PERCPU_MAP(scratch, struct scratch, 1);

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

#endif
