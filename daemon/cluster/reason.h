/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Named reasons: why a node is not operational, and why a service has its
 * state. X(name, "text"); append only: state reasons are on the wire.
 */
#ifndef SLUICE_CLUSTER_REASON_H
#define SLUICE_CLUSTER_REASON_H

/* Of a node, as the node that is asked sees it; first that applies. */
#define NODE_REASONS(X)                                                      \
	X(NONE, "operational")                                               \
	X(NOT_CONFIGURED, "not a node of this cluster's configuration")      \
	X(NEVER_HEARD, "never heard since this daemon started")              \
	X(SILENT, "no hello for dead_missed intervals")                      \
	X(QUORUM_MODE, "runs with another quorum setting")                   \
	X(SET_DIFFERS, "its configuration lists other nodes")                \
	X(LEFT, "taken out by its operator (cluster leave)")                 \
	X(PASSIVE, "passive by order of its operator")                       \
	X(SPARE, "spare: no active node is missing")                         \
	X(VIEW_BEHIND, "has not installed the current view yet")             \
	X(LATE, "its own clock tick was late")                               \
	X(RESTARTED, "restarted since it was admitted")                      \
	X(LINK, "some operational node does not hear it")                    \
	X(DEAF, "does not hear the operational nodes")                       \
	X(BACKOFF, "left too often, waits before it is admitted again")      \
	X(SYNCING, "is being brought up to date")                            \
	X(NOT_READY, "does not know yet who has which service")              \
	X(NO_QUORUM, "no majority of the configured nodes is connected")     \
	X(AGREEING, "the next view is being agreed on")

enum node_reason {
#define X(name, text) NODE_REASON_##name,
	NODE_REASONS(X)
#undef X
	NODE_REASON_COUNT,
};

/* Of a service's state. */
#define STATE_REASONS(X)                                                     \
	X(NONE, "not yet probed")                                            \
	X(PROBE, "result of its monitors")                                   \
	X(ADMIN, "ordered by the operator")                                  \
	X(PATH_LOCAL, "this node cannot reach it")                           \
	X(PATH_ANY, "an operational node cannot reach it")                   \
	X(RESOLVE, "its name does not resolve")

enum state_reason {
#define X(name, text) STATE_REASON_##name,
	STATE_REASONS(X)
#undef X
	STATE_REASON_COUNT,
};

#endif
