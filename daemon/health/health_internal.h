/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the daemon's half of health share. health.c owns struct
 * health and the transitions; table.c what is probed; pool.c the processes;
 * link.c the messages; ticks.c all that happens by time; report.c JSON.
 */
#ifndef SLUICE_HEALTH_INTERNAL_H
#define SLUICE_HEALTH_INTERNAL_H

#include <limits.h>
#include <uv.h>

#include "health/health.h"
#include "health/passive.h"
#include "health/probe_wire.h"
#include "health/state_file.h"
#include "health/status_table.h"
#include "health/svc_fsm.h"
#include "util/u64_map.h"

#define HEALTH_TICK_MS 100

/* ---- table.c ---------------------------------------------------------- */

struct health_monitor {
	struct config_monitor config; /* strings owned */
	uint8_t *wire;		      /* the definition as probers get it */
	size_t wire_len;
	uint32_t references; /* bindings */
};

struct health_binding {
	uint32_t row;
	uint32_t monitor; /* index in table.monitors */
	uint16_t weight;
	uint8_t verdict;
	struct passive *passive; /* inline monitors */
	uint64_t passive_ms;	 /* next look */
};

struct health_service {
	char name[NAME_LEN];
	uint64_t entity;
	uint32_t slot, generation;
	union ip_addr addr;
	uint16_t port;
	/* Domain-based: NULL or its domain; no address, no probes, DOWN. */
	char *domain;
	uint8_t family;
	bool unresolved;
	uint32_t ttl_s;		/* of the address in use */
	char *name_error;	/* of the last question; NULL: answered */
	uint32_t name_failures; /* in a row */
	int64_t named_s;	/* wall clock: last answer here; 0: none */
	uint32_t threshold, slow_start_ms;
	struct svc_fsm fsm;
	bool owned, config_enabled;
	bool fresh, was_enabled; /* while a configuration is applied */
	enum svc_state before;	 /* … */
	bool graceful;	      /* draining: until its flows are gone */
	uint16_t slow_scale;  /* 256: not starting slowly */
	uint64_t slow_ms;     /* when the slow start began */
	uint64_t drain_ms;    /* deadline of draining; 0: none */
	char *reason;	      /* from malloc, NULL: none */
	int64_t since_s;
	uint64_t changes;
	/* As last reported through ops; weight_percent 0: not yet, so what an
	 * earlier daemon said is in force. */
	struct health_metrics metrics;
	uint32_t n_bindings;
	struct health_binding bindings[];
};

struct health_table {
	struct health_monitor **monitors; /* by id, MONITORS_MAX × 2 */
	struct health_service **services; /* by slot */
	uint32_t n_slots;		  /* slots used so far */
	uint32_t n_services;
	struct u64_map by_entity;
	uint32_t *generations; /* per slot, outlives the service */
	uint32_t *free_slots, n_free_slots;
	uint32_t *free_rows, n_free_rows, n_rows;
	uint32_t n_inline;
};

/* A change of definition gets a new id before the old one is free. */
#define HEALTH_MONITOR_IDS (2 * MONITORS_MAX)

int health_table_init(struct health *health);
void health_table_deinit(struct health *health);
int health_table_apply(struct health *health, const struct config *config);
/* A service's address and port as one number, for the state file. */
uint64_t health_table_where(const union ip_addr *addr, uint16_t port);
struct health_service *health_table_find(const struct health *health,
				  uint64_t entity);
struct health_service *health_table_find_name(const struct health *health,
				       const char *name);

/* ---- pool.c ----------------------------------------------------------- */

/* Slots whose row or state a prober has not been sent yet: a ring without
 * duplicates, so it never outgrows the table. */
struct slot_queue {
	uint32_t *ring;
	uint8_t *queued; /* by slot */
	uint32_t head, n, room;
};

enum pool_state {
	POOL_EMPTY,   /* no process wanted, none there */
	POOL_WAITING, /* will be started when its back-off is over */
	POOL_STARTING,
	POOL_SYNCING, /* gets the table */
	POOL_RUNNING,
	POOL_SILENT, /* no heartbeat: others have its share */
	POOL_STOPPING,
};

struct pool_prober {
	struct health *health;
	uv_process_t process;
	uv_poll_t poll;
	int fd, slot;
	enum pool_state state;
	bool process_open, poll_open, wants_write, send_mask;
	uint32_t handles; /* open libuv handles */
	uint64_t started_ms, start_at_ms;
	uint32_t backoff_ms, restarts;
	int peer_fd[PROBERS_MAX]; /* to be passed on; −1: none */
	struct slot_queue rows, states;
	uint8_t *monitors; /* by id: to be sent */
	uint32_t n_monitors;
};

struct pool {
	struct pool_prober *probers[PROBERS_MAX];
	unsigned int wanted;
	uint64_t mask; /* running */
	char path[PATH_MAX];
	int status_fd;
	int tunnels_fd; /* see health_options; not ours */
	struct status_table *status;
};

int pool_init(struct health *health, const char *prober_path);
void pool_deinit(struct health *health);
void pool_scale(struct health *health, unsigned int n);
/* Every HEALTH_TICK_MS; LATE: this process was not on time itself. */
void pool_tick(struct health *health, uint64_t now_ms, bool late);
void pool_closed(struct pool_prober *prober); /* its socket ended */
void pool_ready(struct pool_prober *prober);
void pool_synced(struct pool_prober *prober);
/* Makes room for slots up to N in all queues. */
int pool_reserve(struct health *health, uint32_t n);
void pool_row_changed(struct health *health, uint32_t slot);
void pool_state_changed(struct health *health, uint32_t slot);
void pool_monitor_changed(struct health *health, uint32_t id);
bool slot_queue_put(struct slot_queue *queue, uint32_t slot);

/* ---- link.c ----------------------------------------------------------- */

int link_open(struct pool_prober *prober, int fd);
void link_close(struct pool_prober *prober);
/* Sends what the prober lacks, as far as its socket takes it. */
void link_flush(struct pool_prober *prober);
int link_try(struct pool_prober *prober, uint64_t id,
	     const struct config_service *service,
	     const struct config_monitor *monitor);

/* ---- tries.c ---------------------------------------------------------- */

#define TRIES_MAX 32
#define TRY_STEPS_MAX 32

struct health_try {
	uint64_t id; /* 0: unused */
	uint64_t started_ms;
	int slot;
	uint32_t n_steps;
	void (*done)(void *ctx, struct json_object *result);
	void *ctx;
	struct {
		uint32_t us;
		char *text;
	} steps[TRY_STEPS_MAX];
};

void tries_step(struct health *health, uint64_t id, int slot, uint32_t us,
		const char *text, size_t len);
void tries_done(struct health *health, uint64_t id, int slot, bool passed,
		uint32_t us, const struct reason_info *reason);
void tries_prober_gone(struct health *health, int slot);
void tries_deinit(struct health *health);

/* ---- ticks.c ---------------------------------------------------------- */

void ticks_run(struct health *health, uint64_t now_ms);
void ticks_deinit(struct health *health);

/* ---- health.c --------------------------------------------------------- */

struct health {
	uv_loop_t *loop;
	struct health_ops ops;
	void *ctx;
	struct health_table table;
	struct pool pool;
	struct health_try tries[TRIES_MAX];
	uint64_t next_try;
	struct state_file restored;
	char *state_path;
	bool applied;	   /* a configuration was */
	bool state_dirty;  /* the file is older than the states */
	bool state_busy;   /* being written */
	uint64_t state_ms; /* when it was last written */
	uint64_t tick_ms, sample_ms;
	uv_timer_t tick;
	uv_prepare_t prepare;
	bool closing;
};

uint64_t health_now_ms(void);

/* The one way a service changes: joins ADMIN and OBSERVED, logs, tells the
 * daemon. WHY may be NULL: as it was. */
void health_move(struct health *health, struct health_service *service,
		 enum svc_admin admin, enum health_observed observed,
		 const char *why);
/* Reports the share of its weight that the service takes now. */
void health_tell_weight(struct health *health, const struct health_service *s);

/* After its row was put in place: logs and tells what is new. */
void health_settle(struct health *health, struct health_service *service);

/* The last timer of health_free(). */
void health_end(uv_timer_t *timer);

/* What a prober resolved a service's domain to. */
void health_take_name(struct health *health, int slot,
		      const struct probe_wire_name *name);

/* A prober's consolidated state. */
void health_take_state(struct health *health, int slot,
		       const struct probe_wire_state *state);

#endif
