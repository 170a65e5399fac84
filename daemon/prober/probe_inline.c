/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inline: no probe is sent; the daemon reads the flow state and gives the
 * verdict (health/passive.c). Only a one-off try gets here.
 */
#include "prober/probe.h"

static void start(struct probe *probe)
{
	probe_finish_text(probe, REASON_UNSUPPORTED, 0,
			  "watches real traffic, sends none", 32);
}

const struct probe_kind probe_inline = { "inline", start, NULL, NULL };
