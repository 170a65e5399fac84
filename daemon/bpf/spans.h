/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocator of ranges inside a pinned map ("members", "lb_table"). A range
 * that was given back is not handed out again before its grace period is over:
 * an XDP program or engine that read the old SPAN a moment ago may still be
 * looking into it.
 */
#ifndef SLUICE_SPANS_H
#define SLUICE_SPANS_H

#include <stddef.h>
#include <stdint.h>

/* Longer than any packet or batch is in an engine's or XDP's hands: an engine
 * that is silent for that long is fenced off. */
#define SPANS_GRACE_NS 400000000ull

struct spans {
	struct span *used; /* sorted by offset, disjoint */
	size_t n, room;
	uint32_t total;
};

/* Ranges of 0..TOTAL-1; offset 0 is never handed out. */
void spans_init(struct spans *spans, uint32_t total);
void spans_deinit(struct spans *spans);

/* First fit. NOW: CLOCK_MONOTONIC, ns. 0; -ENOSPC; -ENOMEM. */
int spans_alloc(struct spans *spans, uint32_t len, uint64_t now,
		uint32_t *ret_off);

/* Marks a range as in use that a former daemon allocated. 0; -EEXIST if it
 * overlaps another; -EINVAL if it is out of bounds; -ENOMEM. */
int spans_reserve(struct spans *spans, uint32_t off, uint32_t len);

/* Gives back the range that starts at OFF. A range nobody has seen yet may
 * have NOW 0: it is free at once. */
void spans_free(struct spans *spans, uint32_t off, uint64_t now);

#endif
