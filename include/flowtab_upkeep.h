/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table's upkeep, by engines and the daemon: tombstones, overflow
 * marks, and what dead writers left. Part of flowtab.h, which includes it;
 * host only.
 */
#ifndef SLUICE_FLOWTAB_UPKEEP_H
#define SLUICE_FLOWTAB_UPKEEP_H

#include "flowtab.h"

/*
 * Under the lock: tombstones that no entry's probe path crosses become EMPTY,
 * so that look-ups stop early again. Safe beside readers (no path they follow
 * to an entry crosses such a way) and beside late earlier holders (a way that
 * was claimed meanwhile has another word).
 */
static inline void flowtab_compact_set(struct flow_set *set)
{
	unsigned int covered = 0;

	for (unsigned int i = 0; i < FLOW_WAYS; i++) {
		const struct flow *f = &set->way[i];
		__u32 word = load_acquire_u32(&f->word);

		if (FLOW_WORD_STATE(word) == FLOW_BUSY ||
		    FLOW_WORD_STATE(word) == FLOW_QUARANTINE)
			return; /* its path is not known */
		if (FLOW_WORD_STATE(word) != FLOW_LIVE)
			continue;
		for (unsigned int w = f->hash % FLOW_WAYS; w != i;
		     w = (w + 1) % FLOW_WAYS)
			covered |= 1u << w;
	}
	FLOWTAB_POINT();
	for (unsigned int i = 0; i < FLOW_WAYS; i++) {
		struct flow *f = &set->way[i];
		__u32 word = load_acquire_u32(&f->word);

		if (FLOW_WORD_STATE(word) == FLOW_DEAD && !(covered & 1u << i))
			cmpxchg_u32(&f->word, word,
				    FLOW_WORD(FLOW_EMPTY, 0,
					      FLOW_WORD_GEN(word)));
	}
}

static inline bool flowtab_guests(const struct flowtab *tab, __u32 index)
{
	const struct flow_set *other = flowtab_set(tab, index ^ 1);

	for (unsigned int i = 0; i < FLOW_WAYS; i++) {
		const struct flow *f = &other->way[i];
		__u32 state = FLOW_WORD_STATE(load_acquire_u32(&f->word));

		if (state == FLOW_BUSY || state == FLOW_QUARANTINE)
			return true;
		if (state == FLOW_LIVE &&
		    flowtab_set_index(tab, f->hash) == (index & tab->mask))
			return true;
	}
	return false;
}

/* Takes the mark back if nothing of this set is in the other one. */
static inline void flowtab_unmark(const struct flowtab *tab, __u32 index)
{
	__u32 *mark = &flowtab_set(tab, index)->way[1].lock;
	__u32 old = load_acquire_u32(mark);

	if (!(old & 1) || flowtab_guests(tab, index))
		return;
	FLOWTAB_POINT();
	cmpxchg_u32(mark, old, old & ~1u);
}

/* Tidies the pair that a set belongs to, if nobody is writing there. */
static inline void flowtab_compact(const struct flowtab *tab, __u32 index,
				   __u32 writer)
{
	struct flow_set *even = flowtab_set(tab, index & ~1u);
	struct flow_set *odd = flowtab_set(tab, index | 1);
	__u8 stolen = 0;
	__u32 mine;

	if (tab->intent)
		__atomic_store_n(tab->intent, index + 1, __ATOMIC_SEQ_CST);
	mine = flowtab_lock(even, odd, writer, flowtab_now_ns(), false,
			    &stolen);
	if (mine) {
		flowtab_compact_set(even);
		flowtab_compact_set(odd);
		flowtab_unmark(tab, index & ~1u);
		flowtab_unmark(tab, index | 1);
		flowtab_unlock(even, mine);
	}
	if (tab->intent)
		__atomic_store_n(tab->intent, 0, __ATOMIC_SEQ_CST);
}

/* One claimed way of a dead writer. */
static inline void flowtab_release_way(struct flow *f, __u32 writer)
{
	for (;;) {
		__u32 word = load_acquire_u32(&f->word);
		__u32 state = FLOW_WORD_STATE(word);

		if ((state != FLOW_BUSY && state != FLOW_QUARANTINE) ||
		    FLOW_WORD_WRITER(word) != writer)
			return;
		if (cmpxchg_u32(&f->word, word,
				FLOW_WORD(FLOW_DEAD, 0, FLOW_WORD_GEN(word))) ==
		    word)
			return;
	}
}

/*
 * Frees what a dead writer held in the pair of a set. Only when it is certain
 * that the writer runs no more, and before its number is used again. Returns
 * true if there was something.
 */
static inline bool flowtab_release_writer(const struct flowtab *tab,
					  __u32 index, __u32 writer)
{
	struct flow_set *even = flowtab_set(tab, index & ~1u);
	struct flow_set *odd = flowtab_set(tab, index | 1);
	__u32 lock;
	bool found = false;

	for (unsigned int i = 0; i < 2 * FLOW_WAYS; i++) {
		struct flow *f = i < FLOW_WAYS ? &even->way[i] :
						 &odd->way[i - FLOW_WAYS];
		__u32 word = load_acquire_u32(&f->word);

		if (FLOW_WORD_WRITER(word) != writer ||
		    (FLOW_WORD_STATE(word) != FLOW_BUSY &&
		     FLOW_WORD_STATE(word) != FLOW_QUARANTINE))
			continue;
		flowtab_release_way(f, writer);
		found = true;
	}
	lock = load_acquire_u32(&even->way[0].lock);
	if (lock && (lock & 0x1ff) == writer) {
		cmpxchg_u32(&even->way[0].lock, lock, 0);
		found = true;
	}
	return found;
}

#endif
