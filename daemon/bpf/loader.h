/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads the XDP program with its options, on the pinned maps if there are any,
 * and pins what is new. Does not attach it (attach.h) and does not pin the
 * program before it is asked to, so a failed load changes nothing.
 */
#ifndef SLUICE_LOADER_H
#define SLUICE_LOADER_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"

struct loader_options {
	uint8_t rss_key[40];
	uint32_t flow_sets_log2;
};

struct loader_program {
	int fd; /* -1: none */
	uint32_t id;
	uint8_t tag[8];
	uint32_t instructions; /* verified */
	uint64_t loaded_ns;    /* CLOCK_MONOTONIC */
	uint32_t load_us;
};

/* Options that follow from a configuration. */
void loader_options_from(const struct config *config,
			 struct loader_options *ret);
bool loader_options_equal(const struct loader_options *a,
			  const struct loader_options *b);

/* One number for the object in this executable and OPTIONS: two programs with
 * the same one are the same program. Never 0. */
uint64_t loader_fingerprint(const struct loader_options *options);

/* Takes as long as the verifier does: tenths of a second. May be called in
 * another thread, but only once at a time.
 * 0, or -errno with *e filled: what does not fit, and the remedy. */
int loader_load(const char *bpffs, const struct loader_options *options,
		struct loader_program *ret, struct config_error *e);

/* Makes it BPFFS/progs/steer, at once. 0 or -errno. */
int loader_pin(const char *bpffs, const struct loader_program *program);

/* The program that is pinned there; -ENOENT. */
int loader_pinned(const char *bpffs, struct loader_program *ret);

void loader_release(struct loader_program *program);

#endif
