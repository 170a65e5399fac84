/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table's algorithm, one copy for XDP and for processes that map the
 * table. flow.h has the entry's layout and the idea of the concurrency;
 * bpf/README.md has the argument why it is correct.
 *
 *  - flowtab_find      no lock, no write: what every packet does
 *  - flowtab_insert    find or insert; may evict by a stated rule
 *  - flowtab_delete    removes one generation of an entry, exactly once
 *  - flowtab_compact   turns tombstones into never-used ways (host)
 *  - flowtab_release_writer   after the death of a writer (host)
 *
 * Sets come in pairs, 2n and 2n + 1: the lock in way 0 of the even one covers
 * both. An entry whose own (home) set is full of entries in use goes to the
 * other set of the pair, and bit 0 of `lock` of way 1 of its home set says
 * that a look-up must look there, too.
 *
 * Whoever removes an entry gets a copy of it, and so does exactly one caller:
 * accounting (svc_load.conns) hangs on those copies and on FLOWTAB_INSERTED.
 *
 * Eviction, in a set without a free way: 1. an entry that timed out, 2. (after
 * the other set was tried for a free way and for 1.) closed by FIN or RST,
 * 3. TCP not established, 4. any; the longest idle one first. For 2. and 3. a
 * trial of the other set counts for a second: under a flood of new flows it
 * would cost more than all the rest.
 */
#ifndef SLUICE_FLOWTAB_H
#define SLUICE_FLOWTAB_H

#include "compiler.h"
#include "flow.h"
#include "flow_rules.h"
#include "map_abi.h"

#ifndef __bpf__
#include <sched.h>
#include <time.h>
#endif

/* Where a stress test stops or kills a writer. */
#ifndef FLOWTAB_POINT
#define FLOWTAB_POINT() do { } while (0)
#endif

struct flowtab {
	__u32 mask; /* number of sets - 1 */
#ifndef __bpf__
	struct flow_set *sets;
	const struct vserver *vservers; /* time-outs; VSERVERS_MAX entries */
	/* Optional, in memory that outlives this process: 1 + the set being
	 * written. After a crash only that set needs
	 * flowtab_release_writer(). */
	__u32 *intent;
#endif
};

enum flowtab_result {
	FLOWTAB_INSERTED = 0,
	FLOWTAB_EXISTED = 1, /* change.other is the entry found */
	FLOWTAB_LOCKED = 2,  /* another writer holds the set: nothing done */
};

enum flowtab_evict {
	FLOWTAB_EVICT_NONE = 0, /* a free way was found */
	FLOWTAB_EVICT_IDLE = 1,	  /* had timed out */
	FLOWTAB_EVICT_CLOSED = 2, /* FIN or RST seen */
	FLOWTAB_EVICT_HALF = 3,	  /* TCP, not established */
	FLOWTAB_EVICT_LIVE = 4,
};

/* What an insertion did besides. */
struct flowtab_change {
	struct flow other; /* EXISTED: found; INSERTED with evict: removed */
	__u32 index;	   /* set * FLOW_WAYS + way of the entry */
	__u32 word;	   /* its word, for flowtab_delete */
	__u8 evict;	   /* enum flowtab_evict; LOCKED: other was removed */
	__u8 stolen;	   /* a stale lock was taken over */
	__u8 overflow;	   /* went to the other set of the pair */
	__u8 pad;
};

/* ---- small things ------------------------------------------------------ */

/* The low 12 bits choose the node: a node sees few of their values, so the
 * set comes from the others first. */
static __always_inline __u32 flowtab_set_index(const struct flowtab *tab,
					       __u32 hash)
{
	return (hash >> NODE_BUCKET_BITS | hash << (32 - NODE_BUCKET_BITS)) &
	       tab->mask;
}

/* ---- where the table is ------------------------------------------------ */

#ifdef __bpf__
/* maps.h comes first: `flows` and `vservers` are maps. */
static __always_inline struct flow_set *flowtab_set(const struct flowtab *tab,
						    __u32 index)
{
	return bpf_map_lookup_elem(&flows, &index);
}

static __always_inline const struct vserver *
flowtab_vserver(const struct flowtab *tab, __u32 id)
{
	return bpf_map_lookup_elem(&vservers, &id);
}
#define FLOWTAB_SPINS 16
#define FLOWTAB_SUBPROG SUBPROG
/* Counted where it happens: a variable that lives on would multiply the states
 * that the verifier has to walk. */
#define FLOWTAB_RACED(raced) count(CNT_FLOW_RETRY)
#else
#define FLOWTAB_SUBPROG static inline
#define FLOWTAB_RACED(raced) (*(raced) += 1)
static inline struct flow_set *flowtab_set(const struct flowtab *tab,
					   __u32 index)
{
	return &tab->sets[index & tab->mask];
}

static inline const struct vserver *flowtab_vserver(const struct flowtab *tab,
						    __u32 id)
{
	return tab->vservers && id < VSERVERS_MAX ? &tab->vservers[id] : NULL;
}

static inline __u64 flowtab_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ull + (__u64)ts.tv_nsec;
}
#endif

/* ---- look-up ------------------------------------------------------------ */

/*
 * The LIVE entry of one set with this key, or NULL. What the caller needs of
 * the entry is read between two equal reads of its word: `copy` gets key-less
 * fields (activity, service, pair_*); pair_addr only if want_pair. An entry
 * that changed meanwhile is a miss, and counted: in *raced by processes, in
 * flow_retry by XDP, where raced is unused.
 */
static __always_inline struct flow *
flowtab_probe(struct flow_set *set, __u32 hash, const union ip_addr *peer,
	      __u64 tail, bool want_pair, struct flow *copy, __u32 *raced)
{
	__u32 word;
	int i;

	for (i = 0; i < FLOW_WAYS; i++) {
		struct flow *f = &set->way[(hash + (__u32)i) % FLOW_WAYS];
		const __u64 *key = (const __u64 *)(const void *)&f->key;

		word = load_acquire_u32(&f->word);
		if (FLOW_WORD_STATE(word) == FLOW_EMPTY)
			return NULL;
		if (FLOW_WORD_STATE(word) != FLOW_LIVE ||
		    read_once(f->hash) != hash)
			continue;
		if (read_once(key[2]) != tail ||
		    read_once(key[1]) != peer->d[1] ||
		    read_once(key[0]) != peer->d[0])
			continue;
		copy->activity = read_once(f->activity);
		/* service, pair_port and pair_id: one aligned word. */
		*(__u64 *)(void *)&copy->service =
			read_once(*(const __u64 *)(const void *)&f->service);
		if (want_pair) {
			copy->pair_addr.d[0] = read_once(f->pair_addr.d[0]);
			copy->pair_addr.d[1] = read_once(f->pair_addr.d[1]);
		}
		read_barrier();
		if (read_once(f->word) != word) {
			FLOWTAB_RACED(raced);
			continue;
		}
		copy->word = word;
		return f;
	}
	return NULL;
}

static __always_inline bool flowtab_overflowed(const struct flow_set *set)
{
	return read_once(set->way[1].lock) & 1;
}

/* A copy with everything in it. */
static __always_inline void flowtab_copy_key(struct flow *copy, __u32 hash,
					     const struct flow_key *key)
{
	copy->hash = hash;
	copy->lock = 0;
	copy->key = *key;
}

#ifndef __bpf__
/* Host: the entry with this key and a whole copy of it, or NULL. */
static inline struct flow *flowtab_find(const struct flowtab *tab, __u32 hash,
					const struct flow_key *key,
					struct flow *ret_copy, __u32 *raced)
{
	__u32 index = flowtab_set_index(tab, hash), dummy = 0;
	struct flow_set *set = flowtab_set(tab, index);
	__u64 tail = flow_key_tail_of(key);
	struct flow *f;

	raced = raced ? raced : &dummy;
	f = flowtab_probe(set, hash, &key->peer, tail, true, ret_copy, raced);
	if (!f && flowtab_overflowed(set))
		f = flowtab_probe(flowtab_set(tab, index ^ 1), hash, &key->peer,
				  tail, true, ret_copy, raced);
	if (f)
		flowtab_copy_key(ret_copy, hash, key);
	return f;
}

/* Index of an entry, as in pkt_meta.flow_index. */
static inline __u32 flowtab_index(const struct flowtab *tab,
				  const struct flow *f)
{
	return (__u32)(f - &tab->sets[0].way[0]);
}
#endif

/*
 * Removes the generation `word` (LIVE) of an entry. True for exactly one
 * caller. Needs no lock: the way becomes a tombstone, whose contents stay.
 */
static __always_inline bool flowtab_delete(struct flow *f, __u32 word)
{
	return FLOW_WORD_STATE(word) == FLOW_LIVE &&
	       cmpxchg_u32(&f->word, word,
			   FLOW_WORD(FLOW_DEAD, 0, FLOW_WORD_GEN(word))) ==
		       word;
}

/* ---- the lock of a pair ------------------------------------------------- */

/* Its age does not fit 23 bits for ever: a date up to 1 s in the future (the
 * clocks were read in another order) is fresh, all else beyond the limit is
 * stale. */
static __always_inline bool flowtab_lock_stale(__u32 lock, __u32 now_ms)
{
	__u32 age = (now_ms - (lock >> 9)) & 0x7fffff;

	return age > FLOW_LOCK_STALE_MS && age < 0x7fffff - 1000;
}

/* BUSY ways of a set belong to earlier holders of a lock just taken over:
 * they must not be published any more. */
static __always_inline void flowtab_quarantine(struct flow_set *set)
{
	int i;

	for (i = 0; i < FLOW_WAYS; i++) {
		struct flow *f = &set->way[i];
		__u32 word = read_once(f->word);

		if (FLOW_WORD_STATE(word) == FLOW_BUSY)
			cmpxchg_u32(&f->word, word,
				    FLOW_WORD(FLOW_QUARANTINE,
					      FLOW_WORD_WRITER(word),
					      FLOW_WORD_GEN(word)));
	}
}

/* One attempt: 0 not taken, 1 taken, 2 taken over (quarantine is due). */
static __always_inline int flowtab_trylock(__u32 *lock, __u32 mine,
					   __u32 now_ms)
{
	__u32 old = cmpxchg_u32(lock, 0, mine);

	if (!old)
		return 1;
	if (!flowtab_lock_stale(old, now_ms))
		return 0;
	return cmpxchg_u32(lock, old, mine) == old ? 2 : 0;
}

/* Returns the lock word to give back, or 0. */
static __always_inline __u32 flowtab_lock(struct flow_set *even,
					  struct flow_set *odd, __u32 writer,
					  __u64 now_ns, bool wait, __u8 *stolen)
{
	__u32 *lock = &even->way[0].lock;
	__u32 ms = (__u32)(now_ns / 1000000) & 0x7fffff;
	__u32 mine = FLOW_LOCK_WORD(writer, ms);
	int got = 0, i;

#ifdef __bpf__
	for (i = 0; i < FLOWTAB_SPINS && !got; i++)
		got = flowtab_trylock(lock, mine, ms);
#else
	for (i = 0; !got; i++) {
		got = flowtab_trylock(lock, mine, ms);
		if (got || !wait)
			break;
		if (i >= 100)
			sched_yield();
		ms = (__u32)(flowtab_now_ns() / 1000000) & 0x7fffff;
		mine = FLOW_LOCK_WORD(writer, ms);
	}
#endif
	if (!got)
		return 0;
	FLOWTAB_POINT();
	if (got == 2) {
		*stolen = 1;
		flowtab_quarantine(even);
		flowtab_quarantine(odd);
	}
	return mine;
}

static __always_inline void flowtab_unlock(struct flow_set *even, __u32 mine)
{
	cmpxchg_u32(&even->way[0].lock, mine, 0);
}

/* Gives up a claimed way, whatever became of it meanwhile. */
static __always_inline void flowtab_abandon(struct flow *f, __u32 busy)
{
	__u32 writer = FLOW_WORD_WRITER(busy), gen = FLOW_WORD_GEN(busy);
	__u32 dead = FLOW_WORD(FLOW_DEAD, 0, gen);

	if (cmpxchg_u32(&f->word, busy, dead) != busy)
		cmpxchg_u32(&f->word, FLOW_WORD(FLOW_QUARANTINE, writer, gen),
			    dead);
}

/* ---- insertion ---------------------------------------------------------- */

/* What a look over a set found: a way, free or the best one to evict, and who
 * would go. One word, so that BPF can return it. */
#define FLOWTAB_FOUND(way, rule) ((way) | (rule) << 8)
#define FLOWTAB_FOUND_WAY(found) ((found) & 0xff) /* FLOW_WAYS: none */
#define FLOWTAB_FOUND_RULE(found) ((found) >> 8)  /* enum flowtab_evict */

/* Out of line in BPF, as what follows: the verifier walks each once. */
FLOWTAB_SUBPROG int flowtab_timed_out(const struct flowtab *tab,
				      const struct flow *f, __u32 now_tick)
{
	return tab && f &&
	       flow_expired(f, flowtab_vserver(tab, flow_vserver(f)), now_tick);
}

/* enum flowtab_evict by TCP state, four bits each: no branches for the
 * verifier to follow. */
#define FLOWTAB_RULES                                                          \
	((__u32)FLOWTAB_EVICT_LIVE << 4 * FLOW_TCP_NONE |                      \
	 (__u32)FLOWTAB_EVICT_HALF << 4 * FLOW_TCP_SYN |                       \
	 (__u32)FLOWTAB_EVICT_LIVE << 4 * FLOW_TCP_ESTABLISHED |               \
	 (__u32)FLOWTAB_EVICT_CLOSED << 4 * FLOW_TCP_FIN |                     \
	 (__u32)FLOWTAB_EVICT_CLOSED << 4 * FLOW_TCP_RST)

/*
 * The first free way in probe order, else the best to evict: one number per
 * entry decides, rule in the top bits, idle ticks below.
 */
FLOWTAB_SUBPROG __u32 flowtab_look_over(const struct flowtab *tab,
					const struct flow_set *set, __u32 hash,
					__u32 now_tick)
{
	__u32 found = FLOWTAB_FOUND(FLOW_WAYS, 0), best = 0, i;

	if (!tab || !set)
		return found;
	for (i = 0; i < FLOW_WAYS; i++) {
		__u32 way = (hash + i) % FLOW_WAYS, activity, age, rule, score;
		const struct flow *f = &set->way[way];
		__u32 state = FLOW_WORD_STATE(read_once(f->word));

		if (state <= FLOW_DEAD)
			return FLOWTAB_FOUND(way, FLOWTAB_EVICT_NONE);
		if (state != FLOW_LIVE)
			continue;
		activity = read_once(f->activity);
		age = flow_age(activity, now_tick);
		rule = FLOWTAB_RULES >> 4 * (FLOW_ACTIVITY_TCP(activity) & 7) &
		       7;
		/* No time-out is that short: the vserver need not be asked. */
		if (age > FLOW_ACTIVITY_SLACK &&
		    flowtab_timed_out(tab, f, now_tick))
			rule = FLOWTAB_EVICT_IDLE;
		score = (8 - rule) << 24 | age;
		if (score > best) {
			best = score;
			found = FLOWTAB_FOUND(way, rule);
		}
	}
	return found;
}

/* Way 2's `lock`: when the other set was last found without room, in ticks,
 * with a bit above them that says so. A hint: it may be lost or late. */
#define FLOWTAB_TRIED (1u << 24)

static __always_inline bool flowtab_tried(const struct flow_set *home,
					  __u32 now_tick)
{
	__u32 tried = read_once(home->way[2].lock);

	return (tried & FLOWTAB_TRIED) &&
	       flow_age(tried, now_tick) <= FLOW_TICKS_PER_S;
}

/* Home, then the other set of the pair, then eviction at home. */
static __always_inline struct flow *
flowtab_choose(const struct flowtab *tab, struct flow_set *home,
	       struct flow_set *other, __u32 hash, __u32 now_tick,
	       struct flowtab_change *ch)
{
	__u32 found, way, rule, there;

	ch->evict = FLOWTAB_EVICT_NONE;
	ch->overflow = 0;
	found = flowtab_look_over(tab, home, hash, now_tick);
	way = FLOWTAB_FOUND_WAY(found);
	rule = FLOWTAB_FOUND_RULE(found);
	if (way == FLOW_WAYS || rule == FLOWTAB_EVICT_LIVE ||
	    (rule > FLOWTAB_EVICT_IDLE && !flowtab_tried(home, now_tick))) {
		there = flowtab_look_over(tab, other, hash, now_tick);
		if (FLOWTAB_FOUND_WAY(there) < FLOW_WAYS &&
		    FLOWTAB_FOUND_RULE(there) <= FLOWTAB_EVICT_IDLE) {
			ch->evict = (__u8)FLOWTAB_FOUND_RULE(there);
			ch->overflow = 1;
			return &other->way[FLOWTAB_FOUND_WAY(there)];
		}
		write_once(home->way[2].lock, FLOWTAB_TRIED | now_tick);
	}
	if (way >= FLOW_WAYS)
		return NULL; /* eight claims of writers not yet cleaned up */
	ch->evict = (__u8)rule;
	return &home->way[way];
}

/* Everything but word and lock. The way is claimed. */
static __always_inline void flowtab_fill(struct flow *f,
					 const struct flow *entry)
{
	f->hash = entry->hash;
	f->activity = entry->activity;
	f->key = entry->key;
	f->pair_addr = entry->pair_addr;
	f->service = entry->service;
	f->pair_port = entry->pair_port;
	f->pair_id = entry->pair_id;
}

/* Index of an entry of the pair. BPF cannot compare pointers into different
 * maps' values, but it may subtract them. */
static __always_inline __u32 flowtab_index_of(const struct flowtab *tab,
					      const struct flow *f,
					      const struct flow_set *home,
					      const struct flow_set *other,
					      __u32 hash)
{
	__u32 index = flowtab_set_index(tab, hash);
	__u64 at = (__u64)((const char *)f - (const char *)home);

	if (at >= sizeof(*home)) {
		at = (__u64)((const char *)f - (const char *)other);
		index ^= 1;
	}
	return index * FLOW_WAYS + (__u32)(at / sizeof(*f)) % FLOW_WAYS;
}

/* Marks a set as overflowed. The rest of the word counts, so that a late
 * earlier holder cannot take back a mark that is newer than what it saw. */
static __always_inline bool flowtab_mark(struct flow_set *home)
{
	__u32 *mark = &home->way[1].lock;
	__u32 old = read_once(*mark);

	return cmpxchg_u32(mark, old, (old + 2) | 1) == old;
}

/* Under the lock, key not present: claims a way, writes and publishes. */
static __always_inline enum flowtab_result
flowtab_write(const struct flowtab *tab, struct flow_set *even,
	      struct flow_set *home, struct flow_set *other, __u32 mine,
	      const struct flow *entry, __u32 writer, __u32 now_tick,
	      struct flowtab_change *ch)
{
	__u32 word, busy, live, gen;
	struct flow *f;

	f = flowtab_choose(tab, home, other, entry->hash, now_tick, ch);
	if (!f)
		return FLOWTAB_LOCKED;
	FLOWTAB_POINT();
	word = read_once(f->word);
	gen = (FLOW_WORD_GEN(word) + 1) & 0xfffff;
	busy = FLOW_WORD(FLOW_BUSY, writer, gen);
	live = FLOW_WORD(FLOW_LIVE, writer, gen);
	/* Between choosing and here, somebody may have deleted the victim:
	 * then what is free or not must be looked at again. */
	if (FLOW_WORD_STATE(word) == FLOW_BUSY ||
	    FLOW_WORD_STATE(word) == FLOW_QUARANTINE ||
	    (FLOW_WORD_STATE(word) == FLOW_LIVE) !=
		    (ch->evict != FLOWTAB_EVICT_NONE)) {
		ch->evict = FLOWTAB_EVICT_NONE;
		return FLOWTAB_LOCKED;
	}
	if (cmpxchg_u32(&f->word, word, busy) != word) {
		ch->evict = FLOWTAB_EVICT_NONE;
		return FLOWTAB_LOCKED;
	}
	FLOWTAB_POINT();
	if (ch->evict != FLOWTAB_EVICT_NONE) {
		flowtab_fill(&ch->other, f);
		ch->other.word = word;
		ch->other.lock = 0;
	}
	/* The claim is visible before this read, and who takes the lock over
	 * stores it before looking for claims: one of us sees the other. */
	if (load_acquire_u32(&even->way[0].lock) != mine) {
		flowtab_abandon(f, busy);
		return FLOWTAB_LOCKED;
	}
	FLOWTAB_POINT();
	flowtab_fill(f, entry);
	FLOWTAB_POINT();
	if (ch->overflow && !flowtab_mark(home)) {
		flowtab_abandon(f, busy);
		return FLOWTAB_LOCKED;
	}
	FLOWTAB_POINT();
	barrier();
	if (cmpxchg_u32(&f->word, busy, live) != busy) {
		flowtab_abandon(f, busy);
		return FLOWTAB_LOCKED;
	}
	ch->word = live;
	ch->index = flowtab_index_of(tab, f, home, other, entry->hash);
	return FLOWTAB_INSERTED;
}

/*
 * Finds or inserts. entry: hash, activity, key, pair_*, service. wait: stay
 * until the lock is free or stale (engines); else give up at once (and after
 * a few attempts in XDP). Look at ch->evict whatever the result is: if it is
 * set (not with EXISTED), ch->other is out of the table.
 */
static __always_inline enum flowtab_result
flowtab_insert(const struct flowtab *tab, const struct flow *entry,
	       __u32 writer, __u64 now_ns, bool wait, struct flowtab_change *ch)
{
	__u32 index = flowtab_set_index(tab, entry->hash), mine, raced = 0;
	struct flow_set *even = flowtab_set(tab, index & ~1u);
	struct flow_set *odd = flowtab_set(tab, index | 1);
	__u64 tail = flow_key_tail_of(&entry->key);
	enum flowtab_result result;
	struct flow_set *home, *other;
	struct flow *f;

	ch->evict = FLOWTAB_EVICT_NONE;
	ch->stolen = 0;
	ch->overflow = 0;
#ifdef __bpf__
	if (!even || !odd)
		return FLOWTAB_LOCKED;
#else
	if (tab->intent)
		__atomic_store_n(tab->intent, index + 1, __ATOMIC_SEQ_CST);
#endif
	home = index & 1 ? odd : even;
	other = index & 1 ? even : odd;
	mine = flowtab_lock(even, odd, writer, now_ns, wait, &ch->stolen);
	if (!mine) {
		result = FLOWTAB_LOCKED;
		goto out;
	}
	f = flowtab_probe(home, entry->hash, &entry->key.peer, tail, true,
			  &ch->other, &raced);
	if (!f && flowtab_overflowed(home))
		f = flowtab_probe(other, entry->hash, &entry->key.peer, tail,
				  true, &ch->other, &raced);
	if (f) {
		flowtab_copy_key(&ch->other, entry->hash, &entry->key);
		ch->word = ch->other.word;
		ch->index = flowtab_index_of(tab, f, home, other, entry->hash);
		result = FLOWTAB_EXISTED;
	} else {
		result = flowtab_write(tab, even, home, other, mine, entry,
				       writer, flow_tick(now_ns), ch);
	}
	FLOWTAB_POINT();
	flowtab_unlock(even, mine);
out:
#ifndef __bpf__
	if (tab->intent)
		__atomic_store_n(tab->intent, 0, __ATOMIC_SEQ_CST);
#endif
	return result;
}

#ifndef __bpf__
#include "flowtab_upkeep.h"
#endif

#endif
