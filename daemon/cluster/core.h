/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of struct node, shared by the files that make up the pure state
 * machine (node, table, outbox, owner, sss, path, metrics, hello, member, view,
 * repair) and by nobody else. Each field says which file writes it.
 */
#ifndef SLUICE_CLUSTER_CORE_H
#define SLUICE_CLUSTER_CORE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "cluster/node.h"
#include "map_abi.h"
#include "rendezvous.h"

#define NIL UINT32_MAX

/* Two things about a service travel reliably. */
enum channel {
	CHANNEL_STATE, /* from its master: struct service_state */
	CHANNEL_PATH,  /* from every node: whether it reaches the service */
	CHANNELS,
};

/* Retransmission: an item waits in one list; list n + 1 follows list n. The
 * lists of one delay are in order of time, so that only heads are looked at. */
#define OUTBOX_LISTS 8

struct outbox_item {
	uint32_t pend;	/* nodes that have not acknowledged STAMP */
	uint32_t stamp; /* of the newest version; never 0 once sent */
	uint32_t next, prev;
	uint8_t list; /* OUTBOX_LISTS: in none */
	uint64_t due;
};

enum record_flag {
	RECORD_CONFIGURED = 1 << 0, /* else it is a cached update */
	RECORD_MASTER = 1 << 1,
	RECORD_PROBING = 1 << 2,
	RECORD_PATH_PROBING = 1 << 3,
	RECORD_ACKED = 1 << 4, /* one update was acknowledged by all */
	RECORD_PUBLISHED = 1 << 5,
	RECORD_USED = 1 << 6,	/* slot is taken */
	RECORD_WANTED = 1 << 7, /* added late: others may know its state */
	RECORD_ASKED = 1 << 8,	/* and one of those here does, perhaps */
	RECORD_PATH_ASKS = 1 << 9, /* added: others tell their paths again */
};

/* What is measured by the master and not necessarily advertised. */
struct measured {
	uint8_t state, reason, load_flags;
	uint16_t rr_weight;
	uint32_t response_us, load;
};

struct record {
	struct service_state s; /* advertised; view 0: nothing known */
	uint64_t key;		/* not 0: owner is chosen by it */
	uint32_t service_flags; /* enum node_service_flag */
	uint32_t flags;		/* enum record_flag */
	uint32_t config_on;	/* peers known to have it; see owner.c */
	uint32_t path_known, path_reachable;
	uint32_t chain; /* next of its bucket, by entity; or free */
	uint32_t cache_next, cache_prev;
	uint32_t want_next, want_prev; /* RECORD_WANTED */
	uint64_t want_at;	       /* looked at again */
	uint64_t claim_at; /* owner without a record waits until then; 0: no */
	struct measured measured;
	uint8_t published_state, published_reason;
	struct outbox_item out[CHANNELS];
};

struct peer {
	bool ever;	      /* heard in this life of mine */
	uint32_t incarnation; /* 0: not known */
	uint64_t heard_at;
	uint64_t hello_at; /* when HELLO came; 0: none in this life of it */
	struct msg_hello hello;
	bool was_accused; /* for the trace and the extra hello */
	bool was_synced;
	/* member.c */
	uint64_t deaf_since; /* 0: hears */
	uint64_t retry_at;   /* not admitted before */
	uint64_t struck_at;
	uint32_t strikes;
	uint64_t commit_at; /* when it was last sent a view */
	/* owner.c: digest of the set that config_on describes; 0: none */
	uint64_t known_digest;
	/* outbox.c */
	uint32_t pend[CHANNELS];
	uint32_t budget;
	/* repair.c */
	uint32_t mismatches;
	uint64_t repaired_at;
	uint32_t ask_budget; /* lists it may still ask for in this second */
};

enum proposal_phase {
	PROPOSAL_IDLE,
	PROPOSAL_PREPARING,
	PROPOSAL_ACCEPTING,
};

struct proposal {
	enum proposal_phase phase;
	uint64_t ballot;
	struct view value;
	uint64_t best; /* highest accepted ballot among promises */
	uint32_t answered;
	uint64_t resend_at, deadline;
	uint64_t not_before; /* after a failure */
	uint32_t attempts;
	uint64_t seen; /* highest ballot heard of in this slot */
};

enum repair_phase {
	REPAIR_IDLE,
	REPAIR_ROOT,
	REPAIR_GROUP,
	REPAIR_LISTS,
};

struct repair {
	enum repair_phase phase;
	uint8_t peer, kind, group;
	uint32_t tries;
	uint64_t deadline;
	uint32_t config_seq, own_seq;
	uint64_t total;
	uint64_t groups;	    /* still to be compared */
	uint64_t buckets;	    /* of GROUP, lists still incomplete */
	uint64_t next[MSG_DIGESTS]; /* entity from which a list goes on */
	uint64_t next_start;
	uint32_t next_peer;
};

struct node {
	struct node_options o;
	uint64_t now, started, ticked;
	uint64_t quiet_until;		  /* hello.c: own tick was late */
	const struct node_update *update; /* during a step */
	struct node_durable d;
	bool operational;
	struct peer peer[NODES_MAX];
	uint32_t connected; /* hello.c: heard both ways */
	uint32_t accused;
	uint64_t hello_at; /* next own hello */
	uint32_t hello_seq, hello_burst;
	/* member.c */
	struct view want;
	uint64_t want_since, ready_at, viewed_at;
	enum node_reason reason[NODES_MAX];
	uint32_t accusers[NODES_MAX];
	struct proposal proposal;
	uint32_t commits; /* view.c: times the view is still to be told */
	uint64_t commit_next;
	struct repair repair;
	/* table.c */
	struct record *records;
	uint32_t *index; /* entity → slot, open addressing */
	uint32_t slots, index_mask, free, configured, cached;
	uint32_t cache_head, cache_tail;
	uint32_t *bucket; /* DIGEST_BUCKETS heads of chains */
	uint64_t *digest[DIGEST_KINDS];
	uint64_t total[DIGEST_KINDS];
	uint32_t config_seq;
	/* owner.c */
	uint32_t same; /* peers whose set equals ours: config_on is implied */
	bool reassign;
	uint32_t masters;
	uint64_t claims_wait;  /* when waiting claims are looked at; 0: none */
	uint32_t want_head, want_tail; /* wanted records, by want_at */
	uint32_t wanted;       /* records with RECORD_WANTED */
	uint32_t asked;	       /* and RECORD_ASKED */
	bool met;	       /* was connected to somebody in this life */
	struct message *pulls; /* NODES_MAX */
	uint32_t claim_seq;    /* highest of services given up in this view */
	/* outbox.c */
	uint32_t list_head[OUTBOX_LISTS], list_tail[OUTBOX_LISTS];
	uint32_t stamp;
	struct message *batch[CHANNELS]; /* NODES_MAX each */
	struct message *acks;		 /* NODES_MAX */
	uint32_t *path_seen;		 /* slots × NODES_MAX stamps */
	struct message out;		 /* scratch for all other messages */
	uint64_t cache_drops, stale, duplicates, refused, conflicts;
};

static inline uint32_t node_self(const struct node *node)
{
	return 1u << node->o.id;
}

static inline bool node_mutant(const struct node *node, enum node_mutation m)
{
	return __builtin_expect(node->o.mutation != NODE_MUTATION_NONE, 0) &&
	       node->o.mutation == m;
}

static inline uint64_t node_dead_ms(const struct node *node)
{
	/* A quarter of an interval of grace, so that the last hello of the
	 * window is not raced. */
	return (uint64_t)node->o.hello_ms * node->o.dead_missed +
	       node->o.hello_ms / 4;
}

/* node.c: the only places that emit. */
void node_send(struct node *node, uint32_t to, struct message *message,
	       enum message_type type);
void node_persist(struct node *node);
void node_emit(struct node *node, const struct node_effect *effect);
void node_trace(struct node *node, enum node_trace_type type, uint32_t peer,
		uint64_t entity, uint64_t a, uint64_t b);

#endif
