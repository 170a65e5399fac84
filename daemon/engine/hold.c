// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting packets; see hold.h. A table of fixed size, tried every
 * HOLD_RETRY_NS; what waits too long, or finds the table full, is dropped and
 * counted. Engine thread.
 */
#include "engine/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine/emit.h"
#include "engine/flows.h"
#include "engine/setup.h"
#include "vip.h"

enum hold_kind {
	HOLD_NONE = 0,
	HOLD_NEIGHBOUR,
	HOLD_FRAGMENT,
};

struct held {
	enum hold_kind kind;
	uint64_t until_ns;
	struct engine_packet packet;
	uint8_t *l3;
	uint32_t len;
	union ip_addr dst;
};

struct engine_hold {
	uint32_t n;
	uint64_t next_ns;
	struct held held[HOLD_MAX];
};

int hold_new(struct engine_hold **ret)
{
	struct engine_hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return -ENOMEM;
	*ret = hold;
	return 0;
}

void hold_free(struct engine_hold *hold)
{
	free(hold);
}

uint32_t hold_count(const struct engine_hold *hold)
{
	return hold->n;
}

static struct held *place(struct engine *engine, struct engine_packet *packet,
			  enum hold_kind kind, uint64_t time_ns)
{
	struct engine_hold *hold = engine->hold;

	for (uint32_t i = 0; i < HOLD_MAX; i++) {
		struct held *h = &hold->held[i];

		if (h->kind != HOLD_NONE)
			continue;
		h->kind = kind;
		h->until_ns = engine->now_ns + time_ns;
		h->packet = *packet;
		hold->n++;
		if (hold->n == 1)
			hold->next_ns = engine->now_ns + HOLD_RETRY_NS;
		return h;
	}
	engine_drop(engine, packet, DROP_HOLD_FULL);
	return NULL;
}

static void release(struct engine_hold *hold, struct held *h)
{
	h->kind = HOLD_NONE;
	hold->n--;
}

void hold_for_neighbour(struct engine *engine, struct engine_packet *packet,
			uint8_t *l3, uint32_t len, const union ip_addr *dst)
{
	struct held *h = place(engine, packet, HOLD_NEIGHBOUR,
			       HOLD_NEIGHBOUR_NS);

	if (!h)
		return;
	h->l3 = l3;
	h->len = len;
	h->dst = *dst;
}

/* True: its flow is known now, and it was sent. */
static bool try_fragment(struct engine *engine, struct engine_packet *packet)
{
	struct pkt *pkt = &packet->pkt;
	struct emit_plan plan;
	struct flow_key key;
	uint32_t vserver;
	struct flow copy;

	if (!flows_fragment_ports(engine, pkt) ||
	    vip_find(engine->maps.vips, &pkt->dst, pkt->dport, pkt->proto,
		     &vserver) != VIP_VSERVER ||
	    !vserver || vserver >= VSERVERS_MAX)
		return false;
	flows_forward_key(pkt, vserver, &key);
	packet->meta.hash = flows_forward_hash(engine, &pkt->src, pkt->sport,
					       vserver);
	if (!flows_find(engine, packet->meta.hash, &key, &copy))
		return false;
	setup_plan(engine, pkt, &engine->maps.vservers[vserver], &copy, &plan);
	emit_forward(engine, packet, &plan);
	return true;
}

void hold_fragment(struct engine *engine, struct engine_packet *packet)
{
	if (!try_fragment(engine, packet))
		place(engine, packet, HOLD_FRAGMENT, HOLD_NS);
}

static void try_held(struct engine *engine, struct held *h)
{
	struct engine_packet packet = h->packet;
	const struct nexthop_entry *nh;

	if (h->kind == HOLD_FRAGMENT) {
		if (try_fragment(engine, &packet))
			release(engine->hold, h);
		return;
	}
	nh = nexthop_find(engine->nexthop, &h->dst, engine->now_ns);
	if (nh->result != NEXTHOP_RESOLVED)
		return;
	release(engine->hold, h);
	emit_l3(engine, &packet, h->l3, h->len, &h->dst, true);
}

void hold_run(struct engine *engine)
{
	struct engine_hold *hold = engine->hold;

	if (!hold->n || engine->now_ns < hold->next_ns)
		return;
	hold->next_ns = engine->now_ns + HOLD_RETRY_NS;
	for (uint32_t i = 0; i < HOLD_MAX; i++) {
		struct held *h = &hold->held[i];

		if (h->kind == HOLD_NONE)
			continue;
		try_held(engine, h);
		if (h->kind != HOLD_NONE && engine->now_ns > h->until_ns) {
			struct engine_packet packet = h->packet;

			release(hold, h);
			engine_drop(engine, &packet, DROP_HOLD_TIMEOUT);
		}
	}
}

void hold_forget_port(struct engine *engine, const struct engine_port *port)
{
	for (uint32_t i = 0; i < HOLD_MAX; i++) {
		struct held *h = &engine->hold->held[i];

		if (h->kind == HOLD_NONE || h->packet.port != port)
			continue;
		release(engine->hold, h);
		engine_drop(engine, &h->packet, DROP_HOLD_TIMEOUT);
	}
}
