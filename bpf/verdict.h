/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of a packet: the XDP action and the one counter it is counted
 * under, in one number, so that every path ends at verdict() and none can
 * forget to count. And the events counted beside.
 */
#ifndef SLUICE_VERDICT_H
#define SLUICE_VERDICT_H

#include "maps.h"

#define VERDICT(action, counter) ((int)((action) | (counter) << 8))
#define PASS(counter) VERDICT(XDP_PASS, CNT_PASS_##counter)
#define DROP(counter) VERDICT(XDP_DROP, CNT_DROP_##counter)

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

/* The one exit. */
static __always_inline int verdict(int v)
{
	count((__u32)v >> 8);
	return v & 0xff;
}

static __always_inline void count_traffic(void *map, __u32 id, __u32 bytes)
{
	struct traffic *t = bpf_map_lookup_elem(map, &id);

	if (t) {
		t->packets += 1;
		t->bytes += bytes;
	}
}

#endif
