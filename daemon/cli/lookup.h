/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words to rows of the command table: exact, or an unambiguous beginning.
 * NULL after having said on stderr why there is none.
 */
#ifndef SLUICE_CLI_LOOKUP_H
#define SLUICE_CLI_LOOKUP_H

#include "cli/cli.h"

/* The full name of an object. */
const char *lookup_object(const char *word);

/* The command of OBJECT that WORD means. */
const struct cli_command *lookup_command(const char *object, const char *word);

/* The command of OBJECT that needs no word: its only one, or "show". */
const struct cli_command *lookup_default(const char *object);

#endif
