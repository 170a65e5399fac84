/* SPDX-License-Identifier: GPL-2.0-only */
/* What servers send: HTTP responses, load metrics, regular expressions,
 * accepted codes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "health/nfa.h"
#include "prober/http_reply.h"
#include "prober/load_reply.h"
#include "prober/monitor.h"

/* ---- HTTP ------------------------------------------------------------- */

static const struct {
	const char *what, *reply;
	const char *end; /* done, more, bad, close (complete when closed) */
	int status;
	const char *body;
} http_rows[] = {
	{ "length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcrest",
	  "done", 200, "abc" },
	{ "no body", "HTTP/1.1 204 No\r\nX: y\r\n\r\n", "done", 204, "" },
	{ "length 0", "HTTP/1.0 200 OK\r\ncontent-length:0\r\n\r\n", "done",
	  200, "" },
	{ "until close", "HTTP/1.1 200 OK\r\n\r\nabc", "close", 200, "abc" },
	{ "chunked",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
	  "done", 200, "abcde" },
	{ "chunked beats length",
	  "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n"
	  "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	  "done", 200, "a" },
	{ "other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"
			  "Content-Length: 1\r\n\r\nabc",
	  "close", 200, "abc" },
	{ "interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
		     "Content-Length: 1\r\n\r\na",
	  "done", 200, "a" },
	{ "no phrase", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "done", 404,
	  "" },
	{ "bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nab", "done", 200,
	  "ab" },
	{ "not modified has no body",
	  "HTTP/1.1 304 N\r\nContent-Length: 50\r\n\r\n", "done", 304, "" },
	{ "cut in the header", "HTTP/1.1 200 OK\r\nContent-Le", "more", 200,
	  "" },
	{ "cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
	  "more", 200, "ab" },
	{ "cut in a chunk",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "more",
	  200, "ab" },
	{ "not HTTP", "SSH-2.0-OpenSSH\r\n", "bad", 0, "" },
	{ "HTTP/2", "HTTP/2 200 OK\r\n\r\n", "bad", 0, "" },
	{ "four digits", "HTTP/1.1 2000 OK\r\n\r\n", "bad", 0, "" },
	{ "status below 100", "HTTP/1.1 020 OK\r\n\r\n", "bad", 0, "" },
	{ "length is no number", "HTTP/1.1 200 OK\r\nContent-Length: a\r\n\r\n",
	  "bad", 0, "" },
	{ "length empty", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "bad",
	  0, "" },
	{ "length negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	  "bad", 0, "" },
	{ "length too large",
	  "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
	  "bad", 0, "" },
	{ "two lengths",
	  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	  "bad", 0, "" },
	{ "chunk size is no number",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "bad",
	  200, "" },
	{ "chunk size too large",
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "fffffffffffffffff\r\n",
	  "bad", 200, "" },
	{ "no colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "bad", 0, "" },
};

/* Feeds in pieces of STEP bytes. */
static void feed(int row, size_t step)
{
	const char *reply = http_rows[row].reply;
	struct http_reply http = { 0 };
	size_t total = strlen(reply), at = 0, body_len = 0;
	const char *end = "more";
	char body[256] = "";

	while (at < total && !strcmp(end, "more")) {
		size_t len = total - at < step ? total - at : step, n = len;
		const uint8_t *data = (const uint8_t *)reply + at, *piece;
		size_t piece_len;
		enum http_reply_result r;

		do {
			r = http_reply_feed(&http, &data, &n, &piece,
					    &piece_len);
			if (r == HTTP_REPLY_BODY) {
				memcpy(body + body_len, piece, piece_len);
				body_len += piece_len;
			}
		} while (r == HTTP_REPLY_BODY || r == HTTP_REPLY_HEADER);
		if (r == HTTP_REPLY_DONE)
			end = "done";
		else if (r != HTTP_REPLY_MORE)
			end = "bad";
		at += len;
	}
	if (!strcmp(end, "more") && http_reply_end(&http))
		end = "close";
	if (strcmp(end, http_rows[row].end) ||
	    (strcmp(end, "bad") && http.status != http_rows[row].status) ||
	    strcmp(body, http_rows[row].body))
		fail_msg("%s, in pieces of %zu: %s, status %d, body \"%s\"",
			 http_rows[row].what, step, end, http.status, body);
}

static void test_http(void **state)
{
	for (size_t i = 0; i < sizeof(http_rows) / sizeof(http_rows[0]); i++)
		for (size_t step = 1; step < 200; step += step < 20 ? 1 : 60)
			feed(i, step);
}

static void test_http_huge_header(void **state)
{
	struct http_reply http = { 0 };
	static const char head[] = "HTTP/1.1 200 OK\r\nX: ";
	static uint8_t fill[4096];
	const uint8_t *data = (const uint8_t *)head, *body;
	size_t len = sizeof(head) - 1, body_len;
	enum http_reply_result r;

	memset(fill, 'x', sizeof(fill));
	r = http_reply_feed(&http, &data, &len, &body, &body_len);
	for (int i = 0; i < 9 && r == HTTP_REPLY_MORE; i++) {
		data = fill;
		len = sizeof(fill);
		r = http_reply_feed(&http, &data, &len, &body, &body_len);
	}
	assert_int_equal(r, HTTP_REPLY_BIG);
}

static void test_codes(void **state)
{
	uint64_t codes[16];

	assert_int_equal(monitor_parse_codes("200-299,304", codes), 0);
	assert_true(codes[200 / 64] >> (200 % 64) & 1);
	assert_true(codes[299 / 64] >> (299 % 64) & 1);
	assert_true(codes[304 / 64] >> (304 % 64) & 1);
	assert_false(codes[300 / 64] >> (300 % 64) & 1);
	assert_int_equal(monitor_parse_codes("300-200", codes), -EINVAL);
	assert_int_equal(monitor_parse_codes("200-", codes), -EINVAL);
	assert_int_equal(monitor_parse_codes("2000", codes), -EINVAL);
	assert_int_equal(monitor_parse_codes("ok", codes), -EINVAL);
}

/* ---- load ------------------------------------------------------------- */

static void test_load(void **state)
{
	static const struct {
		const char *reply;
		int value; /* −1: absent */
	} rows[] = {
		{ "load 42\n", 42 },	       { "a 1\nload: 7.9\n", 7 },
		{ "load=3", 3 },	       { "  load\t5 x\n", 5 },
		{ "overload 9\n", -1 },	       { "load9 1\n", -1 },
		{ "load\n", -1 },	       { "load x\n", -1 },
		{ "load 99999999999\n", INT32_MAX }, { "", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t value = 0;
		bool found = load_reply_find(rows[i].reply,
					     strlen(rows[i].reply), "load",
					     &value);

		if (found != (rows[i].value >= 0) ||
		    (found && value != (uint32_t)rows[i].value))
			fail_msg("\"%s\": %d %u", rows[i].reply, found, value);
	}
}

/* ---- regular expressions ---------------------------------------------- */

static void test_regex(void **state)
{
	static const struct {
		const char *pattern, *text;
		int matches; /* −1: refused */
	} rows[] = {
		{ "", "", 1 },
		{ "abc", "xxabcxx", 1 },
		{ "abc", "ab", 0 },
		{ "a(b|cd|e)*f", "xxabcdeff", 1 },
		{ "a(b|cd|e)*f", "xxabcdxff", 0 },
		{ "^ab$", "ab", 1 },
		{ "^ab$", "abc", 0 },
		{ "^(a|b)|c", "zc", 1 },
		{ "a|bc|d$", "zbc", 1 },
		{ "(a|b|)c{2,3}$", "xcc", 1 },
		{ "^(a|b)c{2,3}$", "acccc", 0 },
		{ "^a{2,}$", "aaaa", 1 },
		{ "^a{2,}$", "a", 0 },
		{ "(?i)HeLLo [[:digit:]]+", "hello 42", 1 },
		{ "[^a-c]", "abc", 0 },
		{ "[]x]", "]", 1 },
		{ "[a\\]b]", "]", 1 },
		{ "x{0}y", "y", 1 },
		{ "(?:foo|bar)+baz", "foobarbaz", 1 },
		{ "a.c", "a\nc", 1 },
		{ "\\x41\\.\\d\\s", "A.7 ", 1 },
		{ "\\W", "abc_", 0 },
		{ "(a*)*b", "aaaa", 0 },
		{ "((a|b)*c|x){2}", "abcxx", 1 },
		{ "a**", "b", 1 },
		{ "(", "", -1 },
		{ ")", "", -1 },
		{ "*a", "", -1 },
		{ "a{3,2}", "", -1 },
		{ "a{", "", -1 },
		{ "[a", "", -1 },
		{ "[z-a]", "", -1 },
		{ "\\1", "", -1 },
		{ "\\b", "", -1 },
		{ "(?=a)", "", -1 },
		{ "\\", "", -1 },
		{ "(a{1000}){1000}", "", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *error = "";
		struct nfa *nfa = NULL;
		int r = nfa_compile(rows[i].pattern, strlen(rows[i].pattern),
				    &nfa, &error);
		int got = r ? -1 :
			      nfa_search(nfa, rows[i].text,
					 strlen(rows[i].text));

		nfa_free(nfa);
		if (got != rows[i].matches)
			fail_msg("/%s/ on \"%s\": %d (%s)", rows[i].pattern,
				 rows[i].text, got, error);
	}
}

/* What takes a backtracking engine for ever is done in the time of a few
 * passes over the text. */
static void test_regex_is_bounded(void **state)
{
	static char text[65536];
	static const char *const evil[] = { "(a+)+$b", "(a|a)*c", "(.*)(.*)(.*)x",
					    "(a?){200}b" };
	struct timespec a, b;

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		const char *error;
		struct nfa *nfa;
		double s;

		assert_int_equal(nfa_compile(evil[i], strlen(evil[i]), &nfa,
					     &error),
				 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		assert_false(nfa_search(nfa, text, sizeof(text)));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		s = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
		if (s > 5)
			fail_msg("/%s/ took %.1f s of CPU", evil[i], s);
		nfa_free(nfa);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_http_huge_header),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_regex),
		cmocka_unit_test(test_regex_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
