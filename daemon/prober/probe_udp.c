/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * udp: a datagram is sent (`send`, or an empty one); the service is down if
 * that is answered by an ICMP error, up if by anything else or, as UDP
 * services may well stay silent, by nothing within the time-out. udp-ecv: a
 * reply must come and hold what is expected.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "prober/probe.h"
#include "prober/prober.h"

static void on_ready(struct poller_io *io, uint32_t events)
{
	struct probe *probe =
		(struct probe *)((char *)io - offsetof(struct probe, io));
	bool ecv = probe->monitor->config.type == MONITOR_UDP_ECV;

	(void)events;
	/* Replies that do not hold it are read over, a few per wake-up; what
	 * stays unread is dropped by the kernel when the probe ends. */
	for (int i = 0; i < 8; i++) {
		ssize_t n = recv(io->fd, probe_scratch, sizeof(probe_scratch),
				 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			return probe_finish_errno(probe, errno);
		probe_step(probe, "reply of %zd bytes", n);
		if (!ecv || monitor_expected(probe->monitor, probe_scratch, n))
			return probe_finish(probe, REASON_OK, 0);
		probe->matched = true;
		probe->reply_len = 0;
		probe->matched_len = n;
	}
	if (poller_again(io))
		probe_finish_errno(probe, errno);
}

/* Otherwise only "port unreachable" is an error, and a back end that routers
 * say is not there would pass for a silent one (ip(7), IP_RECVERR). */
static void want_errors(const struct probe *probe)
{
	static const int on = 1;

	if (ip_addr_is_v4(&probe->addr))
		setsockopt(probe->io.fd, IPPROTO_IP, IP_RECVERR, &on,
			   sizeof(on));
	else
		setsockopt(probe->io.fd, IPPROTO_IPV6, IPV6_RECVERR, &on,
			   sizeof(on));
}

static void start(struct probe *probe)
{
	const struct config_monitor *c = &probe->monitor->config;
	int r;

	if (probe->monitor->nfa_error)
		return probe_finish_text(probe, REASON_REGEX, 0,
					 probe->monitor->nfa_error,
					 strlen(probe->monitor->nfa_error));
	probe->io.ready = on_ready;
	r = probe_open(probe, SOCK_DGRAM);
	if (!r) {
		want_errors(probe);
		r = probe_connect(probe);
	}
	if (!r && send(probe->io.fd, c->send, c->send_len, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r)
		return probe_finish_errno(probe, -r);
	probe_step(probe, "sent %zu bytes", c->send_len);
}

static void timeout_udp(struct probe *probe)
{
	/* The kernel reports "unreachable" at the next use of the socket; the
	 * event for it has been handled, so silence it was. */
	probe_step(probe, "silent: not refused");
	probe_finish(probe, REASON_OK, 0);
}

static void timeout_ecv(struct probe *probe)
{
	if (probe->matched)
		probe_finish(probe, REASON_CONTENT, probe->matched_len);
	else
		probe_finish(probe, REASON_TIMEOUT, probe->timeout_ms);
}

const struct probe_kind probe_udp = { "udp", start, NULL, timeout_udp };
const struct probe_kind probe_udp_ecv = { "udp-ecv", start, NULL, timeout_ecv };
