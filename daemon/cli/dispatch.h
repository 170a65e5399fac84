/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the command line to the function that serves it.
 */
#ifndef SLUICE_CLI_DISPATCH_H
#define SLUICE_CLI_DISPATCH_H

/* Runs the command line; returns the exit status. */
int dispatch(int argc, char **argv);

#endif
