/* SPDX-License-Identifier: GPL-2.0-only */
/* What happened last: a ring of one-line events, formatted only if needed. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define LINES 4096
#define SHOWN 160

struct line {
	uint64_t at;
	uint32_t node;
	bool note;
	struct node_trace trace;
	char text[64];
};

struct trace_ring {
	struct line line[LINES];
	uint64_t n;
};

static struct sim *current; /* for assertions that fail */

static void line_print(const struct line *l, FILE *out)
{
	char text[160];

	if (l->note)
		snprintf(text, sizeof(text), "%s", l->text);
	else
		node_trace_text(&l->trace, text, sizeof(text));
	if (l->node < NODES_MAX)
		fprintf(out, "%9.3f b%u %s\n", (double)l->at / 1000000, l->node,
			text);
	else
		fprintf(out, "%9.3f -- %s\n", (double)l->at / 1000000, text);
}

static void replay(const struct sim *sim, FILE *out)
{
	fprintf(out, "replay: build/sim --seed %llu --runs 1 ",
		(unsigned long long)sim->seed);
	if (sim->o.any)
		fprintf(out, "--any ");
	else
		fprintf(out, "--nodes %u --services %u ", sim->n_nodes,
			sim->n_services);
	if (sim->o.mutation)
		fprintf(out, "--mutation %s ",
			node_mutation_name(sim->o.mutation));
	fprintf(out, "--trace\n");
}

static void dump(const struct sim *sim)
{
	uint64_t i = sim->ring->n > SHOWN ? sim->ring->n - SHOWN : 0;

	if (sim->o.trace || sim->o.quiet)
		i = sim->ring->n;
	for (; i < sim->ring->n; i++)
		line_print(&sim->ring->line[i % LINES], stderr);
}

static void on_abort(int sig)
{
	if (current) {
		dump(current);
		fprintf(stderr, "seed %llu: assertion failed at %.3f s\n",
			(unsigned long long)current->seed,
			(double)current->now / 1000000);
		replay(current, stderr);
	}
	signal(SIGABRT, SIG_DFL);
	abort();
}

void sim_trace_init(struct sim *sim)
{
	sim->ring = calloc(1, sizeof(*sim->ring));
	if (!sim->ring)
		exit(2);
	current = sim;
	signal(SIGABRT, on_abort);
}

void sim_trace_free(struct sim *sim)
{
	current = NULL;
	free(sim->ring);
}

static struct line *line_next(struct sim *sim, uint32_t node)
{
	struct line *l = &sim->ring->line[sim->ring->n++ % LINES];

	l->at = sim->now;
	l->node = node;
	return l;
}

void sim_note(struct sim *sim, uint32_t node, const char *format, ...)
{
	struct line *l = line_next(sim, node);
	va_list args;

	va_start(args, format);
	vsnprintf(l->text, sizeof(l->text), format, args);
	va_end(args);
	l->note = true;
	if (sim->o.trace)
		line_print(l, stdout);
}

void sim_trace_node(struct sim *sim, uint32_t node, const struct node_trace *t)
{
	struct line *l = line_next(sim, node);

	l->note = false;
	l->trace = *t;
	if (sim->o.trace)
		line_print(l, stdout);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (sim->failed)
		return;
	sim->failed = true;
	fflush(stdout);
	dump(sim);
	fprintf(stderr, "seed %llu, %u nodes, %u services, at %.3f s: ",
		(unsigned long long)sim->seed, sim->n_nodes, sim->n_services,
		(double)sim->now / 1000000);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	replay(sim, stderr);
}
