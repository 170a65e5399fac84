/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Help from the table of commands.
 */
#ifndef SLUICE_CLI_HELP_H
#define SLUICE_CLI_HELP_H

#include <stdio.h>
#include "cli/cli.h"

/* All objects and commands. */
void help_all(FILE *to);

/* The commands of one object. */
void help_object(FILE *to, const char *object);

/* One command, with its keys. */
void help_command(FILE *to, const struct cli_command *command);

/* "usage: sluice service add NAME …". */
void help_usage(FILE *to, const struct cli_command *command);

#endif
