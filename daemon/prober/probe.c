/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a probe, see probe.h. Probes come from a free list: at full rate
 * their memory stays in the cache.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/tunnel.h"
#include "util/addr_text.h"

uint8_t probe_scratch[65536];

static struct probe *free_list;

const struct probe_kind *probe_kind_of(enum config_monitor_type type)
{
	static const struct probe_kind *const kinds[] = {
		[MONITOR_PING] = &probe_ping,
		[MONITOR_TCP] = &probe_tcp,
		[MONITOR_TCP_ECV] = &probe_tcp_ecv,
		[MONITOR_HTTP] = &probe_http,
		[MONITOR_HTTP_ECV] = &probe_http_ecv,
		[MONITOR_HTTPS] = &probe_https,
		[MONITOR_HTTPS_ECV] = &probe_https_ecv,
		[MONITOR_UDP] = &probe_udp,
		[MONITOR_UDP_ECV] = &probe_udp_ecv,
		[MONITOR_DNS] = &probe_dns,
		[MONITOR_FTP] = &probe_ftp,
		[MONITOR_LOAD] = &probe_load,
		[MONITOR_SCRIPT] = &probe_script,
		[MONITOR_INLINE] = &probe_inline,
	};

	assert(type < sizeof(kinds) / sizeof(kinds[0]) && kinds[type]);
	return kinds[type];
}

static struct probe *take(void)
{
	struct probe *probe = free_list;

	if (probe) {
		free_list = probe->next_free;
		memset(probe, 0, sizeof(*probe));
	} else {
		probe = calloc(1, sizeof(*probe));
	}
	if (probe)
		probe->io.fd = -1;
	return probe;
}

int probe_start(struct prober *prober, struct monitor *monitor,
		struct binding *binding, const union ip_addr *addr,
		uint16_t port, uint64_t try_id)
{
	const struct config_monitor *c = &monitor->config;
	struct probe *probe = take();

	if (!probe)
		return -ENOMEM;
	probe->prober = prober;
	probe->monitor = monitor_ref(monitor);
	probe->binding = binding;
	probe->try_id = try_id;
	probe->traced = !binding;
	probe->addr = c->has_address ? c->address : *addr;
	probe->outer = *addr;
	probe->port = c->port ? c->port : port;
	probe->timeout_ms = binding ? schedule_timeout_ms(binding) :
				      c->timeout_ms;
	probe->start_ns = prober_now_ns();
	probe->lost_us = prober->late.lost_us;
	if (binding)
		binding->probe = probe;
	prober->schedule.in_flight++;
	probe->timer.tag = SCHEDULE_TIME_OUT;
	wheel_add(&prober->schedule.wheel, &probe->timer,
		  probe->start_ns / 1000000 + probe->timeout_ms);
	monitor->kind->start(probe);
	return 0;
}

static void release(struct probe *probe)
{
	struct prober *prober = probe->prober;

	if (probe->monitor->kind->stop)
		probe->monitor->kind->stop(probe);
	poller_close(&probe->io);
	wheel_cancel(&prober->schedule.wheel, &probe->timer);
	free(probe->reply);
	if (probe->binding)
		probe->binding->probe = NULL;
	monitor_unref(probe->monitor);
	prober->schedule.in_flight--;
	probe->next_free = free_list;
	free_list = probe;
}

void probe_cancel(struct probe *probe)
{
	release(probe);
}

void probe_finish_text(struct probe *probe, enum reason code, uint32_t detail,
		       const char *text, size_t len)
{
	struct prober *prober = probe->prober;
	struct binding *binding = probe->binding;
	uint64_t try_id = probe->try_id, start_ns = probe->start_ns;
	uint32_t us = (prober_now_ns() - start_ns) / 1000;
	uint64_t lost_us = prober->late.lost_us - probe->lost_us;
	bool reverse = probe->monitor->config.reverse;
	struct reason_info reason;

	reason_set(&reason, code, detail);
	if (len)
		reason_text(&reason, text, len);
	release(probe);
	if (binding)
		schedule_result(prober, binding, code == REASON_OK, &reason,
				start_ns, us, lost_us);
	else
		control_tried(prober, try_id, (code == REASON_OK) != reverse, us,
			      &reason);
}

void probe_finish(struct probe *probe, enum reason code, uint32_t detail)
{
	probe_finish_text(probe, code, detail, NULL, 0);
}

void probe_finish_errno(struct probe *probe, int error)
{
	switch (error) {
	case ECONNREFUSED:
		return probe_finish(probe, REASON_REFUSED, 0);
	case ECONNRESET:
	case EPIPE:
		return probe_finish(probe, REASON_RESET, 0);
	case ETIMEDOUT:
		return probe_finish(probe, REASON_TIMEOUT_CONNECT,
				    probe->timeout_ms);
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
		return probe_finish_text(probe, REASON_UNREACHABLE, 0,
					 strerrordesc_np(error),
					 strlen(strerrordesc_np(error)));
	default:
		return probe_finish_text(probe, REASON_ERROR, error,
					 strerror(error),
					 strlen(strerror(error)));
	}
}

void probe_time_out(struct probe *probe)
{
	struct prober *prober = probe->prober;
	uint64_t lost_ms = (prober->late.lost_us - probe->lost_us) / 1000;
	uint64_t due_ms = probe->start_ns / 1000000 + probe->timeout_ms +
			  lost_ms;

	if (due_ms > prober->schedule.wheel.now_ms) {
		prober->self->discarded++;
		wheel_add(&prober->schedule.wheel, &probe->timer, due_ms);
		return;
	}
	if (probe->monitor->kind->timeout)
		probe->monitor->kind->timeout(probe);
	else
		probe_finish(probe, REASON_TIMEOUT, probe->timeout_ms);
}

void probe_step(struct probe *probe, const char *format, ...)
{
	char text[256];
	va_list ap;

	if (!probe->traced)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	probe_step_at(probe, (prober_now_ns() - probe->start_ns) / 1000, text);
}

void probe_step_at(struct probe *probe, uint32_t at_us, const char *text)
{
	if (probe->traced)
		control_step(probe->prober, probe->try_id, at_us, text);
}

bool probe_keep(struct probe *probe, const void *data, size_t len)
{
	size_t left = PROBE_REPLY_MAX - probe->reply_len;
	bool all = len <= left;

	if (!all)
		len = left;
	if (probe->reply_len + len > probe->reply_room) {
		uint32_t room = probe->reply_room ? probe->reply_room : 1024;
		void *grown;

		while (room < probe->reply_len + len)
			room *= 2;
		grown = realloc(probe->reply, room);
		if (!grown)
			return false;
		probe->reply = grown;
		probe->reply_room = room;
	}
	if (len)
		memcpy(probe->reply + probe->reply_len, data, len);
	probe->reply_len += len;
	return all;
}

bool probe_matches(struct probe *probe, bool last)
{
	/* Whole reply each time, but only when it has grown by a quarter: a
	 * reply that drips in byte by byte costs a small multiple of one that
	 * comes at once. What lies in between is found at the end or time-out
	 * (LAST). */
	if (!last && probe->reply_len < probe->matched_len +
						probe->matched_len / 4 + 1)
		return false;
	if (last && probe->matched && probe->matched_len == probe->reply_len)
		return false;
	probe->matched = true;
	probe->matched_len = probe->reply_len;
	return monitor_expected(probe->monitor, probe->reply,
				probe->reply_len);
}

socklen_t probe_sockaddr(const union ip_addr *addr, uint16_t port,
			 struct sockaddr_storage *ret)
{
	if (ip_addr_is_v4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		memset(in, 0, sizeof(*in));
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = addr->w[3];
		return sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		memset(in6, 0, sizeof(*in6));
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, addr->b, 16);
		return sizeof(*in6);
	}
}

int probe_open(struct probe *probe, int type)
{
	int family = ip_addr_is_v4(&probe->addr) ? AF_INET : AF_INET6;

	probe->io.fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->io.fd < 0)
		return -errno;
	return probe_enter_tunnel(probe, probe->io.fd, type);
}

int probe_enter_tunnel(const struct probe *probe, int socket, int type)
{
	uint8_t kind = probe->monitor->config.tunnel;
	uint16_t port;

	return kind ? tunnel_bind(socket,
				  type == SOCK_DGRAM ? PROBE_TUNNEL_UDP :
						       PROBE_TUNNEL_TCP,
				  ip_addr_is_v4(&probe->addr), kind,
				  &probe->outer, &port) :
		      0;
}

int probe_connect(struct probe *probe)
{
	struct sockaddr_storage to;
	socklen_t len = probe_sockaddr(&probe->addr, probe->port, &to);
	char text[ADDR_TEXT_LEN];

	if (connect(probe->io.fd, (struct sockaddr *)&to, len) &&
	    errno != EINPROGRESS)
		return -errno;
	if (probe->traced)
		probe_step(probe, "connecting to %s",
			   addr_text_format_port(&probe->addr, probe->port,
						 text));
	return poller_add(&probe->io);
}
