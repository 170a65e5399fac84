/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scheduling of a process that others declare dead when it is late: real time
 * at the lowest priority, or a better nice value where that is not allowed.
 * Children start as normal processes. Needs CAP_SYS_NICE.
 */
#ifndef SLUICE_URGENT_H
#define SLUICE_URGENT_H

/* Applies to the calling thread. What was granted, for the log: "real time",
 * "nice -10" or "normal". */
const char *urgent_begin(void);

#endif
