/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Figures of failure detection under loss: a random node loses power at a
 * random moment, again and again; how long until every survivor has installed
 * the view without it, until each of its services has a new prober, and until
 * it is a member again after it came back. And how many are excluded in ten
 * minutes of loss though nothing is wrong with them. Delays are 50–500 µs.
 */
#include <stdlib.h>

#include "sim.h"

#define TRIALS 300
#define CALM_MS 600000

static struct sim world;
static uint64_t sample[3][TRIALS];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void set_loss(double loss)
{
	uint32_t i, j;

	for (i = 0; i < world.n_nodes; i++)
		for (j = 0; j < world.n_nodes; j++)
			world.link[i][j].loss = loss;
}

/* Every node that runs has a view with these members. */
static bool all_have(uint32_t members)
{
	uint32_t i;

	for (i = 0; i < world.n_nodes; i++)
		if (world.nodes[i].node &&
		    node_view(world.nodes[i].node)->members != members)
			return false;
	return true;
}

static bool all_probed(void)
{
	uint32_t s, i;

	for (s = 0; s < world.n_services; s++) {
		for (i = 0; i < world.n_nodes; i++)
			if (world.nodes[i].node &&
			    world.nodes[i].probing[s / 32] >> s % 32 & 1)
				break;
		if (i == world.n_nodes)
			return false;
	}
	return true;
}

/* Milliseconds until CONDITION, at most 60 s. */
static uint64_t wait_members(uint32_t members)
{
	uint64_t start = world.now;

	while (!all_have(members) && world.now - start < 60000 * MS)
		sim_until(&world, world.now + MS);
	return (world.now - start) / MS;
}

static void begin(const struct sim_options *o, double loss)
{
	uint32_t i, all = o->nodes == 32 ? UINT32_MAX : (1u << o->nodes) - 1;

	sim_init(&world, o, o->seed, o->nodes, o->services);
	world.delay_min_us = 50;
	for (i = 0; i < o->services; i++)
		world.services[i].configured = all;
	for (i = 0; i < o->nodes; i++)
		sim_boot(&world, i);
	wait_members(all);
	set_loss(loss);
	sim_until(&world, world.now + 1000 * MS);
}

static void line(const char *what, const uint64_t *s)
{
	printf("  %-34s p50 %4llu  p99 %4llu  max %4llu ms\n", what,
	       (unsigned long long)s[TRIALS / 2],
	       (unsigned long long)s[TRIALS * 99 / 100],
	       (unsigned long long)s[TRIALS - 1]);
}

static void trials(const struct sim_options *o, double loss)
{
	uint32_t all = o->nodes == 32 ? UINT32_MAX : (1u << o->nodes) - 1;
	uint32_t t, n;

	begin(o, loss);
	for (t = 0; t < TRIALS; t++) {
		uint64_t start;

		/* Long enough apart that no back-off is in force. */
		sim_until(&world,
			  world.now + (20000 + sim_below(&world, 1000)) * MS);
		wait_members(all);
		n = sim_below(&world, o->nodes);
		sim_crash(&world, n);
		start = world.now;
		sample[0][t] = wait_members(all & ~(1u << n));
		while (!all_probed())
			sim_until(&world, world.now + MS);
		sample[1][t] = (world.now - start) / MS;
		sim_boot(&world, n);
		sample[2][t] = wait_members(all);
	}
	for (t = 0; t < 3; t++)
		qsort(sample[t], TRIALS, sizeof(sample[t][0]), compare);
	printf("loss %.0f %%, %u crashes\n", 100 * loss, TRIALS);
	line("excluded at every survivor", sample[0]);
	line("all its services probed again", sample[1]);
	line("member again after its start", sample[2]);
	fflush(stdout);
	sim_free(&world);
}

static void calm(const struct sim_options *o, double loss)
{
	uint64_t views;

	begin(o, loss);
	views = world.stats.views;
	sim_until(&world, world.now + CALM_MS * MS);
	printf("loss %.0f %%, ten minutes without a failure: %llu views\n",
	       100 * loss, (unsigned long long)(world.stats.views - views));
	fflush(stdout);
	sim_free(&world);
}

int detect_run(const struct sim_options *options)
{
	static const double losses[] = {0, 0.01, 0.05, 0.2};
	uint32_t i;

	printf("%u nodes, hello 100 ms, dead after 4 missed, 3 observers\n",
	       options->nodes);
	for (i = 0; i < 4; i++)
		trials(options, losses[i]);
	for (i = 1; i < 4; i++)
		calm(options, losses[i]);
	return world.failed;
}
