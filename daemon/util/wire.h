/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cursors over bytes from or for the network, big endian. The error is sticky:
 * code reads or writes a whole message and asks once, at the end, whether all
 * of it was there. After an error reads give zeros, writes do nothing, and the
 * cursor does not move, so no length taken from the bytes is ever trusted
 * further than the buffer.
 */
#ifndef SLUICE_WIRE_H
#define SLUICE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
	const uint8_t *pos, *end;
	bool failed;
};

struct wire_writer {
	uint8_t *start, *pos, *end;
	bool failed;
};

void wire_reader_init(struct wire_reader *r, const void *data, size_t len);
uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
/* Copies LEN bytes; zeros if they are not there. */
void wire_get_bytes(struct wire_reader *r, void *to, size_t len);
/* LEN bytes in place; NULL if they are not there. */
const uint8_t *wire_get_view(struct wire_reader *r, size_t len);
/* A byte that must be VALUE: reserved fields, so that they can be used later. */
void wire_expect_u8(struct wire_reader *r, uint8_t value);
size_t wire_left(const struct wire_reader *r);
/* Marks the bytes as wrong, for rules a cursor cannot know. */
void wire_reader_fail(struct wire_reader *r);
/* True if nothing failed and every byte was read. */
bool wire_reader_done(const struct wire_reader *r);

void wire_writer_init(struct wire_writer *w, void *buf, size_t len);
void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_bytes(struct wire_writer *w, const void *from, size_t len);
/* Overwrites two bytes put earlier, at OFFSET from the start: lengths. */
void wire_patch_u16(struct wire_writer *w, size_t offset, uint16_t value);
void wire_writer_fail(struct wire_writer *w);
size_t wire_written(const struct wire_writer *w);
size_t wire_room(const struct wire_writer *w);

#endif
