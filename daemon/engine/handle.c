// SPDX-License-Identifier: GPL-2.0-only
/*
 * One packet that XDP handed over: what is to be done is in its metadata
 * (struct pkt_meta). The packet itself is hostile, the metadata is ours; it
 * is checked all the same, because a frame may have got here by another
 * program than the one that was meant. Engine thread.
 */
#include <string.h>
#include "engine/emit.h"
#include "engine/engine.h"
#include "engine/flows.h"
#include "engine/hold.h"
#include "engine/inspect.h"
#include "engine/setup.h"
#include "headers.h"
#include "vip.h"

static bool parse(struct engine_packet *packet)
{
	uint32_t l3_off = packet->meta.l3_off;

	if (parse_packet(packet->data, packet->data + packet->len,
			 &packet->pkt) != PARSE_OK ||
	    packet->pkt.bad || packet->pkt.l3_off != l3_off ||
	    l3_off > sizeof(packet->l2))
		return false;
	memcpy(packet->l2, packet->data, l3_off);
	return true;
}

/* Rewritten already, but XDP did not know the neighbour: the kernel's stack
 * does what is needed, or, for dsr-l2, we do. */
static void send_unresolved(struct engine *engine, struct engine_packet *packet)
{
	uint32_t vserver = packet->meta.vserver, service = packet->meta.service;
	union ip_addr dst = packet->pkt.dst;
	bool by_neighbour = false;

	if (vserver && vserver < VSERVERS_MAX && service &&
	    service < SERVICES_MAX) {
		const struct vserver *vs = &engine->maps.vservers[vserver];

		by_neighbour = vs->mode == FWD_DSR_L2 &&
			       ip_addr_equal(&vs->addr, &dst);
		if (by_neighbour)
			dst = engine->maps.services[service].addr;
	}
	emit_l3(engine, packet, packet->data + packet->pkt.l3_off,
		packet->pkt.l3_len, &dst, by_neighbour);
}

void engine_handle(struct engine *engine, struct engine_packet *packet)
{
	struct pkt_meta *meta =
		(struct pkt_meta *)(void *)(packet->data - sizeof(*meta));

	packet->meta = *meta;
	if (packet->meta.magic != PKT_META_MAGIC) {
		engine_drop(engine, packet, DROP_BAD_META);
		return;
	}
	/* The next packet in this frame may come without metadata. */
	meta->magic = 0;
	if (packet->meta.reason == STEER_INSPECT) {
		inspect_packet(engine, packet);
		emit_as_is(engine, packet, packet->meta.ifindex);
		return;
	}
	if (!parse(packet)) {
		engine_drop(engine, packet, DROP_BAD_PACKET);
		return;
	}
	switch ((enum steer_reason)packet->meta.reason) {
	case STEER_NEW:
		setup_packet(engine, packet);
		break;
	case STEER_NO_NEIGH:
		send_unresolved(engine, packet);
		break;
	case STEER_NO_SERVICE:
		setup_flush(engine, packet);
		break;
	case STEER_FRAGMENT:
		hold_fragment(engine, packet);
		break;
	default:
		engine_drop(engine, packet, DROP_ICMP);
		break;
	}
}
