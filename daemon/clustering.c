// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cluster and daemon together (see clustering.h). Views do not change who
 * handles which packets: each node handles those that reach it, with the
 * states that all of them share.
 */
#include "clustering.h"

#include <errno.h>
#include <string.h>
#include "cluster/cluster.h"
#include "config/config.h"
#include "control/cluster_api.h"
#include "health/health.h"
#include "util/log.h"
#include "util/urgent.h"

static bool status_of(struct clustering *c, uint64_t entity, struct cluster_state *ret,
		      bool *ret_owned)
{
	struct health_status s;

	if (health_status(c->health, entity, &s) < 0)
		return false;
	*ret_owned = s.owned;
	*ret = (struct cluster_state){
		.entity = entity,
		.observed = s.observed,
		.metrics = s.metrics,
		.unresolved = s.unresolved,
		.has_address = s.by_name && !s.unresolved,
		.address = s.addr,
		.ttl_s = s.ttl_s,
	};
	return true;
}

static void on_probe(void *ctx, uint64_t entity, bool on)
{
	struct clustering *c = ctx;
	int ret = health_set_owned(c->health, entity, on);

	if (ret < 0)
		log_warn("cluster: cannot %s probing %016llx: %s", on ? "begin" : "end",
			 (unsigned long long)entity, strerror(-ret));
}

static bool on_current(void *ctx, uint64_t entity, struct cluster_state *ret)
{
	bool owned;

	return status_of(ctx, entity, ret, &owned);
}

static void on_publish(void *ctx, const struct cluster_state *state)
{
	struct clustering *c = ctx;

	/* Of its own services health knows more than the cluster. */
	if (state->own)
		return;
	/* A state is about the address that came with it. */
	if (state->has_address &&
	    !c->ops.is_at(c->ops.ctx, state->entity, &state->address, state->ttl_s))
		return;
	health_set_remote(c->health, state->entity, (enum health_observed)state->observed,
			  state->reason, &state->metrics);
}

static const struct cluster_ops cluster_ops = {
	.probe = on_probe,
	.current = on_current,
	.publish = on_publish,
};

int clustering_init(struct clustering *c, uv_loop_t *loop, struct health *health,
		    const char *state_dir, struct api *api,
		    const struct clustering_ops *ops)
{
	*c = (struct clustering){
		.ops = *ops, .loop = loop, .health = health, .state_dir = state_dir
	};
	return cluster_api_new(api, &c->cluster, &c->api);
}

void clustering_deinit(struct clustering *c)
{
	cluster_free(c->cluster);
	cluster_api_free(c->api);
	c->cluster = NULL;
	c->api = NULL;
}

/* Alone again: everything is this node's to probe. */
static void leave(struct clustering *c, const struct config *config)
{
	cluster_free(c->cluster);
	c->cluster = NULL;
	for (size_t i = 0; i < config->n_services; i++)
		health_set_owned(c->health, config->services[i].entity, true);
	log_notice("cluster: no longer configured, this node probes all services");
}

int clustering_apply(struct clustering *c, const struct config *config)
{
	const struct cluster_options options = { .state_dir = c->state_dir };
	int ret;

	if (c->cluster && config->cluster.enabled)
		return cluster_apply(c->cluster, config);
	if (c->cluster)
		leave(c, config);
	if (!config->cluster.enabled)
		return 0;
	ret = cluster_new(c->loop, config, &options, &cluster_ops, c, &c->cluster);
	if (ret < 0)
		return ret;
	/* From now on others notice when this process is late. */
	log_info("cluster: scheduling: %s", urgent_begin());
	cluster_api_attach(c->api);
	return 0;
}

int clustering_apply_services(struct clustering *c, const struct config *config)
{
	return c->cluster ? cluster_apply_services(c->cluster, config) : 0;
}

void clustering_again(struct clustering *c, uint64_t entity)
{
	if (c->cluster)
		cluster_publish_again(c->cluster, entity);
}

void clustering_changed(struct clustering *c, uint64_t entity)
{
	struct cluster_state state;
	bool owned;

	if (c->cluster && status_of(c, entity, &state, &owned) && owned)
		cluster_local_state(c->cluster, &state);
}

struct json_object *clustering_show_service(const struct clustering *c, uint64_t entity)
{
	return c->cluster ? cluster_show_service(c->cluster, entity) : NULL;
}
