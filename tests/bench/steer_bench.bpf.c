// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP program inside a loop harness for BPF_PROG_TEST_RUN: each run puts
 * a fresh header into the frame, picks one of `bench_flows` clients with a
 * linear congruential generator, runs the program, and undoes what it did.
 * With bench_empty set it does all that without the program: the difference
 * is the program's cost. Repeating one packet would measure the cache only.
 *
 * An encapsulated frame is moved back before the next run; that step belongs
 * to the harness but is not in the empty run, so encapsulating modes look
 * about 2 ns slower than they are.
 */
#include "../../bpf/steer.bpf.c"

const volatile __u32 bench_flows = 1;
const volatile __u32 bench_empty = 0;
const volatile __u32 bench_new = 0; /* every run a client never seen */
const volatile __u32 bench_len = 60;
const volatile __u32 bench_v6 = 0;

#define BENCH_HEAD 72

struct bench_state {
	__u64 head[BENCH_HEAD / 8];
	__u32 lcg;
	__u32 fresh;
	__u64 moved; /* bytes the last run put in front */
};

ARRAY_MAP(bench, struct bench_state, 1, BPF_F_MMAPABLE);

/* Client number i: as bench_prog.c numbers them. */
static __always_inline void bench_client(void *data, __u32 i)
{
	if (bench_v6) {
		*(__u32 *)(data + 14 + 20) = be32(i >> 12);
		*(__u16 *)(data + 14 + 40) = be16(4096 + (i & 4095));
	} else {
		*(__u32 *)(data + 14 + 12) = be32(0xc6000000u + (i >> 12));
		*(__u16 *)(data + 14 + 20) = be16(4096 + (i & 4095));
	}
}

SEC("xdp")
int steer_bench(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct bench_state *b;
	__u32 zero = 0, i;
	int moved;
	__u64 len;

	b = bpf_map_lookup_elem(&bench, &zero);
	if (!b)
		return XDP_ABORTED;
	len = (__u64)(data_end - data);
	barrier_var(len); /* pointers are subtracted in 64 bits only */
	moved = (int)len - (int)bench_len;
	if (moved) {
		if (bpf_xdp_adjust_head(ctx, moved))
			return XDP_ABORTED;
		data = (void *)(long)ctx->data;
		data_end = (void *)(long)ctx->data_end;
	}
	if (data + BENCH_HEAD > data_end)
		return XDP_ABORTED;
	UNROLL
	for (i = 0; i < BENCH_HEAD / 8; i++)
		((__u64 *)data)[i] = b->head[i];
	if (bench_new) {
		i = b->fresh++;
	} else {
		b->lcg = b->lcg * 1664525u + 1013904223u;
		i = (b->lcg >> 4) & (bench_flows - 1);
	}
	bench_client(data, i);
	if (bench_empty)
		return XDP_TX;
	return verdict(steer_packet(ctx));
}
