/* SPDX-License-Identifier: GPL-2.0-only */
/* What goes wrong in a random run: one misfortune after the other, drawn from
 * the seed; several are in force at once. faults_heal() ends them all. */
#include <string.h>

#include "sim.h"

static void next_in(struct sim *sim, uint32_t ms)
{
	struct sim_event e = {
		.at = sim->now + (1 + sim_below(sim, ms)) * MS,
		.type = SIM_FAULT,
	};

	sim_push(sim, &e);
}

static void all_links(struct sim *sim, double loss)
{
	uint32_t i, j;

	for (i = 0; i < sim->n_nodes; i++)
		for (j = 0; j < sim->n_nodes; j++)
			sim->link[i][j].loss = loss;
}

void faults_start(struct sim *sim)
{
	static const double losses[] = {0, 0, 0.01, 0.05, 0.2, 0.5};

	all_links(sim, losses[sim_below(sim, 6)]);
	sim->duplicate = sim_below(sim, 3) ? 0 : 0.1;
	sim->delay_min_us = 50;
	sim->delay_max_us = sim_below(sim, 2) ? 500 : 5000;
	sim->spike = sim_below(sim, 3) ? 0 : 0.05;
	sim->spike_us = 200 * MS;
	sim->faults = true;
	next_in(sim, 500);
}

/* ---- network ---------------------------------------------------------- */

static void partition(struct sim *sim)
{
	uint32_t side = (uint32_t)sim_random(sim), i, j;
	uint32_t kind = sim_below(sim, 4),
		 bridge = sim_below(sim, sim->n_nodes);

	sim->stats.partitions++;
	sim_note(sim, NODES_MAX, "partition %#x kind %u",
		 side & ((1u << sim->n_nodes) - 1), kind);
	for (i = 0; i < sim->n_nodes; i++)
		for (j = 0; j < sim->n_nodes; j++) {
			bool across = (side >> i & 1) != (side >> j & 1);

			if (!across || i == j)
				continue;
			/* 2: only one direction; 3: one node sees both sides */
			if (kind == 2 && side >> i & 1)
				continue;
			if (kind == 3 && (i == bridge || j == bridge))
				continue;
			sim->link[i][j].cut = true;
		}
}

static void break_link(struct sim *sim)
{
	uint32_t i = sim_below(sim, sim->n_nodes);
	uint32_t j = sim_below(sim, sim->n_nodes);

	sim_note(sim, NODES_MAX, "link b%u to b%u breaks", i, j);
	sim->link[i][j].cut = i != j;
}

static void clog_node(struct sim *sim)
{
	uint32_t i = sim_below(sim, sim->n_nodes), j;
	double loss = 0.5 + sim_unit(sim) / 2;

	sim_note(sim, i, "loses %u %%", (unsigned int)(100 * loss));
	for (j = 0; j < sim->n_nodes; j++)
		sim->link[i][j].loss = sim->link[j][i].loss = loss;
}

static void mend(struct sim *sim)
{
	uint32_t i, j;

	sim_note(sim, NODES_MAX, "links mend");
	for (i = 0; i < sim->n_nodes; i++)
		for (j = 0; j < sim->n_nodes; j++)
			sim->link[i][j].cut = false;
}

/* ---- nodes ------------------------------------------------------------ */

static void crash(struct sim *sim)
{
	uint32_t i = sim_below(sim, sim->n_nodes);

	if (!sim->nodes[i].node)
		return;
	if (sim_below(sim, 2)) /* inside a step, between two effects */
		sim->nodes[i].crash_after = (int)sim_below(sim, 8);
	else
		sim_crash(sim, i);
}

static void boot(struct sim *sim)
{
	uint32_t i, start = sim_below(sim, sim->n_nodes);

	for (i = 0; i < sim->n_nodes; i++) {
		uint32_t n = (start + i) % sim->n_nodes;

		if (!sim->nodes[n].node) {
			sim_boot(sim, n);
			return;
		}
	}
}

static void pause_or_resume(struct sim *sim)
{
	uint32_t i = sim_below(sim, sim->n_nodes);

	if (!sim->nodes[i].node)
		return;
	if (sim->nodes[i].paused)
		sim_resume(sim, i);
	else
		sim_pause(sim, i);
}

static void clock_step(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_below(sim, sim->n_nodes)];
	uint32_t by = sim_below(sim, 5000);

	if (sim_below(sim, 2))
		n->clock += by;
	else /* a monotonic clock does not, but should it… */
		n->clock -= n->clock > by ? by % 500 : 0;
}

static void mass_restart(struct sim *sim)
{
	uint32_t i;

	for (i = 0; i < sim->n_nodes; i++)
		sim_crash(sim, i);
	for (i = 0; i < sim->n_nodes; i++)
		if (sim_below(sim, 4))
			sim_boot(sim, i);
}

static void operator_changes(struct sim *sim)
{
	uint32_t i = sim_below(sim, sim->n_nodes);
	static const uint8_t admin[] = {ADMIN_ACTIVE, ADMIN_ACTIVE,
					ADMIN_PASSIVE, ADMIN_LEAVING,
					ADMIN_SPARE};

	sim_admin(sim, i, admin[sim_below(sim, 5)]);
}

/* ---- services --------------------------------------------------------- */

static void toggle(struct sim *sim)
{
	uint32_t i,
		n = sim_below(sim, 8) ? 1 + sim_below(sim, 5) : sim->n_services;

	for (i = 0; i < n; i++) {
		uint32_t k = n == sim->n_services
				     ? i
				     : sim_below(sim, sim->n_services);
		struct sim_service *s = &sim->services[k];

		s->state = sim_below(sim, 3) ? SVC_UP : SVC_DOWN;
		sim_truth(sim, k);
	}
}

static void drift(struct sim *sim)
{
	uint32_t k = sim_below(sim, sim->n_services);
	struct sim_service *s = &sim->services[k];

	s->load = s->load * (95 + sim_below(sim, 12)) / 100 + 1;
	s->response_us = s->response_us * (95 + sim_below(sim, 12)) / 100 + 1;
	s->over = !sim_below(sim, 4);
	sim_truth(sim, k);
}

/* A name resolves to something else, or nobody answers, or again. */
static void name_changes(struct sim *sim)
{
	uint32_t k = sim_below(sim, sim->n_services);
	struct sim_service *s = &sim->services[k];

	if (!s->named)
		return;
	s->silent = !sim_below(sim, 3);
	if (!s->silent)
		s->place = sim_below(sim, 8);
	sim_truth(sim, k);
}

static void path_changes(struct sim *sim)
{
	uint32_t k = sim_below(sim, sim->n_services);

	sim->services[k].reachable =
		sim_below(sim, 2)
			? (uint32_t)sim_random(sim) | (uint32_t)sim_random(sim)
			: UINT32_MAX;
	sim_truth(sim, k);
}

static void churn(struct sim *sim)
{
	uint32_t k = sim_below(sim, sim->n_services), i;
	uint32_t set = (uint32_t)sim_random(sim);

	if (sim_below(sim, 2))
		set = sim_below(sim, 2) ? UINT32_MAX : 0;
	for (i = 0; i < sim->n_nodes; i++)
		sim_configure(sim, i, k, set >> i & 1);
}

static void options_change(struct sim *sim)
{
	uint32_t k = sim_below(sim, sim->n_services);
	uint32_t f = sim->services[k].flags & NODE_SERVICE_INTERNAL;

	f |= sim_below(sim, 64) &
	     (NODE_SERVICE_PATH | NODE_SERVICE_PATH_ANY |
	      NODE_SERVICE_USE_RESPONSE | NODE_SERVICE_USE_LOAD);
	sim_set_flags(sim, k, f);
	sim_truth(sim, k);
}

void faults_next(struct sim *sim)
{
	static void (*const what[])(struct sim * sim) = {
		partition,
		break_link,
		clog_node,
		mend,
		mend,
		crash,
		crash,
		boot,
		boot,
		boot,
		pause_or_resume,
		pause_or_resume,
		pause_or_resume,
		clock_step,
		toggle,
		toggle,
		toggle,
		toggle,
		drift,
		drift,
		drift,
		path_changes,
		path_changes,
		churn,
		churn,
		options_change,
	};
	uint32_t rare = sim_below(sim, 60);

	if (!sim->faults)
		return;
	if (rare == 0)
		mass_restart(sim);
	else if (rare == 1)
		operator_changes(sim);
	else if (rare == 2)
		sim->nodes[sim_below(sim, sim->n_nodes)].slow ^= true;
	else if (!sim->o.no_names && rare < 6)
		name_changes(sim);
	else
		what[sim_below(sim, sizeof(what) / sizeof(what[0]))](sim);
	next_in(sim, 150);
}

void faults_heal(struct sim *sim)
{
	uint32_t i, active = 0;

	sim_note(sim, NODES_MAX, "everything heals");
	sim->faults = false;
	sim_net_perfect(sim);
	for (i = 0; i < sim->n_nodes; i++) {
		sim->nodes[i].slow = false;
		sim->nodes[i].crash_after = -1;
		if (!sim->nodes[i].node)
			sim_boot(sim, i);
		else
			sim_resume(sim, i);
		active += sim->nodes[i].admin == ADMIN_ACTIVE;
	}
	for (i = 0; i < sim->n_services; i++) {
		if (!sim->services[i].silent)
			continue;
		sim->services[i].silent = false;
		sim_truth(sim, i);
	}
	/* With nobody active the last view stays: nothing to agree on. */
	if (!active)
		sim_admin(sim, 0, ADMIN_ACTIVE);
}
