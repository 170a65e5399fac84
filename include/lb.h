/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a packet's hash to a slot of a vserver's look-up table. The Toeplitz
 * hash is linear and its low bits already chose node, set and engine, so it
 * is mixed before the table's slot is taken from it. XDP, engines and the
 * daemon's explanations must agree: this is the only copy.
 */
#ifndef SLUICE_LB_H
#define SLUICE_LB_H

#include "compiler.h"
#include "ip_addr.h"

/* Bijective, every input bit reaches every output bit (murmur3's finalizer,
 * public domain, by Austin Appleby). */
static __always_inline __u32 lb_mix(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	h ^= h >> 16;
	return h;
}

/* Slot 0..len-1 for a hash; len must not be 0. */
static __always_inline __u32 lb_slot(__u32 hash, __u32 len)
{
	return (__u32)((__u64)lb_mix(hash) * len >> 32);
}

/* Slot of the n-th try, if what the earlier ones led to takes no flows. */
static __always_inline __u32 lb_slot_try(__u32 hash, __u32 n, __u32 len)
{
	return lb_slot(hash + n * 0x9e3779b1u, len);
}

/* Hash of a source address alone: source-hash method. */
static __always_inline __u32 lb_hash_source(const union ip_addr *addr)
{
	__u64 h = addr->d[0] * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32 ^ addr->d[1]) * 0xd6e8feb86659fd93ull;
	return (__u32)(h >> 32) ^ (__u32)h;
}

#endif
