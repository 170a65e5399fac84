/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The whole table of monitors, services and bindings, as every prober holds
 * it. Rows that hash to this prober are scheduled (schedule.c); services that
 * hash to it are consolidated here: results of other probers come in as
 * messages, results of our own directly.
 *
 * Who knows what of a binding:
 *   verdict.value  the runner's own judgement
 *   seen           what the service's consolidator has been told
 *   known          what the daemon holds, and tells every prober
 * A runner repeats its result until known is its verdict, a consolidator its
 * state until the daemon holds it; so messages lost to a dying prober are made
 * good by whoever takes over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/assign.h"
#include "health/consolidate.h"
#include "prober/monitor.h"
#include "prober/probe.h"
#include "prober/prober.h"

/* Makes room for INDEX in an array of pointers. */
static int grow(void ***array, uint32_t *room, uint32_t index)
{
	uint32_t want = *room ? *room : 64;
	void **grown;

	if (index < *room)
		return 0;
	while (want <= index)
		want *= 2;
	grown = realloc(*array, want * sizeof(void *));
	if (!grown)
		return -ENOMEM;
	memset(grown + *room, 0, (want - *room) * sizeof(void *));
	*array = grown;
	*room = want;
	return 0;
}

/* ---- monitors --------------------------------------------------------- */

int table_set_monitor(struct prober *prober, uint32_t id,
		      struct config_monitor *definition)
{
	struct table *table = &prober->table;
	struct monitor *monitor;
	int r;

	if (id >= MONITORS_MAX) {
		probe_wire_free_monitor(definition);
		return -EBADMSG;
	}
	r = monitor_new(definition, &monitor);
	if (r)
		return r;
	r = grow((void ***)&table->monitors, &table->n_monitors, id);
	if (r) {
		monitor_unref(monitor);
		return r;
	}
	monitor_unref(table->monitors[id]);
	table->monitors[id] = monitor;
	return 0;
}

void table_remove_monitor(struct prober *prober, uint32_t id)
{
	struct table *table = &prober->table;

	if (id >= table->n_monitors)
		return;
	monitor_unref(table->monitors[id]);
	table->monitors[id] = NULL;
}

/* ---- consolidation ---------------------------------------------------- */

/* A domain-based service that is not resolved yet has nothing to probe. */
static bool has_place(const struct target *service)
{
	static const union ip_addr none;

	return !service->domain || !ip_addr_equal(&service->addr, &none);
}

static bool daemon_knows(const struct target *service)
{
	if (service->observed != service->known)
		return false;
	for (uint32_t i = 0; i < service->n_bindings; i++)
		if (service->bindings[i].seen != service->bindings[i].known)
			return false;
	return true;
}

void table_consolidate(struct prober *prober, struct target *service,
		       const struct reason_info *why)
{
	uint8_t verdicts[BINDINGS_PER_SERVICE_MAX];
	uint16_t weights[BINDINGS_PER_SERVICE_MAX];

	if (service->consolidator != prober->slot || !service->owned ||
	    !has_place(service))
		return;
	for (uint32_t i = 0; i < service->n_bindings; i++) {
		verdicts[i] = service->bindings[i].seen;
		weights[i] = service->bindings[i].weight;
	}
	service->observed = consolidate(verdicts, weights, service->n_bindings,
					service->threshold, service->known);
	if (!daemon_knows(service))
		control_send_state(prober, service, why);
}

/* ---- services --------------------------------------------------------- */

static struct target *find(struct prober *prober, uint32_t slot,
			    uint32_t generation)
{
	struct table *table = &prober->table;
	struct target *service =
		slot < table->n_services ? table->services[slot] : NULL;

	return service && service->generation == generation ? service : NULL;
}

/* Works out who runs and who consolidates, and starts and stops accordingly. */
static void assign(struct prober *prober, struct target *service)
{
	int consolidator = assign_consolidator(prober->mask, service->entity);

	if (!service->owned)
		consolidator = ASSIGN_NONE;
	if (service->consolidator == prober->slot)
		prober->table.consolidates--;
	service->consolidator = consolidator;
	if (service->consolidator == prober->slot)
		prober->table.consolidates++;
	prober->self->consolidated = prober->table.consolidates;
	if (service->is_dirty && consolidator != prober->slot)
		control_drop_state(prober, service);
	for (uint32_t i = 0; i < service->n_bindings; i++) {
		struct binding *b = &service->bindings[i];
		const struct config_monitor *c = &b->monitor->config;
		bool runs = service->owned && has_place(service) &&
			    c->type != MONITOR_INLINE &&
			    assign_runner(prober->mask, c->entity,
					  assign_share(c, service->entity)) ==
				    prober->slot;

		control_drop_result(prober, b);
		if (runs && !b->runs)
			schedule_add(prober, b);
		else if (!runs && b->runs)
			schedule_remove(prober, b);
		if (b->runs && b->verdict.value != b->known)
			control_send_result(prober, b, NULL);
	}
	if (service->domain)
		names_activate(service->domain, consolidator == prober->slot);
	table_consolidate(prober, service, NULL);
}

static void free_service(struct prober *prober, struct target *service)
{
	if (!service)
		return;
	if (service->is_dirty)
		control_drop_state(prober, service);
	if (service->consolidator == prober->slot)
		prober->table.consolidates--;
	for (uint32_t i = 0; i < service->n_bindings; i++) {
		control_drop_result(prober, &service->bindings[i]);
		schedule_remove(prober, &service->bindings[i]);
		monitor_unref(service->bindings[i].monitor);
		free(service->bindings[i].reason);
	}
	names_free(service->domain);
	free(service->why);
	free(service);
}

/* A row that only differs in what can change in place. */
static bool same_shape(const struct target *service,
		       const struct probe_wire_service *row,
		       struct table *table)
{
	if (service->generation != row->generation ||
	    service->n_bindings != row->n_bindings)
		return false; /* another domain has another generation */
	for (uint32_t i = 0; i < row->n_bindings; i++)
		if (service->bindings[i].monitor !=
			    table->monitors[row->bindings[i].monitor] ||
		    service->bindings[i].row != row->bindings[i].row)
			return false;
	return true;
}

int table_set_service(struct prober *prober,
		      const struct probe_wire_service *row)
{
	struct table *table = &prober->table;
	struct target *service, *old;
	int r = grow((void ***)&table->services, &table->n_services, row->slot);

	if (r)
		return r;
	for (uint32_t i = 0; i < row->n_bindings; i++)
		if (row->bindings[i].monitor >= table->n_monitors ||
		    !table->monitors[row->bindings[i].monitor])
			return -EBADMSG;
	old = table->services[row->slot];
	if (old && same_shape(old, row, table)) {
		old->owned = row->owned;
		old->threshold = row->threshold;
		old->known = row->observed;
		for (uint32_t i = 0; i < row->n_bindings; i++) {
			struct binding *b = &old->bindings[i];

			b->weight = row->bindings[i].weight;
			b->known = row->bindings[i].verdict;
			/* As in table_set_state(). */
			if (old->consolidator != prober->slot)
				b->seen = b->known;
		}
		assign(prober, old);
		return 0;
	}
	service = calloc(1, sizeof(*service) +
				    row->n_bindings * sizeof(struct binding));
	if (!service)
		return -ENOMEM;
	service->slot = row->slot;
	service->generation = row->generation;
	service->entity = row->entity;
	service->addr = row->addr;
	service->port = row->port;
	service->threshold = row->threshold;
	service->owned = row->owned;
	service->known = service->observed = row->observed;
	service->consolidator = ASSIGN_NONE;
	service->n_bindings = row->n_bindings;
	memcpy(service->name, row->name, sizeof(service->name));
	for (uint32_t i = 0; i < row->n_bindings; i++) {
		struct binding *b = &service->bindings[i];

		b->service = service;
		b->monitor = monitor_ref(
			table->monitors[row->bindings[i].monitor]);
		b->row = row->bindings[i].row;
		b->weight = row->bindings[i].weight;
		b->known = b->seen = row->bindings[i].verdict;
		b->dirty_to = ASSIGN_NONE;
		verdict_init(&b->verdict, b->known);
	}
	/* A question that is out, and when the next is due, outlive the row. */
	if (row->family) {
		service->domain = names_new(prober, service, row,
					    old ? old->domain : NULL);
		if (old)
			old->domain = NULL;
		if (!service->domain) {
			free_service(prober, service);
			return -ENOMEM;
		}
	}
	free_service(prober, old);
	table->services[row->slot] = service;
	assign(prober, service);
	return 0;
}

void table_remove_service(struct prober *prober, uint32_t slot)
{
	struct table *table = &prober->table;

	if (slot >= table->n_services)
		return;
	free_service(prober, table->services[slot]);
	table->services[slot] = NULL;
}

void table_set_state(struct prober *prober,
		     const struct probe_wire_state *state)
{
	struct target *service = find(prober, state->slot, state->generation);
	bool consolidates;

	if (!service || service->n_bindings != state->n_bindings)
		return;
	consolidates = service->consolidator == prober->slot;
	service->known = state->observed;
	if (!consolidates)
		service->observed = state->observed;
	for (uint32_t i = 0; i < state->n_bindings; i++) {
		struct binding *b = &service->bindings[i];

		b->known = state->verdicts[i];
		/* What a consolidator has heard from a runner is newer than
		 * what the daemon has heard from it. Inline verdicts come
		 * from the daemon. */
		if (!consolidates || b->monitor->config.type == MONITOR_INLINE)
			b->seen = b->known;
		if (b->known == b->verdict.value) {
			free(b->reason);
			b->reason = NULL;
		}
	}
	if (consolidates)
		table_consolidate(prober, service, &state->reason);
}

void table_set_result(struct prober *prober,
		      const struct probe_wire_result *result)
{
	struct target *service =
		find(prober, result->slot, result->generation);

	if (!service || result->index >= service->n_bindings)
		return;
	service->bindings[result->index].seen = result->verdict;
	table_consolidate(prober, service, &result->reason);
}

void table_set_probers(struct prober *prober, uint64_t mask)
{
	struct table *table = &prober->table;

	prober->mask = mask;
	for (uint32_t i = 0; i < table->n_services; i++)
		if (table->services[i])
			assign(prober, table->services[i]);
}

void table_free(struct prober *prober)
{
	struct table *table = &prober->table;

	for (uint32_t i = 0; i < table->n_services; i++)
		table_remove_service(prober, i);
	for (uint32_t i = 0; i < table->n_monitors; i++)
		table_remove_monitor(prober, i);
	free(table->services);
	free(table->monitors);
}
