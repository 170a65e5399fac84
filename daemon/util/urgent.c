// SPDX-License-Identifier: GPL-2.0-only
/* Scheduling of a process that must not be late (see urgent.h). */
#include "util/urgent.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *urgent_begin(void)
{
	const struct sched_param param = { .sched_priority = 1 };
	const struct sched_param normal = { .sched_priority = 0 };

	/* Its turns are short; what is long (a configuration of 70 000
	 * services) is bounded by the kernel's share for everyone else. */
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) == 0)
		return "real time";
	/* Children must not inherit the better nice value either. */
	if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &normal) == 0 &&
	    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -10) == 0)
		return "nice -10";
	return "normal";
}
