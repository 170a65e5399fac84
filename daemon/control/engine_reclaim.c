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
 * And connections are recounted, since it may have died between an entry and
 * its count.
 *
 * engine/README.md has the proof. Loop thread, except run_grace() and
 * run_recount().
 */
#include "control/engine_supervisor_impl.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "control/engine_recount.h"
#include "flowtab.h"
#include "util/log.h"

/* Recounts connections this long after a death, so that many deaths cause
 * one count. */
#define RECOUNT_MS 1000u

/* How often FREE frames are looked for without a reason to. */
#define REFILL_MS 1000u

struct reclaim_job {
	uv_work_t work;
	struct engine_supervisor *supervisor; /* NULL: gone meanwhile */
};

/* Has its own mappings: it may still run when the supervisor is gone. */
struct recount_job {
	uv_work_t work;
	struct engine_supervisor *supervisor; /* NULL: gone meanwhile */
	struct flow_set *flows;
	struct svc_load *load;
	size_t flows_len, load_len;
	int corrected;
};

static void run_recount(uv_work_t *work)
{
	struct recount_job *job = work->data;

	job->corrected = engine_recount(
		job->flows, (uint32_t)(job->flows_len / sizeof(*job->flows)),
		job->load);
}

static void recount_free(struct recount_job *job)
{
	if (job->flows)
		munmap(job->flows, job->flows_len);
	if (job->load)
		munmap(job->load, job->load_len);
	free(job);
}

static void on_recount(uv_work_t *work, int status)
{
	struct recount_job *job = work->data;

	if (job->corrected > 0)
		log_info("connections of %d services recounted",
			 job->corrected);
	if (job->supervisor)
		job->supervisor->recount = NULL;
	recount_free(job);
}

static void *map_shared(int fd, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

static void start_recount(struct engine_supervisor *s)
{
	struct recount_job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->supervisor = s;
	job->work.data = job;
	job->flows_len = s->map_len[LINK_MAP_FLOWS];
	job->load_len = s->map_len[LINK_MAP_SVC_LOAD];
	job->flows = map_shared(s->map_fd[LINK_MAP_FLOWS], job->flows_len);
	job->load = map_shared(s->map_fd[LINK_MAP_SVC_LOAD], job->load_len);
	if (!job->flows || !job->load ||
	    uv_queue_work(s->loop, &job->work, run_recount, on_recount)) {
		recount_free(job);
		return;
	}
	s->recount = job;
	s->recount_ms = 0;
}

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
	s->recount_ms = engine_supervisor_now_ms() + RECOUNT_MS;
}

void engine_reclaim_tick(struct engine_supervisor *s, uint64_t now_ms)
{
	if (!s->memory.ready)
		return;
	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		if (s->slot[i].dead_frames)
			engine_reclaim_dead(&s->slot[i]);
	}
	if (s->recount_ms && now_ms >= s->recount_ms && !s->recount)
		start_recount(s);
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
	if (s->recount)
		s->recount->supervisor = NULL;
	s->job = NULL;
	s->recount = NULL;
}
