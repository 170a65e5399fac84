/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that wait, bounded in number and time: for a neighbour's address
 * (dsr-l2 only: the kernel cannot send these for us), and fragments that
 * came before their first one. Engine thread.
 */
#ifndef SLUICE_ENGINE_HOLD_H
#define SLUICE_ENGINE_HOLD_H

#include "engine/engine.h"

/* Per engine. More would only keep frames from the receive rings. */
#define HOLD_MAX 64
#define HOLD_NS 200000000ull
/* A neighbour may be one second away: ARP's first retransmission. */
#define HOLD_NEIGHBOUR_NS 1500000000ull
#define HOLD_RETRY_NS 2000000ull

int hold_new(struct engine_hold **ret);
void hold_free(struct engine_hold *hold);

void hold_for_neighbour(struct engine *engine, struct engine_packet *packet,
			uint8_t *l3, uint32_t len, const union ip_addr *dst);
void hold_fragment(struct engine *engine, struct engine_packet *packet);

/* Tries again what is due. */
void hold_run(struct engine *engine);
/* Packets waiting. */
uint32_t hold_count(const struct engine_hold *hold);
/* Before a port's memory goes: what was received there is dropped. */
void hold_forget_port(struct engine *engine, const struct engine_port *port);

#endif
