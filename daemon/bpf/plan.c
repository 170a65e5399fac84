/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Only arithmetic over the configuration and the allocators; writes no map.
 */
#include "bpf/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bpf/maglev.h"

static uint64_t digest_add(uint64_t digest, uint32_t service, uint32_t weight)
{
	digest ^= (uint64_t)weight << 32 | service;
	digest = (digest ^ digest >> 30) * 0xbf58476d1ce4e5b9ull;
	digest = (digest ^ digest >> 27) * 0x94d049bb133111ebull;
	return digest ^ digest >> 31;
}

static int fail(struct config_error *e, int err, const char *what)
{
	snprintf(e->text, sizeof(e->text), "%s", what);
	return err;
}

static int take_numbers(struct plan *plan, struct plan_pools *pools,
			struct config_error *e)
{
	const struct config *c = plan->config;
	enum ids_state before;
	uint64_t key;
	size_t i;
	int err;

	for (i = 0; i < c->n_services; i++) {
		const struct config_service *s = &c->services[i];

		key = ids_key(s->entity, &s->addr, s->port, 0);
		err = ids_get(pools->services, key, &plan->service_id[i],
			      &before);
		if (err)
			return fail(e, err,
				    "no service number left: numbers of removed services are kept until their flows have ended; retry later");
		plan->service_before[i] = before;
		plan->n_service_ids++;
		err = u64_map_put(&plan->service_at, s->entity, i);
		if (err)
			return fail(e, err, "out of memory");
	}
	for (i = 0; i < c->n_vservers; i++) {
		const struct config_vserver *v = &c->vservers[i];

		key = ids_key(v->entity, &v->addr, v->port, v->proto);
		err = ids_get(pools->vservers, key, &plan->vserver_id[i],
			      &before);
		if (err)
			return fail(e, err,
				    "no vserver number left: numbers of removed vservers are kept until their flows have ended; retry later");
		plan->vserver_before[i] = before;
		plan->n_vserver_ids++;
		err = u64_map_put(&plan->vserver_at, v->entity, i);
		if (err)
			return fail(e, err, "out of memory");
	}
	return 0;
}

/* Number of a service this plan's configuration owns. */
static uint32_t id_of(const struct plan *plan, const struct config_service *s)
{
	return plan->service_id[s - plan->config->services];
}

static uint64_t digest_of(const struct plan *plan,
			  const struct config_vserver *v)
{
	uint64_t digest = 1;
	size_t i;

	for (i = 0; i < v->n_members; i++)
		digest = digest_add(digest, id_of(plan, v->members[i].service),
				    v->members[i].weight);
	return digest ? digest : 1;
}

/* Size of a table of N members, at 100 slots per member, halved SHIFT times,
 * but with a slot for each member if any size has that many. */
static uint32_t size_of(uint32_t n, unsigned int shift)
{
	uint32_t size = maglev_size((n + (1u << shift) - 1) >> shift);

	return size > n ? size : maglev_size(n);
}

/* All tables together may take this much of the map: the rest is for the next
 * configuration while this one is in use. */
#define BUDGET (LB_ENTRIES_MAX / 16 * 7)

/* How often sizes must be halved. It depends on the configuration alone, so
 * every node builds the same tables. */
static unsigned int choose_shift(const struct plan *plan)
{
	unsigned int shift;
	uint64_t sum;
	size_t i;

	for (shift = 0; shift < 7; shift++) {
		sum = 0;
		for (i = 0; i < plan->n_tables; i++)
			sum += size_of(plan->tables[i].n, shift);
		if (sum <= BUDGET)
			break;
	}
	return shift;
}

static int take_ranges(struct plan_table *t, uint32_t size,
		       const struct plan *old, struct plan_pools *pools,
		       uint64_t now)
{
	uint32_t at;
	int err;

	t->size = size;
	if (old && u64_map_get(&old->by_digest, t->digest, &at) &&
	    old->tables[at].size == size && old->tables[at].n == t->n) {
		t->members_off = old->tables[at].members_off;
		t->lb_off = old->tables[at].lb_off;
		t->carried = true;
		return 0;
	}
	err = spans_alloc(pools->members, t->n, now, &t->members_off);
	if (err)
		return err;
	err = spans_alloc(pools->lb, size, now, &t->lb_off);
	if (err)
		spans_free(pools->members, t->members_off, 0);
	t->taken = !err;
	return err;
}

/* One table for each set of members and weights. */
static int list_tables(struct plan *plan)
{
	const struct config *c = plan->config;
	struct plan_table *t;
	uint64_t digest;
	uint32_t at;
	size_t i;

	for (i = 0; i < c->n_vservers; i++) {
		plan->table_of[i] = PLAN_NO_TABLE;
		if (!c->vservers[i].n_members)
			continue;
		digest = digest_of(plan, &c->vservers[i]);
		if (!u64_map_get(&plan->by_digest, digest, &at)) {
			at = plan->n_tables;
			if (u64_map_put(&plan->by_digest, digest, at))
				return -ENOMEM;
			t = &plan->tables[at];
			t->digest = digest;
			t->vserver = &c->vservers[i];
			t->n = c->vservers[i].n_members;
			plan->n_tables++;
		}
		plan->table_of[i] = at;
	}
	return 0;
}

static int take_tables(struct plan *plan, const struct plan *old,
		       struct plan_pools *pools, uint64_t now,
		       struct config_error *e)
{
	unsigned int shift;
	size_t i;
	int err;

	err = list_tables(plan);
	if (err)
		return fail(e, err, "out of memory");
	shift = choose_shift(plan);
	for (i = 0; i < plan->n_tables; i++) {
		struct plan_table *t = &plan->tables[i];

		err = take_ranges(t, size_of(t->n, shift), old, pools, now);
		if (!err)
			continue;
		snprintf(e->text, sizeof(e->text),
			 "vserver %s: no room for its table of %u members (%s): ranges of the last configuration are still in use, try again; else fewer bindings are needed",
			 t->vserver->name, t->n, strerror(-err));
		return err;
	}
	return 0;
}

/* Turns counts per group into the start of each group. */
static void accumulate(uint32_t *start, size_t n)
{
	uint32_t sum = 0, count;
	size_t i;

	for (i = 0; i <= n; i++) {
		count = start[i];
		start[i] = sum;
		sum += count;
	}
}

static int cross_reference(struct plan *plan)
{
	const struct config *c = plan->config;
	uint32_t *fill_use, *fill_served;
	size_t i, m, total = 0, s;
	int err = -ENOMEM;

	for (i = 0; i < plan->n_tables; i++)
		total += plan->tables[i].n;
	plan->use_start = calloc(c->n_services + 1, sizeof(uint32_t));
	plan->use = calloc(total + 1, sizeof(uint32_t));
	plan->served_start = calloc(plan->n_tables + 1, sizeof(uint32_t));
	plan->served = calloc(c->n_vservers + 1, sizeof(uint32_t));
	fill_use = calloc(c->n_services + 1, sizeof(uint32_t));
	fill_served = calloc(plan->n_tables + 1, sizeof(uint32_t));
	if (!plan->use_start || !plan->use || !plan->served_start ||
	    !plan->served || !fill_use || !fill_served)
		goto out;
	for (i = 0; i < plan->n_tables; i++) {
		for (m = 0; m < plan->tables[i].n; m++) {
			s = plan->tables[i].vserver->members[m].service -
			    c->services;
			plan->use_start[s]++;
		}
	}
	accumulate(plan->use_start, c->n_services);
	for (i = 0; i < plan->n_tables; i++) {
		for (m = 0; m < plan->tables[i].n; m++) {
			s = plan->tables[i].vserver->members[m].service -
			    c->services;
			plan->use[plan->use_start[s] + fill_use[s]++] = i;
		}
	}
	for (i = 0; i < c->n_vservers; i++) {
		if (plan->table_of[i] != PLAN_NO_TABLE)
			plan->served_start[plan->table_of[i]]++;
	}
	accumulate(plan->served_start, plan->n_tables);
	for (i = 0; i < c->n_vservers; i++) {
		uint32_t t = plan->table_of[i];

		if (t != PLAN_NO_TABLE)
			plan->served[plan->served_start[t] +
				     fill_served[t]++] = i;
	}
	err = 0;
out:
	free(fill_use);
	free(fill_served);
	return err;
}

static struct plan *alloc(const struct config *config, size_t n_services,
			  size_t n_vservers)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->config = config;
	plan->service_id = calloc(n_services + 1, sizeof(uint32_t));
	plan->vserver_id = calloc(n_vservers + 1, sizeof(uint32_t));
	plan->service_before = calloc(n_services + 1, 1);
	plan->vserver_before = calloc(n_vservers + 1, 1);
	plan->table_of = calloc(n_vservers + 1, sizeof(uint32_t));
	plan->tables = calloc(n_vservers + 1, sizeof(*plan->tables));
	if (!plan->service_id || !plan->vserver_id || !plan->service_before ||
	    !plan->vserver_before || !plan->table_of || !plan->tables ||
	    u64_map_init(&plan->by_digest, n_vservers) ||
	    u64_map_init(&plan->service_at, n_services) ||
	    u64_map_init(&plan->vserver_at, n_vservers)) {
		plan_free(plan);
		return NULL;
	}
	return plan;
}

int plan_new(const struct config *config, const struct plan *old,
	     struct plan_pools *pools, uint64_t now, struct plan **ret,
	     struct config_error *e)
{
	struct plan *plan;
	int err;

	plan = alloc(config, config->n_services, config->n_vservers);
	if (!plan)
		return fail(e, -ENOMEM, "out of memory");
	err = take_numbers(plan, pools, e);
	if (!err)
		err = take_tables(plan, old, pools, now, e);
	if (!err) {
		err = cross_reference(plan);
		if (err)
			fail(e, err, "out of memory");
	}
	if (err) {
		plan_abort(plan, pools);
		return err;
	}
	*ret = plan;
	return 0;
}

int plan_recover(const struct maps *maps, struct plan_pools *pools,
		 struct plan **ret)
{
	struct plan *plan = alloc(NULL, 0, VSERVERS_MAX);
	const struct vserver *v;
	struct plan_table *t;
	uint32_t id, i, off, at;

	if (!plan)
		return -ENOMEM;
	for (id = 1; id < VSERVERS_MAX; id++) {
		v = &maps->vservers[id];
		if (!v->entity || !SPAN_LEN(v->members))
			continue;
		off = SPAN_OFF(v->members);
		t = &plan->tables[plan->n_tables];
		*t = (struct plan_table){ .n = SPAN_LEN(v->members),
					  .members_off = off,
					  .lb_off = SPAN_OFF(v->lb),
					  .size = SPAN_LEN(v->lb) };
		/* An empty table still owns the range it will fill again. */
		if (!t->size)
			t->size = maglev_size(t->n);
		if (spans_reserve(pools->members, off, t->n))
			continue; /* shared with one seen before, or damaged */
		if (spans_reserve(pools->lb, t->lb_off, t->size)) {
			spans_free(pools->members, off, 0);
			continue;
		}
		t->digest = 1;
		for (i = 0; i < t->n; i++)
			t->digest = digest_add(t->digest,
					       maps->members[off + i].service,
					       maps->members[off + i].weight);
		t->digest = t->digest ? t->digest : 1;
		if (!u64_map_get(&plan->by_digest, t->digest, &at) &&
		    u64_map_put(&plan->by_digest, t->digest, plan->n_tables)) {
			plan_free(plan);
			return -ENOMEM;
		}
		plan->n_tables++;
	}
	*ret = plan;
	return 0;
}

static void give_back(struct ids *ids, uint32_t id, uint8_t before)
{
	if (before == IDS_FREE)
		ids_free(ids, id);
	else if (before == IDS_LEAVING)
		ids_leave(ids, id);
}

void plan_abort(struct plan *plan, struct plan_pools *pools)
{
	size_t i;

	for (i = 0; i < plan->n_tables; i++) {
		if (!plan->tables[i].taken)
			continue;
		spans_free(pools->members, plan->tables[i].members_off, 0);
		spans_free(pools->lb, plan->tables[i].lb_off, 0);
	}
	for (i = 0; i < plan->n_service_ids; i++)
		give_back(pools->services, plan->service_id[i],
			  plan->service_before[i]);
	for (i = 0; i < plan->n_vserver_ids; i++)
		give_back(pools->vservers, plan->vserver_id[i],
			  plan->vserver_before[i]);
	plan_free(plan);
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	free(plan->service_id);
	free(plan->vserver_id);
	free(plan->service_before);
	free(plan->vserver_before);
	free(plan->table_of);
	free(plan->tables);
	free(plan->use_start);
	free(plan->use);
	free(plan->served_start);
	free(plan->served);
	u64_map_deinit(&plan->by_digest);
	u64_map_deinit(&plan->service_at);
	u64_map_deinit(&plan->vserver_at);
	free(plan);
}

void plan_release(const struct plan *old, const struct plan *next,
		  struct plan_pools *pools, uint64_t now)
{
	const struct plan_table *t;
	uint32_t at;
	size_t i;

	for (i = 0; i < old->n_tables; i++) {
		t = &old->tables[i];
		if (next && u64_map_get(&next->by_digest, t->digest, &at) &&
		    next->tables[at].carried &&
		    next->tables[at].members_off == t->members_off)
			continue;
		spans_free(pools->members, t->members_off, now);
		spans_free(pools->lb, t->lb_off, now);
	}
}
