/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine process as its files see it. One thread, one loop (loop.c):
 * receive a batch, handle, send, sweep; asleep when there is nothing to do.
 * All memory is allocated or mapped before the loop starts.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/frames.h"
#include "engine/link.h"
#include "engine/nexthop.h"
#include "engine/pick.h"
#include "flowtab.h"
#include "hash.h"
#include "map_abi.h"
#include "parse.h"

/* Packets taken from one ring at a time: a few cache misses are paid once per
 * batch, and no ring waits longer than 64 packets of every other one. */
#define ENGINE_BATCH 64
/* Idle engines beat (and sweep) so often; XDP waits 200 ms. */
#define ENGINE_BEAT_NS 20000000ull

/* A packet socket on one (interface, queue). */
struct engine_port {
	bool used;
	bool kick;     /* has descriptors the kernel was not told of */
	bool draining; /* owes an answer to a drain request */
	uint32_t pool;
	uint32_t iface;
	uint32_t ifindex;
	uint32_t queue;
	int fd;
	int base_fd; /* kept for the next daemon */
	struct xsk_ring rx;
	struct xsk_ring tx;
	uint32_t rx_next; /* our consumer */
	uint32_t tx_next; /* our producer */
	uint32_t drain_to;
};

/* A received packet, in its frame. */
struct engine_packet {
	uint8_t *data;
	uint32_t len;
	uint32_t frame;
	struct engine_port *port; /* where it arrived */
	struct pkt_meta meta;
	struct pkt pkt; /* parsed, but for STEER_INSPECT */
	/* Its Ethernet header with tags: meta.l3_off bytes, kept because what
	 * is put before the packet overwrites it. */
	uint8_t l2[22];
};

struct engine_maps {
	const struct dp_conf *conf;
	const struct vip_bucket *vips;
	const struct vserver *vservers;
	const struct service *services;
	struct svc_load *svc_load;
	const struct member *members;
	const struct pick_slot *lb_table;
	uint32_t lb_len; /* entries of lb_table, of members */
	uint32_t members_len;
	struct engine_info *engines;
	struct flow_set *flows;
	uint32_t flow_sets;
};

struct engine_hold;

struct engine {
	uint32_t slot;
	uint32_t epoch;
	const char *socket_path;
	int link; /* to the daemon; -1: it is away */
	uint64_t link_retry_ns;
	uint64_t link_pause_ns;
	bool set_up;
	bool stopping;
	uint64_t stop_ns;
	int epoll_fd;

	uint64_t instance;
	int umem_fd;
	int ctl_fd;
	uint8_t *umem;
	size_t umem_len;
	struct engine_ctl *ctl;
	size_t ctl_len;
	struct frames frames;
	struct engine_maps maps;
	struct flowtab flowtab;
	uint32_t *toeplitz;
	uint32_t key_seen;
	struct pick *pick;
	struct nexthop *nexthop;
	struct engine_hold *hold;
	int raw4, raw6; /* opened while privileged */
	int udp4, udp6; /* to make the kernel resolve a neighbour */

	struct engine_port port[POOLS_MAX]; /* by pool */
	uint16_t active[POOLS_MAX];	    /* pools in use */
	uint32_t n_active;

	struct engine_info *info; /* own entry of map "engines" */
	uint64_t now_ns; /* of this turn */
	uint64_t beat_ns;
	uint64_t busy_ns; /* since load_ns */
	uint64_t load_ns;
	uint32_t drain_seen;
	bool drain_owed;
	uint64_t sweep_ns;
	uint32_t sweep_set;
};

/* loop.c */
int engine_loop(struct engine *engine);

/* attach.c: the connection, memory, maps, ports */
int engine_attach(struct engine *engine); /* a new engine: all it needs */
void engine_attach_poll(struct engine *engine);
int engine_attach_ready(struct engine *engine); /* READY, PORT_READY */

/* handle.c: one packet; it is sent, held or put when this returns */
void engine_handle(struct engine *engine, struct engine_packet *packet);

/* emit.c */
void engine_drop(struct engine *engine, struct engine_packet *packet,
		 enum engine_drop why);
/* The same for a packet that is answered instead of forwarded. */
void engine_count_drop(struct engine *engine, enum engine_drop why);

#endif
