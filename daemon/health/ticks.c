/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens by time: draining that is over, slow starts that go on, inline
 * monitors, response times and loads, and the state file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "health/health_internal.h"
#include "util/durable.h"
#include "util/log.h"

/* States settle in bursts; a file is written for the burst. */
#define STATE_WRITE_MS 300
#define SAMPLE_MS 1000

static void drain(struct health *health, struct health_service *s,
		  uint64_t now_ms)
{
	int64_t left = -1;

	if (s->drain_ms && now_ms >= s->drain_ms) {
		health_move(health, s, SVC_ADMIN_DISABLED, s->fsm.observed,
			    "disabled: the delay is over");
		return;
	}
	if (!s->graceful)
		return;
	if (health->ops.connections)
		left = health->ops.connections(health->ctx, s->entity);
	if (left == 0 || (left < 0 && !s->drain_ms))
		health_move(health, s, SVC_ADMIN_DISABLED, s->fsm.observed,
			    left ? "disabled: its flows are not known" :
				   "disabled: the last flow has ended");
}

static void slow_start(struct health *health, struct health_service *s,
		       uint64_t now_ms)
{
	uint64_t elapsed = now_ms - s->slow_ms, scale = 256;

	if (s->fsm.state == SVC_UP && elapsed < s->slow_start_ms)
		scale = elapsed * 256 / s->slow_start_ms;
	if (scale < 1)
		scale = 1;
	if (scale == s->slow_scale)
		return;
	s->slow_scale = scale;
	health_tell_weight(health, s);
}

/* ---- inline monitors -------------------------------------------------- */

static void look(struct health *health, struct health_service *s,
		 struct health_binding *b, uint64_t now_ms)
{
	const struct config_monitor *m =
		&health->table.monitors[b->monitor]->config;
	struct health_passive counts = { 0 };

	/* Often enough for the window, seldom enough for the loop. */
	b->passive_ms = now_ms + (m->inline_window_ms < 8 * HEALTH_TICK_MS ?
					  HEALTH_TICK_MS :
				  m->inline_window_ms > 8000 ?
					  1000 :
					  m->inline_window_ms / 8);
	if (!health->ops.passive ||
	    !health->ops.passive(health->ctx, s->entity, &counts))
		return;
	if (!passive_step(b->passive, m, &counts, now_ms))
		return;
	b->verdict = b->passive->value;
	health->pool.status->row[b->row].reason =
		b->verdict == VERDICT_FAIL ? REASON_PASSIVE : REASON_TRIAL;
	health->pool.status->row[b->row].detail = b->passive->failures;
	health->state_dirty = true;
	/* Probers hold all verdicts; the consolidator draws the conclusion. */
	pool_state_changed(health, s->slot);
}

static void look_all(struct health *health, struct health_service *s,
		     uint64_t now_ms)
{
	for (uint32_t i = 0; i < s->n_bindings; i++)
		if (s->bindings[i].passive && s->owned &&
		    now_ms >= s->bindings[i].passive_ms)
			look(health, s, &s->bindings[i], now_ms);
}

/* ---- measured values -------------------------------------------------- */

/* Mean over its monitors that pass, as the probers have measured it. */
static uint32_t response_of(const struct health *health,
			    const struct health_service *s)
{
	uint64_t sum = 0, n = 0;

	for (uint32_t i = 0; i < s->n_bindings; i++) {
		const struct status_row *row =
			&health->pool.status->row[s->bindings[i].row];

		if (s->bindings[i].verdict != VERDICT_PASS || !row->mean_us)
			continue;
		sum += row->mean_us;
		n++;
	}
	return n ? sum / n : 0;
}

static void sample_loads(struct health *health, struct health_service *s)
{
	struct health_metrics *m = &s->metrics;
	uint32_t percent = 100;
	bool known = true;

	for (uint32_t i = 0; i < s->n_bindings; i++) {
		const struct health_binding *b = &s->bindings[i];
		const struct status_row *row =
			&health->pool.status->row[b->row];
		const struct config_monitor *c =
			&health->table.monitors[b->monitor]->config;
		/* Read once: a prober may write anything, at any time. */
		uint32_t wants = *(volatile const uint32_t *)&row->weight_percent;
		uint32_t load;
		bool over;

		if (c->type != MONITOR_LOAD)
			continue;
		/* The most modest of several. */
		if (wants && wants < percent)
			percent = wants;
		else if (!wants && c->weight_metric)
			known = false;
		load = row->load;
		over = load & STATUS_LOAD_OVER;
		load &= ~STATUS_LOAD_OVER;
		if (load == m->load && over == m->load_over)
			continue;
		m->load = load;
		m->load_over = over;
		if (health->ops.load)
			health->ops.load(health->ctx, s->entity, load, over);
	}
	if (!known || percent == m->weight_percent)
		return;
	m->weight_percent = percent;
	health_tell_weight(health, s);
}

static void sample(struct health *health, struct health_service *s)
{
	struct health_metrics *m = &s->metrics;
	uint32_t us = response_of(health, s);
	uint32_t off = us > m->response_us ? us - m->response_us :
					     m->response_us - us;

	/* 5 %: what is not worth telling engines and other nodes. */
	if (us && off && (uint64_t)off * 20 >= m->response_us) {
		m->response_us = us;
		if (health->ops.response)
			health->ops.response(health->ctx, s->entity, us);
	}
	sample_loads(health, s);
}

/* ---- the state file --------------------------------------------------- */

struct save {
	uv_work_t work;
	struct health *health;
	char *text;
	size_t len;
	int r;
};

static void on_save(uv_work_t *work)
{
	struct save *save = work->data;

	save->r = durable_write(save->health->state_path, 0640, save->text,
				save->len);
}

static void on_saved(uv_work_t *work, int status)
{
	struct save *save = work->data;

	(void)status;
	if (save->r)
		log_warn("%s: %s: states would not survive a restart",
			 save->health->state_path, strerror(-save->r));
	save->health->state_busy = false;
	free(save->text);
	free(save);
}

static char *format_states(struct health *health, size_t *ret_len)
{
	struct health_table *t = &health->table;
	struct state_file_entry *entries =
		calloc(t->n_services + 1, sizeof(*entries));
	size_t n = 0;
	char *text;

	if (!entries)
		return NULL;
	for (uint32_t slot = 0; slot < t->n_slots; slot++) {
		const struct health_service *s = t->services[slot];
		struct state_file_entry *e = &entries[n];

		if (!s)
			continue;
		e->entity = s->entity;
		e->where = health_table_where(&s->addr, s->port);
		e->since_s = s->since_s;
		e->admin = s->fsm.admin;
		e->observed = s->fsm.observed;
		e->n_bindings = s->n_bindings;
		for (uint32_t i = 0; i < s->n_bindings; i++) {
			e->verdicts[i] = s->bindings[i].verdict;
			e->monitors[i] = t->monitors[s->bindings[i].monitor]
						 ->config.entity;
		}
		n++;
	}
	text = state_file_format(entries, n, ret_len);
	free(entries);
	return text;
}

/* Formatted here, written by a thread: the disk may take its time. */
static void save_states(struct health *health, uint64_t now_ms)
{
	struct save *save;

	if (!health->state_path || !health->applied || !health->state_dirty ||
	    health->state_busy || now_ms - health->state_ms < STATE_WRITE_MS)
		return;
	save = calloc(1, sizeof(*save));
	if (!save)
		return;
	save->text = format_states(health, &save->len);
	save->health = health;
	save->work.data = save;
	if (!save->text || uv_queue_work(health->loop, &save->work, on_save,
					 on_saved)) {
		free(save->text);
		free(save);
		return;
	}
	health->state_busy = true;
	health->state_dirty = false;
	health->state_ms = now_ms;
}

void ticks_deinit(struct health *health)
{
	health->state_ms = 0;
	save_states(health, STATE_WRITE_MS);
}

/* ----------------------------------------------------------------------- */

void ticks_run(struct health *health, uint64_t now_ms)
{
	struct health_table *t = &health->table;
	bool late = now_ms - health->tick_ms > 4 * HEALTH_TICK_MS;
	bool sampling = now_ms - health->sample_ms >= SAMPLE_MS;

	health->tick_ms = now_ms;
	if (sampling)
		health->sample_ms = now_ms;
	pool_tick(health, now_ms, late);
	for (uint32_t slot = 0; slot < t->n_slots; slot++) {
		struct health_service *s = t->services[slot];

		if (!s)
			continue;
		if (s->fsm.admin == SVC_ADMIN_DRAINING)
			drain(health, s, now_ms);
		if (s->slow_scale < 256)
			slow_start(health, s, now_ms);
		if (t->n_inline)
			look_all(health, s, now_ms);
		if (sampling && s->owned)
			sample(health, s);
	}
	save_states(health, now_ms);
}
