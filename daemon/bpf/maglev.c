/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each member walks its own permutation of the slots (offset and skip from its
 * entity id) and takes the next free one when it is its turn. Turns come in
 * rounds over the members in order of entity; in a round a member adds its
 * weight to its credit and takes one slot per full heaviest weight, so that
 * shares are proportional and equal weights are the published algorithm.
 */
#include "bpf/maglev.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "limits.h"

/* Primes just below the powers of two; 127 for one member. */
static const uint32_t sizes[] = { 127,	509,   1021,  2039,  4093,
				  8191, 16381, 32749, LB_SIZE_MAX };

struct walk {
	uint32_t next, skip, credit;
};

uint32_t maglev_size(size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes) - 1; i++) {
		if (sizes[i] >= 100 * n)
			break;
	}
	return sizes[i];
}

static int by_entity(const void *a, const void *b)
{
	const struct maglev_member *x = a, *y = b;

	return (x->entity > y->entity) - (x->entity < y->entity);
}

/* Finalizer of SplitMix64: a second hash of the entity. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void start(struct walk *w, uint64_t entity, uint32_t size)
{
	w->next = mix(entity) % size;
	w->skip = mix(entity ^ 0x9e3779b97f4a7c15ull) % (size - 1) + 1;
	w->credit = 0;
}

/* Next slot of the walk that is free: ends, since SIZE is prime and the
 * caller knows of a free one. */
static uint32_t take(struct walk *w, const uint8_t *taken, uint32_t size)
{
	uint32_t slot = w->next;

	while (taken[slot])
		slot = (slot + w->skip) % size;
	w->next = (slot + w->skip) % size;
	return slot;
}

int maglev_build(struct maglev_member *members, size_t n, uint32_t *table,
		 uint32_t size)
{
	uint32_t heaviest = 0, filled = 0, slot;
	struct walk *walks;
	uint8_t *taken;
	int err = -ENOMEM;
	size_t i;

	assert(n > 0 && size > 2);
	walks = calloc(n, sizeof(*walks));
	taken = calloc(size, 1);
	if (!walks || !taken)
		goto out;
	qsort(members, n, sizeof(*members), by_entity);
	for (i = 0; i < n; i++) {
		assert(members[i].weight > 0);
		if (members[i].weight > heaviest)
			heaviest = members[i].weight;
		start(&walks[i], members[i].entity, size);
	}
	while (filled < size) {
		for (i = 0; i < n && filled < size; i++) {
			walks[i].credit += members[i].weight;
			if (walks[i].credit < heaviest)
				continue;
			walks[i].credit -= heaviest;
			slot = take(&walks[i], taken, size);
			taken[slot] = 1;
			table[slot] = members[i].value;
			filled++;
		}
	}
	err = 0;
out:
	free(walks);
	free(taken);
	return err;
}
