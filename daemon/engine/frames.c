// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frame ownership: see frames.h for what, README.md for why it is exact.
 *
 * Rules the code keeps, in the order in which they matter:
 *  - a record is stored before the hand-over it describes;
 *  - the rings of a pool are touched only under the pool's lock, and their
 *    indexes are read from the rings each time, never from a private copy,
 *    because another process may have moved them;
 *  - whoever gets a lock whose holder died repairs the pool before use;
 *  - records of others are changed by compare-and-swap only;
 *  - an engine that goes wrong can spoil the accounting, but not make the
 *    daemon touch memory outside it: bounds are private copies.
 */
#include "engine/frames.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A frame sent by an engine that died is left alone so long: the kernel may
 * still read it. Real NICs complete within milliseconds. */
#define QUARANTINE_MS 2000u

static uint64_t rec_load(const struct engine_ctl *ctl, uint32_t frame)
{
	return __atomic_load_n(&ctl->rec[frame], __ATOMIC_ACQUIRE);
}

static bool rec_change(struct engine_ctl *ctl, uint32_t frame, uint64_t from,
		       uint64_t to)
{
	return __atomic_compare_exchange_n(&ctl->rec[frame], &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A comes before B in a sequence of 32 bits that wraps. */
static bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

size_t frames_ctl_len(uint32_t frames)
{
	return sizeof(struct engine_ctl) + sizeof(uint64_t) * (size_t)frames;
}

static int lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int err;

	err = pthread_mutexattr_init(&attr);
	if (err)
		return -err;
	err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!err)
		err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!err)
		err = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -err;
}

int frames_ctl_init(struct engine_ctl *ctl, uint64_t instance, uint32_t frames,
		    uint32_t per_pool)
{
	int err;

	if (!per_pool || (per_pool & (per_pool - 1)) || !frames ||
	    frames % per_pool || frames / per_pool > POOLS_MAX)
		return -EINVAL;
	ctl->instance = instance;
	ctl->frames = frames;
	ctl->frames_per_pool = per_pool;
	ctl->pools = frames / per_pool;
	for (uint32_t p = 0; p < ctl->pools; p++) {
		err = lock_init(&ctl->pool[p].lock);
		if (err)
			return err;
	}
	ctl->version = ENGINE_CTL_VERSION;
	__atomic_store_n(&ctl->magic, ENGINE_CTL_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

bool frames_ctl_valid(const struct engine_ctl *ctl, size_t len)
{
	return len >= sizeof(*ctl) && ctl->magic == ENGINE_CTL_MAGIC &&
	       ctl->version == ENGINE_CTL_VERSION && ctl->frames_per_pool &&
	       !(ctl->frames_per_pool & (ctl->frames_per_pool - 1)) &&
	       ctl->pools && ctl->pools <= POOLS_MAX &&
	       ctl->frames == (uint64_t)ctl->pools * ctl->frames_per_pool &&
	       len >= frames_ctl_len(ctl->frames);
}

void frames_init(struct frames *frames, struct engine_ctl *ctl, uint32_t owner)
{
	assert(owner <= FRAME_OWNER_DAEMON);
	memset(frames, 0, sizeof(*frames));
	frames->ctl = ctl;
	frames->owner = owner;
	frames->n_frames = ctl->frames;
	frames->n_pools = ctl->pools;
	frames->pool_shift = (uint32_t)__builtin_ctz(ctl->frames_per_pool);
}

void frames_deinit(struct frames *frames)
{
	if (!frames->ctl)
		return;
	for (uint32_t p = 0; p < frames->n_pools; p++)
		frames_pool_unmap(frames, p);
}

int frames_pool_map(struct frames *frames, uint32_t pool, int base_fd)
{
	struct frames_pool *fp = &frames->pool[pool];
	uint32_t size = 1u << frames->pool_shift;
	int err;

	assert(pool < frames->n_pools);
	assert(!fp->mapped);
	fp->stack = calloc(size, sizeof(*fp->stack));
	if (!fp->stack)
		return -ENOMEM;
	err = xsk_ring_map(base_fd, XSK_RING_FILL, size, &fp->fill);
	if (err)
		goto no_fill;
	err = xsk_ring_map(base_fd, XSK_RING_COMPLETION, size,
			   &fp->completion);
	if (err)
		goto no_completion;
	fp->depth = 0;
	fp->mapped = true;
	return 0;

no_completion:
	xsk_ring_unmap(&fp->fill);
no_fill:
	free(fp->stack);
	fp->stack = NULL;
	return err;
}

void frames_pool_unmap(struct frames *frames, uint32_t pool)
{
	struct frames_pool *fp = &frames->pool[pool];

	if (!fp->mapped)
		return;
	while (fp->depth)
		frames_record(frames, fp->stack[--fp->depth], FRAME_FREE, 0);
	xsk_ring_unmap(&fp->fill);
	xsk_ring_unmap(&fp->completion);
	free(fp->stack);
	memset(fp, 0, sizeof(*fp));
}

void frames_put(struct frames *frames, uint32_t frame)
{
	struct frames_pool *fp = &frames->pool[frame >> frames->pool_shift];

	if (!fp->mapped) { /* its interface went away meanwhile */
		frames_record(frames, frame, FRAME_FREE, 0);
		return;
	}
	if (fp->depth > fp->fill.mask) /* records were scribbled over */
		return;
	frames_record(frames, frame, FRAME_LOCAL, 0);
	fp->stack[fp->depth++] = frame;
}

/* Takes everything out of the completion ring. The record is changed before
 * the ring's consumer moves on: death between the two leaves entries for
 * frames that are not in TX, which the next holder's repair skips. */
static void complete(struct frames *frames, uint32_t pool, bool repairing)
{
	struct frames_pool *fp = &frames->pool[pool];
	struct engine_ctl *ctl = frames->ctl;
	uint32_t consumer = *fp->completion.consumer;
	uint32_t producer = xsk_ring_load(fp->completion.producer);

	if (producer - consumer > fp->completion.mask + 1)
		consumer = producer; /* scribbled over: nothing to believe */
	for (; consumer != producer; consumer++) {
		uint64_t addr = *xsk_ring_addr(&fp->completion, consumer);
		uint32_t frame = frames_of_addr(addr);
		uint64_t rec;

		if (frame >= frames->n_frames) {
			ctl->pool[pool].completions_late++;
			continue;
		}
		rec = rec_load(ctl, frame);
		if ((FRAME_REC_STATE(rec) == FRAME_TX ||
		     FRAME_REC_STATE(rec) == FRAME_QUARANTINE) &&
		    rec_change(ctl, frame, rec,
			       FRAME_REC(FRAME_LOCAL, frames->owner, 0)))
			frames_put(frames, frame);
		else if (!repairing)
			ctl->pool[pool].completions_late++;
	}
	xsk_ring_store(fp->completion.consumer, consumer);
}

/* Puts what lies on the stack into the fill ring. The record with the
 * sequence number comes first: death before the producer moves on leaves
 * records that claim a number the ring never reached. */
static void fill(struct frames *frames, uint32_t pool)
{
	struct frames_pool *fp = &frames->pool[pool];
	uint32_t producer = *fp->fill.producer;
	uint32_t room = fp->fill.mask + 1 -
			(producer - xsk_ring_load(fp->fill.consumer));

	if (room > fp->fill.mask + 1)
		return;
	while (fp->depth && room--) {
		uint32_t frame = fp->stack[--fp->depth];

		frames_record(frames, frame, FRAME_FILL, producer);
		*xsk_ring_addr(&fp->fill, producer) = (uint64_t)frame
						      << FRAME_SHIFT;
		producer++;
	}
	xsk_ring_store(fp->fill.producer, producer);
}

/* The last holder died inside complete() or fill(). */
static void repair(struct frames *frames, uint32_t pool)
{
	struct engine_ctl *ctl = frames->ctl;
	uint32_t first = pool << frames->pool_shift;
	uint32_t producer = *frames->pool[pool].fill.producer;

	ctl->pool[pool].lock_recoveries++;
	complete(frames, pool, true);
	for (uint32_t i = first; i < first + (1u << frames->pool_shift); i++) {
		uint64_t rec = rec_load(ctl, i);

		if (FRAME_REC_STATE(rec) == FRAME_FILL &&
		    !seq_before(FRAME_REC_ARG(rec), producer))
			rec_change(ctl, i, rec, FRAME_REC(FRAME_FREE, 0, 0));
	}
}

static bool lock(struct frames *frames, uint32_t pool)
{
	struct ctl_pool *cp = &frames->ctl->pool[pool];
	int err = pthread_mutex_trylock(&cp->lock);

	if (err && err != EOWNERDEAD)
		return false;
	__atomic_store_n(&cp->holder, 1 + frames->owner, __ATOMIC_RELAXED);
	if (err) {
		/* Repair first: should we die in it, the next one is told
		 * EOWNERDEAD again. */
		repair(frames, pool);
		pthread_mutex_consistent(&cp->lock);
	}
	return true;
}

static void unlock(struct frames *frames, uint32_t pool)
{
	struct ctl_pool *cp = &frames->ctl->pool[pool];

	__atomic_store_n(&cp->holder, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&cp->lock);
}

bool frames_pending(const struct frames *frames, uint32_t pool)
{
	const struct frames_pool *fp = &frames->pool[pool];

	return fp->mapped &&
	       (fp->depth || xsk_ring_load(fp->completion.producer) !=
				     xsk_ring_load(fp->completion.consumer));
}

bool frames_exchange(struct frames *frames, uint32_t pool)
{
	assert(frames->pool[pool].mapped);
	if (!lock(frames, pool))
		return false;
	complete(frames, pool, false);
	fill(frames, pool);
	unlock(frames, pool);
	return true;
}

bool frames_reclaim(struct frames *frames, uint32_t slot, uint64_t now_ms)
{
	struct engine_ctl *ctl = frames->ctl;
	bool done = true;

	/* Locks first: it may have died holding one, and what its repair finds
	 * in the rings must not have been given to others before. */
	for (uint32_t p = 0; p < frames->n_pools; p++) {
		if (!frames->pool[p].mapped)
			continue;
		if (lock(frames, p))
			unlock(frames, p);
		else
			done = false;
	}
	if (!done)
		return false;
	for (uint32_t i = 0; i < frames->n_frames; i++) {
		uint64_t rec = rec_load(ctl, i), to;
		enum frame_state state = FRAME_REC_STATE(rec);

		if (FRAME_REC_OWNER(rec) != slot)
			continue;
		if (state == FRAME_HELD || state == FRAME_LOCAL)
			to = FRAME_REC(FRAME_FREE, 0, 0);
		else if (state == FRAME_TX)
			to = FRAME_REC(FRAME_QUARANTINE, 0, (uint32_t)now_ms);
		else
			continue;
		/* Failing means: it was completed just now. */
		if (rec_change(ctl, i, rec, to))
			ctl->frames_reclaimed++;
	}
	return true;
}

void frames_mark(const struct frames *frames, uint32_t marks[POOLS_MAX])
{
	for (uint32_t p = 0; p < frames->n_pools; p++)
		marks[p] = frames->pool[p].mapped ?
				   xsk_ring_load(frames->pool[p].fill.consumer) :
				   0;
}

uint32_t frames_eliminate(struct frames *frames,
			  const uint32_t marks[POOLS_MAX])
{
	struct engine_ctl *ctl = frames->ctl;
	uint32_t n = 0;

	for (uint32_t i = 0; i < frames->n_frames; i++) {
		uint32_t pool = i >> frames->pool_shift;
		uint64_t rec = rec_load(ctl, i);

		if (!frames->pool[pool].mapped ||
		    FRAME_REC_STATE(rec) != FRAME_FILL ||
		    !seq_before(FRAME_REC_ARG(rec), marks[pool]))
			continue;
		if (rec_change(ctl, i, rec, FRAME_REC(FRAME_FREE, 0, 0)))
			n++;
	}
	ctl->frames_lost += n;
	ctl->frames_reclaimed += n;
	return n;
}

void frames_retire_pool(struct frames *frames, uint32_t pool, uint64_t now_ms)
{
	struct engine_ctl *ctl = frames->ctl;

	assert(!frames->pool[pool].mapped);
	for (uint32_t i = 0; i < frames->n_frames; i++) {
		uint64_t rec = rec_load(ctl, i);

		if (FRAME_REC_STATE(rec) == FRAME_FILL &&
		    i >> frames->pool_shift == pool)
			rec_change(ctl, i, rec, FRAME_REC(FRAME_FREE, 0, 0));
		else if (FRAME_REC_STATE(rec) == FRAME_TX &&
			 FRAME_REC_ARG(rec) == pool)
			rec_change(ctl, i, rec,
				   FRAME_REC(FRAME_QUARANTINE, 0,
					     (uint32_t)now_ms));
	}
}

static bool refill_due(uint64_t rec, uint64_t now_ms, uint32_t *waiting)
{
	switch (FRAME_REC_STATE(rec)) {
	case FRAME_FREE:
		return true;
	case FRAME_QUARANTINE:
		if ((uint32_t)now_ms - FRAME_REC_ARG(rec) >= QUARANTINE_MS)
			return true;
		++*waiting;
		return false;
	default:
		return false;
	}
}

uint32_t frames_refill(struct frames *frames, uint64_t now_ms)
{
	struct engine_ctl *ctl = frames->ctl;
	uint32_t waiting = 0;

	for (uint32_t i = 0; i < frames->n_frames; i++) {
		uint32_t pool = i >> frames->pool_shift;
		uint64_t rec = rec_load(ctl, i);

		if (frames->pool[pool].mapped &&
		    refill_due(rec, now_ms, &waiting) &&
		    rec_change(ctl, i, rec,
			       FRAME_REC(FRAME_LOCAL, frames->owner, 0)))
			frames_put(frames, i);
	}
	for (uint32_t p = 0; p < frames->n_pools; p++) {
		if (frames_pending(frames, p) && !frames_exchange(frames, p))
			waiting += frames->pool[p].depth;
	}
	return waiting;
}

static void count_frame(const struct frames *frames, uint32_t frame,
			uint32_t consumer, uint32_t producer,
			struct frames_census *c)
{
	const struct frames_pool *fp =
		&frames->pool[frame >> frames->pool_shift];
	uint64_t rec = rec_load(frames->ctl, frame);
	uint32_t arg = FRAME_REC_ARG(rec);

	switch (FRAME_REC_STATE(rec)) {
	case FRAME_FILL:
		if (seq_before(arg, consumer)) {
			c->rx++;
			break;
		}
		c->fill++;
		if (fp->mapped && seq_before(arg, producer) &&
		    frames_of_addr(*xsk_ring_addr(&fp->fill, arg)) != frame)
			c->misfiled++;
		break;
	case FRAME_HELD:
		c->held++;
		break;
	case FRAME_TX:
		c->tx++;
		break;
	case FRAME_LOCAL:
		c->local++;
		break;
	case FRAME_QUARANTINE:
		c->quarantine++;
		break;
	default:
		c->free++;
		break;
	}
}

/* Frames of POOL in the completion ring of pool THROUGH. */
static uint32_t completed(const struct frames *frames, uint32_t pool,
			  uint32_t through)
{
	const struct xsk_ring *ring = &frames->pool[through].completion;
	uint32_t consumer, producer, n = 0;

	if (!frames->pool[through].mapped)
		return 0;
	consumer = xsk_ring_load(ring->consumer);
	producer = xsk_ring_load(ring->producer);
	if (producer - consumer > ring->mask + 1)
		return 0;
	for (; consumer != producer; consumer++)
		n += frames_of_addr(*xsk_ring_addr(ring, consumer)) >>
			     frames->pool_shift == pool;
	return n;
}

void frames_census_pool(const struct frames *frames, uint32_t pool,
			struct frames_census *ret)
{
	const struct frames_pool *fp = &frames->pool[pool];
	struct frames_census c = { .total = 1u << frames->pool_shift };
	uint32_t first = pool << frames->pool_shift;
	uint32_t consumer = 0, producer = 0, done = 0;

	if (fp->mapped) {
		/* Consumer first: a frame put in meanwhile is beyond it. */
		consumer = xsk_ring_load(fp->fill.consumer);
		producer = xsk_ring_load(fp->fill.producer);
	}
	for (uint32_t i = first; i < first + c.total; i++)
		count_frame(frames, i, consumer, producer, &c);
	for (uint32_t p = 0; p < frames->n_pools; p++)
		done += completed(frames, pool, p);
	/* Entries in completion rings are frames in TX, counted above; the
	 * rings may have moved on since. */
	c.completion = done < c.tx ? done : c.tx;
	c.tx -= c.completion;
	c.completions_late = frames->ctl->pool[pool].completions_late;
	*ret = c;
}

void frames_census(const struct frames *frames, struct frames_census *ret)
{
	struct frames_census all = { 0 };

	for (uint32_t p = 0; p < frames->n_pools; p++) {
		struct frames_census c;

		frames_census_pool(frames, p, &c);
		all.fill += c.fill;
		all.rx += c.rx;
		all.held += c.held;
		all.tx += c.tx;
		all.completion += c.completion;
		all.local += c.local;
		all.quarantine += c.quarantine;
		all.free += c.free;
		all.total += c.total;
		all.misfiled += c.misfiled;
		all.completions_late += c.completions_late;
	}
	*ret = all;
}
