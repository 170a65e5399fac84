/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds commands by what was typed. An exact name wins over an abbreviation
 * of another; two candidates are an error that names both.
 */
#include "cli/lookup.h"

#include <stdio.h>
#include <string.h>

#include "cli/args.h"

const char *lookup_object(const char *word)
{
	const char *found = NULL;

	for (size_t i = 0; i < cli_commands_count; i++) {
		const char *object = cli_commands[i].object;

		if (found && strcmp(found, object) == 0)
			continue;
		switch (args_compare(word, object)) {
		case ARGS_EXACT:
			return object;
		case ARGS_ABBREVIATED:
			if (found) {
				cli_usage(NULL, "\"%s\" may mean %s or %s",
					  word, found, object);
				return NULL;
			}
			found = object;
			break;
		case ARGS_NONE:
			break;
		}
	}
	if (!found)
		cli_usage(NULL, "unknown object \"%s\": see `sluice help`",
			  word);
	return found;
}

const struct cli_command *lookup_command(const char *object, const char *word)
{
	const struct cli_command *found = NULL;

	for (size_t i = 0; i < cli_commands_count; i++) {
		const struct cli_command *command = &cli_commands[i];

		if (strcmp(command->object, object) != 0)
			continue;
		switch (args_compare(word, command->name)) {
		case ARGS_EXACT:
			return command;
		case ARGS_ABBREVIATED:
			if (found) {
				cli_usage(NULL, "\"%s\" may mean %s or %s",
					  word, found->name, command->name);
				return NULL;
			}
			found = command;
			break;
		case ARGS_NONE:
			break;
		}
	}
	if (!found)
		cli_usage(NULL,
			  "%s has no command \"%s\": see `sluice %s help`",
			  object, word, object);
	return found;
}

const struct cli_command *lookup_default(const char *object)
{
	for (size_t i = 0; i < cli_commands_count; i++) {
		const struct cli_command *command = &cli_commands[i];

		if (strcmp(command->object, object) == 0 &&
		    (!command->name[0] || strcmp(command->name, "show") == 0))
			return command;
	}
	return NULL;
}
