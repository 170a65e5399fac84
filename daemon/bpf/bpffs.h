/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The directory of pins: DIR/progs/steer, DIR/maps/NAME, DIR/links/IFNAME.
 */
#ifndef SLUICE_BPFFS_H
#define SLUICE_BPFFS_H

#include "config/config.h"

/* Makes DIR and its sub-directories, mounting a BPF file system at the nearest
 * ancestor where one belongs (/sys/fs/bpf, else DIR) if none is there. Locks
 * DIR against other daemons; *ret_lock stays open as long as the lock is held.
 * 0, or -errno with *e filled (-EBUSY: another daemon has it). */
int bpffs_open(const char *dir, int *ret_lock, struct config_error *e);

/* Pins FD at PATH in place of what is there, at once. 0 or -errno. */
int bpffs_pin(int fd, const char *path);

/* Removes all pins and directories below DIR, and DIR. What is attached and
 * referenced elsewhere lives on. 0 or -errno of the first failure. */
int bpffs_remove(const char *dir);

#endif
