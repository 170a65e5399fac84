// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load-balancing methods; see pick.h. Engine thread; tables may change under
 * it at any time: every index from shared memory is checked against the
 * table's length, and a stale answer is a valid one.
 */
#include "engine/pick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lb.h"

/* Slots tried in the look-up table before members are scanned: XDP stops
 * there, too. */
#define STATELESS_TRIES 8
/* Chains of backup vservers followed. */
#define BACKUP_DEPTH 4

struct pick {
	struct pick_tables t;
	uint32_t random;
	uint32_t *turn;	  /* by vserver: next member */
	int64_t *current; /* by member: smooth weighted round robin */
};

struct span {
	uint32_t off, len;
};

static struct span members_of(const struct pick *p, const struct vserver *vs)
{
	uint64_t word = __atomic_load_n(&vs->members, __ATOMIC_ACQUIRE);
	struct span s = { SPAN_OFF(word), SPAN_LEN(word) };

	if (s.off > p->t.members_len || s.len > p->t.members_len - s.off)
		s.len = 0;
	return s;
}

static struct span table_of(const struct pick *p, const struct vserver *vs)
{
	uint64_t word = __atomic_load_n(&vs->lb, __ATOMIC_ACQUIRE);
	struct span s = { SPAN_OFF(word), SPAN_LEN(word) };

	if (s.off > p->t.lb_len || s.len > p->t.lb_len - s.off)
		s.len = 0;
	return s;
}

static uint64_t conns_of(const struct pick *p, uint32_t service)
{
	int64_t n = (int64_t)__atomic_load_n(&p->t.svc_load[service].conns,
					     __ATOMIC_RELAXED);

	return n > 0 ? (uint64_t)n : 0;
}

bool pick_takes(const struct pick *p, uint32_t service)
{
	const struct service *s;

	if (!service || service >= SERVICES_MAX)
		return false;
	s = &p->t.services[service];
	return __atomic_load_n(&s->state, __ATOMIC_RELAXED) == SVC_UP &&
	       (!s->conns_max || conns_of(p, service) < s->conns_max);
}

/* Weight with slow start, in 1/256; at least 1. */
static uint64_t weight_of(const struct pick *p, const struct member *m)
{
	uint32_t share = p->t.services[m->service].weight_scale;

	if (!share || share > 256)
		share = 256;
	return (m->weight ? m->weight : 1) * (uint64_t)share;
}

static uint32_t random_next(struct pick *p)
{
	/* xorshift32 (Marsaglia, 2003) */
	p->random ^= p->random << 13;
	p->random ^= p->random >> 17;
	p->random ^= p->random << 5;
	return p->random;
}

/* ---- look-up table ---- */

uint32_t pick_stateless(const struct pick *p, const struct vserver *vs,
			uint32_t hash)
{
	struct span t = table_of(p, vs);

	if (!t.len)
		return 0;
	for (uint32_t n = 0; n < STATELESS_TRIES; n++) {
		uint32_t id = p->t.lb_table[t.off + lb_slot_try(hash, n, t.len)]
				      .service;

		if (pick_takes(p, id))
			return id;
	}
	return 0;
}

/* ---- round robins ---- */

static uint32_t round_robin(struct pick *p, uint32_t vserver, struct span m)
{
	uint32_t at = p->turn[vserver];

	for (uint32_t n = 0; n < m.len; n++) {
		uint32_t id = p->t.members[m.off + (at + n) % m.len].service;

		if (!pick_takes(p, id))
			continue;
		p->turn[vserver] = (at + n + 1) % m.len;
		return id;
	}
	return 0;
}

/* The table holds each service as often as its weight says; steps of the
 * golden ratio visit it evenly. */
static uint32_t table_robin(struct pick *p, uint32_t vserver,
			    const struct vserver *vs)
{
	struct span t = table_of(p, vs);

	for (uint32_t n = 0; t.len && n < 4 * STATELESS_TRIES; n++) {
		uint32_t turn = p->turn[vserver]++ * 0x9e3779b1u;
		uint32_t slot = (uint32_t)((uint64_t)turn * t.len >> 32);
		uint32_t id = p->t.lb_table[t.off + slot].service;

		if (pick_takes(p, id))
			return id;
	}
	return 0;
}

/* Smooth weighted round robin, as nginx has it: all gain their weight, the
 * richest is chosen and pays the sum. */
static uint32_t weighted_robin(struct pick *p, struct span m)
{
	uint32_t best = UINT32_MAX;
	int64_t sum = 0;

	for (uint32_t i = m.off; i < m.off + m.len; i++) {
		const struct member *member = &p->t.members[i];
		int64_t w;

		if (!pick_takes(p, member->service))
			continue;
		w = (int64_t)weight_of(p, member);
		sum += w;
		p->current[i] += w;
		if (best == UINT32_MAX || p->current[i] > p->current[best])
			best = i;
	}
	if (best == UINT32_MAX)
		return 0;
	p->current[best] -= sum;
	/* A span that moved leaves odd values behind: forget them. */
	if (p->current[best] < -PICK_SCAN_MAX * (65535ll << 8))
		p->current[best] = 0;
	return p->t.members[best].service;
}

/* ---- least something ---- */

/* Smaller is better; scaled by 2^16 so that weights tell. */
static uint64_t score(const struct pick *p, enum lb_method method,
		      const struct member *m)
{
	const struct service *s = &p->t.services[m->service];
	uint64_t weight = weight_of(p, m);
	uint64_t conns = conns_of(p, m->service) + 1;
	uint64_t base;

	if (conns > 1u << 24)
		conns = 1u << 24;
	switch (method) {
	case LB_LEAST_RESPONSE:
		/* Not measured yet: as a fast one, so that it gets measured. */
		base = (s->response_us ? s->response_us : 1) * conns;
		break;
	case LB_LEAST_LOAD:
		/* Load first, connections among equals. */
		return ((uint64_t)s->load << 32) +
		       (conns << 16) / (weight ? weight : 1);
	default:
		base = conns;
		break;
	}
	if (base > 1ull << 40)
		base = 1ull << 40;
	return (base << 16) / weight;
}

static uint32_t least(struct pick *p, enum lb_method method, struct span m)
{
	bool all = m.len <= PICK_SCAN_MAX;
	uint32_t tries = all ? m.len : PICK_SAMPLES, best_id = 0;
	/* Equal ones take turns: start anywhere. */
	uint32_t start = m.len ? random_next(p) % m.len : 0;
	uint64_t best = UINT64_MAX;

	for (uint32_t n = 0; n < tries; n++) {
		uint32_t i = all ? (start + n) % m.len : random_next(p) % m.len;
		const struct member *member = &p->t.members[m.off + i];
		uint64_t value;

		if (!pick_takes(p, member->service))
			continue;
		value = score(p, method, member);
		if (value < best) {
			best = value;
			best_id = member->service;
		}
	}
	return best_id;
}

static uint32_t by_method(struct pick *p, uint32_t id, const struct vserver *vs,
			  uint32_t hash, const union ip_addr *source)
{
	struct span m = members_of(p, vs);
	uint32_t service;

	switch ((enum lb_method)vs->method) {
	case LB_ROUND_ROBIN:
		service = round_robin(p, id, m);
		break;
	case LB_WEIGHTED_ROUND_ROBIN:
		service = m.len <= PICK_SCAN_MAX ? weighted_robin(p, m) :
						   table_robin(p, id, vs);
		break;
	case LB_LEAST_CONNECTIONS:
	case LB_LEAST_RESPONSE:
	case LB_LEAST_LOAD:
		service = least(p, (enum lb_method)vs->method, m);
		break;
	case LB_SOURCE_HASH:
		service = pick_stateless(p, vs, lb_hash_source(source));
		break;
	default:
		service = pick_stateless(p, vs, hash);
		break;
	}
	/* Few of many members take flows: any of them is better than none. */
	return service ? service : round_robin(p, id, m);
}

uint32_t pick_service(struct pick *p, uint32_t vserver, uint32_t hash,
		      const union ip_addr *source, uint32_t *ret_vserver)
{
	for (int depth = 0; depth < BACKUP_DEPTH; depth++) {
		const struct vserver *vs;
		uint32_t service;

		if (!vserver || vserver >= VSERVERS_MAX)
			return 0;
		vs = &p->t.vservers[vserver];
		/* An empty table: none UP, or fewer than members_min. */
		if ((vs->flags & VS_ENABLED) && table_of(p, vs).len) {
			service = by_method(p, vserver, vs, hash, source);
			if (service) {
				*ret_vserver = vserver;
				return service;
			}
		}
		vserver = vs->backup;
	}
	return 0;
}

int pick_new(const struct pick_tables *tables, uint32_t seed,
	     struct pick **ret)
{
	struct pick *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->t = *tables;
	p->random = (seed + 1) * 0x9e3779b1u;
	p->turn = calloc(VSERVERS_MAX, sizeof(*p->turn));
	p->current = calloc(tables->members_len + 1, sizeof(*p->current));
	if (!p->turn || !p->current) {
		pick_free(p);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < VSERVERS_MAX; i++)
		p->turn[i] = seed;
	*ret = p;
	return 0;
}

void pick_free(struct pick *p)
{
	if (!p)
		return;
	free(p->turn);
	free(p->current);
	free(p);
}
