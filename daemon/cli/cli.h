/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the command `sluice` share. It is a thin client: a table
 * of commands (commands.c), one function for each way of asking (run_*.c), one
 * for each way of showing (table.c).
 */
#ifndef SLUICE_CLI_H
#define SLUICE_CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_SOCKET "/run/sluice/sluiced.sock"

/* Exit status. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_USAGE = 1,
	CLI_REFUSED = 2,
};

struct cli {
	const char *socket;
	bool json;   /* -j: the API's answer as it is */
	bool pretty; /* -p: indented; implies json */
};

struct cli_view;
struct config_schema;

struct cli_command {
	const char *object, *name;
	const char *args; /* for the usage line */
	const char *help;
	int (*run)(struct cli *cli, const struct cli_command *command, int argc,
		   char **argv);
	/* Used by the run functions that many commands share. */
	const char *method, *path;
	const struct cli_view *view, *detail;
	const struct config_schema *schema; /* keys of "key value" arguments */
	const char *const *keys;	    /* or these */
	int args_min, args_max;
	uint32_t kind;
};

extern const struct cli_command cli_commands[];
extern const size_t cli_commands_count;

/* "sluice: …" on stderr; returns CLI_USAGE. */
int cli_usage(const struct cli_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One line on stderr; returns CLI_REFUSED. */
int cli_refused(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes TEXT, which may come from outside, without control characters. */
void cli_print_safe(const char *text);

#endif
