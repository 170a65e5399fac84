/* SPDX-License-Identifier: GPL-2.0-only */
/* What a script monitor's process gets: limits, then the script. */
#ifndef SLUICE_SCRIPT_LIMITS_H
#define SLUICE_SCRIPT_LIMITS_H

/* ARGV: the script and its arguments; ENV: its environment. Does not return;
 * exits 127 if the script cannot be run. */
void script_limits_exec(char **argv, char **env) __attribute__((noreturn));

#endif
