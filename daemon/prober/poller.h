/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets of probes: one epoll set of our own, itself watched by libuv. A
 * probe's socket lives for two events; this way it costs one epoll_ctl, and
 * closing it takes it out. Edge-triggered: handlers read until EAGAIN.
 */
#ifndef SLUICE_POLLER_H
#define SLUICE_POLLER_H

#include <stdint.h>
#include <uv.h>

struct poller_io {
	void (*ready)(struct poller_io *io, uint32_t events); /* EPOLL* */
	int fd; /* −1: none */
};

int poller_init(uv_loop_t *loop);
void poller_deinit(void);

/* Watches IO->fd for input and output. 0 or -errno. */
int poller_add(struct poller_io *io);
/* Reports what is ready once more, for handlers that stopped before EAGAIN. */
int poller_again(struct poller_io *io);
/* Closes IO->fd, which ends the watch. */
void poller_close(struct poller_io *io);
/* Handles what is ready; never waits. */
void poller_run(void);

#endif
