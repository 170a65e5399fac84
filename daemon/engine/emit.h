/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways a packet leaves an engine. Each function takes the packet over:
 * its frame is sent, held or put back when it returns.
 */
#ifndef SLUICE_ENGINE_EMIT_H
#define SLUICE_ENGINE_EMIT_H

#include "engine/engine.h"
#include "rewrite_nat.h"

/* What is to be done with a packet of a known flow. */
struct emit_plan {
	enum fwd_mode mode;
	struct nat_to to; /* to.dst: where it is routed to, in all modes */
};

/* Rewrites or encapsulates PACKET (packet->pkt is parsed) and sends it. */
void emit_forward(struct engine *engine, struct engine_packet *packet,
		  const struct emit_plan *plan);

/* Sends the IP packet at L3 (inside the frame, LEN bytes) towards DST.
 * by_neighbour: DST is the next hop whatever the packet says (dsr-l2). */
void emit_l3(struct engine *engine, struct engine_packet *packet, uint8_t *l3,
	     uint32_t len, const union ip_addr *dst, bool by_neighbour);

/* Sends the frame as it is by interface IFINDEX. */
void emit_as_is(struct engine *engine, struct engine_packet *packet,
		uint32_t ifindex);

/* Back to where it came from: the IP packet at L3 replaces the one received. */
void emit_back(struct engine *engine, struct engine_packet *packet,
	       uint8_t *l3, uint32_t len);

/* Publishes and kicks what the turn put into TX rings. */
void emit_flush(struct engine *engine);

#endif
