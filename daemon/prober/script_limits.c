/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs in the child that is to become a script: setting limits from outside
 * would race with it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "prober/script_limits.h"

static const struct {
	int resource;
	rlim_t value;
} limits[] = {
	{ RLIMIT_CPU, 10 },	       /* seconds; wall time: the time-out */
	{ RLIMIT_AS, 512 << 20 },      /* bytes */
	{ RLIMIT_DATA, 256 << 20 },
	{ RLIMIT_FSIZE, 1 << 20 },
	{ RLIMIT_NOFILE, 64 },
	{ RLIMIT_CORE, 0 },
};

void script_limits_exec(char **argv, char **env)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit = { limits[i].value, limits[i].value };

		if (setrlimit(limits[i].resource, &limit)) {
			printf("limit %d: %s\n", limits[i].resource,
			       strerror(errno));
			goto out;
		}
	}
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpriority(PRIO_PROCESS, 0, 5);
	execve(argv[0], argv, env);
	printf("%s: %s\n", argv[0], strerror(errno));
out:
	fflush(stdout);
	_exit(127);
}
