// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drives the state machine of this node (see cluster.h). Everything that
 * happens becomes one node_step(), everything it wants is carried out in its
 * order, then what waits for the peers is sent.
 */
#include "cluster/cluster.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cluster/cluster_impl.h"
#include "cluster/cluster_show.h"
#include "health/health.h"
#include "rendezvous.h"
#include "util/log.h"

/* How soon a life that ended for want of a disk is begun again. */
#define RETRY_MS 1000

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- states of services ----------------------------------------------- */

static struct service_state from_health(const struct cluster_state *s)
{
	struct service_state state = {
		.entity = s->entity,
		/* The first three of enum svc_state are those of health. */
		.state = s->observed,
		.reason = s->observed == HEALTH_UNKNOWN ? STATE_REASON_NONE : STATE_REASON_PROBE,
		.flags = s->load_over ? STATE_LOAD_OVER : 0,
		.response_us = s->response_us,
		.load = s->load,
	};

	_Static_assert((int)HEALTH_UP == SVC_UP && (int)HEALTH_DOWN == SVC_DOWN &&
		       (int)HEALTH_UNKNOWN == SVC_UNKNOWN, "same numbers");
	assert(s->observed <= HEALTH_UP);
	if (s->has_address)
		state.addr = s->address;
	return state;
}

/* To be told to the state machine after the present step. */
static void push_pending(struct cluster *c, const struct service_state *state, bool took_over)
{
	if (c->n_pending == c->pending_size) {
		size_t size = c->pending_size ? 2 * c->pending_size : 64;
		struct cluster_pending *p;

		/* A step reports a service a few times at most. */
		p = size <= 8 * SERVICES_MAX ? realloc(c->pending, size * sizeof(*p)) : NULL;
		if (!p) {
			log_err("cluster: no memory to note the state of a service");
			return;
		}
		c->pending = p;
		c->pending_size = size;
	}
	c->pending[c->n_pending].state = *state;
	c->pending[c->n_pending++].took_over = took_over;
}

/* ---- effects ---------------------------------------------------------- */

/* Word for word: the others hear that this node lives, and nothing else. */
static void say_hello_again(void *ctx)
{
	struct cluster *c = ctx;

	if (c->hello_to == 0)
		return;
	nnm_send(c->nnm, c->hello_to, PRIO_HELLO, &c->hello);
	nnm_flush(c->nnm);
}

static void send_message(struct cluster *c, const struct node_effect *e)
{
	if (e->send.message->type == MSG_HELLO) {
		c->hello = *e->send.message;
		c->hello_to = e->send.to;
	}
	nnm_send(c->nnm, e->send.to, e->send.priority, e->send.message);
}

static void persist(struct cluster *c, const struct node_durable *durable)
{
	int ret = cluster_writer_save(c->writer, durable, c->options.hello_ms,
				      say_hello_again, c);

	if (ret < 0) {
		log_err("cluster: %s: %s: out of the cluster until it can be written",
			c->state_file, strerror(-ret));
		c->halted = true;
		c->halted_ms = now_ms();
		return;
	}
	c->durable = *durable;
	c->has_durable = true;
	c->persisted++;
}

static void announce_view(struct cluster *c, const struct view *v)
{
	const struct cluster_view view = { .number = v->number, .members = v->members };

	log_notice("cluster: view %llu, members %#x", (unsigned long long)v->number, v->members);
	if (c->ops->view)
		c->ops->view(c->ctx, &view);
}

static void probe(struct cluster *c, uint64_t entity, bool on)
{
	struct cluster_service *s = cluster_services_find(&c->services, entity);
	struct cluster_state current;
	struct service_state state;

	/* A service that the configuration has just lost. */
	if (!s)
		return;
	s->probing = on;
	c->ops->probe(c->ctx, entity, on);
	if (!on || !c->stepping || !c->ops->current(c->ctx, entity, &current) ||
	    current.observed == HEALTH_UNKNOWN)
		return;
	state = from_health(&current);
	push_pending(c, &state, true);
}

static uint8_t observed_of(uint8_t state)
{
	switch (state) {
	case SVC_UP:
	case SVC_GOING_OUT:
		return HEALTH_UP;
	case SVC_DOWN:
	case SVC_DOWN_GOING_OUT:
		return HEALTH_DOWN;
	default:
		return HEALTH_UNKNOWN;
	}
}

static void publish(struct cluster *c, const struct node_publish *p)
{
	const struct service_state *r = p->record;
	static const union ip_addr none;
	char reason[128];
	struct cluster_state s = {
		.entity = p->entity,
		.observed = observed_of(p->state),
		.reason = reason,
		.response_us = r->response_us,
		.load = r->load,
		.load_over = r->flags & STATE_LOAD_OVER,
		.has_address = !ip_addr_equal(&r->addr, &none),
		.address = r->addr,
		.owner = r->owner,
		.view = r->view,
		.own = p->own,
	};

	if (!cluster_services_find(&c->services, p->entity))
		return;
	snprintf(reason, sizeof(reason), "%s (from %s)",
		 node_state_reason_text((enum state_reason)p->reason),
		 cluster_show_node_name(c, r->owner));
	c->ops->publish(c->ctx, &s);
}

static void trace(struct cluster *c, const struct node_trace *t)
{
	struct json_object *event;

	if (!c->trace || !c->trace->wanted(c->trace_ctx))
		return;
	event = cluster_show_trace(c, t);
	c->trace->event(c->trace_ctx, event);
	json_object_put(event);
}

static void on_effect(void *ctx, const struct node_effect *e)
{
	struct cluster *c = ctx;

	/* What relies on something that could not be kept must not happen. */
	if (c->halted)
		return;
	switch (e->type) {
	case NODE_EFFECT_PERSIST:
		persist(c, e->durable);
		break;
	case NODE_EFFECT_SEND:
		send_message(c, e);
		break;
	case NODE_EFFECT_VIEW:
		announce_view(c, e->view);
		break;
	case NODE_EFFECT_PROBE:
		probe(c, e->probe.entity, e->probe.on);
		break;
	case NODE_EFFECT_PATH_PROBE:
		break;
	case NODE_EFFECT_PUBLISH:
		publish(c, &e->publish);
		break;
	case NODE_EFFECT_TRACE:
		trace(c, &e->trace);
		break;
	}
}

/* ---- events ----------------------------------------------------------- */

static void step(struct cluster *c, struct node_event *event)
{
	const struct node_update update = { .emit = on_effect, .ctx = c };

	assert(!c->stepping);
	if (c->halted)
		return;
	event->now_ms = now_ms();
	c->stepping = true;
	node_step(c->node, event, &update);
	c->stepping = false;
}

/* Nobody in the cluster knows the service's state: what this node remembers
 * is better than nothing. Otherwise what its last owner said goes on. */
static bool is_news(const struct cluster *c, const struct cluster_pending *p)
{
	struct node_service_status status;

	return !p->took_over || (node_service_status(c->node, p->state.entity, &status) == 0 &&
				 status.record.state == SVC_UNKNOWN);
}

/* States that came up while effects were carried out. */
static void drain(struct cluster *c)
{
	/* Each of these steps may add more. */
	for (size_t i = 0; i < c->n_pending; i++) {
		struct cluster_pending p = c->pending[i];
		struct node_event event = { .type = NODE_EVENT_LOCAL, .local = &p.state };

		if (is_news(c, &p))
			step(c, &event);
	}
	c->n_pending = 0;
}

/* A step, and everything that follows from it. */
static void happen(struct cluster *c, struct node_event *event)
{
	step(c, event);
	drain(c);
}

void cluster_local_state(struct cluster *c, const struct cluster_state *s)
{
	const struct cluster_service *service = cluster_services_find(&c->services, s->entity);
	struct service_state state = from_health(s);
	struct node_event event = { .type = NODE_EVENT_LOCAL, .local = &state };

	if (!service || !service->probing)
		return;
	if (c->stepping) {
		push_pending(c, &state, false);
		return;
	}
	happen(c, &event);
	nnm_flush(c->nnm);
}

static void on_message(void *ctx, const struct message *message)
{
	struct node_event event = { .type = NODE_EVENT_MESSAGE, .message = message };

	happen(ctx, &event);
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
		probe(c, s->node.entity, false);
	happen(c, &event);
}

static void del_service(void *ctx, const struct cluster_service *s)
{
	struct node_event event = { .type = NODE_EVENT_SERVICE_DEL, .entity = s->node.entity };

	happen(ctx, &event);
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
	c->n_pending = 0;
	c->lives++;
	for (size_t i = 0; i < c->services.n; i++)
		set_service(c, &c->services.items[i], true);
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
	happen(c, &event);
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

int cluster_apply(struct cluster *c, const struct config *config)
{
	const struct config_cluster *cc = &config->cluster;
	const struct cluster_member *self = &c->members[c->options.id];
	struct cluster_services next, old = c->services;
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
	happen(c, &event);
	c->services = next;
	cluster_services_compare(&old, &c->services, del_service, set_service, c);
	cluster_services_free(&old);
	nnm_flush(c->nnm);
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
		happen(c, &event);
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
	cluster_services_free(&c->services);
	free(c->pending);
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
