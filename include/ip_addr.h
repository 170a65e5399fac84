/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address type for both families: IPv4 is kept IPv4-mapped
 * (::ffff:a.b.c.d), so that keys of both families have one form.
 */
#ifndef SLUICE_IP_ADDR_H
#define SLUICE_IP_ADDR_H

#include <linux/types.h>

union ip_addr {
	__u8 b[16];
	__be32 w[4];
	__u64 d[2]; /* for comparison only: no byte order */
};

_Static_assert(sizeof(union ip_addr) == 16, "ABI");

/* ::ffff:0:0/96 as stored in w[2], whatever the host's byte order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define IP_ADDR_V4_PREFIX ((__be32)0xffff0000u)
#else
#define IP_ADDR_V4_PREFIX ((__be32)0x0000ffffu)
#endif

static inline __attribute__((always_inline)) void
ip_addr_set_v4(union ip_addr *addr, __be32 v4)
{
	/* As one word: it is read as one, and two stores would make the CPU
	 * wait for both to leave the store buffer. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	addr->d[0] = 0;
	addr->d[1] = (__u64)v4 << 32 | (__u32)IP_ADDR_V4_PREFIX;
#else
	addr->d[0] = 0;
	addr->d[1] = (__u64)(__u32)IP_ADDR_V4_PREFIX << 32 | v4;
#endif
}

/* 16 bytes of a packet, at any alignment. */
static inline __attribute__((always_inline)) void
ip_addr_set_v6(union ip_addr *addr, const void *bytes)
{
#ifdef __bpf__
	addr->d[0] = ((const __u64 *)bytes)[0];
	addr->d[1] = ((const __u64 *)bytes)[1];
#else
	__builtin_memcpy(addr, bytes, sizeof(*addr));
#endif
}

static inline __attribute__((always_inline)) int
ip_addr_is_v4(const union ip_addr *addr)
{
	return addr->d[0] == 0 && addr->w[2] == IP_ADDR_V4_PREFIX;
}

static inline __attribute__((always_inline)) int
ip_addr_equal(const union ip_addr *a, const union ip_addr *b)
{
	return ((a->d[0] ^ b->d[0]) | (a->d[1] ^ b->d[1])) == 0;
}

/* ---- what an address is good for (not for the packet path) -------------- */

/* ::, and all of 0.0.0.0/8: "this host", no address of a machine. */
static inline int ip_addr_is_unspecified(const union ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? addr->b[12] == 0 :
				     (addr->d[0] | addr->d[1]) == 0;
}

/* 127.0.0.0/8 and ::1: another machine on each node. */
static inline int ip_addr_is_loopback(const union ip_addr *addr)
{
	static const union ip_addr one = { .b = { [15] = 1 } };

	return ip_addr_is_v4(addr) ? addr->b[12] == 127 :
				     ip_addr_equal(addr, &one);
}

/* 224.0.0.0/3 (multicast, reserved, broadcast) and ff00::/8. */
static inline int ip_addr_is_multicast(const union ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? addr->b[12] >= 224 : addr->b[0] == 0xff;
}

#endif
