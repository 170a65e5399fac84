// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binds an AF_XDP socket to a queue and gives it no frame to receive into,
 * until told to.
 *
 *   tool_zerocopy IFACE QUEUE zerocopy|copy
 *
 * Prints "bound", or "refused: WHY" and exits 2. A line on standard input gives
 * frames; its end ends the socket.
 */
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FRAMES 256u
#define FRAME_SIZE 4096u

static void die(const char *what)
{
	printf("refused: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void set(int fd, int option, const void *value, socklen_t len)
{
	if (setsockopt(fd, SOL_XDP, option, value, len))
		die("socket option");
}

static void give_frames(int fd, uint8_t *ring,
			const struct xdp_mmap_offsets *off)
{
	uint64_t *desc = (uint64_t *)(ring + off->fr.desc);

	for (uint32_t i = 0; i < FRAMES; i++)
		desc[i] = (uint64_t)i * FRAME_SIZE;
	__atomic_store_n((uint32_t *)(ring + off->fr.producer), FRAMES,
			 __ATOMIC_RELEASE);
	/* The driver may wait to be told of them. */
	recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP };
	struct xdp_umem_reg reg = { .len = FRAMES * FRAME_SIZE,
				    .chunk_size = FRAME_SIZE };
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	uint32_t frames = FRAMES;
	uint8_t *ring;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "tool_zerocopy IFACE QUEUE zerocopy|copy\n");
		return 1;
	}
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	reg.addr = (uintptr_t)mmap(NULL, reg.len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
				   -1, 0);
	if (fd < 0 || (void *)(uintptr_t)reg.addr == MAP_FAILED)
		die("socket");
	set(fd, XDP_UMEM_REG, &reg, sizeof(reg));
	set(fd, XDP_UMEM_FILL_RING, &frames, sizeof(frames));
	set(fd, XDP_UMEM_COMPLETION_RING, &frames, sizeof(frames));
	set(fd, XDP_RX_RING, &frames, sizeof(frames));
	if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		die("offsets");
	addr.sxdp_ifindex = if_nametoindex(argv[1]);
	addr.sxdp_queue_id = atoi(argv[2]);
	addr.sxdp_flags = XDP_USE_NEED_WAKEUP |
			  (strcmp(argv[3], "copy") ? XDP_ZEROCOPY : XDP_COPY);
	/* Before it is bound: Linux before 6.4 refuses it later. */
	ring = mmap(NULL, off.fr.desc + FRAMES * sizeof(uint64_t),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    XDP_UMEM_PGOFF_FILL_RING);
	if (ring == MAP_FAILED)
		die("fill ring");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("bind");
	printf("bound\n");
	fflush(stdout);
	for (int c; (c = getchar()) != EOF;)
		if (c == '\n')
			give_frames(fd, ring, &off);
	return 0;
}
