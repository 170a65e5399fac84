/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon: its modules, in the order in which they start, and one loop.
 */
#ifndef SLUICE_DAEMON_H
#define SLUICE_DAEMON_H

#include <stdbool.h>
#include <uv.h>
#include "apply.h"
#include "bpf/flow_scan.h"
#include "clustering.h"
#include "control/datapath_api.h"
#include "neighbours.h"

struct daemon_options {
	const char *config, *run_dir, *state_dir, *bpffs;
	/* Called once everything runs (and after privileges are gone). */
	void (*ready)(void *ctx);
	void *ctx;
};

struct daemon {
	const struct daemon_options *options;
	int pid_lock;
	uv_loop_t loop;
	struct datapath dp;
	struct publish *publish;
	struct probe_tunnels *tunnels;
	struct flow_scan scan;
	struct api *api;
	struct health *health;
	struct clustering clustering;
	struct engine_supervisor *engines;
	struct config_api *config_api;
	struct apply apply;
	struct datapath_api datapath_api;
	uv_timer_t heartbeat, flush, moves;
	struct neighbours neighbours; /* where there are no engines */
	uint64_t moved_ns; /* when addresses were put into effect last */
	uv_signal_t signals[3];
	uint64_t beats;
	bool remove; /* nothing was there before and the start failed */
};

/* Runs until it is told to stop. 0, or -errno (logged). */
int daemon_run(const struct daemon_options *options);

#endif
