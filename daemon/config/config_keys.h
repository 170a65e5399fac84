/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables of all configuration keys, and their reference as text.
 */
#ifndef SLUICE_CONFIG_KEYS_H
#define SLUICE_CONFIG_KEYS_H

#include <stdio.h>
#include "config/config_schema.h"

extern const struct config_schema config_keys_top;
extern const struct config_schema config_keys_monitor;
extern const struct config_schema config_keys_service;
extern const struct config_schema config_keys_vserver;

/* Names of the values of enums, by value. */
extern const char *const config_keys_monitor_types[];
extern const char *const config_keys_modes[];
extern const char *const config_keys_setups[];
extern const char *const config_keys_methods[];

#endif
