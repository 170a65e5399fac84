// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweeper; see sweep.h. Shares: the n-th of N running engines sweeps the
 * sets whose index is n modulo N, so that a dead engine's share is the
 * others' at once; two engines that disagree about N for a moment at worst
 * both look at a set: an entry is removed by one of them only (flowtab).
 *
 * A NAT flow is two entries that expire together: when the younger activity
 * of both is older than the time-out for the state of both. A direction
 * without its twin is half a flow: the rest of an insertion that was cut
 * short, or of an eviction; it expires by itself.
 *
 * An attempt to connect that has come to nothing goes sooner: inline monitors
 * learn of it by its end. One that was refused goes with the next pass. One
 * that waits for a service which is DOWN goes after a second, and counts for
 * nothing: the service has been judged, and what is left over from before must
 * not count against its next trial. (The client's next SYN would be decided
 * anew in any case, see flow_restarts().)
 */
#include "engine/sweep.h"

#include "engine/flows.h"

/* All sets once in two seconds; large tables at SETS_PER_S of the node, which
 * costs a core some 5 %. */
#define PASS_NS 2000000000ull
#define SETS_PER_S 500000ull
/* Per turn, so that packets do not wait: some 200 µs after a pause. */
#define TURN_MAX 4096u

struct share {
	uint32_t first; /* n */
	uint32_t step;	/* N */
};

static struct share share_of(const struct engine *engine)
{
	struct share s = { 0, 0 };

	for (uint32_t i = 0; i < ENGINES_MAX; i++) {
		const struct engine_info *e = &engine->maps.engines[i];
		uint64_t beat = __atomic_load_n(&e->heartbeat_ns,
						__ATOMIC_RELAXED);

		if (i != engine->slot &&
		    (e->state != ENGINE_RUNNING ||
		     (beat < engine->now_ns &&
		      engine->now_ns - beat > ENGINE_SILENT_NS)))
			continue;
		if (i < engine->slot)
			s.first++;
		s.step++;
	}
	return s;
}

/* State of a flow of two directions: the further one, but one that was picked
 * up mid-flow is as good as established. */
static uint32_t tcp_of(const struct flow *f)
{
	uint32_t tcp = FLOW_ACTIVITY_TCP(f->activity);

	return tcp == FLOW_TCP_NONE ? FLOW_TCP_ESTABLISHED : tcp;
}

static bool pair_expired(const struct flow *a, const struct flow *b,
			 const struct vserver *vs, uint32_t now_tick)
{
	uint32_t age_a = flow_age(a->activity, now_tick);
	uint32_t age_b = flow_age(b->activity, now_tick);
	uint32_t tcp = tcp_of(a) > tcp_of(b) ? tcp_of(a) : tcp_of(b);
	struct flow both = *a;

	both.activity = FLOW_ACTIVITY(
		FLOW_ACTIVITY_TICK(age_a < age_b ? a->activity : b->activity),
		tcp, 0);
	return flow_expired(&both, vs, now_tick);
}

/* Neither taking flows nor about to. */
static bool is_down(const struct engine *engine, uint32_t service)
{
	uint8_t state = __atomic_load_n(
		&engine->maps.services[service % SERVICES_MAX].state,
		__ATOMIC_RELAXED);

	return state == SVC_DOWN || state == SVC_DOWN_GOING_OUT;
}

static bool is_refusal(const struct flow *f)
{
	return f->key.kind == FLOW_REVERSE && f->key.proto == PROTO_TCP &&
	       FLOW_ACTIVITY_TCP(f->activity) == FLOW_TCP_RST;
}

/* A client that has said nothing but SYN, a second ago or more. */
static bool is_waiting(const struct flow *f, uint32_t now_tick)
{
	return f->key.kind == FLOW_FORWARD && f->key.proto == PROTO_TCP &&
	       FLOW_ACTIVITY_TCP(f->activity) == FLOW_TCP_SYN &&
	       flow_age(f->activity, now_tick) > FLOW_TICKS_PER_S;
}

/* REVERSE: NULL if the flow has none. */
static bool attempt_failed(const struct engine *engine,
			   const struct flow *forward,
			   const struct flow *reverse, uint32_t now_tick)
{
	if (forward->key.kind != FLOW_FORWARD ||
	    FLOW_ACTIVITY_TCP(forward->activity) != FLOW_TCP_SYN)
		return false;
	if (reverse && is_refusal(reverse))
		return true;
	return is_waiting(forward, now_tick) &&
	       is_down(engine, forward->service) &&
	       (!reverse ||
		flow_age(reverse->activity, now_tick) > FLOW_TICKS_PER_S);
}

/* What the end of a flow tells about its service. Refusals of inspected flows
 * were counted when they came (inspect.c). */
static void count_end(struct engine *engine, const struct flow *forward,
		      const struct flow *reverse)
{
	struct svc_load *load =
		&engine->maps.svc_load[forward->service % SERVICES_MAX];

	if (forward->key.proto != PROTO_TCP)
		return;
	if (tcp_of(forward) != FLOW_TCP_SYN) {
		__atomic_fetch_add(&load->established, 1, __ATOMIC_RELAXED);
		return;
	}
	if (reverse && is_refusal(reverse)) {
		if (!(FLOW_ACTIVITY_FLAGS(forward->activity) & FLOW_F_INSPECT))
			__atomic_fetch_add(&load->resets, 1, __ATOMIC_RELAXED);
		return;
	}
	if (!is_down(engine, forward->service))
		__atomic_fetch_add(&load->unanswered, 1, __ATOMIC_RELAXED);
}

static void expire(struct engine *engine, struct flow *f,
		   const struct flow *copy, uint32_t now_tick)
{
	const struct vserver *vs =
		flowtab_vserver(&engine->flowtab, flow_vserver(copy));
	bool forward = copy->key.kind == FLOW_FORWARD;
	struct flow twin, *t = NULL;

	if ((forward || copy->key.kind == FLOW_REVERSE) &&
	    FLOW_ACTIVITY_FLAGS(copy->activity) & FLOW_F_NAT)
		t = flows_find_twin(engine, copy, &twin);
	if (t) {
		/* The FORWARD entry's turn decides for both; a refusal is seen
		 * at its own. */
		if (!attempt_failed(engine, forward ? copy : &twin,
				    forward ? &twin : copy, now_tick) &&
		    (!forward || !pair_expired(copy, &twin, vs, now_tick)))
			return;
	} else if (!flow_expired(copy, vs, now_tick) &&
		   !attempt_failed(engine, copy, NULL, now_tick)) {
		return;
	}
	if (!flows_delete(engine, f, copy))
		return;
	engine->info->swept++;
	if (forward)
		count_end(engine, copy, t ? &twin : NULL);
	if (!t || !flows_delete(engine, t, &twin))
		return;
	engine->info->swept++;
	if (!forward)
		count_end(engine, &twin, copy);
}

/* Might it be over? Cheap and never wrong in saying no: FORWARD entries of
 * NAT flows may have to follow their twin, refusals end theirs, all others
 * decide alone. */
static bool suspect(const struct engine *engine, const struct flow *f,
		    uint32_t now_tick)
{
	const struct vserver *vs =
		flowtab_vserver(&engine->flowtab, flow_vserver(f));
	uint32_t age = flow_age(f->activity, now_tick);

	if (is_refusal(f) ||
	    (is_waiting(f, now_tick) && is_down(engine, f->service)))
		return true;
	if (f->key.kind == FLOW_FORWARD && vs && f->key.proto == PROTO_TCP)
		return age > vs->fin_s * FLOW_TICKS_PER_S ||
		       age > vs->syn_s * FLOW_TICKS_PER_S;
	return flow_expired(f, vs, now_tick);
}

void sweep_set(struct engine *engine, uint32_t index, uint32_t now_tick)
{
	struct flow_set *set = flowtab_set(&engine->flowtab, index);
	uint32_t dead = 0;

	for (uint32_t way = 0; way < FLOW_WAYS; way++) {
		struct flow *f = &set->way[way];
		uint32_t word = load_acquire_u32(&f->word);
		struct flow copy;

		if (FLOW_WORD_STATE(word) == FLOW_DEAD)
			dead++;
		if (FLOW_WORD_STATE(word) != FLOW_LIVE ||
		    !suspect(engine, f, now_tick))
			continue;
		copy = *(volatile struct flow *)f;
		copy.word = word;
		read_barrier();
		if (read_once(f->word) == word)
			expire(engine, f, &copy, now_tick);
	}
	if (dead)
		flowtab_compact(&engine->flowtab, index,
				FLOW_WRITER_ENGINE(engine->slot));
}

void sweep_run(struct engine *engine)
{
	uint64_t sets = engine->maps.flow_sets;
	uint64_t pass_ns = sets * 1000000000ull / SETS_PER_S;
	uint64_t elapsed = engine->now_ns - engine->sweep_ns;
	struct share share = share_of(engine);
	uint64_t due;

	if (pass_ns < PASS_NS)
		pass_ns = PASS_NS;
	due = elapsed * (sets / share.step + 1) / pass_ns;
	if (!due)
		return;
	if (due > TURN_MAX)
		due = TURN_MAX;
	engine->sweep_ns = engine->now_ns;
	for (; due; due--) {
		uint64_t index = (uint64_t)engine->sweep_set * share.step +
				 share.first;

		if (index >= sets) {
			engine->sweep_set = 0;
			return;
		}
		engine->sweep_set++;
		sweep_set(engine, (uint32_t)index, flow_tick(engine->now_ns));
	}
}
