/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libcurl's multi interface on the prober's loop. One multi handle, so that
 * the store of CA certificates is parsed once and not per probe.
 */
#ifndef SLUICE_CURL_LOOP_H
#define SLUICE_CURL_LOOP_H

#include <curl/curl.h>
#include <uv.h>

/* Called when a transfer has ended; EASY is out of the multi handle. */
typedef void curl_loop_done(CURL *easy, CURLcode code);

/* 0 or -errno. */
int curl_loop_init(uv_loop_t *loop, curl_loop_done *done);
void curl_loop_deinit(void);
int curl_loop_add(CURL *easy);
void curl_loop_remove(CURL *easy);
/* Reports ended transfers. Not from inside libcurl's callbacks. */
void curl_loop_run(void);

#endif
