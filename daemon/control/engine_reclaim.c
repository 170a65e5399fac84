// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a dead engine leaves behind: the set of the flow table it was writing,
 * the frames it owned, and the frames the kernel had put into its RX rings,
 * which nobody has recorded and which are found by elimination:
 *
 *   IDLE → GRACE  note how far the fill rings were consumed; wait until no
 *                 packet that was under way at that time is still under way
 *                 (membarrier(GLOBAL) waits for an RCU grace period, which
 *                 no NAPI poll spans)
 *   GRACE → DRAIN ask all live engines to look through their RX rings
 *   DRAIN → IDLE  all have: what was consumed then and is still recorded as
 *                 being in a fill ring was in the dead engine's hands
 *
 * engine/README.md has the proof. Loop thread, except run_grace().
 */
#include "control/engine_supervisor_impl.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "flowtab.h"
#include "util/log.h"

/* How often FREE frames are looked for without a reason to. */
#define REFILL_MS 1000u

struct reclaim_job {
	uv_work_t work;
	struct engine_supervisor *supervisor; /* NULL: gone meanwhile */
};

static void run_grace(uv_work_t *work)
{
	/* Without the call (a kernel built without it): no NAPI poll lasts
	 * 200 ms. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(200000);
}

static void on_grace(uv_work_t *work, int status)
{
	struct reclaim_job *job = work->data;
	struct engine_supervisor *s = job->supervisor;

	free(job);
	if (!s)
		return;
	s->job = NULL;
	__atomic_fetch_add(&s->memory.ctl->drain_request, 1, __ATOMIC_SEQ_CST);
	s->stage = RECLAIM_DRAIN;
}

static void start_round(struct engine_supervisor *s)
{
	struct reclaim_job *job = calloc(1, sizeof(*job));

	if (!job)
		return; /* wanted still: next tick */
	frames_mark(s->memory.frames, s->marks);
	job->supervisor = s;
	job->work.data = job;
	if (uv_queue_work(s->loop, &job->work, run_grace, on_grace)) {
		free(job);
		return;
	}
	s->job = job;
	s->reclaim_wanted = false;
	s->stage = RECLAIM_GRACE;
}

uint32_t engine_reclaim_undrained(const struct engine_supervisor *s)
{
	uint32_t request = s->memory.ctl->drain_request, ret = 0;

	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		const struct engine_slot *slot = &s->slot[i];

		if (engine_slot_alive(slot) && slot->inserted &&
		    __atomic_load_n(&s->memory.ctl->engine[i].drained,
				    __ATOMIC_ACQUIRE) != request)
			ret |= 1u << i;
	}
	return ret;
}

static void finish_round(struct engine_supervisor *s)
{
	uint32_t n;

	if (engine_reclaim_undrained(s))
		return;
	n = frames_eliminate(s->memory.frames, s->marks);
	if (n)
		log_info("%u frames of dead engines' receive rings taken back",
			 n);
	s->stage = RECLAIM_IDLE;
	s->refill_wanted = true;
}

/* The engine wrote at most one set when it died. */
static void release_flows(struct engine_slot *slot)
{
	struct engine_supervisor *s = slot->supervisor;
	struct ctl_engine *ce = &s->memory.ctl->engine[slot->slot];
	struct flowtab tab = {
		.mask = s->flow_sets - 1,
		.sets = s->flows,
		.vservers = s->vservers,
	};
	uint32_t intent = __atomic_load_n(&ce->flow_intent, __ATOMIC_ACQUIRE);

	if (intent && flowtab_release_writer(&tab, (intent - 1) & tab.mask,
					     FLOW_WRITER_ENGINE(slot->slot)))
		log_info("engine %u died while writing a flow entry: released",
			 slot->slot);
	ce->flow_intent = 0;
}

void engine_reclaim_dead(struct engine_slot *slot)
{
	struct engine_supervisor *s = slot->supervisor;

	if (!s->memory.ready)
		return;
	release_flows(slot);
	slot->dead_frames = !frames_reclaim(s->memory.frames, slot->slot,
					    engine_supervisor_now_ms());
	s->reclaim_wanted = true;
	s->refill_wanted = true;
}

void engine_reclaim_tick(struct engine_supervisor *s, uint64_t now_ms)
{
	if (!s->memory.ready)
		return;
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		if (s->slot[i].dead_frames)
			engine_reclaim_dead(&s->slot[i]);
	}
	if (s->stage == RECLAIM_DRAIN)
		finish_round(s);
	if (s->stage == RECLAIM_IDLE && s->reclaim_wanted)
		start_round(s);
	if (s->refill_wanted || now_ms - s->refill_ms >= REFILL_MS) {
		s->refill_wanted = frames_refill(s->memory.frames, now_ms) > 0;
		s->refill_ms = now_ms;
	}
}

void engine_reclaim_stop(struct engine_supervisor *s)
{
	if (s->job)
		s->job->supervisor = NULL;
	s->job = NULL;
}
