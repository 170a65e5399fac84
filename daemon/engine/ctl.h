/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control memory: one memfd per node, made by the daemon, mapped by the
 * daemon and by every engine. It outlives both and holds what must be known
 * after the death of either: who owns which frame of the packet memory
 * (UMEM), the locks of the pools' fill and completion rings, and the drain
 * epochs by which lost frames are found. See README.md for the protocol and
 * its proof; frames.[ch] has the operations.
 *
 * A *pool* is the kernel's buffer pool of one (interface, queue). Frames are
 * numbered through: pool p owns frames p * frames_per_pool onwards. A frame
 * may be transmitted through any pool; it goes back to its own fill ring.
 */
#ifndef SLUICE_ENGINE_CTL_H
#define SLUICE_ENGINE_CTL_H

#include <pthread.h>
#include <stdint.h>
#include "limits.h"

#define ENGINE_CTL_MAGIC 0x51c3c711u
#define ENGINE_CTL_VERSION 1u

/* Pools of a node at most. */
#define POOLS_MAX (IFACES_MAX * QUEUES_MAX)

/* Room for headers we put in front lies in the kernel's own 256 bytes of
 * headroom; 1 792 bytes remain, enough for 1 500 plus two VLAN tags. */
#define FRAME_SHIFT 11
#define FRAME_SIZE (1u << FRAME_SHIFT)

enum frame_state {
	FRAME_FREE = 0,	      /* nobody's: the daemon puts it into the ring */
	FRAME_FILL = 1,	      /* in the fill ring, or in some RX ring */
	FRAME_HELD = 2,	      /* received, in the hands of an engine */
	FRAME_TX = 3,	      /* in a TX ring, the kernel, or a completion ring */
	FRAME_LOCAL = 4,      /* on an engine's stack, waits for the ring's lock */
	FRAME_QUARANTINE = 5, /* TX of a dead engine: may still be read */
	FRAME_STATES
};

/* A frame's record, stored whole: state 8, owner 8, zero 16, argument 32.
 * FILL: sequence number in the fill ring. TX: pool it was sent through.
 * QUARANTINE: milliseconds of CLOCK_MONOTONIC at the owner's death. */
#define FRAME_REC(state, owner, arg)                                           \
	((uint64_t)(state) | (uint64_t)(owner) << 8 | (uint64_t)(arg) << 32)
#define FRAME_REC_STATE(rec) ((enum frame_state)((rec) & 0xff))
#define FRAME_REC_OWNER(rec) ((uint32_t)((rec) >> 8 & 0xff))
#define FRAME_REC_ARG(rec) ((uint32_t)((rec) >> 32))

/* Owners: engine slots, and the daemon. */
#define FRAME_OWNER_DAEMON ENGINES_MAX

/* Why an engine dropped (or answered instead of forwarding) a packet. X(enum
 * suffix, name, help); append only. */
#define ENGINE_DROPS(X)                                                        \
	X(BAD_META, "bad_metadata", "came without the XDP program's metadata") \
	X(BAD_PACKET, "bad_packet", "a header is cut off or contradicts")      \
	X(NO_VSERVER, "no_vserver", "its vserver is gone")                     \
	X(NO_SERVICE, "no_service", "no service takes new flows")              \
	X(NO_NAT, "no_nat_port", "no NAT address or free port")                \
	X(TABLE, "flow_set_locked", "its set of the flow table stayed locked") \
	X(NO_ROUTE, "no_route", "no route, or no port on the way out")         \
	X(TX_FULL, "tx_full", "TX ring full: the interface is too slow")       \
	X(RAW, "raw_refused", "the kernel's stack did not take it")            \
	X(TTL, "ttl", "TTL or hop limit used up")                              \
	X(TOO_BIG, "too_big", "larger than the path")                          \
	X(HOLD_FULL, "hold_full", "too many packets wait")                     \
	X(HOLD_TIMEOUT, "hold_timeout", "waited too long")                     \
	X(ICMP, "icmp", "ICMP that nobody answers")                            \
	X(MID_FLOW, "mid_flow", "TCP of a connection that is not known")

enum engine_drop {
#define ENGINE_DROP_X(id, name, help) DROP_##id,
	ENGINE_DROPS(ENGINE_DROP_X)
#undef ENGINE_DROP_X
	DROP_REASONS
};

/* Room for reasons of later versions. */
#define ENGINE_DROPS_MAX 32

struct ctl_pool {
	pthread_mutex_t lock; /* robust, shared: fill and completion rings */
	uint32_t holder;      /* 1 + owner who has the lock now; 0: nobody */
	uint32_t used;	      /* 1: has a base socket */
	uint32_t iface;	      /* slot in map "ifaces" */
	uint32_t ifindex;
	uint32_t queue;
	uint32_t pad;
	uint64_t completions_late; /* for frames that were not in TX */
	uint64_t lock_recoveries;  /* holder died */
} __attribute__((aligned(128)));

struct ctl_engine {
	uint32_t drained; /* last drain request it has fulfilled */
	uint32_t epoch;
	uint32_t pid;
	uint32_t flow_intent; /* flowtab's: 1 + set being written */
	uint32_t pad[28];
	uint64_t dropped[ENGINE_DROPS_MAX]; /* by enum engine_drop */
} __attribute__((aligned(128)));

struct engine_ctl {
	uint32_t magic;
	uint32_t version;
	uint64_t instance; /* random: engines of one packet memory agree */
	uint8_t rss_key[40]; /* for the hash of NAT flows' way back */
	uint32_t key_change; /* counts changes of it */
	uint32_t pad;
	uint32_t frames;   /* all */
	uint32_t frames_per_pool; /* power of two: also the rings' size */
	uint32_t pools;		  /* frames / frames_per_pool */
	uint32_t drain_request;	  /* only grows; see README.md */
	uint64_t frames_lost;	  /* found by elimination and taken back */
	uint64_t frames_reclaimed; /* all taken back from dead engines */
	struct ctl_engine engine[ENGINES_MAX];
	struct ctl_pool pool[POOLS_MAX];
	uint64_t rec[]; /* one per frame */
};

#endif
