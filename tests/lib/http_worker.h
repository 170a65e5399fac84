/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One simulated user: connects, asks, checks the answer byte by byte, pauses,
 * asks again – on a new connection each time, or on one that it keeps. Driven
 * by the epoll loop of tool_load; one thread.
 */
#ifndef SLUICE_HTTP_WORKER_H
#define SLUICE_HTTP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "load_stats.h"

enum http_kind {
	HTTP_SHORT = 0,	 /* a connection per request */
	HTTP_LONG = 1,	 /* keeps its connection */
	HTTP_UPLOAD = 2, /* PUT of the pattern, keeps its connection */
};

enum http_state {
	HTTP_IDLE = 0, /* next request at wake_us */
	HTTP_CONNECTING,
	HTTP_SENDING,
	HTTP_HEADER,
	HTTP_BODY,
	HTTP_ENDING, /* short: answer complete, the server's end is due */
};

struct http_target {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct sockaddr_storage source; /* ss_family 0: not bound */
	char host[64];
};

struct http_shared {
	int epoll_fd;
	uint64_t timeout_us;
	struct load_stats *stats;
	bool stopping; /* no new requests */
};

struct http_worker {
	struct http_shared *shared;
	const struct http_target *target;
	enum http_kind kind;
	enum http_state state;
	char path[64];
	uint64_t pause_us;
	uint64_t upload_len;
	int fd;
	uint64_t wake_us;     /* idle: next request; else: time-out */
	uint64_t start_us;    /* of the request; short: of the connect */
	uint64_t first_us;    /* header complete: the latency that counts, as
				 bodies come at any pace */
	struct load_phase *phase; /* of the request in progress */
	char request[256];
	size_t request_len, sent;
	char header[2048];
	size_t header_len;
	uint64_t body_len, body_at;
	char backend[16]; /* of this connection, from the first answer */
};

/* At wake_us: starts a request or times one out. */
void http_worker_wake(struct http_worker *w, uint64_t now_us);
/* The loop reports EVENTS of its socket. */
void http_worker_event(struct http_worker *w, uint32_t events, uint64_t now_us);
/* Closes a connection that is idle; for the end. */
void http_worker_close(struct http_worker *w);

#endif
