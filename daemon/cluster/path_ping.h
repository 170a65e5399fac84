/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether this node reaches services, by ICMP echo: the effectful half of path
 * monitoring (path.h decides what follows from it). Runs on the daemon's loop.
 *
 * Each target is pinged once a second, targets spread over the second. The
 * first answer makes it reachable, three in a row without answer unreachable;
 * until one of the two it is not known and nothing is said. A reply counts if
 * number, nonce and source are those of the ping in flight: nobody off the path
 * can fake one.
 */
#ifndef SLUICE_PATH_PING_H
#define SLUICE_PATH_PING_H

#include <stdbool.h>
#include <stdint.h>
#include "ip_addr.h"

#define PATH_PING_INTERVAL_MS 1000
#define PATH_PING_MISSED 3

struct path_ping;

/* Called when a target becomes reachable or not. May add and remove targets. */
typedef void path_ping_changed(void *ctx, uint64_t entity, bool reachable);

/* Opens sockets: needs CAP_NET_RAW, or a net.ipv4.ping_group_range that lets
 * this process ping. A family that cannot be had is said in the log; its
 * targets stay unknown. 0 or -ENOMEM. */
int path_ping_new(path_ping_changed *changed, void *ctx, struct path_ping **ret);

/* Accepts NULL. */
void path_ping_free(struct path_ping *p);

/* *ret_slot names the target from then on. 0 or -ENOMEM. */
int path_ping_add(struct path_ping *p, uint64_t entity, const union ip_addr *addr,
		  uint32_t *ret_slot);
void path_ping_remove(struct path_ping *p, uint32_t slot);
/* The service got another address: it is not known whether that is reached. */
void path_ping_move(struct path_ping *p, uint32_t slot, const union ip_addr *addr);
void path_ping_clear(struct path_ping *p);

/* To be called every 10 ms or so. */
void path_ping_tick(struct path_ping *p, uint64_t now_ms);

#endif
