/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See features.h. A probe does the thing itself in its smallest form and
 * leaves nothing behind; one that cannot be carried out (rights, resources)
 * does not claim that a feature is missing if the kernel could have it.
 */
#include "bpf/features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "engine/xsk.h"

#define NO_ENGINES                                                        \
	"no packet engines: new flows are set up by XDP alone, and what " \
	"only engines can do is dropped"

static struct feature features[FEATURES_N] = {
	[FEATURE_XDP] = { "XDP programs", true,
			  "nothing runs; it takes root, or CAP_BPF and CAP_NET_ADMIN, on a kernel with CONFIG_BPF_SYSCALL" },
	[FEATURE_FIB_LOOKUP] = { "helper bpf_fib_lookup", true,
				 "no next hops" },
	[FEATURE_ADJUST_META] = { "helper bpf_xdp_adjust_meta", true,
				  "packets cannot be handed to engines" },
	[FEATURE_COARSE_CLOCK] = { "helper bpf_ktime_get_coarse_ns", true,
				   "no clock for flows that expire" },
	[FEATURE_MMAPABLE] = { "memory-mapped BPF maps", true,
			       "daemon and engines cannot share tables with XDP" },
	[FEATURE_XSKMAP] = { "BPF maps of type XSKMAP", true,
			     "no packet sockets; CONFIG_XDP_SOCKETS has them" },
	[FEATURE_DEVMAP_HASH] = { "BPF maps of type DEVMAP_HASH", true,
				  "no way to send by another interface" },
	[FEATURE_PIDFD] = { "pidfd_open", true,
			    "engines cannot be supervised" },
	[FEATURE_XSK_RINGS] = { "AF_XDP rings mapped after bind", false,
				NO_ENGINES },
	[FEATURE_JIT] = { "BPF JIT", false,
			  "XDP is interpreted, several times slower; sysctl net.core.bpf_jit_enable=1" },
	[FEATURE_TX_BUDGET] = { "AF_XDP transmit budget", false,
				"engines need a system call per 32 packets sent instead of 512" },
};

static int say_nothing(enum libbpf_print_level level, const char *format,
		       va_list ap)
{
	return 0;
}

static bool have_helper(enum bpf_func_id id)
{
	/* Negative: it could not be tried; the program's load will tell. */
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, id, NULL) != 0;
}

static bool have_map(enum bpf_map_type type)
{
	return libbpf_probe_bpf_map_type(type, NULL) != 0;
}

static bool have_mmapable(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, &opts);

	if (fd < 0)
		return errno != EINVAL;
	close(fd);
	return true;
}

static bool have_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return errno != ENOSYS;
	close(fd);
	return true;
}

/* /proc/sys/net/core/bpf_jit_enable does not exist in every namespace. */
static bool have_jit(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	bool have = true;
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", pass, 2, NULL);

	if (fd < 0)
		return true;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len))
		have = info.jited_prog_len != 0;
	close(fd);
	return have;
}

static bool have_tx_budget(void)
{
	int budget = 512, fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool have;

	if (fd < 0)
		return errno != EAFNOSUPPORT;
	have = !setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget,
			   sizeof(budget)) ||
	       errno != ENOPROTOOPT;
	close(fd);
	return have;
}

/* A socket in copy mode on the first queue of some interface that is up and
 * has none there, lo above all; copy mode leaves the driver alone. -1: none. */
static int bind_anywhere(void *umem, size_t len)
{
	struct if_nameindex *list = if_nameindex(), *i;
	int fd = -1;

	if (list && xsk_open_base(umem, len, 4096, -1, if_nametoindex("lo"), 0,
				  2, &fd))
		fd = -1;
	for (i = list; fd < 0 && i && i->if_index; i++) {
		if (xsk_open_base(umem, len, 4096, -1, i->if_index, 0, 2, &fd))
			fd = -1;
	}
	if (list)
		if_freenameindex(list);
	return fd;
}

/* The daemon makes and binds sockets, engines map their rings later. */
static bool have_rings_after_bind(void)
{
	const size_t len = 2 * 4096;
	struct xsk_ring ring;
	void *umem;
	bool have = true;
	int fd, rc;

	umem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (umem == MAP_FAILED)
		return true;
	fd = bind_anywhere(umem, len);
	if (fd >= 0) {
		rc = xsk_ring_map(fd, XSK_RING_FILL, 2, &ring);
		have = rc != -EBUSY;
		if (!rc)
			xsk_ring_unmap(&ring);
		close(fd);
	}
	munmap(umem, len);
	return have;
}

static void try_all(void)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	struct feature *f = features;

	f[FEATURE_XDP].present =
		libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) > 0;
	f[FEATURE_FIB_LOOKUP].present = have_helper(BPF_FUNC_fib_lookup);
	f[FEATURE_ADJUST_META].present = have_helper(BPF_FUNC_xdp_adjust_meta);
	f[FEATURE_COARSE_CLOCK].present =
		have_helper(BPF_FUNC_ktime_get_coarse_ns);
	f[FEATURE_MMAPABLE].present = have_mmapable();
	f[FEATURE_XSKMAP].present = have_map(BPF_MAP_TYPE_XSKMAP);
	f[FEATURE_DEVMAP_HASH].present = have_map(BPF_MAP_TYPE_DEVMAP_HASH);
	f[FEATURE_PIDFD].present = have_pidfd();
	f[FEATURE_XSK_RINGS].present = have_rings_after_bind();
	f[FEATURE_JIT].present = have_jit();
	f[FEATURE_TX_BUDGET].present = have_tx_budget();
	libbpf_set_print(before);
}

const struct feature *features_all(void)
{
	static bool tried;

	if (!tried)
		try_all();
	tried = true;
	return features;
}

int features_check(struct config_error *e)
{
	const struct feature *f = features_all(), *end = f + FEATURES_N;

	for (; f < end; f++) {
		if (f->present || !f->required)
			continue;
		snprintf(e->text, sizeof(e->text),
			 "this kernel lacks %s: %s", f->name, f->cost);
		return -EOPNOTSUPP;
	}
	return 0;
}
