/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libxdp's dispatcher: several XDP programs on one interface, each sees what
 * the one before it passed. bpf/component.bpf.c is our member of it; what that
 * calls is BPFFS/maps/current, so that an exchange is one store for all
 * interfaces, as it is with a link.
 *
 * Joining and leaving are libxdp's work, which opens programs by number: the
 * kernel wants CAP_SYS_ADMIN for that. The other functions do without.
 * libxdp keeps a directory of pins for each dispatcher, as its protocol.org
 * says: LIBXDP_BPFFS (/sys/fs/bpf)/xdp/dispatch-IFINDEX-PROGRAM.
 */
#ifndef SLUICE_DISPATCHER_H
#define SLUICE_DISPATCHER_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"

/* Whether program PROG_ID, which is on interface IFINDEX, is a dispatcher. */
bool dispatcher_is(uint32_t ifindex, uint32_t prog_id);

/* Our member of that dispatcher: a descriptor that the caller closes, or -1 if
 * there is none, or one of a data plane with another BPFFS. */
int dispatcher_find(const char *bpffs, uint32_t ifindex, uint32_t prog_id);

/* Makes PROG_FD what our members call, on all interfaces. 0 or -errno. */
int dispatcher_set(const char *bpffs, int prog_fd);

/* Adds our member to the dispatcher of interface NAME, or starts one where
 * there is no program. What it calls must have been set. 0, or -errno with *e
 * filled and nothing changed. */
int dispatcher_join(const char *bpffs, const char *name, uint32_t ifindex,
		    bool generic, struct config_error *e);

/* Takes our member out; the last one takes the dispatcher with it. 0, also if
 * there is none of ours, or -errno. */
int dispatcher_leave(const char *bpffs, uint32_t ifindex);

#endif
