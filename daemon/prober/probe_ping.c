/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ping: ICMP echo. One socket per family for all probes: the kernel's ping
 * sockets where net.ipv4.ping_group_range lets us have them, otherwise raw
 * ones, opened before the last privilege is dropped. A reply counts if its
 * sequence number, the nonce in its payload and its source are those of a
 * probe in flight, so nobody off the path can fake one.
 *
 * Through a tunnel the request's identifier tells the back end (probe_tunnel.h),
 * so that each such probe has one of its own while it is in flight: the one that
 * the kernel gives to a ping socket of its own, or, of raw sockets, which are
 * had from the start or never, one of this prober's share.
 */
#include <assert.h>
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
#include "prober/tunnel.h"

/* Of raw sockets, so that no two probers use one: the first is that of probes
 * without a tunnel. Probers of one node are started with the same rights: all
 * have raw sockets or none. */
#define IDS_PER_PROBER (65536 / PROBERS_MAX)
/* Room for bursts of replies: 14 000 a second, some late. */
#define RECEIVE_BUFFER (4 << 20)
#define READS_MAX 512
#define OWN_READS_MAX 4

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
static uint16_t first_id; /* raw sockets see all echo replies of the host */
static bool id_taken[IDS_PER_PROBER] = { true };
static uint16_t last_taken;

/* Values of probe->stage, from IN_FLIGHT on with a sequence number. */
enum { UNSENT, IN_FLIGHT, IN_TUNNEL };

static uint16_t sequence_of(const struct probe *probe)
{
	return probe->sent;
}

/* Of ping sockets that probes share: unknown, the kernel writes it. */
static uint16_t id_of(const struct probe *probe)
{
	return probe->sent >> 16;
}

static void remember_id(struct probe *probe, uint16_t id)
{
	probe->sent |= (uint32_t)id << 16;
	probe->stage = IN_TUNNEL;
}

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

/* The probe that this is the reply to, or NULL. */
static struct probe *answered(const struct ping_socket *socket,
			      const uint8_t *data, size_t len,
			      const struct sockaddr_storage *from)
{
	union ip_addr source;
	struct probe *probe;
	struct echo echo;

	if (socket->raw && !socket->v6) {
		size_t header = len ? (data[0] & 15) * 4u : 0;

		if (header < 20 || header > len)
			return NULL;
		data += header;
		len -= header;
	}
	if (len < offsetof(struct echo, pad))
		return NULL;
	memcpy(&echo, data, offsetof(struct echo, pad));
	if (echo.type != (socket->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
		return NULL;
	probe = in_flight[ntohs(echo.sequence)];
	if (!probe || probe->number != echo.nonce ||
	    (socket->raw && echo.id != htons(id_of(probe))))
		return NULL;
	if (socket->v6)
		memcpy(source.b, &((struct sockaddr_in6 *)from)->sin6_addr, 16);
	else
		ip_addr_set_v4(&source,
			       ((struct sockaddr_in *)from)->sin_addr.s_addr);
	return ip_addr_equal(&source, &probe->addr) ? probe : NULL;
}

static void succeed(struct probe *probe)
{
	probe_step(probe, "echo reply");
	probe_finish(probe, REASON_OK, 0);
}

/* Takes an ICMP error, with a request quoted, from FD: the probe it ends and
 * the errno of that, or NULL. False: there is none. */
static bool take_error(const struct ping_socket *socket, int fd,
		       struct probe **ret, int *ret_error)
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
	ssize_t n = recvmsg(fd, &msg, MSG_ERRQUEUE);
	int error = EHOSTUNREACH;
	struct probe *probe;
	struct echo echo;

	*ret = NULL;
	if (n < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
	     c = CMSG_NXTHDR(&msg, c)) {
		struct sock_extended_err ee;

		if (c->cmsg_len < CMSG_LEN(sizeof(ee)))
			continue;
		memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		if (ee.ee_errno)
			error = ee.ee_errno;
	}
	/* Only errors that an echo request can cause. */
	if ((size_t)n < offsetof(struct echo, nonce) || error == EMSGSIZE)
		return true;
	memcpy(&echo, data, offsetof(struct echo, nonce));
	probe = in_flight[ntohs(echo.sequence)];
	if (!probe || (socket->raw && echo.id != htons(id_of(probe))))
		return true;
	*ret = probe;
	*ret_error = error == ECONNREFUSED ? EHOSTUNREACH : error;
	return true;
}

static void refused(const struct ping_socket *socket)
{
	struct probe *probe;
	int error;

	while (take_error(socket, socket->io.fd, &probe, &error))
		if (probe)
			probe_finish_errno(probe, error);
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
		struct probe *probe;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n >= 0) {
			probe = answered(socket, probe_scratch, n, &from);
			if (probe)
				succeed(probe);
		} else if (errno != EINTR) {
			refused(socket);
		}
	}
	poller_again(io);
}

/* Of a probe with a ping socket of its own: whatever comes for others, or is
 * forged, is read over. */
static void on_own_ready(struct poller_io *io, uint32_t events)
{
	struct probe *probe =
		(struct probe *)((char *)io - offsetof(struct probe, io));
	const struct ping_socket *like = &sockets[!ip_addr_is_v4(&probe->addr)];

	(void)events;
	for (int i = 0; i < OWN_READS_MAX; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		struct probe *ended;
		int error = 0;
		ssize_t n;

		while (take_error(like, io->fd, &ended, &error))
			if (ended == probe)
				return probe_finish_errno(probe, error);
		n = recvfrom(io->fd, probe_scratch, sizeof(probe_scratch), 0,
			     (struct sockaddr *)&from, &len);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n >= 0 &&
		    answered(like, probe_scratch, n, &from) == probe)
			return succeed(probe);
	}
	if (poller_again(io))
		probe_finish_errno(probe, errno);
}

static int open_ping(bool v6)
{
	return socket(v6 ? AF_INET6 : AF_INET,
		      SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		      v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static void want_errors(int fd, bool v6)
{
	static const int on = 1;

	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
}

static void open_one(struct ping_socket *s)
{
	int family = s->v6 ? AF_INET6 : AF_INET;
	int protocol = s->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	static const int room = RECEIVE_BUFFER;

	s->io.fd = open_ping(s->v6);
	if (s->io.fd < 0) {
		s->io.fd = socket(family,
				  SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
				  protocol);
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
	want_errors(s->io.fd, s->v6);
}

void ping_open(int slot)
{
	assert(slot >= 0 && slot < PROBERS_MAX);
	first_id = slot * IDS_PER_PROBER;
	if (getrandom(&next_sequence, sizeof(next_sequence), 0) !=
	    sizeof(next_sequence))
		next_sequence = getpid();
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

/* An identifier that is free in our share. 0 or -ENOBUFS. */
static int take_id(uint16_t *ret)
{
	for (int i = 0; i < IDS_PER_PROBER; i++) {
		last_taken = (last_taken + 1) % IDS_PER_PROBER;
		if (id_taken[last_taken])
			continue;
		id_taken[last_taken] = true;
		*ret = first_id + last_taken;
		return 0;
	}
	return -ENOBUFS;
}

/* Gives the probe an identifier, which then leads to its service. 0 or
 * -errno. */
static int enter_tunnel(struct probe *probe, const struct ping_socket *s)
{
	uint8_t kind = probe->monitor->config.tunnel;
	uint16_t id;
	int r;

	if (s->raw) {
		r = take_id(&id);
		if (r)
			return r;
		remember_id(probe, id);
		return tunnel_enter(PROBE_TUNNEL_ECHO, id, kind, &probe->outer);
	}
	probe->io.fd = open_ping(s->v6);
	if (probe->io.fd < 0)
		return -errno;
	want_errors(probe->io.fd, s->v6);
	r = tunnel_bind(probe->io.fd, PROBE_TUNNEL_ECHO, !s->v6, kind,
			&probe->outer, &id);
	if (r)
		return r;
	remember_id(probe, id);
	probe->io.ready = on_own_ready;
	return poller_add(&probe->io);
}

/* 0 or -errno; also 0 if an error that came up meanwhile has ended the probe. */
static int send_echo(struct probe *probe, const struct ping_socket *s,
		     const struct echo *echo)
{
	uint16_t sequence = sequence_of(probe);
	int fd = probe->io.fd < 0 ? s->io.fd : probe->io.fd;
	uint64_t nonce = probe->number;
	struct sockaddr_storage to;
	socklen_t len = probe_sockaddr(&probe->addr, 0, &to);

	for (int tries = 0;; tries++) {
		int error;

		if (sendto(fd, echo, sizeof(*echo), 0, (struct sockaddr *)&to,
			   len) >= 0) {
			probe_step(probe, "echo request sent");
			return 0;
		}
		error = errno;
		if (fd != s->io.fd ||
		    (error != EHOSTUNREACH && error != ECONNREFUSED &&
		     error != EINTR))
			return -error;
		/* An older ICMP error is reported first: take it, go on. */
		refused(s);
		if (in_flight[sequence] != probe || probe->number != nonce)
			return 0; /* it was about this one */
		if (tries == 3)
			return -error;
	}
}

static void start(struct probe *probe)
{
	const struct ping_socket *s = &sockets[!ip_addr_is_v4(&probe->addr)];
	struct echo echo = { 0 };
	int r = 0;

	if (s->io.fd < 0)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "no ICMP socket", 14);
	for (int i = 0; in_flight[next_sequence] && i < 65535; i++)
		next_sequence++;
	if (in_flight[next_sequence])
		return probe_finish_errno(probe, ENOBUFS);
	probe->stage = IN_FLIGHT;
	probe->sent = next_sequence;
	in_flight[next_sequence++] = probe;
	if (probe->monitor->config.tunnel)
		r = enter_tunnel(probe, s);
	else if (s->raw)
		probe->sent |= (uint32_t)first_id << 16;
	if (r)
		return probe_finish_errno(probe, -r);
	if (getrandom(&probe->number, sizeof(probe->number), 0) !=
	    sizeof(probe->number))
		probe->number = probe->start_ns;
	echo.type = s->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	echo.id = htons(id_of(probe));
	echo.sequence = htons(sequence_of(probe));
	echo.nonce = probe->number;
	/* For ping sockets and ICMPv6 the kernel does this itself. */
	echo.checksum = checksum(&echo, sizeof(echo));
	r = send_echo(probe, s, &echo);
	if (r)
		probe_finish_errno(probe, -r);
}

static void stop(struct probe *probe)
{
	if (probe->stage == UNSENT)
		return;
	in_flight[sequence_of(probe)] = NULL;
	if (probe->stage != IN_TUNNEL)
		return;
	tunnel_leave(PROBE_TUNNEL_ECHO, id_of(probe));
	if (probe->io.fd < 0)
		id_taken[id_of(probe) - first_id] = false;
}

const struct probe_kind probe_ping = { "ping", start, stop, NULL };
