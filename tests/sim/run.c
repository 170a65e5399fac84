/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One random run: a cluster comes up; misfortunes for some seconds; everything
 * heals, and within a bound all must agree with the truth; then two tests on
 * the healthy cluster that random faults would blur: changes under loss arrive
 * by retransmission alone, and metrics that drift in small steps are followed.
 */
#include <string.h>

#include "sim.h"

#define FAULTS_MS 6000
/* Detection, admission after the longest back-off, repair: see README.md. */
#define CONVERGE_MS 12000
#define BURST_MS 900

static void set_up(struct sim *sim)
{
	uint32_t i, k;
	uint32_t kind = sim_below(sim, 4);
	uint32_t all =
		sim->n_nodes == 32 ? UINT32_MAX : (1u << sim->n_nodes) - 1;

	for (k = 0; k < sim->n_services; k++) {
		struct sim_service *s = &sim->services[k];

		/* Configurations: equal three times of four. */
		s->configured = kind ? all : (uint32_t)sim_random(sim) & all;
		s->state = sim_below(sim, 4) ? SVC_UP : SVC_DOWN;
		if (!sim_below(sim, 4))
			s->flags |= NODE_SERVICE_PATH;
		if (!sim_below(sim, 2))
			s->flags |= NODE_SERVICE_PATH_ANY;
		if (!sim_below(sim, 2))
			s->flags |= NODE_SERVICE_USE_LOAD;
		if (!sim_below(sim, 2))
			s->flags |= NODE_SERVICE_USE_RESPONSE;
		if (!sim->o.no_names && !sim_below(sim, 4)) {
			s->named = true;
			s->place = sim_below(sim, 3);
		}
		/* Some share one owner, as with a response-time monitor. */
		if (!sim_below(sim, 5))
			s->key = 0x1234567;
	}
	for (i = 0; i < sim->n_nodes; i++) {
		if (i > 2 && !sim_below(sim, 8))
			sim->nodes[i].admin =
				sim_below(sim, 2) ? ADMIN_PASSIVE : ADMIN_SPARE;
		sim_boot(sim, i);
	}
}

static bool converge(struct sim *sim, uint64_t bound_ms, const char *what)
{
	uint64_t start = sim->now, end = start + bound_ms * MS;
	char why[400] = "";

	while (!sim->failed && sim->now < end) {
		sim_until(sim, sim->now + 20 * MS);
		if (!sim->failed && check_converged(sim, why, sizeof(why))) {
			uint64_t took = sim->now - start;

			sim->stats.converge_us += took;
			if (took > sim->stats.converge_max_us)
				sim->stats.converge_max_us = took;
			return true;
		}
	}
	sim_fail(sim, "%s: no agreement within %llu ms: %s", what,
		 (unsigned long long)bound_ms, why);
	return false;
}

/* Loss for a moment, many changes in it; repair is too slow to help. */
static void burst(struct sim *sim)
{
	char why[400] = "";
	uint32_t i, j, k;

	sim_note(sim, NODES_MAX, "burst of changes under loss");
	for (i = 0; i < sim->n_nodes; i++)
		for (j = 0; j < sim->n_nodes; j++)
			sim->link[i][j].loss = 0.2;
	for (i = 0; i < 3; i++) {
		for (k = 0; k < sim->n_services; k++) {
			sim->services[k].state =
				sim_below(sim, 2) ? SVC_UP : SVC_DOWN;
			if (sim->services[k].named)
				sim->services[k].place = sim_below(sim, 4);
			sim_truth(sim, k);
		}
		sim_until(sim, sim->now + 50 * MS);
	}
	sim_until(sim, sim->now + 150 * MS);
	sim_net_perfect(sim);
	sim_until(sim, sim->now + (BURST_MS - 300) * MS);
	if (!sim->failed && !check_states(sim, why, sizeof(why)))
		sim_fail(sim,
			 "changes under loss were not all told in time: %s",
			 why);
}

static void drift(struct sim *sim)
{
	char why[400] = "";
	uint32_t i, k;

	sim_note(sim, NODES_MAX, "metrics drift");
	for (k = 0; k < sim->n_services; k++)
		sim->services[k].load = sim->services[k].response_us = 1000;
	for (i = 0; i < 12; i++) {
		for (k = 0; k < sim->n_services; k++) {
			sim->services[k].load += 20;
			sim->services[k].response_us += 15;
			sim_truth(sim, k);
		}
		sim_until(sim, sim->now + 30 * MS);
	}
	sim_until(sim, sim->now + 200 * MS);
	if (!sim->failed && !check_states(sim, why, sizeof(why)))
		sim_fail(sim, "metrics that drift were not followed: %s", why);
}

static void add(struct sim_stats *total, const struct sim_stats *s)
{
	uint64_t *a = (uint64_t *)total;
	const uint64_t *b = (const uint64_t *)s;
	uint64_t max = total->converge_max_us > s->converge_max_us
			       ? total->converge_max_us
			       : s->converge_max_us;

	for (size_t i = 0; i < sizeof(*s) / sizeof(uint64_t); i++)
		a[i] += b[i];
	total->converge_max_us = max;
}

int sim_run(const struct sim_options *options, uint64_t seed,
	    struct sim_stats *total)
{
	static struct sim sim;
	uint32_t nodes = options->nodes, services = options->services;

	if (options->any) {
		uint64_t r = seed * 0x9e3779b97f4a7c15ull >> 20;

		nodes = 2 + (uint32_t)(r % 7);
		services = 4 + (uint32_t)(r / 7 % 60);
	}
	sim_init(&sim, options, seed, nodes, services);
	sim.quorum_none = !sim_below(&sim, 10);
	set_up(&sim);
	if (sim_below(&sim, 4)) /* else: troubles from the first moment */
		sim_until(&sim, sim.now + (500 + sim_below(&sim, 1500)) * MS);
	if (!sim.failed) {
		faults_start(&sim);
		sim_until(&sim, sim.now + FAULTS_MS * MS);
	}
	if (!sim.failed) {
		faults_heal(&sim);
		if (converge(&sim, CONVERGE_MS, "after healing"))
			burst(&sim);
	}
	if (!sim.failed)
		drift(&sim);
	add(total, &sim.stats);
	sim_free(&sim);
	return sim.failed;
}
