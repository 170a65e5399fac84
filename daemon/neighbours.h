/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the link-layer addresses of the services' next hops known to the kernel
 * where no engine can have it ask for one when a packet needs it: there XDP is
 * alone, and drops what it has no address for. Loop thread.
 */
#ifndef SLUICE_NEIGHBOURS_H
#define SLUICE_NEIGHBOURS_H

#include <stddef.h>
#include <uv.h>
#include "util/rtnl.h"

struct config;

struct neighbours {
	uv_timer_t timer;
	struct rtnl rtnl;
	const struct config *(*current)(void *ctx);
	void *ctx;
	size_t next; /* service that is next */
};

/* CURRENT says what is configured, at each turn. 0 or -errno. */
int neighbours_init(struct neighbours *n, uv_loop_t *loop,
		    const struct config *(*current)(void *ctx), void *ctx);
/* The loop must be run until the handle is closed. */
void neighbours_deinit(struct neighbours *n);

#endif
