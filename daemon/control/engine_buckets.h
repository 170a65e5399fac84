/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core tier: which engines a bucket of flows prefers (map "core_bkts").
 * Pure arithmetic plus one store per bucket; the daemon's loop is the writer.
 */
#ifndef SLUICE_ENGINE_BUCKETS_H
#define SLUICE_ENGINE_BUCKETS_H

#include <stdint.h>
#include "map_abi.h"

/* The preference list of BUCKET over the engines in the bit set SLOTS: all of
 * them ordered by rendezvous hash of (bucket, slot), so that an engine that
 * comes or goes moves only its own share. */
struct core_bucket engine_buckets_prefs(uint32_t bucket, uint32_t slots);

/* Writes all lists to TABLE (CORE_BUCKETS entries); a list that does not
 * change is not touched. An empty set changes nothing: a list of dead engines
 * is as good as none, and one of them may come back. Returns the number of
 * buckets whose first engine changed. */
uint32_t engine_buckets_write(struct core_bucket *table, uint32_t slots);

#endif
