// SPDX-License-Identifier: GPL-2.0-only
/* Next hops that stay resolved, see neighbours.h. */
#include "neighbours.h"

#include "config/config.h"

/* The kernel forgets an IPv6 neighbour that nobody uses after a minute, so all
 * are asked for twice in that time: some 20 µs each, spread. */
#define TURN_MS 100
#define TURNS 250
/* Few services are resolved as soon as they are there. */
#define TURN_SERVICES 64

static void on_turn(uv_timer_t *timer)
{
	struct neighbours *n = timer->data;
	const struct config *config = n->current(n->ctx);
	size_t share;

	if (!config || !config->n_services)
		return;
	share = config->n_services / TURNS + 1;
	if (share < TURN_SERVICES)
		share = TURN_SERVICES;
	if (n->next >= config->n_services)
		n->next = 0;
	for (; share && n->next < config->n_services; share--, n->next++) {
		const struct config_service *s = &config->services[n->next];

		/* Not routable now: asked for again in the next round. */
		if (!config_unresolved(s))
			rtnl_resolve(&n->rtnl, &s->addr);
	}
}

int neighbours_init(struct neighbours *n, uv_loop_t *loop,
		    const struct config *(*current)(void *ctx), void *ctx)
{
	int err = rtnl_open(&n->rtnl);

	if (err)
		return err;
	n->current = current;
	n->ctx = ctx;
	n->next = 0;
	uv_timer_init(loop, &n->timer);
	n->timer.data = n;
	uv_timer_start(&n->timer, on_turn, 0, TURN_MS);
	return 0;
}

void neighbours_deinit(struct neighbours *n)
{
	uv_close((uv_handle_t *)&n->timer, NULL);
	rtnl_close(&n->rtnl);
}
