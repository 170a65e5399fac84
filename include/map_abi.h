/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What XDP programs, engines and daemon share: the values of the pinned maps.
 * Whoever changes a layout here raises MAP_ABI_VERSION; a daemon refuses pins
 * of a newer version and says so.
 *
 * Writers: the daemon alone writes conf, vips, vservers, services, members,
 * lb_table, node_bkts, core_bkts, ifaces, ports, nodes. Each word is stored
 * whole, and every mix of old and new words is valid, because tables are
 * filled before the word that points to them is stored.
 * The flow table has many writers: see flow.h.
 */
#ifndef SLUICE_MAP_ABI_H
#define SLUICE_MAP_ABI_H

#include <linux/types.h>
#include "limits.h"
#include "ip_addr.h"

#define MAP_ABI_VERSION 1

/* ---- map "vips": what an address means -------------------------------- */

enum vip_kind {
	VIP_NONE = 0,
	VIP_VSERVER = 1, /* addr+port+proto of a vserver; index: vserver id */
	VIP_ADDR = 2,	 /* address of some vserver; port, proto 0 */
	VIP_NAT = 3,	 /* NAT source address; index: into conf.nat */
	VIP_TUNNEL = 4,	 /* decapsulate what arrives here */
};

struct vip_slot {
	union ip_addr addr;
	__be16 port; /* 0 with VIP_ADDR, VIP_NAT, VIP_TUNNEL */
	__u8 proto;  /* IPPROTO_TCP, IPPROTO_UDP; 0 as port */
	__u8 kind;   /* enum vip_kind; stored last, cleared first */
	__u32 index;
	__u64 pad;
};

#define VIP_WAYS 4

/* Value of "vips": an array of VIP_BUCKETS. A key lives in the bucket of
 * vip_hash() or in that of its upper half (vip.h), nowhere else. */
struct vip_bucket {
	struct vip_slot slot[VIP_WAYS];
};

#define VIP_BUCKETS 16384 /* ≥ 4 slots per vserver, its address, and others */

_Static_assert(sizeof(struct vip_slot) == 32, "ABI");

/* ---- map "vservers" --------------------------------------------------- */

enum fwd_mode {
	FWD_NAT = 0, /* full NAT: both directions pass here */
	FWD_DSR_L2 = 1,
	FWD_DSR_IPIP = 2, /* IPIP, or IP6IP6 / mixed families */
	FWD_DSR_GUE = 3,
};

enum setup_mode {
	SETUP_ENGINE = 0,  /* an engine decides the first packet */
	SETUP_KERNEL = 1,  /* XDP chooses from lb_table and records the flow */
	SETUP_INSPECT = 2, /* as ENGINE, and all packets go through it */
};

enum lb_method {
	LB_MAGLEV = 0,
	LB_ROUND_ROBIN = 1,
	LB_WEIGHTED_ROUND_ROBIN = 2,
	LB_LEAST_CONNECTIONS = 3,
	LB_SOURCE_HASH = 4,
	LB_LEAST_RESPONSE = 5,
	LB_LEAST_LOAD = 6,
};

enum vserver_flag {
	VS_ENABLED = 1 << 0,
	VS_PERSIST = 1 << 1,	/* by source address, persist_s seconds */
	VS_DOWN_FLUSH = 1 << 2, /* flows of a DOWN service are reset */
	VS_DOWN_RESET = 1 << 3, /* no service: RST / unreachable, else drop */
};

/* A range of another table, stored as one word so that it changes at once. */
#define SPAN(off, len) ((__u64)(off) << 32 | (__u32)(len))
#define SPAN_OFF(span) ((__u32)((span) >> 32))
#define SPAN_LEN(span) ((__u32)(span))

/* Value of "vservers", key: vserver id 1..VSERVERS_MAX-1. */
struct vserver {
	union ip_addr addr;
	__be16 port;
	__u8 proto;
	__u8 mode;   /* enum fwd_mode */
	__u8 setup;  /* enum setup_mode */
	__u8 method; /* enum lb_method */
	__u8 flags;  /* enum vserver_flag */
	__u8 pad0;
	__u32 hash_dst; /* Toeplitz contribution of addr and port */
	__u32 backup;	/* vserver id used while no member is UP; 0: none */
	__u64 lb;	/* SPAN in "lb_table"; length 0: no service */
	__u64 members;	/* SPAN in "members" */
	__u64 entity;	/* cluster-wide unique id, never reused */
	__u32 syn_s;	/* idle time-outs of flow entries, seconds */
	__u32 est_s;
	__u32 fin_s;
	__u32 udp_s;
	__u32 persist_s;
	__u32 members_min; /* fewer healthy ones: the vserver is down */
	__u32 pad1[4];
	char name[NAME_LEN];
};

_Static_assert(sizeof(struct vserver) == 128, "ABI");

/* ---- maps "services", "svc_load", "members", "lb_table" --------------- */

enum svc_state {
	SVC_UNKNOWN = 0,
	SVC_DOWN = 1,
	SVC_UP = 2,
	SVC_OUT_OF_SERVICE = 3,
	SVC_GOING_OUT = 4,	/* draining: established flows go on */
	SVC_DOWN_GOING_OUT = 5, /* draining, and its probes fail */
};

/* In service.load: above the monitor's "load_max". Larger than any load, so such
 * a service is chosen after all that are not. */
#define SVC_LOAD_OVER (1u << 31)

/* Value of "services", key: service id 1..SERVICES_MAX-1. The first cache
 * line is what forwarding reads. */
struct service {
	union ip_addr addr;
	__be16 port;
	__u8 state;	   /* enum svc_state: takes new flows only if SVC_UP */
	__u8 pad0;
	__u16 weight_scale; /* 1..256: share of its weight it takes, in 1/256 */
	__u16 pad1;
	__u64 entity;	   /* cluster-wide unique id, never reused */
	__u32 conns_max;   /* 0: no limit */
	__u32 response_us; /* mean response time; 0: not known */
	__u32 load;	   /* custom load; 0: not known; bit 31: SVC_LOAD_OVER */
	__u32 state_gen;   /* counts changes of state */
	__u32 pad2[4];
	char name[NAME_LEN];
	__u32 pad3[8];
};

_Static_assert(sizeof(struct service) == 128, "ABI");

/* Value of "svc_load", key: service id. All writers add atomically. */
struct svc_load {
	__u64 conns;	  /* open flows (flow_is_open) now; below 0 while
			     counting */
	__u64 conns_total;
	__u64 unanswered; /* attempts that timed out in SYN state */
	__u64 resets;	  /* attempts answered by RST */
	__u64 established;
	__u64 pad[3];
};

_Static_assert(sizeof(struct svc_load) == 64, "ABI");

/* Value of "members", indexed by vserver.members. */
struct member {
	__u32 service; /* service id */
	__u16 weight;  /* 1..65535 */
	__u16 pad;
};

/* Value of "lb_table": __u32 service id, indexed by vserver.lb:
 * slot = ((__u64)lb_mix(hash) * SPAN_LEN) >> 32, see lb.h. */

/* ---- tiers ------------------------------------------------------------ */

/* Value of "node_bkts", key: hash & (NODE_BUCKETS - 1). */
struct node_bucket {
	__u8 owner;
	__u8 prev;   /* owner before the last change: mid-flow misses go there */
	__u8 second; /* keeps the mirror of its flows */
	__u8 pad;
};

/* Value of "core_bkts", key: (hash >> NODE_BUCKET_BITS) & (CORE_BUCKETS-1). */
struct core_bucket {
	__u8 pref[ENGINE_PREFS]; /* engine slots, best first; 0xff: end */
};

#define ENGINE_NONE 0xff

/* Key of "xsks". iface: slot from "ifaces". */
#define XSK_INDEX(iface, queue, engine)                                        \
	((((iface) * QUEUES_MAX) + (queue)) * ENGINES_MAX + (engine))

/* Value of "ifaces", key: ifindex. */
struct iface {
	__u32 slot;   /* 0..IFACES_MAX-1 */
	__u32 queues; /* RX queues with sockets */
	__u8 mac[6];
	__u8 pad[2];
};

/* Value of "nodes", key: node id: how a packet of another node's bucket is
 * sent there. */
struct node_info {
	union ip_addr addr; /* back plane address */
	__u8 flags;	    /* NODE_* */
	__u8 pad[15];
};

enum node_flag {
	NODE_PRESENT = 1 << 0,
	NODE_SAME_SEGMENT = 1 << 1, /* MAC rewrite does; otherwise tunnel */
};

/* ---- map "engines": heartbeat and load -------------------------------- */

enum engine_state {
	ENGINE_EMPTY = 0,
	ENGINE_STARTING = 1,
	ENGINE_RUNNING = 2,
	ENGINE_STOPPING = 3, /* takes no new work, finishes what it holds */
};

/* Value of "engines", key: engine slot. Written by that engine, but for pid,
 * epoch and state, which are the daemon's. */
struct engine_info {
	__u64 heartbeat_ns; /* CLOCK_MONOTONIC; XDP passes by an older one */
	__u32 state;	    /* enum engine_state */
	__u32 pid;
	__u32 epoch; /* counts starts of this slot */
	__u32 load;  /* busy share of the last second, 1/1000 */
	__u64 rx;
	__u64 tx;
	__u64 setups;
	__u64 setup_failures;
	__u64 dropped;
	__u64 held; /* frames in its hands now */
	__u64 swept; /* flow entries aged out */
	/* Evictions by its insertions, as counters flow_evict_* of XDP. */
	__u64 evict_idle;
	__u64 evict_closed;
	__u64 evict_half;
	__u64 evict_live;
	__u64 lock_stolen;
	__u64 reserved;
};

_Static_assert(sizeof(struct engine_info) == 128, "ABI");

/* XDP passes by an engine whose heartbeat is older than this. An idle engine
 * beats every 20 ms. */
#define ENGINE_SILENT_NS 200000000ull

/* ---- map "conf" ------------------------------------------------------- */

/* Value of "conf", one entry. */
struct dp_conf {
	__u32 abi;	  /* MAP_ABI_VERSION */
	__u32 generation; /* counts applied configurations */
	__u32 node_id;
	__u32 flow_sets;  /* number of sets: a power of two */
	__u32 key_id;	  /* crc of the RSS key: flows are only valid with it */
	__u32 nat_count;
	__u64 daemon_ns;  /* heartbeat of the daemon, CLOCK_MONOTONIC */
	union ip_addr nat[NAT_ADDRS_MAX];
	union ip_addr tunnel_src4; /* outer source of IPIP and GUE */
	union ip_addr tunnel_src6;
	__be16 gue_port;  /* destination port of GUE, default 6080 */
	__u16 pad[3];
	__u64 program;	  /* which program is pinned (loader.h); 0: unknown */
};

/* ---- packets handed to engines ---------------------------------------- */

enum steer_reason {
	STEER_NEW = 1,	      /* no flow entry: decide */
	STEER_INSPECT = 2,    /* already rewritten and addressed: judge, send */
	STEER_NO_NEIGH = 3,   /* already rewritten: send by the kernel's stack */
	STEER_NO_SERVICE = 4, /* answer as the vserver says */
	STEER_FRAGMENT = 5,   /* fragment before its first one */
	STEER_ICMP = 6,	      /* echo request to a VIP, or an odd ICMP */
};

/* In the XDP metadata area just before the packet, 32 bytes. */
struct pkt_meta {
	__u32 hash;
	__u32 ifindex;	/* STEER_INSPECT: where to send; else: arrived on */
	__u32 service;	/* STEER_INSPECT, STEER_NO_NEIGH: service id */
	__u16 vserver;	/* vserver id; 0: not known */
	__u8 reason;	/* enum steer_reason */
	__u8 engine;	/* first of the preference list: ≠ own: diverted */
	__u16 l3_off;	/* from the start of the packet */
	__u16 l4_off;	/* 0: no layer-4 header */
	__u8 l4_proto;
	__u8 queue;
	__u16 pad;
	__u32 flow_index; /* set * FLOW_WAYS + way, STEER_INSPECT */
	__u32 magic;	  /* PKT_META_MAGIC */
};

#define PKT_META_MAGIC 0x51c3d001u

_Static_assert(sizeof(struct pkt_meta) == 32, "ABI");

/* Value of "vs_stats" and "svc_stats" (per CPU), key: vserver, service id. */
struct traffic {
	__u64 packets;
	__u64 bytes;
	__u64 flows; /* set up by XDP */
};

#endif
