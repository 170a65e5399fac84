/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See apply.h for the order. Runs on the loop's thread and blocks it for the
 * time the verifier takes when the program is loaded anew, otherwise for
 * milliseconds.
 */
#include "apply.h"
#include "apply_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "bpf/flow_scan.h"
#include "util/log.h"

/* What was done so far. */
struct steps {
	bool prepared, swapped, tunnels, health, probers, engines;
	uint32_t added; /* slots, as bits */
	struct loader_options old_options;
	uint32_t old_engines;
};

static int check_changes(const struct apply *a, const struct config *next,
			 struct config_error *e)
{
	const struct datapath *dp = a->dp;
	struct loader_options options;
	size_t i;
	int slot;

	loader_options_from(next, &options);
	if (1u << next->flow_sets_log2 != dp->maps.flow_sets) {
		snprintf(e->text, sizeof(e->text),
			 "$.flows.max: the flow table has %u sets, %u flows would need %u: its size is fixed while the data plane runs; to change it, stop sluiced, take the data plane down (sluiced --stop-datapath; flows end) and start again",
			 dp->maps.flow_sets, next->flows_max,
			 1u << next->flow_sets_log2);
		return -EBUSY;
	}
	if (memcmp(options.rss_key, dp->options.rss_key,
		   sizeof(options.rss_key)) &&
	    flow_scan_any(&dp->maps)) {
		snprintf(e->text, sizeof(e->text),
			 "$.rss.key: cannot change while flows exist: they were hashed with the old key");
		return -EBUSY;
	}
	for (i = 0; i < next->n_ifaces; i++) {
		slot = datapath_find(dp, next->ifaces[i].name);
		if (slot < 0 ||
		    dp->iface[slot].attach.wish == next->ifaces[i].attach)
			continue;
		snprintf(e->text, sizeof(e->text),
			 "$.interfaces[%zu].attach: cannot change while the program is attached; remove interface %s first",
			 i, next->ifaces[i].name);
		return -EBUSY;
	}
	return 0;
}

static int prepare(struct apply *a, const struct config *next,
		   struct config_error *e)
{
	struct publish_addrs addrs;
	const struct dp_conf *conf = a->dp->maps.conf;
	int err;

	err = apply_addrs(next, conf,
			  conf->nat_count && flow_scan_any(&a->dp->maps),
			  &addrs, e);
	if (!err)
		err = publish_prepare(a->publish, next, &addrs, e);
	return err;
}

/* An interface that was deleted makes room for one that has its name now. */
static bool is_there(struct apply *a, const char *name)
{
	int slot = datapath_find(a->dp, name);

	if (slot < 0)
		return false;
	if (!attach_is_gone(&a->dp->iface[slot].attach))
		return true;
	engine_supervisor_remove_interface(a->engines, slot);
	datapath_del(a->dp, slot);
	return false;
}

static int add_ifaces(struct apply *a, const struct config *next,
		      struct steps *steps, struct config_error *e)
{
	struct datapath_iface *iface;
	uint32_t slot;
	size_t i;
	int err;

	for (i = 0; i < next->n_ifaces; i++) {
		if (is_there(a, next->ifaces[i].name))
			continue;
		err = datapath_add(a->dp, &next->ifaces[i], &slot, e);
		if (err)
			return err;
		steps->added |= 1u << slot;
		iface = &a->dp->iface[slot];
		err = engine_supervisor_add_interface(a->engines, slot,
						      iface->attach.ifindex,
						      iface->attach.name,
						      iface->queues);
		if (err) {
			snprintf(e->text, sizeof(e->text),
				 "interface %s: no packet sockets for its %u queues: %s",
				 iface->attach.name, iface->queues,
				 strerror(-err));
			return err;
		}
	}
	return 0;
}

static int new_program(struct apply *a, const struct config *next,
		       struct steps *steps, struct config_error *e)
{
	struct loader_options options;
	int err;

	loader_options_from(next, &options);
	if (loader_options_equal(&options, &a->dp->options))
		return datapath_pin(a->dp, e);
	steps->old_options = a->dp->options;
	err = datapath_swap(a->dp, &options, e);
	steps->swapped = !err;
	engine_supervisor_set_key(a->engines, a->dp->options.rss_key);
	return err;
}

/* Sources of the outer headers follow from the interfaces, so these must be
 * there. */
static int set_tunnels(struct apply *a, const struct config *config,
		       struct config_error *e)
{
	const struct dp_conf *conf = a->dp->maps.conf;
	struct publish_addrs addrs;
	int err = apply_addrs(config, conf,
			      conf->nat_count && flow_scan_any(&a->dp->maps),
			      &addrs, e);

	return err ? err : probe_tunnels_apply(a->tunnels, config, &addrs, e);
}

static int new_health(struct apply *a, const struct config *next,
		      struct steps *steps, struct config_error *e)
{
	int err = health_apply(a->health, next);

	if (err) {
		snprintf(e->text, sizeof(e->text),
			 "monitors cannot take over the configuration: %s",
			 strerror(-err));
		return err;
	}
	steps->health = true;
	err = health_set_probers(a->health, next->probers);
	if (err)
		snprintf(e->text, sizeof(e->text),
			 "cannot run %u probers: %s", next->probers,
			 strerror(-err));
	steps->probers = !err;
	return err;
}

static int new_engines(struct apply *a, const struct config *next,
		       struct steps *steps, struct config_error *e)
{
	int err;

	steps->old_engines = engine_supervisor_count(a->engines);
	if (steps->old_engines == next->engines)
		return 0;
	err = engine_supervisor_set_count(a->engines, next->engines);
	if (err)
		snprintf(e->text, sizeof(e->text),
			 "cannot run %u engines: %s", next->engines,
			 strerror(-err));
	steps->engines = !err;
	return err;
}

static void undo(struct apply *a, const struct steps *steps)
{
	struct config_error e;
	uint32_t slot;

	/* At start there is nothing to go back to. */
	if (steps->engines && steps->old_engines)
		engine_supervisor_set_count(a->engines, steps->old_engines);
	if (a->config && steps->probers)
		health_set_probers(a->health, a->config->probers);
	if (a->config && steps->tunnels && set_tunnels(a, a->config, &e))
		log_err("rollback: %s", e.text);
	if (a->config && steps->health && health_apply(a->health, a->config))
		log_err("rollback: monitors keep the refused configuration");
	if (steps->swapped && datapath_swap(a->dp, &steps->old_options, &e))
		log_err("rollback: %s", e.text);
	if (steps->swapped)
		engine_supervisor_set_key(a->engines, a->dp->options.rss_key);
	for (slot = 0; slot < IFACES_MAX; slot++) {
		if (!(steps->added >> slot & 1))
			continue;
		engine_supervisor_remove_interface(a->engines, slot);
		/* What was there before us goes on without us. */
		if (a->dp->iface[slot].attach.adopted) {
			attach_release(&a->dp->iface[slot].attach);
			a->dp->iface[slot].used = false;
		} else {
			datapath_del(a->dp, slot);
		}
	}
	if (steps->prepared)
		publish_abort(a->publish);
}

static enum svc_state state_of(void *ctx, const struct config_service *service,
			       bool fresh, enum svc_state before)
{
	struct apply *a = ctx;
	struct health_status status;

	if (!health_status(a->health, service->entity, &status))
		return status.state;
	return fresh ? SVC_UNKNOWN : before;
}

static void drop_ifaces(struct apply *a, const struct config *next)
{
	uint32_t slot;
	size_t i;

	for (slot = 0; slot < IFACES_MAX; slot++) {
		if (!a->dp->iface[slot].used)
			continue;
		for (i = 0; i < next->n_ifaces; i++) {
			if (!strcmp(next->ifaces[i].name,
				    a->dp->iface[slot].attach.name))
				break;
		}
		if (i < next->n_ifaces)
			continue;
		datapath_del(a->dp, slot);
		engine_supervisor_remove_interface(a->engines, slot);
	}
	datapath_prune(a->dp);
}

void apply_interfaces(struct apply *a)
{
	struct steps steps = { 0 };
	struct config_error e = { "" };

	if (add_ifaces(a, a->config, &steps, &e)) {
		undo(a, &steps);
		log_warn("%s", e.text);
		return;
	}
	/* Routes went with the interface. */
	if (set_tunnels(a, a->config, &e))
		log_warn("%s", e.text);
}

/* Without a cluster every bucket is this node's. */
static void own_all_buckets(const struct apply *a, uint32_t node_id)
{
	struct node_bucket all = { node_id, node_id, node_id, 0 };
	uint32_t i;

	for (i = 0; i < NODE_BUCKETS; i++)
		*maps_node_bucket(&a->dp->maps, i) = all;
}

/* The last of what can fail, and it undoes itself. */
static int new_cluster(struct apply *a, const struct config *next,
		       struct config_error *e)
{
	int err = clustering_apply(a->clustering, next);

	if (err)
		snprintf(e->text, sizeof(e->text),
			 "$.cluster: %s (the log has the details)",
			 strerror(-err));
	return err;
}

int apply_config(struct apply *a, struct config *next, struct config_error *e)
{
	struct steps steps = { 0 };
	int err;

	apply_names_carry(a, next);
	err = check_changes(a, next, e);
	if (!err) {
		err = prepare(a, next, e);
		steps.prepared = !err;
	}
	if (!err)
		err = add_ifaces(a, next, &steps, e);
	if (!err)
		err = new_program(a, next, &steps, e);
	if (!err) {
		/* Also if some of them fail. */
		steps.tunnels = true;
		err = set_tunnels(a, next, e);
	}
	if (!err)
		err = new_health(a, next, &steps, e);
	if (!err)
		err = new_engines(a, next, &steps, e);
	if (!err)
		err = new_cluster(a, next, e);
	if (err) {
		undo(a, &steps);
		log_err("configuration refused, nothing changed: %s", e->text);
		return err;
	}
	/* Also in a cluster: packets are handled where they arrive. */
	own_all_buckets(a, next->node_id);
	publish_commit(a->publish, state_of, a);
	drop_ifaces(a, next);
	config_free(a->config);
	a->config = next;
	a->generation++;
	a->saved = false;
	apply_names_settle(a);
	log_notice("configuration %u in effect: %zu vservers, %zu services, %zu interfaces, %u engines",
		   a->dp->maps.conf->generation, next->n_vservers,
		   next->n_services, next->n_ifaces, next->engines);
	return 0;
}

int apply_moves(struct apply *a)
{
	struct steps steps = { 0 };
	struct config_error e = { "" };
	int err;

	if (!apply_names_exchange(a))
		return 0;
	err = prepare(a, a->config, &e);
	steps.prepared = !err;
	if (!err)
		err = health_apply(a->health, a->config);
	steps.health = !err;
	if (!err)
		err = clustering_apply_services(a->clustering, a->config);
	if (err) {
		apply_names_exchange(a);
		undo(a, &steps);
		log_err("services keep their former addresses for now: %s",
			e.text[0] ? e.text : strerror(-err));
		return err;
	}
	publish_commit(a->publish, state_of, a);
	apply_names_settle(a);
	return 0;
}
