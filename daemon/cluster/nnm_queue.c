// SPDX-License-Identifier: GPL-2.0-only
/* Bounded rings of messages by priority (see nnm_queue.h). */
#include "cluster/nnm_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/nnm_codec.h"

/* Hellos and views are few and small. A ring of states holds two ticks of what
 * the state machine gives per peer; 31 peers take 13 MiB together. */
static const uint32_t sizes[PRIO_COUNT] = {
	[PRIO_HELLO] = 4 << 10,
	[PRIO_VIEW] = 16 << 10,
	[PRIO_STATE] = 256 << 10,
	[PRIO_REPAIR] = 128 << 10,
	[PRIO_BULK] = 16 << 10,
};

/* Each message is preceded by its length. */
#define LEN_BYTES 2

int nnm_queue_init(struct nnm_queue *q)
{
	size_t total = 0;
	uint8_t *at;

	for (unsigned int i = 0; i < PRIO_COUNT; i++)
		total += sizes[i];
	memset(q, 0, sizeof(*q));
	q->memory = malloc(total);
	if (!q->memory)
		return -ENOMEM;
	at = q->memory;
	for (unsigned int i = 0; i < PRIO_COUNT; i++) {
		assert((sizes[i] & (sizes[i] - 1)) == 0);
		q->rings[i].bytes = at;
		q->rings[i].size = sizes[i];
		at += sizes[i];
	}
	return 0;
}

void nnm_queue_deinit(struct nnm_queue *q)
{
	assert(q);
	free(q->memory);
	memset(q, 0, sizeof(*q));
}

void nnm_queue_clear(struct nnm_queue *q)
{
	assert(q);
	for (unsigned int i = 0; i < PRIO_COUNT; i++) {
		q->rings[i].head = q->rings[i].tail = 0;
		q->rings[i].messages = 0;
	}
}

static void copy_in(struct nnm_ring *r, const uint8_t *from, uint32_t len)
{
	uint32_t at = r->head & (r->size - 1);
	uint32_t first = len < r->size - at ? len : r->size - at;

	memcpy(r->bytes + at, from, first);
	memcpy(r->bytes, from + first, len - first);
	r->head += len;
	assert(r->head - r->tail <= r->size);
}

static void copy_out(const struct nnm_ring *r, uint32_t tail, uint8_t *to, uint32_t len)
{
	uint32_t at = tail & (r->size - 1);
	uint32_t first = len < r->size - at ? len : r->size - at;

	assert(len <= r->head - tail);
	memcpy(to, r->bytes + at, first);
	memcpy(to + first, r->bytes, len - first);
}

int nnm_queue_put(struct nnm_queue *q, enum message_priority priority,
		  const uint8_t *data, size_t len)
{
	struct nnm_ring *r = &q->rings[priority];
	uint8_t prefix[LEN_BYTES] = { (uint8_t)(len >> 8), (uint8_t)len };

	assert(priority < PRIO_COUNT && len > 0 && len <= NNM_FRAME_BYTES + NNM_BODY_MAX);
	if (r->size - (r->head - r->tail) < LEN_BYTES + len)
		return -ENOBUFS;
	copy_in(r, prefix, LEN_BYTES);
	copy_in(r, data, (uint32_t)len);
	r->messages++;
	return 0;
}

size_t nnm_queue_next(const struct nnm_queue *q, enum message_priority priority)
{
	const struct nnm_ring *r = &q->rings[priority];
	uint8_t prefix[LEN_BYTES];

	assert(priority < PRIO_COUNT);
	if (r->messages == 0)
		return 0;
	copy_out(r, r->tail, prefix, LEN_BYTES);
	return (size_t)prefix[0] << 8 | prefix[1];
}

void nnm_queue_take(struct nnm_queue *q, enum message_priority priority, uint8_t *to)
{
	struct nnm_ring *r = &q->rings[priority];
	size_t len = nnm_queue_next(q, priority);

	assert(len > 0 && r->messages > 0);
	copy_out(r, r->tail + LEN_BYTES, to, (uint32_t)len);
	r->tail += (uint32_t)(LEN_BYTES + len);
	r->messages--;
	assert((r->messages == 0) == (r->head == r->tail));
}

size_t nnm_queue_bytes(const struct nnm_queue *q)
{
	size_t n = 0;

	assert(q->memory);
	for (unsigned int i = 0; i < PRIO_COUNT; i++)
		n += q->rings[i].head - q->rings[i].tail;
	return n;
}

bool nnm_queue_empty(const struct nnm_queue *q)
{
	return nnm_queue_bytes(q) == 0;
}
