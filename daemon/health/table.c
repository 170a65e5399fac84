/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is to be probed, as the daemon holds it: monitors, services and
 * bindings under small numbers (id, slot, row) that messages and the status
 * table use. A configuration is built beside the old table first, which may
 * fail; then put in place, which may not.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "health/health_internal.h"
#include "util/log.h"

/* What a new configuration needs before anything is changed. */
struct plan {
	const struct config *config;
	struct health_monitor **monitors; /* per config monitor; new ones */
	uint32_t *ids;			  /* per config monitor */
	struct health_service **services; /* per config service */
};

int health_table_init(struct health *health)
{
	struct health_table *t = &health->table;

	t->monitors = calloc(HEALTH_MONITOR_IDS, sizeof(*t->monitors));
	t->services = calloc(SERVICES_MAX, sizeof(*t->services));
	t->generations = calloc(SERVICES_MAX, sizeof(*t->generations));
	t->free_slots = calloc(SERVICES_MAX, sizeof(*t->free_slots));
	t->free_rows = calloc(BINDINGS_MAX, sizeof(*t->free_rows));
	if (!t->monitors || !t->services || !t->generations ||
	    !t->free_slots || !t->free_rows)
		return -ENOMEM;
	return u64_map_init(&t->by_entity, 64);
}

static void free_monitor(struct health_monitor *monitor)
{
	if (!monitor)
		return;
	probe_wire_free_monitor(&monitor->config);
	free(monitor->wire);
	free(monitor);
}

static void free_service(struct health_service *service)
{
	if (!service)
		return;
	for (uint32_t i = 0; i < service->n_bindings; i++)
		free(service->bindings[i].passive);
	free(service->reason);
	free(service->name_error);
	free(service->domain);
	free(service);
}

void health_table_deinit(struct health *health)
{
	struct health_table *t = &health->table;

	for (uint32_t i = 0; t->services && i < t->n_slots; i++)
		free_service(t->services[i]);
	for (uint32_t i = 0; t->monitors && i < HEALTH_MONITOR_IDS; i++)
		free_monitor(t->monitors[i]);
	free(t->monitors);
	free(t->services);
	free(t->generations);
	free(t->free_slots);
	free(t->free_rows);
	u64_map_deinit(&t->by_entity);
}

struct health_service *health_table_find(const struct health *health, uint64_t entity)
{
	uint32_t slot;

	return entity && u64_map_get(&health->table.by_entity, entity, &slot) ?
		       health->table.services[slot] :
		       NULL;
}

struct health_service *health_table_find_name(const struct health *health,
				       const char *name)
{
	return health_table_find(health, config_entity("service", name));
}

/* ---- building --------------------------------------------------------- */

/* MONITOR as it goes over the wire, and a copy of our own. */
static int build_monitor(const struct config_monitor *monitor,
			 struct health_monitor **ret)
{
	static uint8_t buf[PROBE_WIRE_FRAME_MAX / 2];
	struct cursor c = cursor_on(buf, sizeof(buf));
	struct health_monitor *m;
	int r;

	probe_wire_put_monitor(&c, monitor);
	if (c.error) {
		log_err("monitor %s: its texts are too long for a probe",
			monitor->name);
		return -EMSGSIZE;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->wire_len = c.at;
	m->wire = malloc(c.at);
	c = cursor_on(buf, m->wire_len);
	r = m->wire ? probe_wire_get_monitor(&c, &m->config) : -ENOMEM;
	if (r) {
		free(m->wire);
		free(m);
		return r == -EBADMSG ? -EMSGSIZE : r;
	}
	memcpy(m->wire, buf, m->wire_len);
	*ret = m;
	return 0;
}

static bool same_definition(const struct health_monitor *a,
			    const struct health_monitor *b)
{
	return a->wire_len == b->wire_len &&
	       !memcmp(a->wire, b->wire, a->wire_len);
}

static int plan_monitors(struct health *health, struct plan *plan)
{
	struct health_table *t = &health->table;
	struct u64_map known;
	uint32_t free_id = 0;
	int r = u64_map_init(&known, MONITORS_MAX);

	if (r)
		return r;
	for (uint32_t i = 0; !r && i < HEALTH_MONITOR_IDS; i++)
		if (t->monitors[i])
			r = u64_map_put(&known, t->monitors[i]->config.entity,
					i);
	for (size_t i = 0; !r && i < plan->config->n_monitors; i++) {
		struct health_monitor *m;
		uint32_t id;

		r = build_monitor(&plan->config->monitors[i], &m);
		if (r)
			break;
		if (u64_map_get(&known, m->config.entity, &id) &&
		    same_definition(m, t->monitors[id])) {
			free_monitor(m);
			plan->ids[i] = id;
			continue;
		}
		while (free_id < HEALTH_MONITOR_IDS && t->monitors[free_id])
			free_id++;
		if (free_id == HEALTH_MONITOR_IDS) {
			free_monitor(m);
			r = -ENOSPC;
			break;
		}
		plan->monitors[i] = m;
		plan->ids[i] = free_id++;
	}
	u64_map_deinit(&known);
	return r;
}

/* A former verdict of the monitor at this service. A changed monitor keeps
 * it: what was UP is UP until the new probe disproves it. */
static uint8_t old_verdict(const struct health *health,
			   const struct health_service *old,
			   const struct state_file_entry *restored,
			   uint64_t monitor)
{
	for (uint32_t i = 0; old && i < old->n_bindings; i++)
		if (health->table.monitors[old->bindings[i].monitor]
			    ->config.entity == monitor)
			return old->bindings[i].verdict;
	for (int i = 0; restored && i < restored->n_bindings; i++)
		if (restored->monitors[i] == monitor)
			return restored->verdicts[i];
	return VERDICT_UNKNOWN;
}

static int build_bindings(struct health *health, const struct plan *plan,
			  const struct config_service *config,
			  struct health_service *s,
			  const struct health_service *old,
			  const struct state_file_entry *restored)
{
	for (size_t i = 0; i < config->n_bindings; i++) {
		const struct config_monitor *m = config->bindings[i].monitor;
		struct health_binding *b = &s->bindings[i];

		b->monitor = plan->ids[m - plan->config->monitors];
		b->weight = config->bindings[i].weight < UINT16_MAX ?
				    config->bindings[i].weight :
				    UINT16_MAX;
		b->verdict = old_verdict(health, old, restored, m->entity);
		if (m->type != MONITOR_INLINE)
			continue;
		b->passive = malloc(sizeof(*b->passive));
		if (!b->passive)
			return -ENOMEM;
		passive_init(b->passive);
		b->verdict = b->passive->value;
	}
	return 0;
}

uint64_t health_table_where(const union ip_addr *addr, uint16_t port)
{
	/* FNV-1a; only compared with what this function gave. */
	uint64_t hash = 0xcbf29ce484222325ull;

	for (int i = 0; i < 16; i++)
		hash = (hash ^ addr->b[i]) * 0x100000001b3ull;
	return (hash ^ port) * 0x100000001b3ull;
}

static bool same_place(const struct health_service *service,
		       const struct config_service *config)
{
	return ip_addr_equal(&service->addr, &config->addr) &&
	       service->port == config->port &&
	       service->unresolved == config_unresolved(config);
}

static bool same_domain(const struct health_service *a,
			const struct health_service *b)
{
	if (!a->domain || !b->domain)
		return a->domain == b->domain;
	return a->family == b->family && !strcmp(a->domain, b->domain);
}

static int build_name(struct health_service *s,
		      const struct config_service *config,
		      const struct health_service *former)
{
	if (!config->domain)
		return 0;
	s->domain = strdup(config->domain);
	if (!s->domain)
		return -ENOMEM;
	s->family = config->family;
	s->unresolved = config_unresolved(config);
	s->ttl_s = config->ttl_s;
	if (former && same_domain(s, former)) {
		s->named_s = former->named_s;
		s->name_failures = former->name_failures;
		/* name_error moves over when the plan is carried out */
	}
	if (!s->unresolved || (former && former->unresolved))
		return 0;
	s->reason = strdup("its name is not resolved yet");
	return s->reason ? 0 : -ENOMEM;
}

static int build_service(struct health *health, const struct plan *plan,
			 const struct config_service *config,
			 const struct state_file_entry *restored,
			 struct health_service **ret)
{
	struct health_service *former = health_table_find(health, config->entity);
	struct health_service *old = former, *s;
	enum svc_admin admin = config->enabled ? SVC_ADMIN_ENABLED :
						 SVC_ADMIN_DISABLED;
	enum health_observed observed = HEALTH_UNKNOWN;
	int r;

	if (config->n_bindings > BINDINGS_PER_SERVICE_MAX)
		return -E2BIG;
	s = calloc(1, sizeof(*s) + config->n_bindings * sizeof(s->bindings[0]));
	if (!s)
		return -ENOMEM;
	/* Another address is another service: prove it anew. */
	if (old && !same_place(old, config))
		{
		old = NULL;
		restored = NULL;
	}
	if (restored && restored->where != health_table_where(&config->addr,
						       config->port))
		restored = NULL;
	memcpy(s->name, config->name, sizeof(s->name));
	s->entity = config->entity;
	s->addr = config->addr;
	s->port = config->port;
	s->threshold = config->threshold;
	s->slow_start_ms = config->slow_start_ms;
	s->owned = former ? former->owned : true;
	s->config_enabled = config->enabled;
	s->slow_scale = 256;
	s->since_s = time(NULL);
	s->n_bindings = config->n_bindings;
	if (old) {
		admin = old->fsm.admin;
		observed = old->fsm.observed;
		s->since_s = old->since_s;
		s->changes = old->changes;
		s->graceful = old->graceful;
		s->drain_ms = old->drain_ms;
		s->slow_scale = old->slow_scale;
		s->slow_ms = old->slow_ms;
		s->metrics = old->metrics;
		/* reason moves over when the plan is carried out */
	} else if (restored) {
		observed = restored->observed;
		s->since_s = restored->since_s;
		if (config->enabled)
			admin = restored->admin;
		s->graceful = admin == SVC_ADMIN_DRAINING;
	}
	if (config->n_bindings == 0)
		observed = HEALTH_UP;
	r = build_name(s, config, former);
	if (s->unresolved)
		observed = HEALTH_DOWN;
	if (!r)
		r = build_bindings(health, plan, config, s, old, restored);
	if (r) {
		free_service(s);
		return r;
	}
	svc_fsm_init(&s->fsm, admin, observed);
	*ret = s;
	return 0;
}

static int plan_services(struct health *health, struct plan *plan)
{
	struct u64_map restored;
	int r = u64_map_init(&restored, health->restored.n);

	for (size_t i = 0; !r && i < health->restored.n; i++)
		r = u64_map_put(&restored, health->restored.entries[i].entity,
				i);
	for (size_t i = 0; !r && i < plan->config->n_services; i++) {
		const struct config_service *c = &plan->config->services[i];
		uint32_t index;

		r = build_service(health, plan, c,
				  u64_map_get(&restored, c->entity, &index) ?
					  &health->restored.entries[index] :
					  NULL,
				  &plan->services[i]);
	}
	u64_map_deinit(&restored);
	return r;
}

/* ---- putting in place ------------------------------------------------- */

static void take_rows(struct health *health, struct health_service *s,
		      const struct health_service *old)
{
	struct health_table *t = &health->table;

	for (uint32_t i = 0; i < s->n_bindings; i++) {
		struct health_binding *b = &s->bindings[i];

		if (old && i < old->n_bindings) {
			b->row = old->bindings[i].row;
			continue;
		}
		b->row = t->n_free_rows ? t->free_rows[--t->n_free_rows] :
					  t->n_rows++;
		assert(b->row < BINDINGS_MAX);
		memset(&health->pool.status->row[b->row], 0,
		       sizeof(struct status_row));
	}
	for (uint32_t i = s->n_bindings; old && i < old->n_bindings; i++)
		t->free_rows[t->n_free_rows++] = old->bindings[i].row;
}

static bool same_row(const struct health_service *a,
		     const struct health_service *b)
{
	if (!ip_addr_equal(&a->addr, &b->addr) || a->port != b->port ||
	    a->n_bindings != b->n_bindings || !same_domain(a, b))
		return false;
	for (uint32_t i = 0; i < a->n_bindings; i++)
		if (a->bindings[i].monitor != b->bindings[i].monitor)
			return false;
	return true;
}

static bool same_numbers(const struct health_service *a,
			 const struct health_service *b)
{
	if (a->threshold != b->threshold)
		return false;
	for (uint32_t i = 0; i < a->n_bindings; i++)
		if (a->bindings[i].weight != b->bindings[i].weight)
			return false;
	return true;
}

/* The service takes the place of its former self, or a free one. */
static void place(struct health *health, struct health_service *s)
{
	struct health_table *t = &health->table;
	struct health_service *old = health_table_find(health, s->entity);
	bool changed = true;

	s->fresh = !old;
	s->before = old ? old->fsm.state : SVC_UNKNOWN;
	s->was_enabled = old ? old->config_enabled : s->config_enabled;
	if (old) {
		s->slot = old->slot;
		changed = !same_row(s, old);
		for (uint32_t i = 0; !changed && i < s->n_bindings; i++) {
			/* The window of an inline monitor goes on. */
			struct passive *keep = old->bindings[i].passive;

			old->bindings[i].passive = s->bindings[i].passive;
			s->bindings[i].passive = keep;
		}
	} else {
		s->slot = t->n_free_slots ? t->free_slots[--t->n_free_slots] :
					    t->n_slots++;
		assert(s->slot < SERVICES_MAX);
		t->n_services++;
	}
	take_rows(health, s, old);
	if (changed)
		t->generations[s->slot]++;
	s->generation = t->generations[s->slot];
	if (changed || !same_numbers(s, old))
		pool_row_changed(health, s->slot);
	if (old && !s->reason) {
		s->reason = old->reason;
		old->reason = NULL;
	}
	if (old && s->domain && same_domain(s, old)) {
		s->name_error = old->name_error;
		old->name_error = NULL;
	}
	for (uint32_t i = 0; i < s->n_bindings; i++) {
		t->monitors[s->bindings[i].monitor]->references++;
		t->n_inline += s->bindings[i].passive != NULL;
	}
	for (uint32_t i = 0; old && i < old->n_bindings; i++) {
		t->monitors[old->bindings[i].monitor]->references--;
		t->n_inline -= old->bindings[i].passive != NULL;
	}
	t->services[s->slot] = s;
	free_service(old);
}

static void remove_slot(struct health *health, uint32_t slot)
{
	struct health_table *t = &health->table;
	struct health_service *s = t->services[slot];

	for (uint32_t i = 0; i < s->n_bindings; i++) {
		t->monitors[s->bindings[i].monitor]->references--;
		t->n_inline -= s->bindings[i].passive != NULL;
		t->free_rows[t->n_free_rows++] = s->bindings[i].row;
	}
	t->services[slot] = NULL;
	t->generations[slot]++;
	t->n_services--;
	t->free_slots[t->n_free_slots++] = slot;
	pool_row_changed(health, slot);
	free_service(s);
}

/* Services that CONFIG does not have go first: their slots and rows may be
 * needed. */
static void remove_missing(struct health *health, const struct u64_map *wanted)
{
	struct health_table *t = &health->table;
	uint32_t index;

	for (uint32_t slot = 0; slot < t->n_slots; slot++)
		if (t->services[slot] &&
		    !u64_map_get(wanted, t->services[slot]->entity, &index))
			remove_slot(health, slot);
}

static void drop_monitors(struct health *health, const struct plan *plan)
{
	struct health_table *t = &health->table;
	static bool wanted[HEALTH_MONITOR_IDS];

	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < plan->config->n_monitors; i++)
		wanted[plan->ids[i]] = true;
	for (uint32_t id = 0; id < HEALTH_MONITOR_IDS; id++) {
		if (!t->monitors[id] || wanted[id])
			continue;
		assert(!t->monitors[id]->references);
		free_monitor(t->monitors[id]);
		t->monitors[id] = NULL;
		pool_monitor_changed(health, id);
	}
}

/* Nothing in here fails. WANTED becomes the map by entity. */
static void carry_out(struct health *health, struct plan *plan,
		      struct u64_map *wanted)
{
	struct health_table *t = &health->table;
	struct u64_map swap = t->by_entity;

	for (size_t i = 0; i < plan->config->n_monitors; i++) {
		if (!plan->monitors[i])
			continue;
		t->monitors[plan->ids[i]] = plan->monitors[i];
		plan->monitors[i] = NULL;
		pool_monitor_changed(health, plan->ids[i]);
	}
	remove_missing(health, wanted);
	for (size_t i = 0; i < plan->config->n_services; i++) {
		place(health, plan->services[i]);
		/* The key is there already: cannot fail. */
		u64_map_put(wanted, plan->services[i]->entity,
			    plan->services[i]->slot);
	}
	t->by_entity = *wanted;
	*wanted = swap;
	drop_monitors(health, plan);
}

/* Tells what is new, and follows changes of "enabled". Draining services are
 * left to it: that order was given already. */
static void announce(struct health *health, struct plan *plan)
{
	for (size_t i = 0; i < plan->config->n_services; i++) {
		struct health_service *s = plan->services[i];

		plan->services[i] = NULL;
		health_settle(health, s);
		if (s->config_enabled == s->was_enabled)
			continue;
		if (s->config_enabled)
			health_move(health, s, SVC_ADMIN_ENABLED,
				    s->fsm.observed, NULL);
		else if (s->fsm.admin == SVC_ADMIN_ENABLED)
			health_move(health, s, SVC_ADMIN_DISABLED,
				    s->fsm.observed, NULL);
	}
}

int health_table_apply(struct health *health, const struct config *config)
{
	struct plan plan = { .config = config };
	struct u64_map wanted = { 0 };
	int r;

	if (config->n_services > SERVICES_MAX ||
	    config->n_monitors > MONITORS_MAX)
		return -E2BIG;
	plan.monitors = calloc(config->n_monitors + 1, sizeof(*plan.monitors));
	plan.ids = calloc(config->n_monitors + 1, sizeof(*plan.ids));
	plan.services = calloc(config->n_services + 1, sizeof(*plan.services));
	r = u64_map_init(&wanted, config->n_services + 1);
	if (!r && (!plan.monitors || !plan.ids || !plan.services))
		r = -ENOMEM;
	for (size_t i = 0; !r && i < config->n_services; i++)
		r = u64_map_put(&wanted, config->services[i].entity, i);
	if (!r)
		r = pool_reserve(health, health->table.n_slots +
						 config->n_services);
	if (!r)
		r = plan_monitors(health, &plan);
	if (!r)
		r = plan_services(health, &plan);
	if (!r) {
		carry_out(health, &plan, &wanted);
		announce(health, &plan);
	}
	for (size_t i = 0; plan.monitors && i < config->n_monitors; i++)
		free_monitor(plan.monitors[i]);
	for (size_t i = 0; plan.services && i < config->n_services; i++)
		free_service(plan.services[i]);
	free(plan.monitors);
	free(plan.ids);
	free(plan.services);
	u64_map_deinit(&wanted);
	return r;
}
