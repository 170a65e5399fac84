// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cursors with sticky error (see wire.h). Bytes are assembled by shifts: no
 * alignment, no byte order of the host, no casts of structs.
 */
#include "util/wire.h"

#include <string.h>

void wire_reader_init(struct wire_reader *r, const void *data, size_t len)
{
	r->pos = data;
	r->end = r->pos + len;
	r->failed = false;
}

static const uint8_t *take(struct wire_reader *r, size_t len)
{
	const uint8_t *p = r->pos;

	if (r->failed || (size_t)(r->end - r->pos) < len) {
		r->failed = true;
		return NULL;
	}
	r->pos += len;
	return p;
}

static uint64_t get(struct wire_reader *r, size_t len)
{
	const uint8_t *p = take(r, len);
	uint64_t value = 0;

	for (size_t i = 0; p && i < len; i++)
		value = value << 8 | p[i];
	return value;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return get(r, 1);
}

uint16_t wire_get_u16(struct wire_reader *r)
{
	return get(r, 2);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
	return get(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
	return get(r, 8);
}

void wire_get_bytes(struct wire_reader *r, void *to, size_t len)
{
	const uint8_t *p = take(r, len);

	if (p)
		memcpy(to, p, len);
	else
		memset(to, 0, len);
}

const uint8_t *wire_get_view(struct wire_reader *r, size_t len)
{
	return take(r, len);
}

void wire_expect_u8(struct wire_reader *r, uint8_t value)
{
	if (wire_get_u8(r) != value)
		r->failed = true;
}

size_t wire_left(const struct wire_reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->pos);
}

void wire_reader_fail(struct wire_reader *r)
{
	r->failed = true;
}

bool wire_reader_done(const struct wire_reader *r)
{
	return !r->failed && r->pos == r->end;
}

void wire_writer_init(struct wire_writer *w, void *buf, size_t len)
{
	w->start = w->pos = buf;
	w->end = w->pos + len;
	w->failed = false;
}

static uint8_t *room(struct wire_writer *w, size_t len)
{
	uint8_t *p = w->pos;

	if (w->failed || (size_t)(w->end - w->pos) < len) {
		w->failed = true;
		return NULL;
	}
	w->pos += len;
	return p;
}

static void put(struct wire_writer *w, uint64_t value, size_t len)
{
	uint8_t *p = room(w, len);

	for (size_t i = len; p && i > 0; i--, value >>= 8)
		p[i - 1] = (uint8_t)value;
}

void wire_put_u8(struct wire_writer *w, uint8_t value)
{
	put(w, value, 1);
}

void wire_put_u16(struct wire_writer *w, uint16_t value)
{
	put(w, value, 2);
}

void wire_put_u32(struct wire_writer *w, uint32_t value)
{
	put(w, value, 4);
}

void wire_put_u64(struct wire_writer *w, uint64_t value)
{
	put(w, value, 8);
}

void wire_put_bytes(struct wire_writer *w, const void *from, size_t len)
{
	uint8_t *p = room(w, len);

	if (p && len)
		memcpy(p, from, len);
}

void wire_patch_u16(struct wire_writer *w, size_t offset, uint16_t value)
{
	if (w->failed || wire_written(w) < offset + 2) {
		w->failed = true;
		return;
	}
	w->start[offset] = (uint8_t)(value >> 8);
	w->start[offset + 1] = (uint8_t)value;
}

void wire_writer_fail(struct wire_writer *w)
{
	w->failed = true;
}

size_t wire_written(const struct wire_writer *w)
{
	return (size_t)(w->pos - w->start);
}

size_t wire_room(const struct wire_writer *w)
{
	return w->failed ? 0 : (size_t)(w->end - w->pos);
}
