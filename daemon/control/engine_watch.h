/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A descriptor watched for readability on the daemon's loop, owned: freeing
 * the watch closes the descriptor. Exists because libuv handles outlive
 * uv_close() by one turn of the loop.
 */
#ifndef SLUICE_ENGINE_WATCH_H
#define SLUICE_ENGINE_WATCH_H

#include <uv.h>

struct engine_watch;

typedef void engine_watch_fn(void *ctx, int fd);

/* Takes FD over, also on failure. 0 or -errno. */
int engine_watch_new(uv_loop_t *loop, int fd, engine_watch_fn *readable,
		     void *ctx, struct engine_watch **ret);
/* No call of READABLE comes after this. Accepts NULL. */
void engine_watch_free(struct engine_watch *watch);
/* From now on others are called. */
void engine_watch_redirect(struct engine_watch *watch,
			   engine_watch_fn *readable, void *ctx);
int engine_watch_fd(const struct engine_watch *watch);

#endif
