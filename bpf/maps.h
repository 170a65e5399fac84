/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All maps. Layouts of values: include/map_abi.h, include/flow.h. No map asks
 * to be pinned: the loader pins them (BPFFS/maps/NAME), `bpftool prog load …
 * pinmaps DIR` and `ip link … xdp obj` work as well.
 *
 * MMAPABLE maps are memory of daemon and engines; the others are read by
 * system call.
 */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "map_abi.h"
#include "flow.h"
#include "counters.h"

#define FLOW_SETS_DEFAULT 64

/* A function that the verifier checks once, for any arguments, instead of at
 * each call: slow paths. Pointer arguments must be checked for NULL in it. */
#define SUBPROG __attribute__((noinline))

/* Private to the program: where packets for an address go, as the kernel's
 * routes and neighbours said within this tick (134 ms), per CPU. */
#define NEXTHOPS 4096

struct nexthop {
	union ip_addr dst;
	__u32 tick;	/* 1 + tick; 0: never filled */
	__u32 iif;
	__u32 ifindex;
	__u32 mac[3];	/* destination, then source, as in the frame */
	__u32 mtu;	/* 0: unknown */
	__u32 pad;
};

/* ICMP errors of our own: at most ICMP_PER_TICK per CPU and tick (134 ms). */
#define ICMP_PER_TICK 128

struct icmp_rate {
	__u32 tick;
	__u32 count;
};

#define ARRAY_MAP(name_, value_, entries_, flags_)                             \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_ARRAY);                              \
		__uint(max_entries, entries_);                                 \
		__type(key, __u32);                                            \
		__type(value, value_);                                         \
		__uint(map_flags, flags_);                                     \
	} name_ SEC(".maps")

#define PERCPU_MAP(name_, value_, entries_)                                    \
	struct {                                                               \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                       \
		__uint(max_entries, entries_);                                 \
		__type(key, __u32);                                            \
		__type(value, value_);                                         \
	} name_ SEC(".maps")

ARRAY_MAP(conf, struct dp_conf, 1, BPF_F_MMAPABLE);
ARRAY_MAP(vips, struct vip_bucket, VIP_BUCKETS, BPF_F_MMAPABLE);
ARRAY_MAP(vservers, struct vserver, VSERVERS_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(services, struct service, SERVICES_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(svc_load, struct svc_load, SERVICES_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(members, struct member, MEMBERS_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(lb_table, __u32, LB_ENTRIES_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(node_bkts, struct node_bucket, NODE_BUCKETS, BPF_F_MMAPABLE);
ARRAY_MAP(core_bkts, struct core_bucket, CORE_BUCKETS, BPF_F_MMAPABLE);
ARRAY_MAP(nodes, struct node_info, NODES_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(engines, struct engine_info, ENGINES_MAX, BPF_F_MMAPABLE);
ARRAY_MAP(flows, struct flow_set, FLOW_SETS_DEFAULT, BPF_F_MMAPABLE);

PERCPU_MAP(counters, __u64, CNT_MAX);
PERCPU_MAP(vs_stats, struct traffic, VSERVERS_MAX);
PERCPU_MAP(svc_stats, struct traffic, SERVICES_MAX);
PERCPU_MAP(nexthops, struct nexthop, NEXTHOPS);
PERCPU_MAP(icmp_rate, struct icmp_rate, 1);

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, IFACES_MAX * QUEUES_MAX * ENGINES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IFACES_MAX);
	__type(key, __u32);
	__type(value, struct iface);
} ifaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

#endif
