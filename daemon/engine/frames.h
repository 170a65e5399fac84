/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ownership of the frames of the packet memory, across processes. Every frame
 * is in exactly one state (ctl.h) and every change of hands is recorded before
 * it happens, so that the frames of a process that was killed anywhere can be
 * told. README.md has the proof.
 *
 * struct frames is one process's view: the daemon's (owner
 * FRAME_OWNER_DAEMON) or an engine's (owner: its slot). Not thread safe.
 */
#ifndef SLUICE_FRAMES_H
#define SLUICE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/ctl.h"
#include "engine/xsk.h"

/* Frames given back but not yet in the fill ring, per pool. */
struct frames_pool {
	bool mapped;
	struct xsk_ring fill;
	struct xsk_ring completion;
	uint32_t *stack; /* frame numbers, room for all of the pool */
	uint32_t depth;
};

struct frames {
	struct engine_ctl *ctl;
	uint32_t owner;
	/* Copies: what others may scribble over is not a bound. */
	uint32_t n_frames;
	uint32_t n_pools;
	uint32_t pool_shift; /* log2 of frames per pool */
	struct frames_pool pool[POOLS_MAX];
};

/* Where all frames are; `total` is what the others must add up to. */
struct frames_census {
	uint32_t fill;	     /* in fill rings */
	uint32_t rx;	     /* taken by the kernel, not yet seen by an engine */
	uint32_t held;	     /* in engines' hands */
	uint32_t tx;	     /* in TX rings and the kernel */
	uint32_t completion; /* sent, in completion rings */
	uint32_t local;	     /* on engines' stacks */
	uint32_t quarantine; /* of dead engines, on the wire perhaps */
	uint32_t free;	     /* nobody's */
	uint32_t total;
	/* Not part of the sum; both 0 whenever nothing moves. */
	uint32_t misfiled; /* marked as in a fill ring, ring disagrees */
	uint64_t completions_late;
};

/* Bytes of control memory for FRAMES frames. */
size_t frames_ctl_len(uint32_t frames);

/* Makes fresh control memory (zeroed) at CTL: all frames FREE, no pool used.
 * Both numbers are powers of two or multiples: FRAMES = n * PER_POOL. */
int frames_ctl_init(struct engine_ctl *ctl, uint64_t instance, uint32_t frames,
		    uint32_t per_pool);

/* True if CTL of LEN bytes is whole and of this version. */
bool frames_ctl_valid(const struct engine_ctl *ctl, size_t len);

/* Maps rings of POOL through its base socket. 0 or -errno. */
void frames_init(struct frames *frames, struct engine_ctl *ctl, uint32_t owner);
void frames_deinit(struct frames *frames);
int frames_pool_map(struct frames *frames, uint32_t pool, int base_fd);
/* Frames on this process's stack become FREE. */
void frames_pool_unmap(struct frames *frames, uint32_t pool);

/* ---- an engine's operations, no system call, no waiting ---- */

static inline uint32_t frames_of_addr(uint64_t addr)
{
	return (uint32_t)(addr >> FRAME_SHIFT);
}

static inline void frames_record(struct frames *frames, uint32_t frame,
				 enum frame_state state, uint32_t arg)
{
	__atomic_store_n(&frames->ctl->rec[frame],
			 FRAME_REC(state, frames->owner, arg),
			 __ATOMIC_RELEASE);
}

/* Found in an RX ring: to be called before the ring's consumer moves on. */
static inline void frames_receive(struct frames *frames, uint32_t frame)
{
	frames_record(frames, frame, FRAME_HELD, 0);
}

/* Before its descriptor is written to the TX ring of POOL. */
static inline void frames_send(struct frames *frames, uint32_t frame,
			       uint32_t pool)
{
	frames_record(frames, frame, FRAME_TX, pool);
}

/* No more needed: on the stack, for the next exchange. */
void frames_put(struct frames *frames, uint32_t frame);

/* True if an exchange would move something. */
bool frames_pending(const struct frames *frames, uint32_t pool);

/* Takes what has been sent out of POOL's completion ring and puts what lies
 * on the stack into its fill ring. Returns false if another process has the
 * lock: try again later. */
bool frames_exchange(struct frames *frames, uint32_t pool);

/* ---- the daemon's operations ---- */

/* The engine of SLOT is dead (its process is gone): what it owns is nobody's
 * or in quarantine. False: a lock was busy, call again later. */
bool frames_reclaim(struct frames *frames, uint32_t slot, uint64_t now_ms);

/* Elimination, first half: notes how far each fill ring was consumed. */
void frames_mark(const struct frames *frames, uint32_t marks[POOLS_MAX]);
/* Second half, when every live engine has drained its RX rings since: frames
 * consumed before the mark that nobody has found are nobody's. Returns their
 * number. */
uint32_t frames_eliminate(struct frames *frames,
			  const uint32_t marks[POOLS_MAX]);

/* POOL is used no more (all its sockets are closed): its fill ring is gone,
 * and what was sent through it never completes. */
void frames_retire_pool(struct frames *frames, uint32_t pool, uint64_t now_ms);

/* Fills FREE frames in, and frames whose quarantine is over. Returns the
 * number that must wait (quarantine, busy lock). */
uint32_t frames_refill(struct frames *frames, uint64_t now_ms);

/* Of the frames of one pool, wherever they are. */
void frames_census_pool(const struct frames *frames, uint32_t pool,
			struct frames_census *ret);
/* Of all. */
void frames_census(const struct frames *frames, struct frames_census *ret);

#endif
