/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recounting svc_load.conns from the flow table. A process that is killed
 * between a change of the table and the change of the count leaves them apart
 * by one; after an engine's death the daemon counts.
 */
#ifndef SLUICE_ENGINE_RECOUNT_H
#define SLUICE_ENGINE_RECOUNT_H

#include <stddef.h>
#include <stdint.h>
#include "flow.h"
#include "map_abi.h"

/* Counts open flows of N_SETS sets by service and corrects LOAD
 * (SERVICES_MAX entries) where it cannot be right. Traffic may go on: what is
 * off by no more than what came and went meanwhile is left alone. Returns the
 * number of corrected services, or -ENOMEM. Any thread. */
int engine_recount(const struct flow_set *sets, uint32_t n_sets,
		   struct svc_load *load);

#endif
