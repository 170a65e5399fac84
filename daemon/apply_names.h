/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses of domain-based services. They are no part of what an operator
 * configured; they are kept in the configuration in effect all the same, so
 * that everything that asks for a service's address finds it in one place.
 *
 * The owner of a service resolves its name, the others learn the address with
 * the service's state (SSS). In both cases the address is noted here, and put
 * into effect soon after, several together, by apply_moves(): like a
 * configuration in which only these addresses differ.
 */
#ifndef SLUICE_APPLY_NAMES_H
#define SLUICE_APPLY_NAMES_H

#include "apply.h"

/* Gives NEXT, about to be put into effect, the addresses known so far: those of
 * the configuration in effect for the same domains; at the daemon's start those
 * that the data plane still uses. */
void apply_names_carry(const struct apply *apply, struct config *next);

enum apply_names_result {
	APPLY_NAMES_SAME,    /* is in effect, or no matter of names */
	APPLY_NAMES_MOVES,   /* noted: apply_moves() is due */
	APPLY_NAMES_REFUSED, /* cannot be the service's; logged */
};

/* The domain of the service is at ADDR. *ret_problem: why that is refused, a
 * constant, else NULL. */
enum apply_names_result apply_names_learn(struct apply *apply, uint64_t entity,
					  const union ip_addr *addr,
					  uint32_t ttl_s,
					  const char **ret_problem);

/* Exchanges addresses and noted ones. True: there was something to exchange.
 * Twice is as before. */
bool apply_names_exchange(struct apply *apply);

/* Addresses of CONFIG are in effect: nothing is noted any more, the cluster is
 * told what this node's own services are at, and asked again for the states of
 * the others', which counted for these addresses only. */
void apply_names_settle(struct apply *apply);

#endif
