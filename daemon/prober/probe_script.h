/* SPDX-License-Identifier: GPL-2.0-only */
/* What scripts need before the first of them is run (probe_script.c). */
#ifndef SLUICE_PROBE_SCRIPT_H
#define SLUICE_PROBE_SCRIPT_H

/* After poller_init() and spawner_start(). 0 or -errno. */
int probe_script_init(void);

#endif
