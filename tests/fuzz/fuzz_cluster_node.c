// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an authenticated peer may say, however absurd: any message the codec
 * lets through, mixed with the node's own events. The state machine's
 * assertions must hold, views must only grow, queues and caches stay bounded,
 * and what it sends must fit the wire.
 *
 * Input: a sequence of (event 8 bits, source 8 bits, length 8 bits, bytes).
 *
 * fuzz-sources: daemon/cluster/node.c daemon/cluster/table.c daemon/cluster/outbox.c
 * fuzz-sources: daemon/cluster/metrics.c daemon/cluster/sss.c daemon/cluster/owner.c
 * fuzz-sources: daemon/cluster/path.c daemon/cluster/hello.c daemon/cluster/member.c
 * fuzz-sources: daemon/cluster/view.c daemon/cluster/repair.c daemon/cluster/status.c
 * fuzz-sources: daemon/cluster/nnm_codec.c daemon/util/wire.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/nnm_codec.h"
#include "cluster/node.h"
#include "map_abi.h"

#define CHECK(x)                                                        \
	do {                                                            \
		if (!(x)) {                                             \
			fprintf(stderr, "violated: %s\n", #x);          \
			abort();                                        \
		}                                                       \
	} while (0)

#define SERVICES 16
#define CACHE 4

static uint64_t installed;

static void emit(void *ctx, const struct node_effect *e)
{
	uint8_t buf[NNM_FRAME_BYTES + NNM_BODY_MAX];
	struct wire_writer w;
	char text[200];

	(void)ctx;
	switch (e->type) {
	case NODE_EFFECT_SEND:
		CHECK(e->send.to && !(e->send.to & 1));
		wire_writer_init(&w, buf, sizeof(buf));
		CHECK(nnm_codec_put(&w, e->send.message) == 0);
		break;
	case NODE_EFFECT_VIEW:
		CHECK(e->view->number > installed);
		installed = e->view->number;
		break;
	case NODE_EFFECT_TRACE:
		node_trace_text(&e->trace, text, sizeof(text));
		break;
	default:
		break;
	}
}

static void own_event(struct node *node, uint8_t what, uint8_t arg,
		      uint64_t *now)
{
	static const struct node_update update = { emit, NULL };
	struct service_state local = {
		.entity = 1 + arg % SERVICES,
		.state = arg % (SVC_DOWN_GOING_OUT + 1),
		.load = arg * 7u,
	};
	struct node_event e = { .now_ms = *now };

	switch (what % 7) {
	case 0:
		e.type = NODE_EVENT_SERVICE_SET;
		e.service = (struct node_service){ 1 + arg % SERVICES,
						   arg & 0x40 ? 5 : 0,
						   arg & 63 };
		break;
	case 1:
		e.type = NODE_EVENT_SERVICE_DEL;
		e.entity = 1 + arg % SERVICES;
		break;
	case 2:
		e.type = NODE_EVENT_LOCAL;
		e.local = &local;
		break;
	case 3:
		e.type = NODE_EVENT_PATH;
		e.path.entity = 1 + arg % SERVICES;
		e.path.reachable = arg & 0x80;
		break;
	case 4:
		e.type = NODE_EVENT_ADMIN;
		e.admin = arg % ADMIN_COUNT;
		break;
	case 5:
		e.type = NODE_EVENT_CONFIGURED;
		e.configured = 1 | arg;
		break;
	default:
		*now += arg;
		e.now_ms = *now;
		e.type = NODE_EVENT_TICK;
		break;
	}
	node_step(node, &e, &update);
}

static void peer_message(struct node *node, uint8_t source, const uint8_t *data,
			 size_t len, uint64_t now)
{
	static const struct node_update update = { emit, NULL };
	struct message m;
	struct node_event e = { .type = NODE_EVENT_MESSAGE, .now_ms = now,
				.message = &m };
	struct wire_reader r;

	memset(&m, 0, sizeof(m));
	wire_reader_init(&r, data, len);
	if (nnm_codec_get(&r, &m) != NNM_CODEC_OK)
		return;
	m.source = source % 4;
	m.incarnation = 1 + (source >> 6);
	node_step(node, &e, &update);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct node_options o = {
		.id = 0,
		.incarnation = 3,
		.configured = 7,
		.services_max = SERVICES,
		.cache_max = CACHE,
	};
	struct node_status st;
	struct node *node;
	uint64_t now = 1000;

	installed = 0;
	o.quorum_none = len && data[0] & 1;
	CHECK(node_new(&o, NULL, &node) == 0);
	while (len >= 3) {
		uint8_t what = data[0], source = data[1];
		size_t n = data[2];

		data += 3;
		len -= 3;
		if (what >= 0x80) {
			n *= 2;
			n = n < len ? n : len;
			peer_message(node, source, data, n, now);
			data += n;
			len -= n;
		} else {
			own_event(node, what, source, &now);
		}
		node_status(node, &st);
		CHECK(st.cached <= CACHE);
		CHECK(st.services <= SERVICES);
		CHECK(st.queued <= 2 * 31 * (SERVICES + CACHE));
	}
	node_free(node);
	return 0;
}
