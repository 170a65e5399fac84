/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Open addressing over the entity ids, which are keyed hashes of the names
 * already; at most half full. Names are compared after ids, so a wrong name
 * never finds anything.
 */
#include "config/config_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

_Static_assert(offsetof(struct config_monitor, entity) ==
		       offsetof(struct config_named, entity), "common start");
_Static_assert(offsetof(struct config_service, entity) ==
		       offsetof(struct config_named, entity), "common start");
_Static_assert(offsetof(struct config_vserver, entity) ==
		       offsetof(struct config_named, entity), "common start");

struct config_index {
	const char *kind;
	char *base;
	size_t stride;
	size_t mask;
	uint32_t slots[]; /* position + 1; 0: empty */
};

static struct config_named *object(const struct config_index *index,
				   size_t position)
{
	return (struct config_named *)(index->base + position * index->stride);
}

int config_index_new(const char *kind, void *base, size_t stride, size_t n,
		     struct config_index **ret, size_t *ret_second,
		     size_t *ret_first)
{
	struct config_index *index;
	size_t slots = 16;

	while (slots < 2 * n)
		slots *= 2;
	index = calloc(1, sizeof(*index) + slots * sizeof(index->slots[0]));
	if (!index)
		return -ENOMEM;
	index->kind = kind;
	index->base = base;
	index->stride = stride;
	index->mask = slots - 1;
	for (size_t i = 0; i < n; i++) {
		struct config_named *named = object(index, i);
		size_t at;

		named->entity = config_entity(kind, named->name);
		for (at = named->entity & index->mask; index->slots[at];
		     at = (at + 1) & index->mask) {
			size_t other = index->slots[at] - 1;

			if (object(index, other)->entity != named->entity)
				continue;
			*ret_second = i;
			*ret_first = other;
			free(index);
			return -EEXIST;
		}
		index->slots[at] = (uint32_t)i + 1;
	}
	*ret = index;
	return 0;
}

void config_index_free(struct config_index *index)
{
	free(index);
}

void *config_index_find(const struct config_index *index, const char *name)
{
	uint64_t entity = config_entity(index->kind, name);

	for (size_t at = entity & index->mask; index->slots[at];
	     at = (at + 1) & index->mask) {
		struct config_named *named =
			object(index, index->slots[at] - 1);

		if (named->entity == entity && strcmp(named->name, name) == 0)
			return named;
	}
	return NULL;
}
