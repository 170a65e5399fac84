/* SPDX-License-Identifier: GPL-2.0-only */
/* Prepared monitors, see monitor.h. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe_wire.h"
#include "prober/monitor.h"
#include "prober/probe.h"

int monitor_parse_codes(const char *text, uint64_t codes[16])
{
	memset(codes, 0, 16 * sizeof(codes[0]));
	while (*text) {
		char *end;
		unsigned long from = strtoul(text, &end, 10), to = from;

		if (end == text)
			return -EINVAL;
		if (*end == '-') {
			text = end + 1;
			to = strtoul(text, &end, 10);
			if (end == text)
				return -EINVAL;
		}
		if (from > to || to > 999 || (*end && *end != ','))
			return -EINVAL;
		for (unsigned long c = from; c <= to; c++)
			codes[c / 64] |= 1ull << (c & 63);
		text = *end ? end + 1 : end;
	}
	return 0;
}

static bool speaks_http(enum config_monitor_type type)
{
	return type == MONITOR_HTTP || type == MONITOR_HTTP_ECV ||
	       type == MONITOR_HTTPS || type == MONITOR_HTTPS_ECV ||
	       type == MONITOR_LOAD;
}

/* A line break in a path or host would let one request become two. */
static bool has_control(const char *text)
{
	for (; text && *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static int prepare(struct monitor *monitor)
{
	struct config_monitor *c = &monitor->config;

	if (c->expect && c->expect_regex) {
		int r = nfa_compile(c->expect, c->expect_len, &monitor->nfa,
				    &monitor->nfa_error);

		if (r == -ENOMEM)
			return r;
		if (r && !monitor->nfa_error)
			monitor->nfa_error = "too large";
	}
	if (!speaks_http(c->type))
		return 0;
	if (has_control(c->http_path) || has_control(c->http_host) ||
	    has_control(c->http_method) || has_control(c->sni))
		return -EINVAL;
	if (monitor_parse_codes(c->http_codes ? c->http_codes : "200",
				monitor->codes))
		return -EINVAL;
	monitor->request_len = asprintf(
		&monitor->request,
		"%s %s HTTP/1.1\r\nUser-Agent: sluice-prober\r\n"
		"Accept: */*\r\nConnection: close\r\nHost: ",
		c->http_method ? c->http_method : "GET",
		c->http_path ? c->http_path : "/");
	if ((int)monitor->request_len < 0) {
		monitor->request = NULL;
		return -ENOMEM;
	}
	return 0;
}

int monitor_new(struct config_monitor *definition, struct monitor **ret)
{
	struct monitor *monitor = calloc(1, sizeof(*monitor));
	int r;

	if (!monitor) {
		probe_wire_free_monitor(definition);
		return -ENOMEM;
	}
	monitor->config = *definition;
	monitor->references = 1;
	monitor->kind = probe_kind_of(definition->type);
	r = prepare(monitor);
	if (r) {
		monitor_unref(monitor);
		return r;
	}
	*ret = monitor;
	return 0;
}

struct monitor *monitor_ref(struct monitor *monitor)
{
	monitor->references++;
	return monitor;
}

void monitor_unref(struct monitor *monitor)
{
	if (!monitor)
		return;
	assert(monitor->references > 0);
	if (--monitor->references)
		return;
	nfa_free(monitor->nfa);
	free(monitor->request);
	probe_wire_free_monitor(&monitor->config);
	free(monitor);
}

bool monitor_expected(const struct monitor *monitor, const void *data,
		      size_t len)
{
	const struct config_monitor *c = &monitor->config;

	if (!c->expect)
		return true;
	if (!c->expect_regex)
		return memmem(data, len, c->expect, c->expect_len) != NULL;
	return monitor->nfa && nfa_search(monitor->nfa, data, len);
}
