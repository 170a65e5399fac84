/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP responses, see http_reply.h. */
#include <string.h>

#include "prober/http_reply.h"

enum state {
	S_VERSION, /* "HTTP/1.x " */
	S_STATUS,  /* three digits */
	S_PHRASE,
	S_LINE, /* at the start of a header line */
	S_NAME,
	S_VALUE_SPACE,
	S_VALUE,
	S_END, /* the LF of the empty line is due */
	S_LENGTH,
	S_UNTIL_CLOSE,
	S_CHUNK_SIZE,
	S_CHUNK_EXT,
	S_CHUNK_DATA,
	S_CHUNK_CRLF,
	S_TRAILER,
	S_TRAILER_LINE,
	S_DONE,
};

enum header {
	H_NONE = 0,
	H_LENGTH = 1,
	H_CODING = 2,
	H_LENGTH_DIGITS = 4, /* a digit of the value was seen */
	H_LENGTH_OVER = 8,   /* white space after the digits */
};

static const char version[] = "HTTP/1.";
static const char length_name[] = "content-length";
static const char coding_name[] = "transfer-encoding";
static const char chunked_value[] = "chunked";

/* A header line begins; which ones can it still be? */
static void begin_name(struct http_reply *reply)
{
	reply->match = 0;
	reply->name = H_LENGTH | H_CODING;
}

static void name_byte(struct http_reply *reply, uint8_t c)
{
	unsigned int i = reply->match;

	if (c >= 'A' && c <= 'Z')
		c |= 32;
	if (i >= sizeof(length_name) - 1 || length_name[i] != (char)c)
		reply->name &= ~H_LENGTH;
	if (i >= sizeof(coding_name) - 1 || coding_name[i] != (char)c)
		reply->name &= ~H_CODING;
	if (reply->match < UINT8_MAX)
		reply->match++;
}

static void end_name(struct http_reply *reply)
{
	if ((reply->name & H_LENGTH) &&
	    reply->match != sizeof(length_name) - 1)
		reply->name &= ~H_LENGTH;
	if ((reply->name & H_CODING) &&
	    reply->match != sizeof(coding_name) - 1)
		reply->name &= ~H_CODING;
	reply->match = 0;
	if (reply->name & H_LENGTH) {
		/* Twice with different values is an attack; we only judge
		 * health, but will not guess either (RFC 9112, 6.3). */
		if (reply->has_length)
			reply->name |= H_LENGTH_OVER;
		reply->length = 0;
	}
}

/* One byte of a value we care for; false: malformed. */
static bool value_byte(struct http_reply *reply, uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		c |= 32;
	if (reply->name & H_LENGTH) {
		if (c == ' ' || c == '\t') {
			reply->name |= H_LENGTH_OVER;
			return true;
		}
		if (c < '0' || c > '9' || (reply->name & H_LENGTH_OVER) ||
		    reply->length > UINT64_MAX / 10 - 1)
			return false;
		reply->name |= H_LENGTH_DIGITS;
		reply->length = reply->length * 10 + c - '0';
	} else if (reply->name & H_CODING) {
		/* Only the last coding frames the body; a list that does not
		 * end in "chunked" is read until the connection closes. */
		if (c == ' ' || c == '\t')
			return true;
		if (c == ',') {
			reply->match = 0;
			return true;
		}
		if (reply->match < sizeof(chunked_value) - 1 &&
		    chunked_value[reply->match] == (char)c)
			reply->match++;
		else
			reply->match = UINT8_MAX;
	}
	return true;
}

static bool end_value(struct http_reply *reply)
{
	if (reply->name & H_LENGTH) {
		if (!(reply->name & H_LENGTH_DIGITS))
			return false;
		reply->has_length = true;
	} else if (reply->name & H_CODING) {
		reply->chunked = reply->match == sizeof(chunked_value) - 1;
		reply->other_coding = !reply->chunked;
	}
	return true;
}

/* The header is complete: what follows? */
static enum http_reply_result end_header(struct http_reply *reply)
{
	if (reply->status < 200 && reply->status != 101) {
		uint32_t header_len = reply->header_len;
		bool no_body = reply->no_body;

		/* An interim response; the real one follows. */
		memset(reply, 0, sizeof(*reply));
		reply->header_len = header_len;
		reply->no_body = no_body;
		return HTTP_REPLY_MORE;
	}
	if (reply->no_body || reply->status == 204 || reply->status == 304 ||
	    reply->status == 101)
		reply->state = S_DONE;
	else if (reply->chunked)
		reply->state = S_CHUNK_SIZE, reply->length = 0;
	else if (reply->other_coding || !reply->has_length)
		reply->state = S_UNTIL_CLOSE;
	else
		reply->state = reply->length ? S_LENGTH : S_DONE;
	reply->match = 0;
	return HTTP_REPLY_HEADER;
}

/* One byte of the status line. */
static enum http_reply_result status_byte(struct http_reply *reply, uint8_t c)
{
	switch (reply->state) {
	case S_VERSION:
		if (reply->match < sizeof(version) - 1 ?
			    version[reply->match] != (char)c :
		    reply->match == sizeof(version) - 1 ?
			    c != '0' && c != '1' :
			    c != ' ')
			return HTTP_REPLY_BAD;
		if (reply->match++ == sizeof(version)) {
			reply->state = S_STATUS;
			reply->match = 0;
		}
		return HTTP_REPLY_MORE;
	case S_STATUS:
		if (c < '0' || c > '9')
			return HTTP_REPLY_BAD;
		reply->status = reply->status * 10 + c - '0';
		if (++reply->match == 3) {
			if (reply->status < 100)
				return HTTP_REPLY_BAD;
			reply->state = S_PHRASE;
			reply->match = 0;
		}
		return HTTP_REPLY_MORE;
	default: /* S_PHRASE */
		/* A fourth digit would make another number of it. */
		if (reply->match == 0 && c != ' ' && c != '\r' && c != '\n')
			return HTTP_REPLY_BAD;
		reply->match = 1;
		if (c == '\n')
			reply->state = S_LINE;
		return HTTP_REPLY_MORE;
	}
}

/* One byte of status line or header. */
static enum http_reply_result header_byte(struct http_reply *reply, uint8_t c)
{
	if (++reply->header_len > HTTP_REPLY_HEADER_MAX)
		return HTTP_REPLY_BIG;
	switch (reply->state) {
	case S_VERSION:
	case S_STATUS:
	case S_PHRASE:
		return status_byte(reply, c);
	case S_LINE:
		if (c == '\r') {
			reply->state = S_END;
			return HTTP_REPLY_MORE;
		}
		if (c == '\n')
			return end_header(reply);
		begin_name(reply);
		reply->state = S_NAME;
		/* fall through */
	case S_NAME:
		if (c == ':') {
			end_name(reply);
			reply->state = S_VALUE_SPACE;
		} else if (c == '\n') {
			return HTTP_REPLY_BAD;
		} else {
			name_byte(reply, c);
		}
		return HTTP_REPLY_MORE;
	case S_VALUE_SPACE:
		if (c == ' ' || c == '\t')
			return HTTP_REPLY_MORE;
		if ((reply->name & H_LENGTH) && (reply->name & H_LENGTH_OVER))
			return HTTP_REPLY_BAD;
		reply->state = S_VALUE;
		/* fall through */
	case S_VALUE:
		if (c == '\n') {
			if (!end_value(reply))
				return HTTP_REPLY_BAD;
			reply->state = S_LINE;
		} else if (c != '\r' && !value_byte(reply, c)) {
			return HTTP_REPLY_BAD;
		}
		return HTTP_REPLY_MORE;
	default: /* S_END */
		return c == '\n' ? end_header(reply) : HTTP_REPLY_BAD;
	}
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of the chunked framing. */
static enum http_reply_result chunk_byte(struct http_reply *reply, uint8_t c)
{
	int digit;

	switch (reply->state) {
	case S_CHUNK_SIZE:
		digit = hex(c);
		if (digit >= 0) {
			if (reply->match >= 15)
				return HTTP_REPLY_BAD;
			reply->length = reply->length << 4 | digit;
			reply->match++;
			return HTTP_REPLY_MORE;
		}
		if (!reply->match)
			return HTTP_REPLY_BAD;
		reply->state = S_CHUNK_EXT;
		reply->header_len = 0;
		/* fall through */
	case S_CHUNK_EXT:
		if (++reply->header_len > HTTP_REPLY_HEADER_MAX)
			return HTTP_REPLY_BIG;
		if (c == '\n') {
			reply->match = 0;
			reply->state = reply->length ? S_CHUNK_DATA :
						       S_TRAILER;
		}
		return HTTP_REPLY_MORE;
	case S_CHUNK_CRLF:
		if (c == '\r' && !reply->match) {
			reply->match = 1;
			return HTTP_REPLY_MORE;
		}
		if (c != '\n')
			return HTTP_REPLY_BAD;
		reply->state = S_CHUNK_SIZE;
		reply->match = 0;
		return HTTP_REPLY_MORE;
	case S_TRAILER: /* at the start of a line */
		if (c == '\n') {
			reply->state = S_DONE;
			return HTTP_REPLY_DONE;
		}
		if (c != '\r')
			reply->state = S_TRAILER_LINE;
		/* fall through */
	default:
		if (++reply->header_len > HTTP_REPLY_HEADER_MAX)
			return HTTP_REPLY_BIG;
		if (c == '\n')
			reply->state = S_TRAILER;
		return HTTP_REPLY_MORE;
	}
}

/* A run of body bytes. */
static enum http_reply_result body_run(struct http_reply *reply,
				       const uint8_t **data, size_t *len,
				       const uint8_t **ret_body,
				       size_t *ret_len)
{
	size_t n = *len;

	if (reply->state != S_UNTIL_CLOSE && n > reply->length)
		n = reply->length;
	*ret_body = *data;
	*ret_len = n;
	*data += n;
	*len -= n;
	if (reply->state == S_UNTIL_CLOSE)
		return HTTP_REPLY_BODY;
	reply->length -= n;
	if (!reply->length) {
		reply->state = reply->state == S_LENGTH ? S_DONE :
							  S_CHUNK_CRLF;
		reply->match = 0;
	}
	return HTTP_REPLY_BODY;
}

enum http_reply_result http_reply_feed(struct http_reply *reply,
				       const uint8_t **data, size_t *len,
				       const uint8_t **ret_body,
				       size_t *ret_len)
{
	enum http_reply_result result = HTTP_REPLY_MORE;

	while (result == HTTP_REPLY_MORE) {
		uint8_t c;

		if (reply->state == S_DONE)
			return HTTP_REPLY_DONE;
		if (!*len)
			return HTTP_REPLY_MORE;
		if (reply->state == S_LENGTH || reply->state == S_CHUNK_DATA ||
		    reply->state == S_UNTIL_CLOSE)
			return body_run(reply, data, len, ret_body, ret_len);
		c = *(*data)++;
		--*len;
		result = reply->state < S_LENGTH ? header_byte(reply, c) :
						   chunk_byte(reply, c);
	}
	return result;
}

bool http_reply_end(const struct http_reply *reply)
{
	return reply->state == S_UNTIL_CLOSE || reply->state == S_DONE;
}
