/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Giving up what is only needed to start.
 */
#ifndef SLUICE_PRIVILEGES_H
#define SLUICE_PRIVILEGES_H

#include <stdbool.h>

/* Keeps CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW, of those that the
 * process has, for itself and for what it starts, and sets no_new_privs.
 * CAP_IPC_LOCK is kept as well if locked memory is limited: packet memory of
 * an interface that is added later counts as locked. WITH_ADMIN keeps
 * CAP_SYS_ADMIN, which opening BPF programs by number takes. 0 or -errno. */
int privileges_drop(bool with_admin);

/* Whether it has CAP_SYS_ADMIN now. */
bool privileges_have_admin(void);

/* Names of the effective capabilities, for logs; a static buffer. */
const char *privileges_text(void);

/* For PR_SET_DUMPABLE: nobody attaches to a process that has given up its
 * privileges, but the leak checker of a sanitized build does, from inside. */
#ifdef __SANITIZE_ADDRESS__
#define PROCESS_DUMPABLE 1
#else
#define PROCESS_DUMPABLE 0
#endif

#endif
