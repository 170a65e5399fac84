/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Engines as seen by the daemon: their processes, their packet memory and
 * sockets, and the core tier's table (map "core_bkts").
 *
 * Order of use: engine_supervisor_new(), _add_interface() for each interface
 * (after its entry in map "ifaces" exists), then _set_count(). Engines of a
 * former daemon that are still alive are found through map "engines" and
 * RUNDIR/engine.sock, and adopted with their packet memory; set_count() may
 * be called before they have come back, nothing is started twice.
 *
 * Everything runs on the loop's thread; no call blocks for longer than a
 * process start. Maps are borrowed by descriptor; the supervisor maps what it
 * needs. It writes "core_bkts", "xsks" and, of "engines", the fields pid,
 * epoch and state; nobody else does.
 */
#ifndef SLUICE_ENGINE_SUPERVISOR_H
#define SLUICE_ENGINE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct api;
struct json_object;
struct engine_supervisor;

/* Descriptors of the pinned maps; borrowed, must outlive the supervisor. */
struct engine_supervisor_maps {
	int conf, vips, vservers, services, svc_load, members, lb_table;
	int core_bkts, engines, flows, xsks;
};

struct engine_supervisor_options {
	const char *run_dir;	 /* engine.sock lives here; must exist */
	const char *engine_path; /* NULL: $SLUICE_ENGINE, beside the daemon's
				    own executable, PREFIX/libexec/sluice */
	struct engine_supervisor_maps maps;
	const uint8_t *rss_key; /* 40 bytes; NULL: the default key */
	uint32_t frames_per_queue; /* 0: ENGINE_FRAMES_DEFAULT; power of two */
	/* POST /v1/engines/scale asks here, so that the wish becomes part of
	 * the configuration; 0 or -errno. NULL: engine_supervisor_set_count. */
	int (*scale)(void *ctx, uint32_t count, char *ret_error, size_t len);
	/* The set of engines that take new work changed (optional). */
	void (*changed)(void *ctx);
	void *ctx;
};

/* 0 or -errno (logged with what to do about it). */
int engine_supervisor_new(uv_loop_t *loop,
			  const struct engine_supervisor_options *options,
			  struct engine_supervisor **ret);

/* With STOP, engines finish what they hold and exit (bounded, 1 s); without,
 * they run on and wait for the next daemon. Accepts NULL. */
void engine_supervisor_free(struct engine_supervisor *supervisor, bool stop);

/* Packet sockets for queues 0..QUEUES-1 of the interface; SLOT as in map
 * "ifaces". An interface that adopted engines already have is taken over.
 * 0, -ENOSPC: no packet memory left for another queue, -errno. */
int engine_supervisor_add_interface(struct engine_supervisor *supervisor,
				    uint32_t slot, uint32_t ifindex,
				    const char *name, uint32_t queues);

/* Sockets are taken out of the XSKMAP and closed everywhere. 0 or -ENOENT. */
int engine_supervisor_remove_interface(struct engine_supervisor *supervisor,
				       uint32_t slot);

/* From now on COUNT engines (1..ENGINES_MAX), slots 0..COUNT-1. Returns at
 * once; growing and shrinking go on in the background without loss. */
int engine_supervisor_set_count(struct engine_supervisor *supervisor,
				uint32_t count);

/* The RSS key is another one (KEY: 40 bytes); engines follow within 10 ms. To
 * be called only while no flows exist: they were hashed with the old one. */
void engine_supervisor_set_key(struct engine_supervisor *supervisor,
			       const uint8_t *key);

/* Engines that are ready and take work; the wish. */
uint32_t engine_supervisor_ready(const struct engine_supervisor *supervisor);
uint32_t engine_supervisor_count(const struct engine_supervisor *supervisor);

/* What `sluice engine show` shows; ownership passes to the caller. */
struct json_object *engine_supervisor_show(struct engine_supervisor *supervisor);

/* Registers GET /v1/engines and POST /v1/engines/scale {"count": N}. */
void engine_supervisor_routes(struct engine_supervisor *supervisor,
			      struct api *api);

#endif
