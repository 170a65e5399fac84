/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets of probes, see poller.h. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "prober/poller.h"

#define BATCH 256
/* A flood of events must not keep timers from running. */
#define BATCHES_MAX 64

static int epoll_fd = -1;
static uv_poll_t handle;
/* The batch being handled: closing one's own fd twice, or reusing memory of
 * an io whose event is still in the batch, must not call a stale handler. */
static struct epoll_event batch[BATCH];
static int batch_at, batch_len;

/* Only ends libuv's wait: poller_run() is called every turn. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)poll;
	(void)status;
	(void)events;
}

int poller_init(uv_loop_t *loop)
{
	int r;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	r = uv_poll_init(loop, &handle, epoll_fd);
	if (!r)
		r = uv_poll_start(&handle, UV_READABLE, on_ready);
	return r;
}

void poller_deinit(void)
{
	uv_close((uv_handle_t *)&handle, NULL);
	close(epoll_fd);
	epoll_fd = -1;
}

static int control(struct poller_io *io, int op)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = io,
	};

	return epoll_ctl(epoll_fd, op, io->fd, &event) ? -errno : 0;
}

int poller_add(struct poller_io *io)
{
	return control(io, EPOLL_CTL_ADD);
}

int poller_again(struct poller_io *io)
{
	return control(io, EPOLL_CTL_MOD);
}

void poller_close(struct poller_io *io)
{
	if (io->fd < 0)
		return;
	close(io->fd);
	io->fd = -1;
	for (int i = batch_at; i < batch_len; i++)
		if (batch[i].data.ptr == io)
			batch[i].data.ptr = NULL;
}

void poller_run(void)
{
	for (int n = 0; n < BATCHES_MAX; n++) {
		batch_len = epoll_wait(epoll_fd, batch, BATCH, 0);
		for (batch_at = 0; batch_at < batch_len;) {
			struct epoll_event *event = &batch[batch_at++];
			struct poller_io *io = event->data.ptr;

			if (io)
				io->ready(io, event->events);
		}
		if (batch_len < BATCH)
			break;
	}
	batch_len = batch_at = 0;
}
