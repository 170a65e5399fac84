/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Map "vips": from (address, port, protocol) to what it means. A two-choice
 * hash table of buckets of four slots, read by XDP for every packet, written
 * by the daemon alone.
 *
 * A key lives in its first bucket, or, if that was full, in its second one.
 * slot[0].pad of a bucket counts the keys that were pushed out of it: while
 * it is 0, the second bucket need not be read, so packets that are not ours
 * cost one bucket.
 *
 * Words are stored whole: port, protocol and kind share one, which is stored
 * last and cleared first. A reader that meets a slot being reused sees either
 * no key or a key that is in the table.
 */
#ifndef SLUICE_VIP_H
#define SLUICE_VIP_H

#include "compiler.h"
#include "map_abi.h"

/* port, proto and kind as one word. */
static __always_inline __u32 vip_word(__be16 port, __u8 proto, __u8 kind)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u32)port | (__u32)proto << 16 | (__u32)kind << 24;
#else
	return (__u32)port << 16 | (__u32)proto << 8 | kind;
#endif
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VIP_WORD_KIND(word) ((word) >> 24)
#define VIP_WORD_KEY(word) ((word) & 0xffffff)
#else
#define VIP_WORD_KIND(word) ((word) & 0xff)
#define VIP_WORD_KEY(word) ((word) & ~0xffu)
#endif

static __always_inline __u32 vip_hash(const union ip_addr *addr, __be16 port,
				      __u8 proto)
{
	__u64 h = addr->d[0] * 0x9e3779b97f4a7c15ull;

	h = (h ^ addr->d[1]) * 0xd6e8feb86659fd93ull;
	h = (h ^ h >> 32 ^ ((__u64)port << 8 | proto)) * 0xd6e8feb86659fd93ull;
	return (__u32)(h >> 32);
}

#define VIP_BUCKET_FIRST(hash) ((hash) & (VIP_BUCKETS - 1))
#define VIP_BUCKET_SECOND(hash) ((hash) >> 16 & (VIP_BUCKETS - 1))

/* The slot's word and index of a key, or 0 if the bucket does not have it. */
static __always_inline __u32 vip_bucket_find(const struct vip_bucket *bucket,
					     const union ip_addr *addr,
					     __u32 key, __u32 *ret_index)
{
	__u32 word;
	int i;

	UNROLL
	for (i = 0; i < VIP_WAYS; i++) {
		const struct vip_slot *slot = &bucket->slot[i];

		word = read_once(*(const __u32 *)(const void *)&slot->port);
		if (VIP_WORD_KEY(word) != key ||
		    slot->addr.d[1] != addr->d[1] ||
		    slot->addr.d[0] != addr->d[0] || !VIP_WORD_KIND(word))
			continue;
		*ret_index = read_once(slot->index);
		return word;
	}
	return 0;
}

#ifndef __bpf__
#include <errno.h>

/* Host: `vips` is the mapped array of VIP_BUCKETS. Kind, or VIP_NONE. */
static inline enum vip_kind vip_find(const struct vip_bucket *vips,
				     const union ip_addr *addr, __be16 port,
				     __u8 proto, __u32 *ret_index)
{
	__u32 h = vip_hash(addr, port, proto);
	__u32 key = VIP_WORD_KEY(vip_word(port, proto, 0));
	const struct vip_bucket *b = &vips[VIP_BUCKET_FIRST(h)];
	__u32 word = vip_bucket_find(b, addr, key, ret_index);

	if (!word && read_once(b->slot[0].pad))
		word = vip_bucket_find(&vips[VIP_BUCKET_SECOND(h)], addr, key,
				       ret_index);
	return (enum vip_kind)VIP_WORD_KIND(word);
}

static inline struct vip_slot *vip_slot_of(struct vip_bucket *bucket,
					   const union ip_addr *addr,
					   __be16 port, __u8 proto)
{
	for (int i = 0; i < VIP_WAYS; i++) {
		struct vip_slot *s = &bucket->slot[i];

		if (s->kind && s->port == port && s->proto == proto &&
		    ip_addr_equal(&s->addr, addr))
			return s;
	}
	return NULL;
}

static inline int vip_bucket_put(struct vip_bucket *bucket,
				 const union ip_addr *addr, __be16 port,
				 __u8 proto, enum vip_kind kind, __u32 index)
{
	for (int i = 0; i < VIP_WAYS; i++) {
		struct vip_slot *s = &bucket->slot[i];

		if (s->kind)
			continue;
		s->addr = *addr;
		s->index = index;
		__atomic_store_n((__u32 *)(void *)&s->port,
				 vip_word(port, proto, (__u8)kind),
				 __ATOMIC_RELEASE);
		return 0;
	}
	return -ENOSPC;
}

/* Adds a key or changes what it means. -ENOSPC: both buckets are full. */
static inline int vip_put(struct vip_bucket *vips, const union ip_addr *addr,
			  __be16 port, __u8 proto, enum vip_kind kind,
			  __u32 index)
{
	__u32 h = vip_hash(addr, port, proto);
	struct vip_bucket *first = &vips[VIP_BUCKET_FIRST(h)];
	struct vip_bucket *second = &vips[VIP_BUCKET_SECOND(h)];
	struct vip_slot *s = vip_slot_of(first, addr, port, proto);
	int err;

	if (!s)
		s = vip_slot_of(second, addr, port, proto);
	if (s) {
		write_once(s->index, index);
		write_once(s->kind, (__u8)kind);
		return 0;
	}
	err = vip_bucket_put(first, addr, port, proto, kind, index);
	if (!err)
		return 0;
	if (second == first)
		return -ENOSPC;
	/* Readers must look further before there is something to find. */
	__atomic_add_fetch(&first->slot[0].pad, 1, __ATOMIC_SEQ_CST);
	err = vip_bucket_put(second, addr, port, proto, kind, index);
	if (err)
		__atomic_sub_fetch(&first->slot[0].pad, 1, __ATOMIC_SEQ_CST);
	return err;
}

/* -ENOENT: there is no such key. */
static inline int vip_remove(struct vip_bucket *vips, const union ip_addr *addr,
			     __be16 port, __u8 proto)
{
	__u32 h = vip_hash(addr, port, proto);
	struct vip_bucket *first = &vips[VIP_BUCKET_FIRST(h)];
	struct vip_slot *s = vip_slot_of(first, addr, port, proto);

	if (s) {
		__atomic_store_n((__u32 *)(void *)&s->port, 0, __ATOMIC_SEQ_CST);
		return 0;
	}
	s = vip_slot_of(&vips[VIP_BUCKET_SECOND(h)], addr, port, proto);
	if (!s)
		return -ENOENT;
	__atomic_store_n((__u32 *)(void *)&s->port, 0, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&first->slot[0].pad, 1, __ATOMIC_SEQ_CST);
	return 0;
}
#endif

#endif
