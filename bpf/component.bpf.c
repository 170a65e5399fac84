// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands for us among the programs of a libxdp dispatcher. Its members
 * cannot be exchanged in one step; a tail call's target can. So this one is
 * put there once, and calls whatever program `current` holds.
 *
 * libxdp's defaults apply: priority 50, and only what is passed goes on to the
 * next program. Without a target, everything is passed.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} current SEC(".maps");

SEC("xdp")
int sluice(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &current, 0);
	return XDP_PASS;
}
