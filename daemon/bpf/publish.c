/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See publish.h for the order. Runs on the daemon's loop thread.
 *
 * Stores: readers are XDP on other CPUs and engines in other processes. Single
 * words (SPANs, states, flags) are stored with release order after what they
 * point to; a struct that was never pointed to may be filled in any order.
 */
#include "bpf/publish.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bpf/maglev.h"
#include "bpf/plan.h"
#include "bpf/spans.h"
#include "bpf/vip_list.h"
#include "hash.h"
#include "util/log.h"

#define STORE(to, value) __atomic_store_n(&(to), (value), __ATOMIC_RELEASE)

struct publish {
	struct maps *maps;
	struct ids services, vservers;
	struct spans members, lb;
	struct plan *plan; /* what is published */
	struct plan *next; /* what is prepared */
	struct vip_list vips, next_vips;
	struct publish_addrs next_addrs;
	uint32_t *toeplitz; /* for next */
	size_t flush_at;    /* where the next flush begins */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static struct plan_pools pools_of(struct publish *p)
{
	return (struct plan_pools){ &p->services, &p->vservers, &p->members,
				    &p->lb };
}

/* ---- what a former daemon left ---------------------------------------- */

static int recover_ids(struct publish *p)
{
	const struct vserver *v;
	const struct service *s;
	uint32_t id;
	int err;

	for (id = 1; id < SERVICES_MAX; id++) {
		s = &p->maps->services[id];
		if (!s->entity)
			continue;
		err = ids_recover(&p->services, id,
				  ids_key(s->entity, &s->addr, ntohs(s->port),
					  0));
		if (err == -ENOMEM)
			return err;
		if (err)
			log_warn("map services: entry %u doubles another, ignored",
				 id);
	}
	for (id = 1; id < VSERVERS_MAX; id++) {
		v = &p->maps->vservers[id];
		if (!v->entity)
			continue;
		err = ids_recover(&p->vservers, id,
				  ids_key(v->entity, &v->addr, ntohs(v->port),
					  v->proto));
		if (err == -ENOMEM)
			return err;
		if (err)
			log_warn("map vservers: entry %u doubles another, ignored",
				 id);
	}
	return 0;
}

int publish_new(struct maps *maps, struct publish **ret)
{
	struct publish *p = calloc(1, sizeof(*p));
	struct plan_pools pools;
	int err = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->maps = maps;
	p->toeplitz = calloc(TOEPLITZ_TABLE_LEN, sizeof(*p->toeplitz));
	spans_init(&p->members, MEMBERS_MAX);
	spans_init(&p->lb, LB_ENTRIES_MAX);
	if (!p->toeplitz || ids_init(&p->services, SERVICES_MAX) ||
	    ids_init(&p->vservers, VSERVERS_MAX))
		goto fail;
	err = recover_ids(p);
	if (err)
		goto fail;
	err = vip_list_read(&p->vips, maps->vips);
	if (err)
		goto fail;
	vip_list_normalize(&p->vips);
	pools = pools_of(p);
	err = plan_recover(maps, &pools, &p->plan);
	if (err)
		goto fail;
	*ret = p;
	return 0;
fail:
	publish_free(p);
	return err;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	assert(!p->next);
	plan_free(p->plan);
	vip_list_deinit(&p->vips);
	vip_list_deinit(&p->next_vips);
	ids_deinit(&p->services);
	ids_deinit(&p->vservers);
	spans_deinit(&p->members);
	spans_deinit(&p->lb);
	free(p->toeplitz);
	free(p);
}

/* ---- prepare ----------------------------------------------------------- */

static int list_vips(struct publish *p, const struct config *c,
		     const struct publish_addrs *addrs)
{
	struct vip_list *l = &p->next_vips;
	size_t i;
	int err = 0;

	for (i = 0; i < c->n_vservers && !err; i++) {
		const struct config_vserver *v = &c->vservers[i];

		err = vip_list_add(l, &v->addr, htons(v->port), v->proto,
				   VIP_VSERVER, p->next->vserver_id[i]);
		if (!err)
			err = vip_list_add(l, &v->addr, 0, 0, VIP_ADDR, 0);
	}
	for (i = 0; i < addrs->n_nat && !err; i++)
		err = vip_list_add(l, &addrs->nat[i], 0, 0, VIP_NAT, i);
	for (i = 0; i < c->n_tunnel_addrs && !err; i++)
		err = vip_list_add(l, &c->tunnel_addrs[i], 0, 0, VIP_TUNNEL, 0);
	vip_list_normalize(l);
	return err;
}

int publish_prepare(struct publish *p, const struct config *config,
		    const struct publish_addrs *addrs, struct config_error *e)
{
	struct plan_pools pools = pools_of(p);
	int err;

	assert(!p->next);
	err = plan_new(config, p->plan, &pools, now_ns(), &p->next, e);
	if (err)
		return err;
	err = list_vips(p, config, addrs);
	if (!err)
		err = vip_list_check(&p->next_vips, p->maps->vips);
	if (err) {
		snprintf(e->text, sizeof(e->text),
			 "no room for %zu addresses and ports in map vips: %s",
			 p->next_vips.n, strerror(-err));
		publish_abort(p);
		return err;
	}
	p->next_addrs = *addrs;
	toeplitz_tables_build(config->rss_key, p->toeplitz);
	return 0;
}

void publish_abort(struct publish *p)
{
	struct plan_pools pools = pools_of(p);

	if (!p->next)
		return;
	plan_abort(p->next, &pools);
	p->next = NULL;
	vip_list_deinit(&p->next_vips);
}

/* ---- commit ------------------------------------------------------------ */

static void store_state(struct service *s, enum svc_state state)
{
	if (s->state == state)
		return;
	STORE(s->state, (uint8_t)state);
	s->state_gen++;
}

static void commit_services(struct publish *p, publish_state_of *state_of,
			    void *ctx)
{
	const struct plan *plan = p->next;
	size_t i;

	for (i = 0; i < plan->config->n_services; i++) {
		const struct config_service *c = &plan->config->services[i];
		uint32_t id = plan->service_id[i];
		struct service *s = &p->maps->services[id];
		bool fresh = plan->service_before[i] == IDS_FREE;

		if (fresh) {
			memset(s, 0, sizeof(*s));
			memset(&p->maps->svc_load[id], 0,
			       sizeof(struct svc_load));
			s->addr = c->addr;
			s->port = htons(c->port);
			s->weight_scale = 256;
			memcpy(s->name, c->name, sizeof(s->name));
			/* Only now would a restarted daemon believe it. */
			STORE(s->entity, c->entity);
		}
		STORE(s->conns_max, c->conns_max);
		store_state(s, state_of(ctx, c, fresh, s->state));
	}
}

static void commit_members(struct publish *p, const struct plan_table *t)
{
	const struct config_vserver *v = t->vserver;
	size_t m;

	for (m = 0; m < t->n; m++) {
		struct member *to = &p->maps->members[t->members_off + m];

		to->service = p->next->service_id[v->members[m].service -
						  p->next->config->services];
		to->weight = v->members[m].weight;
	}
}

/* Looks up who is UP and rebuilds the entries of one table. Entries change
 * one by one: each mix of old and new ones is a valid table. */
static void build_table(struct publish *p, struct plan *plan,
			struct plan_table *t)
{
	struct maglev_member *up = calloc(t->n, sizeof(*up));
	uint32_t *slots = calloc(t->size, sizeof(*slots)), i, id;
	size_t n = 0, m;

	t->dirty = false;
	if (!up || !slots) {
		/* The former table stays: XDP skips services that are not UP. */
		log_err("vserver %s: no memory to rebuild its table",
			t->vserver->name);
		goto out;
	}
	for (m = 0; m < t->n; m++) {
		const struct config_member *member = &t->vserver->members[m];

		id = plan->service_id[member->service - plan->config->services];
		if (p->maps->services[id].state != SVC_UP)
			continue;
		up[n].entity = member->service->entity;
		up[n].value = id;
		up[n].weight = (uint32_t)member->weight *
			       p->maps->services[id].weight_scale;
		n += up[n].weight > 0;
	}
	t->up = n;
	if (!n || maglev_build(up, n, slots, t->size))
		goto out;
	for (i = 0; i < t->size; i++) {
		uint32_t *to = maps_lb(p->maps, t->lb_off + i);

		if (*to != slots[i])
			STORE(*to, slots[i]);
	}
out:
	free(up);
	free(slots);
}

static void store_spans(struct publish *p, const struct plan *plan, size_t v)
{
	struct vserver *to = &p->maps->vservers[plan->vserver_id[v]];
	const struct plan_table *t;
	bool enough;

	if (plan->table_of[v] == PLAN_NO_TABLE) {
		STORE(to->lb, 0);
		STORE(to->members, 0);
		return;
	}
	t = &plan->tables[plan->table_of[v]];
	enough = t->up && t->up >= plan->config->vservers[v].members_min;
	STORE(to->lb, SPAN(t->lb_off, enough ? t->size : 0));
	STORE(to->members, SPAN(t->members_off, t->n));
}

static uint8_t flags_of(const struct config_vserver *v)
{
	return (v->enabled ? VS_ENABLED : 0) |
	       (v->persist_s ? VS_PERSIST : 0) |
	       (v->down_flush ? VS_DOWN_FLUSH : 0) |
	       (v->down_reset ? VS_DOWN_RESET : 0);
}

static void commit_vserver(struct publish *p, size_t i)
{
	const struct config_vserver *c = &p->next->config->vservers[i];
	struct vserver *v = &p->maps->vservers[p->next->vserver_id[i]];

	if (p->next->vserver_before[i] == IDS_FREE) {
		memset(v, 0, sizeof(*v));
		v->addr = c->addr;
		v->port = htons(c->port);
		v->proto = c->proto;
		memcpy(v->name, c->name, sizeof(v->name));
	}
	STORE(v->mode, (uint8_t)c->mode);
	STORE(v->setup, (uint8_t)c->setup);
	STORE(v->method, (uint8_t)c->method);
	STORE(v->hash_dst, toeplitz_dst(p->toeplitz, ip_addr_is_v4(&c->addr),
					&c->addr, htons(c->port)));
	STORE(v->backup,
	      c->backup ? p->next->vserver_id[c->backup -
					      p->next->config->vservers] :
			  0);
	STORE(v->syn_s, c->syn_s);
	STORE(v->est_s, c->est_s);
	STORE(v->fin_s, c->fin_s);
	STORE(v->udp_s, c->udp_s);
	STORE(v->persist_s, c->persist_s);
	STORE(v->members_min, c->members_min);
	store_spans(p, p->next, i);
	STORE(v->entity, c->entity);
	STORE(v->flags, flags_of(c));
}

static void commit_conf(struct publish *p)
{
	const struct publish_addrs *a = &p->next_addrs;
	struct dp_conf *conf = p->maps->conf;
	uint32_t i;

	conf->node_id = p->next->config->node_id;
	conf->gue_port = htons(p->next->config->gue_port);
	conf->tunnel_src4 = a->tunnel_src4;
	conf->tunnel_src6 = a->tunnel_src6;
	for (i = 0; i < a->n_nat; i++)
		conf->nat[i] = a->nat[i];
	STORE(conf->nat_count, a->n_nat);
}

/* Numbers that are published and not in the next plan. */
static void retire(struct publish *p)
{
	const struct plan *old = p->plan, *next = p->next;
	uint8_t *keep_s = calloc(1, SERVICES_MAX);
	uint8_t *keep_v = calloc(1, VSERVERS_MAX);
	uint32_t id;
	size_t i;

	if (!keep_s || !keep_v) {
		log_err("no memory to retire removed services: their numbers stay in use");
		goto out;
	}
	for (i = 0; i < next->n_service_ids; i++)
		keep_s[next->service_id[i]] = 1;
	for (i = 0; i < next->n_vserver_ids; i++)
		keep_v[next->vserver_id[i]] = 1;
	for (i = 0; i < old->n_service_ids; i++) {
		if (!keep_s[old->service_id[i]])
			ids_leave(&p->services, old->service_id[i]);
	}
	for (i = 0; i < old->n_vserver_ids; i++) {
		if (!keep_v[old->vserver_id[i]])
			ids_leave(&p->vservers, old->vserver_id[i]);
	}
	/* Also those a former daemon published and this one never did. */
	for (id = 1; id < SERVICES_MAX; id++) {
		if (p->services.state[id] == IDS_LEAVING)
			store_state(&p->maps->services[id], SVC_GOING_OUT);
	}
	for (id = 1; id < VSERVERS_MAX; id++) {
		struct vserver *v = &p->maps->vservers[id];

		if (p->vservers.state[id] != IDS_LEAVING)
			continue;
		STORE(v->flags, 0);
		STORE(v->lb, 0);
		STORE(v->members, 0);
	}
out:
	free(keep_s);
	free(keep_v);
}

void publish_commit(struct publish *p, publish_state_of *state_of, void *ctx)
{
	struct plan_pools pools = pools_of(p);
	struct plan *next = p->next;
	size_t i;

	assert(next);
	commit_services(p, state_of, ctx);
	for (i = 0; i < next->n_tables; i++) {
		if (!next->tables[i].carried)
			commit_members(p, &next->tables[i]);
		build_table(p, next, &next->tables[i]);
	}
	for (i = 0; i < next->config->n_vservers; i++)
		commit_vserver(p, i);
	commit_conf(p);
	vip_list_store(&p->next_vips, &p->vips, p->maps->vips);
	vip_list_deinit(&p->vips);
	p->vips = p->next_vips;
	p->next_vips = (struct vip_list){ 0 };
	retire(p);
	plan_release(p->plan, next, &pools, now_ns());
	plan_free(p->plan);
	p->plan = next;
	p->next = NULL;
	p->flush_at = 0;
	STORE(p->maps->conf->generation, p->maps->conf->generation + 1);
}

/* ---- changes at run time ----------------------------------------------- */

static int find(const struct publish *p, uint64_t entity, uint32_t *ret_index,
		struct service **ret)
{
	uint32_t i;

	if (!u64_map_get(&p->plan->service_at, entity, &i))
		return -ENOENT;
	*ret_index = i;
	*ret = &p->maps->services[p->plan->service_id[i]];
	return 0;
}

static void mark(struct publish *p, uint32_t index)
{
	struct plan *plan = p->plan;
	uint32_t i;

	for (i = plan->use_start[index]; i < plan->use_start[index + 1]; i++) {
		struct plan_table *t = &plan->tables[plan->use[i]];

		plan->n_dirty += !t->dirty;
		t->dirty = true;
	}
}

int publish_service_state(struct publish *p, uint64_t entity,
			  enum svc_state state)
{
	struct service *s;
	uint32_t i;
	int err = find(p, entity, &i, &s);

	if (err || s->state == state)
		return err;
	if ((s->state == SVC_UP) != (state == SVC_UP))
		mark(p, i);
	store_state(s, state);
	return 0;
}

int publish_service_weight(struct publish *p, uint64_t entity, uint16_t scale)
{
	struct service *s;
	uint32_t i;
	int err = find(p, entity, &i, &s);

	if (err)
		return err;
	scale = scale < 1 ? 1 : scale > 256 ? 256 : scale;
	/* The table follows in steps of 1/16: rebuilding moves some sources. */
	if ((s->weight_scale + 15) / 16 != (scale + 15) / 16)
		mark(p, i);
	STORE(s->weight_scale, scale);
	return 0;
}

int publish_service_response(struct publish *p, uint64_t entity,
			     uint32_t response_us)
{
	struct service *s;
	uint32_t i;
	int err = find(p, entity, &i, &s);

	if (!err)
		STORE(s->response_us, response_us);
	return err;
}

int publish_service_load(struct publish *p, uint64_t entity, uint32_t load)
{
	struct service *s;
	uint32_t i;
	int err = find(p, entity, &i, &s);

	if (!err)
		STORE(s->load, load);
	return err;
}

bool publish_flush(struct publish *p, uint64_t budget_ns)
{
	struct plan *plan = p->plan;
	uint64_t end = now_ns() + budget_ns;
	size_t i, n;

	for (n = 0; n < plan->n_tables && plan->n_dirty; n++) {
		struct plan_table *t;

		if (p->flush_at >= plan->n_tables)
			p->flush_at = 0;
		t = &plan->tables[p->flush_at++];
		if (!t->dirty)
			continue;
		build_table(p, plan, t);
		plan->n_dirty--;
		for (i = plan->served_start[t - plan->tables];
		     i < plan->served_start[t - plan->tables + 1]; i++)
			store_spans(p, plan, plan->served[i]);
		if (now_ns() >= end)
			break;
	}
	return plan->n_dirty > 0;
}

uint32_t publish_service_id(const struct publish *p, uint64_t entity)
{
	uint32_t i;

	return u64_map_get(&p->plan->service_at, entity, &i) ?
		       p->plan->service_id[i] :
		       0;
}

bool publish_service_index(const struct publish *p, uint64_t entity,
			   uint32_t *ret)
{
	return u64_map_get(&p->plan->service_at, entity, ret);
}

uint32_t publish_vserver_id(const struct publish *p, uint64_t entity)
{
	uint32_t i;

	return u64_map_get(&p->plan->vserver_at, entity, &i) ?
		       p->plan->vserver_id[i] :
		       0;
}

struct ids *publish_service_ids(struct publish *p)
{
	return &p->services;
}

struct ids *publish_vserver_ids(struct publish *p)
{
	return &p->vservers;
}

void publish_forget_service(struct publish *p, uint32_t id)
{
	ids_free(&p->services, id);
	memset(&p->maps->services[id], 0, sizeof(struct service));
	memset(&p->maps->svc_load[id], 0, sizeof(struct svc_load));
}

void publish_forget_vserver(struct publish *p, uint32_t id)
{
	ids_free(&p->vservers, id);
	memset(&p->maps->vservers[id], 0, sizeof(struct vserver));
}
