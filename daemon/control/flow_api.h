/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GET /v1/flows: entries of the flow table. GET /v1/flow-where: what would
 * become of a packet, computed from the live tables.
 */
#ifndef SLUICE_FLOW_API_H
#define SLUICE_FLOW_API_H

#include "apply.h"
#include "control/api.h"

/* APPLY is borrowed. */
void flow_api_routes(struct api *api, struct apply *apply);

#endif
