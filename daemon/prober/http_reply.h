/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads an HTTP/1.x response as it comes in, byte by byte, without keeping it
 * (RFC 9112): status line, headers, and the body in its three framings. Pure;
 * bounded by HTTP_REPLY_HEADER_MAX. Bytes after the body are not looked at.
 */
#ifndef SLUICE_HTTP_REPLY_H
#define SLUICE_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All header bytes of a response, including those of 1xx ones before it. */
#define HTTP_REPLY_HEADER_MAX 32768

enum http_reply_result {
	HTTP_REPLY_MORE,   /* all was taken, the response goes on */
	HTTP_REPLY_HEADER, /* the header is complete; feed the rest again */
	HTTP_REPLY_BODY,   /* a piece of body, *ret_body and *ret_len */
	HTTP_REPLY_DONE,   /* the response is complete */
	HTTP_REPLY_BAD,	   /* not HTTP */
	HTTP_REPLY_BIG,	   /* header too large */
};

struct http_reply {
	uint8_t state;
	uint8_t framing;
	uint8_t match; /* bytes of the header's name that matched */
	uint8_t name;  /* which header: candidates as a bit set */
	bool no_body;  /* answer to HEAD: set before the first byte */
	bool has_length, chunked, other_coding;
	uint16_t status;
	uint32_t header_len;
	uint64_t length; /* body, or chunk, bytes left */
};

/* Takes from *DATA, *LEN and advances both. Call again until all is taken or
 * the result is DONE, BAD or BIG. */
enum http_reply_result http_reply_feed(struct http_reply *reply,
				       const uint8_t **data, size_t *len,
				       const uint8_t **ret_body,
				       size_t *ret_len);

/* The connection ended: whether that completes the response. */
bool http_reply_end(const struct http_reply *reply);

#endif
