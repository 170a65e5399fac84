/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes that travel through the tunnel of a dsr mode: what a prober, which
 * may not encapsulate, tells the program that does (bpf/probe.bpf.c). A memory
 * mapped array, by protocol and local port of the probe's socket: each entry is
 * written by the prober that has the port, before it connects, and is good
 * until the next one does. For an echo request the identifier stands for the
 * port: one space for ICMP and ICMPv6, as the kernel's ping sockets have.
 */
#ifndef SLUICE_PROBE_TUNNEL_H
#define SLUICE_PROBE_TUNNEL_H

#include <linux/types.h>
#include "compiler.h"
#include "ip_addr.h"

enum probe_tunnel_kind {
	PROBE_TUNNEL_NONE = 0,
	PROBE_TUNNEL_IPIP = 1,
	PROBE_TUNNEL_GUE = 2,
};

struct probe_tunnel {
	union ip_addr outer; /* the back end */
	__u8 kind;	     /* enum probe_tunnel_kind; stored last */
	__u8 pad[15];
};

/* What the ports, or identifiers, are of. */
enum probe_tunnel_space {
	PROBE_TUNNEL_TCP = 0,
	PROBE_TUNNEL_UDP = 1,
	PROBE_TUNNEL_ECHO = 2,
	PROBE_TUNNEL_SPACES
};

#define PROBE_TUNNEL_PORTS (PROBE_TUNNEL_SPACES << 16)

static __always_inline __u32 probe_tunnel_index(enum probe_tunnel_space space,
						__u16 port)
{
	return (__u32)space << 16 | port;
}

#endif
