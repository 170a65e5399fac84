// SPDX-License-Identifier: GPL-2.0-only
/* The clear header (see nnm_header.h). */
#include "cluster/nnm_header.h"

#include <assert.h>
#include <errno.h>
#include "limits.h"
#include "util/wire.h"

static int reject(enum nnm_counter why, enum nnm_counter *ret_why)
{
	*ret_why = why;
	return -EBADMSG;
}

int nnm_header_read(const uint8_t *data, size_t len, struct nnm_header *ret,
		    enum nnm_counter *ret_why)
{
	struct nnm_header h = { .seq = 0 };
	struct wire_reader r;
	uint8_t type;

	assert(data && ret && ret_why);
	if (len < NNM_HEADER_BYTES + NNM_TAG_BYTES)
		return reject(NNM_drop_short, ret_why);
	if (len > NNM_DATAGRAM_MAX)
		return reject(NNM_drop_long, ret_why);
	wire_reader_init(&r, data, len);
	if (wire_get_u16(&r) != NNM_MAGIC)
		return reject(NNM_drop_magic, ret_why);
	if (wire_get_u8(&r) != NNM_VERSION)
		return reject(NNM_drop_version, ret_why);
	type = wire_get_u8(&r);
	h.key_id = wire_get_u8(&r);
	h.sender = wire_get_u8(&r);
	h.receiver = wire_get_u8(&r);
	wire_expect_u8(&r, 0);
	if (type == NNM_TYPE_DATA) {
		h.sender_tag = wire_get_u32(&r);
		h.receiver_tag = wire_get_u32(&r);
		h.seq = wire_get_u64(&r);
	} else if (type != NNM_TYPE_CHALLENGE && type != NNM_TYPE_ANSWER) {
		return reject(NNM_drop_type, ret_why);
	} else if (len < NNM_HANDSHAKE_BYTES) {
		return reject(NNM_drop_short, ret_why);
	} else if (len > NNM_HANDSHAKE_BYTES) {
		return reject(NNM_drop_long, ret_why);
	}
	if (r.failed)
		return reject(NNM_drop_type, ret_why);
	if (h.sender >= NODES_MAX)
		return reject(NNM_drop_sender, ret_why);
	if (h.receiver >= NODES_MAX)
		return reject(NNM_drop_receiver, ret_why);
	h.type = (enum nnm_type)type;
	*ret = h;
	return 0;
}

void nnm_header_write(const struct nnm_header *header, uint8_t *to)
{
	struct wire_writer w;

	assert(header->sender < NODES_MAX && header->receiver < NODES_MAX);
	wire_writer_init(&w, to, header->type == NNM_TYPE_DATA ? NNM_HEADER_BYTES
							       : NNM_PREFIX_BYTES);
	wire_put_u16(&w, NNM_MAGIC);
	wire_put_u8(&w, NNM_VERSION);
	wire_put_u8(&w, (uint8_t)header->type);
	wire_put_u8(&w, header->key_id);
	wire_put_u8(&w, header->sender);
	wire_put_u8(&w, header->receiver);
	wire_put_u8(&w, 0);
	if (header->type == NNM_TYPE_DATA) {
		wire_put_u32(&w, header->sender_tag);
		wire_put_u32(&w, header->receiver_tag);
		wire_put_u64(&w, header->seq);
	}
	assert(!w.failed && wire_room(&w) == 0);
}
