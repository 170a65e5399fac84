/* SPDX-License-Identifier: GPL-2.0-only */
/* What a DNS answer says about a domain-based service. Pure; hostile bytes. */
#ifndef SLUICE_NAME_ANSWER_H
#define SLUICE_NAME_ANSWER_H

#include <stddef.h>
#include <stdint.h>
#include "ip_addr.h"

/* Chooses one address of FAMILY (4, 6) from the reply of LEN bytes: CURRENT (all
 * zero: none) if it is still among them, so that a set in another order moves
 * nothing; else the lowest, so that every node would choose alike. Addresses
 * that are no other machine's are passed over. *ret_ttl_s is the shortest of
 * the answer. Returns how many addresses were usable, 0 with nothing set, or
 * -1: the reply is malformed. */
int name_answer_choose(const uint8_t *data, size_t len, uint8_t family,
		       const union ip_addr *current, union ip_addr *ret_addr,
		       uint32_t *ret_ttl_s);

#endif
