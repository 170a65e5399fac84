// SPDX-License-Identifier: GPL-2.0-only
/*
 * Engines in the API: GET /v1/engines, POST /v1/engines/scale. Shapes are
 * documented in control/README.md. Loop thread.
 */
#include "control/engine_supervisor_impl.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include "control/api.h"

static void put(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static uint32_t first_choices(const struct engine_supervisor *s, uint32_t slot)
{
	uint32_t n = 0;

	for (uint32_t b = 0; b < CORE_BUCKETS; b++)
		n += s->core_bkts[b].pref[0] == slot;
	return n;
}

static struct json_object *show_drops(const struct engine_supervisor *s,
				      uint32_t slot)
{
	static const char *const names[DROP_REASONS] = {
#define ENGINE_DROP_NAME(id, name, help) [DROP_##id] = name,
		ENGINE_DROPS(ENGINE_DROP_NAME)
#undef ENGINE_DROP_NAME
	};
	struct json_object *o = json_object_new_object();

	for (uint32_t i = 0; s->memory.ready && i < DROP_REASONS; i++)
		put(o, names[i], s->memory.ctl->engine[slot].dropped[i]);
	return o;
}

static struct json_object *show_evictions(const struct engine_info *info)
{
	struct json_object *o = json_object_new_object();

	put(o, "idle", info->evict_idle);
	put(o, "closed", info->evict_closed);
	put(o, "half", info->evict_half);
	put(o, "live", info->evict_live);
	return o;
}

static struct json_object *show_engine(const struct engine_supervisor *s,
				       const struct engine_slot *slot)
{
	const struct engine_info *info = &s->engines[slot->slot];
	struct json_object *o = json_object_new_object();
	uint64_t now = engine_supervisor_now_ms();
	uint64_t beat = info->heartbeat_ns / 1000000;

	put(o, "slot", slot->slot);
	json_object_object_add(
		o, "state",
		json_object_new_string(
			slot->silent ? "silent" :
				       engine_slot_state_name(slot->state)));
	put(o, "pid", (uint64_t)slot->pid);
	put(o, "epoch", slot->epoch);
	put(o, "age_ms", slot->pid ? now - slot->started_ms : 0);
	put(o, "heartbeat_age_ms", slot->pid && beat && now > beat ?
					   now - beat : 0);
	put(o, "buckets", first_choices(s, slot->slot));
	put(o, "load_permille", info->load);
	put(o, "rx", info->rx);
	put(o, "tx", info->tx);
	put(o, "setups", info->setups);
	put(o, "setup_failures", info->setup_failures);
	put(o, "dropped", info->dropped);
	put(o, "held", info->held);
	put(o, "swept", info->swept);
	put(o, "lock_stolen", info->lock_stolen);
	json_object_object_add(o, "evictions", show_evictions(info));
	json_object_object_add(o, "drops", show_drops(s, slot->slot));
	put(o, "restarts", slot->restarts);
	json_object_object_add(o, "last_exit",
			       slot->last_exit[0] ?
				       json_object_new_string(slot->last_exit) :
				       NULL);
	return o;
}

static void put_census(struct json_object *o, const struct frames_census *c)
{
	put(o, "total", c->total);
	put(o, "fill", c->fill);
	put(o, "rx", c->rx);
	put(o, "held", c->held);
	put(o, "tx", c->tx);
	put(o, "completion", c->completion);
	put(o, "free", c->free + c->local + c->quarantine);
	put(o, "quarantine", c->quarantine);
	put(o, "misfiled", c->misfiled);
	put(o, "completions_late", c->completions_late);
}

static struct json_object *show_frames(struct engine_supervisor *s)
{
	struct json_object *o = json_object_new_object();
	struct frames_census c;
	uint64_t recoveries = 0;

	frames_census(s->memory.frames, &c);
	for (uint32_t p = 0; p < s->memory.frames->n_pools; p++)
		recoveries += s->memory.ctl->pool[p].lock_recoveries;
	put_census(o, &c);
	put(o, "reclaimed", s->memory.ctl->frames_reclaimed);
	put(o, "lock_recoveries", recoveries);
	json_object_object_add(o, "reclaiming",
			       json_object_new_boolean(
				       s->stage != RECLAIM_IDLE ||
				       s->reclaim_wanted));
	return o;
}

static struct json_object *show_pools(struct engine_supervisor *s)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t p = 0; p < s->memory.frames->n_pools; p++) {
		const struct ctl_pool *cp = &s->memory.ctl->pool[p];
		struct frames_census c;
		struct json_object *o;

		if (!cp->used || cp->iface >= IFACES_MAX)
			continue;
		o = json_object_new_object();
		put(o, "pool", p);
		json_object_object_add(
			o, "interface",
			json_object_new_string(s->iface[cp->iface].name));
		put(o, "ifindex", cp->ifindex);
		put(o, "queue", cp->queue);
		frames_census_pool(s->memory.frames, p, &c);
		put_census(o, &c);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *engine_supervisor_show(struct engine_supervisor *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();

	put(o, "count", s->count);
	put(o, "ready", engine_supervisor_ready(s));
	put(o, "buckets_moved", s->moved);
	if (s->impossible[0])
		json_object_object_add(o, "reason",
				       json_object_new_string(s->impossible));
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		const struct engine_slot *slot = &s->slot[i];

		if (slot->state != SLOT_EMPTY || i < s->count)
			json_object_array_add(list, show_engine(s, slot));
	}
	json_object_object_add(o, "engines", list);
	json_object_object_add(o, "frames", s->memory.ready ? show_frames(s) :
							     NULL);
	json_object_object_add(o, "pools", s->memory.ready ?
						   show_pools(s) :
						   json_object_new_array());
	return o;
}

static void on_show(void *ctx, const struct api_request *request,
		    struct api_reply *reply)
{
	reply->json = engine_supervisor_show(ctx);
}

static void on_scale(void *ctx, const struct api_request *request,
		     struct api_reply *reply)
{
	struct engine_supervisor *s = ctx;
	struct json_object *count;
	char error[256] = "";
	int64_t n;
	int err;

	if (!request->json ||
	    !json_object_object_get_ex(request->json, "count", &count) ||
	    !json_object_is_type(count, json_type_int)) {
		api_fail(reply, 400, "expected {\"count\": N}");
		return;
	}
	if (s->impossible[0]) {
		api_fail(reply, 409, "%s", s->impossible);
		return;
	}
	n = json_object_get_int64(count);
	if (n < 1 || n > ENGINES_MAX) {
		api_fail(reply, 400, "count: expected 1..%d, not %lld",
			 ENGINES_MAX, (long long)n);
		return;
	}
	if (s->options.scale)
		err = s->options.scale(s->options.ctx, (uint32_t)n, error,
				       sizeof(error));
	else
		err = engine_supervisor_set_count(s, (uint32_t)n);
	if (err) {
		api_fail(reply, 500, "engines not scaled: %s",
			 error[0] ? error : strerror(-err));
		return;
	}
	reply->json = engine_supervisor_show(s);
}

void engine_supervisor_routes(struct engine_supervisor *s, struct api *api)
{
	api_route(api, "GET", "/v1/engines", on_show, s);
	api_route(api, "POST", "/v1/engines/scale", on_scale, s);
}
