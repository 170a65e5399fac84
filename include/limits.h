/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every bound of the product, with its reason. Shared by BPF and user space.
 * A bound that is part of the map ABI says so: changing it means a new
 * MAP_ABI_VERSION.
 */
/* This file hides the system's of the same name: hand that one on, each time,
 * since it has several steps of its own. */
#ifndef __bpf__
#include_next <limits.h>
#endif

#ifndef SLUICE_LIMITS_H
#define SLUICE_LIMITS_H

/* ---- chassis ---------------------------------------------------------- */

/* Nodes of a cluster, ids 0..31: a node set is one 32-bit word. (ABI) */
#define NODES_MAX 32
/* Engines of a node: four bits in the XSKMAP index. (ABI) */
#define ENGINES_MAX 16
/* Engines an XDP program tries for one packet before it counts a drop. (ABI) */
#define ENGINE_PREFS 8
/* Interfaces one node attaches to. (ABI: XSKMAP index) */
#define IFACES_MAX 8
/* RX queues per interface that get AF_XDP sockets. (ABI: XSKMAP index) */
#define QUEUES_MAX 64

/* Probers of a node: a set of them is one 64-bit word. */
#define PROBERS_MAX 64
/* Bindings (service, monitor) of a node: shared status table, 64 MiB sparse. */
#define BINDINGS_MAX (8 * 131072)

/* ---- indirection tables (ABI) ----------------------------------------- */

/* Cluster tier: low bits of the hash. 128 per node at 32 nodes. */
#define NODE_BUCKETS 4096
#define NODE_BUCKET_BITS 12
/* Core tier: the next bits of the hash. 64 per engine at 16 engines. */
#define CORE_BUCKETS 1024
#define CORE_BUCKET_BITS 10

/* ---- configuration objects -------------------------------------------- */

/* Vserver ids are 16 bits in flow entries; 0 means none. (ABI) */
#define VSERVERS_MAX 4096
/* Service ids; 0 means none. The goal is 70 000 services. (ABI) */
#define SERVICES_MAX 131072
/* Bindings of all vservers together: each service in a few vservers. */
#define MEMBERS_MAX (4 * SERVICES_MAX)
/* Look-up table entries of all vservers together (16 MiB). */
#define LB_ENTRIES_MAX (1 << 22)
/* Largest Maglev table of one vserver: a prime, 100 × 655 services. */
#define LB_SIZE_MAX 65521
/* Source addresses for full NAT: an 8-bit index would do, keep scans short. */
#define NAT_ADDRS_MAX 8
#define MONITORS_MAX 4096
/* Monitors bound to one service. */
#define BINDINGS_PER_SERVICE_MAX 16
/* Names: letters, digits, '.', '_', '-', ':'; with the closing NUL. (ABI) */
#define NAME_LEN 32

/* Domain-based services. A DNS name has 253 characters as text (RFC 1035). */
#define DOMAIN_LEN 254
/* Asked again when the answer's TTL is over, but neither all the time nor
 * never; after a failure after 1, 2, 4 … 60 s. */
#define NAME_TTL_MIN_S 1
#define NAME_TTL_MAX_S 3600
#define NAME_RETRY_MIN_S 1
#define NAME_RETRY_MAX_S 60
/* Questions of a prober that are out at once: what a resolver takes without
 * dropping them; the others wait their turn. */
#define NAMES_IN_FLIGHT_MAX 256
/* Sockets to servers: c-ares has one or two for each. */
#define NAME_SOCKETS_MAX 32

/* ---- flow table ------------------------------------------------------- */

/* Ways of a set: one set is 512 bytes, eight cache lines. (ABI) */
#define FLOW_WAYS 8
/* Flow sets: 2^6 (test) to 2^24 (8 GiB, 134 M entries). */
#define FLOW_SETS_LOG2_MIN 6
#define FLOW_SETS_LOG2_MAX 24

/* ---- engines ---------------------------------------------------------- */

/* Frames of one queue's pool: 4 ms at 1 M packets/s, 8 MiB. A power of two.
 * Nodes with more than 8 queues get less each: the memory is pinned. */
#define ENGINE_FRAMES_DEFAULT 4096
#define ENGINE_FRAMES_MIN 256
/* TX ring of an engine's socket: a few batches; more only adds delay. */
#define ENGINE_TX_RING 2048
/* An engine that was silent so long is killed and started anew; XDP has been
 * passing it by since ENGINE_SILENT_NS. */
#define ENGINE_HUNG_MS 2000
/* Restart of a dead engine: first pause, longest, and the run time after
 * which it counts as healthy again. */
#define ENGINE_BACKOFF_MIN_MS 50
#define ENGINE_BACKOFF_MAX_MS 5000
#define ENGINE_HEALTHY_MS 10000

/* ---- files and messages ----------------------------------------------- */

/* A configuration file: 70 000 services take about 12 MiB. */
#define CONFIG_BYTES_MAX (64 << 20)
/* One API request body: a whole configuration. */
#define API_BODY_MAX CONFIG_BYTES_MAX

#endif
