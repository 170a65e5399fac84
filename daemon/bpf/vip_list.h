/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The addresses a configuration answers for, as keys of map "vips", and the
 * change of the map from one list to another: new keys first, stale ones last,
 * so that an address that stays is never missing.
 */
#ifndef SLUICE_VIP_LIST_H
#define SLUICE_VIP_LIST_H

#include <stddef.h>
#include <stdint.h>
#include "map_abi.h"

struct vip_list {
	struct vip_slot *slot;
	size_t n, room;
};

/* 0 or -ENOMEM. PORT in network order. */
int vip_list_add(struct vip_list *list, const union ip_addr *addr, __be16 port,
		 uint8_t proto, enum vip_kind kind, uint32_t index);
void vip_list_deinit(struct vip_list *list);

/* All keys that are in VIPS. 0 or -ENOMEM. */
int vip_list_read(struct vip_list *list, const struct vip_bucket *vips);

/* Sorts and removes doubles; of two meanings of one key the stronger kind
 * stays: VIP_NAT before VIP_TUNNEL before VIP_ADDR. */
void vip_list_normalize(struct vip_list *list);

/* Whether LIST will fit (0) or not (-ENOSPC; -ENOMEM). */
int vip_list_check(const struct vip_list *list, const struct vip_bucket *vips);

/* Stores LIST, which was checked; keys of OLD that are not in it go last. Both
 * are normalized. */
void vip_list_store(const struct vip_list *list, const struct vip_list *old,
		    struct vip_bucket *vips);

#endif
