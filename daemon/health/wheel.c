/* SPDX-License-Identifier: GPL-2.0-only */
/* Timer wheel, see wheel.h. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "health/wheel.h"

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->now_ms = now_ms;
}

void wheel_add(struct wheel *wheel, struct wheel_node *node, uint64_t due_ms)
{
	uint64_t differs;
	unsigned int level, slot;

	assert(!node->link);
	if (due_ms < wheel->now_ms)
		due_ms = wheel->now_ms;
	node->due_ms = due_ms;
	differs = (due_ms ^ wheel->now_ms) | 63;
	level = (63 - __builtin_clzll(differs)) / 6;
	assert(level < WHEEL_LEVELS);
	slot = level * 64 + (due_ms >> (6 * level) & 63);
	node->slot = slot;
	node->next = wheel->slot[slot];
	if (node->next)
		node->next->link = &node->next;
	node->link = &wheel->slot[slot];
	wheel->slot[slot] = node;
	wheel->occupied[level] |= 1ull << (slot & 63);
}

void wheel_cancel(struct wheel *wheel, struct wheel_node *node)
{
	if (!node->link)
		return;
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->link = NULL;
	if (!wheel->slot[node->slot])
		wheel->occupied[node->slot / 64] &=
			~(1ull << (node->slot & 63));
}

/* First occupied slot; its start time goes to *RET_MS. */
static int next_slot(const struct wheel *wheel, uint64_t *ret_ms)
{
	for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t bits = wheel->occupied[level];
		unsigned int shift = 6 * level, slot;

		if (!bits)
			continue;
		slot = __builtin_ctzll(bits);
		/* Nothing lies behind: see the comment in wheel.h. */
		assert(slot >= (wheel->now_ms >> shift & 63));
		*ret_ms = (wheel->now_ms >> shift >> 6 << 6 | slot) << shift;
		return level * 64 + slot;
	}
	return -1;
}

uint64_t wheel_next(const struct wheel *wheel)
{
	uint64_t start;

	return next_slot(wheel, &start) < 0 ? WHEEL_NEVER : start;
}

struct wheel_node *wheel_pop(struct wheel *wheel, uint64_t now_ms)
{
	uint64_t start;
	int slot;

	while ((slot = next_slot(wheel, &start)) >= 0 && start <= now_ms) {
		struct wheel_node *node = wheel->slot[slot];

		if (start > wheel->now_ms)
			wheel->now_ms = start;
		if (slot < 64) {
			wheel_cancel(wheel, node);
			return node;
		}
		/* Entered a block of a higher level: its timers move down. */
		while ((node = wheel->slot[slot])) {
			wheel_cancel(wheel, node);
			wheel_add(wheel, node, node->due_ms);
		}
	}
	/* Timers ahead keep their slots: none starts before now_ms, so the
	 * digits in which they differ from now stay the highest ones… except
	 * when now passes into their block, which the loop has handled. */
	if (now_ms > wheel->now_ms)
		wheel->now_ms = now_ms;
	return NULL;
}
