/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contents of the files that the network tests download: a byte sequence
 * without period, computed from the offset, so that a receiver can check each
 * byte and a misplaced, lost or doubled piece never looks right.
 */
#ifndef SLUICE_PATTERN_H
#define SLUICE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the bytes at OFFSET … OFFSET+LEN-1. */
void pattern_fill(uint64_t offset, uint8_t *buf, size_t len);

/* Whether BUF holds just them. */
bool pattern_check(uint64_t offset, const uint8_t *buf, size_t len);

#endif
