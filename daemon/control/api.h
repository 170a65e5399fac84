/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The management API: HTTP and JSON over RUNDIR/sluiced.sock, served by
 * libmicrohttpd inside the daemon's one event loop. Modules register their
 * paths; handlers run on the loop's thread and must not block.
 */
#ifndef SLUICE_API_H
#define SLUICE_API_H

#include <json-c/json.h>
#include <stddef.h>
#include <uv.h>

struct api;
struct api_topic;

struct api_request {
	const char *method; /* "GET", "POST", "PUT", "DELETE" */
	const char *path;   /* whole path */
	const char *tail;   /* what follows the registered prefix, decoded */
	const char *body;   /* may be empty, never NULL */
	size_t body_len;
	struct json_object *json; /* body as JSON, NULL if none; borrowed */
	void *connection;	  /* for api_query() */
};

/* Fill in what is not the default (200, no body). */
struct api_reply {
	int status;
	struct json_object *json; /* ownership passes to the API */
	char error[512];	  /* status ≥ 400: one line: what, remedy */
};

typedef void api_handler(void *ctx, const struct api_request *request,
			 struct api_reply *reply);

/* Listens on the Unix socket at PATH (mode 0660; a stale one is replaced).
 * 0 or -errno. */
int api_new(uv_loop_t *loop, const char *path, struct api **ret);
void api_free(struct api *api);

/* METHOD and PREFIX, e.g. "GET", "/v1/services". The longest prefix that ends
 * at a path segment wins. */
void api_route(struct api *api, const char *method, const char *prefix,
	       api_handler *handler, void *ctx);

/* Query parameter ?NAME=value, decoded; NULL if absent. */
const char *api_query(const struct api_request *request, const char *name);

/* Shorthand: sets status and error text. */
void api_fail(struct api_reply *reply, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A topic streams one JSON object per line to every client that GETs its path
 * (`service watch`, `cluster trace`); slow readers lose events and are told
 * how many. */
struct api_topic *api_topic_new(struct api *api, const char *path);
void api_topic_publish(struct api_topic *topic, struct json_object *event);

#endif
