/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcp: a connection can be made. tcp-ecv: and, after `send`, `expect` comes
 * back. Without `expect`, any reply will do; without `send`, the service is
 * expected to speak first.
 */
#include <string.h>

#include "prober/probe.h"
#include "prober/stream.h"

static void start_tcp(struct probe *probe)
{
	static const struct stream_rules rules = { 0 };

	stream_start(probe, &rules);
}

static int request(struct probe *probe, char *buf, size_t size)
{
	const struct config_monitor *c = &probe->monitor->config;

	if (c->send_len > size)
		return -1;
	if (c->send_len)
		memcpy(buf, c->send, c->send_len);
	return c->send_len;
}

static bool data(struct probe *probe, const uint8_t *bytes, size_t len)
{
	bool room = probe_keep(probe, bytes, len);

	if (probe_matches(probe, !room)) {
		probe_finish(probe, REASON_OK, 0);
		return true;
	}
	if (!room)
		probe_finish(probe, REASON_BODY_SIZE, probe->reply_len);
	return !room;
}

static void closed(struct probe *probe)
{
	if (probe->reply_len && probe_matches(probe, true))
		return probe_finish(probe, REASON_OK, 0);
	if (!probe->reply_len)
		return probe_finish(probe, REASON_CLOSED, 0);
	probe_finish(probe, REASON_CONTENT, probe->reply_len);
}

static void start_ecv(struct probe *probe)
{
	static const struct stream_rules rules = { request, data, closed };

	if (probe->monitor->nfa_error)
		return probe_finish_text(probe, REASON_REGEX, 0,
					 probe->monitor->nfa_error,
					 strlen(probe->monitor->nfa_error));
	stream_start(probe, &rules);
}

static void timeout_ecv(struct probe *probe)
{
	if (probe->reply_len && probe_matches(probe, true))
		return probe_finish(probe, REASON_OK, 0);
	if (probe->reply_len)
		return probe_finish(probe, REASON_CONTENT, probe->reply_len);
	probe_finish(probe, REASON_TIMEOUT, probe->timeout_ms);
}

const struct probe_kind probe_tcp = { "tcp", start_tcp, stream_stop, NULL };
const struct probe_kind probe_tcp_ecv = { "tcp-ecv", start_ecv, stream_stop,
					  timeout_ecv };
