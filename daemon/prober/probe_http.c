/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http: the status code is an accepted one; the body is not read. http-ecv:
 * and the body holds what is expected. load: the body, read like http-ecv,
 * holds the load metric. HTTP/1.1 on TCP; own client instead of libcurl's,
 * which takes three times the CPU (README.md of this folder).
 */
#include <stdio.h>
#include <string.h>

#include "prober/load_reply.h"
#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/stream.h"
#include "util/addr_text.h"

static int request(struct probe *probe, char *buf, size_t size)
{
	const struct monitor *monitor = probe->monitor;
	const char *host = monitor->config.http_host;
	char text[ADDR_TEXT_LEN];
	int n;

	if (monitor->request_len >= size)
		return -1;
	memcpy(buf, monitor->request, monitor->request_len);
	if (!host)
		host = addr_text_format_port(&probe->addr, probe->port, text);
	n = snprintf(buf + monitor->request_len, size - monitor->request_len,
		     "%s\r\n\r\n", host);
	if (n < 0 || (size_t)n >= size - monitor->request_len)
		return -1;
	return monitor->request_len + n;
}

/* The header is there. True if that decides. */
static bool judge_status(struct probe *probe, bool wants_body)
{
	unsigned int status = probe->http.status;

	probe_step(probe, "status %u", status);
	if (!monitor_accepts(probe->monitor, status))
		probe_finish(probe, REASON_STATUS, status);
	else if (!wants_body)
		probe_finish(probe, REASON_OK, 0);
	else
		return false;
	return true;
}

static void judge_load(struct probe *probe)
{
	const struct config_monitor *c = &probe->monitor->config;
	uint32_t load, weight = 0;

	if (!load_reply_find((char *)probe->reply, probe->reply_len,
			     c->load_metric ? c->load_metric : "load", &load))
		return probe_finish(probe, REASON_LOAD_ABSENT, 0);
	probe_step(probe, "load %u", load);
	if (c->weight_metric) {
		if (!load_reply_find((char *)probe->reply, probe->reply_len,
				     c->weight_metric, &weight))
			return probe_finish(probe, REASON_LOAD_ABSENT, 0);
		weight = weight < 1 ? 1 : weight > 100 ? 100 : weight;
		probe_step(probe, "%u %% of its weight", weight);
	}
	if (probe->binding) {
		struct status_table *status = probe->prober->status;

		if (c->load_max && load > c->load_max)
			load |= STATUS_LOAD_OVER;
		status->row[probe->binding->row].load = load;
		status->row[probe->binding->row].weight_percent = weight;
	}
	probe_finish(probe, REASON_OK, 0);
}

/* The body is complete, or as much of it as will be looked at. */
static void judge_body(struct probe *probe, bool complete)
{
	probe_step(probe, "%u bytes of content", probe->reply_len);
	if (probe->monitor->config.type == MONITOR_LOAD)
		return judge_load(probe);
	if (probe_matches(probe, true))
		probe_finish(probe, REASON_OK, 0);
	else
		probe_finish(probe,
			     complete ? REASON_CONTENT : REASON_BODY_SIZE,
			     probe->reply_len);
}

/* A piece of the body. True if that decides. */
static bool take_body(struct probe *probe, const uint8_t *body, size_t len)
{
	bool room = probe_keep(probe, body, len);

	if (!room) {
		judge_body(probe, false);
		return true;
	}
	if (probe->monitor->config.type == MONITOR_LOAD)
		return false;
	if (!probe_matches(probe, false))
		return false;
	probe_step(probe, "expected content found");
	probe_finish(probe, REASON_OK, 0);
	return true;
}

static bool feed(struct probe *probe, const uint8_t *bytes, size_t len,
		 bool wants_body)
{
	const uint8_t *body;
	size_t body_len;

	for (;;) {
		switch (http_reply_feed(&probe->http, &bytes, &len, &body,
					&body_len)) {
		case HTTP_REPLY_MORE:
			return false;
		case HTTP_REPLY_HEADER:
			if (judge_status(probe, wants_body))
				return true;
			break;
		case HTTP_REPLY_BODY:
			if (take_body(probe, body, body_len))
				return true;
			break;
		case HTTP_REPLY_DONE:
			judge_body(probe, true);
			return true;
		case HTTP_REPLY_BIG:
			probe_finish(probe, REASON_HEADER_SIZE, 0);
			return true;
		default:
			probe_finish(probe, REASON_MALFORMED, 0);
			return true;
		}
	}
}

static bool data_http(struct probe *probe, const uint8_t *bytes, size_t len)
{
	return feed(probe, bytes, len, false);
}

static bool data_ecv(struct probe *probe, const uint8_t *bytes, size_t len)
{
	return feed(probe, bytes, len, true);
}

static void closed(struct probe *probe)
{
	if (http_reply_end(&probe->http))
		judge_body(probe, true);
	else
		probe_finish(probe, REASON_CLOSED, 0);
}

static bool is_head(const struct probe *probe)
{
	const char *method = probe->monitor->config.http_method;

	return method && !strcmp(method, "HEAD");
}

static void start_http(struct probe *probe)
{
	static const struct stream_rules rules = { request, data_http, closed };

	probe->http.no_body = is_head(probe);
	stream_start(probe, &rules);
}

static void start_ecv(struct probe *probe)
{
	static const struct stream_rules rules = { request, data_ecv, closed };

	probe->http.no_body = is_head(probe);
	if (probe->monitor->nfa_error)
		return probe_finish_text(probe, REASON_REGEX, 0,
					 probe->monitor->nfa_error,
					 strlen(probe->monitor->nfa_error));
	stream_start(probe, &rules);
}

/* A slow reply may have brought what is expected between two looks. */
static void timeout_ecv(struct probe *probe)
{
	if (probe->reply_len && probe->monitor->config.type != MONITOR_LOAD &&
	    probe_matches(probe, true))
		return probe_finish(probe, REASON_OK, 0);
	probe_finish(probe, REASON_TIMEOUT, probe->timeout_ms);
}

const struct probe_kind probe_http = { "http", start_http, stream_stop,
				       NULL };
const struct probe_kind probe_http_ecv = { "http-ecv", start_ecv, stream_stop,
					   timeout_ecv };
const struct probe_kind probe_load = { "load", start_ecv, stream_stop,
				       timeout_ecv };
