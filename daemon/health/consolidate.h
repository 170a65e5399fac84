/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdicts of a service's monitors, joined: UP while the summed weight of
 * passing ones reaches the threshold. Pure.
 *
 * Monitors without a verdict yet leave the matter open: what the service was
 * stays, until they could not change the outcome any more. A service without
 * monitors is UP: there is nothing that could disprove it.
 */
#ifndef SLUICE_CONSOLIDATE_H
#define SLUICE_CONSOLIDATE_H

#include <stddef.h>
#include <stdint.h>
#include "health/health.h"

enum health_observed consolidate(const uint8_t *verdicts,
				 const uint16_t *weights, size_t n,
				 uint32_t threshold, enum health_observed was);

#endif
