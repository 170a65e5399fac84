/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Window of sequence numbers already received from one sender under one
 * session (RFC 6479: a bitmap of blocks used as a ring, so that moving it is
 * clearing blocks and never shifting). Pure.
 *
 * Ask with nnm_replay_fresh() before decrypting, record with
 * nnm_replay_mark() only after the datagram was authentic: a forged number
 * must not move the window.
 */
#ifndef SLUICE_NNM_REPLAY_H
#define SLUICE_NNM_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

/* Bits kept. One block is given up to the ring, so that at least 1 984
 * numbers behind the newest can arrive in any order. */
#define NNM_REPLAY_BITS 2048
#define NNM_REPLAY_WINDOW (NNM_REPLAY_BITS - 64)

struct nnm_replay {
	uint64_t top; /* highest number received; 0: none (numbers begin at 1) */
	uint64_t blocks[NNM_REPLAY_BITS / 64];
};

void nnm_replay_init(struct nnm_replay *w);

/* True if SEQ was not received and is not too old to know. */
bool nnm_replay_fresh(const struct nnm_replay *w, uint64_t seq);

void nnm_replay_mark(struct nnm_replay *w, uint64_t seq);

/* Bitmap for acknowledgements: bit i set if top - 1 - i was received. */
uint64_t nnm_replay_bitmap(const struct nnm_replay *w);

#endif
