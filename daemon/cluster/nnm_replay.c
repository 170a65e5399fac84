// SPDX-License-Identifier: GPL-2.0-only
/* Replay window after RFC 6479 (see nnm_replay.h). */
#include "cluster/nnm_replay.h"

#include <assert.h>
#include <string.h>

#define BLOCKS (NNM_REPLAY_BITS / 64)

_Static_assert((BLOCKS & (BLOCKS - 1)) == 0, "blocks are indexed by a mask");

void nnm_replay_init(struct nnm_replay *w)
{
	assert(w);
	memset(w, 0, sizeof(*w));
}

static bool bit(const struct nnm_replay *w, uint64_t seq)
{
	return w->blocks[seq / 64 & (BLOCKS - 1)] >> (seq % 64) & 1;
}

bool nnm_replay_fresh(const struct nnm_replay *w, uint64_t seq)
{
	assert(w);
	/* 0 is never sent; the last number is kept from wrapping by the
	 * sender, which stops a century before. */
	if (seq == 0 || seq == UINT64_MAX)
		return false;
	if (seq > w->top)
		return true;
	if (w->top - seq >= NNM_REPLAY_WINDOW)
		return false;
	return !bit(w, seq);
}

void nnm_replay_mark(struct nnm_replay *w, uint64_t seq)
{
	assert(nnm_replay_fresh(w, seq));
	if (seq > w->top) {
		uint64_t from = w->top / 64, to = seq / 64;
		uint64_t n = to - from < BLOCKS ? to - from : BLOCKS;

		/* Blocks the window moves into hold bits of a former lap. */
		for (uint64_t i = 1; i <= n; i++)
			w->blocks[(to - n + i) & (BLOCKS - 1)] = 0;
		w->top = seq;
	}
	w->blocks[seq / 64 & (BLOCKS - 1)] |= 1ULL << (seq % 64);
	assert(!nnm_replay_fresh(w, seq));
}

uint64_t nnm_replay_bitmap(const struct nnm_replay *w)
{
	uint64_t map = 0;

	assert(w);
	for (unsigned int i = 0; i < 64 && w->top > i + 1; i++)
		map |= (uint64_t)bit(w, w->top - 1 - i) << i;
	return map;
}
