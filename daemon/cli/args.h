/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words of the command line: abbreviations and "key value" pairs.
 */
#ifndef SLUICE_CLI_ARGS_H
#define SLUICE_CLI_ARGS_H

#include "cli/cli.h"

enum args_match {
	ARGS_NONE,
	ARGS_ABBREVIATED,
	ARGS_EXACT,
};

/* Whether WORD is FULL or a beginning of it. */
enum args_match args_compare(const char *word, const char *full);

/* "key value" pairs into an object, with the types of COMMAND's schema. With
 * COMMAND->kind, keys that this kind of monitor lacks are left to the daemon
 * to refuse. CLI_DONE or CLI_USAGE after having said why. */
int args_object(const struct cli_command *command, int argc, char **argv,
		struct json_object *object);

/* The full name of KEY among NULL-terminated KEYS; NULL after having said
 * why there is none. */
const char *args_key(const struct cli_command *command, const char *key,
		     const char *const *keys);

/* A whole number in [MIN, MAX]; CLI_DONE or CLI_USAGE after having said so. */
int args_number(const struct cli_command *command, const char *what,
		const char *word, uint64_t min, uint64_t max, uint64_t *ret);

#endif
