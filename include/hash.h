/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Toeplitz hash with one global 40-byte key, as defined by Microsoft for RSS.
 *
 * The hash is linear: it is the XOR of one 32-bit word per input byte, and
 * that word depends on the byte's position and value only. So it is computed
 * from tables, one of 256 words per position, and may be split: the half of
 * the destination is known for every vserver beforehand (vserver.hash_dst).
 *
 * Input order, both families: source address, destination address, source
 * port, destination port. IPv4 is hashed as 4-byte addresses: it uses the
 * first 12 positions of the same table. Position → offset in the table:
 * position * 256.
 *
 * Who builds tables: the loader, before the program is loaded (rodata), and
 * engines for themselves. Compiles for BPF and for the host.
 */
#ifndef SLUICE_HASH_H
#define SLUICE_HASH_H

#include "compiler.h"
#include "ip_addr.h"

#define TOEPLITZ_KEY_LEN 40
#define TOEPLITZ_POSITIONS 36 /* 16 + 16 + 2 + 2 */
#define TOEPLITZ_TABLE_LEN (TOEPLITZ_POSITIONS * 256)

/* The published verification key, and one that hashes both directions of a
 * connection alike (16 bits repeated). */
#define TOEPLITZ_KEY_DEFAULT                                                   \
	{ 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,          \
	  0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,          \
	  0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,          \
	  0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa }
#define TOEPLITZ_KEY_SYMMETRIC                                                 \
	{ 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,          \
	  0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,          \
	  0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,          \
	  0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a }

/* Byte i, in memory order, of a word in network order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TOEPLITZ_BYTE(word, i, bytes) ((__u32)(word) >> ((i) * 8) & 0xff)
#else
#define TOEPLITZ_BYTE(word, i, bytes)                                          \
	((__u32)(word) >> (((bytes) - 1 - (i)) * 8) & 0xff)
#endif

static __always_inline __u32 toeplitz_u32(const volatile __u32 *table,
					  __u32 pos, __be32 word)
{
	return table[(pos + 0) * 256 + TOEPLITZ_BYTE(word, 0, 4)] ^
	       table[(pos + 1) * 256 + TOEPLITZ_BYTE(word, 1, 4)] ^
	       table[(pos + 2) * 256 + TOEPLITZ_BYTE(word, 2, 4)] ^
	       table[(pos + 3) * 256 + TOEPLITZ_BYTE(word, 3, 4)];
}

static __always_inline __u32 toeplitz_u16(const volatile __u32 *table,
					  __u32 pos, __be16 word)
{
	return table[(pos + 0) * 256 + TOEPLITZ_BYTE(word, 0, 2)] ^
	       table[(pos + 1) * 256 + TOEPLITZ_BYTE(word, 1, 2)];
}

static __always_inline __u32 toeplitz_v6(const volatile __u32 *table, __u32 pos,
					 const union ip_addr *addr)
{
	return toeplitz_u32(table, pos, addr->w[0]) ^
	       toeplitz_u32(table, pos + 4, addr->w[1]) ^
	       toeplitz_u32(table, pos + 8, addr->w[2]) ^
	       toeplitz_u32(table, pos + 12, addr->w[3]);
}

/* The source's half of the hash; port 0 adds nothing (2-tuple). */
static __always_inline __u32 toeplitz_src(const volatile __u32 *table, bool v4,
					  const union ip_addr *addr,
					  __be16 port)
{
	if (v4)
		return toeplitz_u32(table, 0, addr->w[3]) ^
		       toeplitz_u16(table, 8, port);
	return toeplitz_v6(table, 0, addr) ^ toeplitz_u16(table, 32, port);
}

/* The destination's half: vserver.hash_dst. */
static __always_inline __u32 toeplitz_dst(const volatile __u32 *table, bool v4,
					  const union ip_addr *addr,
					  __be16 port)
{
	if (v4)
		return toeplitz_u32(table, 4, addr->w[3]) ^
		       toeplitz_u16(table, 10, port);
	return toeplitz_v6(table, 16, addr) ^ toeplitz_u16(table, 34, port);
}

/* The whole hash; ports 0: the published 2-tuple hash. */
static __always_inline __u32 toeplitz_hash(const volatile __u32 *table,
					   const union ip_addr *src,
					   const union ip_addr *dst,
					   __be16 sport, __be16 dport)
{
	bool v4 = ip_addr_is_v4(src);

	return toeplitz_src(table, v4, src, sport) ^
	       toeplitz_dst(table, v4, dst, dport);
}

#ifndef __bpf__
/* 32 bits of the key, from bit `bit` on; zeros after its end. */
static inline __u32 toeplitz_window(const __u8 key[TOEPLITZ_KEY_LEN],
				    unsigned int bit)
{
	__u32 w = 0;

	for (unsigned int i = bit; i < bit + 32; i++)
		w = w << 1 | (i < TOEPLITZ_KEY_LEN * 8 &&
			      (key[i / 8] >> (7 - i % 8) & 1));
	return w;
}

/* Fills TOEPLITZ_TABLE_LEN words. */
static inline void toeplitz_tables_build(const __u8 key[TOEPLITZ_KEY_LEN],
					 __u32 *table)
{
	for (unsigned int pos = 0; pos < TOEPLITZ_POSITIONS; pos++) {
		for (unsigned int value = 0; value < 256; value++) {
			__u32 h = 0;

			for (unsigned int b = 0; b < 8; b++)
				if (value & 0x80 >> b)
					h ^= toeplitz_window(key, pos * 8 + b);
			table[pos * 256 + value] = h;
		}
	}
}

/* The definition, bit by bit: for tests and for `sluice hash`. */
static inline __u32 toeplitz_reference(const __u8 key[TOEPLITZ_KEY_LEN],
				       const __u8 *input, size_t len)
{
	__u32 h = 0;

	for (size_t i = 0; i < len * 8; i++)
		if (input[i / 8] & 0x80 >> i % 8)
			h ^= toeplitz_window(key, (unsigned int)i);
	return h;
}
#endif

#endif
