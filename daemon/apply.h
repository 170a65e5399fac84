/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place where a configuration takes effect.
 *
 * Order, each step with its undo; the first failure undoes what was done, in
 * reverse, and everything is as before:
 *   1. refuse what cannot change while flows exist (RSS key, table size)
 *   2. publish_prepare: numbers, tables, places in the maps
 *   3. new interfaces: attach, enter maps, packet sockets
 *   4. new program if its options differ: load, exchange
 *   5. routes of tunnelled probes; health: monitors, services, number of probers
 *   6. engines: their number
 *   7. cluster: peers, keys, services
 * From here on nothing can fail:
 *   8. publish_commit: services, tables, vservers, then their addresses
 *   9. interfaces that are no longer configured: off
 *
 * Steps 1–7 change nothing that a packet could notice, except for engines that
 * start or stop; so a packet sees the old configuration or the new one.
 */
#ifndef SLUICE_APPLY_H
#define SLUICE_APPLY_H

#include "bpf/datapath.h"
#include "bpf/probe_tunnels.h"
#include "bpf/publish.h"
#include "clustering.h"
#include "config/config.h"
#include "control/engine_supervisor.h"
#include "health/health.h"

struct apply {
	struct datapath *dp;
	struct publish *publish;
	struct engine_supervisor *engines;
	struct health *health;
	struct clustering *clustering;
	struct probe_tunnels *tunnels;
	struct config *config; /* what is in effect; owned; NULL at first */
	uint64_t generation;   /* configurations applied by this daemon */
	bool saved;	       /* the file says the same */
};

/* NEXT becomes what is in effect and is owned by APPLY then. On failure NEXT
 * stays the caller's. 0, or -errno with *e filled. */
int apply_config(struct apply *apply, struct config *next,
		 struct config_error *e);

/* Puts the addresses into effect that domain-based services are known to have
 * now (apply_names.h), in the order above without steps 1, 3, 4, 6 and 9:
 * established flows go on to the former addresses, new ones to the new. 0, or
 * -errno (logged) with everything as before: to be tried again later. */
int apply_moves(struct apply *apply);

/* Interfaces of the configuration in effect that came back after they had been
 * deleted are attached to again; what goes wrong is logged. */
void apply_interfaces(struct apply *apply);

/* NAT and tunnel source addresses: configured, or the interfaces' own.
 * Addresses keep the index they have in CONF. 0, or -errno with *e filled. */
int apply_addrs(const struct config *config, const struct dp_conf *conf,
		bool flows, struct publish_addrs *ret, struct config_error *e);

#endif
