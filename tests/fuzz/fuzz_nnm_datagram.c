// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams before authentication: any bytes from a peer's address, or from a
 * stranger's, at any time. Nothing that was not sealed by the peer may be
 * delivered, or change epoch, window or session; answers are as long as their
 * questions at most.
 *
 * Input: a sequence of (length 16 bits, source 8 bits, bytes).
 *
 * fuzz-sources: daemon/cluster/nnm_session.c daemon/cluster/nnm_header.c daemon/cluster/nnm_crypto.c daemon/cluster/nnm_epoch.c daemon/cluster/nnm_keys.c daemon/cluster/nnm_replay.c daemon/util/wire.c daemon/util/durable.c daemon/util/log.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/nnm_session.h"

#define CHECK(x)                                                        \
	do {                                                            \
		if (!(x)) {                                             \
			fprintf(stderr, "violated: %s\n", #x);          \
			abort();                                        \
		}                                                       \
	} while (0)

static struct nnm_sessions s;

static void setup(void)
{
	static const struct nnm_epoch epoch = { 5, 0x5555 }, peer_epoch = { 6, 0x6666 };
	static const struct nnm_keys keys = {
		.n = 2, .use = 1, .keys = { { 1, { 1, 2, 3 } }, { 2, { 4, 5, 6 } } },
	};

	CHECK(nnm_crypto_init() == 0);
	nnm_session_init(&s, 3, &epoch, &keys);
	nnm_session_set_peer(&s, 4, true);
	nnm_session_set_peer(&s, 5, true);
	/* As if agreed with 4. */
	s.peers[4].epoch = peer_epoch;
	s.peers[4].up = true;
	nnm_session_set_keys(&s, &keys);
	nnm_replay_mark(&s.peers[4].window, 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1000000;

	setup();
	while (size >= 3) {
		size_t len = (size_t)data[0] << 8 | data[1];
		unsigned int from = data[2] % 3 == 0 ? NNM_STRANGER : data[2] % 3 + 3;
		struct nnm_peer_session before[2] = { s.peers[4], s.peers[5] };
		uint8_t buf[NNM_DATAGRAM_MAX + 1];
		struct nnm_input in;

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		len = len < sizeof(buf) ? len : sizeof(buf);
		memcpy(buf, data, len);
		data += len;
		size -= len;
		nnm_session_input(&s, from, buf, len, now, &in);
		CHECK(in.result == NNM_INPUT_DROPPED);
		CHECK(in.answer_len == 0 && in.epoch_floor == 0);
		CHECK(memcmp(&before[0], &s.peers[4], sizeof(before[0])) == 0);
		CHECK(memcmp(&before[1], &s.peers[5], sizeof(before[1])) == 0);
		now += 7;
	}
	return 0;
}
