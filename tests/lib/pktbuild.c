// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet builder of the tests; see pktbuild.h. Deliberately plain: it is the
 * judge of the packet path's incremental checksums.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "pktbuild.h"

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t sum_bytes(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

union ip_addr pktbuild_addr(const char *text)
{
	union ip_addr addr;
	struct in_addr v4;

	if (strchr(text, ':')) {
		assert(inet_pton(AF_INET6, text, addr.b) == 1);
	} else {
		assert(inet_pton(AF_INET, text, &v4) == 1);
		ip_addr_set_v4(&addr, v4.s_addr);
	}
	return addr;
}

void pktbuild_init(struct pktbuild *p)
{
	memset(p, 0, sizeof(*p));
	p->ttl = 64;
}

static uint8_t *grow(struct pktbuild *p, enum pktbuild_layer type, size_t len)
{
	uint8_t *at = p->data + p->len;

	assert(p->len + len <= sizeof(p->data));
	if (type != PKTBUILD_RAW) {
		assert(p->n_layers < PKTBUILD_LAYERS);
		p->layer[p->n_layers].type = type;
		p->layer[p->n_layers++].off = p->len;
	}
	p->len += len;
	return at;
}

void pktbuild_eth_macs(struct pktbuild *p, const uint8_t dst[6],
		       const uint8_t src[6], uint16_t type)
{
	uint8_t *h = grow(p, PKTBUILD_RAW, 14);

	memcpy(h, dst, 6);
	memcpy(h + 6, src, 6);
	put16(h + 12, type);
}

void pktbuild_eth(struct pktbuild *p, uint16_t type)
{
	static const uint8_t ours[6] = { 2, 0, 0, 0, 0, 1 };
	static const uint8_t peer[6] = { 2, 0, 0, 0, 0, 0xfe };

	pktbuild_eth_macs(p, ours, peer, type);
}

void pktbuild_vlan(struct pktbuild *p, uint16_t tpid, uint16_t tci,
		   uint16_t type)
{
	uint8_t *h = grow(p, PKTBUILD_RAW, 4);

	put16(h - 2, tpid);
	put16(h, tci);
	put16(h + 2, type);
}

void pktbuild_ip4_full(struct pktbuild *p, const char *src, const char *dst,
		       uint8_t proto, unsigned int option_words, uint16_t id,
		       uint16_t frag)
{
	union ip_addr s = pktbuild_addr(src), d = pktbuild_addr(dst);
	uint8_t *h = grow(p, PKTBUILD_IP4, 20 + option_words * 4);

	h[0] = (uint8_t)(0x45 + option_words);
	h[1] = p->tos;
	put16(h + 4, id);
	put16(h + 6, frag);
	h[8] = p->ttl;
	h[9] = proto;
	memcpy(h + 12, &s.w[3], 4);
	memcpy(h + 16, &d.w[3], 4);
	memset(h + 20, 1, option_words * 4);
}

void pktbuild_ip(struct pktbuild *p, const char *src, const char *dst,
		 uint8_t proto)
{
	union ip_addr s = pktbuild_addr(src), d = pktbuild_addr(dst);
	uint8_t *h;

	if (!strchr(src, ':')) {
		pktbuild_ip4_full(p, src, dst, proto, 0, 0, 0x4000);
		return;
	}
	h = grow(p, PKTBUILD_IP6, 40);
	put32(h, 6u << 28 | (uint32_t)p->tos << 20);
	h[6] = proto;
	h[7] = p->ttl;
	memcpy(h + 8, s.b, 16);
	memcpy(h + 24, d.b, 16);
}

void pktbuild_ip6_ext(struct pktbuild *p, uint8_t next, unsigned int extra)
{
	uint8_t *h = grow(p, PKTBUILD_RAW, 8 + 8 * extra);

	h[0] = next;
	h[1] = (uint8_t)extra;
	h[2] = 1; /* PadN */
	h[3] = (uint8_t)(4 + 8 * extra);
}

void pktbuild_ip6_frag(struct pktbuild *p, uint8_t next, uint16_t offset,
		       bool more, uint32_t id)
{
	uint8_t *h = grow(p, PKTBUILD_RAW, 8);

	h[0] = next;
	put16(h + 2, (unsigned int)offset << 3 | more);
	put32(h + 4, id);
}

void pktbuild_tcp(struct pktbuild *p, uint16_t sport, uint16_t dport,
		  uint8_t flags)
{
	uint8_t *h = grow(p, PKTBUILD_TCP, 20);

	put16(h, sport);
	put16(h + 2, dport);
	put32(h + 4, 0x01020304);
	put32(h + 8, 0x05060708);
	h[12] = 5 << 4;
	h[13] = flags;
	put16(h + 14, 0xfaf0);
}

void pktbuild_udp(struct pktbuild *p, uint16_t sport, uint16_t dport)
{
	uint8_t *h = grow(p, PKTBUILD_UDP, 8);

	put16(h, sport);
	put16(h + 2, dport);
}

void pktbuild_icmp(struct pktbuild *p, bool v6, uint8_t type, uint8_t code,
		   uint32_t rest)
{
	uint8_t *h = grow(p, v6 ? PKTBUILD_ICMP6 : PKTBUILD_ICMP4, 8);

	h[0] = type;
	h[1] = code;
	put32(h + 4, rest);
}

void pktbuild_bytes(struct pktbuild *p, const void *data, size_t len)
{
	memcpy(grow(p, PKTBUILD_RAW, len), data, len);
}

void pktbuild_payload(struct pktbuild *p, size_t len)
{
	uint8_t *h = grow(p, PKTBUILD_RAW, len);

	for (size_t i = 0; i < len; i++)
		h[i] = (uint8_t)(i * 7 + 3);
}

/* Pseudo-header of the IP header at ip, for `len` bytes of `proto`. */
static uint32_t pseudo(const uint8_t *ip, size_t len, uint8_t proto)
{
	uint32_t sum = (uint32_t)proto + (uint32_t)len;

	sum = (sum & 0xffff) + (sum >> 16);
	return ip[0] >> 4 == 4 ? sum_bytes(ip + 12, 8, sum) :
				 sum_bytes(ip + 8, 32, sum);
}

static uint16_t csum(const uint8_t *p, size_t len, uint32_t sum)
{
	return (uint16_t)~sum_bytes(p, len, sum);
}

static bool finish_skips_l4(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 && (get16(ip + 6) & 0x3fff);
}

void pktbuild_finish(struct pktbuild *p)
{
	for (size_t i = p->n_layers; i-- > 0;) {
		uint8_t *h = p->data + p->layer[i].off;
		uint8_t *ip = i ? p->data + p->layer[i - 1].off : NULL;
		size_t len = p->len - p->layer[i].off;

		switch (p->layer[i].type) {
		case PKTBUILD_IP4:
			put16(h + 2, (unsigned int)len);
			put16(h + 10, 0);
			put16(h + 10, csum(h, (h[0] & 0xf) * 4u, 0));
			break;
		case PKTBUILD_IP6:
			put16(h + 4, (unsigned int)len - 40);
			break;
		case PKTBUILD_TCP:
			put16(h + 16, 0);
			put16(h + 16, csum(h, len, pseudo(ip, len, 6)));
			break;
		case PKTBUILD_UDP:
			put16(h + 4, (unsigned int)len);
			put16(h + 6, 0);
			if (p->udp_no_csum)
				break;
			put16(h + 6, csum(h, len, pseudo(ip, len, 17)));
			if (!get16(h + 6))
				put16(h + 6, 0xffff);
			break;
		case PKTBUILD_ICMP4:
			put16(h + 2, 0);
			put16(h + 2, csum(h, len, 0));
			break;
		case PKTBUILD_ICMP6:
			put16(h + 2, 0);
			put16(h + 2, csum(h, len, pseudo(ip, len, 58)));
			break;
		default:
			break;
		}
	}
}

void pktbuild_l4(struct pktbuild *p, const char *src, const char *dst,
		 uint8_t proto, uint16_t sport, uint16_t dport, uint8_t flags,
		 size_t payload)
{
	pktbuild_init(p);
	pktbuild_eth(p, strchr(src, ':') ? 0x86dd : 0x0800);
	pktbuild_ip(p, src, dst, proto);
	if (proto == 6)
		pktbuild_tcp(p, sport, dport, flags);
	else
		pktbuild_udp(p, sport, dport);
	pktbuild_payload(p, payload);
	pktbuild_finish(p);
}

bool pktbuild_checksums_ok(const uint8_t *data, size_t len)
{
	size_t off = 14, l4, l4_len;
	unsigned int type = get16(data + 12);
	const uint8_t *ip;
	uint8_t proto;

	while (type == 0x8100 || type == 0x88a8) {
		type = get16(data + off + 2);
		off += 4;
	}
	ip = data + off;
	if (type == 0x0800) {
		l4 = (ip[0] & 0xf) * 4u;
		proto = ip[9];
		l4_len = get16(ip + 2) - l4;
		if (csum(ip, l4, 0)) {
			fprintf(stderr, "IPv4 header checksum is wrong\n");
			return false;
		}
		if (finish_skips_l4(ip))
			return true;
	} else if (type == 0x86dd) {
		l4 = 40;
		proto = ip[6];
		l4_len = get16(ip + 4);
	} else {
		return true;
	}
	if (off + l4 + l4_len > len) {
		fprintf(stderr, "IP length is beyond the frame\n");
		return false;
	}
	ip = data + off;
	if (proto == 17 && !get16(ip + l4 + 6))
		return true;
	if (proto == 6 || proto == 17 || proto == 58) {
		if (csum(ip + l4, l4_len, pseudo(ip, l4_len, proto))) {
			fprintf(stderr, "layer 4 checksum is wrong\n");
			return false;
		}
	} else if (proto == 1 && csum(ip + l4, l4_len, 0)) {
		fprintf(stderr, "ICMP checksum is wrong\n");
		return false;
	}
	return true;
}

void pktbuild_dump(const char *what, const uint8_t *data, size_t len)
{
	fprintf(stderr, "%s (%zu bytes)", what, len);
	for (size_t i = 0; i < len; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : "\n    ", data[i]);
	fprintf(stderr, "\n");
}
