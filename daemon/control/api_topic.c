/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams: every reader of a topic has a bounded buffer of JSON lines. What
 * does not fit is lost, and the reader is told how much before it gets the
 * next event: {"lost": 12}. A reader without data is suspended, so it costs
 * nothing. All on the loop's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "control/api_internal.h"

struct reader {
	struct reader *next, **link;
	struct api_topic *topic;
	struct MHD_Connection *connection;
	bool suspended;
	uint64_t lost;
	size_t head, len; /* of what is waiting in buf */
	char buf[API_READER_BYTES];
};

struct api_topic {
	struct api_topic *next;
	struct api *api;
	struct reader *readers;
	size_t n_readers;
};

struct api_topic *api_topic_new(struct api *api, const char *path)
{
	struct api_topic *topic = calloc(1, sizeof(*topic));

	if (!topic)
		return NULL;
	topic->api = api;
	topic->next = api->topics;
	api->topics = topic;
	api_route(api, "GET", path, NULL, topic);
	return topic;
}

size_t api_topic_readers(const struct api_topic *topic)
{
	return topic->n_readers;
}

/* Appends LEN bytes if all fit. */
static bool append(struct reader *reader, const char *data, size_t len)
{
	if (len > sizeof(reader->buf) - reader->len)
		return false;
	if (reader->head + reader->len + len > sizeof(reader->buf)) {
		memmove(reader->buf, reader->buf + reader->head, reader->len);
		reader->head = 0;
	}
	memcpy(reader->buf + reader->head + reader->len, data, len);
	reader->len += len;
	return true;
}

static void wake(struct reader *reader)
{
	if (!reader->suspended)
		return;
	reader->suspended = false;
	MHD_resume_connection(reader->connection);
	api_wake(reader->topic->api);
}

static void deliver(struct reader *reader, const char *line, size_t len)
{
	char note[48];
	int n;

	if (reader->lost) {
		n = snprintf(note, sizeof(note), "{\"lost\": %llu}\n",
			     (unsigned long long)reader->lost);
		/* Half empty first, or each event would bring a note. */
		if (reader->len > sizeof(reader->buf) / 2 ||
		    !append(reader, note, (size_t)n)) {
			reader->lost++;
			return;
		}
		reader->lost = 0;
	}
	if (!append(reader, line, len))
		reader->lost++;
	wake(reader);
}

bool api_topic_wanted(const struct api_topic *topic)
{
	return topic->readers != NULL;
}

void api_topic_publish(struct api_topic *topic, struct json_object *event)
{
	const char *text;
	size_t len;
	char *line;

	if (!topic->readers)
		return;
	text = json_object_to_json_string_length(
		event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
		&len);
	line = text ? malloc(len + 1) : NULL;
	if (line) {
		memcpy(line, text, len);
		line[len] = '\n';
	}
	for (struct reader *r = topic->readers; r; r = r->next) {
		if (line)
			deliver(r, line, len + 1);
		else
			r->lost++;
	}
	free(line);
}

void api_topic_keepalive(struct api *api)
{
	for (struct api_topic *t = api->topics; t; t = t->next)
		for (struct reader *r = t->readers; r; r = r->next)
			if (r->len == 0 && append(r, "\n", 1))
				wake(r);
}

static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct reader *reader = cls;
	size_t n = reader->len < max ? reader->len : max;

	(void)pos;
	if (n == 0) {
		if (reader->topic->api->closing)
			return MHD_CONTENT_READER_END_OF_STREAM;
		reader->suspended = true;
		MHD_suspend_connection(reader->connection);
		return 0;
	}
	memcpy(buf, reader->buf + reader->head, n);
	reader->head += n;
	reader->len -= n;
	if (reader->len == 0)
		reader->head = 0;
	return (ssize_t)n;
}

static void free_reader(void *cls)
{
	struct reader *reader = cls;

	*reader->link = reader->next;
	if (reader->next)
		reader->next->link = reader->link;
	reader->topic->n_readers--;
	reader->topic->api->n_readers--;
	free(reader);
}

enum MHD_Result api_topic_serve(struct api_topic *topic,
				struct MHD_Connection *connection)
{
	struct reader *reader = malloc(sizeof(*reader));
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!reader)
		return MHD_NO;
	/* Not the buffer: it would touch all its pages. */
	memset(reader, 0, offsetof(struct reader, buf));
	reader->topic = topic;
	reader->connection = connection;
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, 4096, read_stream, reader, free_reader);
	if (!response) {
		free(reader);
		return MHD_NO;
	}
	reader->next = topic->readers;
	if (reader->next)
		reader->next->link = &reader->next;
	reader->link = &topic->readers;
	topic->readers = reader;
	topic->n_readers++;
	topic->api->n_readers++;
	/* The first line makes the headers go out: the client knows that from
	 * now on it misses nothing. */
	append(reader, "\n", 1);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"application/x-ndjson");
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

void api_topic_close_all(struct api *api)
{
	for (struct api_topic *t = api->topics; t; t = t->next)
		for (struct reader *r = t->readers; r; r = r->next)
			wake(r);
}

void api_topic_free_all(struct api *api)
{
	struct api_topic *next;

	for (struct api_topic *t = api->topics; t; t = next) {
		next = t->next;
		free(t);
	}
	api->topics = NULL;
}
