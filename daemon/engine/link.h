/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection between daemon and engine: RUNDIR/engine.sock, a
 * SOCK_SEQPACKET socket on which the daemon listens. Messages are one struct
 * of fixed size and at most two descriptors.
 *
 *   engine → daemon                      daemon → engine
 *   HELLO  slot, epoch, pid, running?    (a stranger: closed)
 *                                        SETUP  umem, control memory
 *                                        MAP    each map
 *                                        PORT   base socket, own socket
 *                                        GO     all sent
 *   READY  privileges dropped
 *   PORT_READY  receives there           (puts the socket into the XSKMAP)
 *
 * Reconnecting to a new daemon, the engine says HELLO with running = 1 and
 * its memory's descriptors, one HAVE per port with the base socket, then
 * READY. Any time later: PORT, UNPORT (answered by PORT_GONE), STOP.
 *
 * Both ends are this product at possibly different versions; a message of a
 * wrong version or size ends the connection.
 */
#ifndef SLUICE_ENGINE_LINK_H
#define SLUICE_ENGINE_LINK_H

#include <stdint.h>

#define LINK_VERSION 1u
#define LINK_FDS_MAX 2

enum link_type {
	LINK_HELLO = 1,	   /* fds, if running: umem, ctl */
	LINK_HAVE = 2,	   /* fd: base */
	LINK_READY = 3,
	LINK_PORT_READY = 4,
	LINK_PORT_GONE = 5,
	LINK_SETUP = 16,   /* fds: umem, ctl */
	LINK_MAP = 17,	   /* fd: map */
	LINK_PORT = 18,	   /* fds: base, socket */
	LINK_GO = 19,
	LINK_UNPORT = 20,
	LINK_STOP = 21,
};

/* Maps an engine gets, in the order of link_msg.map. */
enum link_map {
	LINK_MAP_CONF,
	LINK_MAP_VIPS,
	LINK_MAP_VSERVERS,
	LINK_MAP_SERVICES,
	LINK_MAP_SVC_LOAD,
	LINK_MAP_MEMBERS,
	LINK_MAP_LB_TABLE,
	LINK_MAP_ENGINES,
	LINK_MAP_FLOWS,
	LINK_MAPS
};

struct link_msg {
	uint32_t version; /* LINK_VERSION */
	uint32_t type;	  /* enum link_type */
	uint32_t slot;
	uint32_t epoch;
	uint32_t pid;
	uint32_t running; /* HELLO: 1 if it holds sockets and memory */
	uint64_t instance;
	uint64_t len; /* SETUP: bytes of packet memory; MAP: of the map */
	uint32_t ctl_len;
	uint32_t map;  /* enum link_map */
	uint32_t pool; /* PORT…, HAVE */
	uint32_t iface;
	uint32_t ifindex;
	uint32_t queue;
	uint32_t rx_size;
	uint32_t tx_size;
};

/* Sends without waiting. The descriptors stay the caller's. 0 or -errno;
 * -EAGAIN: the other end does not read. */
int link_send(int fd, const struct link_msg *msg, const int *fds, int n_fds);

/* Receives one message; descriptors (close-on-exec) are the caller's, unused
 * ones are -1. 0, -EAGAIN, -EPIPE: other end closed, -EPROTO, -errno. */
int link_receive(int fd, struct link_msg *ret_msg, int ret_fds[LINK_FDS_MAX]);

#endif
