/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Readiness protocol of service managers (sd_notify(3)): one datagram to the
 * socket named by $NOTIFY_SOCKET.
 */
#ifndef SLUICE_NOTIFY_H
#define SLUICE_NOTIFY_H

/* Sends STATE, e.g. "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=…".
 * Returns 0, also when no service manager asked; -errno if it could not be
 * told. */
int notify_send(const char *state);

#endif
