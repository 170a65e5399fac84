/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes messages between processes of one machine: host byte order,
 * sticky error. A reader that runs over the end yields zeros and sets error;
 * callers check once, at the end. Nothing is ever cast.
 */
#ifndef SLUICE_CURSOR_H
#define SLUICE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	uint8_t *data;
	size_t at, len;
	bool error;
};

static inline struct cursor cursor_on(void *data, size_t len)
{
	return (struct cursor){ data, 0, len, false };
}

static inline void cursor_put(struct cursor *c, const void *data, size_t len)
{
	if (c->error || c->len - c->at < len) {
		c->error = true;
		return;
	}
	if (len)
		memcpy(c->data + c->at, data, len);
	c->at += len;
}

static inline void cursor_get(struct cursor *c, void *data, size_t len)
{
	if (c->error || c->len - c->at < len) {
		c->error = true;
		memset(data, 0, len);
		return;
	}
	if (len)
		memcpy(data, c->data + c->at, len);
	c->at += len;
}

#define CURSOR_TYPE(type, name)                                                \
	static inline void cursor_put_##name(struct cursor *c, type v)         \
	{                                                                      \
		cursor_put(c, &v, sizeof(v));                                  \
	}                                                                      \
	static inline type cursor_get_##name(struct cursor *c)                 \
	{                                                                      \
		type v;                                                        \
		cursor_get(c, &v, sizeof(v));                                  \
		return v;                                                      \
	}
CURSOR_TYPE(uint8_t, u8)
CURSOR_TYPE(uint16_t, u16)
CURSOR_TYPE(uint32_t, u32)
CURSOR_TYPE(uint64_t, u64)
#undef CURSOR_TYPE

/* Bytes with a length in front; 0xffffffff stands for NULL. */
static inline void cursor_put_bytes(struct cursor *c, const void *data,
				    size_t len)
{
	cursor_put_u32(c, data ? (uint32_t)len : UINT32_MAX);
	if (data)
		cursor_put(c, data, len);
}

static inline void cursor_put_string(struct cursor *c, const char *s)
{
	cursor_put_bytes(c, s, s ? strlen(s) : 0);
}

/* A view into the message, or NULL; *RET_LEN its length. */
static inline const void *cursor_get_bytes(struct cursor *c, size_t *ret_len)
{
	uint32_t len = cursor_get_u32(c);
	const void *data = c->data + c->at;

	*ret_len = 0;
	if (c->error || len == UINT32_MAX)
		return NULL;
	if (c->len - c->at < len) {
		c->error = true;
		return NULL;
	}
	c->at += len;
	*ret_len = len;
	return data;
}

#endif
