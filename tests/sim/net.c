/* SPDX-License-Identifier: GPL-2.0-only */
/* The queue of what happens next, and the network: loss, duplication, delay
 * (thereby reordering), cut links; random numbers. */
#include <stdlib.h>
#include <string.h>

#include "cluster/nnm_codec.h"
#include "sim.h"

/* xoshiro256** 1.0 (Blackman, Vigna, public domain description). */
static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t sim_random(struct sim *sim)
{
	uint64_t *s = sim->random, r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return r;
}

void sim_seed(struct sim *sim, uint64_t seed)
{
	int i;

	for (i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15ull);

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		sim->random[i] = z ^ z >> 31;
	}
}

uint32_t sim_below(struct sim *sim, uint32_t n)
{
	return n ? (uint32_t)((sim_random(sim) >> 32) * n >> 32) : 0;
}

double sim_unit(struct sim *sim)
{
	return (double)(sim_random(sim) >> 11) / 9007199254740992.0;
}

/* ---- heap ------------------------------------------------------------- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void sim_push(struct sim *sim, const struct sim_event *event)
{
	uint32_t i = sim->n_heap++;
	struct sim_event e = *event;

	if (sim->n_heap > sim->heap_size) {
		sim->heap_size = sim->heap_size ? 2 * sim->heap_size : 1024;
		sim->heap =
			realloc(sim->heap, sim->heap_size * sizeof(*sim->heap));
		if (!sim->heap)
			exit(2);
	}
	e.order = sim->order++;
	while (i && before(&e, &sim->heap[(i - 1) / 2])) {
		sim->heap[i] = sim->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim->heap[i] = e;
}

bool sim_pop(struct sim *sim, struct sim_event *ret)
{
	struct sim_event last;
	uint32_t i = 0, c;

	if (!sim->n_heap)
		return false;
	*ret = sim->heap[0];
	last = sim->heap[--sim->n_heap];
	while ((c = 2 * i + 1) < sim->n_heap) {
		if (c + 1 < sim->n_heap &&
		    before(&sim->heap[c + 1], &sim->heap[c]))
			c++;
		if (!before(&sim->heap[c], &last))
			break;
		sim->heap[i] = sim->heap[c];
		i = c;
	}
	sim->heap[i] = last;
	return true;
}

/* ---- network ---------------------------------------------------------- */

#define OVERHEAD (20 + 8 + 40) /* IPv4, UDP, our header and tag */

uint32_t sim_bytes(const struct message *m)
{
	return (uint32_t)nnm_codec_size(m) + OVERHEAD;
}

/* What arrives is what the real codec makes of it. */
static void through_codec(struct sim *sim, const struct message *m,
			  struct message *ret)
{
	uint8_t buf[NNM_FRAME_BYTES + NNM_BODY_MAX];
	struct wire_writer w;
	struct wire_reader r;

	wire_writer_init(&w, buf, sizeof(buf));
	if (nnm_codec_put(&w, m)) {
		sim_fail(sim, "%s does not fit its datagram",
			 node_message_name(m->type));
		return;
	}
	wire_reader_init(&r, buf, wire_written(&w));
	if (nnm_codec_get(&r, ret) != NNM_CODEC_OK || !wire_reader_done(&r))
		sim_fail(sim, "%s is not read as it was written",
			 node_message_name(m->type));
	ret->source = m->source;
	ret->incarnation = m->incarnation;
}

static struct sim_packet *packet_get(struct sim *sim, const struct message *m)
{
	struct sim_packet *p = sim->pool;

	/* The refs field of a free packet is unused: chain through m. */
	if (p)
		memcpy(&sim->pool, &p->m, sizeof(sim->pool));
	else
		p = malloc(sizeof(*p));
	if (!p)
		exit(2);
	p->refs = 0;
	if (sim->o.raw)
		p->m = *m;
	else
		through_codec(sim, m, &p->m);
	return p;
}

void sim_packet_put(struct sim *sim, struct sim_packet *p)
{
	if (!p || --p->refs)
		return;
	memcpy(&p->m, &sim->pool, sizeof(sim->pool));
	sim->pool = p;
}

static uint64_t delay(struct sim *sim)
{
	uint64_t us = sim->delay_min_us +
		      sim_below(sim, sim->delay_max_us - sim->delay_min_us + 1);

	if (sim->spike > 0 && sim_unit(sim) < sim->spike)
		us += sim_below(sim, sim->spike_us);
	return us;
}

void sim_send(struct sim *sim, uint32_t from, uint32_t to,
	      const struct message *m)
{
	struct sim_packet *packet = NULL;
	uint32_t copies;

	for (; to; to &= to - 1) {
		uint32_t n = (uint32_t)__builtin_ctz(to);
		const struct sim_link *l = &sim->link[from][n];

		sim->stats.messages++;
		if (n >= sim->n_nodes || l->cut ||
		    (l->loss > 0 && sim_unit(sim) < l->loss)) {
			sim->stats.lost++;
			continue;
		}
		if (!packet)
			packet = packet_get(sim, m);
		copies = 1;
		if (sim->duplicate > 0 && sim_unit(sim) < sim->duplicate)
			copies++;
		while (copies--) {
			struct sim_event e = {
				.at = sim->now + delay(sim),
				.node = n,
				.arg = from,
				.type = SIM_MESSAGE,
				.packet = packet,
			};

			packet->refs++;
			sim_push(sim, &e);
		}
	}
}

void sim_net_perfect(struct sim *sim)
{
	memset(sim->link, 0, sizeof(sim->link));
	sim->duplicate = 0;
	sim->spike = 0;
	sim->delay_min_us = 100;
	sim->delay_max_us = 500;
}

void sim_net_free(struct sim *sim)
{
	struct sim_event e;

	while (sim_pop(sim, &e))
		sim_packet_put(sim, e.packet);
	while (sim->pool) {
		struct sim_packet *p = sim->pool;

		memcpy(&sim->pool, &p->m, sizeof(sim->pool));
		free(p);
	}
	free(sim->heap);
}
