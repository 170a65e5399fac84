// SPDX-License-Identifier: GPL-2.0-only
/*
 * One engine's life as the daemon sees it: start, readiness, silence, stop,
 * death, restart with back-off. Processes are followed by pidfd, whether
 * children of this daemon or of a former one. Loop thread.
 */
#include "control/engine_supervisor_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "engine/frames.h"
#include "util/log.h"

/* From start to READY, and from a daemon's start until its predecessor's
 * engines have called. Both take milliseconds. */
#define START_MAX_MS 10000u
#define AWAIT_MAX_MS 3000u
/* An engine that was asked to stop and has not. */
#define STOP_MAX_MS 3000u

extern char **environ;

const char *engine_slot_state_name(enum slot_state state)
{
	static const char *const names[] = {
		[SLOT_EMPTY] = "empty",	      [SLOT_AWAITED] = "awaited",
		[SLOT_STARTING] = "starting", [SLOT_READY] = "running",
		[SLOT_STOPPING] = "stopping", [SLOT_BACKOFF] = "restarting",
	};

	return names[state];
}

static void set_state(struct engine_slot *slot, enum slot_state state)
{
	struct engine_info *info =
		&slot->supervisor->engines[slot->slot];
	static const uint32_t shown[] = {
		[SLOT_EMPTY] = ENGINE_EMPTY,
		[SLOT_AWAITED] = ENGINE_RUNNING,
		[SLOT_STARTING] = ENGINE_STARTING,
		[SLOT_READY] = ENGINE_RUNNING,
		[SLOT_STOPPING] = ENGINE_STOPPING,
		[SLOT_BACKOFF] = ENGINE_EMPTY,
	};

	slot->state = state;
	slot->since_ms = engine_supervisor_now_ms();
	__atomic_store_n(&info->state, shown[state], __ATOMIC_RELEASE);
}

void engine_slot_init(struct engine_supervisor *s, uint32_t i)
{
	struct engine_slot *slot = &s->slot[i];

	slot->supervisor = s;
	slot->slot = i;
	slot->backoff_ms = ENGINE_BACKOFF_MIN_MS;
	for (uint32_t p = 0; p < POOLS_MAX; p++)
		slot->sock[p] = -1;
}

bool engine_slot_alive(const struct engine_slot *slot)
{
	return slot->process != NULL;
}

static void drop_sockets(struct engine_slot *slot)
{
	for (uint32_t p = 0; p < POOLS_MAX; p++) {
		if (slot->sock[p] >= 0)
			close(slot->sock[p]);
		slot->sock[p] = -1;
		slot->has_port[p] = false;
	}
}

void engine_slot_forget(struct engine_slot *slot)
{
	engine_watch_free(slot->conn);
	engine_watch_free(slot->process);
	slot->conn = slot->process = NULL;
	drop_sockets(slot);
}

/* How it ended, if it was our child. */
static void describe_exit(struct engine_slot *slot, int status, bool known)
{
	char *text = slot->last_exit;
	size_t len = sizeof(slot->last_exit);

	if (!known)
		snprintf(text, len, "gone");
	else if (WIFSIGNALED(status))
		snprintf(text, len, "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, len, "exit status %d", WEXITSTATUS(status));
}

/* Back-off spares the machine, but not at the price of having no engine at
 * all: the last one to die comes back at once. */
static void hurry_if_last(struct engine_slot *slot, uint64_t now)
{
	const struct engine_supervisor *s = slot->supervisor;

	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		if (s->slot[i].state == SLOT_READY ||
		    s->slot[i].state == SLOT_STARTING)
			return;
	}
	slot->restart_ms = now + ENGINE_BACKOFF_MIN_MS;
}

/* The process is gone. The kernel has closed its sockets and emptied its
 * places in the XSKMAP before telling us. */
static void on_exit_seen(void *ctx, int pidfd)
{
	struct engine_slot *slot = ctx;
	struct engine_supervisor *s = slot->supervisor;
	uint64_t now = engine_supervisor_now_ms();
	bool stopping = slot->state == SLOT_STOPPING, known = false;
	int status = 0;

	if (slot->child)
		known = waitpid(slot->pid, &status, WNOHANG) == slot->pid;
	describe_exit(slot, status, known);
	if (stopping)
		log_info("engine %u (pid %d) stopped", slot->slot, slot->pid);
	else
		log_warn("engine %u (pid %d) died: %s", slot->slot, slot->pid,
			 slot->last_exit);
	engine_slot_forget(slot);
	slot->pid = 0;
	slot->silent = false;
	if (now - slot->started_ms >= ENGINE_HEALTHY_MS)
		slot->backoff_ms = ENGINE_BACKOFF_MIN_MS;
	if (stopping || slot->slot >= s->count) {
		set_state(slot, SLOT_EMPTY);
	} else {
		slot->restarts++;
		slot->restart_ms = now + slot->backoff_ms;
		if (slot->backoff_ms < ENGINE_BACKOFF_MAX_MS)
			slot->backoff_ms *= 2;
		set_state(slot, SLOT_BACKOFF);
		hurry_if_last(slot, now);
	}
	engine_reclaim_dead(slot);
	engine_supervisor_table(s);
	engine_supervisor_sync(s);
}

static int watch_process(struct engine_slot *slot, pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	return engine_watch_new(slot->supervisor->loop, fd, on_exit_seen, slot,
				&slot->process);
}

/* A process id may have been used again: it must also be an engine. */
static bool is_engine(pid_t pid)
{
	char path[48], comm[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, comm, sizeof(comm) - 1);
	close(fd);
	return n > 0 && !strncmp(comm, "sluice-engine", 13);
}

void engine_slot_find(struct engine_slot *slot)
{
	const struct engine_info *info =
		&slot->supervisor->engines[slot->slot];
	pid_t pid = (pid_t)info->pid;

	slot->epoch = info->epoch;
	if (info->state == ENGINE_EMPTY || pid <= 1 ||
	    watch_process(slot, pid))
		return;
	if (!is_engine(pid)) {
		engine_watch_free(slot->process);
		slot->process = NULL;
		return;
	}
	slot->pid = pid;
	slot->child = false;
	slot->started_ms = engine_supervisor_now_ms();
	slot->inserted = true;
	slot->killed = false;
	set_state(slot, SLOT_AWAITED);
}

static int spawn(struct engine_slot *slot, pid_t *ret_pid)
{
	struct engine_supervisor *s = slot->supervisor;
	char number[12], epoch[12];
	char *argv[] = { s->engine_path, "--socket", s->socket_path, "--slot",
			 number, "--epoch", epoch, NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	int err;

	snprintf(number, sizeof(number), "%u", slot->slot);
	snprintf(epoch, sizeof(epoch), "%u", slot->epoch);
	err = posix_spawnattr_init(&attr);
	if (err)
		return -err;
	/* Its own session: it outlives the daemon, its terminal and its
	 * process group. */
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr,
				 POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	err = posix_spawn(ret_pid, s->engine_path, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return -err;
}

static void start_failed(struct engine_slot *slot, int err)
{
	log_err("engine %u: cannot start %s: %s", slot->slot,
		slot->supervisor->engine_path, strerror(-err));
	snprintf(slot->last_exit, sizeof(slot->last_exit), "not started: %s",
		 strerror(-err));
	slot->restart_ms = engine_supervisor_now_ms() + slot->backoff_ms;
	if (slot->backoff_ms < ENGINE_BACKOFF_MAX_MS)
		slot->backoff_ms *= 2;
	set_state(slot, SLOT_BACKOFF);
}

void engine_slot_start(struct engine_slot *slot)
{
	struct engine_supervisor *s = slot->supervisor;
	struct engine_info *info = &s->engines[slot->slot];
	pid_t pid;
	int err;

	assert(!slot->process && !slot->conn);
	assert(!slot->dead_frames);
	slot->epoch++;
	slot->setup_sent = slot->inserted = false;
	slot->silent = slot->killed = false;
	*info = (struct engine_info){ .epoch = slot->epoch };
	err = spawn(slot, &pid);
	if (!err) {
		err = watch_process(slot, pid);
		if (err) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	if (err) {
		start_failed(slot, err);
		return;
	}
	slot->pid = pid;
	slot->child = true;
	slot->started_ms = engine_supervisor_now_ms();
	info->pid = (uint32_t)pid;
	set_state(slot, SLOT_STARTING);
}

void engine_slot_ready(struct engine_slot *slot)
{
	struct engine_supervisor *s = slot->supervisor;

	if (slot->state == SLOT_READY)
		return;
	log_info("engine %u (pid %d) %s", slot->slot, slot->pid,
		 slot->state == SLOT_AWAITED ? "adopted" : "ready");
	set_state(slot, SLOT_READY);
	engine_supervisor_table(s);
	engine_supervisor_sync(s);
}

static void leave_xskmap(struct engine_slot *slot)
{
	const struct engine_supervisor *s = slot->supervisor;

	if (!s->memory.ready)
		return;
	for (uint32_t p = 0; p < s->memory.frames->n_pools; p++) {
		const struct ctl_pool *cp = &s->memory.ctl->pool[p];
		uint32_t key;

		if (!cp->used || cp->iface >= IFACES_MAX ||
		    cp->queue >= QUEUES_MAX)
			continue;
		key = XSK_INDEX(cp->iface, cp->queue, slot->slot);
		bpf_map_delete_elem(s->options.maps.xsks, &key);
	}
}

void engine_slot_stop(struct engine_slot *slot)
{
	if (slot->state == SLOT_BACKOFF) {
		set_state(slot, SLOT_EMPTY);
		return;
	}
	if (!engine_slot_alive(slot) || slot->state == SLOT_STOPPING)
		return;
	leave_xskmap(slot);
	set_state(slot, SLOT_STOPPING);
	if (!slot->conn || engine_talk_send_stop(slot))
		engine_slot_kill(slot, "cannot be told to stop");
}

void engine_slot_kill(struct engine_slot *slot, const char *why)
{
	if (!engine_slot_alive(slot) || slot->killed)
		return;
	slot->killed = true;
	log_warn("engine %u (pid %d) %s: killing it", slot->slot, slot->pid,
		 why);
	syscall(SYS_pidfd_send_signal, engine_watch_fd(slot->process), SIGKILL,
		NULL, 0);
}

static bool holds_lock(const struct engine_slot *slot)
{
	const struct engine_memory *memory = &slot->supervisor->memory;

	if (!memory->ready)
		return false;
	for (uint32_t p = 0; p < memory->frames->n_pools; p++) {
		if (__atomic_load_n(&memory->ctl->pool[p].holder,
				    __ATOMIC_RELAXED) == 1 + slot->slot)
			return true;
	}
	return false;
}

static void check_heartbeat(struct engine_slot *slot, uint64_t now_ms)
{
	struct engine_supervisor *s = slot->supervisor;
	uint64_t beat = __atomic_load_n(&s->engines[slot->slot].heartbeat_ns,
					__ATOMIC_RELAXED);
	uint64_t now_ns = now_ms * 1000000;
	uint64_t age = now_ns > beat ? now_ns - beat : 0;
	bool silent = age > ENGINE_SILENT_NS;

	if (slot->state == SLOT_READY && silent != slot->silent) {
		slot->silent = silent;
		if (silent)
			log_warn("engine %u (pid %d) is silent: new work goes "
				 "to others", slot->slot, slot->pid);
		else
			log_notice("engine %u (pid %d) is back", slot->slot,
				   slot->pid);
		engine_supervisor_table(s);
	}
	if (age > ENGINE_HUNG_MS * 1000000ull)
		engine_slot_kill(slot, "does not run");
	else if (silent && holds_lock(slot))
		engine_slot_kill(slot, "stopped while others wait for it");
}

void engine_slot_tick(struct engine_slot *slot, uint64_t now_ms, bool late)
{
	uint64_t age = now_ms - slot->since_ms;

	switch (slot->state) {
	case SLOT_EMPTY:
		break;
	case SLOT_AWAITED:
		/* It could not be heard while this process was busy, with a
		 * large configuration for one: the wait begins anew. */
		if (late)
			slot->since_ms = now_ms;
		else if (age > AWAIT_MAX_MS)
			engine_slot_kill(slot, "did not call");
		break;
	case SLOT_STARTING:
		if (age > START_MAX_MS)
			engine_slot_kill(slot, "did not become ready");
		break;
	case SLOT_READY:
		/* A daemon that was itself late accuses nobody. */
		if (!late)
			check_heartbeat(slot, now_ms);
		if (!slot->conn && now_ms - slot->conn_lost_ms > AWAIT_MAX_MS)
			engine_slot_kill(slot, "closed its connection");
		break;
	case SLOT_STOPPING:
		if (age > STOP_MAX_MS)
			engine_slot_kill(slot, "does not stop");
		break;
	case SLOT_BACKOFF:
		if (now_ms >= slot->restart_ms && !slot->dead_frames &&
		    slot->supervisor->memory.ready)
			engine_slot_start(slot);
		break;
	}
}
