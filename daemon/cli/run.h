/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What commands do. Each takes the words after OBJECT COMMAND and returns the
 * exit status. The first group serves many commands by the table's fields.
 */
#ifndef SLUICE_CLI_RUN_H
#define SLUICE_CLI_RUN_H

#include "cli/cli.h"

#define RUN(name)                                                              \
	int run_##name(struct cli *cli, const struct cli_command *command,     \
		       int argc, char **argv)

RUN(show);    /* GET path or path/NAME, shown by view or detail */
RUN(query);   /* GET path?key=value…, shown by view */
RUN(post);    /* method path {} */
RUN(name);    /* method path/NAME, no body */
RUN(edit);    /* method path/NAME, "key value" pairs as body */
RUN(bind);    /* method path/NAME/LIST/TARGET [weight N] */
RUN(scale);   /* POST path {"count": N} */
RUN(stream);  /* GET path, a line for each event */

RUN(enable);
RUN(disable);
RUN(try);
RUN(where);
RUN(stats);
RUN(buckets);
RUN(hash);
RUN(config_show);
RUN(config_apply);
RUN(config_save);
RUN(config_check);
RUN(config_keys);
RUN(completion);
RUN(help);

/* Prints JSON as -j or -p want it, or by VIEW. */
void run_print(const struct cli *cli, const struct cli_view *view,
	       struct json_object *json);

#endif
