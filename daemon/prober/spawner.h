/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small process beside the prober that starts scripts for it. A fork of the
 * prober copies the page tables of tens of thousands of probes and holds up
 * its loop until the child has run exec(); this one holds nothing and holds up
 * nobody. It is forked once, before the prober has grown, has as few
 * privileges as it, and ends with it.
 */
#ifndef SLUICE_SPAWNER_H
#define SLUICE_SPAWNER_H

#include <stddef.h>
#include <stdint.h>

/* At once; their numbers are 0 … SCRIPTS_MAX - 1, given by the prober. */
#define SCRIPTS_MAX 32

enum spawner_event {
	SPAWNER_STARTED = 1, /* value: process id */
	SPAWNER_FAILED,	     /* value: errno; the number is free again */
	SPAWNER_ENDED,	     /* value: as from wait(2); the number is free */
};

typedef void spawner_on_event(uint32_t number, enum spawner_event event,
			      uint32_t value);

/* Forks it: after privileges were dropped, before there is much memory. Its
 * part never returns. 0 or -errno. */
int spawner_start(void);
/* After poller_init(): events come from poller_run(). 0 or -errno. */
int spawner_init(spawner_on_event *on_event);

/* Runs ARGS[0] with arguments and environment, all arrays ended by NULL, its
 * standard output being OUTPUT, which stays the caller's. 0, and then one of
 * FAILED or ENDED comes for NUMBER; or -errno: then nothing does. */
int spawner_run(uint32_t number, char *const *args, char *const *env,
		int output);
/* Kills a script with its group. ENDED comes as for any end. */
void spawner_kill(uint32_t number);

#endif
