/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which prober runs a binding, and which one consolidates a service:
 * rendezvous hashing over the running probers. Daemon and probers compute it
 * alike, so nobody has to be told. Pure.
 *
 * Entities are hashes of names (config_entity()), so this is the hash of
 * (monitor name, service name). A prober that goes only gives away its own
 * share; one that comes only takes what is its own from then on.
 */
#ifndef SLUICE_ASSIGN_H
#define SLUICE_ASSIGN_H

#include <stdint.h>

#define ASSIGN_NONE (-1)

struct config_monitor;

/* What to give for SERVICE: bindings of a response-time monitor, whose mean is
 * over all its services, stay together. */
uint64_t assign_share(const struct config_monitor *monitor, uint64_t service);

/* Slot of the prober in MASK, ASSIGN_NONE if it is empty. */
int assign_runner(uint64_t mask, uint64_t monitor, uint64_t service);
int assign_consolidator(uint64_t mask, uint64_t service);

#endif
