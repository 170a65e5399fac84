// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands in authentic datagrams: a peer with the right key and wrong
 * bytes. Acknowledgement, then messages. What is accepted must encode to the
 * same bytes again, and be within the limits of messages.h.
 *
 * fuzz-sources: daemon/cluster/nnm_codec.c daemon/cluster/nnm_link.c daemon/util/wire.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/nnm_codec.h"
#include "cluster/nnm_link.h"

#define CHECK(x)                                                        \
	do {                                                            \
		if (!(x)) {                                             \
			fprintf(stderr, "violated: %s\n", #x);          \
			abort();                                        \
		}                                                       \
	} while (0)

static void check(const struct message *m, const uint8_t *bytes, size_t len)
{
	uint8_t buf[NNM_FRAME_BYTES + NNM_BODY_MAX];
	struct message back;
	struct wire_writer w;
	struct wire_reader r;

	wire_writer_init(&w, buf, sizeof(buf));
	CHECK(nnm_codec_put(&w, m) == 0);
	CHECK(wire_written(&w) == len);
	/* Reserved bytes are not kept: compare what they mean. */
	wire_reader_init(&r, buf, len);
	CHECK(nnm_codec_get(&r, &back) == NNM_CODEC_OK);
	CHECK(memcmp(m, &back, sizeof(back)) == 0);
	CHECK(memcmp(buf + 2, bytes + 2, 2) == 0);
}

static void messages(const uint8_t *data, size_t size)
{
	struct wire_reader r;
	struct message m;

	wire_reader_init(&r, data, size);
	while (wire_left(&r) > 0) {
		const uint8_t *start = r.pos;
		size_t left = wire_left(&r);
		enum nnm_codec_result result = nnm_codec_get(&r, &m);

		if (result == NNM_CODEC_BAD) {
			CHECK(wire_left(&r) == 0);
			break;
		}
		CHECK(wire_left(&r) < left);
		if (result == NNM_CODEC_OK)
			check(&m, start, (size_t)(r.pos - start));
	}
}

static void acknowledgements(const uint8_t *data, size_t size)
{
	static struct nnm_link l;
	uint64_t now = 1000, seq = 0;
	struct wire_reader r;

	nnm_link_init(&l, now);
	wire_reader_init(&r, data, size);
	while (wire_left(&r) >= 21) {
		uint8_t n = wire_get_u8(&r);
		struct nnm_ack ack = {
			/* Mostly near what was sent. */
			.top = n & 1 ? wire_get_u64(&r) : wire_get_u64(&r) % (seq + 8),
			.bitmap = wire_get_u64(&r),
			.delay_us = wire_get_u32(&r),
		};

		for (; n > 0; n -= n < 16 ? n : 16)
			nnm_link_sent(&l, ++seq, n * 5, n & 2, n & 4, now);
		now += ack.delay_us & 0xffff;
		if (nnm_link_acked(&l, &ack, now) < 0)
			CHECK(ack.top > seq);
		CHECK(l.acked + l.lost <= seq);
		CHECK(l.loss_ppm <= 1000000);
		CHECK(nnm_link_allowance(&l, now) <= NNM_LINK_BURST);
		CHECK(l.rate >= NNM_LINK_RATE_MIN && l.rate <= NNM_LINK_RATE_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		acknowledgements(data + 1, size - 1);
	else
		messages(data + 1, size - 1);
	return 0;
}
