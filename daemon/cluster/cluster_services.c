// SPDX-License-Identifier: GPL-2.0-only
/* Services as the state machine wants them (see cluster_services.h). */
#include "cluster/cluster_services.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_entity(const void *a, const void *b)
{
	uint64_t x = ((const struct cluster_service *)a)->node.entity;
	uint64_t y = ((const struct cluster_service *)b)->node.entity;

	return x < y ? -1 : x > y;
}

static void convert(const struct config_service *from, struct cluster_service *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->name, from->name, sizeof(to->name));
	to->node.entity = from->entity;
	to->node.flags = NODE_SERVICE_READY;
	to->addr = from->addr;
	if (ip_addr_is_loopback(&from->addr))
		to->node.flags |= NODE_SERVICE_INTERNAL;
	/* Without an address there is no path to look at yet. */
	if (from->path_monitor && !config_unresolved(from))
		to->node.flags |= NODE_SERVICE_PATH;
	if (from->path_monitor && !from->path_individual)
		to->node.flags |= NODE_SERVICE_PATH_ANY;
	/* Services bound to one response-time monitor share an owner, so that
	 * one node knows the mean over all of them. */
	for (size_t i = 0; i < from->n_bindings && to->node.key == 0; i++)
		if (from->bindings[i].monitor->response_time)
			to->node.key = from->bindings[i].monitor->entity;
	/* Weights matter to most methods. */
	for (size_t i = 0; i < from->n_bindings; i++)
		if (from->bindings[i].monitor->weight_metric)
			to->node.flags |= NODE_SERVICE_USE_LOAD;
}

int cluster_services_make(const struct config *config, struct cluster_services *ret)
{
	struct cluster_services s = { .n = config->n_services };

	s.items = calloc(s.n ? s.n : 1, sizeof(*s.items));
	s.queue = calloc(s.n ? s.n : 1, sizeof(*s.queue));
	if (!s.items || !s.queue) {
		cluster_services_free(&s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s.n; i++)
		convert(&config->services[i], &s.items[i]);
	qsort(s.items, s.n, sizeof(*s.items), by_entity);
	for (size_t i = 0; i < config->n_vservers; i++) {
		const struct config_vserver *v = &config->vservers[i];
		uint32_t flag = v->method == LB_LEAST_RESPONSE ? NODE_SERVICE_USE_RESPONSE :
				v->method == LB_LEAST_LOAD ? NODE_SERVICE_USE_LOAD : 0;

		for (size_t m = 0; flag && m < v->n_members; m++) {
			struct cluster_service *c =
				cluster_services_find(&s, v->members[m].service->entity);

			assert(c);
			c->node.flags |= flag;
		}
	}
	*ret = s;
	return 0;
}

void cluster_services_free(struct cluster_services *services)
{
	assert(services);
	free(services->items);
	free(services->queue);
	memset(services, 0, sizeof(*services));
}

struct cluster_service *cluster_services_find(const struct cluster_services *services,
					      uint64_t entity)
{
	size_t low = 0, high = services->n;

	assert(services->items || services->n == 0);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (services->items[middle].node.entity < entity)
			low = middle + 1;
		else
			high = middle;
	}
	return low < services->n && services->items[low].node.entity == entity
		       ? &services->items[low] : NULL;
}

static bool same(const struct node_service *a, const struct node_service *b)
{
	return a->key == b->key && a->flags == b->flags;
}

void cluster_services_compare(const struct cluster_services *old,
			      struct cluster_services *next,
			      void (*gone)(void *ctx, const struct cluster_service *s),
			      void (*set)(void *ctx, const struct cluster_service *s,
					  bool added),
			      void *ctx)
{
	for (size_t i = 0; i < old->n; i++) {
		struct cluster_service *n = cluster_services_find(next, old->items[i].node.entity);

		if (!n)
			continue;
		n->probing = old->items[i].probing;
		n->path_wanted = old->items[i].path_wanted;
		n->path_probing = old->items[i].path_probing;
		n->path_slot = old->items[i].path_slot;
		n->version_view = old->items[i].version_view;
		n->version_seq = old->items[i].version_seq;
		n->updated_ms = old->items[i].updated_ms;
	}
	for (size_t i = 0; i < old->n; i++)
		if (!cluster_services_find(next, old->items[i].node.entity))
			gone(ctx, &old->items[i]);
	for (size_t i = 0; i < next->n; i++) {
		const struct cluster_service *o =
			cluster_services_find(old, next->items[i].node.entity);

		if (!o || !same(&o->node, &next->items[i].node))
			set(ctx, &next->items[i], !o);
	}
}
