/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a packet goes next: the kernel's routes and neighbours, asked by
 * bpf_fib_lookup and remembered per CPU for the rest of the tick. Only good
 * answers are remembered, so a neighbour that was just resolved is used by
 * the next packet.
 *
 * The kernel only answers for interfaces with forwarding enabled.
 */
#ifndef SLUICE_NEXTHOP_H
#define SLUICE_NEXTHOP_H

#include "compiler.h"
#include "headers.h"
#include "maps.h"
#include "verdict.h"

enum nexthop_result {
	NEXTHOP_OK = 0,
	NEXTHOP_NO_NEIGH = 1, /* known route, MAC address not yet */
	NEXTHOP_SLOW = 2,     /* the kernel must send it (light-weight tunnel,
				 forwarding disabled) */
	NEXTHOP_NONE = 3,
};

static __always_inline __u32 nexthop_slot(const union ip_addr *dst)
{
	__u64 h = (dst->d[0] ^ dst->d[1]) * 0x9e3779b97f4a7c15ull;

	return (__u32)(h >> 52) & (NEXTHOPS - 1);
}

static __always_inline bool nexthop_fresh(const struct nexthop *nh,
					  const union ip_addr *dst,
					  __u32 iif, __u32 tick)
{
	return nh->tick == tick + 1 && nh->dst.d[1] == dst->d[1] &&
	       nh->dst.d[0] == dst->d[0] && nh->iif == iif;
}

SUBPROG int nexthop_resolve(struct xdp_md *ctx, struct nexthop *nh,
				      const union ip_addr *dst,
				      const union ip_addr *src, __u32 tick)
{
	struct bpf_fib_lookup fib = {};
	long rc;

	if (!nh || !dst || !src)
		return NEXTHOP_NONE;
	count(CNT_NH_MISS);
	nh->tick = 0;
	fib.ifindex = ctx->ingress_ifindex;
	if (ip_addr_is_v4(dst)) {
		fib.family = 2; /* AF_INET */
		fib.ipv4_dst = dst->w[3];
		fib.ipv4_src = ip_addr_is_v4(src) ? src->w[3] : 0;
	} else {
		fib.family = 10; /* AF_INET6 */
		__builtin_memcpy(fib.ipv6_dst, dst, 16);
		__builtin_memcpy(fib.ipv6_src, src, 16);
	}
	rc = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	switch (rc) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		break;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		nh->ifindex = fib.ifindex;
		nh->mtu = 0;
		return NEXTHOP_NO_NEIGH;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:
		nh->ifindex = 0;
		nh->mtu = 0;
		return NEXTHOP_SLOW;
	default:
		return NEXTHOP_NONE;
	}
	nh->dst = *dst;
	nh->iif = ctx->ingress_ifindex;
	nh->ifindex = fib.ifindex;
	nh->mtu = fib.mtu_result;
	/* In struct bpf_fib_lookup the source comes first. */
	__builtin_memcpy((void *)nh->mac, fib.dmac, 6);
	__builtin_memcpy((void *)nh->mac + 6, fib.smac, 6);
	nh->tick = tick + 1;
	return NEXTHOP_OK;
}

#endif
