/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accounting of the load generator by phase. A request belongs to the phase it
 * was started in, however late it ends. One thread.
 */
#ifndef SLUICE_LOAD_STATS_H
#define SLUICE_LOAD_STATS_H

#include <stdint.h>
#include <stdio.h>

/* X(enum suffix, name in the output) */
#define LOAD_ERRORS(X)                                                         \
	X(REFUSED, "refused")	   /* a reset or port unreachable for SYN */   \
	X(CONNECT, "connect")	   /* unreachable, no address, … */            \
	X(CONNECT_TIMEOUT, "connect_timeout")                                  \
	X(RESET, "reset")	   /* connection reset */                      \
	X(EOF, "early_end")	   /* closed before the answer was complete */ \
	X(TIMEOUT, "timeout")	   /* no byte for the time-out */              \
	X(STATUS, "status")	   /* not 2xx, or not HTTP */                  \
	X(CONTENT, "content")	   /* wrong byte or wrong length */            \
	X(MOVED, "moved")	   /* other back end within a connection */    \
	X(IDLE, "idle_broken")	   /* closed between two requests */

enum load_error {
#define LOAD_ERROR_X(id, name) LOAD_ERR_##id,
	LOAD_ERRORS(LOAD_ERROR_X)
#undef LOAD_ERROR_X
		LOAD_ERR_MAX
};

/* As it stands in the output. */
const char *load_error_name(enum load_error error);

#define LOAD_BACKENDS_MAX 16
/* Latency histogram: 32 steps per power of two of microseconds. */
#define LOAD_HIST 1024

struct load_backend {
	char name[16];
	uint64_t answered;
};

struct load_phase {
	char name[48];
	uint64_t start_us, end_us;
	uint64_t sent, answered, failed;
	uint64_t connections;	/* opened */
	uint64_t broken;	/* established, then lost */
	uint64_t bytes;
	uint64_t errors[LOAD_ERR_MAX];
	unsigned int told;	/* failures described on stderr */
	uint64_t latency_max_us;
	uint64_t hist[LOAD_HIST];
	struct load_backend backends[LOAD_BACKENDS_MAX];
};

#define LOAD_PHASES_MAX 64

struct load_stats {
	struct load_phase phases[LOAD_PHASES_MAX];
	unsigned int n_phases; /* the last one is current */
};

/* Closes the current phase and opens another. Further ones than
 * LOAD_PHASES_MAX are counted into the last. */
void load_stats_phase(struct load_stats *stats, const char *name,
		      uint64_t now_us);
void load_stats_answer(struct load_phase *phase, const char *backend,
		       uint64_t latency_us);
/* Percentile PERCENT of the latencies in microseconds, rounded up to the
 * histogram's step (3 %). */
uint64_t load_stats_percentile(const struct load_phase *phase, double percent);
/* Sum of all phases. */
void load_stats_total(const struct load_stats *stats,
		      struct load_phase *ret_total);
void load_stats_write(const struct load_stats *stats, FILE *out);

#endif
