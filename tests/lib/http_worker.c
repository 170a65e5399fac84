// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client side of HTTP/1.1 as the load generator needs it: status line,
 * Content-Length, X-Backend, and a body that is checked while it arrives.
 * Whatever is not exactly as expected is a failure. See http_worker.h.
 */
#include "http_worker.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "pattern.h"

#define TOLD_MAX 8

static struct load_phase *current_phase(struct http_worker *w)
{
	struct load_stats *stats = w->shared->stats;

	return &stats->phases[stats->n_phases - 1];
}

static void watch(struct http_worker *w, uint32_t events, int op)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (epoll_ctl(w->shared->epoll_fd, op, w->fd, &ev))
		abort(); /* out of memory: no measurement is possible */
}

void http_worker_close(struct http_worker *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	w->backend[0] = 0;
}

static void pause_until(struct http_worker *w, uint64_t now_us)
{
	w->state = HTTP_IDLE;
	w->phase = NULL;
	/* Spread, so that workers do not march in step. */
	w->wake_us = now_us + w->pause_us / 2 +
		     (w->pause_us ? (uint64_t)random() % w->pause_us : 0);
}

/* Describes the first few failures of a phase, so that whoever finds one can look for
 * that connection in logs and captures. */
static void tell(struct http_worker *w, struct load_phase *phase,
		 enum load_error error, uint64_t now_us)
{
	static const char *const states[] = {
		[HTTP_IDLE] = "idle",	    [HTTP_CONNECTING] = "connecting",
		[HTTP_SENDING] = "sending", [HTTP_HEADER] = "header",
		[HTTP_BODY] = "body",	    [HTTP_ENDING] = "ending",
	};
	struct sockaddr_storage local = { 0 };
	socklen_t len = sizeof(local);
	char from[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";

	if (phase->told++ >= TOLD_MAX)
		return;
	if (w->fd >= 0 && !getsockname(w->fd, (void *)&local, &len))
		getnameinfo((void *)&local, len, from, sizeof(from), port,
			    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(stderr,
		"%lu.%03lu s, phase %s: %s in state %s, %lu ms after its start: %s port %s to %s, back end %s, %lu of %lu bytes\n",
		now_us / 1000000, now_us / 1000 % 1000, phase->name,
		load_error_name(error), states[w->state],
		(now_us - w->start_us) / 1000, from, port, w->target->host,
		*w->backend ? w->backend : "?", w->body_at, w->body_len);
}

static void fail(struct http_worker *w, enum load_error error, uint64_t now_us)
{
	bool connected = w->state != HTTP_CONNECTING;

	tell(w, w->phase, error, now_us);
	w->phase->failed++;
	w->phase->errors[error]++;
	if (connected)
		w->phase->broken++;
	http_worker_close(w);
	pause_until(w, now_us);
	/* A dead target is not hammered. */
	w->wake_us += 100000;
}

static void answered(struct http_worker *w, uint64_t now_us)
{
	load_stats_answer(w->phase, w->backend, w->first_us - w->start_us);
	if (w->kind == HTTP_SHORT)
		http_worker_close(w);
	pause_until(w, now_us);
}

static void send_more(struct http_worker *w, uint64_t now_us)
{
	static uint8_t chunk[16384];
	uint64_t end = w->request_len + w->upload_len;

	while (w->sent < end) {
		ssize_t n;

		if (w->sent < w->request_len) {
			n = send(w->fd, w->request + w->sent,
				 w->request_len - w->sent,
				 MSG_NOSIGNAL |
					 (w->upload_len ? MSG_MORE : 0));
		} else {
			uint64_t at = w->sent - w->request_len;
			size_t len = end - w->sent < sizeof(chunk)
					     ? end - w->sent
					     : sizeof(chunk);

			pattern_fill(at, chunk, len);
			n = send(w->fd, chunk, len, MSG_NOSIGNAL);
		}
		if (n < 0 && errno == EAGAIN) {
			watch(w, EPOLLIN | EPOLLOUT | EPOLLRDHUP,
			      EPOLL_CTL_MOD);
			return;
		}
		if (n < 0) {
			fail(w, LOAD_ERR_RESET, now_us);
			return;
		}
		w->sent += n;
		w->wake_us = now_us + w->shared->timeout_us;
	}
	w->state = HTTP_HEADER;
	w->header_len = 0;
	watch(w, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
}

static void begin_sending(struct http_worker *w, uint64_t now_us)
{
	int n;

	if (w->kind == HTTP_UPLOAD)
		n = snprintf(w->request, sizeof(w->request),
			     "PUT %s HTTP/1.1\r\nHost: %s\r\n"
			     "Content-Length: %lu\r\n\r\n",
			     w->path, w->target->host, w->upload_len);
	else
		n = snprintf(w->request, sizeof(w->request),
			     "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", w->path,
			     w->target->host,
			     w->kind == HTTP_SHORT ? "Connection: close\r\n"
						   : "");
	assert(n > 0 && (size_t)n < sizeof(w->request));
	w->request_len = n;
	w->sent = 0;
	w->state = HTTP_SENDING;
	w->wake_us = now_us + w->shared->timeout_us;
	send_more(w, now_us);
}

static enum load_error connect_error(int error)
{
	return error == ECONNREFUSED ? LOAD_ERR_REFUSED : LOAD_ERR_CONNECT;
}

static int open_socket(struct http_worker *w)
{
	const struct http_target *t = w->target;
	int one = 1;

	w->fd = socket(t->addr.ss_family,
		       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return -errno;
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (t->source.ss_family) {
		setsockopt(w->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
			   sizeof(one));
		if (bind(w->fd, (const void *)&t->source, t->addr_len))
			return -errno;
	}
	if (connect(w->fd, (const void *)&t->addr, t->addr_len) &&
	    errno != EINPROGRESS)
		return -errno;
	return 0;
}

static void begin_request(struct http_worker *w, uint64_t now_us)
{
	int error;

	w->phase = current_phase(w);
	w->phase->sent++;
	w->start_us = now_us;
	w->body_at = w->body_len = 0;
	if (w->fd >= 0) {
		begin_sending(w, now_us);
		return;
	}
	w->state = HTTP_CONNECTING;
	w->wake_us = now_us + w->shared->timeout_us;
	w->phase->connections++;
	error = open_socket(w);
	if (error)
		fail(w, connect_error(-error), now_us);
	else
		watch(w, EPOLLOUT | EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
}

/* The value of header NAME, copied whole; false if absent or too long. */
static bool header_value(const char *header, const char *name, char *value,
			 size_t size)
{
	size_t name_len = strlen(name);

	for (const char *line = header; line && *line;) {
		size_t n;

		if (!strncasecmp(line, name, name_len) &&
		    line[name_len] == ':') {
			line += name_len + 1;
			line += strspn(line, " ");
			n = strcspn(line, "\r");
			if (n >= size)
				return false;
			memcpy(value, line, n);
			value[n] = 0;
			return true;
		}
		line = strstr(line, "\r\n");
		if (line)
			line += 2;
	}
	return false;
}

/* Reads the finished header. LOAD_ERR_MAX if it is as it should be. */
static enum load_error take_header(struct http_worker *w)
{
	char value[32], *end;
	bool no_body;

	if (strncmp(w->header, "HTTP/1.1 2", 10))
		return LOAD_ERR_STATUS;
	no_body = w->kind == HTTP_UPLOAD; /* 201, 204: the file is stored */
	w->body_at = w->body_len = 0;
	if (!no_body) {
		if (!header_value(w->header, "Content-Length", value,
				  sizeof(value)))
			return LOAD_ERR_STATUS;
		w->body_len = strtoull(value, &end, 10);
		if (*end)
			return LOAD_ERR_STATUS;
	}
	if (!header_value(w->header, "X-Backend", value, sizeof(w->backend)))
		value[0] = 0;
	if (*w->backend && strcmp(w->backend, value))
		return LOAD_ERR_MOVED;
	memcpy(w->backend, value, sizeof(w->backend));
	w->state = HTTP_BODY;
	return LOAD_ERR_MAX;
}

static enum load_error take_body(struct http_worker *w, const char *data,
				 size_t len)
{
	if (len > w->body_len - w->body_at ||
	    !pattern_check(w->body_at, (const uint8_t *)data, len))
		return LOAD_ERR_CONTENT;
	w->body_at += len;
	w->phase->bytes += len;
	return LOAD_ERR_MAX;
}

/* Takes LEN bytes that arrived. LOAD_ERR_MAX if all is well. */
static enum load_error take(struct http_worker *w, const char *data, size_t len,
			    uint64_t now_us)
{
	enum load_error error;
	size_t room = sizeof(w->header) - 1 - w->header_len, n, old;
	char *end;

	if (w->state != HTTP_HEADER)
		return take_body(w, data, len);
	old = w->header_len;
	n = len < room ? len : room;
	memcpy(w->header + old, data, n);
	w->header_len += n;
	w->header[w->header_len] = 0;
	end = strstr(w->header, "\r\n\r\n");
	if (!end)
		return n < len || n == room ? LOAD_ERR_STATUS : LOAD_ERR_MAX;
	end[2] = 0;
	w->first_us = now_us;
	n = end + 4 - w->header - old;
	error = take_header(w);
	return error == LOAD_ERR_MAX ? take_body(w, data + n, len - n) : error;
}

static void receive(struct http_worker *w, uint64_t now_us)
{
	static char buf[65536];
	enum load_error error;
	ssize_t n = recv(w->fd, buf, sizeof(buf), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n == 0 && w->state == HTTP_ENDING)
			answered(w, now_us);
		else
			fail(w, n ? LOAD_ERR_RESET : LOAD_ERR_EOF, now_us);
		return;
	}
	w->wake_us = now_us + w->shared->timeout_us;
	error = take(w, buf, n, now_us);
	if (error != LOAD_ERR_MAX) {
		fail(w, error, now_us);
		return;
	}
	if (w->state != HTTP_BODY || w->body_at < w->body_len)
		return;
	/* A short connection ends by the server's close: its end is part of
	 * what must work, and the client's ports stay free of TIME_WAIT. */
	if (w->kind == HTTP_SHORT)
		w->state = HTTP_ENDING;
	else
		answered(w, now_us);
}

static void connected(struct http_worker *w, uint64_t now_us)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		fail(w, connect_error(error), now_us);
	else
		begin_sending(w, now_us);
}

void http_worker_event(struct http_worker *w, uint32_t events, uint64_t now_us)
{
	if (w->state == HTTP_IDLE) {
		/* Nothing was asked, so it can only be the end. */
		struct load_phase *phase = current_phase(w);

		phase->broken++;
		phase->errors[LOAD_ERR_IDLE]++;
		tell(w, phase, LOAD_ERR_IDLE, now_us);
		http_worker_close(w);
	} else if (w->state == HTTP_CONNECTING) {
		connected(w, now_us);
	} else if (w->state == HTTP_SENDING && (events & EPOLLOUT)) {
		send_more(w, now_us);
	} else {
		receive(w, now_us);
	}
}

void http_worker_wake(struct http_worker *w, uint64_t now_us)
{
	if (w->state == HTTP_IDLE) {
		if (!w->shared->stopping)
			begin_request(w, now_us);
	} else {
		fail(w, w->state == HTTP_CONNECTING ? LOAD_ERR_CONNECT_TIMEOUT
						    : LOAD_ERR_TIMEOUT,
		     now_us);
	}
}
