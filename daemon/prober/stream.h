/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP conversations of probes: connect, send a request, read the reply. The
 * kinds on top say what to send and judge what comes.
 */
#ifndef SLUICE_STREAM_H
#define SLUICE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe;

/* A request of up to this is built on the stack. */
#define STREAM_REQUEST_MAX 8192

struct stream_rules {
	/* Writes the request to BUF; its length, or −1 if it does not fit. NULL:
	 * being connected is all. */
	int (*request)(struct probe *probe, char *buf, size_t size);
	/* Bytes have come. True if the probe is finished (and gone). */
	bool (*data)(struct probe *probe, const uint8_t *data, size_t len);
	/* The far side has closed. Must finish the probe. */
	void (*closed)(struct probe *probe);
};

void stream_start(struct probe *probe, const struct stream_rules *rules);

/* For the kinds' stop(). */
void stream_stop(struct probe *probe);

#endif
