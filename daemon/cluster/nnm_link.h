/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to one peer: what was sent and acknowledged, round-trip time, loss,
 * and the pace at which more may be sent. Pure; times are microseconds of a
 * monotonic clock.
 *
 * Acknowledgements are for measuring and pacing only: nothing is repeated
 * here. They name the newest datagram received and, as a bitmap, the 64 before
 * it, and say how long the newest waited for its acknowledgement.
 */
#ifndef SLUICE_NNM_LINK_H
#define SLUICE_NNM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Datagrams in flight that are remembered: 14 MB at full size. */
#define NNM_LINK_RING 1024
/* Datagrams with messages received before an acknowledgement goes by itself:
 * each is covered by four of them. */
#define NNM_LINK_ACK_EVERY 16
/* Datagrams overtaken by this many are taken for lost (RFC 9002 6.1.1). */
#define NNM_LINK_REORDER 3
/* Pace, bytes per second. The lower bound still carries 10 000 service states
 * per second at any loss; the upper one is 1/3 of a 10 Gb/s back plane. */
#define NNM_LINK_RATE_MIN 1000000
#define NNM_LINK_RATE_START 16000000
#define NNM_LINK_RATE_MAX 400000000
/* Burst above the pace: what a tick of 10 ms at the start rate needs. */
#define NNM_LINK_BURST 262144

struct nnm_ack {
	uint64_t top; /* 0: nothing received yet */
	uint64_t bitmap;
	uint32_t delay_us;
};

struct nnm_sent {
	uint64_t seq;
	uint64_t at_us;
	uint8_t state;
};

struct nnm_link {
	struct nnm_sent ring[NNM_LINK_RING];
	uint64_t first, last; /* tracked numbers from FIRST on are unresolved */
	uint32_t srtt_us, rttvar_us, rtt_min_us; /* 0: not measured */
	uint32_t loss_ppm;    /* mean over about 64 datagrams */
	uint64_t acked, lost; /* totals; lost ones that came late are taken off */
	/* pace */
	uint32_t rate;
	int64_t tokens;
	uint64_t refilled_us, judged_us;
	uint32_t span_acked, span_lost;
	bool held_back;
	/* to acknowledge */
	uint64_t rx_top, rx_top_us;
	unsigned int rx_unacked;
};

void nnm_link_init(struct nnm_link *l, uint64_t now_us);

/* A new session: numbers of the old one mean nothing now. Totals stay. */
void nnm_link_restart(struct nnm_link *l, uint64_t now_us);

/* Bytes that may be sent now. */
size_t nnm_link_allowance(struct nnm_link *l, uint64_t now_us);

/* Datagram SEQ was sent. TRACKED: it will be acknowledged. PACED: its bytes
 * count against the allowance. */
void nnm_link_sent(struct nnm_link *l, uint64_t seq, size_t bytes, bool tracked,
		   bool paced, uint64_t now_us);

/* The pace kept something waiting. */
void nnm_link_held_back(struct nnm_link *l);

/* -EINVAL if ACK names what was never sent: nothing changes. */
int nnm_link_acked(struct nnm_link *l, const struct nnm_ack *ack, uint64_t now_us);

/* Datagram SEQ was received; TRACKED: its sender wants an acknowledgement.
 * True if one should go out now. */
bool nnm_link_received(struct nnm_link *l, uint64_t seq, bool tracked, uint64_t now_us);

/* The acknowledgement to put into the next datagram, whose bitmap comes from
 * the replay window. */
void nnm_link_make_ack(struct nnm_link *l, uint64_t bitmap, uint64_t now_us,
		       struct nnm_ack *ret);

#endif
