/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulator's world: real state machines (daemon/cluster/node.h) on a fake
 * network, with fake clocks, disks, probes and operators. One seed gives one
 * run, always the same. See README.md.
 *
 *   world.c   nodes, their disks and clocks; carries out effects
 *   net.c     the queue of what happens next; loss, delay, partitions
 *   check.c   invariants, after every step
 *   faults.c  what goes wrong in a random run, and when
 *   run.c     one random run: faults, heal, convergence, last tests
 *   golden.c  scripted scenarios whose traces are kept in golden/
 *   scale.c   32 nodes × 70 000 services, for figures
 *   detect.c  failure detection under loss, for figures
 *   trace.c   what happened last, for failures
 */
#ifndef SLUICE_SIM_H
#define SLUICE_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "cluster/node.h"
#include "map_abi.h"

#define MS 1000ull /* simulated time is in microseconds */

struct sim_options {
	uint64_t seed;
	uint32_t runs, nodes, services;
	enum node_mutation mutation;
	bool trace, quiet;
	bool raw; /* messages do not pass the codec */
	bool no_names; /* no domain-based services: runs of older seeds */
	bool any; /* nodes and services are drawn from the seed */
};

/* ---- what happens next ------------------------------------------------ */

enum sim_event_type {
	SIM_TICK,
	SIM_MESSAGE,
	SIM_PROBE, /* a probe of service ARG finishes on NODE */
	SIM_PATH_PROBE,
	SIM_FAULT, /* faults.c: next misfortune */
	SIM_STOP,  /* end of a sim_until() */
};

struct sim_packet {
	uint32_t refs;
	struct message m;
};

struct sim_event {
	uint64_t at, order;
	uint32_t node, arg;
	uint64_t life; /* of the node it is for; others are dropped */
	enum sim_event_type type;
	struct sim_packet *packet;
};

struct sim_link {
	bool cut;
	double loss;
};

/* ---- truth ------------------------------------------------------------ */

struct sim_service {
	uint64_t entity, key;
	uint32_t flags;
	uint8_t state; /* what a probe finds */
	uint32_t response_us, load;
	bool over;
	/* Domain-based: what its name resolves to now (0: nothing), and whether
	 * a resolver answers at all; if not, an owner keeps what it knows. */
	bool named, silent;
	uint32_t place;
	uint32_t configured; /* bit per node */
	uint32_t reachable;  /* bit per node, for path monitors */
	uint64_t churned;    /* last change of its configuration */
};

struct sim_node {
	struct node *node; /* NULL: crashed */
	uint64_t life;	   /* = incarnation, and of pending events */
	struct node_durable disk;
	bool has_disk, paused, slow;
	uint64_t clock; /* added to simulated time, ms */
	uint8_t admin;
	uint32_t probing[8], path_probing[8]; /* bit per service */
	struct sim_event *backlog;	      /* while paused */
	uint32_t n_backlog;
	int crash_after; /* effects; < 0: does not crash in this step */
	bool dying;
	uint64_t bytes_out, packets_out, bytes_in, packets_in;
	/* check.c: versions last published in this life */
	uint64_t *seen_view;
	uint32_t *seen_seq;
	uint32_t forgot[8]; /* services deleted in this life, by bit */
};

#define SIM_SERVICES_MAX 256
#define SIM_BACKLOG 512

struct sim {
	struct sim_options o;
	uint64_t seed, random[4];
	uint64_t now, order;
	uint32_t n_nodes, n_services;
	bool quorum_none;
	struct sim_node nodes[NODES_MAX];
	struct sim_service *services;
	struct sim_link link[NODES_MAX][NODES_MAX];
	double duplicate;
	uint32_t delay_min_us, delay_max_us, spike_us;
	double spike;
	bool faults;
	bool instant; /* scale: probes answer at once */
	struct sim_event *heap;
	uint32_t n_heap, heap_size;
	struct sim_packet *pool;
	struct sim_stats {
		uint64_t steps, messages, lost, views, claims, crashes;
		uint64_t pauses, partitions, published, bytes, repairs;
		uint64_t converge_us, converge_max_us;
	} stats;
	struct check *check;
	struct trace_ring *ring;
	bool failed;
	void (*on_trace)(struct sim *sim, uint32_t node,
			 const struct node_trace *trace);
	void (*on_effect)(struct sim *sim, uint32_t node,
			  const struct node_effect *effect);
};

/* trace.c */
void sim_trace_init(struct sim *sim);
void sim_trace_free(struct sim *sim);
void sim_note(struct sim *sim, uint32_t node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void sim_trace_node(struct sim *sim, uint32_t node, const struct node_trace *t);
/* Prints what happened last and how to replay it. Marks the run failed. */
void sim_fail(struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* net.c */
uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t n);
double sim_unit(struct sim *sim);
void sim_seed(struct sim *sim, uint64_t seed);
void sim_push(struct sim *sim, const struct sim_event *event);
bool sim_pop(struct sim *sim, struct sim_event *ret);
void sim_send(struct sim *sim, uint32_t from, uint32_t to,
	      const struct message *m);
void sim_packet_put(struct sim *sim, struct sim_packet *packet);
void sim_net_perfect(struct sim *sim);
void sim_net_free(struct sim *sim);
/* Bytes of its datagram, headers of UDP/IPv4 and encryption included. */
uint32_t sim_bytes(const struct message *m);

/* world.c */
void sim_init(struct sim *sim, const struct sim_options *options, uint64_t seed,
	      uint32_t nodes, uint32_t services);
void sim_free(struct sim *sim);
void sim_boot(struct sim *sim, uint32_t node);
void sim_crash(struct sim *sim, uint32_t node);
void sim_pause(struct sim *sim, uint32_t node);
void sim_resume(struct sim *sim, uint32_t node);
void sim_configure(struct sim *sim, uint32_t node, uint32_t service, bool on);
void sim_set_flags(struct sim *sim, uint32_t service, uint32_t flags);
void sim_admin(struct sim *sim, uint32_t node, uint8_t admin);
/* The truth about a service changed: those who probe it will find out. */
void sim_truth(struct sim *sim, uint32_t service);
void sim_until(struct sim *sim, uint64_t at);
/* Where a domain-based service is when its name resolves to PLACE. */
union ip_addr sim_addr(uint32_t place);
uint32_t sim_find(const struct sim *sim, uint64_t entity);
bool sim_up(const struct sim *sim, uint32_t node);

/* check.c */
void check_init(struct sim *sim);
void check_free(struct sim *sim);
void check_effect(struct sim *sim, uint32_t node, const struct node_effect *e);
void check_step(struct sim *sim, uint32_t node);
void check_booted(struct sim *sim, uint32_t node);
void check_forgot(struct sim *sim, uint32_t node, uint32_t service);
/* Everything agrees with the truth; WHY gets the first thing that does not. */
bool check_converged(struct sim *sim, char *why, size_t len);
/* Only states and metrics, not membership. */
bool check_states(struct sim *sim, char *why, size_t len);

/* faults.c */
void faults_start(struct sim *sim);
void faults_next(struct sim *sim);
void faults_heal(struct sim *sim);

/* run.c, golden.c, scale.c: 0, or 1 if a check failed. */
int sim_run(const struct sim_options *options, uint64_t seed,
	    struct sim_stats *total);
int golden_run(const char *name, bool list);
int scale_run(const struct sim_options *options);
int detect_run(const struct sim_options *options);

#endif
