/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the pure state machine (node.h) and the world: events go in one at a
 * time, effects are carried out in their order and before anything else. States
 * that health reports from inside an effect wait until the step is over.
 */
#ifndef SLUICE_CLUSTER_STEP_H
#define SLUICE_CLUSTER_STEP_H

#include "cluster/cluster_impl.h"

/* A step, and all that follows from it; sets the event's time. Nothing happens
 * while this life is over (cluster->halted). */
void cluster_step_event(struct cluster *cluster, struct node_event *event);

/* What probes found; ignored if another node probes the service. */
void cluster_step_local(struct cluster *cluster, const struct cluster_state *state);

/* Tells the daemon what is known of the service. */
void cluster_step_publish_again(struct cluster *cluster, uint64_t entity);

/* This node begins or ends to probe the service. */
void cluster_step_probe(struct cluster *cluster, uint64_t entity, bool on);

/* Watches the paths for which there was no memory; *_missing again if there is
 * none still. */
void cluster_step_paths(struct cluster *cluster);

#endif
