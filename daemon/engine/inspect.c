// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inspection: passive health from the traffic of inspected flows. Engine
 * thread; reads the packet, changes nothing of it.
 */
#include "engine/inspect.h"

#include "headers.h"

/* A reset that comes from the service while the client is still waiting for
 * its first answer: the attempt was refused. */
static bool refused(const struct flow *f, uint8_t tcp_flags)
{
	return f->key.kind == FLOW_REVERSE && (tcp_flags & TCP_RST) &&
	       FLOW_ACTIVITY_TCP(f->activity) == FLOW_TCP_RST;
}

void inspect_packet(struct engine *engine, const struct engine_packet *packet)
{
	uint32_t index = packet->meta.flow_index;
	uint32_t off = packet->meta.l4_off;
	uint32_t service = packet->meta.service;
	const struct tcp_hdr *tcp;
	const struct flow *f;

	if (packet->meta.l4_proto != PROTO_TCP || !off ||
	    off + sizeof(*tcp) > packet->len || service >= SERVICES_MAX ||
	    index / FLOW_WAYS >= engine->maps.flow_sets)
		return;
	tcp = (const void *)(packet->data + off);
	f = &engine->maps.flows[index / FLOW_WAYS].way[index % FLOW_WAYS];
	/* SYN bits of the acknowledgement: 1 means that only a SYN was sent. */
	if (refused(f, tcp->flags) && !tcp->seq)
		__atomic_fetch_add(&engine->maps.svc_load[service].resets, 1,
				   __ATOMIC_RELAXED);
}
