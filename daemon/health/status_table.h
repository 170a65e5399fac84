/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What probers show of themselves: one anonymous file, mapped by the daemon
 * and all its probers. Probers write plainly, at every probe; the daemon reads
 * when somebody asks, and for response times and loads. Nothing is decided
 * from it except that a prober whose heartbeat stops is hung: a prober gone
 * mad can garble what is shown, never a state.
 */
#ifndef SLUICE_STATUS_TABLE_H
#define SLUICE_STATUS_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include "limits.h"

/* Of one binding, written by the prober that runs it. Times in ns of
 * CLOCK_MONOTONIC. */
struct status_row {
	uint64_t last_ns; /* start of the last finished probe; 0: none */
	uint64_t next_ns; /* 0: not scheduled */
	uint32_t response_us; /* of the last passed probe */
	uint32_t mean_us;
	uint32_t late_us; /* start after it was due, last probe */
	uint32_t timeout_ms; /* in force, also the learnt one */
	uint32_t detail;
	uint16_t reason; /* enum reason */
	uint8_t prober;
	uint8_t verdict;
	uint32_t passed, failed, discarded;
	uint32_t load; /* load monitors; bit 31: over the limit */
	uint32_t weight_percent; /* load monitors: 1..100; 0: not told */
	uint32_t pad;
};

_Static_assert(sizeof(struct status_row) == 64, "one cache line");

#define STATUS_LATE_BUCKETS 32
#define STATUS_LOAD_OVER (1u << 31)

/* Of one prober. */
struct status_prober {
	uint64_t heartbeat_ns;
	uint64_t probes, passed, failed, discarded, local_errors;
	uint64_t results_sent, results_received, states_sent;
	uint64_t cpu_us;
	uint32_t bindings, consolidated, in_flight, waiting;
	uint32_t lag_us_max; /* of its loop, last second */
	uint32_t late_windows;
	uint32_t self_checks, holding; /* verdicts held back now */
	uint32_t regex_runs, ping_kind; /* 0 none, 1 datagram, 2 raw */
	/* Lateness of probe starts: bucket i counts < 2^i µs. */
	uint64_t late[STATUS_LATE_BUCKETS];
	uint64_t pad[16];
};

struct status_table {
	struct status_prober prober[PROBERS_MAX];
	struct status_row row[BINDINGS_MAX];
};

/* Daemon: makes the file. Prober: maps one it was given. 0 or -errno. */
int status_table_create(int *ret_fd, struct status_table **ret);
int status_table_map(int fd, struct status_table **ret);
void status_table_unmap(struct status_table *table);

/* The lateness that PERMILLE of the starts stayed under, in µs. */
uint32_t status_table_late_us(const struct status_prober *prober,
			      unsigned int permille);

#endif
