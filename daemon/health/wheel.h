/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timer wheel with a tick of one millisecond: adding and cancelling cost the
 * same for one timer and for a million. Pure: time is handed in.
 *
 * Seven levels of 64 slots. A timer sits on the level of the highest six-bit
 * digit in which its due time differs from now, so each level only holds
 * timers that lie ahead inside the current block of the level above; the
 * first occupied slot of the lowest occupied level is therefore always next.
 */
#ifndef SLUICE_WHEEL_H
#define SLUICE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS 7 /* 2^42 ms: 139 years */
#define WHEEL_NEVER UINT64_MAX

struct wheel_node {
	struct wheel_node *next, **link; /* link NULL: not queued */
	uint64_t due_ms;
	uint16_t slot;
	uint16_t tag; /* the owner's */
};

struct wheel {
	uint64_t now_ms;
	uint64_t occupied[WHEEL_LEVELS];
	struct wheel_node *slot[WHEEL_LEVELS * 64];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Queues NODE (not queued yet); a due time in the past means now. */
void wheel_add(struct wheel *wheel, struct wheel_node *node, uint64_t due_ms);

/* Unqueues NODE; does nothing if it is not queued. */
void wheel_cancel(struct wheel *wheel, struct wheel_node *node);

static inline bool wheel_queued(const struct wheel_node *node)
{
	return node->link != NULL;
}

/* Not later than the earliest due time, WHEEL_NEVER if empty. May be earlier
 * by the width of a slot: then wheel_pop() finds nothing and moves on. */
uint64_t wheel_next(const struct wheel *wheel);

/* The next timer due at or before NOW_MS, unqueued; NULL if there is none, and
 * the wheel's time is then NOW_MS. In order of due time. */
struct wheel_node *wheel_pop(struct wheel *wheel, uint64_t now_ms);

#endif
