/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Full NAT: which address and port a flow gets towards its service. XDP (for
 * vservers in kernel set-up) and engines try the same candidates in the same
 * order; the flow table decides who gets one: the REVERSE entry is inserted
 * first, and FLOWTAB_EXISTED means that the port is taken.
 *
 * Ports: 1024..32767 and 61000..65535. What lies between is Linux's default
 * range for its own connections (ip_local_port_range), which share the
 * address when the node's own address is used for NAT: its probes, for one.
 */
#ifndef SLUICE_NAT_H
#define SLUICE_NAT_H

#include "compiler.h"
#include "limits.h"
#include "map_abi.h"
#include "lb.h"

#define NAT_PORT_LOW 1024
#define NAT_PORT_LOW_COUNT (32768 - NAT_PORT_LOW)
#define NAT_PORT_HIGH 61000
#define NAT_PORT_COUNT (NAT_PORT_LOW_COUNT + 65536 - NAT_PORT_HIGH)

/* Tries of XDP for one flow: at half of the ports in use, 1 of 256 flows
 * needs an engine, which tries NAT_TRIES_ENGINE times. */
#define NAT_TRIES_XDP 8
#define NAT_TRIES_ENGINE 64

/* The n-th candidate port, network order. */
static __always_inline __be16 nat_port_try(__u32 hash, __u32 attempt)
{
	__u32 n = lb_mix(hash ^ (attempt * 0x9e3779b1u + 0x5bd1e995u));

	n = (__u32)((__u64)n * NAT_PORT_COUNT >> 32);
	if (n < NAT_PORT_LOW_COUNT)
		return be16(NAT_PORT_LOW + n);
	return be16(NAT_PORT_HIGH + n - NAT_PORT_LOW_COUNT);
}

/* Index in conf.nat of the n-th candidate's address, of the wanted family;
 * NAT_ADDRS_MAX: the node has none. */
static __always_inline __u32 nat_addr_try(const struct dp_conf *conf, bool v4,
					  __u32 hash, __u32 attempt)
{
	__u32 count = 0, want, i;
	__u32 total = conf->nat_count;

	if (total > NAT_ADDRS_MAX)
		total = NAT_ADDRS_MAX;
	for (i = 0; i < NAT_ADDRS_MAX; i++)
		if (i < total && ip_addr_is_v4(&conf->nat[i]) == v4)
			count++;
	if (!count)
		return NAT_ADDRS_MAX;
	want = ((hash >> 24) + attempt) % count;
	for (i = 0; i < NAT_ADDRS_MAX; i++) {
		if (i >= total || ip_addr_is_v4(&conf->nat[i]) != v4)
			continue;
		if (want == 0)
			return i;
		want--;
	}
	return NAT_ADDRS_MAX;
}

#endif
