// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live-frame generator: run by BPF_PROG_TEST_RUN with live frames, each run
 * writes one 64-byte UDP packet and sends it out by the device in "out". The
 * frame may come back changed from its last trip, so all of it is written.
 *
 * And what it is compared with: bare drop, transmit, redirect, AF_XDP. "drop"
 * counts, and is also what stands at the end of the way.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "../tests/bench/gen.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gen_conf);
} gen_conf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} count SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

static __always_inline __u32 next_flow(struct gen_conf *conf)
{
	__u32 flow;

	if (conf->order == GEN_RANDOM) {
		conf->state = conf->state * 6364136223846793005ull +
			      1442695040888963407ull;
		return ((conf->state >> 32) * conf->flows) >> 32;
	}
	flow = conf->next++;
	if (conf->order == GEN_SEQUENTIAL && conf->next >= conf->flows)
		conf->next = 0;
	return flow;
}

static __always_inline void write_udp(struct udphdr *udp, __u32 flow,
				      struct gen_conf *conf)
{
	udp->source = bpf_htons(1024 + (flow & 0x7fff));
	udp->dest = conf->dport;
	udp->len = bpf_htons(sizeof(*udp) + 2);
}

SEC("xdp")
int gen(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct gen_conf *conf;
	__u32 zero = 0, flow;

	conf = bpf_map_lookup_elem(&gen_conf, &zero);
	if (!conf || data + 64 > end)
		return XDP_DROP;
	flow = conf->base + next_flow(conf);
	__builtin_memcpy(eth->h_dest, conf->dst_mac, 6);
	__builtin_memcpy(eth->h_source, conf->src_mac, 6);
	if (conf->family == 4) {
		struct iphdr *ip = (void *)(eth + 1);
		struct udphdr *udp = (void *)(ip + 1);
		__u32 sum;

		eth->h_proto = bpf_htons(ETH_P_IP);
		*(__u32 *)ip = bpf_htonl(0x45000000 | (sizeof(*ip) + sizeof(*udp) + 2));
		*((__u32 *)ip + 1) = bpf_htonl(0x00004000);
		ip->ttl = 64;
		ip->protocol = IPPROTO_UDP;
		ip->saddr = bpf_htonl(0x64400000 + (flow >> 15));
		ip->daddr = conf->daddr4;
		ip->check = 0;
		sum = 0;
#pragma unroll
		for (int i = 0; i < 10; i++)
			sum += ((__u16 *)ip)[i];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		ip->check = ~sum;
		write_udp(udp, flow, conf);
		udp->check = 0;
	} else {
		struct ipv6hdr *ip6 = (void *)(eth + 1);
		struct udphdr *udp = (void *)(ip6 + 1);

		if ((void *)(udp + 1) > end)
			return XDP_DROP;
		eth->h_proto = bpf_htons(ETH_P_IPV6);
		*(__u32 *)ip6 = bpf_htonl(0x60000000);
		ip6->payload_len = bpf_htons(sizeof(*udp) + 2);
		ip6->nexthdr = IPPROTO_UDP;
		ip6->hop_limit = 64;
		ip6->saddr.in6_u.u6_addr32[0] = bpf_htonl(0x20010db8);
		ip6->saddr.in6_u.u6_addr32[1] = bpf_htonl(1);
		ip6->saddr.in6_u.u6_addr32[2] = 0;
		ip6->saddr.in6_u.u6_addr32[3] = bpf_htonl(flow >> 15);
		__builtin_memcpy(&ip6->daddr, conf->daddr6, 16);
		write_udp(udp, flow, conf);
		udp->check = 0xffff;
	}
	return bpf_redirect_map(&out, 0, XDP_DROP);
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&count, &zero);

	if (n)
		++*n;
	return XDP_DROP;
}

/* Touches the packet as a forwarder must: exchanges the MAC addresses. */
static __always_inline int swap_macs(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u8 mac[6];

	if ((void *)(eth + 1) > end)
		return -1;
	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	return 0;
}

SEC("xdp")
int transmit(struct xdp_md *ctx)
{
	return swap_macs(ctx) ? XDP_DROP : XDP_TX;
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	return swap_macs(ctx) ? XDP_DROP : bpf_redirect_map(&out, 0, XDP_DROP);
}

SEC("xdp")
int to_xsk(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}

char _license[] SEC("license") = "GPL";
