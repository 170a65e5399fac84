/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The management API: HTTP and JSON over RUNDIR/sluiced.sock, served by
 * libmicrohttpd inside the daemon's one event loop. Modules register their
 * paths; handlers run on the loop's thread and must not block.
 */
#ifndef SLUICE_API_H
#define SLUICE_API_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

struct api;
struct api_pending;
struct api_topic;

struct api_request {
	const char *method; /* "GET", "POST", "PUT", "DELETE" */
	const char *path;   /* whole path */
	const char *tail;   /* what follows the registered prefix, decoded */
	const char *body;   /* may be empty, never NULL */
	size_t body_len;
	/* Body as JSON; borrowed. NULL if there is none or its Content-Type is
	 * text/plain: then only the text is given. A body that is not JSON is
	 * refused before the handler is asked. */
	struct json_object *json;
	uid_t uid;		  /* of the client; (uid_t)-1: not known */
	void *connection;	  /* for api_query(), api_defer() */
};

/* A long list that is made row by row as the client takes it, so that 70 000
 * rows neither stop the loop nor stand in memory: {"KEY": [row, …]}. */
struct api_rows {
	const char *key; /* NULL: no rows */
	/* Row I as a new object, or NULL behind the last one. Called with 0,
	 * 1, 2, … in later turns of the loop: what the rows are of may have
	 * changed meanwhile, so I must be checked against what is there now. */
	struct json_object *(*next)(void *ctx, size_t i);
	void (*done)(void *ctx); /* once, also if the client goes; optional */
	void *ctx;
};

/* Fill in what is not the default (200, no body). */
struct api_reply {
	int status;
	struct json_object *json; /* ownership passes to the API */
	struct api_rows rows;	  /* in place of json */
	char error[512];	  /* status ≥ 400: one line: what, remedy */
};

typedef void api_handler(void *ctx, const struct api_request *request,
			 struct api_reply *reply);

/* Listens on the Unix socket at PATH (mode 0660; a stale one is replaced).
 * 0 or -errno. */
int api_new(uv_loop_t *loop, const char *path, struct api **ret);

/* Ends all connections, removes the socket and frees the topics. The loop
 * must run once more for the handles to close. NULL is fine. */
void api_free(struct api *api);

/* METHOD and PREFIX, e.g. "GET", "/v1/services", constants. The longest prefix
 * that ends at a path segment wins. */
void api_route(struct api *api, const char *method, const char *prefix,
	       api_handler *handler, void *ctx);

/* Query parameter ?NAME=value, decoded; NULL if absent. */
const char *api_query(const struct api_request *request, const char *name);

/* Shorthand: sets status and error text. */
void api_fail(struct api_reply *reply, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For answers that take time: the handler calls this, leaves its reply alone
 * and returns; api_complete() answers later, exactly once, from the loop's
 * thread. NULL: no memory (then answer at once). The request is gone when the
 * handler has returned; the pending answer stays valid if the client goes. */
struct api_pending *api_defer(const struct api_request *request);
void api_complete(struct api_pending *pending, struct api_reply *reply);

/* A topic streams one JSON object per line to every client that GETs its path
 * (`service watch`, `cluster trace`); slow readers lose events and are told
 * how many. */
struct api_topic *api_topic_new(struct api *api, const char *path);

/* EVENT stays the caller's. Costs next to nothing without readers. */
void api_topic_publish(struct api_topic *topic, struct json_object *event);

/* Whether anybody reads it: events that are costly to make can be left out. */
bool api_topic_wanted(const struct api_topic *topic);

/* How many clients read it now: to spare the making of events. */
size_t api_topic_readers(const struct api_topic *topic);

#endif
