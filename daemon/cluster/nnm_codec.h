/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Typed messages to bytes and back. Every field is written and read by a
 * cursor, every count has its limit, nothing is cast. A message that does not
 * end exactly where its length says is refused. Pure.
 *
 *	type (8) | 0 (8) | length of body (16) | body
 */
#ifndef SLUICE_NNM_CODEC_H
#define SLUICE_NNM_CODEC_H

#include <stddef.h>
#include "cluster/messages.h"
#include "util/wire.h"

#define NNM_FRAME_BYTES 4
/* Longest body; with everything around it a message fits one datagram. */
#define NNM_BODY_MAX 1300

enum nnm_codec_result {
	NNM_CODEC_OK,
	NNM_CODEC_UNKNOWN, /* a type of a later version: skipped */
	NNM_CODEC_BAD,
};

/* Appends MESSAGE with its frame. 0, or -ENOSPC with W failed. Asserts that
 * counts are within their limits: messages come from this node's own code. */
int nnm_codec_put(struct wire_writer *w, const struct message *message);

/* Reads one message; source and incarnation are left 0: they come from the
 * session. NNM_CODEC_BAD: R is to be given up. */
enum nnm_codec_result nnm_codec_get(struct wire_reader *r, struct message *ret);

/* Bytes nnm_codec_put() would write. */
size_t nnm_codec_size(const struct message *message);

const char *nnm_codec_type_name(unsigned int type);
enum message_priority nnm_codec_priority(unsigned int type);

#endif
