/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds a number in a reply of "key value" lines ("key: value" and "key=value"
 * are read too). Pure.
 */
#ifndef SLUICE_LOAD_REPLY_H
#define SLUICE_LOAD_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line with KEY; fractions are cut off, values are capped at
 * 2^31 - 1. False: no such line, or no number in it. */
bool load_reply_find(const char *data, size_t len, const char *key,
		     uint32_t *ret);

#endif
