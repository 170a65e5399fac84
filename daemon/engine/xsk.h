/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AF_XDP sockets and rings by the kernel's own interface (linux/if_xdp.h).
 * libxdp's xsk_socket keeps its bookkeeping per process, ours is shared by
 * processes, so it cannot be used.
 *
 * Rings are mapped memory with one producer and one consumer. The kernel is
 * one end of each; the other is this process for RX and TX rings, and
 * whoever holds the pool's lock for fill and completion rings.
 */
#ifndef SLUICE_XSK_H
#define SLUICE_XSK_H

#include <stddef.h>
#include <stdint.h>
#include <linux/if_xdp.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif
/* Linux 6.17: packets one sendto() may take in copy mode (default 32). */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

enum xsk_ring_kind {
	XSK_RING_RX,
	XSK_RING_TX,
	XSK_RING_FILL,
	XSK_RING_COMPLETION,
};

struct xsk_ring {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags;
	void *entries; /* struct xdp_desc (RX, TX) or uint64_t */
	uint32_t mask;
	void *map;
	size_t map_len;
};

/* The socket that owns the pool of (IFINDEX, QUEUE). UMEM_FD: -1 registers
 * LEN bytes at UMEM as new packet memory, else a base socket made before,
 * whose packet memory is shared. FRAMES: size of fill and completion ring.
 * 0 or -errno. */
int xsk_open_base(void *umem, size_t len, uint32_t frame_size, int umem_fd,
		  uint32_t ifindex, uint32_t queue, uint32_t frames,
		  int *ret_fd);

/* An engine's socket on the pool of BASE_FD, bound to the same queue. */
int xsk_open_engine(int base_fd, uint32_t ifindex, uint32_t queue,
		    uint32_t rx_size, uint32_t tx_size, int *ret_fd);

int xsk_ring_map(int fd, enum xsk_ring_kind kind, uint32_t size,
		 struct xsk_ring *ret);
void xsk_ring_unmap(struct xsk_ring *ring);

/* Tells the kernel that the TX ring of FD has entries, until it has taken all
 * or refuses (device queue full: 0 as well, the rest goes later).
 * 0 or -errno: the socket is of no more use (-ENETDOWN, -ENXIO, …). */
int xsk_kick_tx(int fd, const struct xsk_ring *tx);

static inline uint32_t xsk_ring_load(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static inline void xsk_ring_store(uint32_t *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

static inline struct xdp_desc *xsk_ring_desc(const struct xsk_ring *ring,
					     uint32_t index)
{
	return (struct xdp_desc *)ring->entries + (index & ring->mask);
}

static inline uint64_t *xsk_ring_addr(const struct xsk_ring *ring,
				      uint32_t index)
{
	return (uint64_t *)ring->entries + (index & ring->mask);
}

#endif
