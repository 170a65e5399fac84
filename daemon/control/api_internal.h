/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What api.c (requests), api_rows.c (long lists) and api_topic.c (streams)
 * share.
 */
#ifndef SLUICE_API_INTERNAL_H
#define SLUICE_API_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include "control/api.h"

/* Connections at a time; each takes 32 KiB in libmicrohttpd. */
#define API_CONNECTIONS_MAX 128
/* Of these, streams: so that a forgotten `watch` does not shut others out. */
#define API_READERS_MAX 64
/* Bytes of events waiting for one slow reader; more are lost and counted. */
#define API_READER_BYTES (256 << 10)
/* A reader hears at least a blank line this often: that is how the death of
 * a client is noticed while there are no events. */
#define API_KEEPALIVE_MS 5000

/* Paths with methods; their number is known when this is compiled. */
#define API_ROUTES_MAX 64

struct api_route_entry {
	const char *method;
	const char *prefix;
	size_t len;
	api_handler *handler; /* NULL: a topic */
	void *ctx;
};

struct api {
	uv_loop_t *loop;
	struct MHD_Daemon *mhd;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_timer_t keepalive;
	int handles; /* open libuv handles */
	char *path;
	struct api_route_entry routes[API_ROUTES_MAX];
	size_t n_routes;
	struct api_topic *topics;
	struct api_pending *pending;
	size_t n_readers;
	size_t body_bytes; /* of all requests being received */
	bool closing;
};

/* Runs libmicrohttpd soon; called when a connection was resumed. */
void api_wake(struct api *api);

/* Answers with rows. */
enum MHD_Result api_rows_serve(const struct api_rows *rows,
			       struct MHD_Connection *connection);

/* Answers a GET of TOPIC's path with a stream. */
enum MHD_Result api_topic_serve(struct api_topic *topic,
				struct MHD_Connection *connection);
void api_topic_keepalive(struct api *api);

/* Lets all readers of all topics run into their end. */
void api_topic_close_all(struct api *api);
void api_topic_free_all(struct api *api);

#endif
