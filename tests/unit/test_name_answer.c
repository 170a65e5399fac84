// SPDX-License-Identifier: GPL-2.0-only
/* Which address a DNS reply gives a domain-based service; by hand, so that the
 * replies are what a resolver sends and not what c-ares would write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "prober/name_answer.h"
#include "util/addr_text.h"

/* Header with N answers and the question "w.test", type T. */
#define HEAD(n, t)                                                             \
	"\x12\x34\x81\x80\0\x01\0" n "\0\0\0\0\x01w\x04test\0\0" t "\0\x01"
/* Answer for the name of the question: type, TTL, length of the data. */
#define RR(t, ttl, len) "\xc0\x0c\0" t "\0\x01\0\0\0" ttl "\0" len
#define A(ttl, addr) RR("\x01", ttl, "\x04") addr
#define AAAA(ttl, addr) RR("\x1c", ttl, "\x10") addr
#define BYTES(text) text, sizeof(text) - 1
#define FD00(last) "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0" last

static const struct {
	const char *what, *reply;
	size_t len;
	uint8_t family;
	const char *current, *want;
	uint32_t ttl_s;
	int n;
} rows[] = {
	{ "one", BYTES(HEAD("\x01", "\x01") A("\x3c", "\x0a\0\x01\x0b")), 4, "",
	  "10.0.1.11", 60, 1 },
	{ "the lowest of three, the shortest TTL",
	  BYTES(HEAD("\x03", "\x01") A("\x3c", "\x0a\0\x01\x0d")
			A("\x09", "\x0a\0\x01\x0c") A("\x1e", "\x0a\0\x01\x0e")),
	  4, "", "10.0.1.12", 9, 3 },
	{ "the present one stays",
	  BYTES(HEAD("\x02", "\x01") A("\x3c", "\x0a\0\x01\x0b")
			A("\x3c", "\x0a\0\x01\x0e")),
	  4, "10.0.1.14", "10.0.1.14", 60, 2 },
	{ "the present one is gone",
	  BYTES(HEAD("\x01", "\x01") A("\x3c", "\x0a\0\x01\x0b")), 4,
	  "10.0.1.14", "10.0.1.11", 60, 1 },
	{ "loopback, unspecified and multicast are passed over",
	  BYTES(HEAD("\x04", "\x01") A("\x01", "\x7f\0\0\x01")
			A("\x01", "\0\0\0\0") A("\x01", "\xe0\0\0\x01")
				A("\x3c", "\x0a\0\x01\x0b")),
	  4, "", "10.0.1.11", 60, 1 },
	{ "nothing but loopback",
	  BYTES(HEAD("\x01", "\x01") A("\x01", "\x7f\0\0\x01")), 4, "10.0.1.11",
	  NULL, 0, 0 },
	{ "no answer", BYTES(HEAD("\0", "\x01")), 4, "10.0.1.11", NULL, 0, 0 },
	{ "an alias counts with its TTL",
	  BYTES(HEAD("\x02", "\x01") RR("\x05", "\x05", "\x04") "\x01v\xc0\x0e"
			"\xc0\x24\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\x01\x0b"),
	  4, "", "10.0.1.11", 5, 1 },
	{ "IPv6", BYTES(HEAD("\x02", "\x1c") AAAA("\x3c", FD00("\x0c"))
				AAAA("\x3c", FD00("\x0b"))),
	  6, "", "fd00::b", 60, 2 },
	{ "IPv6, but mapped",
	  BYTES(HEAD("\x01", "\x1c") AAAA("\x3c",
		"\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\x01\x0b")),
	  6, "", NULL, 0, 0 },
	{ "IPv6 asked for, IPv4 answered",
	  BYTES(HEAD("\x01", "\x1c") A("\x3c", "\x0a\0\x01\x0b")), 6, "", NULL,
	  0, 0 },
	{ "cut short", BYTES(HEAD("\x01", "\x01") "\xc0\x0c\0\x01"), 4, "", NULL,
	  0, -1 },
	{ "a header", BYTES("\x12\x34\x81\x80\0\x01"), 4, "", NULL, 0, -1 },
};

static void test_choice(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		union ip_addr current = { .w = { 0 } }, addr = current, want;
		uint32_t ttl_s = 0;
		int n;

		if (rows[i].current[0])
			assert_int_equal(addr_text_parse(rows[i].current,
							 &current), 0);
		n = name_answer_choose((const uint8_t *)rows[i].reply,
				       rows[i].len, rows[i].family, &current,
				       &addr, &ttl_s);
		if (n != rows[i].n)
			fail_msg("%s: %d, not %d", rows[i].what, n, rows[i].n);
		memset(&want, 0, sizeof(want));
		if (rows[i].want)
			assert_int_equal(addr_text_parse(rows[i].want, &want), 0);
		if (!ip_addr_equal(&addr, &want) || ttl_s != rows[i].ttl_s)
			fail_msg("%s: another address, or TTL %u",
				 rows[i].what, ttl_s);
	}
}

/* Nothing is taken from a reply that ends early, wherever that is. The copy is
 * as long as it says, so that sanitizers see a byte too many. */
static void test_cut_anywhere(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t len = 0; rows[i].n > 0 && len < rows[i].len; len++) {
			union ip_addr none = { .w = { 0 } }, addr = none;
			uint8_t *cut = malloc(len ? len : 1);
			uint32_t ttl_s = 0;

			assert_non_null(cut);
			memcpy(cut, rows[i].reply, len);
			assert_int_equal(name_answer_choose(cut, len,
							    rows[i].family,
							    &none, &addr,
							    &ttl_s), -1);
			assert_true(ip_addr_equal(&addr, &none));
			assert_int_equal(ttl_s, 0);
			free(cut);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
