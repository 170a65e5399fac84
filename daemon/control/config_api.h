/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The paths that read and change the configuration: /v1/config, and POST,
 * PUT, DELETE of vservers, services, monitors and their bindings (README.md).
 * Every change makes a whole new struct config and hands it to ops->apply.
 *
 * Files are parsed by a worker thread, since 70 000 services take a second
 * and the loop must not stop for that long; everything else runs on the loop.
 */
#ifndef SLUICE_CONFIG_API_H
#define SLUICE_CONFIG_API_H

#include <stdint.h>
#include "config/config.h"
#include "control/api.h"

struct config_api;

struct config_api_ops {
	/* The configuration in use; borrowed for the length of the call. */
	const struct config *(*current)(void *ctx);

	/* Makes CONFIG what is in use, or leaves everything as it was. CONFIG
	 * is the callee's from now on, also on failure. 0 with the number of
	 * the configuration, or -errno with one line of text. */
	int (*apply)(void *ctx, struct config *config, uint32_t *ret_generation,
		     char *ret_error, size_t error_len);

	/* POST /v1/services/NAME/VERB, "enable" or "disable", of a service that
	 * exists; the body is request->json (README.md). */
	void (*service_command)(void *ctx, const struct config_service *service,
				const char *verb,
				const struct api_request *request,
				struct api_reply *reply);
};

/* Registers the paths. PATH: the daemon's configuration file, written by
 * POST /v1/config/save; copied. 0 or -errno. */
int config_api_new(struct api *api, uv_loop_t *loop, const char *path,
		   const struct config_api_ops *ops, void *ctx,
		   struct config_api **ret);

/* After api_free(). A parse that still runs is waited for by the loop. */
void config_api_free(struct config_api *config_api);

/* What runs is what the file holds, as far as this daemon wrote or read it. */
bool config_api_saved(const struct config_api *config_api);

/* Sets "engines" or "probers" and applies: for POST …/scale. 0 or -errno with
 * text. */
int config_api_set_top(struct config_api *config_api, const char *key,
		       uint32_t value, char *ret_error, size_t error_len);

#endif
