// SPDX-License-Identifier: GPL-2.0-only
/* Domain-based services in the configuration: what is a domain, what it goes
 * with, what it may resolve to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "util/addr_text.h"

#define SERVICE(keys)                                                          \
	"{ \"monitors\": [ { \"name\": \"m\", \"type\": \"tcp\" },\n"          \
	"{ \"name\": \"p\", \"type\": \"ping\" } ],\n"                         \
	"\"services\": [ { \"name\": \"s\", " keys " } ] }"

static const struct {
	const char *what, *text, *error; /* NULL: accepted */
} rows[] = {
	{ "domain", SERVICE("\"domain\": \"a_1.example.\", \"port\": 80"),
	  NULL },
	{ "domain, IPv6", SERVICE("\"domain\": \"a.example\", "
				  "\"family\": \"ipv6\", \"port\": 80"),
	  NULL },
	{ "domain with a space", SERVICE("\"domain\": \"a b\", "
					 "\"port\": 80"),
	  "t:3: $.services[0].domain: expected a domain name, as in "
	  "\"www.example.org\", found \"a b\"" },
	{ "domain with an empty label", SERVICE("\"domain\": \"a..b\", "
						"\"port\": 80"),
	  "t:3: $.services[0].domain: expected a domain name, as in "
	  "\"www.example.org\", found \"a..b\"" },
	{ "domain that is an address", SERVICE("\"domain\": \"10.0.0.1\", "
					       "\"port\": 80"),
	  "t:3: $.services[0].domain: expected a domain name, as in "
	  "\"www.example.org\", found \"10.0.0.1\"" },
	{ "family of an address", SERVICE("\"address\": \"10.0.0.1\", "
					  "\"family\": \"ipv4\", "
					  "\"port\": 80"),
	  "t:3: $.services[0].family: says what a domain is resolved to: an "
	  "address has one already" },
	{ "a domain's family with nat",
	  "{ \"services\": [ { \"name\": \"a\", \"domain\": \"a.example\", "
	  "\"family\": \"ipv6\", \"port\": 80 } ],\n\"vservers\": [ "
	  "{ \"name\": \"v\", \"address\": \"192.0.2.1\", \"port\": 80, "
	  "\"services\": [ { \"service\": \"a\" } ] } ] }",
	  "t:2: $.vservers[0].services[0]: service \"a\" does not fit: this "
	  "mode needs the address family of the vserver" },
};

static void test_keys(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_error e = { "" };
		struct config *config = NULL;
		int r = config_parse("t", rows[i].text, strlen(rows[i].text),
				     &config, &e);

		if (!r != !rows[i].error || (r && strcmp(e.text, rows[i].error)))
			fail_msg("%s: %s", rows[i].what, r ? e.text : "accepted");
		if (!r)
			config_free(config);
	}
}

/* What a name may resolve to. */
static void test_resolved_addresses(void **state)
{
	static const struct {
		const char *addr, *problem;
	} answers[] = {
		{ "10.0.0.7", NULL },
		{ "fd00::7", "family" },
		{ "192.0.2.1", "vserver's own" },
		{ "127.0.0.1", "loopback" },
		{ "0.0.0.0", "unspecified" },
		{ "224.0.0.1", "multicast" },
	};
	static const char text[] =
		"{ \"services\": [ { \"name\": \"a\", \"domain\": "
		"\"a.example\", \"port\": 80 }, { \"name\": \"b\", "
		"\"address\": \"10.0.0.1\", \"port\": 80 } ], \"vservers\": "
		"[ { \"name\": \"v\", \"address\": \"192.0.2.1\", \"port\": "
		"80, \"services\": [ { \"service\": \"a\" } ] } ] }";
	struct config_error e;
	struct config *config;

	assert_int_equal(config_parse("t", text, strlen(text), &config, &e), 0);
	assert_int_equal(config->services[0].family, 4);
	assert_true(config_unresolved(&config->services[0]));
	assert_false(config_unresolved(&config->services[1]));
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		union ip_addr addr;
		const char *problem;

		assert_int_equal(addr_text_parse(answers[i].addr, &addr), 0);
		problem = config_address_problem(config, &config->services[0],
						 &addr);
		if (!answers[i].problem != !problem ||
		    (problem && !strstr(problem, answers[i].problem)))
			fail_msg("%s: %s", answers[i].addr,
				 problem ? problem : "accepted");
	}
	config->services[0].addr = config->services[1].addr;
	assert_false(config_unresolved(&config->services[0]));
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_resolved_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
