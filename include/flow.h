/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table's entry, shared by XDP and engines as memory.
 *
 * Map "flows" is an array of sets, indexed by bits of the packet's Toeplitz
 * hash (flowtab_set_index()); a set has FLOW_WAYS entries of one cache line.
 * Probing inside the set is linear and cyclic from the preferred way (hash %
 * FLOW_WAYS), and stops at an entry that was never used (EMPTY). Sets 2n and
 * 2n + 1 are a pair: one takes the overflow of the other.
 *
 * Everything that must be remembered about packets is an entry here: flows in
 * both directions, source persistence, and fragment trains.
 *
 * Concurrency. `word` is state, writer and generation. Readers copy what they
 * need between two equal reads of a LIVE word; otherwise it was a miss.
 * Writers first take the pair's lock (`lock` of the even set's way 0: writer
 * and time), look
 * the key up again, claim one way by CAS to BUSY, fill it, and publish by CAS
 * to LIVE with the next generation. Contents are only ever written to a
 * claimed way. A lock older than FLOW_LOCK_STALE_MS may be taken over: the
 * taker turns a BUSY way to QUARANTINE, so that the late publication of a
 * paused writer fails; that writer then frees the way itself, and the daemon
 * frees the ways of dead writers. So a paused or dead writer can delay one
 * set by FLOW_LOCK_STALE_MS and can corrupt nothing.
 */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include <linux/types.h>
#include "limits.h"
#include "ip_addr.h"

enum flow_state {
	FLOW_EMPTY = 0, /* never used: probing stops */
	FLOW_DEAD = 1,	/* free, probing goes on */
	FLOW_BUSY = 2,
	FLOW_LIVE = 3,
	FLOW_QUARANTINE = 4,
};

/* word: state 3 bits, writer 9 bits, generation 20 bits. */
#define FLOW_WORD(state, writer, gen)                                          \
	((__u32)(state) | (__u32)(writer) << 3 | (__u32)(gen) << 12)
#define FLOW_WORD_STATE(word) ((word) & 7)
#define FLOW_WORD_WRITER(word) ((word) >> 3 & 0x1ff)
#define FLOW_WORD_GEN(word) ((word) >> 12)

/* Writers: 1 + engine slot; the daemon; XDP on a CPU (modulo 256). */
#define FLOW_WRITER_ENGINE(slot) (1 + (slot))
#define FLOW_WRITER_DAEMON 32
#define FLOW_WRITER_CPU(cpu) (256 + ((cpu) & 0xff))

/* lock: 0 free, else writer 9 bits, milliseconds (CLOCK_MONOTONIC) 23 bits. */
#define FLOW_LOCK_WORD(writer, ms) ((__u32)(writer) | (__u32)(ms) << 9)
#ifndef FLOW_LOCK_STALE_MS /* a stress test shortens it */
#define FLOW_LOCK_STALE_MS 100
#endif

enum flow_kind {
	FLOW_FORWARD = 1, /* client → vserver; id: vserver */
	FLOW_REVERSE = 2, /* service → NAT address; id: index in conf.nat */
	FLOW_PERSIST = 3, /* client address → service; id: vserver */
	FLOW_FRAGMENT = 4, /* first fragment's ports; sport, dport: the
			      identification; id: folded destination */
};

enum flow_tcp {
	FLOW_TCP_NONE = 0, /* not TCP, or picked up mid-flow */
	FLOW_TCP_SYN = 1,
	FLOW_TCP_ESTABLISHED = 2,
	FLOW_TCP_FIN = 3,
	FLOW_TCP_RST = 4,
};

enum flow_flag {
	FLOW_F_NAT = 1 << 0,	 /* has a twin in the other direction */
	FLOW_F_INSPECT = 1 << 1, /* every packet goes through the engine */
	FLOW_F_MIRROR = 1 << 2,	 /* copy of another node's flow */
};

/* activity: tick 24 bits, tcp 4 bits, flags 4 bits, stored as one word. */
#define FLOW_ACTIVITY(tick, tcp, flags)                                        \
	(((__u32)(tick) & 0xffffff) | (__u32)(tcp) << 24 | (__u32)(flags) << 28)
#define FLOW_ACTIVITY_TICK(a) ((a) & 0xffffff)
#define FLOW_ACTIVITY_TCP(a) ((a) >> 24 & 0xf)
#define FLOW_ACTIVITY_FLAGS(a) ((a) >> 28)

/* A tick is 2^27 ns (134 ms) of CLOCK_MONOTONIC: 26 days in 24 bits. */
#define FLOW_TICK_SHIFT 27
#define FLOW_TICKS_PER_S 8 /* rounded up: time-outs are never shortened */

/* What a packet is looked up by; compared whole. */
struct flow_key {
	union ip_addr peer; /* source address of the packet */
	__be16 sport;
	__be16 dport; /* FLOW_FORWARD, FLOW_PERSIST: 0 (the vserver has it) */
	__u16 id;
	__u8 kind;  /* enum flow_kind */
	__u8 proto; /* IPPROTO_* */
};

struct flow {
	__u32 word;
	__u32 hash;	/* of the packet that finds it */
	__u32 activity; /* a hint: lost updates only shift a time-out */
	__u32 lock;	/* way 0, even set: the pair's lock; way 1: bit 0: this
			   set has overflowed; way 2: when its pair had no
			   room (flowtab.h); others: 0 */
	struct flow_key key;
	/* The twin's key: FORWARD: the NAT port and the index of the NAT
	 * address; REVERSE: the client's address, port and the vserver.
	 * FRAGMENT: pair_addr is the destination and compared like the key;
	 * pair_port and pair_id are the ports. */
	union ip_addr pair_addr;
	__u32 service; /* service id */
	__be16 pair_port;
	__u16 pair_id;
};

struct flow_set {
	struct flow way[FLOW_WAYS];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct flow_key) == 24, "ABI");
_Static_assert(sizeof(struct flow) == 64, "ABI: one cache line");
_Static_assert(__builtin_offsetof(struct flow, service) % 8 == 0, "one word");
_Static_assert(sizeof(struct flow_set) == 512, "ABI");

#endif
