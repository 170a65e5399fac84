/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration: what good files become, and for every way to be wrong
 * the line, the path and the words of the error.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "config/config.h"
#include "config/config_help.h"

/* SipHash-2-4 of "service\0w1" under "sluice-entity-id", little endian. */
#define ENTITY_W1 0xc7ccaeb7a7755056ull

struct row {
	const char *what, *text;
	const char *error; /* whole text; NULL: good */
};

/* Shorthands for the surroundings of what a row is about. */
#define MONITOR(keys) "{ \"monitors\": [ { \"name\": \"m\", " keys " } ] }"
#define SERVICE(keys)                                                          \
	"{ \"monitors\": [ { \"name\": \"m\", \"type\": \"tcp\" },\n"          \
	"{ \"name\": \"p\", \"type\": \"ping\" } ],\n"                         \
	"\"services\": [ { \"name\": \"s\", " keys " } ] }"
#define VSERVER(keys)                                                          \
	"{ \"services\": [\n"                                                  \
	"{ \"name\": \"a\", \"address\": \"10.0.0.1\", \"port\": 80 },\n"      \
	"{ \"name\": \"b\", \"address\": \"2001:db8::1\", \"port\": 80 },\n"   \
	"{ \"name\": \"c\", \"address\": \"10.0.0.3\", \"port\": 81 } ],\n"    \
	"\"vservers\": [ { \"name\": \"v\", \"address\": \"192.0.2.1\",\n"     \
	"\"port\": 80, " keys " } ] }"
#define VSERVERS(others)                                                       \
	"{ \"vservers\": [\n"                                                  \
	"{ \"name\": \"v\", \"address\": \"192.0.2.1\", \"port\": 80 },\n"     \
	others " ] }"
#define CLUSTER(keys)                                                          \
	"{ \"node\": { \"id\": 1 }, \"cluster\": { \"id\": \"c\",\n"           \
	"\"address\": \"10.9.0.1\", \"key_file\": \"/k\"" keys " } }"

static const struct row syntax_rows[] = {
	{ "the least", "{}", NULL },
	{ "comments", "// one\n/* two\n */ { /* three */ } // four\n", NULL },
	{ "comment up to the end", "{} // c", NULL },
	{ "trailing commas",
	  "{ \"nat\": [ \"10.0.0.1\", ], \"engines\": 2, }", NULL },
	{ "nothing", "", "t:1: $: expected an object, found nothing" },
	{ "only a comment", "// x",
	  "t:1: $: expected an object, found nothing" },
	{ "no object", "[]",
	  "t:1: $: expected an object (configuration), found an array" },
	{ "a scalar", "17",
	  "t:1: $: expected an object (configuration), found a number" },
	{ "cut off", "{\n\"engines\": 2",
	  "t:2: $: the text ends before the object does" },
	{ "comment not closed", "{\n/* \n\n}",
	  "t:4: $: the text ends before the object does" },
	{ "missing colon", "{\n\n\"engines\" 2 }",
	  "t:3: $: not JSON: object property name separator ':' expected" },
	{ "second object", "{}\n\n{}", "t:3: $: text after the end of the "
				       "object" },
	{ "bad UTF-8", "{\n\"node\": { \"name\": \"\xff\" } }",
	  "t:2: $: not JSON: invalid utf-8 string" },
	{ "key twice", "{ \"engines\": 1,\n\"probers\": 1,\n\"engines\": 2 }",
	  "t:3: $: the key \"engines\" is given twice" },
	{ "key twice, deep",
	  "{ \"services\": [\n{ \"name\": \"a\", \"name\": \"b\" } ] }",
	  "t:2: $: the key \"name\" is given twice" },
	{ "key with an escape", "{\n\"\\u0065ngines\": 1 }",
	  "t:2: $: unknown key: it has a backslash" },
	{ "unknown key", "{\n\"engine\": 2 }",
	  "t:2: $.engine: unknown key of configuration" },
	{ "unknown key, deep", "{ \"node\": { \"id\": 0,\n\"nam\": \"x\" } }",
	  "t:2: $.node.nam: unknown key of node" },
	{ "strange key", "{ \"a\tb\": 2 }",
	  "t:1: $.a?b: unknown key of configuration" },
};

static const struct row type_rows[] = {
	{ "number as text", "{\n\"engines\": \"2\" }",
	  "t:2: $.engines: expected a whole number, found a string" },
	{ "fraction", "{ \"engines\": 1.5 }",
	  "t:1: $.engines: expected a whole number, found a number with a "
	  "fraction" },
	{ "too small", "{ \"engines\": 0 }",
	  "t:1: $.engines: expected a number from 1 to 16, found 0" },
	{ "too large", "{ \"engines\": 17 }",
	  "t:1: $.engines: expected a number from 1 to 16, found 17" },
	{ "negative", "{ \"node\": { \"id\": -1 } }",
	  "t:1: $.node.id: expected a number from 0 to 31, found -1" },
	{ "beyond 64 bits", "{ \"engines\": 99999999999999999999999 }",
	  "t:1: $.engines: expected a number from 1 to 16, found "
	  "18446744073709551615" },
	{ "null", "{ \"engines\": null }",
	  "t:1: $.engines: expected a whole number, found null" },
	{ "object for an array", "{ \"services\": {} }",
	  "t:1: $.services: expected an array of objects (service), found an "
	  "object" },
	{ "element is no object", "{ \"services\": [\n1 ] }",
	  "t:2: $.services[0]: expected an object (service), found a number" },
	{ "bool", VSERVER("\n\"down_flush\": 1"),
	  "t:7: $.vservers[0].down_flush: expected true or false, found a "
	  "number" },
	{ "enum", VSERVER("\"mode\": \"dsr\""),
	  "t:6: $.vservers[0].mode: expected one of nat, dsr-l2, dsr-ipip, "
	  "dsr-gue, found \"dsr\"" },
	{ "address", "{ \"nat\": [ \"10.0.0.1\",\n\"10.0.0\" ] }",
	  "t:2: $.nat[1]: expected an IPv4 or IPv6 address, found \"10.0.0\"" },
	{ "too many addresses",
	  "{ \"nat\": [ \"1.1.1.1\", \"1.1.1.2\", \"1.1.1.3\", \"1.1.1.4\", "
	  "\"1.1.1.5\", \"1.1.1.6\", \"1.1.1.7\", \"1.1.1.8\", \"1.1.1.9\" ] }",
	  "t:1: $.nat: expected at most 8 addresses" },
	{ "empty name", "{ \"node\": { \"name\": \"\" } }",
	  "t:1: $.node.name: expected a name of 1 to 31 characters" },
	{ "name of 31",
	  "{ \"node\": { \"name\": \"0123456789012345678901234567890\" } }",
	  NULL },
	{ "name of 32",
	  "{ \"node\": { \"name\": \"01234567890123456789012345678901\" } }",
	  "t:1: $.node.name: expected a name of 1 to 31 characters" },
	{ "name with a space", "{ \"node\": { \"name\": \"a b\" } }",
	  "t:1: $.node.name: expected a name of letters, digits, '.', '_', "
	  "'-', ':', found \"a b\"" },
	{ "name with a NUL", "{ \"node\": { \"name\": \"a\\u0000b\" } }",
	  "t:1: $.node.name: expected a name of letters, digits, '.', '_', "
	  "'-', ':', found \"a\"" },
	{ "missing key", "{ \"services\": [ { \"name\": \"a\",\n"
			 "\"address\": \"10.0.0.1\" } ] }",
	  "t:1: $.services[0]: \"port\" is missing: port of the back end" },
	{ "device name", "{ \"interfaces\": [ { \"name\": \"a/b\" } ] }",
	  "t:1: $.interfaces[0].name: expected a device name of 1 to 15 "
	  "characters, found \"a/b\"" },
	{ "device twice",
	  "{ \"interfaces\": [ { \"name\": \"a\" },\n{ \"name\": \"a\" } ] }",
	  "t:2: $.interfaces[1].name: the device is listed twice" },
	{ "short key", "{ \"rss\": { \"key\": \"6d5a\" } }",
	  "t:1: $.rss.key: expected \"default\", \"symmetric\" or 80 "
	  "hexadecimal digits" },
	{ "flows", "{ \"flows\": { \"max\": 0 } }",
	  "t:1: $.flows.max: expected a number from 1 to 67108864, found 0" },
};

static const struct row monitor_rows[] = {
	{ "http", MONITOR("\"type\": \"http\", \"path\": \"/x\", "
			  "\"codes\": \"200-299,304\""),
	  NULL },
	{ "no type", MONITOR("\"retries\": 2"),
	  "t:1: $.monitors[0]: \"type\" is missing: what a probe does" },
	{ "key of another type", MONITOR("\"type\": \"ping\", \"path\": \"/\""),
	  "t:1: $.monitors[0].path: this type of monitor has no such key" },
	{ "ping has no port", MONITOR("\"type\": \"ping\", \"port\": 80"),
	  "t:1: $.monitors[0].port: this type of monitor has no such key" },
	{ "unknown key", MONITOR("\"type\": \"ping\", \"pth\": \"/\""),
	  "t:1: $.monitors[0].pth: unknown key of monitor" },
	{ "expect missing", MONITOR("\"type\": \"tcp-ecv\""),
	  "t:1: $.monitors[0]: \"expect\" is missing: what the reply must "
	  "contain" },
	{ "bytes beyond U+00FF",
	  MONITOR("\"type\": \"tcp-ecv\", \"expect\": \"\xe2\x82\xac\""),
	  "t:1: $.monitors[0].expect: expected characters up to U+00FF: each "
	  "is one byte" },
	{ "udp-ecv without send",
	  MONITOR("\"type\": \"udp-ecv\", \"expect\": \"x\""),
	  "t:1: $.monitors[0]: \"send\" is missing: a UDP server answers only "
	  "when asked" },
	{ "codes", MONITOR("\"type\": \"http\", \"codes\": \"2xx\""),
	  "t:1: $.monitors[0].codes: expected codes from 100 to 599 as in "
	  "\"200-299,304\", found \"2xx\"" },
	{ "codes downward", MONITOR("\"type\": \"http\", "
				    "\"codes\": \"299-200\""),
	  "t:1: $.monitors[0].codes: expected codes from 100 to 599 as in "
	  "\"200-299,304\", found \"299-200\"" },
	{ "relative path", MONITOR("\"type\": \"http\", \"path\": \"x\""),
	  "t:1: $.monitors[0].path: expected a path that starts with / and "
	  "has no spaces" },
	{ "header injection", MONITOR("\"type\": \"http\", "
				      "\"host\": \"a\\r\\nX: y\""),
	  "t:1: $.monitors[0].host: control characters are not allowed" },
	{ "method", MONITOR("\"type\": \"http\", \"method\": \"get\""),
	  "t:1: $.monitors[0].method: expected capital letters, as in GET" },
	{ "record type", MONITOR("\"type\": \"dns\", \"query\": \"a.b\", "
				 "\"query_type\": \"AX\""),
	  "t:1: $.monitors[0].query_type: expected A, AAAA, CNAME, MX, NS, "
	  "PTR, SOA, SRV or TXT, found \"AX\"" },
	{ "relative script", MONITOR("\"type\": \"script\", "
				     "\"script\": \"./x\""),
	  "t:1: $.monitors[0].script: expected an absolute path, found "
	  "\"./x\"" },
	{ "tunnel to nowhere", MONITOR("\"type\": \"tcp\", "
				       "\"tunnel\": \"ipip\""),
	  "t:1: $.monitors[0].tunnel: \"address\" is missing: what is asked "
	  "inside the tunnel is the vserver's address" },
	{ "tunnelled ping", MONITOR("\"type\": \"ping\", "
				    "\"address\": \"192.0.2.1\", "
				    "\"tunnel\": \"ipip\""),
	  NULL },
	{ "tunnelled ftp", MONITOR("\"type\": \"ftp\", "
				   "\"address\": \"192.0.2.1\", "
				   "\"tunnel\": \"gue\""),
	  NULL },
	{ "tunnelled script", MONITOR("\"type\": \"script\", "
				      "\"script\": \"/x\", "
				      "\"address\": \"192.0.2.1\", "
				      "\"tunnel\": \"ipip\""),
	  "t:1: $.monitors[0].tunnel: a script makes its own connections, "
	  "which go plainly: none can be led through a tunnel" },
	{ "tunnelled inline", MONITOR("\"type\": \"inline\", "
				      "\"tunnel\": \"ipip\""),
	  "t:1: $.monitors[0].tunnel: this type of monitor has no such key" },
	{ "failure retries", MONITOR("\"type\": \"tcp\", \"retries\": 2,\n"
				     "\"failure_retries\": 3"),
	  "t:2: $.monitors[0].failure_retries: expected at most \"retries\" "
	  "(2)" },
	{ "interval", MONITOR("\"type\": \"tcp\", \"interval_ms\": 0"),
	  "t:1: $.monitors[0].interval_ms: expected a number from 1 to "
	  "86400000, found 0" },
	{ "response_time", MONITOR("\"type\": \"tcp\", \"response_time\": "
				   "true, \"deviation_ms\": 50"),
	  NULL },
	{ "response_time alone", MONITOR("\"type\": \"tcp\", "
					 "\"response_time\": true"),
	  "t:1: $.monitors[0].response_time: the time-out is the mean over its "
	  "services plus \"deviation_ms\", which is missing" },
	{ "name twice", "{ \"monitors\": [\n{ \"name\": \"m\", \"type\": "
			"\"tcp\" },\n{ \"name\": \"m\", \"type\": \"ping\" } "
			"] }",
	  "t:3: $.monitors[1].name: the name \"m\" is taken by element 0" },
};

static const struct row service_rows[] = {
	{ "good", SERVICE("\"address\": \"10.0.0.1\", \"port\": 80, "
			  "\"monitors\": [ { \"monitor\": \"m\" } ]"),
	  NULL },
	{ "neither", SERVICE("\"port\": 80"),
	  "t:3: $.services[0]: expected either \"address\" or \"domain\", "
	  "found neither" },
	{ "both", SERVICE("\"address\": \"10.0.0.1\", \"domain\": \"x\", "
			  "\"port\": 80"),
	  "t:3: $.services[0]: expected either \"address\" or \"domain\", "
	  "found both" },
	{ "any address", SERVICE("\"address\": \"0.0.0.0\", \"port\": 80"),
	  "t:3: $.services[0].address: the unspecified address is not one of a "
	  "machine" },
	{ "multicast", SERVICE("\"address\": \"ff02::1\", \"port\": 80"),
	  "t:3: $.services[0].address: a multicast or reserved address is not "
	  "one of a machine" },
	{ "dangling", SERVICE("\"address\": \"10.0.0.1\", \"port\": 80,\n"
			      "\"monitors\": [ { \"monitor\": \"m\" },\n"
			      "{ \"weight\": 2, \"monitor\": \"x\" } ]"),
	  "t:5: $.services[0].monitors[1].monitor: there is no monitor \"x\"" },
	{ "bound twice", SERVICE("\"address\": \"10.0.0.1\", \"port\": 80,\n"
				 "\"monitors\": [ { \"monitor\": \"m\" }, "
				 "{ \"monitor\": \"m\" } ]"),
	  "t:4: $.services[0].monitors: \"m\" is bound twice" },
	{ "threshold out of reach",
	  SERVICE("\"address\": \"10.0.0.1\", \"port\": 80,\n"
		  "\"threshold\": 4, \"monitors\": [ { \"monitor\": \"m\", "
		  "\"weight\": 2 }, { \"monitor\": \"p\" } ]"),
	  "t:4: $.services[0].threshold: the service could never be up: the "
	  "weights of its monitors sum to 3, the threshold is 4" },
};

static const struct row vserver_rows[] = {
	{ "good", VSERVER("\"services\": [ { \"service\": \"a\" }, "
			  "{ \"service\": \"c\" } ]"),
	  NULL },
	{ "mixed families encapsulated",
	  VSERVER("\"mode\": \"dsr-gue\", \"services\": [ "
		  "{ \"service\": \"a\" }, { \"service\": \"b\" } ]"),
	  NULL },
	{ "mixed families with nat",
	  VSERVER("\"services\": [ { \"service\": \"a\" },\n"
		  "{ \"service\": \"b\" } ]"),
	  "t:7: $.vservers[0].services[1]: service \"b\" does not fit: this "
	  "mode needs the address family of the vserver" },
	{ "mixed families with dsr-l2",
	  VSERVER("\"mode\": \"dsr-l2\", \"services\": [ "
		  "{ \"service\": \"b\" } ]"),
	  "t:6: $.vservers[0].services[0]: service \"b\" does not fit: this "
	  "mode needs the address family of the vserver" },
	{ "dsr cannot change ports",
	  VSERVER("\"mode\": \"dsr-ipip\", \"services\": [ "
		  "{ \"service\": \"c\" } ]"),
	  "t:6: $.vservers[0].services[0]: service \"c\" does not fit: the dsr "
	  "modes cannot change the port: it must be the vserver's" },
	{ "bound twice", VSERVER("\"services\": [ { \"service\": \"a\" }, "
				 "{ \"service\": \"c\" }, "
				 "{ \"service\": \"a\" } ]"),
	  "t:6: $.vservers[0].services: \"a\" is bound twice" },
	{ "dangling", VSERVER("\"services\": [ { \"service\": \"x\" } ]"),
	  "t:6: $.vservers[0].services[0].service: there is no service \"x\"" },
	{ "kernel with least connections",
	  VSERVER("\"setup\": \"kernel\",\n"
		  "\"method\": \"least-connections\""),
	  "t:7: $.vservers[0].method: setup \"kernel\" chooses from a table: "
	  "expected maglev or source-hash, or setup \"engine\"" },
	{ "kernel with source hash",
	  VSERVER("\"setup\": \"kernel\", \"method\": \"source-hash\""), NULL },
	{ "kernel with persistence",
	  VSERVER("\"setup\": \"kernel\", \"persistence_s\": 60"),
	  "t:6: $.vservers[0].persistence_s: setup \"kernel\" keeps no "
	  "persistence: use method source-hash, or setup \"engine\"" },
	{ "minimum out of reach", VSERVER("\"members_min\": 1"),
	  "t:6: $.vservers[0].members_min: the vserver could never be up: it "
	  "has 0 services" },
	{ "weight 0", VSERVER("\"services\": [ { \"service\": \"a\", "
			      "\"weight\": 0 } ]"),
	  "t:6: $.vservers[0].services[0].weight: expected a number from 1 to "
	  "65535, found 0" },
	{ "endpoint twice",
	  VSERVERS("{ \"name\": \"w\", \"address\": \"192.0.2.1\", "
		   "\"port\": 80 }"),
	  "t:3: $.vservers[1]: address, port and protocol are those of vserver "
	  "\"v\"" },
	{ "other protocol",
	  VSERVERS("{ \"name\": \"w\", \"address\": \"192.0.2.1\", "
		   "\"port\": 80, \"protocol\": \"udp\" }"),
	  NULL },
	{ "backup further down",
	  "{ \"vservers\": [\n{ \"name\": \"v\", \"address\": \"192.0.2.1\", "
	  "\"port\": 80, \"backup\": \"w\" },\n{ \"name\": \"w\", "
	  "\"address\": \"192.0.2.2\", \"port\": 80 } ] }",
	  NULL },
	{ "dangling backup",
	  VSERVERS("{ \"name\": \"w\", \"address\": \"192.0.2.2\", "
		   "\"port\": 80,\n\"backup\": \"x\" }"),
	  "t:4: $.vservers[1].backup: there is no vserver \"x\"" },
	{ "own backup",
	  VSERVERS("{ \"name\": \"w\", \"address\": \"192.0.2.2\", "
		   "\"port\": 80, \"backup\": \"w\" }"),
	  "t:3: $.vservers[1].backup: backups form a circle" },
	{ "backup of another protocol",
	  VSERVERS("{ \"name\": \"w\", \"address\": \"192.0.2.2\", "
		   "\"port\": 80, \"protocol\": \"udp\", \"backup\": \"v\" }"),
	  "t:3: $.vservers[1].backup: \"v\" must have the same protocol, mode "
	  "and address family, in the dsr modes the same port, too" },
	{ "nat address is a vserver's",
	  "{ \"nat\": [ \"192.0.2.1\" ],\n\"vservers\": [ { \"name\": \"v\", "
	  "\"address\": \"192.0.2.1\", \"port\": 80 } ] }",
	  "t:1: $.nat[0]: this is the address of vserver \"v\"" },
	{ "tunnel source of the wrong family",
	  "{ \"tunnel\": {\n\"source4\": \"2001:db8::1\" } }",
	  "t:2: $.tunnel.source4: expected an IPv4 address" },
};

static const struct row cluster_rows[] = {
	{ "good", CLUSTER(", \"peers\": [ { \"id\": 0, \"address\": "
			  "\"10.9.0.2\" }, { \"id\": 1, \"address\": "
			  "\"10.9.0.1:7946\" } ]"),
	  NULL },
	{ "missing key file",
	  "{ \"cluster\": { \"id\": \"c\", \"address\": \"10.0.0.1\" } }",
	  "t:1: $.cluster: \"key_file\" is missing: file with the cluster's "
	  "keys" },
	{ "id twice", CLUSTER(",\n\"peers\": [ { \"id\": 2, \"address\": "
			      "\"10.9.0.2\" },\n{ \"id\": 2, \"address\": "
			      "\"10.9.0.3\" } ]"),
	  "t:4: $.cluster.peers[1].id: the id 2 is taken" },
	{ "own address", CLUSTER(", \"peers\": [ { \"id\": 2, \"address\": "
				 "\"10.9.0.1\" } ]"),
	  "t:2: $.cluster.peers[0].address: this is the address of this node "
	  "(id 1)" },
	{ "address", CLUSTER(", \"peers\": [ { \"id\": 2, \"address\": "
			     "\"n2:7946\" } ]"),
	  "t:2: $.cluster.peers[0].address: expected ADDRESS, ADDRESS:PORT or "
	  "[ADDRESS]:PORT, found \"n2:7946\"" },
	{ "quorum", CLUSTER(", \"quorum\": \"some\""),
	  "t:2: $.cluster.quorum: expected one of none, majority, found "
	  "\"some\"" },
};

static void run_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *config = NULL;
		struct config_error error;
		int rc = config_parse("t", rows[i].text, strlen(rows[i].text),
				      &config, &error);

		print_message("row: %s\n", rows[i].what);
		if (rows[i].error) {
			assert_string_equal(error.text, rows[i].error);
			assert_int_equal(rc, -EINVAL);
			assert_null(config);
		} else {
			assert_string_equal(error.text, "");
			assert_int_equal(rc, 0);
		}
		config_free(config);
	}
}

#define ROWS_TEST(name)                                                        \
	static void test_##name##_errors(void **state)                         \
	{                                                                      \
		run_rows(name##_rows, sizeof(name##_rows) / sizeof(struct row)); \
	}

ROWS_TEST(syntax)
ROWS_TEST(type)
ROWS_TEST(monitor)
ROWS_TEST(service)
ROWS_TEST(vserver)
ROWS_TEST(cluster)

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	struct config_error error;

	if (config_parse("t", text, strlen(text), &config, &error))
		fail_msg("%s", error.text);
	return config;
}

static void test_defaults(void **state)
{
	struct config *c = parse(SERVICE("\"address\": \"10.0.0.1\", "
					 "\"port\": 80"));

	assert_int_equal(c->engines, 1);
	assert_int_equal(c->probers, 1);
	assert_int_equal(c->flows_max, 1 << 20);
	/* 2^20 flows are 2^21 entries in sets of 8. */
	assert_int_equal(c->flow_sets_log2, 18);
	assert_int_equal(c->gue_port, 6080);
	assert_int_equal(c->rss_key[0], 0x6d);
	assert_int_equal(c->rss_key[39], 0xfa);
	assert_true(c->node_name[0] != '\0');
	assert_false(c->cluster.enabled);
	assert_int_equal(c->cluster.hello_ms, 100);
	assert_int_equal(c->cluster.dead_missed, 4);
	assert_int_equal(c->cluster.observers, 3);
	assert_true(c->cluster.quorum_majority);
	assert_int_equal(c->monitors[0].interval_ms, 5000);
	assert_int_equal(c->monitors[0].timeout_ms, 2000);
	assert_int_equal(c->monitors[0].retries, 3);
	assert_int_equal(c->monitors[0].success_retries, 1);
	assert_int_equal(c->monitors[0].failure_retries, 0);
	assert_int_equal(c->monitors[0].down_ms, 30000);
	assert_false(c->monitors[0].reverse);
	assert_null(c->monitors[0].http_path);
	assert_true(c->services[0].enabled);
	assert_int_equal(c->services[0].threshold, 1);
	assert_true(c->services[0].path_individual);
	config_free(c);
}

static void test_vserver_values(void **state)
{
	struct config *c = parse(
		"{ \"services\": [ { \"name\": \"a\", \"address\": "
		"\"10.0.0.1\", \"port\": 53 } ], \"vservers\": [ { \"name\": "
		"\"v\", \"address\": \"192.0.2.1\", \"port\": 53, "
		"\"protocol\": \"udp\", \"mode\": \"dsr-gue\", \"setup\": "
		"\"inspect\", \"method\": \"least-response\", "
		"\"down_action\": \"reset\", \"persistence_s\": 9, "
		"\"udp_s\": 7, \"services\": [ { \"service\": \"a\", "
		"\"weight\": 65535 } ], \"backup\": \"w\" }, { \"name\": "
		"\"w\", \"address\": \"192.0.2.2\", \"port\": 53, "
		"\"protocol\": \"udp\", \"mode\": \"dsr-gue\" } ] }");
	const struct config_vserver *v = config_find_vserver(c, "v");

	assert_ptr_equal(v, &c->vservers[0]);
	assert_int_equal(v->proto, IPPROTO_UDP);
	assert_int_equal(v->mode, FWD_DSR_GUE);
	assert_int_equal(v->setup, SETUP_INSPECT);
	assert_int_equal(v->method, LB_LEAST_RESPONSE);
	assert_true(v->down_reset);
	assert_int_equal(v->persist_s, 9);
	assert_int_equal(v->udp_s, 7);
	assert_int_equal(v->est_s, 3600);
	assert_ptr_equal(v->members[0].service, config_find_service(c, "a"));
	assert_int_equal(v->members[0].weight, 65535);
	assert_ptr_equal(v->backup, &c->vservers[1]);
	assert_int_equal(c->vservers[1].proto, IPPROTO_UDP);
	assert_int_equal(c->vservers[1].down_reset, 0);
	assert_null(config_find_vserver(c, "x"));
	assert_null(config_find_service(c, "v"));
	config_free(c);
}

static void test_monitor_values(void **state)
{
	struct config *c = parse(
		"{ \"monitors\": [ { \"name\": \"m\", \"type\": \"udp-ecv\", "
		"\"send\": \"a\\u0000\\u0080\\u00ff\\n\", "
		"\"expect\": \"x\", \"address\": \"10.0.0.9\", "
		"\"port\": 9 }, { \"name\": \"s\", \"type\": \"script\", "
		"\"script\": \"/bin/true\", \"args\": [ \"-x\", \"\" ] }, "
		"{ \"name\": \"h\", \"type\": \"https\" } ] }");
	const struct config_monitor *m = config_find_monitor(c, "m");

	assert_int_equal(m->send_len, 5);
	assert_memory_equal(m->send, "a\0\x80\xff\n", 5);
	assert_int_equal(m->expect_len, 1);
	assert_true(m->has_address);
	assert_int_equal(m->port, 9);
	assert_string_equal(c->monitors[1].script_args[0], "-x");
	assert_string_equal(c->monitors[1].script_args[1], "");
	assert_null(c->monitors[1].script_args[2]);
	assert_string_equal(c->monitors[2].http_method, "GET");
	assert_string_equal(c->monitors[2].http_path, "/");
	assert_string_equal(c->monitors[2].http_codes, "200");
	assert_true(c->monitors[2].verify);
	config_free(c);
}

static void test_cluster_drops_itself(void **state)
{
	struct config *c = parse(cluster_rows[0].text);

	assert_true(c->cluster.enabled);
	assert_int_equal(c->cluster.port, 7946);
	assert_int_equal(c->cluster.n_peers, 1);
	assert_int_equal(c->cluster.peers[0].id, 0);
	assert_string_equal(c->cluster.peers[0].name, "n0");
	config_free(c);
}

static void test_flow_sets(void **state)
{
	static const struct {
		unsigned int max, log2;
	} rows[] = {
		{ 1, 6 }, { 256, 6 }, { 257, 7 }, { 10000000, 22 },
		{ 1 << 26, 24 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[64];
		struct config *c;

		snprintf(text, sizeof(text), "{\"flows\":{\"max\":%u}}",
			 rows[i].max);
		c = parse(text);
		assert_int_equal(c->flow_sets_log2, rows[i].log2);
		config_free(c);
	}
}

/* The ids of all installations hang on this: they must never change. */
static void test_entities_are_fixed(void **state)
{
	assert_int_equal(config_entity("service", "w1"),
			 config_entity("service", "w1"));
	assert_int_not_equal(config_entity("service", "w1"),
			     config_entity("vserver", "w1"));
	/* The parts do not run into each other. */
	assert_int_not_equal(config_entity("ab", "c"), config_entity("a", "bc"));
	assert_int_equal(config_entity("service", "w1"), ENTITY_W1);
}

/* What was given comes back, comments aside, and reads the same again. */
static void test_source_round_trip(void **state)
{
	struct config *c = parse(vserver_rows[1].text), *again;
	struct config_error error;
	const char *text = json_object_to_json_string(c->source);

	assert_int_equal(config_parse("t", text, strlen(text), &again, &error),
			 0);
	assert_int_equal(json_object_equal(c->source, again->source), 1);
	/* Defaults are not filled in. */
	assert_null(strstr(text, "est_s"));
	config_free(again);
	assert_int_equal(config_from_json(c->source, &again, &error), 0);
	config_free(c);
	assert_int_equal(again->n_services, 3);
	config_free(again);
}

static void test_files(void **state)
{
	char path[] = "/tmp/sluice-config-XXXXXX";
	struct config_error error;
	struct config *c = NULL;
	int fd = mkstemp(path);
	char expected[128];

	assert_int_equal(write(fd, "{\n\"x\": 1 }", 10), 10);
	close(fd);
	assert_int_equal(config_load(path, &c, &error), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "%s:2: $.x: unknown key of configuration", path);
	assert_string_equal(error.text, expected);
	unlink(path);
	assert_int_equal(config_load(path, &c, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot read: No such file"));
	assert_int_equal(config_load("/tmp", &c, &error), -EISDIR);
	assert_null(c);
}

/* 70 000 services load, and are found, without a quadratic step. */
static void test_many_services(void **state)
{
	enum { N = 70000 };
	size_t room = 16 << 20, n;
	char *text = malloc(room), name[32];
	struct timespec a, b;
	struct config *c;
	double s;

	n = (size_t)sprintf(text, "{\"monitors\":[{\"name\":\"m\",\"type\":"
				  "\"tcp\"}],\"services\":[");
	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(text + n,
				     "%s{\"name\":\"s%d\",\"address\":"
				     "\"10.%d.%d.%d\",\"port\":80,\"monitors\":"
				     "[{\"monitor\":\"m\"}]}",
				     i ? "," : "", i, 1 + (i >> 16),
				     i >> 8 & 255, i & 255);
	n += (size_t)sprintf(text + n, "],\"vservers\":[{\"name\":\"v\","
				       "\"address\":\"192.0.2.1\",\"port\":80,"
				       "\"services\":[");
	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(text + n, "%s{\"service\":\"s%d\"}",
				     i ? "," : "", N - 1 - i);
	n += (size_t)sprintf(text + n, "]}]}");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	c = parse(text);
	for (int i = 0; i < N; i++) {
		sprintf(name, "s%d", i);
		assert_ptr_equal(config_find_service(c, name),
				 &c->services[i]);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	s = (double)(b.tv_sec - a.tv_sec) +
	    (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("%zu bytes in %.2f s of CPU\n", n, s);
	/* Quadratic would be minutes; sanitizers and load cost a factor of ten. */
	assert_true(s < 30);
	assert_ptr_equal(c->vservers[0].members[0].service,
			 &c->services[N - 1]);
	config_free(c);
	free(text);
}

static void test_help_lists_keys(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	config_help(file);
	fclose(file);
	assert_non_null(strstr(text, "$.vservers[].services[]"));
	assert_non_null(strstr(text, "least-connections"));
	assert_non_null(strstr(text, "key_file"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_type_errors),
		cmocka_unit_test(test_monitor_errors),
		cmocka_unit_test(test_service_errors),
		cmocka_unit_test(test_vserver_errors),
		cmocka_unit_test(test_cluster_errors),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_vserver_values),
		cmocka_unit_test(test_monitor_values),
		cmocka_unit_test(test_cluster_drops_itself),
		cmocka_unit_test(test_flow_sets),
		cmocka_unit_test(test_entities_are_fixed),
		cmocka_unit_test(test_source_round_trip),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_many_services),
		cmocka_unit_test(test_help_lists_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
