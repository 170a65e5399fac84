/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sessions with all peers: who is authentic, and in which of its lives. Takes
 * datagrams and gives texts, and the other way round. Pure but for random
 * numbers: no sockets, and time comes in as an argument, so that unit tests
 * and fuzzers run exactly what the daemon runs.
 *
 * A session is agreed when the peer has answered a fresh challenge with its
 * current epoch. Keys depend on the epochs of both sides, so nothing recorded
 * in an earlier life of either can be opened. A challenge is answered without
 * any change of state, so replaying one achieves nothing:
 *
 *	A → B  CHALLENGE  A's epoch, random bytes, what A knows of B's epoch
 *	B → A  ANSWER     B's epoch, the same bytes, A's epoch
 *
 * and each side challenges the other. What a stranger's datagram costs: reading
 * the header; with a forged header of a known peer, one authentication.
 */
#ifndef SLUICE_NNM_SESSION_H
#define SLUICE_NNM_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cluster/nnm_counters.h"
#include "cluster/nnm_epoch.h"
#include "cluster/nnm_header.h"
#include "cluster/nnm_keys.h"
#include "cluster/nnm_replay.h"

/* A challenge is repeated for this long before a new one is made. */
#define NNM_CHALLENGE_MS 2000
/* Challenges to one peer are at least this far apart. */
#define NNM_CHALLENGE_GAP_MS 50
/* Answers to one peer: at most this many in each NNM_ANSWER_SPAN_MS. */
#define NNM_ANSWERS_MAX 16
#define NNM_ANSWER_SPAN_MS 500

struct nnm_peer_session {
	bool configured, up;
	struct nnm_epoch epoch;	   /* counter 0: never agreed */
	uint64_t tx_seq;	   /* last used; never goes back */
	struct nnm_replay window;
	uint8_t tx_key[NNM_KEY_BYTES];
	uint8_t rx_keys[NNM_KEYS_MAX][NNM_KEY_BYTES];
	uint8_t hs_tx_key[NNM_KEY_BYTES];
	uint8_t hs_rx_keys[NNM_KEYS_MAX][NNM_KEY_BYTES];
	bool challenge_open;
	uint8_t challenge[16];
	uint64_t challenge_made_ms, challenge_sent_ms;
	bool challenge_ever_sent;
	uint64_t answers_from_ms;
	unsigned int answers;
};

struct nnm_sessions {
	uint8_t self;
	struct nnm_epoch epoch;
	struct nnm_keys keys;
	struct nnm_peer_session peers[NODES_MAX];
	struct nnm_counters counters;
};

enum nnm_input_result {
	NNM_INPUT_DROPPED, /* counted; nothing changed */
	NNM_INPUT_TEXT,	   /* authentic and new: text, len, seq are set */
	NNM_INPUT_SESSION, /* a session was agreed with a new life of the peer */
	NNM_INPUT_QUIET,   /* an authentic handshake that needs no more */
};

struct nnm_input {
	enum nnm_input_result result;
	enum nnm_counter why; /* of NNM_INPUT_DROPPED */
	uint8_t *text;	      /* inside the datagram */
	size_t len;
	uint64_t seq;
	/* To be sent back to the peer if not 0. */
	uint8_t answer[NNM_HANDSHAKE_BYTES];
	size_t answer_len;
	/* The peer must be challenged; nnm_session_challenge() keeps the pace. */
	bool challenge;
	/* The peer knows a later epoch of this node than this one: begin one
	 * above it; 0: no. */
	uint64_t epoch_floor;
};

void nnm_session_init(struct nnm_sessions *s, uint8_t self,
		      const struct nnm_epoch *epoch, const struct nnm_keys *keys);
void nnm_session_deinit(struct nnm_sessions *s);

/* The set of peers. Sequence numbers of a removed peer are kept. */
void nnm_session_set_peer(struct nnm_sessions *s, uint8_t peer, bool configured);

/* Another key file: takes effect at once, sessions go on. */
void nnm_session_set_keys(struct nnm_sessions *s, const struct nnm_keys *keys);

/* A new epoch of this node: all sessions must be agreed anew. */
void nnm_session_set_epoch(struct nnm_sessions *s, const struct nnm_epoch *epoch);

/* A datagram that came from the address configured for node FROM, or
 * NNM_STRANGER. DATA is decrypted in place. */
void nnm_session_input(struct nnm_sessions *s, unsigned int from,
		       uint8_t *data, size_t len, uint64_t now_ms,
		       struct nnm_input *ret);

/* Makes a challenge for PEER; returns its length, or 0 if one was sent less
 * than NNM_CHALLENGE_GAP_MS ago. */
size_t nnm_session_challenge(struct nnm_sessions *s, uint8_t peer,
			     uint64_t now_ms, uint8_t to[NNM_HANDSHAKE_BYTES]);

/* Seals the LEN bytes at DATAGRAM + NNM_HEADER_BYTES; the session must be up.
 * Returns the length of the datagram, *ret_seq is its number. */
size_t nnm_session_seal(struct nnm_sessions *s, uint8_t peer, uint8_t *datagram,
			size_t len, uint64_t *ret_seq);

#endif
