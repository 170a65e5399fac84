/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few words that BPF and host spell differently: inlining, single loads
 * and stores, compiler barriers and 32-bit compare-and-swap.
 *
 * Memory order: BPF (-mcpu=v3) has no acquire loads or release stores. On
 * x86-64 plain loads and stores are ordered as the flow table needs them, so
 * a compiler barrier is enough; the host side uses the C11 orders everywhere.
 * cmpxchg_u32() is a full barrier on both sides.
 */
#ifndef SLUICE_COMPILER_H
#define SLUICE_COMPILER_H

#include <stddef.h>
#include <stdbool.h>
#include <linux/types.h>

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#else
#ifndef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#endif
#ifndef barrier
#define barrier() __asm__ volatile("" ::: "memory")
#endif
#endif

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* Before a loop of constant count. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
/* The opposite: slow paths, where unrolling costs stack. */
#ifdef __clang__
#define ROLLED _Pragma("nounroll")
#else
#define ROLLED _Pragma("GCC unroll 1")
#endif

#define read_once(x) (*(const volatile __typeof__(x) *)&(x))
#define write_once(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#ifdef __bpf__
#define load_acquire_u32(p)                                                    \
	({                                                                     \
		__u32 v__ = *(const volatile __u32 *)(p);                      \
		barrier();                                                     \
		v__;                                                           \
	})
/* All loads before stay before what follows: x86-64 does that anyway. */
#define read_barrier() barrier()
#else
#define load_acquire_u32(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define read_barrier() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif

/* Returns what was there: equal to `old` means done. */
static __always_inline __u32 cmpxchg_u32(__u32 *p, __u32 old, __u32 new_value)
{
	return __sync_val_compare_and_swap(p, old, new_value);
}

/* Constants on both sides; variables cost one instruction. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define be16(x) ((__be16)__builtin_bswap16((__u16)(x)))
#define be32(x) ((__be32)__builtin_bswap32((__u32)(x)))
#else
#define be16(x) ((__be16)(x))
#define be32(x) ((__be32)(x))
#endif
#define from_be16(x) ((__u16)be16(x))
#define from_be32(x) ((__u32)be32(x))

#endif
