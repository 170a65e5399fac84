/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cluster simulator.
 *
 *   sim [--seed N] [--runs N] [--nodes N] [--services N]  random runs
 *       --any               nodes and services are drawn from each seed, too
 *       --no-names          without domain-based services
 *       --mutation NAME     with a planted bug; exit 1 when it was caught
 *       --trace             prints events as they happen
 *       --quiet             failures without their trace
 *   sim --golden NAME       prints the trace of a scripted scenario
 *   sim --golden-list, --mutation-list
 *   sim --scale [--nodes N] [--services N]  figures of a large cluster
 *   sim --detect [--nodes N]                figures of failure detection
 *
 * Exit status: 0 all runs passed, 1 one failed (the first ends the program),
 * 2 wrong usage.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static int usage(void)
{
	fputs("usage: sim [--seed N] [--runs N] [--nodes 2..31] [--services "
	      "N]\n"
	      "           [--any] [--no-names] [--mutation NAME] [--trace] "
	      "[--quiet]\n"
	      "       sim --golden NAME | --golden-list | --mutation-list\n"
	      "       sim --scale [--nodes 2..32] [--services N]\n"
	      "       sim --detect [--nodes 3..32]\n",
	      stderr);
	return 2;
}

static enum node_mutation find_mutation(const char *name)
{
	unsigned int m;

	for (m = 0; m < NODE_MUTATION_COUNT; m++)
		if (!strcmp(name, node_mutation_name(m)))
			return m;
	fprintf(stderr, "sim: no mutation is called %s\n", name);
	exit(2);
}

static void summary(const struct sim_options *o, const struct sim_stats *s,
		    uint32_t runs)
{
	printf("%u runs from seed %llu: 0 violations; %llu steps, %llu "
	       "messages (%llu lost), %llu views, %llu ownerships, %llu "
	       "crashes, %llu pauses, %llu partitions, %llu repairs; converged "
	       "in %.0f ms mean, %.0f ms worst\n",
	       runs, (unsigned long long)o->seed, (unsigned long long)s->steps,
	       (unsigned long long)s->messages, (unsigned long long)s->lost,
	       (unsigned long long)s->views, (unsigned long long)s->claims,
	       (unsigned long long)s->crashes, (unsigned long long)s->pauses,
	       (unsigned long long)s->partitions,
	       (unsigned long long)s->repairs,
	       (double)s->converge_us / 1000 / (runs ? runs : 1),
	       (double)s->converge_max_us / 1000);
}

static int random_runs(const struct sim_options *o)
{
	struct sim_stats total = {0};
	uint32_t i;

	for (i = 0; i < o->runs; i++) {
		if (sim_run(o, o->seed + i, &total))
			return 1;
		if (o->runs >= 10000 && (i + 1) % (o->runs / 10) == 0) {
			fprintf(stderr, "%u of %u\n", i + 1, o->runs);
			fflush(stderr);
		}
	}
	summary(o, &total, o->runs);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seed", 1, NULL, 's'},	    {"runs", 1, NULL, 'r'},
		{"nodes", 1, NULL, 'n'},    {"services", 1, NULL, 'v'},
		{"mutation", 1, NULL, 'm'}, {"trace", 0, NULL, 't'},
		{"quiet", 0, NULL, 'q'},    {"any", 0, NULL, 'a'},
		{"golden", 1, NULL, 'g'},   {"golden-list", 0, NULL, 'G'},
		{"scale", 0, NULL, 'S'},    {"mutation-list", 0, NULL, 'M'},
		{"detect", 0, NULL, 'D'},   {"no-names", 0, NULL, 'N'},
		{NULL, 0, NULL, 0},
	};
	struct sim_options o = {.seed = 1,
				.runs = 100,
				.nodes = 5,
				.services = 50};
	bool scale = false, detect = false;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			o.runs = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'n':
			o.nodes = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'v':
			o.services = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'm':
			o.mutation = find_mutation(optarg);
			break;
		case 't':
			o.trace = true;
			break;
		case 'q':
			o.quiet = true;
			break;
		case 'a':
			o.any = true;
			break;
		case 'N':
			o.no_names = true;
			break;
		case 'g':
		case 'G':
			return golden_run(optarg, c == 'G');
		case 'S':
			scale = true;
			break;
		case 'D':
			detect = true;
			break;
		case 'M':
			for (c = 1; c < NODE_MUTATION_COUNT; c++)
				puts(node_mutation_name(c));
			return 0;
		default:
			return usage();
		}
	if (scale)
		return o.nodes < 2 || o.nodes > 32 ? usage() : scale_run(&o);
	if (detect)
		return o.nodes < 3 || o.nodes > 32 ? usage() : detect_run(&o);
	if (o.nodes < 2 || o.nodes > 31 || !o.services ||
	    o.services > SIM_SERVICES_MAX || optind != argc)
		return usage();
	return random_runs(&o);
}
