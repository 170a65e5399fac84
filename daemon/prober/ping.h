/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets of ping probes (probe_ping.c). */
#ifndef SLUICE_PING_H
#define SLUICE_PING_H

#include <stdint.h>

/* Before privileges are dropped: opens what can be had. SLOT: this prober's
 * number, by which the probers of a node share identifiers out. */
void ping_open(int slot);
/* After poller_init(). 0: no sockets, 1: ping sockets, 2: raw ones. */
uint32_t ping_init(void);

#endif
