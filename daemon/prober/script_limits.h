/* SPDX-License-Identifier: GPL-2.0-only */
/* What a script monitor's process gets: limits, then the script. */
#ifndef SLUICE_SCRIPT_LIMITS_H
#define SLUICE_SCRIPT_LIMITS_H

#define SCRIPT_LIMITS_OPTION "--run-script"

/* ARGV: the script and its arguments. Does not return; exits 127 if the
 * script cannot be run. */
void script_limits_exec(char **argv) __attribute__((noreturn));

#endif
