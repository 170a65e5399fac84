/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses as text: what is read, what is refused, and that formatting gives
 * back what parsing took. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "util/addr_text.h"

struct row {
	const char *text;
	const char *addr; /* NULL: refused */
	int port;	  /* -1: an address alone */
};

static const struct row rows[] = {
	{ "192.0.2.1", "192.0.2.1", -1 },
	{ "2001:DB8:0:0::1", "2001:db8::1", -1 },
	{ "::", "::", -1 },
	{ "0.0.0.0", "0.0.0.0", -1 },
	{ "", NULL, -1 },
	{ "10.1", NULL, -1 },
	{ "010.0.0.1", NULL, -1 },
	{ "10.0.0.256", NULL, -1 },
	{ "10.0.0.1 ", NULL, -1 },
	{ "::ffff:10.0.0.1", NULL, -1 },
	{ "fe80::1%eth0", NULL, -1 },
	{ "localhost", NULL, -1 },
	{ "192.0.2.1:80", "192.0.2.1:80", 80 },
	{ "192.0.2.1:0", "192.0.2.1:0", 0 },
	{ "[2001:db8::1]:65535", "[2001:db8::1]:65535", 65535 },
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 65535 },
	{ "192.0.2.1", NULL, 0 },
	{ "192.0.2.1:", NULL, 0 },
	{ "192.0.2.1:65536", NULL, 0 },
	{ "192.0.2.1:+80", NULL, 0 },
	{ "192.0.2.1:0x50", NULL, 0 },
	{ "192.0.2.1:000080", NULL, 0 },
	{ "::1:80", NULL, 0 },
	{ "[::1]", NULL, 0 },
	{ "[::1:80", NULL, 0 },
	{ "[]:80", NULL, 0 },
	{ "[:80", NULL, 0 },
	{ ":80", NULL, 0 },
	{ "[192.0.2.1]:80", NULL, 0 },
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		char buf[ADDR_TEXT_LEN];
		union ip_addr addr;
		uint16_t port = 1;
		int rc;

		print_message("row %s\n", row->text);
		if (row->port < 0)
			rc = addr_text_parse(row->text, &addr);
		else
			rc = addr_text_parse_port(row->text, &addr, &port);
		assert_int_equal(rc, row->addr ? 0 : -EINVAL);
		if (!row->addr)
			continue;
		if (row->port < 0) {
			addr_text_format(&addr, buf);
		} else {
			assert_int_equal(port, row->port);
			addr_text_format_port(&addr, port, buf);
		}
		assert_string_equal(buf, row->addr);
	}
}

static void test_refused_leaves_output(void **state)
{
	union ip_addr addr;
	uint16_t port = 7;

	memset(&addr, 0xa5, sizeof(addr));
	assert_int_equal(addr_text_parse_port("10.0.0.1:x", &addr, &port),
			 -EINVAL);
	assert_int_equal(port, 7);
	assert_int_equal(addr.b[0], 0xa5);
	assert_int_equal(addr.b[15], 0xa5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_refused_leaves_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
