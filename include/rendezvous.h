/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preference lists by rendezvous (highest random weight) hashing: every key
 * orders all nodes, and its owner is the first of them that qualifies. A node
 * that leaves moves only its own keys; one that joins takes 1/N from all.
 * Services use their entity id as key, flow buckets RENDEZVOUS_BUCKET(n).
 *
 * The weight of (key, node) is the finaliser of splitmix64 (Steele, Lea, Flood,
 * OOPSLA 2014) over key + (node + 1) × the golden ratio: a bijection of the
 * key for each node, so equal weights of two nodes are a chance of 2^-64; then
 * the lower id wins. Part of the protocol: all nodes must agree on it.
 */
#ifndef SLUICE_RENDEZVOUS_H
#define SLUICE_RENDEZVOUS_H

#include <stdint.h>

#define RENDEZVOUS_BUCKET(n) (0x6275636b65740000ull + (uint64_t)(n))

static inline uint64_t rendezvous_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline uint64_t rendezvous_weight(uint64_t key, uint32_t node)
{
	return rendezvous_mix(rendezvous_mix(key) +
			      (node + 1) * 0x9e3779b97f4a7c15ull);
}

/* First of NODES (bit per id) in the list of KEY; -1 if NODES is empty. */
static inline int rendezvous_first(uint64_t key, uint32_t nodes)
{
	uint64_t best = 0, base = rendezvous_mix(key);
	int first = -1;

	for (; nodes; nodes &= nodes - 1) {
		uint32_t node = (uint32_t)__builtin_ctz(nodes);
		uint64_t w = rendezvous_mix(base +
					    (node + 1) * 0x9e3779b97f4a7c15ull);

		if (first < 0 || w > best) {
			best = w;
			first = (int)node;
		}
	}
	return first;
}

/* All of NODES in the order of KEY's list; returns how many. */
static inline unsigned int rendezvous_list(uint64_t key, uint32_t nodes,
					   uint8_t ret_list[32])
{
	unsigned int n = 0;

	while (nodes) {
		int node = rendezvous_first(key, nodes);

		ret_list[n++] = (uint8_t)node;
		nodes &= ~(1u << node);
	}
	return n;
}

#endif
