// SPDX-License-Identifier: GPL-2.0-only
/*
 * See engine_recount.h. Reads entries without locks: one that changes while
 * it is read is counted as it was or not at all, which the tolerance covers.
 */
#include "control/engine_recount.h"

#include <errno.h>
#include <stdlib.h>
#include "flowtab.h"

struct sample {
	int64_t conns;
	uint64_t total;
	int64_t counted;
};

static void count_sets(const struct flow_set *sets, uint32_t n_sets,
		       struct sample *sample)
{
	for (uint64_t i = 0; i < (uint64_t)n_sets * FLOW_WAYS; i++) {
		const struct flow *f = &sets[i / FLOW_WAYS].way[i % FLOW_WAYS];
		uint32_t word = load_acquire_u32(&f->word);
		uint32_t service = read_once(f->service);

		if (FLOW_WORD_STATE(word) == FLOW_LIVE && flow_is_open(f) &&
		    service < SERVICES_MAX && read_once(f->word) == word)
			sample[service].counted++;
	}
}

static int correct(struct svc_load *load, const struct sample *s)
{
	int64_t now = (int64_t)__atomic_load_n(&load->conns, __ATOMIC_RELAXED);
	uint64_t total = __atomic_load_n(&load->conns_total, __ATOMIC_RELAXED);
	int64_t opened = (int64_t)(total - s->total);
	int64_t low = now < s->conns ? now : s->conns;
	int64_t high = now > s->conns ? now : s->conns;

	/* Opened and closed during the count: at most `opened` of each more
	 * than the two readings show. */
	if (s->counted >= low - opened && s->counted <= high + opened)
		return 0;
	__atomic_fetch_add(&load->conns,
			   (uint64_t)(s->counted - (low + high) / 2),
			   __ATOMIC_RELAXED);
	return 1;
}

int engine_recount(const struct flow_set *sets, uint32_t n_sets,
		   struct svc_load *load)
{
	struct sample *sample = calloc(SERVICES_MAX, sizeof(*sample));
	int n = 0;

	if (!sample)
		return -ENOMEM;
	for (uint32_t i = 0; i < SERVICES_MAX; i++) {
		sample[i].conns = (int64_t)__atomic_load_n(&load[i].conns,
							   __ATOMIC_RELAXED);
		sample[i].total = __atomic_load_n(&load[i].conns_total,
						  __ATOMIC_RELAXED);
	}
	count_sets(sets, n_sets, sample);
	for (uint32_t i = 0; i < SERVICES_MAX; i++)
		n += correct(&load[i], &sample[i]);
	free(sample);
	return n;
}
