/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When probes start, and what their results mean. Three kinds of results do
 * not count, and the probe is run again soon: connections that broke while this
 * process was late (late.c), trouble of this machine (no descriptors, no memory), and,
 * when most services fail at once, whatever would take a service down until
 * the self-check has passed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "prober/monitor.h"
#include "prober/probe.h"
#include "prober/prober.h"

/* A probe that does not count is repeated after so long, or after its interval
 * if that is shorter. */
#define AGAIN_MS 200
/* Fewer failing at once are not "most services". */
#define MASS_MIN 3
/* First probes: so many per ms, so that a few services are probed at once and
 * 70 000 within seconds. */
#define FIRST_PER_MS 10
/* Who is answered so late may well hang up. */
#define LOST_MAX_US 250000
/* In a row: a machine that is always overloaded must still see failures. */
#define DISCARDS_MAX 3
/* Descriptors for all but probes in flight. */
#define FDS_RESERVED 256

void schedule_init(struct prober *prober)
{
	struct rlimit limit = { 1024, 1024 };

	wheel_init(&prober->schedule.wheel, prober_now_ns() / 1000000);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	prober->schedule.in_flight_max =
		limit.rlim_cur > 2 * FDS_RESERVED ?
			limit.rlim_cur - FDS_RESERVED :
			limit.rlim_cur / 2;
}

static struct status_row *row_of(struct prober *prober,
				 const struct binding *binding)
{
	return &prober->status->row[binding->row];
}

static void set_due(struct prober *prober, struct binding *binding,
		    uint64_t due_ns)
{
	binding->due_ns = due_ns;
	row_of(prober, binding)->next_ns = due_ns;
	wheel_add(&prober->schedule.wheel, &binding->due, due_ns / 1000000);
}

/* Keeps the two counts that tell whether most services fail. */
static void count(struct prober *prober, struct binding *binding, int by)
{
	if (binding->verdict.value != VERDICT_PASS)
		return;
	prober->schedule.passing += by;
	if (binding->failing)
		prober->schedule.failing += by;
}

void schedule_add(struct prober *prober, struct binding *binding)
{
	uint32_t spread = 20 + prober->table.runs / FIRST_PER_MS;
	struct status_row *row = row_of(prober, binding);

	verdict_init(&binding->verdict, binding->known);
	binding->failing = false;
	binding->fresh = true;
	binding->runs = true;
	prober->table.runs++;
	prober->self->bindings = prober->table.runs;
	row->prober = prober->slot;
	row->verdict = binding->known;
	count(prober, binding, 1);
	if (spread > binding->monitor->config.interval_ms)
		spread = binding->monitor->config.interval_ms;
	set_due(prober, binding,
		prober_now_ns() + (uint64_t)prober_random(prober) % (spread + 1) *
					  1000000);
}

void schedule_remove(struct prober *prober, struct binding *binding)
{
	if (!binding->runs)
		return;
	count(prober, binding, -1);
	if (binding->probe)
		probe_cancel(binding->probe);
	wheel_cancel(&prober->schedule.wheel, &binding->due);
	binding->runs = false;
	prober->table.runs--;
	prober->self->bindings = prober->table.runs;
	row_of(prober, binding)->next_ns = 0;
}

static void start(struct prober *prober, struct binding *binding,
		  uint64_t now_ns)
{
	uint64_t late_us = (now_ns - binding->due_ns) / 1000;
	struct status_prober *self = prober->self;
	struct status_row *row = row_of(prober, binding);
	unsigned int bucket;

	if (prober->schedule.in_flight >= prober->schedule.in_flight_max) {
		/* Its lateness goes on counting from when it was due. */
		wheel_add(&prober->schedule.wheel, &binding->due,
			  now_ns / 1000000 + 5);
		return;
	}
	if (binding->due_ns > now_ns)
		late_us = 0;
	bucket = late_us ? 64 - __builtin_clzll(late_us) : 0;
	self->late[bucket < STATUS_LATE_BUCKETS ? bucket :
						  STATUS_LATE_BUCKETS - 1]++;
	row->late_us = late_us < UINT32_MAX ? late_us : UINT32_MAX;
	row->last_ns = now_ns;
	row->timeout_ms = schedule_timeout_ms(binding);
	self->probes++;
	if (probe_start(prober, binding->monitor, binding,
			&binding->service->addr, binding->service->port, 0)) {
		self->local_errors++;
		set_due(prober, binding, now_ns + AGAIN_MS * 1000000ull);
	}
}

void schedule_run(struct prober *prober, uint64_t now_ns)
{
	struct wheel *wheel = &prober->schedule.wheel;
	struct wheel_node *node;

	while ((node = wheel_pop(wheel, now_ns / 1000000))) {
		/* Timers are first members of what they time. */
		if (node->tag == SCHEDULE_TIME_OUT)
			probe_time_out((struct probe *)node);
		else if (node->tag == SCHEDULE_NAME)
			names_ask(node);
		else
			start(prober, (struct binding *)node, now_ns);
	}
	prober->self->in_flight = prober->schedule.in_flight;
}

static void again(struct prober *prober, struct binding *binding)
{
	uint32_t delay = binding->monitor->config.interval_ms;

	if (delay > AGAIN_MS)
		delay = AGAIN_MS;
	set_due(prober, binding, prober_now_ns() + delay * 1000000ull);
}

static void next(struct prober *prober, struct binding *binding,
		 uint64_t start_ns)
{
	uint32_t delay = verdict_delay_ms(&binding->verdict,
					  &binding->monitor->config,
					  prober_random(prober));
	uint64_t now = prober_now_ns(), due;

	/* The second probe may come anywhere in the interval: from then on
	 * the bindings are spread evenly. */
	if (binding->fresh && binding->verdict.value == VERDICT_PASS)
		delay = (uint64_t)delay * prober_random(prober) >> 32;
	binding->fresh = false;
	due = start_ns + delay * 1000000ull;
	set_due(prober, binding, due > now ? due : now);
}

/* Whether most services that passed now fail. */
static bool is_mass_failure(const struct schedule *schedule)
{
	return schedule->failing >= MASS_MIN &&
	       schedule->failing * 2 > schedule->passing;
}

/* True: the failure would take the service down, and may not do so yet. */
static bool held_back(struct prober *prober, struct binding *binding,
		      struct reason_info *reason)
{
	struct schedule *schedule = &prober->schedule;
	char text[REASON_TEXT_LEN];
	int n;

	if (binding->verdict.value != VERDICT_PASS ||
	    !is_mass_failure(schedule) ||
	    verdict_preview(&binding->verdict, &binding->monitor->config,
			    false) != VERDICT_FAIL)
		return false;
	if (!self_check_passed(prober)) {
		prober->self->holding++;
		return true;
	}
	n = snprintf(text, sizeof(text),
		     "%u of %u monitors failed at once; self-check passed%s%s",
		     schedule->failing, schedule->passing,
		     reason->text[0] ? "; " : "", reason->text);
	reason_text(reason, text, n);
	return false;
}

static void take_response(struct binding *binding, uint32_t response_us)
{
	verdict_response(&binding->verdict.mean, response_us);
	if (binding->monitor->config.response_time)
		verdict_response(&binding->monitor->mean, response_us);
}

uint32_t schedule_timeout_ms(const struct binding *binding)
{
	const struct monitor *m = binding->monitor;

	return verdict_timeout_ms(m->config.response_time ?
					  &m->mean :
					  &binding->verdict.mean,
				  &m->config);
}

void schedule_result(struct prober *prober, struct binding *binding, bool ok,
		     struct reason_info *reason, uint64_t start_ns,
		     uint32_t response_us, uint64_t lost_us)
{
	const struct config_monitor *c = &binding->monitor->config;
	struct status_prober *self = prober->self;
	struct status_row *row = row_of(prober, binding);
	bool passed = ok != c->reverse;

	if (!ok && reason_is_local(reason->code)) {
		self->local_errors++;
		row->reason = reason->code;
		row->detail = reason->detail;
		return again(prober, binding);
	}
	if (!ok && lost_us > LOST_MAX_US && reason_is_broken(reason->code) &&
	    binding->discards < DISCARDS_MAX) {
		binding->discards++;
		self->discarded++;
		row->discarded++;
		return again(prober, binding);
	}
	binding->discards = 0;
	if (c->reverse && ok)
		reason_set(reason, REASON_REVERSED, 0);
	else if (c->reverse)
		reason_set(reason, REASON_REVERSED_OK, 0);
	count(prober, binding, -1);
	binding->failing = !passed;
	count(prober, binding, 1);
	if (!passed && held_back(prober, binding, reason)) {
		row->discarded++;
		return again(prober, binding);
	}
	/* A reply that had to wait for us does not measure the service. */
	if (ok && !lost_us && response_us < c->timeout_ms * 1000ull)
		take_response(binding, response_us);
	count(prober, binding, -1);
	if (verdict_result(&binding->verdict, c, passed))
		binding->failing = false;
	count(prober, binding, 1);
	if (!is_mass_failure(&prober->schedule))
		prober->self_check.complained = false; /* nothing is held */
	passed ? self->passed++ : self->failed++;
	passed ? row->passed++ : row->failed++;
	row->reason = reason->code;
	row->detail = reason->detail;
	row->verdict = binding->verdict.value;
	row->mean_us = binding->verdict.mean.mean_us;
	if (ok)
		row->response_us = response_us;
	next(prober, binding, start_ns);
	if (binding->verdict.value != binding->known)
		control_send_result(prober, binding, reason);
}
