/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HTTP on a Unix socket by libmicrohttpd, without threads of its own: its
 * epoll descriptor is one more descriptor of the daemon's loop. Owns sockets,
 * bodies, routing and the form of answers; knows nothing of what is asked.
 *
 * Everything runs on the loop's thread. Bodies are bounded one by one and
 * together; connections in number and in idle time.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api_internal.h"
#include "limits.h"
#include "util/log.h"

#define IDLE_TIMEOUT_S 30u
#define BODY_BYTES_TOTAL (2 * (size_t)API_BODY_MAX)

/* One request on its way through libmicrohttpd. */
struct exchange {
	struct api *api;
	struct MHD_Connection *connection;
	char *body;
	size_t len, room;
	int early_status; /* body refused; answered at its end */
	bool suspended;
	struct api_pending *pending;
};

/* A deferred answer. Lives until api_complete(), whatever happens to the
 * exchange, and after it until the exchange has taken the reply. */
struct api_pending {
	struct api_pending *next, **link;
	struct api *api;
	struct exchange *exchange; /* NULL: the client is gone */
	bool done;
	struct api_reply reply;
};

/* ---- answers ----------------------------------------------------------- */

void api_fail(struct api_reply *reply, int status, const char *format, ...)
{
	va_list args;

	reply->status = status;
	va_start(args, format);
	vsnprintf(reply->error, sizeof(reply->error), format, args);
	va_end(args);
}

static void free_json(void *cls)
{
	json_object_put(cls);
}

/* Sends REPLY and disposes of what it holds. */
static enum MHD_Result send_reply(struct MHD_Connection *connection,
				  struct api_reply *reply, const char *allow)
{
	struct json_object *json = reply->json;
	struct MHD_Response *response = NULL;
	enum MHD_Result result = MHD_NO;
	const char *text;
	size_t len;

	reply->json = NULL;
	if (reply->status >= 400 && !json) {
		json = json_object_new_object();
		json_object_object_add(json, "error",
				       json_object_new_string(
					       reply->error[0] ? reply->error :
								 "refused"));
	}
	if (!json)
		json = json_object_new_object();
	text = json ? json_object_to_json_string_length(
			      json, JSON_C_TO_STRING_PLAIN |
					    JSON_C_TO_STRING_NOSLASHESCAPE,
			      &len) :
		      NULL;
	/* The text belongs to the object, which goes when it has been sent. */
	if (text)
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			len, (void *)text, free_json, json);
	if (!response) {
		json_object_put(json);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"application/json");
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	result = MHD_queue_response(connection,
				    (unsigned int)(reply->status ?
							   reply->status :
							   MHD_HTTP_OK),
				    response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_error(struct MHD_Connection *connection, int status,
				  const char *allow, const char *what)
{
	struct api_reply reply = { 0 };

	api_fail(&reply, status, "%s", what);
	return send_reply(connection, &reply, allow);
}

/* ---- routes ------------------------------------------------------------ */

void api_route(struct api *api, const char *method, const char *prefix,
	       api_handler *handler, void *ctx)
{
	struct api_route_entry *route;

	assert(api->n_routes < API_ROUTES_MAX);
	route = &api->routes[api->n_routes++];
	route->method = method;
	route->prefix = prefix;
	route->len = strlen(prefix);
	route->handler = handler;
	route->ctx = ctx;
}

static bool route_covers(const struct api_route_entry *route, const char *path)
{
	return strncmp(route->prefix, path, route->len) == 0 &&
	       (path[route->len] == '\0' || path[route->len] == '/');
}

/* The longest prefix that has the method. A topic's path has no tails. */
static const struct api_route_entry *find_route(const struct api *api,
						const char *method,
						const char *path)
{
	const struct api_route_entry *best = NULL;

	for (size_t i = 0; i < api->n_routes; i++) {
		const struct api_route_entry *route = &api->routes[i];

		if (strcmp(route->method, method) == 0 &&
		    route_covers(route, path) &&
		    (route->handler || path[route->len] == '\0') &&
		    (!best || route->len > best->len))
			best = route;
	}
	return best;
}

/* "GET, POST": the methods that PATH has. */
static bool allowed(const struct api *api, const char *path, char *buf,
		    size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < api->n_routes; i++) {
		const struct api_route_entry *route = &api->routes[i];

		if (!route_covers(route, path) || strstr(buf, route->method))
			continue;
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      n ? ", " : "", route->method);
	}
	return n > 0;
}

const char *api_query(const struct api_request *request, const char *name)
{
	struct exchange *exchange = request->connection;

	return MHD_lookup_connection_value(exchange->connection,
					   MHD_GET_ARGUMENT_KIND, name);
}

/* ---- one request ------------------------------------------------------- */

static uid_t peer_uid(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED,
				&cred, &len))
		return (uid_t)-1;
	return cred.uid;
}

/* The body as JSON. Text that is not is refused here, with its line. */
static bool parse_body(struct MHD_Connection *connection,
		       struct api_request *request, struct api_reply *reply)
{
	const char *type = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
	struct json_tokener *tokener;
	enum json_tokener_error error;
	unsigned int line = 1;
	size_t end;

	if (request->body_len == 0 ||
	    (type && strncasecmp(type, "text/plain", 10) == 0))
		return true;
	tokener = json_tokener_new();
	if (!tokener) {
		api_fail(reply, MHD_HTTP_INTERNAL_SERVER_ERROR,
			 "out of memory");
		return false;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	/* With the closing NUL, so that a lone number is complete. */
	request->json = json_tokener_parse_ex(tokener, request->body,
					      (int)request->body_len + 1);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	while (error == json_tokener_success && end < request->body_len &&
	       strchr(" \t\r\n", request->body[end]))
		end++;
	if (error == json_tokener_success && end >= request->body_len)
		return true;
	for (size_t i = 0; i < end && i < request->body_len; i++)
		line += request->body[i] == '\n';
	api_fail(reply, MHD_HTTP_BAD_REQUEST,
		 "the request's body, line %u: not JSON: %s", line,
		 end >= request->body_len      ? "it ends too early" :
		 error			       ? json_tokener_error_desc(error) :
						 "text after its end");
	return false;
}

/* Runs the handler, or says why there is none. */
static enum MHD_Result dispatch(struct exchange *exchange, const char *path,
				const char *method)
{
	struct MHD_Connection *connection = exchange->connection;
	struct api *api = exchange->api;
	const struct api_route_entry *route = find_route(api, method, path);
	struct api_request request = {
		.method = method,
		.path = path,
		.body = exchange->body ? exchange->body : "",
		.body_len = exchange->len,
		.uid = peer_uid(connection),
		.connection = exchange,
	};
	struct api_reply reply = { 0 };
	char methods[64];

	if (!route) {
		if (allowed(api, path, methods, sizeof(methods)))
			return send_error(connection,
					  MHD_HTTP_METHOD_NOT_ALLOWED, methods,
					  "the path does not have this method");
		return send_error(connection, MHD_HTTP_NOT_FOUND, NULL,
				  "no such path");
	}
	if (!route->handler) {
		if (api->n_readers >= API_READERS_MAX)
			return send_error(connection,
					  MHD_HTTP_SERVICE_UNAVAILABLE, NULL,
					  "too many readers of streams");
		return api_topic_serve(route->ctx, connection);
	}
	request.tail = path + route->len + (path[route->len] == '/');
	if (parse_body(connection, &request, &reply)) {
		if (strcmp(method, "GET") != 0)
			log_info("uid %d: %s %s", (int)request.uid, method,
				 path);
		route->handler(route->ctx, &request, &reply);
	}
	json_object_put(request.json);
	if (exchange->pending && !exchange->pending->done) {
		exchange->suspended = true;
		MHD_suspend_connection(connection);
		return MHD_YES;
	}
	if (exchange->pending)
		return send_reply(connection, &exchange->pending->reply, NULL);
	if (reply.rows.key && reply.status < 400)
		return api_rows_serve(&reply.rows, connection);
	return send_reply(connection, &reply, NULL);
}

/* Takes more of the body; what is too much is read and forgotten. */
static void receive(struct exchange *exchange, const char *data, size_t len)
{
	struct api *api = exchange->api;

	if (exchange->early_status)
		return;
	if (len > API_BODY_MAX - exchange->len) {
		exchange->early_status = MHD_HTTP_CONTENT_TOO_LARGE;
		return;
	}
	if (exchange->len + len + 1 > exchange->room) {
		size_t room = exchange->room ? 2 * exchange->room : 4096;
		char *body;

		while (room < exchange->len + len + 1)
			room *= 2;
		if (api->body_bytes + room - exchange->room >
		    BODY_BYTES_TOTAL) {
			exchange->early_status = MHD_HTTP_SERVICE_UNAVAILABLE;
			return;
		}
		body = realloc(exchange->body, room);
		if (!body) {
			exchange->early_status = MHD_HTTP_SERVICE_UNAVAILABLE;
			return;
		}
		api->body_bytes += room - exchange->room;
		exchange->body = body;
		exchange->room = room;
	}
	memcpy(exchange->body + exchange->len, data, len);
	exchange->len += len;
	exchange->body[exchange->len] = '\0';
}

static enum MHD_Result refuse_body(struct exchange *exchange)
{
	char what[96];

	if (exchange->early_status == MHD_HTTP_CONTENT_TOO_LARGE)
		snprintf(what, sizeof(what),
			 "the request's body is larger than %d MiB",
			 API_BODY_MAX >> 20);
	else
		snprintf(what, sizeof(what),
			 "too many large requests at a time: try again");
	return send_error(exchange->connection, exchange->early_status, NULL,
			  what);
}

/* libmicrohttpd calls this for the headers, for each part of the body, at its
 * end, and again when a suspended connection is resumed. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection,
				  const char *path, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **request)
{
	struct exchange *exchange = *request;
	const char *length;

	(void)version;
	if (!exchange) {
		exchange = calloc(1, sizeof(*exchange));
		if (!exchange)
			return MHD_NO;
		exchange->api = cls;
		exchange->connection = connection;
		*request = exchange;
		length = MHD_lookup_connection_value(
			connection, MHD_HEADER_KIND,
			MHD_HTTP_HEADER_CONTENT_LENGTH);
		/* Answered before the body is sent, if the client waits. */
		if (length && strtoull(length, NULL, 10) > API_BODY_MAX) {
			exchange->early_status = MHD_HTTP_CONTENT_TOO_LARGE;
			return refuse_body(exchange);
		}
		return MHD_YES;
	}
	if (*len > 0) {
		receive(exchange, data, *len);
		*len = 0;
		return MHD_YES;
	}
	if (exchange->early_status)
		return refuse_body(exchange);
	if (exchange->pending)
		return send_reply(connection, &exchange->pending->reply, NULL);
	return dispatch(exchange, path, method);
}

/* ---- deferred answers --------------------------------------------------- */

static void unlink_pending(struct api_pending *pending)
{
	*pending->link = pending->next;
	if (pending->next)
		pending->next->link = pending->link;
	json_object_put(pending->reply.json);
	free(pending);
}

struct api_pending *api_defer(const struct api_request *request)
{
	struct exchange *exchange = request->connection;
	struct api_pending *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return NULL;
	pending->api = exchange->api;
	pending->exchange = exchange;
	pending->next = exchange->api->pending;
	pending->link = &exchange->api->pending;
	if (pending->next)
		pending->next->link = &pending->next;
	exchange->api->pending = pending;
	exchange->pending = pending;
	return pending;
}

/* libmicrohttpd must only be told to resume what is suspended. */
static void resume(struct exchange *exchange)
{
	if (!exchange->suspended)
		return;
	exchange->suspended = false;
	MHD_resume_connection(exchange->connection);
	api_wake(exchange->api);
}

void api_complete(struct api_pending *pending, struct api_reply *reply)
{
	pending->reply = *reply;
	pending->done = true;
	reply->json = NULL;
	if (!pending->exchange) {
		unlink_pending(pending);
		return;
	}
	/* If the handler itself answers, dispatch() takes the reply at once. */
	resume(pending->exchange);
}

static void on_completed(void *cls, struct MHD_Connection *connection,
			 void **request, enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *request;

	(void)cls;
	(void)connection;
	(void)code;
	if (!exchange)
		return;
	if (exchange->pending) {
		exchange->pending->exchange = NULL;
		if (exchange->pending->done)
			unlink_pending(exchange->pending);
	}
	exchange->api->body_bytes -= exchange->room;
	free(exchange->body);
	free(exchange);
	*request = NULL;
}

/* ---- loop -------------------------------------------------------------- */

static void run(struct api *api);

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void on_keepalive(uv_timer_t *timer)
{
	api_topic_keepalive(timer->data);
}

static void run(struct api *api)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(api->mhd);
	if (MHD_get_timeout(api->mhd, &timeout_ms) == MHD_YES)
		uv_timer_start(&api->timer, on_timer, timeout_ms, 0);
	else
		uv_timer_stop(&api->timer);
}

void api_wake(struct api *api)
{
	if (!api->closing)
		uv_timer_start(&api->timer, on_timer, 0, 0);
}

/* ---- socket ------------------------------------------------------------ */

/* A socket file that nobody listens on is left over from a crash. */
static int remove_stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (lstat(addr->sun_path, &st)) {
		rc = errno == ENOENT ? 0 : -errno;
	} else if (!S_ISSOCK(st.st_mode)) {
		rc = -EEXIST;
	} else if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ==
		   0) {
		rc = -EADDRINUSE;
	} else if (errno != ECONNREFUSED) {
		rc = -errno;
	} else if (unlink(addr->sun_path)) {
		rc = -errno;
	}
	close(fd);
	return rc;
}

static int listen_unix(const char *path, int *ret_fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	rc = remove_stale(&addr);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(), so the mode is set in time. */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    chmod(path, 0660) || listen(fd, 64)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct api *api = handle->data;

	if (--api->handles > 0)
		return;
	free(api->path);
	free(api);
}

static int start_handles(struct api *api, int epoll_fd)
{
	int rc = uv_poll_init(api->loop, &api->poll, epoll_fd);

	if (rc)
		return rc;
	uv_timer_init(api->loop, &api->timer);
	uv_timer_init(api->loop, &api->keepalive);
	api->handles = 3;
	api->poll.data = api->timer.data = api->keepalive.data = api;
	uv_poll_start(&api->poll, UV_READABLE, on_readable);
	uv_timer_start(&api->keepalive, on_keepalive, API_KEEPALIVE_MS,
		       API_KEEPALIVE_MS);
	return 0;
}

int api_new(uv_loop_t *loop, const char *path, struct api **ret)
{
	const union MHD_DaemonInfo *info;
	struct api *api;
	int fd = -1, rc;

	api = calloc(1, sizeof(*api));
	if (!api)
		return -ENOMEM;
	api->loop = loop;
	api->path = strdup(path);
	if (!api->path) {
		free(api);
		return -ENOMEM;
	}
	rc = listen_unix(path, &fd);
	if (rc)
		goto err_free;
	/* libmicrohttpd wants it so from who polls for it: it writes to
	 * clients that have gone by calls that cannot suppress the signal. */
	signal(SIGPIPE, SIG_IGN);
	/* From here on the descriptor is libmicrohttpd's. */
	api->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, api, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, api,
		MHD_OPTION_CONNECTION_LIMIT, API_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (!api->mhd) {
		close(fd);
		rc = -EIO;
		goto err_unlink;
	}
	info = MHD_get_daemon_info(api->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	rc = info ? start_handles(api, info->epoll_fd) : -EIO;
	if (rc)
		goto err_stop;
	*ret = api;
	return 0;
err_stop:
	MHD_stop_daemon(api->mhd);
err_unlink:
	unlink(path);
err_free:
	free(api->path);
	free(api);
	return rc;
}

void api_free(struct api *api)
{
	struct api_pending *next;

	if (!api)
		return;
	api->closing = true;
	unlink(api->path);
	/* libmicrohttpd insists that nothing is suspended when it stops. */
	api_topic_close_all(api);
	for (struct api_pending *p = api->pending; p; p = p->next) {
		if (p->done || !p->exchange)
			continue;
		api_fail(&p->reply, MHD_HTTP_SERVICE_UNAVAILABLE,
			 "the daemon stops");
		resume(p->exchange);
	}
	MHD_run(api->mhd);
	uv_poll_stop(&api->poll);
	MHD_stop_daemon(api->mhd);
	/* Who deferred an answer and never gave it has stopped by now. */
	for (struct api_pending *p = api->pending; p; p = next) {
		next = p->next;
		unlink_pending(p);
	}
	api_topic_free_all(api);
	uv_close((uv_handle_t *)&api->poll, on_closed);
	uv_close((uv_handle_t *)&api->timer, on_closed);
	uv_close((uv_handle_t *)&api->keepalive, on_closed);
}
