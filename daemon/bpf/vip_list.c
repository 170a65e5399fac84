/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lists are sorted arrays; the check is a rehearsal on a copy of the map.
 */
#include "bpf/vip_list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vip.h"

int vip_list_add(struct vip_list *list, const union ip_addr *addr, __be16 port,
		 uint8_t proto, enum vip_kind kind, uint32_t index)
{
	struct vip_slot *bigger;
	size_t room;

	if (list->n == list->room) {
		room = list->room ? 2 * list->room : 64;
		bigger = realloc(list->slot, room * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		list->slot = bigger;
		list->room = room;
	}
	list->slot[list->n++] = (struct vip_slot){ .addr = *addr,
						   .port = port,
						   .proto = proto,
						   .kind = kind,
						   .index = index };
	return 0;
}

void vip_list_deinit(struct vip_list *list)
{
	free(list->slot);
	*list = (struct vip_list){ 0 };
}

int vip_list_read(struct vip_list *list, const struct vip_bucket *vips)
{
	const struct vip_slot *s;
	size_t b, i;
	int err;

	for (b = 0; b < VIP_BUCKETS; b++) {
		for (i = 0; i < VIP_WAYS; i++) {
			s = &vips[b].slot[i];
			if (s->kind == VIP_NONE)
				continue;
			err = vip_list_add(list, &s->addr, s->port, s->proto,
					   s->kind, s->index);
			if (err)
				return err;
		}
	}
	return 0;
}

static int compare_key(const struct vip_slot *a, const struct vip_slot *b)
{
	int c = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	if (!c)
		c = (a->port > b->port) - (a->port < b->port);
	if (!c)
		c = (a->proto > b->proto) - (a->proto < b->proto);
	return c;
}

/* VIP_ADDR is the weakest kind and has the smallest number but VSERVER, which
 * never shares a key with another kind. */
static int strength(const struct vip_slot *s)
{
	return s->kind == VIP_NAT ? 2 : s->kind == VIP_TUNNEL ? 1 : 0;
}

static int compare(const void *x, const void *y)
{
	const struct vip_slot *a = x, *b = y;
	int c = compare_key(a, b);

	return c ? c : strength(b) - strength(a);
}

void vip_list_normalize(struct vip_list *list)
{
	size_t i, kept = 0;

	if (list->n)
		qsort(list->slot, list->n, sizeof(*list->slot), compare);
	for (i = 0; i < list->n; i++) {
		if (kept && !compare_key(&list->slot[kept - 1], &list->slot[i]))
			continue;
		list->slot[kept++] = list->slot[i];
	}
	list->n = kept;
}

static int put_all(const struct vip_list *list, struct vip_bucket *vips)
{
	const struct vip_slot *s;
	size_t i;
	int err;

	for (i = 0; i < list->n; i++) {
		s = &list->slot[i];
		err = vip_put(vips, &s->addr, s->port, s->proto, s->kind,
			      s->index);
		if (err)
			return err;
	}
	return 0;
}

int vip_list_check(const struct vip_list *list, const struct vip_bucket *vips)
{
	size_t bytes = sizeof(*vips) * VIP_BUCKETS;
	struct vip_bucket *copy = aligned_alloc(64, bytes);
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, vips, bytes);
	err = put_all(list, copy);
	free(copy);
	return err;
}

void vip_list_store(const struct vip_list *list, const struct vip_list *old,
		    struct vip_bucket *vips)
{
	size_t i, j = 0;
	int err = put_all(list, vips);

	assert(!err); /* vip_list_check() did the same on a copy */
	for (i = 0; i < old->n; i++) {
		while (j < list->n &&
		       compare_key(&list->slot[j], &old->slot[i]) < 0)
			j++;
		if (j < list->n &&
		    !compare_key(&list->slot[j], &old->slot[i]))
			continue;
		err = vip_remove(vips, &old->slot[i].addr, old->slot[i].port,
				 old->slot[i].proto);
		assert(!err); /* the daemon is the only writer */
	}
}
