/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the engine supervisor share; private to them.
 *
 *   engine_supervisor.c      the public calls, the tick, the bucket table
 *   engine_slot.c            one engine's life: start, stop, death, restart
 *   engine_talk.c            RUNDIR/engine.sock, hand-over of sockets
 *   engine_reclaim.c         what a dead engine held: frames, flow sets
 *   engine_supervisor_api.c  JSON
 *
 * Everything runs on the loop's thread; one job of engine_reclaim.c runs on
 * libuv's pool and touches nothing here.
 */
#ifndef SLUICE_ENGINE_SUPERVISOR_IMPL_H
#define SLUICE_ENGINE_SUPERVISOR_IMPL_H

#include <sys/types.h>
#include "control/engine_memory.h"
#include "control/engine_supervisor.h"
#include "control/engine_watch.h"
#include "engine/link.h"
#include "flow.h"
#include "map_abi.h"

#define ENGINE_TICK_MS 25u

/*
 * EMPTY → STARTING → READY → STOPPING → EMPTY
 *           ↓ death    ↓ death
 *         BACKOFF → STARTING
 * AWAITED: alive from a former daemon, has not called yet; → READY.
 */
enum slot_state {
	SLOT_EMPTY,
	SLOT_AWAITED,
	SLOT_STARTING,
	SLOT_READY,
	SLOT_STOPPING,
	SLOT_BACKOFF,
};

struct engine_slot {
	struct engine_supervisor *supervisor;
	uint32_t slot;
	enum slot_state state;
	uint64_t since_ms; /* in this state */
	uint64_t restart_ms; /* BACKOFF: not before */
	uint32_t backoff_ms;
	uint32_t epoch;
	pid_t pid;
	bool child; /* ours to wait for */
	struct engine_watch *process; /* pidfd */
	struct engine_watch *conn;
	bool silent;	   /* out of the bucket table for it */
	bool inserted;	   /* its sockets may have got packets */
	bool dead_frames;  /* died, its frames are not yet reclaimed */
	bool setup_sent;
	bool killed; /* SIGKILL is on its way */
	uint64_t conn_lost_ms;
	uint64_t started_ms;
	uint32_t restarts;
	char last_exit[64];
	int sock[POOLS_MAX];	  /* sent, not yet in the XSKMAP; -1 */
	bool has_port[POOLS_MAX]; /* has or was sent a socket */
};

struct wanted_iface {
	bool used;
	int err; /* why the last queue could not be opened; tried again */
	uint64_t retry_ms;
	uint32_t ifindex;
	uint32_t queues;
	char name[16];
};

enum reclaim_stage {
	RECLAIM_IDLE,
	RECLAIM_GRACE, /* packets under way reach their RX rings */
	RECLAIM_DRAIN, /* live engines look through their RX rings */
};

struct engine_supervisor {
	uv_loop_t *loop;
	struct engine_supervisor_options options;
	uint8_t rss_key[40];
	char *run_dir;
	char *engine_path;
	char *socket_path;

	struct engine_info *engines; /* map "engines" */
	struct core_bucket *core_bkts;
	struct flow_set *flows;
	struct vserver *vservers;
	size_t engines_len, core_bkts_len, flows_len, vservers_len;
	uint32_t flow_sets;
	uint64_t map_len[LINK_MAPS];
	int map_fd[LINK_MAPS];

	uint32_t count; /* the wish; 0 before the first set_count */
	char impossible[200]; /* why this kernel can have none, or empty */
	struct engine_slot slot[ENGINES_MAX];
	struct wanted_iface iface[IFACES_MAX];
	struct engine_memory memory;
	bool retiring[POOLS_MAX];
	uint32_t in_table; /* bit set of slots in core_bkts */
	uint64_t moved;	   /* buckets whose first engine changed, all told */

	struct engine_watch *listener;
	struct talk_guest *guests; /* connected, HELLO not yet seen */
	uint32_t n_guests;
	uv_timer_t tick;
	uint64_t last_tick_ms;

	enum reclaim_stage stage;
	bool reclaim_wanted; /* another elimination round is due */
	bool grace_running;  /* the job on the pool refers to us */
	bool refill_wanted;
	uint64_t refill_ms;
	uint32_t marks[POOLS_MAX];
	struct reclaim_job *job;
	struct recount_job *recount; /* runs now */
	uint64_t recount_ms;	     /* due; 0: not wanted */
};

uint64_t engine_supervisor_now_ms(void);
/* Opens pools for wanted queues, retires unwanted ones, sends sockets. */
void engine_supervisor_sync(struct engine_supervisor *s);
/* Recomputes the bucket table. */
void engine_supervisor_table(struct engine_supervisor *s);

/* engine_slot.c */
void engine_slot_init(struct engine_supervisor *s, uint32_t slot);
/* Is an engine of a former daemon alive here? Then it is awaited. */
void engine_slot_find(struct engine_slot *slot);
void engine_slot_start(struct engine_slot *slot);
/* Takes it out of the XSKMAP and asks it to finish; the table is the
 * caller's. */
void engine_slot_stop(struct engine_slot *slot);
void engine_slot_kill(struct engine_slot *slot, const char *why);
void engine_slot_ready(struct engine_slot *slot);
bool engine_slot_alive(const struct engine_slot *slot);
/* Silence, hang, restart. */
void engine_slot_tick(struct engine_slot *slot, uint64_t now_ms, bool late);
void engine_slot_forget(struct engine_slot *slot); /* closes, keeps it alive */
const char *engine_slot_state_name(enum slot_state state);

/* engine_talk.c */
int engine_talk_listen(struct engine_supervisor *s);
void engine_talk_close(struct engine_supervisor *s);
void engine_talk_send_port(struct engine_slot *slot, uint32_t pool);
void engine_talk_send_unport(struct engine_slot *slot, uint32_t pool);
int engine_talk_send_stop(struct engine_slot *slot);

/* engine_reclaim.c */
void engine_reclaim_dead(struct engine_slot *slot);
void engine_reclaim_tick(struct engine_supervisor *s, uint64_t now_ms);
void engine_reclaim_stop(struct engine_supervisor *s);
/* Bit set of engines whose RX rings may hold frames. */
uint32_t engine_reclaim_undrained(const struct engine_supervisor *s);

#endif
