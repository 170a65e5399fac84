/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long lists: rows are made when the client has taken those before, a few
 * KiB at a time, and the loop turns in between.
 */
#include <stdlib.h>
#include <string.h>

#include "control/api_internal.h"

/* Text made ahead in one go. */
#define AHEAD (16 << 10)

struct row_stream {
	struct api_rows rows;
	size_t i;
	bool ended;
	char *buf;
	size_t pos, len, room;
};

static bool append(struct row_stream *stream, const char *text, size_t len)
{
	if (stream->len + len > stream->room) {
		size_t room = stream->room ? stream->room : 2 * AHEAD;
		char *buf;

		while (room < stream->len + len)
			room *= 2;
		buf = realloc(stream->buf, room);
		if (!buf)
			return false;
		stream->buf = buf;
		stream->room = room;
	}
	memcpy(stream->buf + stream->len, text, len);
	stream->len += len;
	return true;
}

/* The next row, or the end of the list. */
static bool append_row(struct row_stream *stream)
{
	struct json_object *row =
		stream->rows.next(stream->rows.ctx, stream->i);
	const char *text;
	size_t len;
	bool good;

	if (!row) {
		stream->ended = true;
		return append(stream, "]}", 2);
	}
	text = json_object_to_json_string_length(
		row, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
		&len);
	good = text && (stream->i == 0 || append(stream, ",", 1)) &&
	       append(stream, text, len);
	json_object_put(row);
	stream->i++;
	return good;
}

static ssize_t read_rows(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct row_stream *stream = cls;
	size_t n;

	(void)pos;
	if (stream->pos == stream->len) {
		stream->pos = stream->len = 0;
		while (!stream->ended && stream->len < AHEAD)
			if (!append_row(stream))
				return MHD_CONTENT_READER_END_WITH_ERROR;
		if (stream->len == 0)
			return MHD_CONTENT_READER_END_OF_STREAM;
	}
	n = stream->len - stream->pos;
	if (n > max)
		n = max;
	memcpy(buf, stream->buf + stream->pos, n);
	stream->pos += n;
	return (ssize_t)n;
}

static void free_rows(void *cls)
{
	struct row_stream *stream = cls;

	if (stream->rows.done)
		stream->rows.done(stream->rows.ctx);
	free(stream->buf);
	free(stream);
}

enum MHD_Result api_rows_serve(const struct api_rows *rows,
			       struct MHD_Connection *connection)
{
	struct row_stream *stream = calloc(1, sizeof(*stream));
	struct MHD_Response *response;
	enum MHD_Result result;
	char start[64];

	if (!stream) {
		if (rows->done)
			rows->done(rows->ctx);
		return MHD_NO;
	}
	stream->rows = *rows;
	snprintf(start, sizeof(start), "{\"%s\":[", rows->key);
	response = append(stream, start, strlen(start)) ?
			   MHD_create_response_from_callback(
				   MHD_SIZE_UNKNOWN, AHEAD, read_rows, stream,
				   free_rows) :
			   NULL;
	if (!response) {
		free_rows(stream);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"application/json");
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}
