/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths about probing: GET /v1/monitors, POST /v1/monitors/try, GET
 * /v1/probers, POST /v1/probers/scale, and the stream GET /v1/services/watch.
 * Reads health and the configuration; keeps nothing.
 */
#ifndef SLUICE_HEALTH_API_H
#define SLUICE_HEALTH_API_H

#include <stddef.h>
#include <stdint.h>
#include "control/api.h"

struct config;
struct health;
struct health_event;

/* CURRENT: the configuration in force. SCALE: makes COUNT probers part of the
 * configuration; 0, or -errno with RET_ERROR filled. 0 or -ENOMEM. */
int health_api_routes(struct api *api, struct health *health,
		      const struct config *(*current)(void *ctx),
		      int (*scale)(void *ctx, uint32_t count, char *ret_error,
				   size_t len),
		      void *ctx);

/* Tells the readers of the stream. */
void health_api_event(const struct health_event *event);

#endif
