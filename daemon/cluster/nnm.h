/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Node-to-node messages: takes typed messages, delivers those of the peers.
 * Authentic, fresh and whole, or not at all; may be late, reordered or lost
 * (PROTOCOL.md). Puts sessions, queues and links (nnm_session.h, nnm_queue.h,
 * nnm_link.h) on a socket in the daemon's event loop.
 *
 * Messages wait until nnm_flush(), so that one datagram carries many: by
 * priority, hellos and views at once, states and what is below at the pace of
 * the link. A message to a peer without session is refused.
 *
 * Callbacks come from the loop and from inside nnm_tick(); they may call
 * nnm_send() and nnm_flush(), nothing else.
 */
#ifndef SLUICE_NNM_H
#define SLUICE_NNM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "cluster/messages.h"
#include "cluster/nnm_counters.h"
#include "ip_addr.h"

struct nnm;

struct nnm_ops {
	/* One message; its source and incarnation are authentic. */
	void (*message)(void *ctx, const struct message *message);
	/* All of a batch has been delivered: a good moment to flush. */
	void (*idle)(void *ctx);
	/* This node had to begin another life, because its peers knew a later
	 * one: the counter on disk had been lost. */
	void (*reborn)(void *ctx, uint32_t incarnation);
};

struct nnm_options {
	uint8_t self;
	union ip_addr addr;
	uint16_t port;
	const char *key_file;
	const char *epoch_file;
};

struct nnm_peer {
	uint8_t id;
	union ip_addr addr;
	uint16_t port;
};

/* 0 or -errno, with one line in the log. */
int nnm_new(uv_loop_t *loop, const struct nnm_options *options,
	    const struct nnm_ops *ops, void *ctx, struct nnm **ret);

/* Sends what waits at high priority, then closes. Memory is freed once the
 * loop has run. Accepts NULL. */
void nnm_free(struct nnm *nnm);

/* The peers from now on. -ENOMEM: some of the new ones are missing. */
int nnm_set_peers(struct nnm *nnm, const struct nnm_peer *peers, size_t n);

/* Reads PATH again; -errno with one line in the log, the old keys stay. */
int nnm_set_keys(struct nnm *nnm, const char *path);

/* Begins another life of this node, as if the daemon had been restarted: what
 * peers still hold of the former one is void. 0, or -errno and nothing done. */
int nnm_begin_life(struct nnm *nnm);

/* Which life of this node this is; grows with each start. */
uint32_t nnm_incarnation(const struct nnm *nnm);

/* Queues MESSAGE to all peers of the set TO. Refusals are counted. */
void nnm_send(struct nnm *nnm, uint32_t to, enum message_priority priority,
	      const struct message *message);

/* Sends what may be sent now. */
void nnm_flush(struct nnm *nnm);

/* To be called every 10 ms or so: challenges, and what the pace held back. */
void nnm_tick(struct nnm *nnm);

struct nnm_peer_stats {
	bool session;
	uint32_t srtt_us, rtt_min_us; /* 0: not measured */
	uint32_t loss_ppm;
	uint32_t rate; /* bytes per second */
	uint32_t queued_bytes;
};

/* -ENOENT: not a peer. */
int nnm_peer_stats(const struct nnm *nnm, uint8_t peer, struct nnm_peer_stats *ret);
const struct nnm_counters *nnm_counters(const struct nnm *nnm);
/* Datagrams lost because this process was too slow to read them. */
uint32_t nnm_overflows(const struct nnm *nnm);
/* Ids of the keys in use. Returns how many; the first is the one to send with. */
unsigned int nnm_key_ids(const struct nnm *nnm, uint8_t *ret, unsigned int max);

#endif
