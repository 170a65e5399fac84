/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Service states without probing: UP unless disabled. Weak, so that the health
 * module replaces it where it is linked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "config/config.h"
#include "health/health.h"

#define WEAK __attribute__((weak))

struct item {
	uint64_t entity;
	char name[NAME_LEN];
	enum svc_state state;
	enum health_admin admin;
	bool seen;
};

struct health {
	const struct health_ops *ops;
	void *ctx;
	struct item *items;
	size_t n;
};

WEAK int health_new(uv_loop_t *loop, const struct health_options *options,
		    const struct health_ops *ops, void *ctx,
		    struct health **ret)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->ops = ops;
	h->ctx = ctx;
	*ret = h;
	return 0;
}

WEAK void health_free(struct health *h)
{
	if (h)
		free(h->items);
	free(h);
}

static struct item *find(const struct health *h, uint64_t entity)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		if (h->items[i].entity == entity)
			return &h->items[i];
	}
	return NULL;
}

static void set(struct health *h, struct item *item, enum svc_state state)
{
	struct health_event event = { .entity = item->entity,
				      .name = item->name,
				      .state = state,
				      .before = item->state,
				      .observed = HEALTH_UNKNOWN,
				      .reason = "not probed" };

	if (item->state == state)
		return;
	item->state = state;
	h->ops->state_changed(h->ctx, &event);
}

WEAK int health_apply(struct health *h, const struct config *config)
{
	struct item *items = calloc(config->n_services + 1, sizeof(*items));
	struct health old = *h;
	struct item *known;
	size_t i;

	if (!items)
		return -ENOMEM;
	for (i = 0; i < config->n_services; i++) {
		const struct config_service *s = &config->services[i];

		known = find(&old, s->entity);
		if (known) {
			items[i] = *known;
			continue;
		}
		items[i].entity = s->entity;
		memcpy(items[i].name, s->name, sizeof(s->name));
		items[i].admin = s->enabled ? HEALTH_ENABLE : HEALTH_DISABLE;
		items[i].state = s->enabled ? SVC_UP : SVC_OUT_OF_SERVICE;
	}
	h->items = items;
	h->n = config->n_services;
	free(old.items);
	return 0;
}

WEAK int health_set_probers(struct health *h, unsigned int n)
{
	return 0;
}

WEAK int health_admin(struct health *h, const char *name,
		      enum health_admin admin, uint32_t delay_s)
{
	size_t i;

	for (i = 0; i < h->n && strcmp(h->items[i].name, name); i++)
		;
	if (i == h->n)
		return -ENOENT;
	h->items[i].admin = admin;
	set(h, &h->items[i],
	    admin == HEALTH_ENABLE   ? SVC_UP :
	    admin == HEALTH_GRACEFUL ? SVC_GOING_OUT :
				       SVC_OUT_OF_SERVICE);
	return 0;
}

WEAK int health_status(const struct health *h, uint64_t entity,
		       struct health_status *ret)
{
	const struct item *item = find(h, entity);

	if (!item)
		return -ENOENT;
	*ret = (struct health_status){ .state = item->state,
				       .admin = item->admin,
				       .owned = true,
				       .slow_start = 256 };
	strcpy(ret->reason, "not probed");
	return 0;
}

WEAK struct json_object *health_bindings_json(const struct health *h,
					      uint64_t entity)
{
	return NULL;
}

WEAK const char *health_state_name(enum svc_state state)
{
	static const char *const names[] = {
		"UNKNOWN", "DOWN", "UP", "OUT-OF-SERVICE",
		"GOING-OUT-OF-SERVICE", "DOWN-WHEN-GOING-OUT-OF-SERVICE"
	};

	return names[state < 6 ? state : 0];
}

WEAK const char *health_observed_name(enum health_observed observed)
{
	static const char *const names[] = { "UNKNOWN", "DOWN", "UP" };

	return names[observed < 3 ? observed : 0];
}

WEAK const char *health_admin_name(enum health_admin admin)
{
	static const char *const names[] = { "enabled", "disabled", "draining" };

	return names[admin < 3 ? admin : 0];
}
