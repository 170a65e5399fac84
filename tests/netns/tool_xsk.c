// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an AF_XDP program can do at best here: receives on one queue in copy
 * mode and drops, or exchanges the MAC addresses and sends back, in the manner
 * of xdpsock's rxdrop and l2fwd. The measure for Sluice's engines.
 *
 *   tool_xsk OBJ DEV rxdrop|l2fwd    until SIGTERM; says "ready" when it is
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/xsk.h>

#define FRAMES 4096
#define FRAME_SIZE XSK_UMEM__DEFAULT_FRAME_SIZE
#define RING 2048
#define BATCH 64

struct sock {
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	unsigned char *area;
	unsigned int in_tx;
	bool forward;
};

static volatile sig_atomic_t ending;

static void on_term(int sig)
{
	ending = sig;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "tool_xsk: %s: %s\n", what, strerror(error));
	exit(2);
}

static void give_back(struct sock *s, const __u64 *addrs, unsigned int n)
{
	__u32 at;

	/* The fill ring has room for every frame there is. */
	if (xsk_ring_prod__reserve(&s->fill, n, &at) != n)
		die("fill ring", ENOSPC);
	for (unsigned int i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&s->fill, at + i) = addrs[i];
	xsk_ring_prod__submit(&s->fill, n);
}

static void open_socket(struct sock *s, const char *dev)
{
	struct xsk_umem_config uc = { .fill_size = FRAMES,
				      .comp_size = RING,
				      .frame_size = FRAME_SIZE };
	struct xsk_socket_config sc = {
		.rx_size = RING,
		.tx_size = RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	size_t len = (size_t)FRAMES * FRAME_SIZE;
	__u64 addrs[FRAMES];
	int rc;

	s->area = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->area == MAP_FAILED)
		die("mmap", errno);
	rc = xsk_umem__create(&s->umem, s->area, len, &s->fill, &s->comp, &uc);
	if (rc)
		die("umem", -rc);
	rc = xsk_socket__create(&s->xsk, dev, 0, s->umem, &s->rx, &s->tx, &sc);
	if (rc)
		die("socket", -rc);
	for (unsigned int i = 0; i < FRAMES; i++)
		addrs[i] = (__u64)i * FRAME_SIZE;
	give_back(s, addrs, FRAMES);
}

static void attach(struct sock *s, const char *object, const char *dev)
{
	struct bpf_object *obj = bpf_object__open_file(object, NULL);
	struct bpf_program *prog;
	__u32 queue = 0;
	int fd = xsk_socket__fd(s->xsk), rc;

	if (!obj || bpf_object__load(obj))
		die(object, EINVAL);
	prog = bpf_object__find_program_by_name(obj, "to_xsk");
	rc = prog ? bpf_map_update_elem(
			    bpf_object__find_map_fd_by_name(obj, "xsks"),
			    &queue, &fd, BPF_ANY)
		  : -ENOENT;
	if (!rc)
		rc = bpf_xdp_attach(if_nametoindex(dev), bpf_program__fd(prog),
				    XDP_FLAGS_DRV_MODE, NULL);
	if (rc)
		die(dev, -rc);
}

static void swap_macs(unsigned char *packet)
{
	unsigned char mac[ETH_ALEN];

	memcpy(mac, packet, ETH_ALEN);
	memcpy(packet, packet + ETH_ALEN, ETH_ALEN);
	memcpy(packet + ETH_ALEN, mac, ETH_ALEN);
}

static void complete(struct sock *s)
{
	__u64 addrs[BATCH];
	__u32 at;
	unsigned int n;

	if (!s->in_tx)
		return;
	if (xsk_ring_prod__needs_wakeup(&s->tx))
		(void)!sendto(xsk_socket__fd(s->xsk), NULL, 0, MSG_DONTWAIT,
			      NULL, 0);
	n = xsk_ring_cons__peek(&s->comp, BATCH, &at);
	for (unsigned int i = 0; i < n; i++)
		addrs[i] = *xsk_ring_cons__comp_addr(&s->comp, at + i);
	if (!n)
		return;
	xsk_ring_cons__release(&s->comp, n);
	give_back(s, addrs, n);
	s->in_tx -= n;
}

static void transmit(struct sock *s, __u64 *addrs, __u32 *lens, unsigned int n)
{
	__u32 at;

	if (xsk_ring_prod__reserve(&s->tx, n, &at) != n) {
		give_back(s, addrs, n); /* ring full: dropped */
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct xdp_desc *d = xsk_ring_prod__tx_desc(&s->tx, at + i);

		swap_macs(s->area + addrs[i]);
		d->addr = addrs[i];
		d->len = lens[i];
	}
	xsk_ring_prod__submit(&s->tx, n);
	s->in_tx += n;
}

static void turn(struct sock *s)
{
	struct pollfd pfd = { xsk_socket__fd(s->xsk), POLLIN, 0 };
	__u64 addrs[BATCH];
	__u32 lens[BATCH], at;
	unsigned int n;

	complete(s);
	n = xsk_ring_cons__peek(&s->rx, BATCH, &at);
	if (!n) {
		poll(&pfd, 1, s->in_tx ? 0 : 20);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&s->rx, at + i);

		addrs[i] = d->addr;
		lens[i] = d->len;
	}
	xsk_ring_cons__release(&s->rx, n);
	if (s->forward) {
		transmit(s, addrs, lens, n);
	} else {
		/* Frames go back where packets start, not where they began. */
		for (unsigned int i = 0; i < n; i++)
			addrs[i] -= addrs[i] % FRAME_SIZE;
		give_back(s, addrs, n);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_term };
	static struct sock s;

	if (argc != 4) {
		fprintf(stderr, "usage: tool_xsk OBJ DEV rxdrop|l2fwd\n");
		return 2;
	}
	s.forward = !strcmp(argv[3], "l2fwd");
	sigaction(SIGTERM, &sa, NULL);
	open_socket(&s, argv[2]);
	attach(&s, argv[1], argv[2]);
	puts("ready");
	fflush(stdout);
	while (!ending)
		turn(&s);
	bpf_xdp_detach(if_nametoindex(argv[2]), XDP_FLAGS_DRV_MODE, NULL);
	xsk_socket__delete(s.xsk);
	xsk_umem__delete(s.umem);
	return 0;
}
