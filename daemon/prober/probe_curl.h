/* SPDX-License-Identifier: GPL-2.0-only */
/* Probes made by libcurl (probe_curl.c). */
#ifndef SLUICE_PROBE_CURL_H
#define SLUICE_PROBE_CURL_H

#include <uv.h>

/* 0 or -errno. */
int probe_curl_init(uv_loop_t *loop);

#endif
