/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One-off probes (`sluice monitor try`): handed to a prober, their steps
 * collected, answered when they end. They always do: by a reply, by their
 * time-out, or with the prober.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "health/health_internal.h"

static void clear(struct health_try *try)
{
	for (uint32_t i = 0; i < try->n_steps; i++)
		free(try->steps[i].text);
	memset(try, 0, sizeof(*try));
}

static struct health_try *find(struct health *health, uint64_t id, int slot)
{
	for (int i = 0; id && i < TRIES_MAX; i++)
		if (health->tries[i].id == id && health->tries[i].slot == slot)
			return &health->tries[i];
	return NULL;
}

void tries_step(struct health *health, uint64_t id, int slot, uint32_t us,
		const char *text, size_t len)
{
	struct health_try *try = find(health, id, slot);
	struct reason_info clean;
	char *copy;

	if (!try || try->n_steps == TRY_STEPS_MAX)
		return;
	reason_text(&clean, text, len);
	copy = strdup(clean.text);
	if (!copy)
		return;
	try->steps[try->n_steps].us = us;
	try->steps[try->n_steps++].text = copy;
}

static void answer(struct health_try *try, bool passed, uint32_t us,
		   const char *reason)
{
	struct json_object *json = json_object_new_object(), *steps;

	json_object_object_add(json, "passed", json_object_new_boolean(passed));
	json_object_object_add(json, "reason", json_object_new_string(reason));
	json_object_object_add(json, "elapsed_us", json_object_new_int64(us));
	steps = json_object_new_array();
	for (uint32_t i = 0; i < try->n_steps; i++) {
		struct json_object *step = json_object_new_object();

		json_object_object_add(step, "at_us",
				       json_object_new_int64(try->steps[i].us));
		json_object_object_add(
			step, "what", json_object_new_string(try->steps[i].text));
		json_object_array_add(steps, step);
	}
	json_object_object_add(json, "steps", steps);
	try->done(try->ctx, json);
	clear(try);
}

void tries_done(struct health *health, uint64_t id, int slot, bool passed,
		uint32_t us, const struct reason_info *reason)
{
	struct health_try *try = find(health, id, slot);
	char text[HEALTH_REASON_LEN];

	if (try)
		answer(try, passed, us,
		       reason_format(reason, text, sizeof(text)));
}

void tries_prober_gone(struct health *health, int slot)
{
	for (int i = 0; i < TRIES_MAX; i++)
		if (health->tries[i].id && health->tries[i].slot == slot)
			answer(&health->tries[i], false, 0,
			       "the prober that ran it has ended");
}

void tries_deinit(struct health *health)
{
	for (int i = 0; i < TRIES_MAX; i++)
		if (health->tries[i].id)
			answer(&health->tries[i], false, 0,
			       "the daemon is stopping");
}

int health_try(struct health *health, const struct config *config,
	       void (*done)(void *ctx, struct json_object *result), void *ctx)
{
	const struct config_service *service;
	struct health_try *try = NULL;
	int slot, r;

	if (config->n_services != 1 || config->services[0].n_bindings != 1)
		return -EINVAL;
	if (!health->pool.mask)
		return -EAGAIN;
	for (int i = 0; i < TRIES_MAX && !try; i++)
		if (!health->tries[i].id)
			try = &health->tries[i];
	if (!try)
		return -EBUSY;
	service = &config->services[0];
	slot = __builtin_ctzll(health->pool.mask);
	r = link_try(health->pool.probers[slot], health->next_try + 1, service,
		     service->bindings[0].monitor);
	if (r)
		return r;
	try->id = ++health->next_try;
	try->slot = slot;
	try->done = done;
	try->ctx = ctx;
	return 0;
}
