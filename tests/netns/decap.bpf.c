// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes the outer headers off IPIP (all four mixes of families) and GUE
 * packets, at the back ends of the network tests: the kernels tested on need
 * not have ipip or fou devices. Attached natively to the back end's device;
 * whatever is no tunnel packet passes as it is.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define GUE_PORT 6080

/* Bytes of GUE header, and the protocol it carries; 0: not understood. */
static __always_inline int gue_len(const __u8 *gue, const void *end, __u8 *proto)
{
	if ((const void *)(gue + 4) > end)
		return 0;
	if (gue[0] >> 6 == 1) { /* variant 1: an IP header follows directly */
		*proto = gue[0] >> 4 == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
		return -1;
	}
	if (gue[0] >> 5 != 0) /* variant 0, no control message */
		return 0;
	*proto = gue[1];
	return 4 + (gue[0] & 0x1f) * 4;
}

SEC("xdp")
int decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, copy;
	int len, gue = 0;
	__u8 proto;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end || ip->ihl != 5 ||
		    ip->frag_off & bpf_htons(0x3fff))
			return XDP_PASS;
		proto = ip->protocol;
		len = sizeof(*ip);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = (void *)(eth + 1);

		if ((void *)(ip6 + 1) > end)
			return XDP_PASS;
		proto = ip6->nexthdr;
		len = sizeof(*ip6);
	} else {
		return XDP_PASS;
	}
	if (proto == IPPROTO_UDP) {
		struct udphdr *udp = (void *)(eth + 1) + len;

		if ((void *)(udp + 1) > end ||
		    udp->dest != bpf_htons(GUE_PORT))
			return XDP_PASS;
		gue = gue_len((void *)(udp + 1), end, &proto);
		if (!gue)
			return XDP_PASS;
		len += sizeof(*udp) + (gue < 0 ? 0 : gue);
	}
	if (proto != IPPROTO_IPIP && proto != IPPROTO_IPV6)
		return XDP_PASS;
	copy = *eth;
	copy.h_proto = proto == IPPROTO_IPIP ? bpf_htons(ETH_P_IP)
					     : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(ctx, len))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	*eth = copy;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
