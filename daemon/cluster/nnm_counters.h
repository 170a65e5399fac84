/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything node-to-node messages count, per peer: X(name, help). The list
 * gives enum, names and help texts. Append only: names are part of the API.
 * What cannot be laid to a configured peer is counted under NNM_STRANGER.
 */
#ifndef SLUICE_NNM_COUNTERS_H
#define SLUICE_NNM_COUNTERS_H

#include <stdint.h>
#include "limits.h"

#define NNM_COUNTERS(X)                                                             \
	X(rx_datagrams, "datagrams received, before any check")                     \
	X(rx_bytes, "their bytes")                                                  \
	X(rx_messages, "messages accepted from authentic datagrams")                \
	X(tx_datagrams, "datagrams sent")                                           \
	X(tx_bytes, "their bytes")                                                  \
	X(tx_messages, "messages sent")                                             \
	X(drop_short, "dropped: too short to have a header")                        \
	X(drop_long, "dropped: longer than the limit")                              \
	X(drop_magic, "dropped: not a Sluice datagram")                             \
	X(drop_version, "dropped: version this node does not speak")                \
	X(drop_type, "dropped: unknown type or reserved bits set")                  \
	X(drop_receiver, "dropped: addressed to another node id")                   \
	X(drop_sender, "dropped: node id that is not configured")                   \
	X(drop_address, "dropped: not from that node's configured address")         \
	X(drop_key, "dropped: sealed with a key this node does not have")           \
	X(drop_no_session, "dropped: data while no session is agreed")              \
	X(drop_session, "dropped: belongs to another life of this node or the peer") \
	X(drop_replay, "dropped: received before, or too old to know")              \
	X(drop_forged, "dropped: not authentic")                                    \
	X(drop_malformed, "dropped: authentic but not well formed")                 \
	X(drop_old_epoch, "dropped: handshake of an earlier life of the peer")      \
	X(drop_challenge, "dropped: answer to no open challenge")                   \
	X(drop_handshake_rate, "dropped: more handshakes than are answered")        \
	X(handshake_sent, "challenges sent")                                        \
	X(handshake_answered, "challenges of peers answered")                       \
	X(sessions, "sessions agreed: 1, and 1 more for each restart of a side")    \
	X(queue_full, "messages refused because the peer's queue was full")         \
	X(queue_no_session, "messages refused because no session is agreed")        \
	X(tx_errors, "datagrams the kernel refused to send")                        \
	X(tx_acked, "datagrams acknowledged")                                       \
	X(tx_lost, "datagrams given up as lost")                                    \
	X(rx_acks_only, "datagrams that only acknowledged")                         \
	X(paced, "times messages had to wait for the pace of the link")              \
	X(rx_unknown, "messages of types this version does not know, skipped")

enum nnm_counter {
#define X(name, help) NNM_##name,
	NNM_COUNTERS(X)
#undef X
	NNM_COUNTERS_N,
};

/* Index for datagrams of nobody we know. */
#define NNM_STRANGER NODES_MAX

struct nnm_counters {
	uint64_t v[NODES_MAX + 1][NNM_COUNTERS_N];
};

/* NULL if I is not a counter. */
static inline const char *nnm_counter_name(unsigned int i)
{
	static const char *const names[] = {
#define X(name, help) #name,
		NNM_COUNTERS(X)
#undef X
	};

	return i < NNM_COUNTERS_N ? names[i] : (const char *)0;
}

static inline const char *nnm_counter_help(unsigned int i)
{
	static const char *const texts[] = {
#define X(name, help) help,
		NNM_COUNTERS(X)
#undef X
	};

	return i < NNM_COUNTERS_N ? texts[i] : (const char *)0;
}

#endif
