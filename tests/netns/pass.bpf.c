// SPDX-License-Identifier: GPL-2.0-only
/*
 * Passes everything. At the far end of a veth whose near end transmits by XDP:
 * only a device with NAPI takes such frames, and on Linux 6.18 switching GRO on
 * was found not to be enough.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
