/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clear part of every datagram between nodes (PROTOCOL.md has the bit
 * diagrams). Reading it costs nothing and decides nothing: whatever it says
 * is a claim until the datagram was opened.
 */
#ifndef SLUICE_NNM_HEADER_H
#define SLUICE_NNM_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include "cluster/nnm_counters.h"
#include "cluster/nnm_crypto.h"

#define NNM_VERSION 1
#define NNM_MAGIC 0x534c /* "SL" */

/* Fits an Ethernet frame with IPv6, UDP, and 52 bytes left for a tunnel: no
 * message is ever fragmented by IP. */
#define NNM_DATAGRAM_MAX 1400
/* Header of data; handshakes have the nonce in place of tags and sequence. */
#define NNM_HEADER_BYTES 24
#define NNM_PREFIX_BYTES 8
#define NNM_TEXT_MAX (NNM_DATAGRAM_MAX - NNM_HEADER_BYTES - NNM_TAG_BYTES)
#define NNM_HANDSHAKE_TEXT (16 + 2 * NNM_EPOCH_BYTES)
#define NNM_HANDSHAKE_BYTES \
	(NNM_PREFIX_BYTES + NNM_XNONCE_BYTES + NNM_HANDSHAKE_TEXT + NNM_TAG_BYTES)

enum nnm_type {
	NNM_TYPE_DATA = 1,
	NNM_TYPE_CHALLENGE = 2,
	NNM_TYPE_ANSWER = 3,
};

struct nnm_header {
	enum nnm_type type;
	uint8_t key_id, sender, receiver;
	uint32_t sender_tag, receiver_tag; /* data only */
	uint64_t seq;			   /* data only */
};

/* 0 with *RET filled; otherwise -EBADMSG and *ret_why is the counter. */
int nnm_header_read(const uint8_t *data, size_t len, struct nnm_header *ret,
		    enum nnm_counter *ret_why);

/* Writes NNM_HEADER_BYTES for data, NNM_PREFIX_BYTES otherwise. */
void nnm_header_write(const struct nnm_header *header, uint8_t *to);

#endif
