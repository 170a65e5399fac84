/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packet headers as they are on the wire. On the host they are packed (any
 * alignment, for the sanitizers' sake); BPF reads words unaligned as they
 * are, and packing would make clang read bytes.
 */
#ifndef SLUICE_HEADERS_H
#define SLUICE_HEADERS_H

#include <linux/types.h>
#include "ip_addr.h"

#ifdef __bpf__
#define WIRE
#else
#define WIRE __attribute__((packed, aligned(1)))
#endif

#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_IP6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_TEB 0x6558 /* Ethernet in GRE */

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_IP4 4
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_IP6 41
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_GRE 47
#define PROTO_AH 51
#define PROTO_ICMP6 58
#define PROTO_NONE 59
#define PROTO_DSTOPTS 60

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define IP4_DF 0x4000
#define IP4_MF 0x2000
#define IP4_OFFSET 0x1fff

#define VXLAN_PORT 4789

struct eth_hdr {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
} WIRE;

struct vlan_hdr {
	__be16 tci;
	__be16 type;
} WIRE;

struct ip4_hdr {
	__u8 ver_ihl;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag;
	__u8 ttl;
	__u8 proto;
	__be16 csum;
	__be32 src;
	__be32 dst;
} WIRE;

struct ip6_hdr {
	__be32 ver_tc_flow;
	__be16 payload_len;
	__u8 next;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
} WIRE;

struct ip6_frag_hdr {
	__u8 next;
	__u8 reserved;
	__be16 offset; /* in 8 bytes << 3; bit 0: more follow */
	__be32 id;
} WIRE;

struct tcp_hdr {
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack;
	__u8 off; /* high nibble: header length in words */
	__u8 flags;
	__be16 window;
	__be16 csum;
	__be16 urgent;
} WIRE;

struct udp_hdr {
	__be16 sport;
	__be16 dport;
	__be16 len;
	__be16 csum;
} WIRE;

/* ICMP and ICMPv6; errors: the quoted packet follows. */
struct icmp_hdr {
	__u8 type;
	__u8 code;
	__be16 csum;
	__be16 id;  /* errors: unused, upper half of v6 MTU */
	__be16 seq; /* errors: v4: MTU; v6: lower half of MTU */
} WIRE;

struct gue_hdr {
	__u8 ver_hlen; /* version 2 bits, control 1, length 5 (in words) */
	__u8 proto;
	__be16 flags;
} WIRE;

/* Our private data behind a GUE header: between the nodes of a cluster. */
struct gue_private {
	__be32 magic;
	__be32 hash;
} WIRE;

#define GUE_PRIVATE_MAGIC 0x534c4331u /* "SLC1" */

struct gre_hdr {
	__be16 flags; /* 0x8000 checksum, 0x2000 key, 0x1000 sequence */
	__be16 proto;
} WIRE;

_Static_assert(sizeof(struct eth_hdr) == 14, "wire");
_Static_assert(sizeof(struct ip4_hdr) == 20, "wire");
_Static_assert(sizeof(struct ip6_hdr) == 40, "wire");
_Static_assert(sizeof(struct tcp_hdr) == 20, "wire");
_Static_assert(sizeof(struct icmp_hdr) == 8, "wire");

#endif
