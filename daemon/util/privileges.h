/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Giving up what is only needed to start.
 */
#ifndef SLUICE_PRIVILEGES_H
#define SLUICE_PRIVILEGES_H

/* Keeps CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW, of those that the
 * process has, for itself and for what it starts, and sets no_new_privs.
 * CAP_IPC_LOCK is kept as well if locked memory is limited: packet memory of
 * an interface that is added later counts as locked. 0 or -errno. */
int privileges_drop(void);

/* Names of the effective capabilities, for logs; a static buffer. */
const char *privileges_text(void);

#endif
