/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reference of configuration keys, from the tables that read them.
 */
#ifndef SLUICE_CONFIG_HELP_H
#define SLUICE_CONFIG_HELP_H

#include <stdio.h>

struct config_schema;

/* All keys as text, as `sluiced --help-config` prints them. */
void config_help(FILE *to);

/* The same as the source of the manual page sluice.json(5). */
void config_help_man(FILE *to);

/* The keys of one kind of object, a line each. */
void config_help_keys(FILE *to, const struct config_schema *schema);

#endif
