/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Builds packets for tests, layer by layer, outermost first; pktbuild_finish
 * fills lengths and checksums from the innermost layer outwards, with plain
 * code of its own that shares nothing with bpf/lib. Addresses are text; the
 * family of a layer-3 header is that of its addresses.
 */
#ifndef SLUICE_PKTBUILD_H
#define SLUICE_PKTBUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ip_addr.h"

#define PKTBUILD_MAX 4096
#define PKTBUILD_LAYERS 16

enum pktbuild_layer {
	PKTBUILD_RAW,
	PKTBUILD_IP4,
	PKTBUILD_IP6,
	PKTBUILD_TCP,
	PKTBUILD_UDP,
	PKTBUILD_ICMP4,
	PKTBUILD_ICMP6,
	PKTBUILD_PLAIN, /* ends a checksummed layer's reach: none */
};

struct pktbuild {
	uint8_t data[PKTBUILD_MAX];
	size_t len;
	struct {
		enum pktbuild_layer type;
		size_t off;
	} layer[PKTBUILD_LAYERS];
	size_t n_layers;
	bool udp_no_csum;
	uint8_t ttl; /* of the next IP header; 64 */
	uint8_t tos;
};

union ip_addr pktbuild_addr(const char *text);

void pktbuild_init(struct pktbuild *p);
/* The MAC addresses that progtest's interfaces see: peer → ours. */
void pktbuild_eth(struct pktbuild *p, uint16_t type);
void pktbuild_eth_macs(struct pktbuild *p, const uint8_t dst[6],
		       const uint8_t src[6], uint16_t type);
/* Turns the last Ethernet type into a tag of `tpid` before `type`. */
void pktbuild_vlan(struct pktbuild *p, uint16_t tpid, uint16_t tci,
		   uint16_t type);
/* proto: of what follows. options: extra words (IPv4) filled with NOP. */
void pktbuild_ip(struct pktbuild *p, const char *src, const char *dst,
		 uint8_t proto);
void pktbuild_ip4_full(struct pktbuild *p, const char *src, const char *dst,
		       uint8_t proto, unsigned int option_words, uint16_t id,
		       uint16_t frag);
/* One IPv6 extension header of 8 * (1 + extra) bytes. */
void pktbuild_ip6_ext(struct pktbuild *p, uint8_t next, unsigned int extra);
void pktbuild_ip6_frag(struct pktbuild *p, uint8_t next, uint16_t offset,
		       bool more, uint32_t id);
void pktbuild_tcp(struct pktbuild *p, uint16_t sport, uint16_t dport,
		  uint8_t flags);
void pktbuild_udp(struct pktbuild *p, uint16_t sport, uint16_t dport);
/* v6: ICMPv6. */
void pktbuild_icmp(struct pktbuild *p, bool v6, uint8_t type, uint8_t code,
		   uint32_t rest);
void pktbuild_bytes(struct pktbuild *p, const void *data, size_t len);
void pktbuild_payload(struct pktbuild *p, size_t len);
void pktbuild_finish(struct pktbuild *p);

/* Eth + IP + TCP/UDP + payload, finished. */
void pktbuild_l4(struct pktbuild *p, const char *src, const char *dst,
		 uint8_t proto, uint16_t sport, uint16_t dport, uint8_t flags,
		 size_t payload);

/* Whether every checksum in an Ethernet frame is right, tunnels and quoted
 * packets excluded; writes what is wrong to stderr. */
bool pktbuild_checksums_ok(const uint8_t *data, size_t len);
void pktbuild_dump(const char *what, const uint8_t *data, size_t len);

#endif
