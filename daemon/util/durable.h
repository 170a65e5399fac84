/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that are there whole or not at all, also after a power failure:
 * written beside the old one, flushed, renamed over it, directory flushed.
 * Blocks for as long as the disk takes: for small files that change rarely.
 */
#ifndef SLUICE_DURABLE_H
#define SLUICE_DURABLE_H

#include <stddef.h>
#include <sys/types.h>

/* Replaces PATH by LEN bytes, mode MODE. When it fails the old file is as it
 * was. 0 or -errno. */
int durable_write(const char *path, mode_t mode, const void *data, size_t len);

/* Reads the whole of PATH into BUF. -EFBIG if it does not fit in SIZE bytes;
 * -errno. On success *ret_len is its length. */
int durable_read(const char *path, void *buf, size_t size, size_t *ret_len);

#endif
