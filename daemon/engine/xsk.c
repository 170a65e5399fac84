// SPDX-License-Identifier: GPL-2.0-only
/*
 * AF_XDP sockets and rings. Sockets are made by the daemon (which has the
 * privileges), rings are mapped by whoever uses them. Nothing here knows what
 * a frame means: see frames.c.
 */
#include "xsk.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A base socket must have a ring to be bound; nothing ever arrives there. */
#define BASE_RX_SIZE 2u

static int set_option(int fd, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_XDP, option, value, len) ? -errno : 0;
}

static int bind_queue(int fd, uint32_t ifindex, uint32_t queue, uint16_t flags,
		      int shared_fd)
{
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = flags,
		.sxdp_ifindex = ifindex,
		.sxdp_queue_id = queue,
	};

	if (flags & XDP_SHARED_UMEM)
		addr.sxdp_shared_umem_fd = shared_fd;
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

int xsk_open_base(void *umem, size_t len, uint32_t frame_size, int umem_fd,
		  uint32_t ifindex, uint32_t queue, uint32_t frames,
		  int *ret_fd)
{
	struct xdp_umem_reg reg = {
		.addr = (uintptr_t)umem,
		.len = len,
		.chunk_size = frame_size,
	};
	uint32_t rx = BASE_RX_SIZE;
	int fd, err = 0;

	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (umem_fd < 0)
		err = set_option(fd, XDP_UMEM_REG, &reg, sizeof(reg));
	if (!err)
		err = set_option(fd, XDP_UMEM_FILL_RING, &frames,
				 sizeof(frames));
	if (!err)
		err = set_option(fd, XDP_UMEM_COMPLETION_RING, &frames,
				 sizeof(frames));
	if (!err)
		err = set_option(fd, XDP_RX_RING, &rx, sizeof(rx));
	/* The mode of the first socket is that of all that share its memory;
	 * a shared bind must not name one. Copy mode is the one that works on
	 * every interface, so that a later one cannot be refused for it. */
	if (!err)
		err = bind_queue(fd, ifindex, queue,
				 umem_fd < 0 ? XDP_COPY | XDP_USE_NEED_WAKEUP :
					       XDP_SHARED_UMEM,
				 umem_fd);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int xsk_open_engine(int base_fd, uint32_t ifindex, uint32_t queue,
		    uint32_t rx_size, uint32_t tx_size, int *ret_fd)
{
	int budget = 512;
	int fd, err;

	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = set_option(fd, XDP_RX_RING, &rx_size, sizeof(rx_size));
	if (!err)
		err = set_option(fd, XDP_TX_RING, &tx_size, sizeof(tx_size));
	/* Older kernels do not have it: xsk_kick_tx() asks several times. */
	if (!err && tx_size >= (uint32_t)budget)
		set_option(fd, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	if (!err)
		err = bind_queue(fd, ifindex, queue, XDP_SHARED_UMEM, base_fd);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int xsk_ring_map(int fd, enum xsk_ring_kind kind, uint32_t size,
		 struct xsk_ring *ret)
{
	static const uint64_t pgoff[] = {
		[XSK_RING_RX] = XDP_PGOFF_RX_RING,
		[XSK_RING_TX] = XDP_PGOFF_TX_RING,
		[XSK_RING_FILL] = XDP_UMEM_PGOFF_FILL_RING,
		[XSK_RING_COMPLETION] = XDP_UMEM_PGOFF_COMPLETION_RING,
	};
	struct xdp_mmap_offsets all;
	const struct xdp_ring_offset *off;
	socklen_t optlen = sizeof(all);
	size_t entry, len;
	void *map;

	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &all, &optlen))
		return -errno;
	if (optlen != sizeof(all))
		return -EPROTO;
	off = kind == XSK_RING_RX   ? &all.rx :
	      kind == XSK_RING_TX   ? &all.tx :
	      kind == XSK_RING_FILL ? &all.fr :
				      &all.cr;
	entry = kind <= XSK_RING_TX ? sizeof(struct xdp_desc) :
				      sizeof(uint64_t);
	len = off->desc + entry * size;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fd, (off_t)pgoff[kind]);
	if (map == MAP_FAILED)
		return -errno;
	*ret = (struct xsk_ring){
		.producer = (uint32_t *)((char *)map + off->producer),
		.consumer = (uint32_t *)((char *)map + off->consumer),
		.flags = (uint32_t *)((char *)map + off->flags),
		.entries = (char *)map + off->desc,
		.mask = size - 1,
		.map = map,
		.map_len = len,
	};
	return 0;
}

void xsk_ring_unmap(struct xsk_ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->map_len);
	*ring = (struct xsk_ring){ 0 };
}

int xsk_kick_tx(int fd, const struct xsk_ring *tx)
{
	uint32_t before, after;

	if (!(__atomic_load_n(tx->flags, __ATOMIC_RELAXED) &
	      XDP_RING_NEED_WAKEUP))
		return 0;
	after = xsk_ring_load(tx->consumer);
	do {
		before = after;
		if (!sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0))
			return 0;
		/* EAGAIN: the budget of one call is used up. */
		if (errno != EAGAIN)
			return errno == EBUSY || errno == ENOBUFS ||
				       errno == EINTR ?
				       0 :
				       -errno;
		after = xsk_ring_load(tx->consumer);
	} while (after != before && after != *tx->producer);
	return 0;
}
