/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking into the data plane: /v1/stats, /v1/buckets, /v1/datapath, /v1/hash,
 * /v1/node; exchanging the program and taking it down.
 */
#ifndef SLUICE_DATAPATH_API_H
#define SLUICE_DATAPATH_API_H

#include <uv.h>
#include "apply.h"
#include "control/api.h"
#include "control/config_api.h"

struct datapath_api {
	uv_loop_t *loop;
	struct apply *apply;
	struct config_api *config_api;
	const char *config_path;
	uint64_t started_ns;
	bool closed; /* to be set once the API is gone */
};

/* DP_API must outlive the API and the loop. */
void datapath_api_routes(struct api *api, struct datapath_api *dp_api);

#endif
