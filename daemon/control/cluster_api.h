/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * API paths of the cluster: GET /v1/cluster, POST /v1/cluster/{join,leave,
 * active,passive,spare}, and the stream GET /v1/cluster/trace.
 */
#ifndef SLUICE_CLUSTER_API_H
#define SLUICE_CLUSTER_API_H

#include "cluster/cluster.h"
#include "control/api.h"

struct cluster_api;

/* *SLOT is NULL while the configuration has no cluster; it is looked at anew
 * in each request. 0 or -ENOMEM. */
int cluster_api_new(struct api *api, struct cluster *const *slot,
		    struct cluster_api **ret);
void cluster_api_free(struct cluster_api *cluster_api);

/* After *SLOT got another value: its events go to the stream. */
void cluster_api_attach(struct cluster_api *cluster_api);

#endif
