/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flow set-up: the decision for a flow's first packet, its entries in the
 * flow table, and what follows from them for the packet.
 */
#ifndef SLUICE_ENGINE_SETUP_H
#define SLUICE_ENGINE_SETUP_H

#include "engine/emit.h"
#include "engine/engine.h"

/* A packet of a vserver for which XDP found no flow, or no service. Finds or
 * makes the flow and forwards the packet, or refuses it. */
void setup_packet(struct engine *engine, struct engine_packet *packet);

/* How packets of a flow (its entry's COPY) are forwarded. */
void setup_plan(const struct engine *engine, const struct pkt *pkt,
		const struct vserver *vs, const struct flow *copy,
		struct emit_plan *ret);

/* Flow of a service that is DOWN and to be flushed: reset, entries gone. */
void setup_flush(struct engine *engine, struct engine_packet *packet);

#endif
