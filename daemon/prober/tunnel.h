/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes through the tunnel of a dsr mode: the socket is an ordinary one,
 * connected to the VIP; what leaves it is encapsulated by the kernel
 * (bpf/probe.bpf.c), which looks the back end up by the socket's port, here
 * bound before the probe connects (probe_tunnel.h). The kernel gives no port to
 * two sockets, so nobody else's packets are taken for a probe's.
 */
#ifndef SLUICE_TUNNEL_H
#define SLUICE_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include "probe_tunnel.h"

/* The daemon's descriptor for it; none is no error, until one is needed. */
void tunnel_init(int fd);

/* Binds SOCKET, whose ports are of SPACE, and enters its port: *RET_PORT. 0 or
 * -errno; -EOPNOTSUPP: this node has no tunnels for probes. */
int tunnel_bind(int socket, enum probe_tunnel_space space, bool v4,
		enum probe_tunnel_kind kind, const union ip_addr *outer,
		uint16_t *ret_port);
/* Enters a PORT that is the caller's without a socket bound to it: a raw
 * socket's identifier. 0 or -EOPNOTSUPP. */
int tunnel_enter(enum probe_tunnel_space space, uint16_t port,
		 enum probe_tunnel_kind kind, const union ip_addr *outer);
/* From now on packets from PORT are nobody's, and dropped. For ports that have
 * nothing more to say when their probe ends, unlike TCP's. */
void tunnel_leave(enum probe_tunnel_space space, uint16_t port);

#endif
