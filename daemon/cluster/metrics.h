/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When response times and custom loads are worth a message: only if a vserver
 * balances by them, only after one state update of this master was acknowledged
 * by all connected nodes, and only if the value differs by at least 5 % from
 * the one last *sent* (so that drift in small steps is seen), or at once if the
 * load's threshold flag changes.
 */
#ifndef SLUICE_CLUSTER_METRICS_H
#define SLUICE_CLUSTER_METRICS_H

#include "cluster/core.h"

/* Whether the measured metrics have to be sent now. */
bool metrics_due(const struct node *node, const struct record *rec);

/* Puts the measured metrics into what is advertised. */
void metrics_fill(const struct node *node, struct record *rec);

/* The first acknowledgement arrived: what was held back may go. */
void metrics_review(struct node *node, struct record *rec);

#endif
