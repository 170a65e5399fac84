/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Global options, then OBJECT, then COMMAND, then its arguments: counted here,
 * understood by the command. All messages for people go through here.
 */
#include "cli/dispatch.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/lookup.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "development"
#endif

/* One line, whatever the text holds. */
static void say(const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	fflush(stdout);
	fprintf(stderr, "sluice: %s\n", text);
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	if (command)
		help_usage(stderr, command);
	return CLI_USAGE;
}

int cli_refused(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_REFUSED;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 ||
	       strcmp(word, "-h") == 0;
}

static int run_command(struct cli *cli, const struct cli_command *command,
		       int argc, char **argv)
{
	if (argc == 1 && is_help(argv[0])) {
		help_command(stdout, command);
		return CLI_DONE;
	}
	if (argc < command->args_min)
		return cli_usage(command, "%s%s%s: arguments are missing",
				 command->object, command->name[0] ? " " : "",
				 command->name);
	if (argc > command->args_max)
		return cli_usage(command, "unexpected \"%s\"",
				 argv[command->args_max]);
	return command->run(cli, command, argc, argv);
}

static int run_object(struct cli *cli, int argc, char **argv)
{
	const char *object = lookup_object(argv[0]);
	const struct cli_command *command;

	if (!object)
		return CLI_USAGE;
	argc--;
	argv++;
	command = lookup_default(object);
	if (argc > 0 && is_help(argv[0])) {
		if (command && !command->name[0])
			help_command(stdout, command);
		else
			help_object(stdout, object);
		return CLI_DONE;
	}
	/* Objects that are commands themselves take all words. */
	if (command && (!command->name[0] || argc == 0))
		return run_command(cli, command, argc, argv);
	if (argc == 0) {
		help_object(stderr, object);
		return CLI_USAGE;
	}
	command = lookup_command(object, argv[0]);
	if (!command)
		return CLI_USAGE;
	return run_command(cli, command, argc - 1, argv + 1);
}

static int run_line(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "pretty", no_argument, NULL, 'p' },
		{ "socket", required_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *socket = getenv("SLUICE_SOCKET");
	struct cli cli = { .socket = socket && socket[0] ? socket :
							   CLI_SOCKET };
	int option;

	optind = 0; /* start anew: tests call this many times */
	while ((option = getopt_long(argc, argv, "+jps:Vh", options, NULL)) !=
	       -1) {
		switch (option) {
		case 'j':
			cli.json = true;
			break;
		case 'p':
			cli.json = cli.pretty = true;
			break;
		case 's':
			cli.socket = optarg;
			break;
		case 'V':
			printf("sluice %s\n", SLUICE_VERSION);
			return CLI_DONE;
		case 'h':
			help_all(stdout);
			return CLI_DONE;
		default:
			return CLI_USAGE;
		}
	}
	if (optind == argc) {
		help_all(stderr);
		return CLI_USAGE;
	}
	return run_object(&cli, argc - optind, argv + optind);
}

int dispatch(int argc, char **argv)
{
	int rc = run_line(argc, argv);

	/* A full disk or a closed pipe is not success. */
	if (fflush(stdout) && rc == CLI_DONE)
		rc = cli_refused("cannot write the output: %m");
	return rc;
}
