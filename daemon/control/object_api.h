/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GET /v1/vservers and /v1/services: configuration, live state and traffic of
 * each object; enabling and disabling services.
 */
#ifndef SLUICE_OBJECT_API_H
#define SLUICE_OBJECT_API_H

#include "apply.h"
#include "control/api.h"

/* APPLY is borrowed. */
void object_api_routes(struct api *api, struct apply *apply);

/* POST /v1/services/NAME/enable and disable, for config_api. */
void object_api_service_command(struct apply *apply,
				const struct config_service *service,
				const char *verb,
				const struct api_request *request,
				struct api_reply *reply);

/* Words of the API. */
const char *object_api_mode(uint8_t mode);
const char *object_api_setup(uint8_t setup);
const char *object_api_method(uint8_t method);
const char *object_api_proto(uint8_t proto);

#endif
