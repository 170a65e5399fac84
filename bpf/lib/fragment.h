/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * By what a fragment train is remembered in the flow table: source, protocol
 * and identification; the destination is folded to 16 bits in the key and
 * compared whole in pair_addr.
 */
#ifndef SLUICE_FRAGMENT_H
#define SLUICE_FRAGMENT_H

#include "compiler.h"
#include "flowtab.h"
#include "hash.h"
#include "lb.h"
#include "parse.h"

static __always_inline __u32 fragment_hash_of(const volatile __u32 *tables,
					      const struct pkt *pkt)
{
	return toeplitz_hash(tables, &pkt->src, &pkt->dst, 0, 0) ^
	       lb_mix((__u32)pkt->frag_id);
}

static __always_inline __u64 fragment_tail_of(const struct pkt *pkt)
{
	__u64 d = pkt->dst.d[0] ^ pkt->dst.d[1];

	d ^= d >> 32;
	d ^= d >> 16;
	return flow_key_tail((__be16)(pkt->frag_id & 0xffff),
			     (__be16)((__u32)pkt->frag_id >> 16), (__u16)d,
			     FLOW_FRAGMENT, pkt->proto);
}

#endif
