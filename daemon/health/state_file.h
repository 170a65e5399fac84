/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * States over a restart of the daemon: text, one service a line, with a
 * checksum at the end, replaced whole. A file that is damaged in any way is
 * as good as none: services then start UNKNOWN, nothing is guessed.
 *
 *   sluice-health 1
 *   ENTITY WHERE ADMIN OBSERVED SINCE_S N MONITOR:VERDICT…
 *   end CRC32
 */
#ifndef SLUICE_STATE_FILE_H
#define SLUICE_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "limits.h"

struct state_file_entry {
	uint64_t entity;
	uint64_t where; /* health_table_where(): address and port */
	int64_t since_s;
	uint8_t admin;	  /* enum svc_admin */
	uint8_t observed; /* enum health_observed */
	uint8_t n_bindings;
	uint8_t verdicts[BINDINGS_PER_SERVICE_MAX];
	uint64_t monitors[BINDINGS_PER_SERVICE_MAX]; /* entities */
};

struct state_file {
	struct state_file_entry *entries;
	size_t n;
};

/* Text of N entries, from malloc; NULL: no memory. */
char *state_file_format(const struct state_file_entry *entries, size_t n,
			size_t *ret_len);

/* 0; -EBADMSG: damaged; -ENOMEM. */
int state_file_parse(const char *text, size_t len, struct state_file *ret);

/* Reads PATH: 0, also (with no entries) if there is none; -errno. */
int state_file_read(const char *path, struct state_file *ret);
void state_file_free(struct state_file *file);

#endif
