/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health inside the daemon, see health.h: life, and the one place where a
 * service's state changes (health_move()).
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "health/assign.h"
#include "health/health_internal.h"
#include "util/log.h"

uint64_t health_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- transitions ------------------------------------------------------ */

static void set_reason(struct health_service *service, const char *why)
{
	char *copy;

	if (!why || (service->reason && !strcmp(service->reason, why)))
		return;
	copy = strdup(why);
	if (!copy)
		return;
	free(service->reason);
	service->reason = copy;
}

static void tell(struct health *health, const struct health_service *service,
		 enum svc_state before)
{
	struct health_event event = {
		.entity = service->entity,
		.name = service->name,
		.state = service->fsm.state,
		.before = before,
		.observed = service->fsm.observed,
		.reason = service->reason ? service->reason : "",
		.response_us = service->metrics.response_us,
	};

	health->ops.state_changed(health->ctx, &event);
}

void health_tell_weight(struct health *health, const struct health_service *s)
{
	uint32_t percent = s->metrics.weight_percent;
	uint32_t scale = s->slow_scale * (percent ? percent : 100) / 100;

	if (health->ops.weight_scale)
		health->ops.weight_scale(health->ctx, s->entity,
					 scale ? scale : 1);
}

/* Back in service: full weight at once would be a stampede on cold caches. One
 * that comes up with the daemon has its load already. */
static void begin_slow_start(struct health *health,
			     struct health_service *service,
			     enum svc_state before)
{
	if (service->fsm.state != SVC_UP || !service->slow_start_ms ||
	    !health->ops.weight_scale ||
	    (before != SVC_DOWN && before != SVC_OUT_OF_SERVICE))
		return;
	service->slow_scale = 1;
	service->slow_ms = health_now_ms();
	health_tell_weight(health, service);
}

void health_move(struct health *health, struct health_service *service,
		 enum svc_admin admin, enum health_observed observed,
		 const char *why)
{
	enum svc_state before = service->fsm.state;
	enum health_observed saw = service->fsm.observed;
	bool changed = svc_fsm_set(&service->fsm, admin, observed);

	set_reason(service, why);
	if (service->fsm.admin != SVC_ADMIN_DRAINING) {
		service->drain_ms = 0;
		service->graceful = false;
	}
	health->state_dirty = true;
	if (!changed && saw == service->fsm.observed)
		return;
	if (changed) {
		service->since_s = time(NULL);
		service->changes++;
		begin_slow_start(health, service, before);
	}
	log_notice("service %s: %s%s%s: %s", service->name,
		   svc_fsm_state_name(before), changed ? " → " : "",
		   changed ? svc_fsm_state_name(service->fsm.state) :
			     (observed == HEALTH_UP ? ", would be UP" :
						      ", would be DOWN"),
		   service->reason ? service->reason : "no reason given");
	tell(health, service, before);
}

void health_settle(struct health *health, struct health_service *service)
{
	bool moved = service->fsm.state != service->before;

	if (!service->fresh && !moved)
		return;
	if (!service->reason || moved) {
		const char *why = service->fsm.admin == SVC_ADMIN_DISABLED ?
					  "disabled" :
				  service->unresolved ?
					  "its name is not resolved yet" :
				  service->n_bindings == 0 ?
					  "no monitors bound" :
				  service->fsm.observed == HEALTH_UNKNOWN ?
					  "not yet probed" :
				  service->fresh ?
					  "as before the daemon's restart" :
					  "configuration changed";

		set_reason(service, why);
	}
	health->state_dirty = true;
	log_info("service %s: %s: %s", service->name,
		 svc_fsm_state_name(service->fsm.state),
		 service->reason ? service->reason : "");
	tell(health, service, service->before);
}

/* Whose verdict turned, and why: "web-check: connection refused". */
static void explain(const struct health *health,
		    const struct health_service *service,
		    const struct probe_wire_state *state, char *buf,
		    size_t size)
{
	unsigned int passing = 0;
	const char *name = NULL;
	char text[HEALTH_REASON_LEN - NAME_LEN - 4];
	struct reason_info why = state->reason;

	for (uint32_t i = 0; i < service->n_bindings; i++) {
		const struct health_binding *b = &service->bindings[i];

		passing += state->verdicts[i] == VERDICT_PASS;
		if (b->verdict != state->verdicts[i] && !name)
			name = health->table.monitors[b->monitor]->config.name;
	}
	if (state->observed == HEALTH_UP) {
		snprintf(buf, size, "%u of %u monitors pass", passing,
			 service->n_bindings);
		return;
	}
	/* What the daemon found out itself it need not be told. */
	for (uint32_t i = 0; i < service->n_bindings; i++) {
		const struct health_binding *b = &service->bindings[i];

		if (name || !b->passive || b->verdict != VERDICT_FAIL)
			continue;
		name = health->table.monitors[b->monitor]->config.name;
		reason_set(&why, REASON_PASSIVE, b->passive->failures);
	}
	reason_format(&why, text, sizeof(text));
	snprintf(buf, size, "%s%s%s", name ? name : "", name ? ": " : "", text);
}

void health_take_state(struct health *health, int slot,
		       const struct probe_wire_state *state)
{
	struct health_service *s = health->table.services[state->slot];
	char why[HEALTH_REASON_LEN];
	bool changed = false;

	/* Late messages about what a slot held before, and states from a
	 * prober that is not (any more) the consolidator, are void: the one
	 * that is will send its own. */
	if (!s || s->generation != state->generation || !s->owned ||
	    s->n_bindings != state->n_bindings || s->unresolved ||
	    slot != assign_consolidator(health->pool.mask, s->entity))
		return;
	explain(health, s, state, why, sizeof(why));
	for (uint32_t i = 0; i < s->n_bindings; i++) {
		if (s->bindings[i].passive)
			continue;
		changed |= s->bindings[i].verdict != state->verdicts[i];
		s->bindings[i].verdict = state->verdicts[i];
	}
	if (!changed && s->fsm.observed == state->observed)
		return;
	health->state_dirty = true;
	if (s->fsm.observed != state->observed)
		health_move(health, s, s->fsm.admin, state->observed, why);
	else if (state->observed == HEALTH_UP)
		set_reason(s, why);
	pool_state_changed(health, s->slot);
}

void health_take_name(struct health *health, int slot,
		      const struct probe_wire_name *name)
{
	struct health_service *s = health->table.services[name->slot];
	char why[HEALTH_REASON_LEN];
	const char *problem;

	/* As in health_take_state(). */
	if (!s || s->generation != name->generation || !s->owned ||
	    !s->domain || slot != assign_consolidator(health->pool.mask, s->entity))
		return;
	s->name_failures = name->failures;
	free(s->name_error);
	s->name_error = NULL;
	if (!name->resolved) {
		reason_format(&name->reason, why, sizeof(why));
	} else {
		s->named_s = time(NULL);
		problem = health->ops.resolved ?
				  health->ops.resolved(health->ctx, s->entity,
						       &name->addr,
						       name->ttl_s) :
				  NULL;
		if (!problem)
			return;
		snprintf(why, sizeof(why), "its name's address is refused: %s",
			 problem);
	}
	s->name_error = strdup(why);
	if (s->unresolved) {
		set_reason(s, why);
	} else if (name->failures == 1) {
		log_notice("service %s: %s: %s; its last address stays", s->name,
			   s->domain, why);
	}
}

/* ---- orders ----------------------------------------------------------- */

int health_admin(struct health *health, const char *name,
		 enum health_admin admin, uint32_t delay_s)
{
	struct health_service *s = health_table_find_name(health, name);
	char why[64];

	if (!s)
		return -ENOENT;
	switch (admin) {
	case HEALTH_ENABLE:
		health_move(health, s, SVC_ADMIN_ENABLED, s->fsm.observed,
			    "enabled");
		return 0;
	case HEALTH_DISABLE:
		if (delay_s)
			break;
		health_move(health, s, SVC_ADMIN_DISABLED, s->fsm.observed,
			    "disabled");
		return 0;
	case HEALTH_GRACEFUL:
		break;
	default:
		return -EINVAL;
	}
	if (s->fsm.admin == SVC_ADMIN_DISABLED)
		return 0;
	if (delay_s)
		snprintf(why, sizeof(why), "draining, at most %u s", delay_s);
	else
		snprintf(why, sizeof(why), "draining");
	health_move(health, s, SVC_ADMIN_DRAINING, s->fsm.observed, why);
	s->graceful = admin == HEALTH_GRACEFUL;
	s->drain_ms = delay_s ? health_now_ms() + delay_s * 1000ull : 0;
	return 0;
}

int health_set_owned(struct health *health, uint64_t entity, bool owned)
{
	struct health_service *s = health_table_find(health, entity);

	if (!s)
		return -ENOENT;
	if (s->owned == owned)
		return 0;
	s->owned = owned;
	pool_row_changed(health, s->slot);
	return 0;
}

/* Engines of this node choose by them, too. */
static void set_remote_metrics(struct health *health, struct health_service *s,
			       const struct health_metrics *new)
{
	const struct health_metrics old = s->metrics;

	assert(new->weight_percent >= 1 && new->weight_percent <= 100);
	s->metrics = *new;
	if (old.response_us != new->response_us && health->ops.response)
		health->ops.response(health->ctx, s->entity, new->response_us);
	if ((old.load != new->load || old.load_over != new->load_over) &&
	    health->ops.load)
		health->ops.load(health->ctx, s->entity, new->load,
				 new->load_over);
	if (old.weight_percent != new->weight_percent)
		health_tell_weight(health, s);
}

int health_set_remote(struct health *health, uint64_t entity,
		      enum health_observed observed, const char *reason,
		      const struct health_metrics *metrics)
{
	struct health_service *s = health_table_find(health, entity);

	if (!s)
		return -ENOENT;
	if (s->owned || (s->unresolved && observed == HEALTH_UP))
		return -EBUSY;
	set_remote_metrics(health, s, metrics);
	if (s->fsm.observed != observed) {
		/* Its monitors' verdicts are not known here; if this node
		 * takes over, what is DOWN must prove itself again. */
		for (uint32_t i = 0; i < s->n_bindings; i++)
			s->bindings[i].verdict =
				observed == HEALTH_UP	? VERDICT_PASS :
				observed == HEALTH_DOWN ? VERDICT_FAIL :
							  VERDICT_UNKNOWN;
		health_move(health, s, s->fsm.admin, observed, reason);
		/* Whoever takes over probing starts from here. */
		pool_row_changed(health, s->slot);
	} else {
		set_reason(s, reason);
	}
	return 0;
}

/* ---- looking in ------------------------------------------------------- */

int health_status(const struct health *health, uint64_t entity,
		  struct health_status *ret)
{
	const struct health_service *s = health_table_find(health, entity);

	if (!s)
		return -ENOENT;
	*ret = (struct health_status){
		.state = s->fsm.state,
		.observed = s->fsm.observed,
		.admin = s->fsm.admin == SVC_ADMIN_ENABLED  ? HEALTH_ENABLE :
			 s->fsm.admin == SVC_ADMIN_DISABLED ? HEALTH_DISABLE :
							      HEALTH_GRACEFUL,
		.owned = s->owned,
		.by_name = s->domain != NULL,
		.unresolved = s->unresolved,
		.addr = s->addr,
		.ttl_s = s->ttl_s,
		.since_s = s->since_s,
		.metrics = s->metrics,
		.slow_start = s->slow_scale,
		.changes = s->changes,
	};
	snprintf(ret->reason, sizeof(ret->reason), "%s",
		 s->reason ? s->reason : "");
	if (!ret->metrics.weight_percent)
		ret->metrics.weight_percent = 100;
	return 0;
}

const char *health_state_name(enum svc_state state)
{
	return svc_fsm_state_name(state);
}

const char *health_observed_name(enum health_observed observed)
{
	static const char *const names[] = { "UNKNOWN", "DOWN", "UP" };

	return observed <= HEALTH_UP ? names[observed] : "INVALID";
}

const char *health_admin_name(enum health_admin admin)
{
	static const char *const names[] = { "enabled", "disabled",
					     "draining" };

	return admin <= HEALTH_GRACEFUL ? names[admin] : "invalid";
}

/* ---- life ------------------------------------------------------------- */

/* Before each wait: what has changed goes out to the probers. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct health *health = prepare->data;

	for (int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *p = health->pool.probers[i];

		if (p && p->poll_open && !p->wants_write)
			link_flush(p);
	}
}

static void on_tick(uv_timer_t *timer)
{
	ticks_run(timer->data, health_now_ms());
}

static void restore(struct health *health, const char *state_dir)
{
	char path[4096];
	int r;

	if (!state_dir)
		return;
	snprintf(path, sizeof(path), "%s/health", state_dir);
	health->state_path = strdup(path);
	if (!health->state_path)
		return;
	r = state_file_read(path, &health->restored);
	if (r == -EBADMSG)
		log_warn("%s is damaged: services start as UNKNOWN", path);
	else if (r)
		log_warn("%s: %s: services start as UNKNOWN", path,
			 strerror(-r));
}

int health_new(uv_loop_t *loop, const struct health_options *options,
	       const struct health_ops *ops, void *ctx, struct health **ret)
{
	struct health *health = calloc(1, sizeof(*health));
	int r;

	if (!health)
		return -ENOMEM;
	health->loop = loop;
	health->ops = *ops;
	health->ctx = ctx;
	r = health_table_init(health);
	if (!r)
		r = pool_init(health, options->prober_path);
	if (r) {
		health_table_deinit(health);
		free(health);
		return r;
	}
	health->pool.tunnels_fd = options->tunnels_fd;
	restore(health, options->state_dir);
	health->tick_ms = health_now_ms();
	uv_timer_init(loop, &health->tick);
	uv_prepare_init(loop, &health->prepare);
	health->tick.data = health->prepare.data = health;
	uv_timer_start(&health->tick, on_tick, HEALTH_TICK_MS, HEALTH_TICK_MS);
	uv_prepare_start(&health->prepare, on_prepare);
	pool_scale(health, options->probers);
	*ret = health;
	return 0;
}

/* The last handle has closed: nothing refers to it any more. */
static void on_gone(uv_handle_t *handle)
{
	struct health *health = handle->data;
	bool waits = health->state_busy;

	for (int i = 0; i < PROBERS_MAX; i++)
		waits |= health->pool.probers[i] &&
			 health->pool.probers[i]->handles;
	if (waits) {
		/* Processes that end, a file being written: look again. */
		uv_timer_init(health->loop, &health->tick);
		uv_timer_start(&health->tick, health_end, 5, 0);
		return;
	}
	tries_deinit(health);
	pool_deinit(health);
	health_table_deinit(health);
	state_file_free(&health->restored);
	free(health->state_path);
	free(health);
}

void health_end(uv_timer_t *timer)
{
	uv_close((uv_handle_t *)timer, on_gone);
}

void health_free(struct health *health)
{
	if (!health)
		return;
	health->closing = true;
	tries_deinit(health);
	pool_scale(health, 0);
	ticks_deinit(health);
	uv_close((uv_handle_t *)&health->prepare, NULL);
	uv_timer_stop(&health->tick);
	health_end(&health->tick);
}

int health_apply(struct health *health, const struct config *config)
{
	int r = health_table_apply(health, config);

	if (r)
		return r;
	/* Only the first configuration is what the file was about. */
	state_file_free(&health->restored);
	health->applied = true;
	return 0;
}

int health_set_probers(struct health *health, unsigned int n)
{
	if (n > PROBERS_MAX)
		return -EINVAL;
	pool_scale(health, n);
	return 0;
}
