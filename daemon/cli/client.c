/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place of the CLI that talks. Refusals of the daemon and failures to
 * reach it become one line on stderr here.
 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer than any answer that is worked on; not a bound on streams. */
#define TIMEOUT_S 120L

struct buffer {
	char *data;
	size_t len, room;
};

static size_t collect(char *data, size_t one, size_t n, void *arg)
{
	struct buffer *buffer = arg;

	(void)one;
	if (buffer->len + n + 1 > buffer->room) {
		size_t room = buffer->room ? buffer->room : 8192;
		char *more;

		while (room < buffer->len + n + 1)
			room *= 2;
		more = realloc(buffer->data, room);
		if (!more)
			return 0;
		buffer->data = more;
		buffer->room = room;
	}
	memcpy(buffer->data + buffer->len, data, n);
	buffer->len += n;
	buffer->data[buffer->len] = '\0';
	return n;
}

void client_path_init(struct client_path *path, const char *prefix)
{
	path->len = strlen(prefix);
	path->query = strchr(prefix, '?') != NULL;
	path->overflow = path->len >= sizeof(path->text);
	if (!path->overflow)
		memcpy(path->text, prefix, path->len + 1);
}

static void append(struct client_path *path, const char *text, bool escape)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text && !path->overflow; text++) {
		unsigned char c = (unsigned char)*text;

		if (path->len + 4 > sizeof(path->text)) {
			path->overflow = true;
		} else if (!escape || (c >= 'a' && c <= 'z') ||
			   (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			   strchr("-._~", c)) {
			path->text[path->len++] = (char)c;
		} else {
			path->text[path->len++] = '%';
			path->text[path->len++] = hex[c >> 4];
			path->text[path->len++] = hex[c & 15];
		}
	}
	if (!path->overflow)
		path->text[path->len] = '\0';
}

void client_path_add(struct client_path *path, const char *name)
{
	append(path, "/", false);
	append(path, name, true);
}

void client_path_query(struct client_path *path, const char *key,
		       const char *value)
{
	append(path, path->query ? "&" : "?", false);
	append(path, key, true);
	append(path, "=", false);
	append(path, value, true);
	path->query = true;
}

static CURL *open_request(const struct cli *cli, const char *method,
			  const struct client_path *path, char *error)
{
	char url[sizeof(path->text) + 16];
	CURL *curl = path->overflow ? NULL : curl_easy_init();

	error[0] = '\0';
	if (!curl)
		return NULL;
	snprintf(url, sizeof(url), "http://sluiced%s", path->text);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, cli->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	/* Never through a proxy of the environment, never with a wait for
	 * "100 Continue" (one second for each configuration). */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	return curl;
}

static int unreachable(const struct cli *cli, CURL *curl, const char *error)
{
	long code = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &code);
	if (code)
		return cli_refused("cannot reach the daemon at %s: %s%s",
				   cli->socket, strerror((int)code),
				   code == ECONNREFUSED || code == ENOENT ?
					   " (is sluiced running?)" :
					   "");
	return cli_refused("the daemon at %s did not answer: %s", cli->socket,
			   error[0] ? error : "connection lost");
}

/* The daemon's own words, if it had any. */
static int refused(long status, struct json_object *json)
{
	struct json_object *error;

	if (json_object_object_get_ex(json, "error", &error))
		return cli_refused("%s", json_object_get_string(error));
	return cli_refused("the daemon answered with HTTP status %ld", status);
}

static int perform(const struct cli *cli, const char *method,
		   const struct client_path *path, const char *text, size_t len,
		   const char *type, bool quiet, struct json_object **ret)
{
	char error[CURL_ERROR_SIZE];
	CURL *curl = open_request(cli, method, path, error);
	struct curl_slist *headers = NULL;
	struct buffer buffer = { 0 };
	struct json_object *json = NULL;
	long status = 0, code = 0;
	int rc;

	if (!curl)
		return cli_refused("the arguments are too long");
	headers = curl_slist_append(headers, type);
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &buffer);
	if (text) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)len);
	}
	if (curl_easy_perform(curl) != CURLE_OK) {
		curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &code);
		if (quiet && (code == ECONNREFUSED || code == ENOENT))
			rc = -(int)code;
		else
			rc = unreachable(cli, curl, error);
		goto out;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (buffer.len)
		json = json_tokener_parse(buffer.data);
	if (status >= 400) {
		rc = refused(status, json);
	} else if (!json) {
		rc = cli_refused("the daemon's answer is not JSON");
	} else {
		*ret = json_object_get(json);
		rc = CLI_DONE;
	}
out:
	json_object_put(json);
	free(buffer.data);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return rc;
}

int client_ask(const struct cli *cli, const char *method,
	       const struct client_path *path, struct json_object *body,
	       struct json_object **ret)
{
	const char *text =
		body ? json_object_to_json_string_ext(
			       body, JSON_C_TO_STRING_PLAIN |
					     JSON_C_TO_STRING_NOSLASHESCAPE) :
		       NULL;

	return perform(cli, method, path, text, text ? strlen(text) : 0,
		       "Content-Type: application/json", false, ret);
}

int client_send_text(const struct cli *cli, const char *method,
		     const struct client_path *path, const char *text,
		     size_t len, struct json_object **ret)
{
	return perform(cli, method, path, text, len, "Content-Type: text/plain",
		       false, ret);
}

int client_try(const struct cli *cli, const char *method,
	       const struct client_path *path, struct json_object **ret)
{
	return perform(cli, method, path, NULL, 0,
		       "Content-Type: application/json", true, ret);
}

/* ---- streams ----------------------------------------------------------- */

struct stream {
	const struct cli *cli;
	CURL *curl;
	struct buffer buffer;
	void (*line)(const struct cli *cli, const char *text,
		     struct json_object *event);
};

static size_t take_lines(char *data, size_t one, size_t n, void *arg)
{
	struct stream *stream = arg;
	struct buffer *buffer = &stream->buffer;
	char *start, *end;
	long status = 0;

	if (collect(data, one, n, buffer) != n)
		return 0;
	/* A refusal is not a stream: kept whole for client_stream(). */
	curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400)
		return n;
	start = buffer->data;
	while ((end = memchr(start, '\n', buffer->len -
					  (size_t)(start - buffer->data)))) {
		struct json_object *event;

		*end = '\0';
		event = *start ? json_tokener_parse(start) : NULL;
		if (event)
			stream->line(stream->cli, start, event);
		json_object_put(event);
		start = end + 1;
	}
	buffer->len -= (size_t)(start - buffer->data);
	memmove(buffer->data, start, buffer->len);
	fflush(stdout);
	return n;
}

int client_stream(const struct cli *cli, const struct client_path *path,
		  void (*line)(const struct cli *cli, const char *text,
			       struct json_object *event))
{
	char error[CURL_ERROR_SIZE];
	struct stream stream = { .cli = cli, .line = line };
	struct json_object *json = NULL;
	CURLcode code;
	long status = 0;
	int rc = CLI_DONE;

	stream.curl = open_request(cli, "GET", path, error);
	if (!stream.curl)
		return cli_refused("the arguments are too long");
	curl_easy_setopt(stream.curl, CURLOPT_WRITEFUNCTION, take_lines);
	curl_easy_setopt(stream.curl, CURLOPT_WRITEDATA, &stream);
	code = curl_easy_perform(stream.curl);
	curl_easy_getinfo(stream.curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400) {
		if (stream.buffer.len)
			json = json_tokener_parse(stream.buffer.data);
		rc = refused(status, json);
	} else if (code != CURLE_OK) {
		rc = unreachable(cli, stream.curl, error);
	}
	json_object_put(json);
	free(stream.buffer.data);
	curl_easy_cleanup(stream.curl);
	return rc;
}
