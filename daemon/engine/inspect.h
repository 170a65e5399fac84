/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The place where an engine looks at every packet of a flow (vservers with
 * set-up `inspect`). The packet is rewritten and addressed already and is
 * sent on afterwards, whatever is found here.
 */
#ifndef SLUICE_ENGINE_INSPECT_H
#define SLUICE_ENGINE_INSPECT_H

#include "engine/engine.h"

/* Passive health: resets that answer a connection attempt are counted for the
 * service. */
void inspect_packet(struct engine *engine, const struct engine_packet *packet);

#endif
