/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a pass proves that a number is unused: numbers marked `left` were
 * leaving a grace period before the pass began (arm), so whoever looked at
 * them before has finished and nobody makes new entries with them; an entry
 * that exists stays in its way until it ends, so a pass that reads every way
 * meets it. Entries being written count as mentioning whatever they hold.
 */
#include "bpf/flow_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "util/log.h"

#define SETS_PER_STEP 8192	      /* 4 MiB: about a millisecond */
/* From arming to the pass: longer than a packet is in anybody's hands. */
#define GRACE_NS (1000 * 1000000ull)

int flow_scan_init(struct flow_scan *scan)
{
	*scan = (struct flow_scan){ 0 };
	scan->service_seen = calloc(1, SERVICES_MAX);
	scan->service_left = calloc(1, SERVICES_MAX);
	scan->vserver_seen = calloc(1, VSERVERS_MAX);
	scan->vserver_left = calloc(1, VSERVERS_MAX);
	if (!scan->service_seen || !scan->service_left ||
	    !scan->vserver_seen || !scan->vserver_left) {
		flow_scan_deinit(scan);
		return -ENOMEM;
	}
	return 0;
}

void flow_scan_deinit(struct flow_scan *scan)
{
	free(scan->service_seen);
	free(scan->service_left);
	free(scan->vserver_seen);
	free(scan->vserver_left);
	*scan = (struct flow_scan){ 0 };
}

static void see(struct flow_scan *scan, const struct flow *f)
{
	uint32_t vserver = 0;

	if (f->key.kind == FLOW_FORWARD || f->key.kind == FLOW_PERSIST)
		vserver = f->key.id;
	else if (f->key.kind == FLOW_REVERSE)
		vserver = f->pair_id;
	if (vserver < VSERVERS_MAX)
		scan->vserver_seen[vserver] = 1;
	if (f->service < SERVICES_MAX)
		scan->service_seen[f->service] = 1;
}

static void arm(struct flow_scan *scan, struct publish *publish, uint64_t now)
{
	const struct ids *s = publish_service_ids(publish);
	const struct ids *v = publish_vserver_ids(publish);
	uint32_t i;

	for (i = 0; i < SERVICES_MAX; i++)
		scan->service_left[i] = s->state[i] == IDS_LEAVING;
	for (i = 0; i < VSERVERS_MAX; i++)
		scan->vserver_left[i] = v->state[i] == IDS_LEAVING;
	scan->armed = true;
	scan->begin_ns = now + GRACE_NS;
}

static void begin(struct flow_scan *scan)
{
	memset(scan->service_seen, 0, SERVICES_MAX);
	memset(scan->vserver_seen, 0, VSERVERS_MAX);
	scan->next = 0;
	scan->armed = false;
	scan->running = true;
}

static void end(struct flow_scan *scan, struct publish *publish)
{
	const struct ids *s = publish_service_ids(publish);
	const struct ids *v = publish_vserver_ids(publish);
	uint32_t i, n = 0;

	for (i = 1; i < SERVICES_MAX; i++) {
		if (scan->service_left[i] && !scan->service_seen[i] &&
		    s->state[i] == IDS_LEAVING) {
			publish_forget_service(publish, i);
			n++;
		}
	}
	for (i = 1; i < VSERVERS_MAX; i++) {
		if (scan->vserver_left[i] && !scan->vserver_seen[i] &&
		    v->state[i] == IDS_LEAVING) {
			publish_forget_vserver(publish, i);
			n++;
		}
	}
	if (n)
		log_info("%u numbers of removed services and vservers are free again",
			 n);
	scan->running = false;
}

void flow_scan_step(struct flow_scan *scan, const struct maps *maps,
		    struct publish *publish, uint64_t now)
{
	uint32_t stop, i;

	if (!publish_service_ids(publish)->leaving &&
	    !publish_vserver_ids(publish)->leaving) {
		scan->armed = scan->running = false;
		return;
	}
	if (!scan->running && !scan->armed)
		arm(scan, publish, now);
	if (!scan->running) {
		if (now < scan->begin_ns)
			return;
		begin(scan);
	}
	stop = scan->next + SETS_PER_STEP;
	if (stop > maps->flow_sets)
		stop = maps->flow_sets;
	for (; scan->next < stop; scan->next++) {
		const struct flow_set *set = &maps->flows[scan->next];

		for (i = 0; i < FLOW_WAYS; i++) {
			uint32_t state = FLOW_WORD_STATE(__atomic_load_n(
				&set->way[i].word, __ATOMIC_ACQUIRE));

			if (state != FLOW_EMPTY && state != FLOW_DEAD)
				see(scan, &set->way[i]);
		}
	}
	if (scan->next == maps->flow_sets)
		end(scan, publish);
}

bool flow_scan_any(const struct maps *maps)
{
	uint32_t set, i;

	for (set = 0; set < maps->flow_sets; set++) {
		for (i = 0; i < FLOW_WAYS; i++) {
			if (FLOW_WORD_STATE(maps->flows[set].way[i].word) ==
			    FLOW_LIVE)
				return true;
		}
	}
	return false;
}
