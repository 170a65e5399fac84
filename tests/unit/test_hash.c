// SPDX-License-Identifier: GPL-2.0-only
/*
 * Toeplitz against Microsoft's published RSS verification suite (IPv4 and
 * IPv6, with and without ports), tables against the definition bit by bit,
 * and the spread of what is derived from the hash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include "flowtab.h"
#include "hash.h"
#include "lb.h"
#include "nat.h"

static uint32_t table[TOEPLITZ_TABLE_LEN];
static const uint8_t key[TOEPLITZ_KEY_LEN] = TOEPLITZ_KEY_DEFAULT;

static union ip_addr addr(const char *text)
{
	union ip_addr a;
	struct in_addr v4;

	if (inet_pton(AF_INET6, text, a.b) == 1)
		return a;
	assert_int_equal(inet_pton(AF_INET, text, &v4), 1);
	ip_addr_set_v4(&a, v4.s_addr);
	return a;
}

static const struct {
	const char *src, *dst;
	uint16_t sport, dport;
	uint32_t two, four;
} vectors[] = {
	{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2,
	  0x51ccc178 },
	{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a,
	  0xc626b0ea },
	{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de,
	  0x5c2b394a },
	{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176,
	  0xafc7327f },
	{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5,
	  0x10e828a2 },
	{ "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766,
	  0x2cc18cd5, 0x40207d3d },
	{ "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c,
	  0xdde51bbf },
	{ "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
	  "fe80::200:f8ff:fe21:67cf", 44251, 38024, 0x4b61e985, 0x02d1feef },
};

static void test_published_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		union ip_addr s = addr(vectors[i].src);
		union ip_addr d = addr(vectors[i].dst);

		assert_int_equal(toeplitz_hash(table, &s, &d, 0, 0),
				 vectors[i].two);
		assert_int_equal(toeplitz_hash(table, &s, &d,
					       htons(vectors[i].sport),
					       htons(vectors[i].dport)),
				 vectors[i].four);
	}
}

static size_t input(uint8_t *buf, const union ip_addr *s,
		    const union ip_addr *d, uint16_t sport, uint16_t dport)
{
	bool v4 = ip_addr_is_v4(s);
	size_t n = v4 ? 4 : 16, off = v4 ? 12 : 0;

	memcpy(buf, s->b + off, n);
	memcpy(buf + n, d->b + off, n);
	memcpy(buf + 2 * n, &sport, 2);
	memcpy(buf + 2 * n + 2, &dport, 2);
	return 2 * n + 4;
}

static void random_bytes(void *p, size_t n)
{
	for (uint8_t *b = p; n--; b++)
		*b = (uint8_t)rand();
}

static void test_tables_equal_definition(void **state)
{
	for (int round = 0; round < 20; round++) {
		uint8_t k[TOEPLITZ_KEY_LEN], buf[36];
		uint32_t t[TOEPLITZ_TABLE_LEN];

		random_bytes(k, sizeof(k));
		toeplitz_tables_build(k, t);
		for (int i = 0; i < 500; i++) {
			union ip_addr s, d;
			uint16_t sport = (uint16_t)rand();
			uint16_t dport = (uint16_t)rand();
			size_t len;

			random_bytes(&s, sizeof(s));
			random_bytes(&d, sizeof(d));
			if (i & 1) {
				ip_addr_set_v4(&s, s.w[3]);
				ip_addr_set_v4(&d, d.w[3]);
			}
			len = input(buf, &s, &d, sport, dport);
			assert_int_equal(toeplitz_hash(t, &s, &d, sport, dport),
					 toeplitz_reference(k, buf, len));
			assert_int_equal(toeplitz_hash(t, &s, &d, 0, 0),
					 toeplitz_reference(k, buf, len - 4));
		}
	}
}

static void test_symmetric_key(void **state)
{
	static const uint8_t k[TOEPLITZ_KEY_LEN] = TOEPLITZ_KEY_SYMMETRIC;
	uint32_t t[TOEPLITZ_TABLE_LEN];

	toeplitz_tables_build(k, t);
	for (int i = 0; i < 1000; i++) {
		union ip_addr s, d;
		uint16_t sport = (uint16_t)rand(), dport = (uint16_t)rand();

		random_bytes(&s, sizeof(s));
		random_bytes(&d, sizeof(d));
		if (i & 1) {
			ip_addr_set_v4(&s, s.w[3]);
			ip_addr_set_v4(&d, d.w[3]);
		}
		assert_int_equal(toeplitz_hash(t, &s, &d, sport, dport),
				 toeplitz_hash(t, &d, &s, dport, sport));
	}
}

/* Clients of one network, ports counted up: the spread over what is derived
 * must be near to even (within 25 % of the mean, 64 slots, 1 000 each). */
static void test_spread(void **state)
{
	static uint32_t slot[64], set[64], way[8], port[64];
	union ip_addr d = addr("192.0.2.10");
	struct flowtab tab = { .mask = (1 << 20) - 1 };

	for (uint32_t i = 0; i < 64000; i++) {
		union ip_addr s;
		uint32_t h;

		ip_addr_set_v4(&s, htonl(0xc6336400u + (i & 0xff)));
		h = toeplitz_hash(table, &s, &d, htons((uint16_t)(1024 +
								  (i >> 8))),
				  htons(80));
		slot[lb_slot(h, 64)]++;
		set[flowtab_set_index(&tab, h) >> 14]++;
		way[h % 8]++;
		port[ntohs(nat_port_try(h, 0)) >> 10]++;
	}
	for (int i = 0; i < 64; i++) {
		assert_in_range(slot[i], 750, 1250);
		assert_in_range(set[i], 750, 1250);
	}
	for (int i = 0; i < 8; i++)
		assert_in_range(way[i], 7000, 9000);
	for (int i = 1; i < 32; i++)
		assert_in_range(port[i], 1300, 2300);
	for (int i = 32; i < 59; i++) /* the kernel's own ports */
		assert_int_equal(port[i], 0);
}

static int setup(void **state)
{
	srand(1);
	toeplitz_tables_build(key, table);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_tables_equal_definition),
		cmocka_unit_test(test_symmetric_key),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
