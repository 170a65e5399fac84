/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of one sluice-prober process and what they share. Single thread,
 * one libuv loop. Read in this order: table.c (what is to be probed),
 * schedule.c (when, and what a result means), probe.c (one probe's life),
 * probe_*.c (one file per kind), control.c (messages).
 */
#ifndef SLUICE_PROBER_H
#define SLUICE_PROBER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>
#include <uv.h>

#include "config/config.h"
#include "health/health.h"
#include "health/probe_wire.h"
#include "health/reason.h"
#include "health/status_table.h"
#include "health/verdict.h"
#include "health/wheel.h"

struct binding;
struct prober;
struct monitor;
struct probe;

/* ---- table.c: monitors, services, bindings ---------------------------- */

/* One service with its bindings, in one piece of memory. */
struct binding {
	struct wheel_node due; /* next probe */
	uint64_t due_ns;
	TAILQ_ENTRY(binding) dirty; /* result to be sent to its consolidator */
	struct target *service;
	struct monitor *monitor;
	struct probe *probe; /* running now */
	struct verdict verdict; /* of the runner */
	struct reason_info *reason; /* of a verdict the daemon lacks */
	uint32_t row;
	uint16_t weight;
	uint8_t known; /* verdict the daemon holds */
	uint8_t seen;  /* verdict as consolidated here */
	int8_t dirty_to; /* prober whose list it is on, or −1 */
	uint8_t discards; /* results in a row that did not count */
	bool runs;	 /* here */
	bool failing;	 /* counted in schedule: passed before, now fails */
	bool fresh;	 /* next delay is drawn from the whole interval */
};

struct target {
	TAILQ_ENTRY(target) dirty; /* state to be sent to the daemon */
	uint64_t entity;
	uint32_t slot, generation, threshold, n_bindings;
	union ip_addr addr;
	uint16_t port;
	uint8_t known;	    /* enum health_observed, as the daemon holds it */
	uint8_t observed;   /* as consolidated here */
	int8_t consolidator;
	bool owned, is_dirty;
	struct reason_info *why; /* of a state the daemon lacks */
	struct name *domain; /* NULL: it was configured with an address */
	char name[NAME_LEN];
	struct binding bindings[];
};

TAILQ_HEAD(binding_list, binding);
TAILQ_HEAD(target_list, target);

struct table {
	struct monitor **monitors; /* by id */
	struct target **services; /* by slot */
	uint32_t n_monitors, n_services; /* room */
	uint32_t runs; /* bindings that run here */
	uint32_t consolidates;
};

void table_free(struct prober *prober);
/* 0, or -errno: -ENOMEM, -EBADMSG. */
int table_set_monitor(struct prober *prober, uint32_t id,
		      struct config_monitor *definition);
void table_remove_monitor(struct prober *prober, uint32_t id);
int table_set_service(struct prober *prober,
		      const struct probe_wire_service *row);
void table_remove_service(struct prober *prober, uint32_t slot);
void table_set_state(struct prober *prober,
		     const struct probe_wire_state *state);
void table_set_result(struct prober *prober,
		      const struct probe_wire_result *result);
void table_set_probers(struct prober *prober, uint64_t mask);
/* Joins the verdicts; queues what the daemon does not know yet. WHY: what
 * caused it. */
void table_consolidate(struct prober *prober, struct target *service,
		       const struct reason_info *why);

/* ---- schedule.c ------------------------------------------------------- */

struct schedule {
	struct wheel wheel; /* due probes and time-outs */
	uint32_t passing, failing; /* bindings with PASS; of these, failing */
	uint32_t in_flight, in_flight_max;
};

void schedule_init(struct prober *prober);
void schedule_add(struct prober *prober, struct binding *binding);
void schedule_remove(struct prober *prober, struct binding *binding);
void schedule_run(struct prober *prober, uint64_t now_ns);
/* How long its next probe may take. */
uint32_t schedule_timeout_ms(const struct binding *binding);
/* A probe of BINDING ended; OK: its criterion was met; LOST_US: time of its
 * life that this process slept through. */
void schedule_result(struct prober *prober, struct binding *binding, bool ok,
		     struct reason_info *reason, uint64_t start_ns,
		     uint32_t response_us, uint64_t lost_us);

/* Tags of the wheel's nodes: what is due. */
enum schedule_tag {
	SCHEDULE_PROBE_DUE,
	SCHEDULE_TIME_OUT,
	SCHEDULE_NAME,
};

/* ---- names.c: domain-based services ----------------------------------- */

struct name;

/* The name of SERVICE, by its row; OLD (may be NULL), that of the row before, is
 * reused or freed. NULL: no memory. */
struct name *names_new(struct prober *prober, struct target *service,
		       const struct probe_wire_service *row, struct name *old);
/* Accepts NULL. */
void names_free(struct name *name);
/* Whether this prober asks for it. */
void names_activate(struct name *name, bool on);
/* It is due. */
void names_ask(struct wheel_node *due);
/* Every turn of the loop. */
void names_turn(void);
void names_deinit(void);
/* What the daemon has not been told yet, oldest first; false: nothing. It
 * counts as told with names_told(). */
bool names_next(struct probe_wire_name *ret);
void names_told(void);

/* ---- late.c: was this process on time? -------------------------------- */

#define LATE_TICK_MS 20	  /* the loop turns at least this often */
#define LATE_NOISE_MS 5	  /* beyond the tick: not counted as lost */
#define LATE_LIMIT_MS 50  /* a gap longer than tick + this is a late window */

struct late {
	uint64_t last_ns, mark_ns; /* last turn; end of the last late window */
	uint64_t lost_us; /* ever */
	uint64_t second_ns;
	uint32_t max_us;
};

void late_observe(struct prober *prober, uint64_t now_ns);
/* Whether a late window ended after START_NS. */
bool late_since(const struct prober *prober, uint64_t start_ns);

/* ---- self_check.c ----------------------------------------------------- */

struct self_check {
	int listener; /* on loopback; −1: loopback is not usable here */
	uint16_t port;
	uint64_t checked_ns;
	bool passed;
	bool complained;
};

void self_check_init(struct prober *prober);
/* Whether this machine itself is well enough for failures to be believed;
 * bounded to 20 ms, at most once per second. */
bool self_check_passed(struct prober *prober);

/* ---- control.c: daemon and peers -------------------------------------- */

struct control_end {
	struct prober *prober;
	uv_poll_t poll;
	int fd, slot; /* slot −1: the daemon */
	bool open;
};

struct control {
	struct control_end daemon, *peers[PROBERS_MAX];
	struct binding_list dirty[PROBERS_MAX];
	struct target_list states;
	bool backlog;
};

int control_init(struct prober *prober);
/* REASON NULL: as before. */
void control_send_result(struct prober *prober, struct binding *binding,
			 const struct reason_info *reason);
void control_drop_result(struct prober *prober, struct binding *binding);
void control_send_state(struct prober *prober, struct target *service,
			const struct reason_info *why);
void control_drop_state(struct prober *prober, struct target *service);
void control_flush(struct prober *prober);
void control_step(struct prober *prober, uint64_t id, uint32_t us,
		  const char *text);
void control_tried(struct prober *prober, uint64_t id, bool passed, uint32_t us,
		   const struct reason_info *reason);
void control_note(struct prober *prober, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the process ------------------------------------------------------ */

struct prober {
	uv_loop_t *loop;
	int slot;
	uint64_t mask; /* running probers */
	struct status_table *status;
	struct status_prober *self;
	struct table table;
	struct schedule schedule;
	struct late late;
	struct self_check self_check;
	struct control control;
	uint64_t random; /* state of prober_random() */
	uv_timer_t timer;
	uv_check_t check;
	bool stopping;
};

static inline uint64_t prober_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Jitter needs no secrets: xorshift64*. */
static inline uint32_t prober_random(struct prober *prober)
{
	prober->random ^= prober->random >> 12;
	prober->random ^= prober->random << 25;
	prober->random ^= prober->random >> 27;
	return prober->random * 0x2545f4914f6cdd1dull >> 32;
}

#endif
