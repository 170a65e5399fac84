/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes that probers take from services: HTTP responses, in pieces, load
 * metrics, DNS answers, texts that become reasons; and messages among daemon and
 * probers.
 *
 * fuzz-sources: daemon/prober/http_reply.c daemon/prober/load_reply.c
 * fuzz-sources: daemon/prober/name_answer.c
 * fuzz-sources: daemon/health/reason.c daemon/health/probe_wire.c
 * fuzz-sources: daemon/health/state_file.c
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe_wire.h"
#include "health/state_file.h"
#include "prober/http_reply.h"
#include "prober/load_reply.h"
#include "prober/name_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole and in pieces must come to the same. */
static uint64_t http(const uint8_t *data, size_t size, size_t step)
{
	struct http_reply reply = { 0 };
	uint64_t body_len = 0, sum = 0;
	enum http_reply_result r = HTTP_REPLY_MORE;

	for (size_t at = 0; at < size;) {
		size_t len = size - at < step ? size - at : step, left = len;
		const uint8_t *p = data + at, *body;
		size_t n;

		do {
			r = http_reply_feed(&reply, &p, &left, &body, &n);
			assert(p + left == data + at + len);
			if (r == HTTP_REPLY_BODY) {
				assert(body >= data + at &&
				       body + n <= data + at + len);
				body_len += n;
				for (size_t i = 0; i < n; i++)
					sum = sum * 31 + body[i];
			}
		} while (r == HTTP_REPLY_BODY || r == HTTP_REPLY_HEADER);
		if (r != HTTP_REPLY_MORE)
			break;
		assert(left == 0);
		at += len;
	}
	return sum ^ body_len << 32 ^ (uint64_t)reply.status << 8 ^ r << 4 ^
	       http_reply_end(&reply);
}

static void messages(uint8_t *data, size_t size)
{
	struct cursor frame = cursor_on(data, size), body;
	struct probe_wire_service service;
	struct probe_wire_state state;
	struct probe_wire_result result;
	struct probe_wire_name name;
	struct config_monitor monitor;
	struct cursor again;
	uint16_t type;

	while (probe_wire_next(&frame, &type, &body)) {
		again = body;
		probe_wire_get_service(&again, &service);
		again = body;
		probe_wire_get_state(&again, &state);
		again = body;
		probe_wire_get_result(&again, &result);
		again = body;
		probe_wire_get_name(&again, &name);
		again = body;
		if (!probe_wire_get_monitor(&again, &monitor))
			probe_wire_free_monitor(&monitor);
	}
}

static void names(const uint8_t *data, size_t size, uint8_t family)
{
	union ip_addr addr, current = { .w = { 0 } };
	uint32_t ttl_s;

	if (name_answer_choose(data, size, family, &current, &addr, &ttl_s) <= 0)
		return;
	assert(ip_addr_is_v4(&addr) == (family == 4));
	/* What was chosen stays. */
	current = addr;
	assert(name_answer_choose(data, size, family, &current, &addr,
				  &ttl_s) > 0);
	assert(ip_addr_equal(&addr, &current));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_file file;
	struct reason_info reason;
	char line[256];
	uint8_t *copy;
	uint32_t load;

	if (!size)
		return 0;
	assert(http(data, size, size) == http(data, size, 1 + data[0] % 7));
	names(data, size, 4);
	names(data, size, 6);
	load_reply_find((const char *)data, size, "load", &load);
	reason_set(&reason, data[0], size);
	reason_text(&reason, (const char *)data, size);
	reason_format(&reason, line, sizeof(line));
	if (!state_file_parse((const char *)data, size, &file))
		state_file_free(&file);
	copy = malloc(size);
	memcpy(copy, data, size);
	messages(copy, size);
	free(copy);
	return 0;
}
