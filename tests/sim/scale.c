/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Figures of a large cluster: 32 nodes × 70 000 services unless told otherwise.
 * Join, leave, mass restart, every service toggles at once; for each the time
 * until all agree and what each node sends, measured with the real codec. The
 * network has 100–500 µs of delay and no loss; probes answer at once, so that
 * the figures are those of the cluster alone.
 *
 * Uses the state machines directly, without the checkers of random runs: those
 * keep every version of every service.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

struct scale {
	struct sim sim; /* queue and random numbers only */
	uint32_t nodes, services;
	uint64_t *entity;
	uint8_t *truth;
	uint64_t bytes[NODES_MAX], packets[NODES_MAX];
	uint64_t datagram[NODES_MAX][NODES_MAX]; /* room in the open one */
	uint64_t step_max_ns, step_ns;
};

static struct scale w;

#define DATAGRAM 1400
#define OVERHEAD 68

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Small messages of one step to one peer share a datagram, as in the real
 * transport. */
static void count(uint32_t from, uint32_t to, uint32_t body)
{
	uint64_t *room = &w.datagram[from][to];

	if (*room < body) {
		w.packets[from]++;
		w.bytes[from] += OVERHEAD;
		*room = DATAGRAM;
	}
	*room -= body;
	w.bytes[from] += body;
}

static void emit(void *ctx, const struct node_effect *e)
{
	uint32_t node = *(uint32_t *)ctx, to, body;

	if (e->type == NODE_EFFECT_SEND) {
		body = sim_bytes(e->send.message) - OVERHEAD;
		for (to = e->send.to; to; to &= to - 1)
			if (w.sim.nodes[__builtin_ctz(to)].node)
				count(node, (uint32_t)__builtin_ctz(to), body);
		sim_send(&w.sim, node, e->send.to, e->send.message);
	} else if (e->type == NODE_EFFECT_PERSIST) {
		w.sim.nodes[node].disk = *e->durable;
		w.sim.nodes[node].has_disk = true;
	}
}

static void step(uint32_t node, struct node_event *event)
{
	struct node_update update = {emit, &node};
	uint64_t start = now_ns(), took;

	event->now_ms = 1 + w.sim.now / MS;
	memset(w.datagram[node], 0, sizeof(w.datagram[node]));
	node_step(w.sim.nodes[node].node, event, &update);
	took = now_ns() - start;
	w.step_ns += took;
	if (took > w.step_max_ns)
		w.step_max_ns = took;
}

static void tell(uint32_t node, uint32_t service)
{
	struct service_state local = {
		.entity = w.entity[service],
		.state = w.truth[service],
		.reason = STATE_REASON_PROBE,
	};
	struct node_event e = {.type = NODE_EVENT_LOCAL, .local = &local};

	step(node, &e);
}

static void boot(uint32_t node)
{
	struct sim_node *n = &w.sim.nodes[node];
	struct node_options o = {
		.id = node,
		.incarnation = (uint32_t)++n->life,
		.configured = w.nodes == 32 ? UINT32_MAX : (1u << w.nodes) - 1,
		.services_max = w.services,
		.cache_max = 1024,
	};
	struct sim_event tick = {.at = w.sim.now + sim_below(&w.sim, 10 * MS),
				 .node = node,
				 .life = n->life,
				 .type = SIM_TICK};
	uint32_t i;

	if (node_new(&o, n->has_disk ? &n->disk : NULL, &n->node)) {
		fputs("sim: out of memory\n", stderr);
		exit(2);
	}
	for (i = 0; i < w.services; i++) {
		struct node_event e = {
			.type = NODE_EVENT_SERVICE_SET,
			.service = {w.entity[i], 0, NODE_SERVICE_READY},
		};

		step(node, &e);
	}
	sim_push(&w.sim, &tick);
}

static void crash(uint32_t node)
{
	node_free(w.sim.nodes[node].node);
	w.sim.nodes[node].node = NULL;
}

static void run_for(uint64_t us)
{
	struct sim_event e = {.at = w.sim.now + us, .type = SIM_STOP};

	sim_push(&w.sim, &e);
	while (sim_pop(&w.sim, &e)) {
		struct sim_node *n = &w.sim.nodes[e.node];
		struct node_event ev = {.type = NODE_EVENT_TICK};

		w.sim.now = e.at;
		if (e.type == SIM_STOP)
			return;
		if (e.type == SIM_MESSAGE) {
			ev.type = NODE_EVENT_MESSAGE;
			ev.message = &e.packet->m;
			if (n->node)
				step(e.node, &ev);
			sim_packet_put(&w.sim, e.packet);
		} else if (n->node && e.life == n->life) {
			e.at += 10 * MS;
			sim_push(&w.sim, &e);
			step(e.node, &ev);
		}
	}
}

/* Probes of every node answer for what it is master of. */
static void probe_all(void)
{
	struct node_service_status st;
	uint32_t n, i;

	for (n = 0; n < w.nodes; n++)
		for (i = 0; w.sim.nodes[n].node && i < w.services; i++)
			if (!node_service_status(w.sim.nodes[n].node,
						 w.entity[i], &st) &&
			    st.master && st.record.state != w.truth[i])
				tell(n, i);
}

static bool agreed(uint32_t members)
{
	struct node_service_status st;
	struct node_status ns;
	uint64_t digest = 0;
	uint32_t n, i, first = UINT32_MAX, masters = 0;

	for (n = 0; n < w.nodes; n++) {
		if (!w.sim.nodes[n].node)
			continue;
		node_status(w.sim.nodes[n].node, &ns);
		if (ns.members != members || ns.queued ||
		    ns.operational != (members >> n & 1))
			return false;
		masters += ns.masters;
		if (first == UINT32_MAX)
			digest = ns.record_digest;
		first = n;
		if (ns.record_digest != digest)
			return false;
	}
	if (masters != w.services)
		return false;
	for (i = 0; i < w.services; i++)
		if (node_service_status(w.sim.nodes[first].node, w.entity[i],
					&st) ||
		    st.record.state != w.truth[i])
			return false;
	return true;
}

static int measure(const char *what, uint32_t members, bool probe)
{
	uint64_t start = w.sim.now, bytes = 0, packets = 0, max = 0;
	uint64_t cpu = now_ns();
	uint32_t n;

	memset(w.bytes, 0, sizeof(w.bytes));
	memset(w.packets, 0, sizeof(w.packets));
	w.step_max_ns = w.step_ns = 0;
	do {
		run_for(10 * MS);
		if (probe)
			probe_all();
		if (w.sim.now - start > 60000 * MS) {
			printf("%-34s no agreement within 60 s\n", what);
			return 1;
		}
	} while (!agreed(members));
	for (n = 0; n < w.nodes; n++) {
		bytes += w.bytes[n];
		packets += w.packets[n];
		if (w.bytes[n] > max)
			max = w.bytes[n];
	}
	printf("%-34s %6.0f ms   %8.1f KiB %7.0f packets per node (busiest "
	       "%.1f KiB); step CPU %.0f ms per node, longest %.1f ms; %.1f s "
	       "of CPU in all\n",
	       what, (double)(w.sim.now - start) / 1000,
	       (double)bytes / 1024 / w.nodes, (double)packets / w.nodes,
	       (double)max / 1024, (double)w.step_ns / 1e6 / w.nodes,
	       (double)w.step_max_ns / 1e6, (double)(now_ns() - cpu) / 1e9);
	fflush(stdout);
	return 0;
}

static void set_up(const struct sim_options *o)
{
	uint32_t i;

	memset(&w, 0, sizeof(w));
	w.nodes = o->nodes;
	w.services = o->services;
	sim_seed(&w.sim, o->seed);
	w.sim.n_nodes = o->nodes;
	w.sim.o.raw = true;
	sim_net_perfect(&w.sim);
	w.entity = calloc(w.services, sizeof(*w.entity));
	w.truth = malloc(w.services);
	if (!w.entity || !w.truth)
		exit(2);
	for (i = 0; i < w.services; i++)
		w.entity[i] = sim_random(&w.sim) | 1;
	memset(w.truth, SVC_UP, w.services);
}

int scale_run(const struct sim_options *options)
{
	uint32_t n, i, all, last = options->nodes - 1;
	int failed = 0;

	set_up(options);
	all = w.nodes == 32 ? UINT32_MAX : (1u << w.nodes) - 1;
	printf("%u nodes, %u services\n", w.nodes, w.services);
	for (n = 0; n < w.nodes; n++)
		boot(n);
	failed |= measure("all start", all, true);
	memset(w.truth, SVC_DOWN, w.services);
	failed |= measure("every service toggles at once", all, true);
	for (i = 0; i < 700 && i < w.services; i++)
		w.truth[i] = SVC_UP;
	failed |= measure("700 services change", all, true);
	crash(last);
	failed |= measure("one node crashes", all & ~(1u << last), true);
	boot(last);
	failed |= measure("it starts again and joins", all, true);
	for (n = 0; n < w.nodes; n++)
		crash(n);
	for (n = 0; n < w.nodes; n++)
		boot(n);
	failed |= measure("all restart at once", all, true);
	memset(w.bytes, 0, sizeof(w.bytes));
	memset(w.packets, 0, sizeof(w.packets));
	w.step_ns = 0;
	run_for(1000 * MS);
	printf("%-34s %8.1f KiB/s %7llu packets/s of node 0; step CPU %.1f "
	       "ms/s per node\n",
	       "at rest", (double)w.bytes[0] / 1024,
	       (unsigned long long)w.packets[0],
	       (double)w.step_ns / 1e6 / w.nodes);
	for (n = 0; n < w.nodes; n++)
		crash(n);
	sim_net_free(&w.sim);
	free(w.truth);
	free(w.entity);
	return failed;
}
