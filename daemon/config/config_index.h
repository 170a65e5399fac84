/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds named objects of one array by name in constant time. The objects
 * (monitors, services, vservers) all start with a name and an entity id.
 */
#ifndef SLUICE_CONFIG_INDEX_H
#define SLUICE_CONFIG_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include "limits.h"

struct config_index;

/* How monitors, services and vservers begin. */
struct config_named {
	char name[NAME_LEN];
	uint64_t entity;
};

/* Fills in the entities of N objects of STRIDE bytes at BASE and indexes
 * them; BASE must outlive the index. 0; -ENOMEM; -EEXIST with the number of
 * the object whose name (or, once in 10^9 large configurations, entity) was
 * there before, and of the earlier one. */
int config_index_new(const char *kind, void *base, size_t stride, size_t n,
		     struct config_index **ret, size_t *ret_second,
		     size_t *ret_first);
void config_index_free(struct config_index *index);

/* The object, or NULL. */
void *config_index_find(const struct config_index *index, const char *name);

#endif
