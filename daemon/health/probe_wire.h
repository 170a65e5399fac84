/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages between the daemon and its probers, and among probers. All travel
 * over socket pairs of type SOCK_SEQPACKET that the daemon made; a datagram is
 * a frame: magic and version, then records of type, length, body. Sides check
 * every length; a prober's messages are treated as untrusted by the daemon.
 *
 * daemon → prober
 *   MONITOR   id, definition            (id known already: replaced)
 *   MONITOR_GONE  id
 *   SERVICE   slot, generation, entity, address, port, threshold, observed,
 *             probed here or not, name, domain's family and domain, bindings
 *             {row, monitor id, weight, verdict}
 *                                       (slot known already: replaced)
 *   SERVICE_GONE  slot
 *   STATE     slot, generation, observed, verdicts: what the daemon holds now;
 *             also the acknowledgement of the same record going up
 *   PROBERS   epoch, mask of running probers
 *   PEER      slot of another prober; its socket comes as SCM_RIGHTS
 *   TRY       id, address, port, definition
 * prober → daemon
 *   READY     version
 *   STATE     slot, generation, observed, verdicts, reason: what the
 *             consolidator found
 *   NAME      slot, generation, resolved or not, address, TTL, failures in a
 *             row, reason: what its consolidator resolved its domain to
 *   STEP      try id, time, text
 *   TRIED     try id, passed, time, reason
 *   NOTE      one line for the log
 * prober → prober
 *   RESULT    slot, generation, index of the binding, verdict, reason
 */
#ifndef SLUICE_PROBE_WIRE_H
#define SLUICE_PROBE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "health/reason.h"
#include "util/cursor.h"

#define PROBE_WIRE_MAGIC 0x5350 /* "PS" */
#define PROBE_WIRE_VERSION 3
/* Largest datagram. A monitor's strings are at most a quarter of it. */
#define PROBE_WIRE_FRAME_MAX 65536
#define PROBE_WIRE_STRING_MAX 8192
/* Fixed descriptors of a prober. */
#define PROBE_WIRE_FD_CONTROL 3
#define PROBE_WIRE_FD_STATUS 4
#define PROBE_WIRE_FD_TUNNELS 5 /* or /dev/null */

enum probe_wire_type {
	PROBE_WIRE_MONITOR = 1,
	PROBE_WIRE_MONITOR_GONE,
	PROBE_WIRE_SERVICE,
	PROBE_WIRE_SERVICE_GONE,
	PROBE_WIRE_STATE,
	PROBE_WIRE_PROBERS,
	PROBE_WIRE_PEER,
	PROBE_WIRE_TRY,
	PROBE_WIRE_READY,
	PROBE_WIRE_STEP,
	PROBE_WIRE_TRIED,
	PROBE_WIRE_NOTE,
	PROBE_WIRE_RESULT,
	PROBE_WIRE_NAME,
};

struct probe_wire_binding {
	uint32_t row;	  /* in the shared status table */
	uint32_t monitor; /* id */
	uint16_t weight;
	uint8_t verdict; /* enum verdict_value */
};

struct probe_wire_service {
	uint32_t slot, generation;
	uint64_t entity;
	union ip_addr addr;
	uint16_t port;
	uint32_t threshold;
	uint8_t observed; /* enum health_observed */
	bool owned;
	char name[NAME_LEN];
	uint8_t family; /* 4, 6; 0: it has no domain */
	char domain[DOMAIN_LEN];
	uint32_t n_bindings;
	struct probe_wire_binding bindings[BINDINGS_PER_SERVICE_MAX];
};

struct probe_wire_state {
	uint32_t slot, generation;
	uint8_t observed;
	uint32_t n_bindings;
	uint8_t verdicts[BINDINGS_PER_SERVICE_MAX];
	struct reason_info reason;
};

struct probe_wire_result {
	uint32_t slot, generation;
	uint8_t index; /* of the binding in its service */
	uint8_t verdict;
	struct reason_info reason;
};

struct probe_wire_name {
	uint32_t slot, generation;
	bool resolved;
	union ip_addr addr; /* if resolved, as TTL */
	uint32_t ttl_s, failures;
	struct reason_info reason;
};

/* Frame. BEGIN reserves the head; OPEN begins a record and returns where its
 * length goes; CLOSE fills that in. A record that does not fit sets error. */
void probe_wire_begin(struct cursor *c);
size_t probe_wire_open(struct cursor *c, enum probe_wire_type type);
void probe_wire_close(struct cursor *c, size_t mark);
/* Checks the head; false: not a frame of this version. */
bool probe_wire_check(struct cursor *c);
/* Next record's body as a cursor of its own; false at the end or on error. */
bool probe_wire_next(struct cursor *c, uint16_t *ret_type,
		     struct cursor *ret_body);

void probe_wire_put_reason(struct cursor *c, const struct reason_info *reason);
void probe_wire_get_reason(struct cursor *c, struct reason_info *ret);
void probe_wire_put_service(struct cursor *c,
			    const struct probe_wire_service *service);
bool probe_wire_get_service(struct cursor *c, struct probe_wire_service *ret);
void probe_wire_put_state(struct cursor *c,
			  const struct probe_wire_state *state);
bool probe_wire_get_state(struct cursor *c, struct probe_wire_state *ret);
void probe_wire_put_result(struct cursor *c,
			   const struct probe_wire_result *result);
bool probe_wire_get_result(struct cursor *c, struct probe_wire_result *ret);
void probe_wire_put_name(struct cursor *c, const struct probe_wire_name *name);
bool probe_wire_get_name(struct cursor *c, struct probe_wire_name *ret);

/* A monitor's definition. The decoded one owns its strings. */
void probe_wire_put_monitor(struct cursor *c,
			    const struct config_monitor *monitor);
/* 0, -EBADMSG, -ENOMEM. */
int probe_wire_get_monitor(struct cursor *c, struct config_monitor *ret);
void probe_wire_free_monitor(struct config_monitor *monitor);

#endif
