/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The prober processes: started, watched, given their share, replaced. A
 * prober has a share while it runs, has been given the whole table and its
 * heart beats; when it loses it, the others have it with the next message.
 *
 *   EMPTY → STARTING → SYNCING → RUNNING ⇄ SILENT
 *   any of these but EMPTY → WAITING (died) → STARTING
 *   any → STOPPING → EMPTY (not wanted any more)
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/assign.h"
#include "health/health_internal.h"
#include "util/log.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
/* One that lived so long starts again at once. */
#define HEALTHY_MS 10000
/* Without a heartbeat (every 20 ms) for so long, others take over … */
#define SILENT_NS 1000000000ull
/* … and then it is killed. */
#define HUNG_NS 10000000000ull

/* ---- queues of slots -------------------------------------------------- */

bool slot_queue_put(struct slot_queue *queue, uint32_t slot)
{
	assert(slot < queue->room);
	if (queue->queued[slot])
		return false;
	queue->queued[slot] = 1;
	queue->ring[(queue->head + queue->n) % queue->room] = slot;
	queue->n++;
	assert(queue->n <= queue->room);
	return true;
}

static int queue_reserve(struct slot_queue *queue, uint32_t room)
{
	uint32_t *ring;
	uint8_t *queued;

	if (room <= queue->room)
		return 0;
	ring = malloc(room * sizeof(*ring));
	queued = calloc(room, 1);
	if (!ring || !queued) {
		free(ring);
		free(queued);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < queue->n; i++)
		ring[i] = queue->ring[(queue->head + i) % queue->room];
	if (queue->room)
		memcpy(queued, queue->queued, queue->room);
	free(queue->ring);
	free(queue->queued);
	queue->ring = ring;
	queue->queued = queued;
	queue->head = 0;
	queue->room = room;
	return 0;
}

static void queue_clear(struct slot_queue *queue)
{
	queue->head = queue->n = 0;
	if (queue->room)
		memset(queue->queued, 0, queue->room);
}

int pool_reserve(struct health *health, uint32_t n)
{
	int r = 0;

	if (n > SERVICES_MAX)
		n = SERVICES_MAX;
	n = n < 64 ? 64 : n;
	for (int i = 0; !r && i < PROBERS_MAX; i++) {
		struct pool_prober *p = health->pool.probers[i];

		if (!p)
			continue;
		r = queue_reserve(&p->rows, n);
		if (!r)
			r = queue_reserve(&p->states, n);
	}
	return r;
}

static bool has_table(const struct pool_prober *p)
{
	return p && p->poll_open &&
	       (p->state == POOL_SYNCING || p->state == POOL_RUNNING ||
		p->state == POOL_SILENT);
}

void pool_row_changed(struct health *health, uint32_t slot)
{
	for (int i = 0; i < PROBERS_MAX; i++)
		if (has_table(health->pool.probers[i]))
			slot_queue_put(&health->pool.probers[i]->rows, slot);
}

void pool_state_changed(struct health *health, uint32_t slot)
{
	for (int i = 0; i < PROBERS_MAX; i++)
		if (has_table(health->pool.probers[i]))
			slot_queue_put(&health->pool.probers[i]->states, slot);
}

void pool_monitor_changed(struct health *health, uint32_t id)
{
	for (int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *p = health->pool.probers[i];

		if (!has_table(p) || p->monitors[id])
			continue;
		p->monitors[id] = 1;
		p->n_monitors++;
	}
}

/* ---- shares ----------------------------------------------------------- */

static void set_mask(struct health *health)
{
	struct pool *pool = &health->pool;
	uint64_t mask = 0;

	for (int i = 0; i < PROBERS_MAX; i++)
		if (pool->probers[i] && pool->probers[i]->state == POOL_RUNNING)
			mask |= 1ull << i;
	if (mask == pool->mask)
		return;
	pool->mask = mask;
	for (int i = 0; i < PROBERS_MAX; i++)
		if (has_table(pool->probers[i]))
			pool->probers[i]->send_mask = true;
}

/* Every two probers get a socket between them. */
static void connect_peers(struct health *health, struct pool_prober *p)
{
	for (int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *peer = health->pool.probers[i];
		int pair[2];

		if (peer == p || !has_table(peer))
			continue;
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			       pair)) {
			/* They will do without: the daemon's acknowledgement
			 * stays out, and runners repeat until the next
			 * change of probers brings a socket. */
			log_warn("socket between probers %d and %d: %s",
				 p->slot, i, strerror(errno));
			continue;
		}
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		if (p->peer_fd[i] >= 0)
			close(p->peer_fd[i]);
		p->peer_fd[i] = pair[0];
		if (peer->peer_fd[p->slot] >= 0)
			close(peer->peer_fd[p->slot]);
		peer->peer_fd[p->slot] = pair[1];
	}
}

void pool_ready(struct pool_prober *p)
{
	struct health *health = p->health;

	if (p->state != POOL_STARTING)
		return;
	p->state = POOL_SYNCING;
	queue_clear(&p->rows);
	queue_clear(&p->states);
	for (uint32_t id = 0; id < HEALTH_MONITOR_IDS; id++) {
		p->monitors[id] = health->table.monitors[id] != NULL;
		p->n_monitors += p->monitors[id];
	}
	for (uint32_t slot = 0; slot < health->table.n_slots; slot++)
		if (health->table.services[slot])
			slot_queue_put(&p->rows, slot);
	connect_peers(health, p);
}

void pool_synced(struct pool_prober *p)
{
	if (p->state != POOL_SYNCING)
		return;
	p->state = POOL_RUNNING;
	log_info("prober %d runs, process %d", p->slot, p->process.pid);
	set_mask(p->health);
	p->send_mask = true;
}

/* ---- processes -------------------------------------------------------- */

static void drop_peers(struct pool_prober *p)
{
	for (int i = 0; i < PROBERS_MAX; i++) {
		if (p->peer_fd[i] >= 0)
			close(p->peer_fd[i]);
		p->peer_fd[i] = -1;
	}
}

/* It has no share any more, whatever comes next. */
static void forget(struct pool_prober *p)
{
	link_close(p);
	drop_peers(p);
	queue_clear(&p->rows);
	queue_clear(&p->states);
	memset(p->monitors, 0, HEALTH_MONITOR_IDS);
	p->n_monitors = 0;
	tries_prober_gone(p->health, p->slot);
	set_mask(p->health);
}

static void wait_for_restart(struct pool_prober *p)
{
	uint64_t now = health_now_ms();

	if (now - p->started_ms > HEALTHY_MS)
		p->backoff_ms = 0;
	p->state = POOL_WAITING;
	p->start_at_ms = now + p->backoff_ms;
	p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	forget(p);
}

void pool_closed(struct pool_prober *p)
{
	if (p->state == POOL_STOPPING)
		return forget(p);
	/* Its exit status is logged when it is known; until then it must not
	 * linger without a socket. */
	if (p->process_open)
		uv_process_kill(&p->process, SIGKILL);
	p->state = POOL_STOPPING;
	forget(p);
}

static void on_process_closed(uv_handle_t *handle)
{
	struct pool_prober *p = handle->data;

	p->process_open = false;
	p->handles--;
	if (p->health->closing || p->slot >= (int)p->health->pool.wanted) {
		p->state = POOL_EMPTY;
		forget(p);
	} else {
		p->restarts++;
		wait_for_restart(p);
	}
}

static void on_exit_(uv_process_t *process, int64_t status, int signal_)
{
	struct pool_prober *p = process->data;
	bool wanted = !p->health->closing &&
		      p->slot < (int)p->health->pool.wanted;

	if (wanted && signal_)
		log_warn("prober %d was killed by signal %d (%s); others take "
			 "over its bindings until it is back",
			 p->slot, signal_, strsignal(signal_));
	else if (wanted)
		log_warn("prober %d ended with status %d; others take over its "
			 "bindings until it is back",
			 p->slot, (int)status);
	p->state = POOL_STOPPING;
	forget(p);
	uv_close((uv_handle_t *)process, on_process_closed);
}

static int spawn(struct pool_prober *p, int control_fd)
{
	char slot[8];
	char *args[] = { (char *)"sluice-prober", (char *)"--slot", slot,
			 NULL };
	uv_stdio_container_t stdio[6] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
		{ .flags = UV_INHERIT_FD, .data.fd = control_fd },
		{ .flags = UV_INHERIT_FD,
		  .data.fd = p->health->pool.status_fd },
		{ .flags = UV_IGNORE },
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_,
		.file = p->health->pool.path,
		.args = args,
		.stdio_count = 6,
		.stdio = stdio,
	};
	int r;

	if (p->health->pool.tunnels_fd > 0) {
		stdio[5].flags = UV_INHERIT_FD;
		stdio[5].data.fd = p->health->pool.tunnels_fd;
	}
	snprintf(slot, sizeof(slot), "%d", p->slot);
	p->process.data = p;
	r = uv_spawn(p->health->loop, &p->process, &options);
	/* Also a failed one has a handle to be closed. */
	p->process_open = true;
	p->handles++;
	return r;
}

static void start(struct pool_prober *p)
{
	int pair[2], r;

	p->started_ms = health_now_ms();
	p->state = POOL_STARTING;
	memset(&p->health->pool.status->prober[p->slot], 0,
	       sizeof(struct status_prober));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		log_err("prober %d: socket: %s", p->slot, strerror(errno));
		wait_for_restart(p);
		return;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	r = spawn(p, pair[1]);
	close(pair[1]);
	if (!r)
		r = link_open(p, pair[0]);
	else
		close(pair[0]);
	if (!r)
		return;
	log_err("prober %d cannot be started (%s): %s", p->slot,
		p->health->pool.path, uv_strerror(r));
	p->state = POOL_STOPPING;
	uv_close((uv_handle_t *)&p->process, on_process_closed);
}

static void stop(struct pool_prober *p)
{
	if (p->state == POOL_EMPTY || p->state == POOL_STOPPING)
		return;
	if (p->state == POOL_WAITING) {
		p->state = POOL_EMPTY;
		return;
	}
	/* It ends when its socket does; the kill is for one that hangs. */
	p->state = POOL_STOPPING;
	forget(p);
	if (p->process_open)
		uv_process_kill(&p->process, SIGTERM);
}

static struct pool_prober *new_prober(struct health *health, int slot)
{
	struct pool_prober *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->health = health;
	p->slot = slot;
	p->fd = -1;
	p->monitors = calloc(HEALTH_MONITOR_IDS, 1);
	for (int i = 0; i < PROBERS_MAX; i++)
		p->peer_fd[i] = -1;
	if (!p->monitors ||
	    queue_reserve(&p->rows, health->table.n_slots + 64) ||
	    queue_reserve(&p->states, health->table.n_slots + 64)) {
		free(p->monitors);
		free(p->rows.ring);
		free(p->rows.queued);
		free(p);
		return NULL;
	}
	return p;
}

void pool_scale(struct health *health, unsigned int n)
{
	struct pool *pool = &health->pool;

	pool->wanted = n < PROBERS_MAX ? n : PROBERS_MAX;
	for (unsigned int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *p = pool->probers[i];

		if (i >= pool->wanted) {
			if (p)
				stop(p);
			continue;
		}
		if (!p)
			p = pool->probers[i] = new_prober(health, i);
		if (!p) {
			log_err("prober %u: out of memory", i);
			return;
		}
		if (p->state == POOL_EMPTY)
			start(p);
		/* One that is stopping is restarted when it has ended. */
	}
}

/* ---- watching --------------------------------------------------------- */

static void watch(struct health *health, struct pool_prober *p, uint64_t now_ns)
{
	uint64_t beat = __atomic_load_n(
		&health->pool.status->prober[p->slot].heartbeat_ns,
		__ATOMIC_RELAXED);
	/* A garbled heartbeat from the future is none. */
	uint64_t silent = beat && beat <= now_ns + SILENT_NS ?
				  (beat > now_ns ? 0 : now_ns - beat) :
				  now_ns - p->started_ms * 1000000;

	if (p->state == POOL_RUNNING && silent > SILENT_NS) {
		log_warn("prober %d is silent: others take over its bindings",
			 p->slot);
		p->state = POOL_SILENT;
		set_mask(health);
	} else if (p->state == POOL_SILENT && silent < SILENT_NS / 2) {
		log_notice("prober %d is back", p->slot);
		p->state = POOL_RUNNING;
		set_mask(health);
	}
	if (silent > HUNG_NS && p->process_open) {
		log_warn("prober %d hangs: killed", p->slot);
		uv_process_kill(&p->process, SIGKILL);
	}
}

void pool_tick(struct health *health, uint64_t now_ms, bool late)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *p = health->pool.probers[i];

		if (!p)
			continue;
		if (p->state == POOL_WAITING && now_ms >= p->start_at_ms)
			start(p);
		/* Who was late himself accuses nobody. */
		else if (!late && p->process_open && p->state != POOL_STOPPING)
			watch(health, p,
			      (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
	}
}

/* ---- life ------------------------------------------------------------- */

static bool runnable(const char *dir, const char *name, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%s/%s", dir, name);

	return n > 0 && (size_t)n < size && !access(buf, X_OK);
}

static void find_program(const char *given, char *buf, size_t size)
{
	static const char installed[] = "/usr/libexec/sluice";
	char self[PATH_MAX], *slash;
	ssize_t n;

	if (!given || !*given)
		given = getenv("SLUICE_PROBER");
	if (given && *given) {
		snprintf(buf, size, "%s", given);
		return;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		if (runnable(self, "sluice-prober", buf, size) ||
		    runnable(self, "../libexec/sluice/sluice-prober", buf,
			     size))
			return;
	}
	snprintf(buf, size, "%s/sluice-prober", installed);
}

int pool_init(struct health *health, const char *prober_path)
{
	find_program(prober_path, health->pool.path, sizeof(health->pool.path));
	return status_table_create(&health->pool.status_fd,
				   &health->pool.status);
}

void pool_deinit(struct health *health)
{
	struct pool *pool = &health->pool;

	for (int i = 0; i < PROBERS_MAX; i++) {
		struct pool_prober *p = pool->probers[i];

		if (!p)
			continue;
		assert(!p->handles);
		free(p->rows.ring);
		free(p->rows.queued);
		free(p->states.ring);
		free(p->states.queued);
		free(p->monitors);
		free(p);
	}
	status_table_unmap(pool->status);
	if (pool->status)
		close(pool->status_fd);
}
