/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way of probes through tunnels: a program that encapsulates
 * (bpf/probe.bpf.c), the memory in which probers tell it where to
 * (probe_tunnel.h), and a route to each address that is probed so, whose output
 * is the program. Routes are marked as ours by their protocol number.
 */
#ifndef SLUICE_PROBE_TUNNELS_H
#define SLUICE_PROBE_TUNNELS_H

#include "bpf/publish.h"
#include "config/config.h"

struct probe_tunnels;

/* Loads the program. A kernel without lwtunnel programs is no error: then
 * applying a configuration that needs them is. 0 or -errno. */
int probe_tunnels_new(struct probe_tunnels **ret);
/* Routes and what they use stay. NULL is accepted. */
void probe_tunnels_free(struct probe_tunnels *t);

/* Descriptor of the memory for probers; -1: none. Stays ours. */
int probe_tunnels_fd(const struct probe_tunnels *t);

/* Makes the routes those that CONFIG's monitors need. 0, or -errno with *e
 * filled: then some may be missing. */
int probe_tunnels_apply(struct probe_tunnels *t, const struct config *config,
			const struct publish_addrs *addrs,
			struct config_error *e);

/* Removes all such routes of this network namespace. 0 or -errno. */
int probe_tunnels_remove(void);

#endif
