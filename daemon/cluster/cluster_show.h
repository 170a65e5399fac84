/* SPDX-License-Identifier: GPL-2.0-only */
/* The cluster as JSON (shapes: control/README.md). Reads only. */
#ifndef SLUICE_CLUSTER_SHOW_H
#define SLUICE_CLUSTER_SHOW_H

#include <json-c/json.h>
#include "cluster/cluster.h"
#include "cluster/node.h"

/* The configured name, "node N" without one. Valid until the next call. */
const char *cluster_show_node_name(const struct cluster *cluster, uint32_t id);

/* One event of the state machine: a new object. */
struct json_object *cluster_show_trace(const struct cluster *cluster,
				       const struct node_trace *trace);

#endif
