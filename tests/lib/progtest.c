// SPDX-License-Identifier: GPL-2.0-only
/*
 * Harness of the XDP program's tests; see progtest.h.
 */
#include <assert.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/steer.skel.h"
#include "hash.h"
#include "progtest.h"
#include "vip.h"

#define LB_SLOTS 251

static void shell(const char *command)
{
	if (system(command)) {
		fprintf(stderr, "failed: %s\n", command);
		exit(1);
	}
}

void progtest_links(void)
{
	if (geteuid()) {
		printf("needs root\n");
		exit(77);
	}
	if (unshare(CLONE_NEWNET)) {
		perror("unshare");
		exit(1);
	}
	shell("ip link set lo up; "
	      "for d in in0:00 out0:01 small0:03; do n=${d%:*} m=${d#*:}; "
	      "ip link add $n address 02:00:00:00:$m:01 type veth peer name p$n"
	      /* Peers that say nothing: what they sent would be counted. */
	      " || exit 1; sysctl -qw net.ipv6.conf.p$n.disable_ipv6=1; "
	      "ip link set $n up; ip link set p$n up; done; "
	      "ip link set small0 mtu 1300; "
	      "sysctl -qw net.ipv6.conf.default.router_solicitations=0 "
	      "net.ipv6.conf.all.router_solicitations=0 "
	      "net.ipv6.conf.default.force_mld_version=1 "
	      "net.ipv4.conf.all.forwarding=1 "
	      "net.ipv6.conf.all.forwarding=1; "
	      "ip addr add 192.168.0.1/24 dev in0; "
	      "ip addr add fd00:0::1/64 dev in0 nodad; "
	      "ip addr add 10.0.1.1/24 dev out0; "
	      "ip addr add fd00:1::1/64 dev out0 nodad; "
	      "ip addr add 10.0.3.1/24 dev small0; "
	      "ip addr add fd00:3::1/64 dev small0 nodad");
	shell("ip neigh add 192.168.0.254 lladdr 02:00:00:00:00:fe dev in0; "
	      "ip neigh add fd00:0::fe lladdr 02:00:00:00:00:fe dev in0; "
	      "ip route add 198.51.100.0/24 via 192.168.0.254; "
	      "ip route add 203.0.113.0/24 via 192.168.0.254; "
	      "ip -6 route add 2001:db8:c::/48 via fd00:0::fe; "
	      "for i in 11 12 13 14; do "
	      "ip neigh add 192.168.0.$i lladdr 02:00:00:00:00:$i dev in0; "
	      "ip neigh add fd00:0::$i lladdr 02:00:00:00:00:$i dev in0; "
	      "ip neigh add 10.0.1.$i lladdr 02:00:00:00:01:$i dev out0; "
	      "ip neigh add fd00:1::$i lladdr 02:00:00:00:01:$i dev out0; "
	      "ip neigh add 10.0.3.$i lladdr 02:00:00:00:03:$i dev small0; "
	      "ip neigh add fd00:3::$i lladdr 02:00:00:00:03:$i dev small0; "
	      "done");
}

static void *map_memory(struct bpf_map *map)
{
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8 *
		      (size_t)bpf_map__max_entries(map);
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(map), 0);

	if (mem == MAP_FAILED) {
		perror("mmap of a map");
		exit(1);
	}
	return mem;
}

static void port_add(struct progtest *t, int ifindex)
{
	uint32_t key = (uint32_t)ifindex;

	if (bpf_map__update_elem(t->skel->maps.ports, &key, sizeof(key), &key,
				 sizeof(key), BPF_ANY)) {
		perror("ports");
		exit(1);
	}
}

static void iface_add(struct progtest *t, int ifindex, uint32_t slot)
{
	struct iface iface = { .slot = slot, .queues = 1 };
	uint32_t key = (uint32_t)ifindex;

	if (bpf_map__update_elem(t->skel->maps.ifaces, &key, sizeof(key),
				 &iface, sizeof(iface), BPF_ANY)) {
		perror("ifaces");
		exit(1);
	}
	/* Test runs take their queue from a device with XDP. */
	if (bpf_xdp_attach(ifindex, t->prog_fd, 1U << 2, NULL)) {
		perror("attach");
		exit(1);
	}
}

void progtest_open(struct progtest *t, uint32_t flow_sets)
{
	static const uint8_t key[TOEPLITZ_KEY_LEN] = TOEPLITZ_KEY_DEFAULT;

	memset(t, 0, sizeof(*t));
	progtest_links();
	t->in0 = (int)if_nametoindex("in0");
	t->out0 = (int)if_nametoindex("out0");
	t->small0 = (int)if_nametoindex("small0");
	t->skel = steer_bpf__open();
	assert(t->skel);
	flow_sets = flow_sets ? flow_sets : 1024;
	bpf_map__set_max_entries(t->skel->maps.flows, flow_sets);
	t->skel->rodata->flow_mask = flow_sets - 1;
	t->toeplitz = calloc(TOEPLITZ_TABLE_LEN, sizeof(*t->toeplitz));
	assert(t->toeplitz);
	toeplitz_tables_build(key, t->toeplitz);
	memcpy((void *)t->skel->rodata->toeplitz, t->toeplitz,
	       TOEPLITZ_TABLE_LEN * sizeof(*t->toeplitz));
	if (steer_bpf__load(t->skel)) {
		fprintf(stderr, "the program does not load\n");
		exit(1);
	}
	t->prog_fd = bpf_program__fd(t->skel->progs.steer);
	t->conf = map_memory(t->skel->maps.conf);
	t->vips = map_memory(t->skel->maps.vips);
	t->vservers = map_memory(t->skel->maps.vservers);
	t->services = map_memory(t->skel->maps.services);
	t->svc_load = map_memory(t->skel->maps.svc_load);
	t->lb_table = map_memory(t->skel->maps.lb_table);
	t->node_bkts = map_memory(t->skel->maps.node_bkts);
	t->core_bkts = map_memory(t->skel->maps.core_bkts);
	t->nodes = map_memory(t->skel->maps.nodes);
	t->engines = map_memory(t->skel->maps.engines);
	t->flows = map_memory(t->skel->maps.flows);
	t->flowtab = (struct flowtab){ .mask = flow_sets - 1,
				       .sets = t->flows,
				       .vservers = t->vservers };
	port_add(t, t->in0);
	port_add(t, t->out0);
	port_add(t, t->small0);
	iface_add(t, t->in0, 0);
	iface_add(t, t->out0, 1);
	iface_add(t, t->small0, 2);
	progtest_reset(t);
}

void progtest_close(struct progtest *t)
{
	steer_bpf__destroy(t->skel);
	free(t->toeplitz);
}

void progtest_reset(struct progtest *t)
{
	memset(t->vips, 0, sizeof(*t->vips) * VIP_BUCKETS);
	memset(t->vservers, 0, sizeof(*t->vservers) * 64);
	memset(t->services, 0, sizeof(*t->services) * 64);
	memset(t->svc_load, 0, sizeof(*t->svc_load) * 64);
	memset(t->flows, 0, sizeof(*t->flows) * (t->flowtab.mask + 1));
	memset(t->node_bkts, 0, sizeof(*t->node_bkts) * NODE_BUCKETS);
	memset(t->nodes, 0, sizeof(*t->nodes) * NODES_MAX);
	memset(t->core_bkts, 0xff, sizeof(*t->core_bkts) * CORE_BUCKETS);
	memset(t->conf, 0, sizeof(*t->conf));
	t->lb_used = 0;
	t->conf->abi = MAP_ABI_VERSION;
	t->conf->flow_sets = t->flowtab.mask + 1;
	t->conf->nat_count = 2;
	t->conf->nat[0] = pktbuild_addr("10.0.1.1");
	t->conf->nat[1] = pktbuild_addr("fd00:1::1");
	t->conf->tunnel_src4 = pktbuild_addr("10.0.1.1");
	t->conf->tunnel_src6 = pktbuild_addr("fd00:1::1");
	t->conf->gue_port = be16(6080);
	progtest_vip(t, "10.0.1.1", VIP_NAT, 0);
	progtest_vip(t, "fd00:1::1", VIP_NAT, 1);
}

void progtest_vip(struct progtest *t, const char *addr, enum vip_kind kind,
		  uint32_t index)
{
	union ip_addr a = pktbuild_addr(addr);

	assert(!vip_put(t->vips, &a, 0, 0, kind, index));
}

void progtest_service(struct progtest *t, uint32_t id, const char *addr,
		      uint16_t port)
{
	struct service *s = &t->services[id];

	memset(s, 0, sizeof(*s));
	s->addr = pktbuild_addr(addr);
	s->port = be16(port);
	s->state = SVC_UP;
	s->weight_scale = 256;
}

void progtest_vserver(struct progtest *t, uint32_t id, const char *addr,
		      uint16_t port, uint8_t proto, enum fwd_mode mode,
		      enum setup_mode setup, uint32_t first, uint32_t count)
{
	struct vserver *v = &t->vservers[id];
	union ip_addr a = pktbuild_addr(addr);

	memset(v, 0, sizeof(*v));
	v->addr = a;
	v->port = be16(port);
	v->proto = proto;
	v->mode = (uint8_t)mode;
	v->setup = (uint8_t)setup;
	v->flags = VS_ENABLED;
	v->hash_dst = toeplitz_dst(t->toeplitz, ip_addr_is_v4(&a), &a, v->port);
	v->syn_s = 30;
	v->est_s = 3600;
	v->fin_s = 30;
	v->udp_s = 60;
	v->persist_s = 60;
	for (uint32_t i = 0; count && i < LB_SLOTS; i++)
		t->lb_table[t->lb_used + i].service = first + i % count;
	v->lb = SPAN(t->lb_used, count ? LB_SLOTS : 0);
	t->lb_used += LB_SLOTS;
	assert(!vip_put(t->vips, &a, v->port, proto, VIP_VSERVER, id));
	assert(!vip_put(t->vips, &a, 0, 0, VIP_ADDR, 0));
}

uint32_t progtest_hash(const struct progtest *t, const char *src,
		       const char *dst, uint16_t sport, uint16_t dport)
{
	union ip_addr s = pktbuild_addr(src), d = pktbuild_addr(dst);

	return toeplitz_hash(t->toeplitz, &s, &d, be16(sport), be16(dport));
}

static void insert(struct progtest *t, const struct flow *entry)
{
	struct flowtab_change ch;

	assert(flowtab_insert(&t->flowtab, entry, FLOW_WRITER_DAEMON,
			      flowtab_now_ns(), true, &ch) == FLOWTAB_INSERTED);
}

void progtest_flow(struct progtest *t, uint32_t vserver, const char *client,
		   uint16_t sport, uint32_t service, uint16_t nat_port,
		   uint32_t flags)
{
	const struct vserver *v = &t->vservers[vserver];
	const struct service *s = &t->services[service];
	union ip_addr c = pktbuild_addr(client);
	struct flow f = {};
	uint16_t nat = !ip_addr_is_v4(&s->addr);

	flags |= nat_port ? FLOW_F_NAT : 0;
	f.activity = FLOW_ACTIVITY(flow_tick(flowtab_now_ns()),
				   v->proto == 6 ? FLOW_TCP_ESTABLISHED : 0,
				   flags);
	f.hash = toeplitz_hash(t->toeplitz, &c, &v->addr, be16(sport), v->port);
	f.key.peer = c;
	f.key.sport = be16(sport);
	f.key.id = (uint16_t)vserver;
	f.key.kind = FLOW_FORWARD;
	f.key.proto = v->proto;
	f.service = service;
	f.pair_port = be16(nat_port);
	f.pair_id = nat;
	insert(t, &f);
	if (!nat_port)
		return;
	f.hash = toeplitz_hash(t->toeplitz, &s->addr, &t->conf->nat[nat],
			       s->port, be16(nat_port));
	f.key.peer = s->addr;
	f.key.sport = s->port;
	f.key.dport = be16(nat_port);
	f.key.id = nat;
	f.key.kind = FLOW_REVERSE;
	f.pair_addr = c;
	f.pair_port = be16(sport);
	f.pair_id = (uint16_t)vserver;
	insert(t, &f);
}

struct flow *progtest_find(struct progtest *t, uint32_t vserver,
			   const char *client, uint16_t sport,
			   struct flow *copy)
{
	const struct vserver *v = &t->vservers[vserver];
	struct flow_key key = { .peer = pktbuild_addr(client),
				.sport = be16(sport),
				.id = (uint16_t)vserver,
				.kind = FLOW_FORWARD,
				.proto = v->proto };
	uint32_t hash = toeplitz_hash(t->toeplitz, &key.peer, &v->addr,
				      be16(sport), v->port);

	return flowtab_find(&t->flowtab, hash, &key, copy, NULL);
}

/* ---- engines ------------------------------------------------------------ */

static int xsk_open(const struct progtest *t, int shared)
{
	static uint8_t umem[2048 * 8] __attribute__((aligned(4096)));
	struct xdp_umem_reg reg = { .addr = (uintptr_t)umem,
				    .len = sizeof(umem),
				    .chunk_size = 2048 };
	struct sockaddr_xdp sa = { .sxdp_family = AF_XDP,
				   .sxdp_ifindex = (uint32_t)t->in0,
				   .sxdp_flags = XDP_COPY };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), ring = 8;

	assert(fd >= 0);
	assert(!setsockopt(fd, SOL_XDP, XDP_RX_RING, &ring, sizeof(ring)));
	if (shared < 0) {
		assert(!setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg,
				   sizeof(reg)));
		assert(!setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &ring,
				   sizeof(ring)));
		assert(!setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring,
				   sizeof(ring)));
	} else {
		sa.sxdp_flags = XDP_SHARED_UMEM;
		sa.sxdp_shared_umem_fd = (uint32_t)shared;
	}
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		perror("AF_XDP bind");
		exit(1);
	}
	return fd;
}

void progtest_engines(struct progtest *t, unsigned int count)
{
	static int fds[ENGINES_MAX] = { [0 ... ENGINES_MAX - 1] = -1 };

	for (unsigned int i = 0; i < count; i++) {
		uint32_t key = XSK_INDEX(0, 0, i);

		if (fds[i] < 0)
			fds[i] = xsk_open(t, i ? fds[0] : -1);
		assert(!bpf_map__update_elem(t->skel->maps.xsks, &key,
					     sizeof(key), &fds[i],
					     sizeof(fds[i]), BPF_ANY));
		/* Nobody beats in a test: alive for as long as it runs. */
		t->engines[i].heartbeat_ns =
			flowtab_now_ns() + 3600ull * 1000000000ull;
		t->engines[i].state = ENGINE_RUNNING;
	}
	for (unsigned int b = 0; b < CORE_BUCKETS; b++)
		for (unsigned int i = 0; i < ENGINE_PREFS; i++)
			t->core_bkts[b].pref[i] =
				(uint8_t)(i < count ? i : ENGINE_NONE);
}

void progtest_engine_kill(struct progtest *t, unsigned int engine)
{
	uint32_t key = XSK_INDEX(0, 0, engine);

	bpf_map__delete_elem(t->skel->maps.xsks, &key, sizeof(key), 0);
}

/* ---- runs --------------------------------------------------------------- */

static const char *const counter_names[] = {
#define NAME_X(id, name, help) name,
	COUNTER_VERDICTS(NAME_X) COUNTER_EVENTS(NAME_X)
#undef NAME_X
};

const char *progtest_counter_name(int counter)
{
	return counter >= 0 && counter < CNT_MAX ? counter_names[counter] :
						   "none or several";
}

uint64_t progtest_counter(struct progtest *t, enum counter counter)
{
	uint64_t value[256] = {}, sum = 0;
	uint32_t key = counter;
	int cpus = libbpf_num_possible_cpus();

	assert(cpus > 0 && cpus <= 256);
	assert(!bpf_map__lookup_elem(t->skel->maps.counters, &key, sizeof(key),
				     value, sizeof(*value) * (size_t)cpus, 0));
	for (int i = 0; i < cpus; i++)
		sum += value[i];
	return sum;
}

#define VERDICT_X(id, name, help) CNT_##id,
static const enum counter verdicts[] = { COUNTER_VERDICTS(VERDICT_X) };
#define VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

void progtest_run(struct progtest *t, const void *data, size_t len,
		  int ifindex, struct progtest_result *ret)
{
	struct xdp_md in = { .data_end = (uint32_t)len,
			     .ingress_ifindex = (uint32_t)ifindex };
	uint64_t before[VERDICTS];
	uint8_t out[PKTBUILD_MAX + 512];
	struct xdp_md ctx_out;
	size_t moved = 0, other = 0;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data,
		    .data_size_in = (uint32_t)len, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &ctx_out,
		    .ctx_size_out = sizeof(ctx_out), .repeat = 1);

	/* The program is attached, too: the kernel's own multicast on the
	 * test's devices is counted beside the packet under test. What it
	 * passes by itself does not count as a second verdict. */
	for (size_t i = 0; i < VERDICTS; i++)
		before[i] = progtest_counter(t, verdicts[i]);
	if (bpf_prog_test_run_opts(t->prog_fd, &opts)) {
		perror("BPF_PROG_TEST_RUN");
		exit(1);
	}
	memset(ret, 0, sizeof(*ret));
	ret->action = opts.retval;
	ret->counter = -1;
	for (size_t i = 0; i < VERDICTS; i++) {
		uint64_t n = progtest_counter(t, verdicts[i]) - before[i];

		/* Multicast beside it ends in pass_other only. */
		if (verdicts[i] == CNT_PASS_OTHER &&
		    ret->action != XDP_PASS)
			continue;
		if (verdicts[i] == CNT_PASS_OTHER && n > 1)
			n = 1;
		if (verdicts[i] == CNT_PASS_OTHER)
			other = n;
		moved += n;
		if (n)
			ret->counter = (int)verdicts[i];
	}
	/* Passed under another name, and multicast meanwhile. */
	if (other && moved == 2) {
		moved = 1;
		for (size_t i = 0; i < VERDICTS; i++)
			if (verdicts[i] != CNT_PASS_OTHER &&
			    progtest_counter(t, verdicts[i]) != before[i])
				ret->counter = (int)verdicts[i];
	}
	if (moved != 1)
		ret->counter = -1;
	ret->len = opts.data_size_out;
	ret->has_meta = ctx_out.data - ctx_out.data_meta == sizeof(ret->meta);
	if (ret->has_meta) {
		memcpy(&ret->meta, out, sizeof(ret->meta));
		ret->len -= sizeof(ret->meta);
		memcpy(ret->data, out + sizeof(ret->meta), ret->len);
	} else {
		memcpy(ret->data, out, ret->len);
	}
}

bool progtest_check(struct progtest *t, const char *what,
		    const struct pktbuild *in, int ifindex, uint32_t action,
		    enum counter counter, const struct pktbuild *expected)
{
	struct progtest_result r;
	bool ok = true;

	progtest_run(t, in->data, in->len, ifindex, &r);
	if (r.action != action || r.counter != (int)counter) {
		fprintf(stderr, "%s: action %u (%s), expected %u (%s)\n", what,
			r.action, progtest_counter_name(r.counter), action,
			progtest_counter_name((int)counter));
		ok = false;
	}
	if (expected && (r.len != expected->len ||
			 memcmp(r.data, expected->data, r.len))) {
		fprintf(stderr, "%s: wrong bytes\n", what);
		pktbuild_dump("  sent", in->data, in->len);
		pktbuild_dump("  got", r.data, r.len);
		pktbuild_dump("  expected", expected->data, expected->len);
		ok = false;
	}
	return ok;
}
