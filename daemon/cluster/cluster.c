// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of the cluster in the daemon (see cluster.h): start, end, lives in
 * between, configurations, orders. What happens in a life goes through
 * cluster_step.c.
 */
#include "cluster/cluster.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cluster/cluster_impl.h"
#include "cluster/cluster_step.h"
#include "rendezvous.h"
#include "util/log.h"

/* How soon a life that ended for want of a disk is begun again. */
#define RETRY_MS 1000

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- events ----------------------------------------------------------- */

void cluster_local_state(struct cluster *c, const struct cluster_state *s)
{
	cluster_step_local(c, s);
}

void cluster_publish_again(struct cluster *c, uint64_t entity)
{
	cluster_step_publish_again(c, entity);
}

static void on_message(void *ctx, const struct message *message)
{
	struct node_event event = { .type = NODE_EVENT_MESSAGE, .message = message };

	cluster_step_event(ctx, &event);
}

/* From the pings, in a tick of their own. */
static void on_path(void *ctx, uint64_t entity, bool reachable)
{
	struct node_event event = {
		.type = NODE_EVENT_PATH,
		.path = { .entity = entity, .reachable = reachable },
	};

	cluster_step_event(ctx, &event);
}

static void on_idle(void *ctx)
{
	struct cluster *c = ctx;

	nnm_flush(c->nnm);
}

/* ---- lives ------------------------------------------------------------ */

static void set_service(void *ctx, const struct cluster_service *s, bool added)
{
	struct cluster *c = ctx;
	struct node_event event = { .type = NODE_EVENT_SERVICE_SET, .service = s->node };

	/* Until it is known to be this node's, somebody else probes it. */
	if (added)
		cluster_step_probe(c, s->node.entity, false);
	cluster_step_event(c, &event);
}

static void del_service(void *ctx, const struct cluster_service *s)
{
	struct cluster *c = ctx;
	struct node_event event = { .type = NODE_EVENT_SERVICE_DEL, .entity = s->node.entity };

	cluster_step_event(c, &event);
	/* It is no longer in the table in which effects look it up. */
	if (s->path_probing)
		path_ping_remove(c->ping, s->path_slot);
}

/* A new state machine that knows what was kept and what is configured. */
static int begin_life(struct cluster *c)
{
	struct node *node;
	int ret;

	c->options.incarnation = nnm_incarnation(c->nnm);
	c->hello_to = 0;
	ret = node_new(&c->options, c->has_durable ? &c->durable : NULL, &node);
	if (ret < 0)
		return ret;
	node_free(c->node);
	c->node = node;
	c->halted = false;
	c->lives++;
	path_ping_clear(c->ping);
	for (size_t i = 0; i < c->services.n; i++) {
		c->services.items[i].path_probing = false;
		c->services.items[i].path_wanted = false;
		set_service(c, &c->services.items[i], true);
	}
	return 0;
}

static void on_reborn(void *ctx, uint32_t incarnation)
{
	struct cluster *c = ctx;
	int ret = begin_life(c);

	if (ret < 0) {
		log_err("cluster: %s", strerror(-ret));
		c->halted = true;
		c->halted_ms = now_ms();
	}
}

static void retry(struct cluster *c)
{
	uint64_t now = now_ms();

	if (now - c->halted_ms < RETRY_MS)
		return;
	c->halted_ms = now;
	if (nnm_begin_life(c->nnm) < 0)
		return;
	on_reborn(c, nnm_incarnation(c->nnm));
	if (!c->halted)
		log_notice("cluster: the disk takes writes again");
}

static void on_tick(uv_timer_t *timer)
{
	struct cluster *c = timer->data;
	struct node_event event = { .type = NODE_EVENT_TICK };

	if (c->halted)
		retry(c);
	cluster_step_event(c, &event);
	if (c->path_missing)
		cluster_step_paths(c);
	if (!c->halted)
		path_ping_tick(c->ping, now_ms());
	nnm_tick(c->nnm);
}

static const struct nnm_ops nnm_ops = {
	.message = on_message,
	.idle = on_idle,
	.reborn = on_reborn,
};

/* ---- configuration ---------------------------------------------------- */

static void copy_members(struct cluster *c, const struct config *config)
{
	const struct config_cluster *cc = &config->cluster;
	struct cluster_member *self = &c->members[config->node_id];

	memset(c->members, 0, sizeof(c->members));
	memcpy(c->id, cc->id, sizeof(c->id));
	self->used = true;
	memcpy(self->name, config->node_name, sizeof(self->name));
	self->addr = cc->addr;
	self->port = cc->port;
	for (size_t i = 0; i < cc->n_peers; i++) {
		struct cluster_member *m = &c->members[cc->peers[i].id];

		m->used = true;
		memcpy(m->name, cc->peers[i].name, sizeof(m->name));
		m->addr = cc->peers[i].addr;
		m->port = cc->peers[i].port;
	}
}

static uint32_t configured_set(const struct config *config)
{
	uint32_t set = 1u << config->node_id;

	for (size_t i = 0; i < config->cluster.n_peers; i++)
		set |= 1u << config->cluster.peers[i].id;
	return set;
}

static int set_peers(struct cluster *c, const struct config *config)
{
	struct nnm_peer peers[NODES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < config->cluster.n_peers; i++) {
		const struct config_peer *p = &config->cluster.peers[i];

		assert(p->id < NODES_MAX && p->id != config->node_id && n < NODES_MAX);
		peers[n++] = (struct nnm_peer){ (uint8_t)p->id, p->addr, p->port };
	}
	return nnm_set_peers(c->nnm, peers, n);
}

static bool times_differ(const struct cluster *c, const struct config_cluster *cc)
{
	return c->options.hello_ms != cc->hello_ms || c->options.dead_missed != cc->dead_missed ||
	       c->options.observers != cc->observers ||
	       c->options.quorum_none != !cc->quorum_majority;
}

static void set_services(struct cluster *c, struct cluster_services *next)
{
	struct cluster_services old = c->services;

	c->services = *next;
	cluster_services_compare(&old, &c->services, del_service, set_service, c);
	for (size_t i = 0; i < c->services.n; i++)
		if (c->services.items[i].path_probing)
			path_ping_move(c->ping, c->services.items[i].path_slot,
				       &c->services.items[i].addr);
	cluster_services_free(&old);
	nnm_flush(c->nnm);
}

int cluster_apply_services(struct cluster *c, const struct config *config)
{
	struct cluster_services next;
	int ret;

	assert(!c->stepping);
	assert(config->cluster.enabled);
	ret = cluster_services_make(config, &next);
	if (ret == 0)
		set_services(c, &next);
	return ret;
}

int cluster_apply(struct cluster *c, const struct config *config)
{
	const struct config_cluster *cc = &config->cluster;
	const struct cluster_member *self = &c->members[c->options.id];
	struct cluster_services next;
	struct node_event event = { .type = NODE_EVENT_CONFIGURED };
	int ret;

	assert(!c->stepping && cc->enabled);
	if (config->node_id != c->options.id || !ip_addr_equal(&cc->addr, &self->addr) ||
	    cc->port != self->port) {
		log_err("cluster: node id and address cannot change while the daemon runs");
		return -EINVAL;
	}
	ret = cluster_services_make(config, &next);
	if (ret < 0)
		return ret;
	ret = nnm_set_keys(c->nnm, cc->key_file);
	if (ret == 0)
		ret = set_peers(c, config);
	if (ret < 0) {
		cluster_services_free(&next);
		return ret;
	}
	if (times_differ(c, cc))
		log_warn("cluster: times, observers and quorum take effect at the next start");
	copy_members(c, config);
	c->options.configured = event.configured = configured_set(config);
	cluster_step_event(c, &event);
	set_services(c, &next);
	/* Health may have forgotten one, e.g. because its port changed, and the
	 * cluster speaks of changes only. */
	for (size_t i = 0; i < c->services.n; i++)
		cluster_step_publish_again(c, c->services.items[i].node.entity);
	return 0;
}

int cluster_command(struct cluster *c, const char *command)
{
	static const struct {
		const char *word;
		enum node_admin admin;
	} words[] = {
		{ "join", ADMIN_ACTIVE },   { "active", ADMIN_ACTIVE },
		{ "leave", ADMIN_LEAVING }, { "passive", ADMIN_PASSIVE },
		{ "spare", ADMIN_SPARE },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct node_event event = { .type = NODE_EVENT_ADMIN, .admin = words[i].admin };

		if (strcmp(words[i].word, command) != 0)
			continue;
		if (c->halted)
			return -EIO;
		log_notice("cluster: operator orders: %s", command);
		cluster_step_event(c, &event);
		nnm_flush(c->nnm);
		return c->halted ? -EIO : 0;
	}
	return -EINVAL;
}

uint32_t cluster_bucket_owner(const struct cluster *c, uint32_t bucket)
{
	uint32_t members = node_view(c->node)->members;
	int owner = rendezvous_first(RENDEZVOUS_BUCKET(bucket), members);

	assert(bucket < NODE_BUCKETS);
	return owner < 0 ? c->options.id : (uint32_t)owner;
}

void cluster_set_trace(struct cluster *c, const struct cluster_trace *trace_to, void *ctx)
{
	assert(c);
	c->trace = trace_to;
	c->trace_ctx = ctx;
}

/* ---- start and end ---------------------------------------------------- */

static int load_state(struct cluster *c)
{
	struct cluster_store store;
	int ret = cluster_store_open(c->state_file, &store, &c->durable);

	if (ret == 0) {
		c->has_durable = store.generation != 0;
		ret = cluster_writer_new(&store, &c->writer);
		if (ret < 0)
			cluster_store_close(&store);
		return ret;
	}
	if (ret == -EBADMSG)
		log_err("cluster: %s is damaged: what this node promised is lost. If all other nodes agree on their view (cluster show), remove the file and start again",
			c->state_file);
	else if (ret < 0)
		log_err("cluster: %s: %s", c->state_file, strerror(-ret));
	return ret;
}

static int make_paths(struct cluster *c, const char *state_dir)
{
	char *dir = NULL;
	int ret = 0;

	if (asprintf(&dir, "%s/cluster", state_dir) < 0)
		return -ENOMEM;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		ret = -errno;
		log_err("cluster: %s: %s", dir, strerror(errno));
	}
	if (asprintf(&c->state_file, "%s/state", dir) < 0)
		c->state_file = NULL;
	if (asprintf(&c->epoch_file, "%s/epoch", dir) < 0)
		c->epoch_file = NULL;
	free(dir);
	if (!c->state_file || !c->epoch_file)
		return -ENOMEM;
	return ret;
}

static void destroy(struct cluster *c)
{
	node_free(c->node);
	cluster_writer_free(c->writer);
	path_ping_free(c->ping);
	cluster_services_free(&c->services);
	free(c->state_file);
	free(c->epoch_file);
	free(c);
}

static void on_closed(uv_handle_t *handle)
{
	destroy(handle->data);
}

static int start(struct cluster *c, const struct config *config)
{
	const struct config_cluster *cc = &config->cluster;
	const struct nnm_options nnm_options = {
		.self = (uint8_t)config->node_id,
		.addr = cc->addr,
		.port = cc->port,
		.key_file = cc->key_file,
		.epoch_file = c->epoch_file,
	};
	int ret;

	ret = load_state(c);
	if (ret < 0)
		return ret;
	ret = cluster_services_make(config, &c->services);
	if (ret < 0)
		return ret;
	ret = path_ping_new(on_path, c, &c->ping);
	if (ret < 0)
		return ret;
	ret = nnm_new(c->loop, &nnm_options, &nnm_ops, c, &c->nnm);
	if (ret < 0)
		return ret;
	ret = set_peers(c, config);
	if (ret == 0)
		ret = begin_life(c);
	if (ret < 0)
		nnm_free(c->nnm);
	return ret;
}

int cluster_new(uv_loop_t *loop, const struct config *config,
		const struct cluster_options *options,
		const struct cluster_ops *ops, void *ctx, struct cluster **ret)
{
	const struct config_cluster *cc = &config->cluster;
	struct cluster *c;
	int err;

	assert(cc->enabled && config->node_id < NODES_MAX);
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->ops = ops;
	c->ctx = ctx;
	c->options = (struct node_options){
		.id = config->node_id,
		.configured = configured_set(config),
		.quorum_none = !cc->quorum_majority,
		.hello_ms = cc->hello_ms,
		.dead_missed = cc->dead_missed,
		.observers = cc->observers,
	};
	copy_members(c, config);
	err = make_paths(c, options->state_dir);
	if (err == 0)
		err = start(c, config);
	if (err < 0) {
		destroy(c);
		return err;
	}
	/* Cannot fail on an initialised loop. */
	uv_timer_init(loop, &c->tick);
	c->tick.data = c;
	uv_timer_start(&c->tick, on_tick, NODE_TICK_MS, NODE_TICK_MS);
	*ret = c;
	return 0;
}

void cluster_free(struct cluster *c)
{
	if (!c)
		return;
	nnm_free(c->nnm);
	uv_timer_stop(&c->tick);
	uv_close((uv_handle_t *)&c->tick, on_closed);
}
