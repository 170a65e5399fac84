/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internet checksums (RFC 1071), whole and incremental (RFC 1624, equation 3).
 * A delta is the one's complement sum of what is added minus what goes; it may
 * be built from words of 16 or 32 bits in network order, in any mix.
 */
#ifndef SLUICE_CSUM_H
#define SLUICE_CSUM_H

#include "compiler.h"

static __always_inline __u16 csum_fold16(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

static __always_inline __u64 csum_delta32(__u64 delta, __be32 old, __be32 now)
{
	return delta + (__u32)~(__u32)old + (__u32)now;
}

static __always_inline __u64 csum_delta16(__u64 delta, __be16 old, __be16 now)
{
	return delta + (__u16)~(__u16)old + (__u16)now;
}

/* A checksum field after its data changed by delta. */
static __always_inline __be16 csum_apply(__be16 csum, __u64 delta)
{
	return (__be16)~csum_fold16(delta + (__u16)~(__u16)csum);
}

/* UDP: 0 means "none" in IPv4 and stays; a computed 0 is sent as ffff. */
static __always_inline __be16 csum_apply_udp(__be16 csum, __u64 delta)
{
	if (!csum)
		return 0;
	csum = csum_apply(csum, delta);
	return csum ? csum : (__be16)0xffff;
}

/* Sum of n 16-bit words; n constant in BPF. */
static __always_inline __u64 csum_words(const void *data, __u32 n, __u64 sum)
{
	__u32 i;

	for (i = 0; i < n; i++) {
		__u16 w;

		__builtin_memcpy(&w, (const char *)data + i * 2, 2);
		sum += w;
	}
	return sum;
}

#endif
