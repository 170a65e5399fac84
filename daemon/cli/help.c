/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Help: `sluice help`, `sluice OBJECT help`, `sluice OBJECT COMMAND help`.
 */
#include "cli/help.h"

#include <string.h>

#include "cli/args.h"
#include "cli/lookup.h"
#include "cli/run.h"
#include "config/config_help.h"

static void line(FILE *to, const struct cli_command *command)
{
	char text[128];
	int n;

	n = snprintf(text, sizeof(text), "%s%s%s%s%s", command->object,
		     command->name[0] ? " " : "", command->name,
		     command->args[0] ? " " : "", command->args);
	if (n > 40)
		fprintf(to, "  %s\n  %-40s  %s\n", text, "", command->help);
	else
		fprintf(to, "  %-40s  %s\n", text, command->help);
}

void help_usage(FILE *to, const struct cli_command *command)
{
	fprintf(to, "usage: sluice %s%s%s%s%s\n", command->object,
		command->name[0] ? " " : "", command->name,
		command->args[0] ? " " : "", command->args);
}

void help_all(FILE *to)
{
	fprintf(to,
		"usage: sluice [-j|--json] [-p|--pretty] [-s SOCKET] OBJECT "
		"[COMMAND] [ARGS ...]\n\n"
		"  -j, --json     the daemon's answer as JSON\n"
		"  -p, --pretty   the same, indented\n"
		"  -s, --socket   the daemon's socket [$SLUICE_SOCKET, "
		"%s]\n"
		"  -V, --version  version\n\n",
		CLI_SOCKET);
	for (size_t i = 0; i < cli_commands_count; i++)
		line(to, &cli_commands[i]);
	fprintf(to, "\nObjects, commands and keys may be abbreviated. "
		    "`sluice OBJECT COMMAND help` lists keys.\n"
		    "Exit status: 0 done, 1 wrong usage, 2 refused.\n");
}

void help_object(FILE *to, const char *object)
{
	for (size_t i = 0; i < cli_commands_count; i++)
		if (strcmp(cli_commands[i].object, object) == 0)
			line(to, &cli_commands[i]);
}

void help_command(FILE *to, const struct cli_command *command)
{
	help_usage(to, command);
	fprintf(to, "  %s\n", command->help);
	if (command->schema) {
		fprintf(to, "\nkeys, and in brackets their defaults:\n");
		config_help_keys(to, command->schema);
		fprintf(to, "\nLists are written NAME[=WEIGHT],…; the value "
			    "\"default\" takes a key away.\n");
	}
	if (command->keys) {
		fprintf(to, "\nkeys:");
		for (const char *const *key = command->keys; *key; key++)
			fprintf(to, " %s", *key);
		fputc('\n', to);
	}
}

/* From the tables that read the file: text, or the source of sluice.json(5). */
RUN(config_keys)
{
	(void)cli;
	if (argc == 0)
		config_help(stdout);
	else if (args_compare(argv[0], "man"))
		config_help_man(stdout);
	else
		return cli_usage(command, "unexpected \"%s\"", argv[0]);
	return CLI_DONE;
}

RUN(help)
{
	const struct cli_command *found;
	const char *object;

	(void)cli;
	(void)command;
	if (argc == 0) {
		help_all(stdout);
		return CLI_DONE;
	}
	object = lookup_object(argv[0]);
	if (!object)
		return CLI_USAGE;
	if (argc == 1) {
		help_object(stdout, object);
		return CLI_DONE;
	}
	found = lookup_command(object, argv[1]);
	if (!found)
		return CLI_USAGE;
	help_command(stdout, found);
	return CLI_DONE;
}
