/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the live-frame generator and its BPF program share.
 */
#ifndef SLUICE_BENCH_GEN_H
#define SLUICE_BENCH_GEN_H

#include <linux/types.h>

enum gen_order {
	GEN_SEQUENTIAL = 0, /* flow 0, 1, 2 …: each once per round */
	GEN_RANDOM = 1,	    /* any of the flows, evenly */
	GEN_NEW = 2,	    /* never the same flow twice (2^32 of them) */
};

struct gen_conf {
	__u8 dst_mac[6];
	__u8 src_mac[6];
	__be32 daddr4;
	__u8 daddr6[16];
	__be16 dport;
	__u8 family; /* 4 or 6 */
	__u8 order;  /* enum gen_order */
	__u32 flows;
	__u32 base; /* first flow's number, GEN_NEW: goes on from here */
	__u32 next;
	__u64 state;
};

#endif
