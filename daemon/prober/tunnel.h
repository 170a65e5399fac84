/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes through the tunnel of a dsr mode: the socket is an ordinary one,
 * connected to the VIP; what leaves it is encapsulated by the kernel
 * (bpf/probe.bpf.c), which looks the back end up by the socket's port, here
 * bound before the probe connects (probe_tunnel.h).
 */
#ifndef SLUICE_TUNNEL_H
#define SLUICE_TUNNEL_H

#include <stdbool.h>
#include "probe_tunnel.h"

/* The daemon's descriptor for it; none is no error, until one is needed. */
void tunnel_init(int fd);

/* Binds SOCKET, of the protocol and family given, and enters its port. 0 or -errno;
 * -EOPNOTSUPP: this node has no tunnels for probes. */
int tunnel_bind(int socket, bool udp, bool v4, enum probe_tunnel_kind kind,
		const union ip_addr *outer);

#endif
