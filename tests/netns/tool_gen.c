// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets per second through a veth, from frames that never were sk_buffs.
 *
 *   tool_gen attach OBJ DEV PROGRAM [OUT_DEV]   a reference program of
 *            gen.bpf.c: drop, transmit, redirect (to OUT_DEV)
 *   tool_gen run OBJ --out DEV --dst-mac MAC --dst ADDR:PORT [OPTIONS]
 *       --flows N            1
 *       --order random|new|sequential
 *       --base N             number of the first flow
 *       --warm               each flow once before measuring
 *       --seconds N          2
 *       --count DEV          puts the counting drop program there and reports
 *                            what arrives; without: DEV's received packets
 *       --count-stats DEV    counts by the device's statistics
 *       --cpu N              pins the generator
 *
 * `run` must be in the namespace of --out and --count. It prints
 * "SENT_PER_S RECEIVED_PER_S".
 *
 * link-with: daemon/util/addr_text.c
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bench/gen.h"
#include "util/addr_text.h"

#define BATCH 64
#define CHUNK (1u << 15) /* frames per system call */

struct gen {
	const char *object, *out, *count, *count_stats;
	struct gen_conf conf;
	double seconds;
	bool warm;
};

static void die(const char *what, const char *which)
{
	fprintf(stderr, "tool_gen: %s: %s\n", what, which);
	exit(2);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);

	if (!obj || bpf_object__load(obj))
		die(path, "cannot be loaded");
	return obj;
}

static int prog_fd(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	if (!prog)
		die("no such program", name);
	return bpf_program__fd(prog);
}

static int map_fd(struct bpf_object *obj, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);

	if (fd < 0)
		die("no such map", name);
	return fd;
}

static unsigned int ifindex_of(const char *dev)
{
	unsigned int index = if_nametoindex(dev);

	if (!index)
		die("no such device", dev);
	return index;
}

static void set_out(struct bpf_object *obj, const char *dev)
{
	__u32 zero = 0, index = ifindex_of(dev);

	if (bpf_map_update_elem(map_fd(obj, "out"), &zero, &index, BPF_ANY))
		die(dev, strerror(errno));
}

/* What is attached this way stays, with its maps, until the device goes. */
static void attach(struct bpf_object *obj, const char *dev, const char *name)
{
	int rc = bpf_xdp_attach(ifindex_of(dev), prog_fd(obj, name),
				XDP_FLAGS_DRV_MODE, NULL);

	if (rc)
		die(dev, strerror(-rc));
}

static __u64 received(const struct gen *g, int count_fd)
{
	__u64 value[256], sum = 0;
	__u32 zero = 0;
	char path[256];
	FILE *f;

	if (g->count_stats) {
		/* Not from /sys: that shows the namespace it was mounted in. */
		f = fopen("/proc/thread-self/net/dev", "r");
		if (!f)
			die("/proc/net/dev", strerror(errno));
		while (fgets(path, sizeof(path), f)) {
			char *colon = strchr(path, ':');
			char *name = path + strspn(path, " ");

			if (!colon)
				continue;
			*colon = 0;
			if (!strcmp(name, g->count_stats))
				sscanf(colon + 1, "%*u %llu", &sum);
		}
		fclose(f);
		return sum;
	}
	if (libbpf_num_possible_cpus() > 256 ||
	    bpf_map_lookup_elem(count_fd, &zero, value))
		die("count", strerror(errno));
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += value[i];
	return sum;
}

static void shoot(int fd, unsigned int n)
{
	unsigned char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
		    .data_size_in = sizeof(packet), .repeat = n,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int rc = bpf_prog_test_run_opts(fd, &opts);

	if (rc)
		die("live frames", strerror(-rc));
}

static void set_conf(struct bpf_object *obj, const struct gen_conf *conf)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(map_fd(obj, "gen_conf"), &zero, conf, BPF_ANY))
		die("gen_conf", strerror(errno));
}

static int run(struct gen *g)
{
	struct bpf_object *obj = load(g->object);
	int fd = prog_fd(obj, "gen"), count_fd = map_fd(obj, "count");
	struct gen_conf conf = g->conf;
	__u64 before, sent = 0;
	double start, end;

	set_out(obj, g->out);
	if (g->count)
		attach(obj, g->count, "drop");
	if (g->warm) {
		conf.order = GEN_SEQUENTIAL;
		set_conf(obj, &conf);
		/* Twice: bursts of new flows may overrun a queue. */
		for (__u64 n = 0; n < 2ull * conf.flows; n += CHUNK)
			shoot(fd, CHUNK);
	}
	set_conf(obj, &g->conf);
	shoot(fd, CHUNK);
	before = received(g, count_fd);
	start = now_s();
	do {
		shoot(fd, CHUNK);
		sent += CHUNK;
		end = now_s();
	} while (end - start < g->seconds);
	printf("%.0f %.0f\n", (double)sent / (end - start),
	       (double)(received(g, count_fd) - before) / (end - start));
	if (g->count)
		bpf_xdp_detach(ifindex_of(g->count), XDP_FLAGS_DRV_MODE, NULL);
	bpf_object__close(obj);
	return 0;
}

static void pin_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("--cpu", strerror(errno));
}

static void take_dst(struct gen_conf *conf, const char *text)
{
	union ip_addr addr;
	uint16_t port;

	if (addr_text_parse_port(text, &addr, &port))
		die("bad --dst", text);
	conf->family = ip_addr_is_v4(&addr) ? 4 : 6;
	conf->daddr4 = addr.w[3];
	memcpy(conf->daddr6, &addr, 16);
	conf->dport = __builtin_bswap16(port);
}

static void take_order(struct gen_conf *conf, const char *text)
{
	if (!strcmp(text, "random"))
		conf->order = GEN_RANDOM;
	else if (!strcmp(text, "new"))
		conf->order = GEN_NEW;
	else if (strcmp(text, "sequential"))
		die("bad --order", text);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "out", 1, NULL, 'o' },     { "dst-mac", 1, NULL, 'm' },
		{ "dst", 1, NULL, 'd' },     { "flows", 1, NULL, 'n' },
		{ "order", 1, NULL, 'r' },   { "base", 1, NULL, 'b' },
		{ "warm", 0, NULL, 'w' },    { "seconds", 1, NULL, 's' },
		{ "count", 1, NULL, 'c' },   { "count-stats", 1, NULL, 'C' },
		{ "cpu", 1, NULL, 'p' },     { NULL, 0, NULL, 0 },
	};
	struct gen g = { .seconds = 2, .conf = { .flows = 1, .state = 1 } };
	struct bpf_object *obj;
	__u8 *m = g.conf.dst_mac;
	int c;

	if (argc >= 5 && !strcmp(argv[1], "attach")) {
		obj = load(argv[2]);
		if (argc > 5)
			set_out(obj, argv[5]);
		attach(obj, argv[3], argv[4]);
		return 0;
	}
	if (argc < 3 || strcmp(argv[1], "run"))
		die("usage", "attach OBJ DEV PROGRAM [OUT], or run OBJ …");
	g.object = argv[2];
	memcpy(g.conf.src_mac, "\x02\0\0\0\0\x01", 6);
	while ((c = getopt_long(argc - 2, argv + 2, "", options, NULL)) >= 0) {
		switch (c) {
		case 'o': g.out = optarg; break;
		case 'm':
			if (sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m,
				   m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
				die("bad --dst-mac", optarg);
			break;
		case 'd': take_dst(&g.conf, optarg); break;
		case 'n': g.conf.flows = atoi(optarg); break;
		case 'r': take_order(&g.conf, optarg); break;
		case 'b': g.conf.base = strtoul(optarg, NULL, 10); break;
		case 'w': g.warm = true; break;
		case 's': g.seconds = atof(optarg); break;
		case 'c': g.count = optarg; break;
		case 'C': g.count_stats = optarg; break;
		case 'p': pin_cpu(atoi(optarg)); break;
		default: return 2;
		}
	}
	if (!g.out || !g.conf.family || !(g.count || g.count_stats))
		die("run", "--out, --dst, --count are needed");
	return run(&g);
}
