/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel can do of what Sluice uses. Each feature is tried
 * out, once in the life of the process; versions are never compared. Without a
 * required one nothing runs; without another, something is lost, and COST says
 * what.
 */
#ifndef SLUICE_FEATURES_H
#define SLUICE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include "config/config.h"

enum feature_id {
	FEATURE_XDP,
	FEATURE_FIB_LOOKUP,
	FEATURE_ADJUST_META,
	FEATURE_COARSE_CLOCK,
	FEATURE_MMAPABLE,
	FEATURE_XSKMAP,
	FEATURE_DEVMAP_HASH,
	FEATURE_PIDFD,
	FEATURE_XSK_RINGS,
	FEATURE_JIT,
	FEATURE_TX_BUDGET,
	FEATURES_N,
};

struct feature {
	const char *name;
	bool required;
	const char *cost; /* of its absence */
	bool present;
};

/* All of them by id; tries them out at the first call, which takes some
 * milliseconds and needs CAP_BPF and CAP_NET_RAW: without these rights
 * features count as missing. Not to be called by two threads at a time. */
const struct feature *features_all(void);

/* 0, or -EOPNOTSUPP with *e naming the first required one that is missing. */
int features_check(struct config_error *e);

#endif
