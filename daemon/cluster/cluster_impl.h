/* SPDX-License-Identifier: GPL-2.0-only */
/* What cluster.c and cluster_show.c share; nobody else's business. */
#ifndef SLUICE_CLUSTER_IMPL_H
#define SLUICE_CLUSTER_IMPL_H

#include "cluster/cluster.h"
#include "cluster/cluster_services.h"
#include "cluster/cluster_writer.h"
#include "cluster/nnm.h"
#include "cluster/node.h"
#include "cluster/path_ping.h"
#include "config/config.h"

struct cluster_member {
	bool used;
	char name[NAME_LEN];
	union ip_addr addr;
	uint16_t port;
};

struct cluster {
	uv_loop_t *loop;
	const struct cluster_ops *ops;
	void *ctx;
	struct node *node;
	struct nnm *nnm;
	struct node_options options;
	struct node_durable durable;
	bool has_durable;
	struct cluster_writer *writer;
	/* The last hello: said again while the disk is waited for. */
	struct message hello;
	uint32_t hello_to;
	char *state_file, *epoch_file;
	char id[NAME_LEN]; /* the cluster's name */
	struct cluster_member members[NODES_MAX]; /* this node included */
	struct cluster_services services;
	uv_timer_t tick;
	struct path_ping *ping;
	/* The disk did not take what had to be kept: this life is over, and
	 * the next one begins when it does. */
	bool halted;
	uint64_t halted_ms;
	uint64_t persisted, lives;
	bool stepping;
	bool path_missing; /* a path is not watched for want of memory */
	const struct cluster_trace *trace;
	void *trace_ctx;
};

#endif
