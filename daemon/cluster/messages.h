/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nodes say to each other, as typed structures: the contract between the
 * pure state machine (node.c), which makes and reads them, and the codec
 * (nnm_codec.c), which turns each into the body of one datagram and back.
 *
 * Transport promises: a message arrives whole or not at all; it came from
 * message.source in the life named by message.incarnation (authenticated). It
 * may arrive late, out of order, twice, or never: every rule of PROTOCOL.md
 * holds without more than that.
 *
 * Limits: arrays carry the count n beside them; a decoder refuses a count above
 * the limit named here, an id ≥ NODES_MAX, and an unknown enum value where the
 * comment says so. All integers are host order in these structures.
 */
#ifndef SLUICE_CLUSTER_MESSAGES_H
#define SLUICE_CLUSTER_MESSAGES_H

#include <stdint.h>
#include "ip_addr.h"
#include "limits.h"

/* Sized so that the encoded body stays below 1 300 bytes. */
#define MSG_STATES_MAX 15  /* × ≤ 80 bytes */
#define MSG_PATHS_MAX 56   /* × 22 bytes */
#define MSG_ACKS_MAX 128   /* × 8 bytes */
#define MSG_DIGESTS 64	   /* × 8 bytes, always all of them */
#define MSG_LIST_MAX 48	   /* × 24 bytes */
#define MSG_PULL_MAX 128   /* × 8 bytes */

/* Digest tree: 64 groups of 64 buckets; a bucket holds 17 of 70 000 services. */
#define DIGEST_GROUPS 64
#define DIGEST_BUCKETS (DIGEST_GROUPS * MSG_DIGESTS)

/* X(name, "text", priority): append only, the value is on the wire.
 * Priority 0 is served first; see enum message_priority. */
#define MESSAGE_TYPES(X)                                                     \
	X(HELLO, "hello", PRIO_HELLO)                                        \
	X(PREPARE, "prepare", PRIO_VIEW)                                     \
	X(PROMISE, "promise", PRIO_VIEW)                                     \
	X(ACCEPT, "accept", PRIO_VIEW)                                       \
	X(ACCEPTED, "accepted", PRIO_VIEW)                                   \
	X(REJECT, "reject", PRIO_VIEW)                                       \
	X(COMMIT, "commit", PRIO_VIEW)                                       \
	X(STATE, "state", PRIO_STATE)                                        \
	X(PATH, "path", PRIO_STATE)                                          \
	X(ACK, "ack", PRIO_STATE)                                            \
	X(DIGEST_ASK, "digest-ask", PRIO_REPAIR)                             \
	X(DIGEST, "digest", PRIO_REPAIR)                                     \
	X(LIST, "list", PRIO_REPAIR)                                         \
	X(PULL, "pull", PRIO_REPAIR)

enum message_priority {
	PRIO_HELLO = 0,
	PRIO_VIEW = 1,
	PRIO_STATE = 2,
	PRIO_REPAIR = 3,
	PRIO_BULK = 4, /* flow records, later */
	PRIO_COUNT = 5,
};

enum message_type {
#define X(name, text, prio) MSG_##name,
	MESSAGE_TYPES(X)
#undef X
	MSG_TYPE_COUNT,
};

/* What the operator wants of a node. Unknown value: refuse the message. */
enum node_admin {
	ADMIN_ACTIVE = 0,
	ADMIN_PASSIVE = 1, /* connected and voting, owns nothing */
	ADMIN_SPARE = 2,   /* as passive until an active node is missing */
	ADMIN_LEAVING = 3, /* as passive; the operator took it out */
	ADMIN_COUNT = 4,
};

/* One agreed membership. Only entries of MEMBERS are meaningful (and sent);
 * all others are 0. */
struct view {
	uint64_t number;     /* 0: none yet */
	uint32_t configured; /* nodes that vote on the next view */
	uint32_t members;    /* operational: may own services */
	uint32_t incarnation[NODES_MAX]; /* the life that was admitted */
	uint64_t config[NODES_MAX];	 /* digest of its configured services */
};

enum hello_flag {
	HELLO_LATE = 1 << 0,	    /* my own tick was late: my accusations are void */
	HELLO_QUORUM_NONE = 1 << 1, /* I run without majority */
	HELLO_READY = 1 << 2,	    /* I know what I need to become operational */
};

/* Every hello_ms, and at once when ACCUSED grew. */
struct msg_hello {
	uint32_t seq;
	uint8_t admin; /* enum node_admin */
	uint8_t flags; /* enum hello_flag; unknown bits are ignored */
	uint64_t view; /* number of the installed view */
	uint32_t configured; /* by this node's own configuration file */
	uint32_t heard;	     /* heard recently, the sender included */
	uint32_t accused;    /* silent for too long */
	uint32_t synced;     /* have acknowledged all that the sender owns */
	uint32_t synced_lives; /* hash of the incarnations meant by SYNCED */
	uint32_t config_seq; /* counts changes of the configured services */
	uint64_t config_digest;
	uint64_t record_digest;
};

/* Agreement on view SLOT: single-decree Paxos among the configured set of view
 * SLOT - 1. Ballots are round << 5 | proposer, 0: none. */
struct msg_prepare {
	uint64_t slot;
	uint64_t ballot;
	uint32_t configured; /* of view slot - 1, as the proposer knows it */
};

struct msg_promise {
	uint64_t slot;
	uint64_t ballot;
	uint64_t accepted; /* ballot of VALUE, 0: nothing accepted */
	struct view value; /* all zero if accepted is 0; not sent then */
};

struct msg_accept {
	uint64_t ballot;
	struct view value; /* value.number is the slot */
};

struct msg_accepted {
	uint64_t slot;
	uint64_t ballot;
};

/* A higher ballot was promised: the proposer backs off. */
struct msg_reject {
	uint64_t slot;
	uint64_t promised;
};

/* A decided view. Sent to all, and to whoever says hello with an older one. */
struct msg_commit {
	struct view view;
};

enum state_flag {
	STATE_LOAD_OVER = 1 << 0, /* custom load above its threshold */
};

/* One service as its owner sees it. */
struct service_state {
	uint64_t entity;
	uint32_t tag;  /* of the key its owner is chosen by: owner_tag() */
	uint64_t view; /* in which OWNER became master */
	uint32_t seq;  /* counts changes under this master, from 1 */
	uint8_t owner;
	uint8_t state;	/* enum svc_state; above the last: refuse */
	uint8_t reason; /* enum state_reason; unknown values pass */
	uint8_t flags;	/* enum state_flag */
	uint8_t mac[6];
	uint16_t vlan;	    /* 0: none */
	uint16_t mss;	    /* 0: not known */
	uint16_t rr_weight; /* round-robin contribution: per cent of its
			     * weight that the service takes; 0: all of it */
	uint32_t ttl_s;	    /* of the address, domain-based services */
	uint32_t response_us;
	uint32_t load;
	union ip_addr addr;
};

/* HANDLE and STAMP mean something to the sender alone and come back in the
 * acknowledgement. Stamp 0: no acknowledgement wanted. */
struct msg_state_item {
	uint32_t handle;
	uint32_t stamp;
	struct service_state state;
};

struct msg_state {
	uint32_t n; /* 1..MSG_STATES_MAX */
	struct msg_state_item item[MSG_STATES_MAX];
};

/* Whether the sender itself reaches a service. */
struct msg_path_item {
	uint32_t handle;
	uint32_t stamp; /* never 0; larger is newer, within one incarnation */
	uint64_t entity;
	uint8_t known;	   /* 0: the sender no longer looks */
	uint8_t reachable; /* 0 or 1 */
	uint8_t asks;	   /* 1: it does not know the receiver's word */
};

struct msg_path {
	uint32_t n; /* 1..MSG_PATHS_MAX */
	struct msg_path_item item[MSG_PATHS_MAX];
};

struct msg_ack_item {
	uint32_t handle;
	uint32_t stamp;
};

struct msg_ack {
	uint32_t incarnation; /* of the node whose items these are */
	uint32_t n;	      /* 1..MSG_ACKS_MAX */
	struct msg_ack_item item[MSG_ACKS_MAX];
};

/* Anti-entropy. Above the last: refuse. */
enum digest_kind {
	DIGEST_CONFIG = 0,  /* which services are configured */
	DIGEST_RECORDS = 1, /* which versions of their states are known */
	DIGEST_KINDS = 2,
};

#define DIGEST_ROOT 255 /* group: the digests of the 64 groups themselves */

/* MASK 0: asks for the digests of GROUP (or DIGEST_ROOT). Otherwise asks for
 * the lists of these buckets of GROUP (< DIGEST_GROUPS). */
struct msg_digest_ask {
	uint8_t kind; /* enum digest_kind */
	uint8_t group;
	uint64_t mask;
};

struct msg_digest {
	uint8_t kind;
	uint8_t group;
	uint32_t config_seq;
	uint64_t total; /* over all groups */
	uint64_t digest[MSG_DIGESTS];
};

struct msg_list_item {
	uint64_t entity;
	uint64_t view; /* version of the record; 0, 0: none */
	uint32_t seq;
	uint32_t tag;
};

/* All services that the sender has configured in BUCKET whose entity lies in
 * first..last, ascending. Complete in itself, so that parts may get lost. */
struct msg_list {
	uint8_t kind;
	uint16_t bucket; /* < DIGEST_BUCKETS */
	uint32_t config_seq;
	uint64_t first, last;
	uint32_t n; /* 0..MSG_LIST_MAX */
	struct msg_list_item item[MSG_LIST_MAX];
};

/* Asks for these records; answered by MSG_STATE with stamp 0. */
struct msg_pull {
	uint32_t n; /* 1..MSG_PULL_MAX */
	uint64_t entity[MSG_PULL_MAX];
};

struct message {
	uint8_t type;	      /* enum message_type */
	uint8_t source;	      /* node id */
	uint32_t incarnation; /* life of the source: grows with each start */
	union {
		struct msg_hello hello;
		struct msg_prepare prepare;
		struct msg_promise promise;
		struct msg_accept accept;
		struct msg_accepted accepted;
		struct msg_reject reject;
		struct msg_commit commit;
		struct msg_state state;
		struct msg_path path;
		struct msg_ack ack;
		struct msg_digest_ask digest_ask;
		struct msg_digest digest;
		struct msg_list list;
		struct msg_pull pull;
	};
};

#endif
