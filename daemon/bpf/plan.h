/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A publication in the making, and afterwards the record of what is published:
 * numbers of its vservers and services and their tables.
 *
 * Vservers with the same members and weights share one table: members and
 * look-up entries are stored once.
 */
#ifndef SLUICE_PLAN_H
#define SLUICE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/ids.h"
#include "bpf/maps.h"
#include "bpf/spans.h"
#include "config/config.h"
#include "util/u64_map.h"

#define PLAN_NO_TABLE UINT32_MAX

struct plan_table {
	uint64_t digest; /* of members and weights */
	const struct config_vserver *vserver; /* one that has these members;
						 NULL: found in the maps */
	uint32_t n, members_off;
	uint32_t size, lb_off;
	uint32_t up;	 /* members that took new flows when last built */
	bool carried;	 /* its ranges were in use before */
	bool taken;	 /* its ranges were allocated for it */
	bool dirty;
};

struct plan {
	const struct config *config;
	uint32_t *service_id; /* by index in config */
	uint32_t *vserver_id;
	uint8_t *service_before; /* enum ids_state when prepared */
	uint8_t *vserver_before;
	size_t n_service_ids, n_vserver_ids; /* taken so far */
	uint32_t *table_of; /* by vserver */
	struct plan_table *tables;
	size_t n_tables;
	struct u64_map by_digest;
	struct u64_map service_at, vserver_at; /* entity → index */
	/* Tables of service i: use[use_start[i]] … use[use_start[i+1] - 1]. */
	uint32_t *use_start, *use;
	/* Vservers by table, likewise. */
	uint32_t *served_start, *served;
	size_t n_dirty;
};

struct plan_pools {
	struct ids *services, *vservers;
	struct spans *members, *lb;
};

/* Takes numbers and ranges for CONFIG; tables that OLD has too are carried
 * over. 0, or -errno with everything given back and *e filled. */
int plan_new(const struct config *config, const struct plan *old,
	     struct plan_pools *pools, uint64_t now, struct plan **ret,
	     struct config_error *e);

/* What the maps say, as a plan without configuration, so that a restarted
 * daemon carries tables over. */
int plan_recover(const struct maps *maps, struct plan_pools *pools,
		 struct plan **ret);

/* Gives numbers and ranges back that plan_new() took. */
void plan_abort(struct plan *plan, struct plan_pools *pools);

/* Frees the record only. Accepts NULL. */
void plan_free(struct plan *plan);

/* Ranges of OLD that NEXT has not carried over. */
void plan_release(const struct plan *old, const struct plan *next,
		  struct plan_pools *pools, uint64_t now);

#endif
