// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine supervisor's public calls and its tick. One function,
 * engine_supervisor_sync(), compares what is wanted (interfaces, number of
 * engines) with what is there and moves one towards the other; every event
 * ends in a call of it. Loop thread.
 */
#include "control/engine_supervisor_impl.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "bpf/features.h"
#include "control/engine_buckets.h"
#include "hash.h"
#include "util/log.h"

/* engine_supervisor_free(stop) waits so long for engines to finish. */
#define FREE_STOP_MS 1000
/* A queue that could not be opened is tried again after. */
#define QUEUE_RETRY_MS 1000
/* Pools beyond those wanted at the start, for interfaces added later. */
#define POOLS_SPARE 2u
#define POOLS_MIN 4u

static const uint8_t default_key[TOEPLITZ_KEY_LEN] = TOEPLITZ_KEY_DEFAULT;

uint64_t engine_supervisor_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the bucket table ---- */

void engine_supervisor_table(struct engine_supervisor *s)
{
	uint32_t slots = 0, moved;

	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		const struct engine_slot *slot = &s->slot[i];

		/* Before the first set_count() nothing is known to be too
		 * many. */
		if (slot->state == SLOT_READY && !slot->silent &&
		    (!s->count || i < s->count))
			slots |= 1u << i;
	}
	if (slots == s->in_table || !slots)
		return;
	moved = engine_buckets_write(s->core_bkts, slots);
	s->in_table = slots;
	s->moved += moved;
	if (moved)
		log_debug("%u of %u buckets have another engine", moved,
			  CORE_BUCKETS);
	if (s->options.changed)
		s->options.changed(s->options.ctx);
}

/* ---- wanted and there ---- */

static bool awaiting(const struct engine_supervisor *s)
{
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		if (s->slot[i].state == SLOT_AWAITED)
			return true;
	}
	return false;
}

static uint32_t wanted_queues(const struct engine_supervisor *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < IFACES_MAX; i++)
		n += s->iface[i].used ? s->iface[i].queues : 0;
	return n;
}

/* Tells the engines, unless they know. */
static void publish_key(struct engine_supervisor *s)
{
	struct engine_ctl *ctl = s->memory.ctl;

	if (!s->memory.ready ||
	    !memcmp(ctl->rss_key, s->rss_key, sizeof(s->rss_key)))
		return;
	memcpy(ctl->rss_key, s->rss_key, sizeof(s->rss_key));
	__atomic_fetch_add(&ctl->key_change, 1, __ATOMIC_RELEASE);
}

static int sync_memory(struct engine_supervisor *s)
{
	uint32_t pools = wanted_queues(s), per_pool;
	int err;

	if (s->memory.ready)
		return 0;
	if (!pools)
		return -ENODEV;
	per_pool = s->options.frames_per_queue;
	if (!per_pool)
		per_pool = pools <= 8  ? ENGINE_FRAMES_DEFAULT :
			   pools <= 32 ? ENGINE_FRAMES_DEFAULT / 2 :
					 ENGINE_FRAMES_DEFAULT / 4;
	pools += POOLS_SPARE;
	if (pools < POOLS_MIN)
		pools = POOLS_MIN;
	if (pools > POOLS_MAX)
		pools = POOLS_MAX;
	err = engine_memory_create(&s->memory, pools, per_pool);
	if (err)
		log_err("packet memory of %u x %u frames: %s", pools, per_pool,
			strerror(-err));
	return err;
}

static bool pool_wanted(const struct engine_supervisor *s, uint32_t pool)
{
	const struct ctl_pool *cp = &s->memory.ctl->pool[pool];
	const struct wanted_iface *w;

	if (cp->iface >= IFACES_MAX)
		return false;
	w = &s->iface[cp->iface];
	return w->used && w->ifindex == cp->ifindex && cp->queue < w->queues &&
	       s->memory.base[pool] >= 0;
}

/* No new packets arrive there, then engines let go of their sockets, then
 * the pool ends. */
static void retire(struct engine_supervisor *s, uint32_t pool)
{
	const struct ctl_pool *cp = &s->memory.ctl->pool[pool];
	bool in_use = false;

	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		struct engine_slot *slot = &s->slot[i];
		uint32_t key = XSK_INDEX(cp->iface, cp->queue, i);

		if (!slot->has_port[pool] || !engine_slot_alive(slot))
			continue;
		in_use = true;
		if (s->retiring[pool])
			continue;
		bpf_map_delete_elem(s->options.maps.xsks, &key);
		engine_talk_send_unport(slot, pool);
	}
	s->retiring[pool] = in_use;
	if (!in_use)
		engine_memory_close_pool(&s->memory, pool,
					 engine_supervisor_now_ms());
}

static void sync_pools(struct engine_supervisor *s)
{
	uint64_t now = engine_supervisor_now_ms();

	for (uint32_t p = 0; p < s->memory.frames->n_pools; p++) {
		if (s->memory.ctl->pool[p].used &&
		    (s->retiring[p] || !pool_wanted(s, p)))
			retire(s, p);
	}
	for (uint32_t i = 0; i < IFACES_MAX; i++) {
		struct wanted_iface *w = &s->iface[i];

		if (!w->used || (w->err && now < w->retry_ms))
			continue;
		w->err = 0;
		for (uint32_t q = 0; q < w->queues && !w->err; q++) {
			int pool = engine_memory_find(&s->memory, i,
						      w->ifindex, q);

			if (pool == -ENOENT)
				pool = engine_memory_open_pool(
					&s->memory, i, w->ifindex, q, now);
			if (pool >= 0)
				continue;
			w->err = pool;
			w->retry_ms = now + QUEUE_RETRY_MS;
			log_err("%s queue %u: no packet socket: %s%s", w->name,
				q, strerror(-pool),
				pool == -ENOSPC ?
					" (restart the engines to get more "
					"packet memory)" :
					"");
		}
	}
}

static void sync_ports(struct engine_supervisor *s, struct engine_slot *slot)
{
	for (uint32_t p = 0; p < s->memory.frames->n_pools; p++) {
		if (s->memory.base[p] >= 0 && !s->retiring[p] &&
		    !slot->has_port[p])
			engine_talk_send_port(slot, p);
	}
}

void engine_supervisor_sync(struct engine_supervisor *s)
{
	if (s->impossible[0] || !s->count || awaiting(s) || sync_memory(s))
		return;
	publish_key(s);
	sync_pools(s);
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		struct engine_slot *slot = &s->slot[i];

		if (i >= s->count) {
			/* Out of the table first, which needs somebody else
			 * in it. */
			engine_supervisor_table(s);
			if (!(s->in_table & 1u << i) ||
			    slot->state != SLOT_READY)
				engine_slot_stop(slot);
			continue;
		}
		if (slot->state == SLOT_READY && slot->conn)
			sync_ports(s, slot);
		if (slot->state == SLOT_EMPTY && !slot->dead_frames)
			engine_slot_start(slot);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct engine_supervisor *s = timer->data;
	uint64_t now = engine_supervisor_now_ms();
	bool late = now - s->last_tick_ms > 4 * ENGINE_TICK_MS;

	s->last_tick_ms = now;
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		engine_slot_tick(&s->slot[i], now, late);
	engine_reclaim_tick(s, now);
	engine_supervisor_sync(s);
}

/* ---- life ---- */

static int map_map(int fd, void **ret, size_t *ret_len, uint64_t *ret_len64)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	size_t bytes;
	void *map;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	bytes = (size_t)((info.value_size + 7) & ~7u) * info.max_entries;
	if (ret_len64)
		*ret_len64 = bytes;
	if (!ret)
		return 0;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = map;
	*ret_len = bytes;
	return 0;
}

static int open_maps(struct engine_supervisor *s)
{
	const struct engine_supervisor_maps *m = &s->options.maps;
	const int fds[LINK_MAPS] = {
		[LINK_MAP_CONF] = m->conf,
		[LINK_MAP_VIPS] = m->vips,
		[LINK_MAP_VSERVERS] = m->vservers,
		[LINK_MAP_SERVICES] = m->services,
		[LINK_MAP_SVC_LOAD] = m->svc_load,
		[LINK_MAP_MEMBERS] = m->members,
		[LINK_MAP_LB_TABLE] = m->lb_table,
		[LINK_MAP_ENGINES] = m->engines,
		[LINK_MAP_FLOWS] = m->flows,
	};
	int err = 0;

	memcpy(s->map_fd, fds, sizeof(fds));
	for (uint32_t i = 0; i < LINK_MAPS && !err; i++)
		err = map_map(fds[i], NULL, NULL, &s->map_len[i]);
	if (!err)
		err = map_map(m->engines, (void **)&s->engines,
			      &s->engines_len, NULL);
	if (!err)
		err = map_map(m->core_bkts, (void **)&s->core_bkts,
			      &s->core_bkts_len, NULL);
	if (!err)
		err = map_map(m->flows, (void **)&s->flows, &s->flows_len,
			      NULL);
	if (!err)
		err = map_map(m->vservers, (void **)&s->vservers,
			      &s->vservers_len, NULL);
	if (err)
		return err;
	s->flow_sets = (uint32_t)(s->flows_len / sizeof(struct flow_set));
	if (!s->flow_sets || (s->flow_sets & (s->flow_sets - 1)) ||
	    s->engines_len < sizeof(struct engine_info) * ENGINES_MAX ||
	    s->core_bkts_len < sizeof(struct core_bucket) * CORE_BUCKETS)
		return -EPROTO;
	return 0;
}

static char *path_join(const char *dir, const char *name)
{
	char *ret;

	return asprintf(&ret, "%s/%s", dir, name) < 0 ? NULL : ret;
}

/* The engine beside the daemon's executable, or where it is installed. */
static char *find_engine(const char *given)
{
	static const char *const places[] = {
		"sluice-engine", "../libexec/sluice/sluice-engine"
	};
	char self[PATH_MAX], *slash;
	ssize_t n;

	if (!given)
		given = getenv("SLUICE_ENGINE");
	if (given && *given)
		return strdup(given);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		char *path = path_join(self, places[i]);

		if (path && !access(path, X_OK))
			return path;
		free(path);
	}
	return NULL;
}

static void on_tick_closed(uv_handle_t *handle)
{
	struct engine_supervisor *s = handle->data;

	free(s);
}

static void unmap(void *map, size_t len)
{
	if (map)
		munmap(map, len);
}

/* All but the struct and its timer. */
static void release(struct engine_supervisor *s)
{
	engine_reclaim_stop(s);
	engine_talk_close(s);
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		engine_slot_forget(&s->slot[i]);
	engine_memory_deinit(&s->memory);
	unmap(s->engines, s->engines_len);
	unmap(s->core_bkts, s->core_bkts_len);
	unmap(s->flows, s->flows_len);
	unmap(s->vservers, s->vservers_len);
	free(s->run_dir);
	free(s->engine_path);
	free(s->socket_path);
}

/* Buckets without engines: XDP sets flows up alone. */
static void look_at_kernel(struct engine_supervisor *s)
{
	const struct feature *rings = &features_all()[FEATURE_XSK_RINGS];

	if (rings->present)
		return;
	snprintf(s->impossible, sizeof(s->impossible),
		 "this kernel has not: %s; %s", rings->name, rings->cost);
	memset(s->core_bkts, 0xff, sizeof(*s->core_bkts) * CORE_BUCKETS);
	log_warn("engines: %s", s->impossible);
}

int engine_supervisor_new(uv_loop_t *loop,
			  const struct engine_supervisor_options *options,
			  struct engine_supervisor **ret)
{
	struct engine_supervisor *s = calloc(1, sizeof(*s));
	uint32_t per_queue = options->frames_per_queue;
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->options = *options;
	memcpy(s->rss_key, options->rss_key ? options->rss_key : default_key,
	       sizeof(s->rss_key));
	engine_memory_init(&s->memory);
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		engine_slot_init(s, i);
	err = per_queue && (per_queue < ENGINE_FRAMES_MIN ||
			    (per_queue & (per_queue - 1))) ?
		      -EINVAL :
		      0;
	s->run_dir = strdup(options->run_dir);
	s->socket_path = path_join(options->run_dir, "engine.sock");
	s->engine_path = find_engine(options->engine_path);
	if (!err && (!s->run_dir || !s->socket_path))
		err = -ENOMEM;
	if (!err && !s->engine_path) {
		log_err("sluice-engine is neither beside the daemon nor in "
			"../libexec/sluice: set SLUICE_ENGINE to its path");
		err = -ENOENT;
	}
	if (!err)
		err = open_maps(s);
	if (!err)
		err = engine_talk_listen(s);
	if (!err)
		err = uv_timer_init(loop, &s->tick);
	if (err) {
		log_err("engine supervisor: %s", strerror(-err));
		release(s);
		free(s);
		return err;
	}
	s->tick.data = s;
	s->last_tick_ms = engine_supervisor_now_ms();
	look_at_kernel(s);
	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		engine_slot_find(&s->slot[i]);
	uv_timer_start(&s->tick, on_tick, ENGINE_TICK_MS, ENGINE_TICK_MS);
	*ret = s;
	return 0;
}

/* Waits for the process of SLOT until DEADLINE_MS, then kills it. */
static void await_exit(struct engine_slot *slot, uint64_t deadline_ms)
{
	struct pollfd pfd = { .events = POLLIN };
	uint64_t now = engine_supervisor_now_ms();
	int left = deadline_ms > now ? (int)(deadline_ms - now) : 0;

	if (!engine_slot_alive(slot))
		return;
	pfd.fd = engine_watch_fd(slot->process);
	if (poll(&pfd, 1, left) <= 0) {
		engine_slot_kill(slot, "does not stop");
		poll(&pfd, 1, FREE_STOP_MS);
	}
	if (slot->child)
		waitpid(slot->pid, NULL, WNOHANG);
}

static void stop_all(struct engine_supervisor *s)
{
	uint64_t deadline = engine_supervisor_now_ms() + FREE_STOP_MS;

	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		engine_slot_stop(&s->slot[i]);
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		await_exit(&s->slot[i], deadline);
		s->engines[i].state = ENGINE_EMPTY;
	}
}

void engine_supervisor_free(struct engine_supervisor *s, bool stop)
{
	if (!s)
		return;
	if (stop)
		stop_all(s);
	release(s);
	uv_close((uv_handle_t *)&s->tick, on_tick_closed);
}

/* ---- wishes ---- */

int engine_supervisor_add_interface(struct engine_supervisor *s, uint32_t slot,
				    uint32_t ifindex, const char *name,
				    uint32_t queues)
{
	struct wanted_iface *w;

	if (slot >= IFACES_MAX || !queues || !ifindex)
		return -EINVAL;
	w = &s->iface[slot];
	*w = (struct wanted_iface){
		.used = true,
		.ifindex = ifindex,
		.queues = queues < QUEUES_MAX ? queues : QUEUES_MAX,
	};
	snprintf(w->name, sizeof(w->name), "%s", name);
	engine_supervisor_sync(s);
	return w->err;
}

int engine_supervisor_remove_interface(struct engine_supervisor *s,
				       uint32_t slot)
{
	if (slot >= IFACES_MAX || !s->iface[slot].used)
		return -ENOENT;
	s->iface[slot].used = false;
	engine_supervisor_sync(s);
	return 0;
}

int engine_supervisor_set_count(struct engine_supervisor *s, uint32_t count)
{
	if (!count || count > ENGINES_MAX)
		return -EINVAL;
	if (count != s->count)
		log_info("engines: %u wanted", count);
	s->count = count;
	engine_supervisor_table(s);
	engine_supervisor_sync(s);
	return 0;
}

void engine_supervisor_set_key(struct engine_supervisor *s, const uint8_t *key)
{
	memcpy(s->rss_key, key, sizeof(s->rss_key));
	publish_key(s);
}

uint32_t engine_supervisor_count(const struct engine_supervisor *s)
{
	return s->count;
}

uint32_t engine_supervisor_ready(const struct engine_supervisor *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ENGINES_MAX; i++)
		n += s->slot[i].state == SLOT_READY && !s->slot[i].silent;
	return n;
}
