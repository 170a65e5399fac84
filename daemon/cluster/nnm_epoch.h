/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boot epoch of a node: what tells one life of its daemon from the next. A
 * counter kept on disk and raised before anything is sent, and 64 random bits.
 *
 * The counter orders epochs, so that peers refuse an older one. The random
 * part keeps epochs different even if the file is lost, restored from a copy,
 * or lives on two machines: session keys derive from the epoch, and a key must
 * never come back with its sequence numbers starting again.
 */
#ifndef SLUICE_NNM_EPOCH_H
#define SLUICE_NNM_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

struct wire_reader;
struct wire_writer;

#define NNM_EPOCH_BYTES 16

struct nnm_epoch {
	uint64_t counter; /* 0: none known */
	uint64_t random;
};

/* Begins a new epoch, above the one kept in PATH and above FLOOR, and keeps
 * it. 0 or -errno: without a durable counter nothing may be sent. */
int nnm_epoch_begin(const char *path, uint64_t floor, struct nnm_epoch *ret);

bool nnm_epoch_equal(const struct nnm_epoch *a, const struct nnm_epoch *b);

/* 32 bits that name an epoch in clear headers: a hint only. */
uint32_t nnm_epoch_tag(const struct nnm_epoch *epoch);

void nnm_epoch_put(struct wire_writer *w, const struct nnm_epoch *epoch);
void nnm_epoch_get(struct wire_reader *r, struct nnm_epoch *ret);

#endif
