/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A monitor's definition, prepared once: accepted codes as a bit map, the
 * expectation compiled, the constant part of the request built. Shared by its
 * bindings and by probes in flight, so it is counted.
 */
#ifndef SLUICE_MONITOR_H
#define SLUICE_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"
#include "health/nfa.h"
#include "health/verdict.h"

struct probe_kind;

struct monitor {
	struct config_monitor config;
	const struct probe_kind *kind;
	uint32_t references;
	/* `response_time`: over all its services, which one prober of one node
	 * probes, so that it is the same for all of them. */
	struct verdict_mean mean;
	struct nfa *nfa;       /* expect is a regex */
	const char *nfa_error; /* … and not a valid one */
	uint64_t codes[16];    /* accepted HTTP status codes 0..1023 */
	char *request;	       /* HTTP, up to the value of Host */
	size_t request_len;
};

/* Takes over DEFINITION's strings, also on failure. */
int monitor_new(struct config_monitor *definition, struct monitor **ret);
struct monitor *monitor_ref(struct monitor *monitor);
void monitor_unref(struct monitor *monitor);

static inline bool monitor_accepts(const struct monitor *monitor,
				   unsigned int code)
{
	return code < 1024 && (monitor->codes[code / 64] >> (code & 63) & 1);
}

/* "200-299,304" to a bit map. 0 or -EINVAL. */
int monitor_parse_codes(const char *text, uint64_t codes[16]);

/* Whether DATA holds what is expected (true if nothing is). */
bool monitor_expected(const struct monitor *monitor, const void *data,
		      size_t len);

#endif
