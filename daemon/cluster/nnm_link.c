// SPDX-License-Identifier: GPL-2.0-only
/* Round-trip time, loss and pace of the way to one peer (see nnm_link.h). */
#include "cluster/nnm_link.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum sent_state {
	SENT_NONE,
	SENT_FLYING,
	SENT_ACKED,
	SENT_LOST,
};

/* Pace is judged over spans of this length. */
#define SPAN_US 100000
/* A share of losses above this, and at least this many, slows down. Random
 * loss of a bad link stays below; overflow of a buffer does not. */
#define LOSS_SLOW_PERCENT 10
#define LOSS_SLOW_MIN 4

void nnm_link_init(struct nnm_link *l, uint64_t now_us)
{
	assert(l);
	memset(l, 0, sizeof(*l));
	l->rate = NNM_LINK_RATE_START;
	l->tokens = NNM_LINK_BURST;
	l->refilled_us = l->judged_us = now_us;
}

void nnm_link_restart(struct nnm_link *l, uint64_t now_us)
{
	uint64_t acked = l->acked, lost = l->lost;

	nnm_link_init(l, now_us);
	l->acked = acked;
	l->lost = lost;
	assert(l->last == 0);
}

static struct nnm_sent *slot(struct nnm_link *l, uint64_t seq)
{
	return &l->ring[seq % NNM_LINK_RING];
}

/* ---- pace ------------------------------------------------------------- */

static void judge(struct nnm_link *l, uint64_t now_us)
{
	uint32_t all = l->span_acked + l->span_lost;

	if (now_us - l->judged_us < SPAN_US)
		return;
	if (l->span_lost >= LOSS_SLOW_MIN && l->span_lost * 100 > all * LOSS_SLOW_PERCENT)
		l->rate = l->rate / 10 * 7;
	else if (l->held_back)
		l->rate = l->rate / 4 * 5;
	if (l->rate < NNM_LINK_RATE_MIN)
		l->rate = NNM_LINK_RATE_MIN;
	if (l->rate > NNM_LINK_RATE_MAX)
		l->rate = NNM_LINK_RATE_MAX;
	l->span_acked = l->span_lost = 0;
	l->held_back = false;
	l->judged_us = now_us;
}

size_t nnm_link_allowance(struct nnm_link *l, uint64_t now_us)
{
	uint64_t us = now_us - l->refilled_us;

	assert(now_us >= l->refilled_us);
	judge(l, now_us);
	/* After a pause the bucket is full, not overflowing. */
	if (us > 1000000)
		us = 1000000;
	l->tokens += (int64_t)(us * l->rate / 1000000);
	if (l->tokens > NNM_LINK_BURST)
		l->tokens = NNM_LINK_BURST;
	l->refilled_us = now_us;
	return l->tokens > 0 ? (size_t)l->tokens : 0;
}

void nnm_link_held_back(struct nnm_link *l)
{
	assert(l);
	l->held_back = true;
}

/* ---- what became of a datagram ---------------------------------------- */

static void resolved(struct nnm_link *l, struct nnm_sent *s, enum sent_state state)
{
	bool lost = state == SENT_LOST;

	assert(s->state == SENT_FLYING);
	s->state = (uint8_t)state;
	l->loss_ppm = l->loss_ppm - l->loss_ppm / 64 + (lost ? 1000000 / 64 : 0);
	if (lost) {
		l->lost++;
		l->span_lost++;
	} else {
		l->acked++;
		l->span_acked++;
	}
}

void nnm_link_sent(struct nnm_link *l, uint64_t seq, size_t bytes, bool tracked,
		   bool paced, uint64_t now_us)
{
	struct nnm_sent *s = slot(l, seq);

	assert(seq > l->last);
	/* Nobody spoke of the datagram that was here, 1 024 later. */
	if (s->state == SENT_FLYING)
		resolved(l, s, SENT_LOST);
	if (l->first == 0)
		l->first = seq;
	if (seq - l->first >= NNM_LINK_RING)
		l->first = seq - NNM_LINK_RING + 1;
	s->seq = seq;
	s->at_us = now_us;
	s->state = tracked ? SENT_FLYING : SENT_NONE;
	l->last = seq;
	if (paced)
		l->tokens -= (int64_t)bytes;
}

/* RFC 6298, without its granularity: this is for people and for pacing. */
static void measure(struct nnm_link *l, uint32_t rtt_us)
{
	uint32_t error;

	if (rtt_us == 0)
		rtt_us = 1;
	if (l->rtt_min_us == 0 || rtt_us < l->rtt_min_us)
		l->rtt_min_us = rtt_us;
	if (l->srtt_us == 0) {
		l->srtt_us = rtt_us;
		l->rttvar_us = rtt_us / 2;
		return;
	}
	error = l->srtt_us > rtt_us ? l->srtt_us - rtt_us : rtt_us - l->srtt_us;
	l->rttvar_us += error / 4 - l->rttvar_us / 4;
	l->srtt_us = (uint32_t)(((uint64_t)l->srtt_us * 7 + rtt_us) / 8);
	if (l->srtt_us == 0)
		l->srtt_us = 1;
}

static void acked_one(struct nnm_link *l, uint64_t seq)
{
	struct nnm_sent *s = slot(l, seq);

	if (seq == 0 || s->seq != seq)
		return;
	if (s->state == SENT_LOST) {
		/* Late, not lost. */
		s->state = SENT_ACKED;
		l->lost--;
		l->acked++;
	} else if (s->state == SENT_FLYING) {
		resolved(l, s, SENT_ACKED);
	}
}

int nnm_link_acked(struct nnm_link *l, const struct nnm_ack *ack, uint64_t now_us)
{
	struct nnm_sent *s = slot(l, ack->top);

	if (ack->top > l->last)
		return -EINVAL;
	if (ack->top == 0)
		return 0;
	if (s->seq == ack->top && s->state == SENT_FLYING && now_us >= s->at_us) {
		uint64_t us = now_us - s->at_us;

		/* Its own delay is the peer's word: believed as far as possible. */
		us = us > ack->delay_us ? us - ack->delay_us : 0;
		measure(l, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX);
	}
	acked_one(l, ack->top);
	for (unsigned int i = 0; i < 64 && ack->top > i + 1; i++)
		if (ack->bitmap >> i & 1)
			acked_one(l, ack->top - 1 - i);
	for (; l->first != 0 && l->first + NNM_LINK_REORDER <= ack->top; l->first++) {
		s = slot(l, l->first);
		if (s->seq == l->first && s->state == SENT_FLYING)
			resolved(l, s, SENT_LOST);
	}
	assert(l->first <= l->last + 1);
	return 0;
}

/* ---- receiving -------------------------------------------------------- */

bool nnm_link_received(struct nnm_link *l, uint64_t seq, bool tracked, uint64_t now_us)
{
	assert(seq != 0);
	if (seq > l->rx_top) {
		l->rx_top = seq;
		l->rx_top_us = now_us;
	}
	if (tracked)
		l->rx_unacked++;
	return l->rx_unacked >= NNM_LINK_ACK_EVERY;
}

void nnm_link_make_ack(struct nnm_link *l, uint64_t bitmap, uint64_t now_us,
		       struct nnm_ack *ret)
{
	uint64_t us = now_us - l->rx_top_us;

	assert(now_us >= l->rx_top_us);
	ret->top = l->rx_top;
	ret->bitmap = bitmap;
	ret->delay_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
	l->rx_unacked = 0;
}
