// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nanoseconds per packet of the XDP program, by BPF_PROG_TEST_RUN, net of an
 * empty run of the same harness (steer_bench.bpf.c) in the same process.
 * Medians; the kernel's own `duration`. One JSON line per figure.
 *
 * Baselines are Katran's figures on this kind of machine, net, as measured
 * once with the same method; the machine is noisy, so read ratios with care
 * and compare runs only with runs of the same minute.
 *
 *   bench_prog [PATTERN]      only figures whose name contains PATTERN
 *   BENCH_OBJ=FILE            another build of the object, to compare
 */
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "../lib/pktbuild.h"
#include "../lib/progtest.h"
#include "flowtab.h"
#include "hash.h"
#include "vip.h"

#define ROUNDS 11
#define HEAD 72
#define SERVICES 64 /* NAT: 36 280 ports each */

struct figure {
	const char *name;
	bool v6, udp, fresh, not_vip, two_armed;
	enum fwd_mode mode;
	uint32_t flows;
	double baseline; /* net; 0: none */
};

#define IPIP(what, v6_, udp_, flows_, baseline_)                               \
	{ "prog_" what, .mode = FWD_DSR_IPIP, .v6 = v6_, .udp = udp_,          \
	  .flows = flows_, .baseline = baseline_ }
#define ESTABLISHED(what, v6, udp, one, k1, k64, k512)                         \
	IPIP(what "_ipip_1", v6, udp, 1, one),                                 \
	IPIP(what "_ipip_1k", v6, udp, 1 << 10, k1),                           \
	IPIP(what "_ipip_64k", v6, udp, 1 << 16, k64),                         \
	IPIP(what "_ipip_512k", v6, udp, 1 << 19, k512),                       \
	IPIP(what "_ipip_4m", v6, udp, 1 << 22, 0)

static const struct figure figures[] = {
	{ "prog_pass_not_a_vserver", .not_vip = 1, .flows = 1, .baseline = 29 },
	/* Established flows; baselines are of the cases Katran was run with. */
	ESTABLISHED("tcp4", false, false, 65, 85, 351, 449),
	ESTABLISHED("udp4", false, true, 98, 0, 0, 478),
	ESTABLISHED("tcp6", true, false, 62, 0, 0, 437),
	ESTABLISHED("udp6", true, true, 0, 0, 0, 0),
	{ "prog_tcp4_nat_1", .mode = FWD_NAT, .flows = 1 },
	{ "prog_tcp4_nat_512k", .mode = FWD_NAT, .flows = 524288 },
	{ "prog_tcp4_nat_redirect_1", .mode = FWD_NAT, .two_armed = 1,
	  .flows = 1 },
	{ "prog_tcp6_nat_1", .mode = FWD_NAT, .v6 = 1, .flows = 1 },
	{ "prog_tcp4_dsr_l2_1", .mode = FWD_DSR_L2, .flows = 1 },
	{ "prog_tcp4_dsr_l2_512k", .mode = FWD_DSR_L2, .flows = 524288 },
	{ "prog_tcp4_gue_1", .mode = FWD_DSR_GUE, .flows = 1 },
	{ "prog_tcp6_gue_1", .mode = FWD_DSR_GUE, .v6 = 1, .flows = 1 },
	{ "prog_new_tcp4_ipip", .mode = FWD_DSR_IPIP, .fresh = 1, .flows = 1,
	  .baseline = 755 },
	{ "prog_new_tcp4_nat", .mode = FWD_NAT, .fresh = 1, .flows = 1 },
	{ "prog_new_tcp6_ipip", .mode = FWD_DSR_IPIP, .v6 = 1, .fresh = 1,
	  .flows = 1 },
};

struct bench {
	struct bpf_object *obj;
	uint32_t *toeplitz;
	struct flowtab tab;
	int prog_fd, in0;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* A `const volatile` of the object, before it is loaded. */
static void *rodata(struct bpf_object *obj, const char *name)
{
	struct bpf_map *map = NULL, *m;
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *sec;
	const struct btf_var_secinfo *v;
	size_t size;
	char *base;
	int id;

	bpf_object__for_each_map(m, obj)
		if (strstr(bpf_map__name(m), ".rodata"))
			map = m;
	base = map ? (char *)(uintptr_t)bpf_map__initial_value(map, &size) :
		     NULL;
	id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	if (!base || id < 0)
		die(".rodata");
	sec = btf__type_by_id(btf, (uint32_t)id);
	v = btf_var_secinfos(sec);
	for (unsigned int i = 0; i < btf_vlen(sec); i++)
		if (!strcmp(btf__name_by_offset(
				    btf, btf__type_by_id(btf, v[i].type)
						 ->name_off),
			    name))
			return base + v[i].offset;
	die(name);
	return NULL;
}

static void set_u32(struct bpf_object *obj, const char *name, uint32_t value)
{
	memcpy(rodata(obj, name), &value, sizeof(value));
}

static void *memory(struct bench *b, const char *name, size_t *ret_size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(b->obj, name);
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8 *
		      (size_t)bpf_map__max_entries(map);
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(map), 0);

	if (mem == MAP_FAILED)
		die(name);
	if (ret_size)
		*ret_size = size;
	return mem;
}

static const char *client_text(bool v6, uint32_t i)
{
	static char text[64];

	if (v6)
		snprintf(text, sizeof(text), "2001:db8:c::%x:%x", i >> 28,
			 i >> 12 & 0xffff);
	else
		snprintf(text, sizeof(text), "%u.%u.%u.%u", 0xc6, i >> 28,
			 i >> 20 & 0xff, i >> 12 & 0xff);
	return text;
}

static union ip_addr client(bool v6, uint32_t i)
{
	union ip_addr a = pktbuild_addr(v6 ? "2001:db8:c::" : "198.0.0.0");

	a.w[3] = v6 ? be32(i >> 12) : be32(0xc6000000u + (i >> 12));
	return a;
}

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"

static void fill_flows(struct bench *b, const struct figure *f,
		       const struct vserver *v)
{
	uint32_t tick = flow_tick(flowtab_now_ns());
	struct flowtab_change ch;
	uint32_t full = 0;

	for (uint32_t i = 0; i < f->flows; i++) {
		struct flow e = {};

		e.key.peer = client(f->v6, i);
		e.key.sport = be16(4096 + (i & 4095));
		e.key.id = 1;
		e.key.kind = FLOW_FORWARD;
		e.key.proto = v->proto;
		e.hash = toeplitz_hash(b->toeplitz, &e.key.peer, &v->addr,
				       e.key.sport, v->port);
		e.service = 1 + i % 8;
		e.pair_port = be16(2000);
		e.pair_id = f->v6;
		e.activity = FLOW_ACTIVITY(
			tick, f->udp ? FLOW_TCP_NONE : FLOW_TCP_ESTABLISHED, 0);
		flowtab_insert(&b->tab, &e, FLOW_WRITER_DAEMON,
			       flowtab_now_ns(), true, &ch);
		full += ch.evict != FLOWTAB_EVICT_NONE;
	}
	if (full)
		fprintf(stderr, "%s: %u flows did not fit\n", f->name, full);
}

static void configure(struct bench *b, const struct figure *f)
{
	struct dp_conf *conf = memory(b, "conf", NULL);
	struct vserver *v = (struct vserver *)memory(b, "vservers", NULL) + 1;
	struct service *svc = memory(b, "services", NULL);
	uint64_t *lb = memory(b, "lb_table", NULL);
	struct vip_bucket *vips = memory(b, "vips", NULL);
	char text[64];

	conf->nat_count = 2;
	conf->nat[0] = pktbuild_addr("10.0.1.1");
	conf->nat[1] = pktbuild_addr("fd00:1::1");
	conf->tunnel_src4 = conf->nat[0];
	conf->tunnel_src6 = conf->nat[1];
	conf->gue_port = be16(6080);
	v->addr = pktbuild_addr(f->v6 ? VIP6 : VIP4);
	v->port = be16(80);
	v->proto = f->udp ? 17 : 6;
	v->mode = (uint8_t)f->mode;
	v->setup = SETUP_KERNEL;
	v->flags = VS_ENABLED;
	v->hash_dst = toeplitz_dst(b->toeplitz, !f->v6, &v->addr, v->port);
	v->syn_s = v->est_s = v->fin_s = v->udp_s = 3600;
	v->lb = SPAN(0, 251);
	for (uint32_t i = 0; i < 251; i++)
		lb[i] = 1 + i % (f->fresh ? SERVICES : 8);
	for (uint32_t i = 0; i < SERVICES; i++) {
		const char *net = f->v6 ? (f->two_armed ? "fd00:1::%u" :
							  "fd00:0::%u") :
					  (f->two_armed ? "10.0.1.%u" :
							  "192.168.0.%u");

		snprintf(text, sizeof(text), net, 11 + i % 4);
		svc[1 + i].addr = pktbuild_addr(text);
		svc[1 + i].port = be16((uint16_t)(8080 + i));
		svc[1 + i].state = SVC_UP;
	}
	if (!f->not_vip &&
	    (vip_put(vips, &v->addr, v->port, v->proto, VIP_VSERVER, 1) ||
	     vip_put(vips, &v->addr, 0, 0, VIP_ADDR, 0)))
		die("vips");
	if (!f->fresh)
		fill_flows(b, f, v);
}

static size_t template(struct bench *b, const struct figure *f)
{
	static struct pktbuild p;
	char *head = memory(b, "bench", NULL);

	pktbuild_l4(&p, client_text(f->v6, 0), f->v6 ? VIP6 : VIP4,
		    f->udp ? 17 : 6, 4096, 80, f->fresh ? 0x02 : 0x10, 64);
	memcpy(head, p.data, HEAD);
	return p.len;
}

static void load(struct bench *b, const struct figure *f, size_t len,
		 bool empty)
{
	/* New flows: a table that is full after the first rounds. */
	uint32_t sets = 1024, ifindex;
	const char *file = getenv("BENCH_OBJ");

	while (!f->fresh && sets * FLOW_WAYS < 2 * f->flows)
		sets *= 2;
	if (f->fresh)
		sets = 65536;
	b->obj = bpf_object__open_file(
		file ? file : "build/tests/bench/steer_bench.bpf.o", NULL);
	if (!b->obj)
		die("steer_bench.bpf.o");
	bpf_program__set_autoload(
		bpf_object__find_program_by_name(b->obj, "steer"), false);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(b->obj, "flows"),
				 sets);
	memcpy(rodata(b->obj, "toeplitz"), b->toeplitz,
	       TOEPLITZ_TABLE_LEN * sizeof(*b->toeplitz));
	set_u32(b->obj, "flow_mask", sets - 1);
	set_u32(b->obj, "bench_flows", f->flows);
	set_u32(b->obj, "bench_new", f->fresh);
	set_u32(b->obj, "bench_v6", f->v6);
	set_u32(b->obj, "bench_len", (uint32_t)len);
	set_u32(b->obj, "bench_empty", empty);
	if (bpf_object__load(b->obj))
		die("load");
	b->prog_fd = bpf_program__fd(
		bpf_object__find_program_by_name(b->obj, "steer_bench"));
	b->tab.mask = sets - 1;
	b->tab.sets = memory(b, "flows", NULL);
	b->tab.vservers = memory(b, "vservers", NULL);
	ifindex = if_nametoindex("out0");
	bpf_map__update_elem(bpf_object__find_map_by_name(b->obj, "ports"),
			     &ifindex, sizeof(ifindex), &ifindex,
			     sizeof(ifindex), BPF_ANY);
	bpf_xdp_detach(b->in0, 1U << 2, NULL);
	if (bpf_xdp_attach(b->in0, b->prog_fd, 1U << 2, NULL))
		die("attach");
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Median ns of one run. */
static uint32_t measure(struct bench *b, size_t len, uint32_t *ret_action)
{
	static uint8_t frame[2048], out[4096];
	struct xdp_md ctx = { .data_end = (uint32_t)len,
			      .ingress_ifindex = (uint32_t)b->in0 };
	uint32_t ns[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame,
			    .data_size_in = (uint32_t)len, .data_out = out,
			    .data_size_out = sizeof(out), .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx),
			    .repeat = 200000);

		if (bpf_prog_test_run_opts(b->prog_fd, &o))
			die("BPF_PROG_TEST_RUN");
		ns[i] = o.duration;
		*ret_action = o.retval;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	fprintf(stderr, "  min %u median %u max %u\n", ns[0], ns[ROUNDS / 2],
		ns[ROUNDS - 1]);
	return ns[ROUNDS / 2];
}

static void run(struct bench *b, const struct figure *f)
{
	uint32_t empty, gross, action;
	struct pktbuild p;
	size_t len;
	double net;

	pktbuild_l4(&p, client_text(f->v6, 0), f->v6 ? VIP6 : VIP4,
		    f->udp ? 17 : 6, 4096, 80, 0x10, 64);
	len = p.len;
	load(b, f, len, true);
	template(b, f);
	empty = measure(b, len, &action);
	bpf_object__close(b->obj);
	load(b, f, len, false);
	configure(b, f);
	template(b, f);
	gross = measure(b, len, &action);
	bpf_object__close(b->obj);
	if (action != (f->not_vip ? 2u : f->two_armed ? 4u : 3u)) {
		fprintf(stderr, "%s: action %u\n", f->name, action);
		exit(1);
	}
	net = (double)gross - empty;
	printf("{\"name\": \"%s\", \"value\": %.0f, \"unit\": \"ns\", ",
	       f->name, net);
	if (f->baseline > 0)
		printf("\"baseline\": \"katran (%.0f ns)\", "
		       "\"ratio\": %.2f}\n", f->baseline, net / f->baseline);
	else
		printf("\"baseline\": null, \"ratio\": null}\n");
	fflush(stdout);
	fprintf(stderr, "%-28s gross %u empty %u\n", f->name, gross, empty);
}

int main(int argc, char **argv)
{
	static const uint8_t key[TOEPLITZ_KEY_LEN] = TOEPLITZ_KEY_DEFAULT;
	struct bench b = {};

	progtest_links();
	b.in0 = (int)if_nametoindex("in0");
	b.toeplitz = calloc(TOEPLITZ_TABLE_LEN, sizeof(*b.toeplitz));
	if (!b.toeplitz)
		die("memory");
	toeplitz_tables_build(key, b.toeplitz);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (argc < 2 || strstr(figures[i].name, argv[1]))
			run(&b, &figures[i]);
	free(b.toeplitz);
	return 0;
}
