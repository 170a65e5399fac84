/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a packet to an address goes: interface and MAC addresses, as the
 * kernel's routes and neighbour table say (rtnetlink, no privileges needed).
 * Answers are remembered for about a second. A question costs the kernel
 * some 10 µs and never waits for the network.
 */
#ifndef SLUICE_ENGINE_NEXTHOP_H
#define SLUICE_ENGINE_NEXTHOP_H

#include <stdint.h>
#include "ip_addr.h"

enum nexthop_result {
	NEXTHOP_RESOLVED = 0,
	NEXTHOP_UNRESOLVED = 1, /* route, but no neighbour yet */
	NEXTHOP_LOCAL = 2,	/* this machine, or no Ethernet */
	NEXTHOP_UNREACHABLE = 3,
};

struct nexthop_entry {
	union ip_addr dst;
	uint64_t until_ns;
	uint32_t ifindex;
	uint32_t mtu; /* 0: not known */
	uint8_t result; /* enum nexthop_result */
	uint8_t dst_mac[6];
	uint8_t src_mac[6];
};

struct nexthop;

int nexthop_new(struct nexthop **ret);
void nexthop_free(struct nexthop *nexthop);

/* Never NULL; valid until the next call. */
const struct nexthop_entry *nexthop_find(struct nexthop *nexthop,
					 const union ip_addr *dst,
					 uint64_t now_ns);

#endif
