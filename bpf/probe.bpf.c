// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encapsulates probes to a VIP, so that they reach one back end by the way
 * that traffic does. The daemon makes it the output of a route to that VIP
 * (lwtunnel, type bpf): locally made packets come here before a neighbour is
 * asked for, get outer headers, and are routed anew by those. Replies need
 * nothing: they come from the VIP, plain, as to any client.
 *
 * Which back end is meant says the socket's port, or an echo request's
 * identifier (probe_tunnel.h). What is not a prober's is dropped: the node has
 * no other use for that route.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "compiler.h"
#include "encap.h"
#include "headers.h"
#include "icmp.h"
#include "probe_tunnel.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct probe_tunnel);
	__uint(max_entries, PROBE_TUNNEL_PORTS);
	__uint(map_flags, BPF_F_MMAPABLE);
} probe_tunnels SEC(".maps");

/* Outer source addresses, destination port of GUE. */
union ip_addr source4, source6;
__be16 gue_port;

/* Where the transport header starts; 0: in no packet of a probe, or a
 * fragment. */
static __always_inline __u32 l4_off(struct __sk_buff *skb, bool v6, __u8 *proto)
{
	struct ip4_hdr ip4;
	struct ip6_hdr ip6;

	if (v6) {
		if (bpf_skb_load_bytes(skb, 0, &ip6, sizeof(ip6)))
			return 0;
		*proto = ip6.next;
		return sizeof(ip6);
	}
	if (bpf_skb_load_bytes(skb, 0, &ip4, sizeof(ip4)) ||
	    ip4.frag & be16(0x3fff))
		return 0;
	*proto = ip4.proto;
	return (ip4.ver_ihl & 15) * 4u;
}

/* The entry that the packet's sender would have. False: no packet of a probe. */
static __always_inline bool index_of(struct __sk_buff *skb, bool v6,
				     __u32 *ret_index)
{
	enum probe_tunnel_space space;
	struct icmp_hdr icmp;
	__u8 proto = 0;
	__u32 off = l4_off(skb, v6, &proto);
	__be16 port;

	if (!off)
		return false;
	if (proto == (v6 ? PROTO_ICMP6 : PROTO_ICMP)) {
		if (bpf_skb_load_bytes(skb, off, &icmp, sizeof(icmp)) ||
		    icmp.type != (v6 ? ICMP6_ECHO : ICMP4_ECHO))
			return false;
		space = PROBE_TUNNEL_ECHO;
		port = icmp.id;
	} else if (proto == PROTO_TCP || proto == PROTO_UDP) {
		if (bpf_skb_load_bytes(skb, off, &port, sizeof(port)))
			return false;
		space = proto == PROTO_UDP ? PROBE_TUNNEL_UDP :
					     PROBE_TUNNEL_TCP;
	} else {
		return false;
	}
	*ret_index = probe_tunnel_index(space, from_be16(port));
	return true;
}

SEC("lwt_xmit")
int probe_out(struct __sk_buff *skb)
{
	bool v6 = skb->protocol == be16(ETH_P_IPV6), v4;
	__u8 head[ENCAP_MAX] = { 0 };
	const struct probe_tunnel *t;
	struct encap e = { 0 };
	__u32 key, len;

	if (!index_of(skb, v6, &key))
		return BPF_DROP;
	t = bpf_map_lookup_elem(&probe_tunnels, &key);
	if (!t || t->kind == PROBE_TUNNEL_NONE)
		return BPF_DROP;
	e.dst = t->outer;
	v4 = ip_addr_is_v4(&e.dst);
	e.src = v4 ? source4 : source6;
	if (t->kind == PROBE_TUNNEL_GUE)
		e.gue_port = gue_port;
	e.inner_len = (__u16)skb->len;
	e.inner_v6 = v6;
	e.hash = key;
	if (!encap_write(head, head + sizeof(head), &e))
		return BPF_DROP;
	len = encap_len(v4, e.gue_port != 0, false);
	if (len > sizeof(head) ||
	    bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, head, len))
		return BPF_DROP;
	return BPF_LWT_REROUTE;
}

char LICENSE[] SEC("license") = "GPL";
