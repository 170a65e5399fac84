// SPDX-License-Identifier: GPL-2.0-only
/*
 * Phases, histograms and the JSON of the load generator. See load_stats.h.
 * Knows nothing of sockets; one thread.
 */
#include "load_stats.h"

#include <assert.h>
#include <string.h>

static const char *const error_names[] = {
#define LOAD_ERROR_X(id, name) name,
	LOAD_ERRORS(LOAD_ERROR_X)
#undef LOAD_ERROR_X
};

const char *load_error_name(enum load_error error)
{
	assert(error < LOAD_ERR_MAX);
	return error_names[error];
}

static unsigned int hist_slot(uint64_t us)
{
	unsigned int log, slot;

	if (us < 32)
		return us;
	log = 63 - __builtin_clzll(us);
	slot = (log - 4) * 32 + ((us >> (log - 5)) & 31);
	return slot < LOAD_HIST ? slot : LOAD_HIST - 1;
}

/* Upper end of a slot. */
static uint64_t hist_value(unsigned int slot)
{
	unsigned int log = slot / 32 + 4;

	if (slot < 32)
		return slot;
	return ((uint64_t)(32 + slot % 32 + 1) << (log - 5)) - 1;
}

void load_stats_phase(struct load_stats *stats, const char *name,
		      uint64_t now_us)
{
	struct load_phase *phase;

	if (stats->n_phases)
		stats->phases[stats->n_phases - 1].end_us = now_us;
	if (stats->n_phases == LOAD_PHASES_MAX)
		return;
	phase = &stats->phases[stats->n_phases++];
	snprintf(phase->name, sizeof(phase->name), "%s", name);
	phase->start_us = phase->end_us = now_us;
}

void load_stats_answer(struct load_phase *phase, const char *backend,
		       uint64_t latency_us)
{
	struct load_backend *b = phase->backends;

	phase->answered++;
	phase->hist[hist_slot(latency_us)]++;
	if (latency_us > phase->latency_max_us)
		phase->latency_max_us = latency_us;
	if (!*backend)
		return;
	/* The last place collects what finds no other. */
	while (b < phase->backends + LOAD_BACKENDS_MAX - 1 && *b->name &&
	       strcmp(b->name, backend))
		b++;
	if (!*b->name)
		snprintf(b->name, sizeof(b->name), "%s", backend);
	b->answered++;
}

uint64_t load_stats_percentile(const struct load_phase *phase, double percent)
{
	uint64_t seen = 0, want = (uint64_t)(phase->answered * percent / 100);

	for (unsigned int i = 0; i < LOAD_HIST; i++) {
		seen += phase->hist[i];
		if (seen > want)
			return hist_value(i);
	}
	return phase->latency_max_us;
}

static void add_backend(struct load_phase *to, const struct load_backend *from)
{
	for (struct load_backend *b = to->backends;
	     b < to->backends + LOAD_BACKENDS_MAX; b++) {
		if (*b->name && strcmp(b->name, from->name))
			continue;
		memcpy(b->name, from->name, sizeof(b->name));
		b->answered += from->answered;
		return;
	}
}

void load_stats_total(const struct load_stats *stats, struct load_phase *total)
{
	memset(total, 0, sizeof(*total));
	snprintf(total->name, sizeof(total->name), "total");
	for (unsigned int i = 0; i < stats->n_phases; i++) {
		const struct load_phase *p = &stats->phases[i];

		if (!i)
			total->start_us = p->start_us;
		total->end_us = p->end_us;
		total->sent += p->sent;
		total->answered += p->answered;
		total->failed += p->failed;
		total->connections += p->connections;
		total->broken += p->broken;
		total->bytes += p->bytes;
		for (int e = 0; e < LOAD_ERR_MAX; e++)
			total->errors[e] += p->errors[e];
		if (p->latency_max_us > total->latency_max_us)
			total->latency_max_us = p->latency_max_us;
		for (int h = 0; h < LOAD_HIST; h++)
			total->hist[h] += p->hist[h];
		for (int b = 0; b < LOAD_BACKENDS_MAX; b++)
			if (*p->backends[b].name)
				add_backend(total, &p->backends[b]);
	}
}

static void write_phase(const struct load_phase *p, FILE *out)
{
	const char *sep = "";

	fprintf(out,
		"{\"name\":\"%s\",\"seconds\":%.3f,\"sent\":%lu,"
		"\"answered\":%lu,\"failed\":%lu,\"connections\":%lu,"
		"\"broken\":%lu,\"bytes\":%lu,\"p50_us\":%lu,\"p99_us\":%lu,"
		"\"max_us\":%lu,\"errors\":{",
		p->name, (double)(p->end_us - p->start_us) / 1e6, p->sent,
		p->answered, p->failed, p->connections, p->broken, p->bytes,
		load_stats_percentile(p, 50), load_stats_percentile(p, 99),
		p->latency_max_us);
	for (int e = 0; e < LOAD_ERR_MAX; e++) {
		if (!p->errors[e])
			continue;
		fprintf(out, "%s\"%s\":%lu", sep, error_names[e], p->errors[e]);
		sep = ",";
	}
	fprintf(out, "},\"backends\":{");
	sep = "";
	for (int b = 0; b < LOAD_BACKENDS_MAX; b++) {
		if (!*p->backends[b].name)
			continue;
		fprintf(out, "%s\"%s\":%lu", sep, p->backends[b].name,
			p->backends[b].answered);
		sep = ",";
	}
	fprintf(out, "}}");
}

void load_stats_write(const struct load_stats *stats, FILE *out)
{
	struct load_phase total;

	load_stats_total(stats, &total);
	fprintf(out, "{\"phases\":[");
	for (unsigned int i = 0; i < stats->n_phases; i++) {
		fprintf(out, i ? ",\n" : "\n");
		write_phase(&stats->phases[i], out);
	}
	fprintf(out, "],\n\"total\":");
	write_phase(&total, out);
	fprintf(out, "}\n");
}
