/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What waits to be sent to one peer: a ring of encoded messages for each
 * priority, allocated whole at the start. A full ring refuses; the state
 * machine repeats what matters. Pure.
 */
#ifndef SLUICE_NNM_QUEUE_H
#define SLUICE_NNM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cluster/messages.h"

struct nnm_ring {
	uint8_t *bytes;
	uint32_t size;	     /* a power of two */
	uint32_t head, tail; /* free running: bytes put, bytes taken */
	uint32_t messages;
};

struct nnm_queue {
	struct nnm_ring rings[PRIO_COUNT];
	uint8_t *memory;
};

/* 0 or -ENOMEM. */
int nnm_queue_init(struct nnm_queue *q);
void nnm_queue_deinit(struct nnm_queue *q);
void nnm_queue_clear(struct nnm_queue *q);

/* Copies an encoded message. 0 or -ENOBUFS. */
int nnm_queue_put(struct nnm_queue *q, enum message_priority priority,
		  const uint8_t *data, size_t len);

/* Length of the next message of PRIORITY, 0 if there is none. */
size_t nnm_queue_next(const struct nnm_queue *q, enum message_priority priority);

/* Takes it; TO has room for nnm_queue_next() bytes. */
void nnm_queue_take(struct nnm_queue *q, enum message_priority priority, uint8_t *to);

/* Bytes that wait in all rings, their bookkeeping included. */
size_t nnm_queue_bytes(const struct nnm_queue *q);
bool nnm_queue_empty(const struct nnm_queue *q);

#endif
