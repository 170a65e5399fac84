/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP conversations, see stream.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/stream.h"

enum stage { CONNECTING, SENDING, READING };

/* Connections end by RST: thousands of probes per second must not leave their
 * ports in TIME_WAIT. Closing a socket with unread bytes does that by itself,
 * so replies are looked at without taking them (MSG_PEEK), and most are never
 * taken; other sockets need SO_LINGER. */
void stream_stop(struct probe *probe)
{
	static const struct linger now = { 1, 0 };

	if (probe->io.fd >= 0 && !probe->unread)
		setsockopt(probe->io.fd, SOL_SOCKET, SO_LINGER, &now,
			   sizeof(now));
}

/* Reads of one wake-up: an endless reply must not keep others waiting. */
#define READS_MAX 4

static struct probe *probe_of(struct poller_io *io)
{
	return (struct probe *)((char *)io - offsetof(struct probe, io));
}

static const struct stream_rules *rules_of(const struct probe *probe)
{
	return probe->private;
}

/* True if the probe is finished. */
static bool send_request(struct probe *probe)
{
	char buf[STREAM_REQUEST_MAX];
	int len = rules_of(probe)->request(probe, buf, sizeof(buf));
	ssize_t n;

	if (len < 0) {
		probe_finish(probe, REASON_ERROR, EMSGSIZE);
		return true;
	}
	/* Built again for the rest, in the rare case that it does not go out
	 * whole: nothing has to be kept. */
	while ((int)probe->sent < len) {
		n = send(probe->io.fd, buf + probe->sent, len - probe->sent,
			 MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			probe_finish_errno(probe, errno);
			return true;
		}
		probe->sent += n;
	}
	if (len)
		probe_step(probe, "sent %d bytes", len);
	probe->stage = READING;
	return false;
}

static void read_reply(struct probe *probe)
{
	for (int i = 0; i < READS_MAX; i++) {
		int fd = probe->io.fd;
		ssize_t n = recv(fd, probe_scratch, sizeof(probe_scratch),
				 MSG_PEEK);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			return probe_finish_errno(probe, errno);
		if (n == 0) {
			probe_step(probe, "closed by the service");
			return rules_of(probe)->closed(probe);
		}
		if (probe->traced && !probe->number)
			probe_step(probe, "first bytes of the reply");
		probe->number += n;
		probe->unread = true;
		if (rules_of(probe)->data(probe, probe_scratch, n))
			return;
		probe->unread = false;
		/* Takes what was looked at, without copying it again. */
		if (recv(fd, NULL, n, MSG_TRUNC) != n)
			return probe_finish_errno(probe, EIO);
	}
	/* More may be waiting, but the edge is used up: arm it again. */
	if (poller_again(&probe->io))
		probe_finish_errno(probe, errno);
}

static void on_ready(struct poller_io *io, uint32_t events)
{
	struct probe *probe = probe_of(io);

	if (probe->stage == CONNECTING) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			int error = 0;
			socklen_t len = sizeof(error);

			getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len);
			return probe_finish_errno(probe,
						  error ? error : ECONNRESET);
		}
		if (!(events & EPOLLOUT))
			return;
		probe_step(probe, "connected");
		if (!rules_of(probe)->request)
			return probe_finish(probe, REASON_OK, 0);
		probe->stage = SENDING;
	}
	if (probe->stage == SENDING && send_request(probe))
		return;
	/* Replies may come before the whole request is out. On the first
	 * event there is hardly ever one yet. */
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
		read_reply(probe);
}

void stream_start(struct probe *probe, const struct stream_rules *rules)
{
	int r;

	probe->private = (void *)rules;
	probe->io.ready = on_ready;
	r = probe_open(probe, SOCK_STREAM);
	if (!r && !rules->request) {
		/* Nothing will be said: the handshake need not be finished,
		 * which spares a packet here and a socket there. */
		static const int off;

		setsockopt(probe->io.fd, IPPROTO_TCP, TCP_QUICKACK, &off,
			   sizeof(off));
	}
	if (!r)
		r = probe_connect(probe);
	if (r)
		probe_finish_errno(probe, -r);
}
