/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ping: ICMP echo. One socket per family for all probes: the kernel's ping
 * sockets where net.ipv4.ping_group_range lets us have them, otherwise raw
 * ones, opened before the last privilege is dropped. A reply counts if its
 * sequence number, the nonce in its payload and its source are those of a
 * probe in flight, so nobody off the path can fake one.
 */
#include <errno.h>
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prober/ping.h"
#include "prober/probe.h"
#include "prober/prober.h"

/* Room for bursts of replies: 14 000 a second, some late. */
#define RECEIVE_BUFFER (4 << 20)
#define READS_MAX 512

struct echo {
	uint8_t type, code;
	uint16_t checksum, id, sequence;
	uint64_t nonce;
	uint8_t pad[32]; /* as large as ping(8)'s */
};

static struct ping_socket {
	struct poller_io io;
	bool v6, raw;
} sockets[2] = { { .io.fd = -1 }, { .io.fd = -1, .v6 = true } };

static struct probe *in_flight[65536]; /* by sequence number */
static uint16_t next_sequence;
static uint16_t own_id; /* raw sockets see all echo replies of the host */

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		uint16_t word;

		memcpy(&word, p + i, sizeof(word));
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void answered(struct ping_socket *socket, const uint8_t *data,
		     size_t len, const struct sockaddr_storage *from)
{
	union ip_addr source;
	struct probe *probe;
	struct echo echo;

	if (socket->raw && !socket->v6) {
		size_t header = len ? (data[0] & 15) * 4u : 0;

		if (header < 20 || header > len)
			return;
		data += header;
		len -= header;
	}
	if (len < offsetof(struct echo, pad))
		return;
	memcpy(&echo, data, offsetof(struct echo, pad));
	if (echo.type != (socket->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) ||
	    (socket->raw && echo.id != own_id))
		return;
	probe = in_flight[ntohs(echo.sequence)];
	if (!probe || probe->number != echo.nonce)
		return;
	if (socket->v6)
		memcpy(source.b, &((struct sockaddr_in6 *)from)->sin6_addr, 16);
	else
		ip_addr_set_v4(&source,
			       ((struct sockaddr_in *)from)->sin_addr.s_addr);
	if (!ip_addr_equal(&source, &probe->addr))
		return;
	probe_step(probe, "echo reply");
	probe_finish(probe, REASON_OK, 0);
}

/* An ICMP error for one of our requests, with the request quoted. */
static void refused(struct ping_socket *socket)
{
	uint8_t control[512], data[256];
	struct sockaddr_storage to;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int error = EHOSTUNREACH;
	struct probe *probe;
	struct echo echo;
	ssize_t n;

	while ((n = recvmsg(socket->io.fd, &msg, MSG_ERRQUEUE)) >= 0) {
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
		     c = CMSG_NXTHDR(&msg, c)) {
			struct sock_extended_err ee;

			if (c->cmsg_len < CMSG_LEN(sizeof(ee)))
				continue;
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			if (ee.ee_errno)
				error = ee.ee_errno;
		}
		if ((size_t)n >= offsetof(struct echo, nonce)) {
			memcpy(&echo, data, offsetof(struct echo, nonce));
			probe = in_flight[ntohs(echo.sequence)];
			/* Only errors that an echo request can cause. */
			if (probe && (!socket->raw || echo.id == own_id) &&
			    error != EMSGSIZE)
				probe_finish_errno(
					probe, error == ECONNREFUSED ?
						       EHOSTUNREACH :
						       error);
		}
		msg.msg_namelen = sizeof(to);
		msg.msg_controllen = sizeof(control);
	}
}

static void on_ready(struct poller_io *io, uint32_t events)
{
	struct ping_socket *socket = (struct ping_socket *)io;

	if (events & EPOLLERR)
		refused(socket);
	for (int i = 0; i < READS_MAX; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(io->fd, probe_scratch,
				     sizeof(probe_scratch), 0,
				     (struct sockaddr *)&from, &len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n >= 0)
			answered(socket, probe_scratch, n, &from);
		else if (errno != EINTR)
			refused(socket);
	}
	poller_again(io);
}

static void open_one(struct ping_socket *s)
{
	int family = s->v6 ? AF_INET6 : AF_INET;
	int protocol = s->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	static const int on = 1, room = RECEIVE_BUFFER;

	s->io.fd = socket(family, type, protocol);
	if (s->io.fd < 0) {
		type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
		s->io.fd = socket(family, type, protocol);
		s->raw = s->io.fd >= 0;
	}
	if (s->io.fd < 0)
		return;
	if (s->raw && !s->v6) {
		struct icmp_filter {
			uint32_t data;
		} filter = { ~(1u << ICMP_ECHOREPLY) };

		setsockopt(s->io.fd, SOL_RAW, 1 /* ICMP_FILTER */, &filter,
			   sizeof(filter));
	} else if (s->raw) {
		struct icmp6_filter filter;

		ICMP6_FILTER_SETBLOCKALL(&filter);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
		setsockopt(s->io.fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter,
			   sizeof(filter));
	}
	setsockopt(s->io.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (s->v6)
		setsockopt(s->io.fd, IPPROTO_IPV6, IPV6_RECVERR, &on,
			   sizeof(on));
	else
		setsockopt(s->io.fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
}

void ping_open(void)
{
	if (getrandom(&own_id, sizeof(own_id), 0) != sizeof(own_id))
		own_id = getpid();
	next_sequence = own_id;
	for (int i = 0; i < 2; i++)
		open_one(&sockets[i]);
}

uint32_t ping_init(void)
{
	uint32_t kind = 0;

	for (int i = 0; i < 2; i++) {
		if (sockets[i].io.fd < 0)
			continue;
		sockets[i].io.ready = on_ready;
		if (poller_add(&sockets[i].io))
			poller_close(&sockets[i].io);
		else
			kind = sockets[i].raw ? 2 : 1;
	}
	return kind;
}

static void start(struct probe *probe)
{
	struct ping_socket *s = &sockets[!ip_addr_is_v4(&probe->addr)];
	struct echo echo = { .id = own_id };
	struct sockaddr_storage to;
	socklen_t len = probe_sockaddr(&probe->addr, 0, &to);

	if (s->io.fd < 0)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "no ICMP socket", 14);
	for (int i = 0; in_flight[next_sequence] && i < 65535; i++)
		next_sequence++;
	if (in_flight[next_sequence])
		return probe_finish_errno(probe, ENOBUFS);
	probe->stage = 1;
	probe->sent = next_sequence;
	in_flight[next_sequence] = probe;
	if (getrandom(&probe->number, sizeof(probe->number), 0) !=
	    sizeof(probe->number))
		probe->number = probe->start_ns;
	echo.type = s->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	echo.sequence = htons(next_sequence++);
	echo.nonce = probe->number;
	/* For ping sockets and ICMPv6 the kernel does this itself. */
	echo.checksum = checksum(&echo, sizeof(echo));
	for (int tries = 0;; tries++) {
		if (sendto(s->io.fd, &echo, sizeof(echo), 0,
			   (struct sockaddr *)&to, len) >= 0)
			break;
		/* An older ICMP error is reported first: take it, go on. */
		if (tries < 4 && (errno == EHOSTUNREACH ||
				  errno == ECONNREFUSED || errno == EINTR)) {
			int error = errno;
			uint64_t id = probe->number;

			refused(s);
			if (in_flight[(uint16_t)probe->sent] != probe ||
			    probe->number != id)
				return; /* it was about this one */
			if (tries < 3)
				continue;
			errno = error;
		}
		return probe_finish_errno(probe, errno);
	}
	probe_step(probe, "echo request sent");
}

static void stop(struct probe *probe)
{
	if (probe->stage)
		in_flight[(uint16_t)probe->sent] = NULL;
}

const struct probe_kind probe_ping = { "ping", start, stop, NULL };
