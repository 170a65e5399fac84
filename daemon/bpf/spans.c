/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sorted array of the ranges in use or in their grace period. Allocation is
 * a linear scan: a few thousand vservers, and only when a table is replaced.
 */
#include "bpf/spans.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct span {
	uint32_t off, len;
	uint64_t free_at; /* 0: in use */
};

void spans_init(struct spans *spans, uint32_t total)
{
	*spans = (struct spans){ .total = total };
}

void spans_deinit(struct spans *spans)
{
	free(spans->used);
	spans->used = NULL;
}

static int insert(struct spans *spans, size_t at, uint32_t off, uint32_t len)
{
	struct span *bigger;

	if (spans->n == spans->room) {
		spans->room = spans->room ? 2 * spans->room : 64;
		bigger = realloc(spans->used, spans->room * sizeof(*bigger));
		if (!bigger) {
			spans->room = spans->n;
			return -ENOMEM;
		}
		spans->used = bigger;
	}
	memmove(spans->used + at + 1, spans->used + at,
		(spans->n - at) * sizeof(*spans->used));
	spans->used[at] = (struct span){ .off = off, .len = len };
	spans->n++;
	return 0;
}

static void collect(struct spans *spans, uint64_t now)
{
	size_t i, kept = 0;

	for (i = 0; i < spans->n; i++) {
		if (spans->used[i].free_at && spans->used[i].free_at <= now)
			continue;
		spans->used[kept++] = spans->used[i];
	}
	spans->n = kept;
}

int spans_alloc(struct spans *spans, uint32_t len, uint64_t now,
		uint32_t *ret_off)
{
	uint32_t start = 1; /* end of the range before */
	size_t i;
	int err;

	assert(len > 0);
	collect(spans, now);
	for (i = 0; i < spans->n; i++) {
		if (spans->used[i].off - start >= len)
			break;
		start = spans->used[i].off + spans->used[i].len;
	}
	if (i == spans->n && (start > spans->total || spans->total - start < len))
		return -ENOSPC;
	err = insert(spans, i, start, len);
	if (!err)
		*ret_off = start;
	return err;
}

int spans_reserve(struct spans *spans, uint32_t off, uint32_t len)
{
	size_t i;

	if (!off || !len || off > spans->total || spans->total - off < len)
		return -EINVAL;
	for (i = 0; i < spans->n && spans->used[i].off < off; i++)
		;
	if (i > 0 && spans->used[i - 1].off + spans->used[i - 1].len > off)
		return -EEXIST;
	if (i < spans->n && off + len > spans->used[i].off)
		return -EEXIST;
	return insert(spans, i, off, len);
}

void spans_free(struct spans *spans, uint32_t off, uint64_t now)
{
	size_t i;

	for (i = 0; i < spans->n; i++) {
		if (spans->used[i].off == off)
			break;
	}
	assert(i < spans->n && !spans->used[i].free_at);
	spans->used[i].free_at = now ? now + SPANS_GRACE_NS : 1;
}
