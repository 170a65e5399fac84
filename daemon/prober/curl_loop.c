/* SPDX-License-Identifier: GPL-2.0-only */
/* libcurl on the loop, see curl_loop.h. */
#include <errno.h>
#include <stdlib.h>

#include "prober/curl_loop.h"

static CURLM *multi;
static uv_loop_t *loop;
static uv_timer_t timer;
static curl_loop_done *on_done;

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
	curl_socket_t fd = (curl_socket_t)(intptr_t)poll->data;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(multi, fd, flags, &running);
	curl_loop_run();
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
		     void *assigned)
{
	uv_poll_t *poll = assigned;
	int events = 0;

	(void)easy;
	(void)ctx;
	if (what == CURL_POLL_REMOVE) {
		if (poll) {
			/* Stopped now: libcurl closes the socket next. */
			uv_poll_stop(poll);
			uv_close((uv_handle_t *)poll, on_poll_closed);
			curl_multi_assign(multi, fd, NULL);
		}
		return 0;
	}
	if (!poll) {
		poll = malloc(sizeof(*poll));
		if (!poll || uv_poll_init(loop, poll, fd)) {
			free(poll);
			return -1;
		}
		poll->data = (void *)(intptr_t)fd;
		curl_multi_assign(multi, fd, poll);
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	uv_poll_start(poll, events, on_socket_ready);
	return 0;
}

static void on_time(uv_timer_t *handle)
{
	int running;

	(void)handle;
	curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	curl_loop_run();
}

static int on_timer(CURLM *handle, long ms, void *ctx)
{
	(void)handle;
	(void)ctx;
	if (ms < 0)
		uv_timer_stop(&timer);
	else
		uv_timer_start(&timer, on_time, ms, 0);
	return 0;
}

int curl_loop_init(uv_loop_t *uv_loop, curl_loop_done *done)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -ENOMEM;
	multi = curl_multi_init();
	if (!multi)
		return -ENOMEM;
	loop = uv_loop;
	on_done = done;
	uv_timer_init(loop, &timer);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	/* Every probe makes its own connection. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L);
	return 0;
}

void curl_loop_deinit(void)
{
	uv_close((uv_handle_t *)&timer, NULL);
	curl_multi_cleanup(multi);
	curl_global_cleanup();
}

int curl_loop_add(CURL *easy)
{
	return curl_multi_add_handle(multi, easy) ? -ENOMEM : 0;
}

void curl_loop_remove(CURL *easy)
{
	curl_multi_remove_handle(multi, easy);
}

void curl_loop_run(void)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left))) {
		CURL *easy = msg->easy_handle;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		on_done(easy, code);
	}
}
