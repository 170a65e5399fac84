/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the whole flow table a piece at a time, to learn which vserver and
 * service numbers no entry mentions: those of removed objects may then be
 * given to others. Reads only.
 */
#ifndef SLUICE_FLOW_SCAN_H
#define SLUICE_FLOW_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/maps.h"
#include "bpf/publish.h"

struct flow_scan {
	uint32_t next;	  /* set */
	bool armed;	   /* it is known who was leaving, the pass waits */
	bool running;
	uint64_t begin_ns; /* of an armed pass */
	uint8_t *service_seen, *vserver_seen; /* bytes by number */
	uint8_t *service_left, *vserver_left; /* was leaving when armed */
};

/* 0 or -ENOMEM. */
int flow_scan_init(struct flow_scan *scan);
void flow_scan_deinit(struct flow_scan *scan);

/* Does one piece if numbers are leaving; called from a timer. NOW in ns. */
void flow_scan_step(struct flow_scan *scan, const struct maps *maps,
		    struct publish *publish, uint64_t now);

/* Whether the table has any live entry. */
bool flow_scan_any(const struct maps *maps);

#endif
