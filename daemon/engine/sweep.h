/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ageing of the flow table: each running engine looks through its share of
 * the sets, a little each turn, and removes what was idle too long.
 */
#ifndef SLUICE_ENGINE_SWEEP_H
#define SLUICE_ENGINE_SWEEP_H

#include "engine/engine.h"

/* Does what is due since the last call, bounded. */
void sweep_run(struct engine *engine);

/* One set, for tests. */
void sweep_set(struct engine *engine, uint32_t set, uint32_t now_tick);

#endif
