// SPDX-License-Identifier: GPL-2.0-only
/*
 * Owned descriptors on the daemon's loop; see engine_watch.h. Loop thread.
 */
#include "control/engine_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct engine_watch {
	uv_poll_t poll;
	int fd;
	bool freed;
	engine_watch_fn *readable;
	void *ctx;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct engine_watch *watch = poll->data;

	/* A bad status is an error on the descriptor: reading tells which. */
	if (!watch->freed)
		watch->readable(watch->ctx, watch->fd);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int engine_watch_new(uv_loop_t *loop, int fd, engine_watch_fn *readable,
		     void *ctx, struct engine_watch **ret)
{
	struct engine_watch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch) {
		close(fd);
		return -ENOMEM;
	}
	watch->fd = fd;
	watch->readable = readable;
	watch->ctx = ctx;
	err = uv_poll_init(loop, &watch->poll, fd);
	if (err) {
		close(fd);
		free(watch);
		return err;
	}
	watch->poll.data = watch;
	err = uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, on_poll);
	if (err) {
		engine_watch_free(watch);
		return err;
	}
	*ret = watch;
	return 0;
}

void engine_watch_free(struct engine_watch *watch)
{
	if (!watch || watch->freed)
		return;
	watch->freed = true;
	/* After uv_close() libuv has let go of the descriptor. */
	uv_close((uv_handle_t *)&watch->poll, on_closed);
	close(watch->fd);
}

int engine_watch_fd(const struct engine_watch *watch)
{
	return watch->fd;
}

void engine_watch_redirect(struct engine_watch *watch,
			   engine_watch_fn *readable, void *ctx)
{
	watch->readable = readable;
	watch->ctx = ctx;
}
