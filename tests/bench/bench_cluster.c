// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the cluster costs and how fast it is: nodes as processes of their own
 * with the daemon's cluster code, key files, disks and UDP sockets, on the
 * loopback interface; only BPF and probers are left out.
 *
 *   bench_cluster [seal] [death] [state] [scale]     default: all
 *   TRIALS=n      deaths (default 40; the figures of README.md: 300)
 *   NODES=n       nodes of these trials (default 5)
 *   SERVICES=n    of the scale test (default 70000)
 *
 * Each trial starts a new cluster: nodes that die again and again are kept out
 * on purpose.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cluster/cluster.h"
#include "cluster/nnm_codec.h"
#include "cluster/nnm_session.h"
#include "config/config.h"
#include "rendezvous.h"
#include "util/log.h"
#include "util/urgent.h"

#define TRIALS_MAX 2000

/* Written by the node, read by the parent. */
struct node_board {
	_Atomic uint32_t members;
	_Atomic uint64_t view, view_ns, probe_ns, done_ns;
	_Atomic uint32_t probing, ready;
	_Atomic uint32_t known_up;    /* publishes with UP */
	_Atomic uint64_t cpu_us, rss_kb;
	_Atomic uint64_t turns; /* of its 1 ms timer, … */
	_Atomic uint64_t turn_ns, gap_ns; /* … the last one, the longest gap */
	_Atomic uint64_t watch, watch_value; /* entity and state waited for */
	_Atomic uint64_t watch_ns;	     /* when it was published here */
	_Atomic uint64_t order_entity;	     /* parent's order: report this … */
	_Atomic uint32_t order_value;	     /* … with this state; 0: none */
};

static struct node_board *boards;
static pid_t pids[NODES_MAX];
static unsigned int n_nodes = 5;
static uint16_t base_port;
static char dir[] = "/tmp/bench_cluster.XXXXXX";
static unsigned int n_services;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_cluster: %s: %s\n", what, strerror(errno));
	for (unsigned int i = 0; i < NODES_MAX; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	exit(1);
}

static void figure(const char *name, double value, const char *unit, const char *goal,
		   double goal_value)
{
	printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", ", name, value, unit);
	if (goal)
		printf("\"baseline\": \"%s\", \"ratio\": %.3f}\n", goal, value / goal_value);
	else
		printf("\"baseline\": null, \"ratio\": null}\n");
	fflush(stdout);
}

/* ---- a node ----------------------------------------------------------- */

struct node {
	struct node_board *board;
	struct cluster *cluster;
	uint8_t *probing; /* by index of the service */
	const struct config *config;
};

static void on_probe(void *ctx, uint64_t entity, bool on)
{
	struct node *n = ctx;

	if (on)
		n->board->probing++;
	else if (n->board->probing)
		n->board->probing--;
	n->board->probe_ns = now_ns();
	n->board->done_ns = now_ns();
}

static bool on_current(void *ctx, uint64_t entity, struct cluster_state *ret)
{
	/* As if its first probe had passed at once. */
	*ret = (struct cluster_state){ .entity = entity, .observed = 2 };
	return true;
}

static void on_publish(void *ctx, const struct cluster_state *s)
{
	struct node *n = ctx;

	if (s->observed == 2)
		n->board->known_up++;
	n->board->done_ns = now_ns();
	if (s->entity == n->board->watch && s->observed == n->board->watch_value &&
	    n->board->watch_ns == 0)
		n->board->watch_ns = now_ns();
}

static void on_view(void *ctx, const struct cluster_view *v)
{
	struct node *n = ctx;

	n->board->view = v->number;
	n->board->view_ns = now_ns();
	n->board->members = v->members;
}

static const struct cluster_ops ops = {
	.probe = on_probe,
	.current = on_current,
	.publish = on_publish,
	.view = on_view,
};

static void on_order(uv_timer_t *timer)
{
	struct node *n = timer->data;
	struct rusage ru;
	uint32_t value = n->board->order_value;
	uint64_t now = now_ns(), gap = n->board->turn_ns ? now - n->board->turn_ns : 0;

	n->board->turns++;
	n->board->turn_ns = now;
	if (gap > n->board->gap_ns)
		n->board->gap_ns = gap;
	getrusage(RUSAGE_SELF, &ru);
	n->board->cpu_us = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
			   (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	n->board->rss_kb = (uint64_t)ru.ru_maxrss;
	if (value == 0)
		return;
	n->board->order_value = 0;
	if (n->board->order_entity) {
		const struct cluster_state s = { .entity = n->board->order_entity,
						 .observed = (uint8_t)value };

		cluster_local_state(n->cluster, &s);
		return;
	}
	/* All at once: flap storm. */
	for (size_t i = 0; i < n->config->n_services; i++) {
		const struct cluster_state s = { .entity = n->config->services[i].entity,
						 .observed = (uint8_t)value };

		cluster_local_state(n->cluster, &s);
	}
}

/* The configuration as the daemon would have parsed it; made by hand, because
 * parsing is measured elsewhere. */
static void make_config(struct config *c, unsigned int id)
{
	char text[128];

	memset(c, 0, sizeof(*c));
	c->node_id = id;
	snprintf(c->node_name, sizeof(c->node_name), "n%u", id);
	c->cluster.enabled = true;
	strcpy(c->cluster.id, "bench");
	ip_addr_set_v4(&c->cluster.addr, htonl(INADDR_LOOPBACK));
	c->cluster.port = (uint16_t)(base_port + id);
	c->cluster.hello_ms = 100;
	c->cluster.dead_missed = 4;
	c->cluster.observers = 3;
	c->cluster.quorum_majority = true;
	snprintf(text, sizeof(text), "%s/key", dir);
	c->cluster.key_file = strdup(text);
	c->cluster.peers = calloc(NODES_MAX, sizeof(*c->cluster.peers));
	for (unsigned int i = 0; i < n_nodes; i++) {
		struct config_peer *p = &c->cluster.peers[c->cluster.n_peers];

		if (i == id)
			continue;
		p->id = i;
		snprintf(p->name, sizeof(p->name), "n%u", i);
		p->addr = c->cluster.addr;
		p->port = (uint16_t)(base_port + i);
		c->cluster.n_peers++;
	}
	c->n_services = n_services;
	c->services = calloc(n_services ? n_services : 1, sizeof(*c->services));
	for (unsigned int i = 0; i < n_services; i++) {
		struct config_service *s = &c->services[i];

		snprintf(s->name, sizeof(s->name), "s%u", i);
		s->entity = rendezvous_mix(i + 1);
		ip_addr_set_v4(&s->addr, htonl(0x0a000001 + i));
	}
}

static int node_main(unsigned int id)
{
	struct node n = { .board = &boards[id] };
	struct config config;
	struct cluster_options options;
	uv_loop_t loop;
	uv_timer_t timer;
	char text[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_init("node", LOG_ERR);
	make_config(&config, id);
	n.config = &config;
	snprintf(text, sizeof(text), "%s/%u", dir, id);
	mkdir(text, 0700);
	options.state_dir = text;
	uv_loop_init(&loop);
	if (cluster_new(&loop, &config, &options, &ops, &n, &n.cluster) < 0)
		return 1;
	urgent_begin();
	uv_timer_init(&loop, &timer);
	timer.data = &n;
	uv_timer_start(&timer, on_order, 1, 1);
	n.board->ready = 1;
	return uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- the parent ------------------------------------------------------- */

static void spawn(unsigned int id)
{
	memset(&boards[id], 0, sizeof(boards[id]));
	pids[id] = fork();
	if (pids[id] < 0)
		die("fork");
	if (pids[id] == 0)
		_exit(node_main(id));
}

static void end_node(unsigned int id)
{
	if (pids[id] <= 0)
		return;
	kill(pids[id], SIGKILL);
	waitpid(pids[id], NULL, 0);
	pids[id] = 0;
}

static void forget(unsigned int id)
{
	char text[160];
	static const char *const files[] = { "cluster/state", "cluster/epoch", "cluster", "" };

	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "%s/%u/%s", dir, id, files[i]);
		remove(text);
	}
}

static void nap(void)
{
	const struct timespec t = { .tv_nsec = 500000 };

	nanosleep(&t, NULL);
}

/* Waits until all of NODES (bits) have MEMBERS. False after 60 s. */
static bool wait_members(uint32_t nodes, uint32_t members)
{
	uint64_t end = now_ns() + 60000000000ull;

	for (;;) {
		uint32_t ok = 0;

		for (unsigned int i = 0; i < n_nodes; i++)
			ok |= (boards[i].members == members ? 1u : 0u) << i;
		if ((ok & nodes) == nodes)
			return true;
		if (now_ns() > end)
			return false;
		nap();
	}
}

/* Until node ID has lived for N more turns of its timer, of 1 ms or longer. */
static void wait_turns(unsigned int id, uint64_t n)
{
	uint64_t want = boards[id].turns + n, end = now_ns() + 60000000000ull;

	while (boards[id].turns < want) {
		if (now_ns() > end)
			die("a node stands still");
		nap();
	}
}

/* Until none of the first N nodes has published or changed a probe for half a
 * second. */
static void wait_quiet(unsigned int n)
{
	uint64_t end = now_ns() + 60000000000ull, last;

	do {
		if (now_ns() > end)
			die("the nodes do not come to rest");
		nap();
		last = 0;
		for (unsigned int i = 0; i < n; i++)
			last = boards[i].done_ns > last ? boards[i].done_ns : last;
	} while (now_ns() < last + 500000000);
}

static uint32_t all_nodes(void)
{
	return n_nodes == 32 ? UINT32_MAX : (1u << n_nodes) - 1;
}

static void start_cluster(void)
{
	for (unsigned int i = 0; i < n_nodes; i++)
		spawn(i);
	if (!wait_members(all_nodes(), all_nodes()))
		die("no view of all nodes");
}

static void end_cluster(void)
{
	for (unsigned int i = 0; i < n_nodes; i++) {
		end_node(i);
		forget(i);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(double *values, unsigned int n, double q)
{
	unsigned int i = (unsigned int)ceil(q * n);

	qsort(values, n, sizeof(*values), by_value);
	return values[i ? i - 1 : 0];
}

static void quantiles(const char *name, double *ms, unsigned int n, double goal99)
{
	char text[96], goal[32];

	snprintf(text, sizeof(text), "%s_p50", name);
	figure(text, quantile(ms, n, 0.5), "ms", NULL, 0);
	snprintf(text, sizeof(text), "%s_p99", name);
	snprintf(goal, sizeof(goal), "goal %.0f ms", goal99);
	figure(text, quantile(ms, n, 0.99), "ms", goal, goal99);
	snprintf(text, sizeof(text), "%s_max", name);
	figure(text, quantile(ms, n, 1), "ms", NULL, 0);
}

/* ---- encryption ------------------------------------------------------- */

static void bench_seal(void)
{
	static struct nnm_sessions a, b;
	static const struct nnm_keys keys = { .n = 1, .keys = { { 1, { 1 } } } };
	static const struct nnm_epoch ea = { 1, 1 }, eb = { 1, 2 };
	static const size_t sizes[] = { 64, 256, 1360 };

	nnm_crypto_init();
	for (size_t i = 0; i < 3; i++) {
		double best_seal = 1e9, best_open = 1e9;

		for (int round = 0; round < 5; round++) {
			uint8_t data[NNM_DATAGRAM_MAX];
			uint64_t t, seal = 0, open = 0, seq;
			struct nnm_input in;

			nnm_session_init(&a, 0, &ea, &keys);
			nnm_session_init(&b, 1, &eb, &keys);
			nnm_session_set_peer(&a, 1, true);
			nnm_session_set_peer(&b, 0, true);
			a.peers[1].epoch = eb;
			b.peers[0].epoch = ea;
			a.peers[1].up = b.peers[0].up = true;
			nnm_session_set_keys(&a, &keys);
			nnm_session_set_keys(&b, &keys);
			for (int n = 0; n < 20000; n++) {
				size_t len;

				t = now_ns();
				len = nnm_session_seal(&a, 1, data, sizes[i], &seq);
				seal += now_ns() - t;
				t = now_ns();
				nnm_session_input(&b, 0, data, len, 1, &in);
				open += now_ns() - t;
				if (in.result != NNM_INPUT_TEXT)
					die("not opened");
			}
			best_seal = fmin(best_seal, (double)seal / 20000);
			best_open = fmin(best_open, (double)open / 20000);
		}
		char name[64];

		snprintf(name, sizeof(name), "nnm_seal_%zu", sizes[i]);
		figure(name, best_seal / 1000, "us", NULL, 0);
		snprintf(name, sizeof(name), "nnm_open_%zu", sizes[i]);
		figure(name, best_open / 1000, "us", NULL, 0);
	}
}

/* ---- deaths ----------------------------------------------------------- */

/* A node that did not run for half a hello interval, or waited for its disk,
 * accuses nobody for a detection time: such trials measure the machine's load. */
#define LATE_NS 50000000ull

static bool was_late(uint32_t nodes)
{
	for (unsigned int i = 0; i < n_nodes; i++)
		if (nodes >> i & 1 && boards[i].gap_ns >= LATE_NS)
			return true;
	return false;
}

static void bench_death(void)
{
	static double detect[TRIALS_MAX], takeover[TRIALS_MAX], on_time[TRIALS_MAX];
	unsigned int trials = getenv("TRIALS") ? (unsigned int)atoi(getenv("TRIALS")) : 40;
	unsigned int n = 0, n_on_time = 0;

	trials = trials < TRIALS_MAX ? trials : TRIALS_MAX;
	n_services = 100;
	for (unsigned int t = 0; t < trials; t++) {
		unsigned int victim = t % n_nodes;
		uint32_t rest = all_nodes() & ~(1u << victim);
		uint64_t killed, viewed = 0, probed = 0;

		start_cluster();
		/* At any moment of the hello interval. */
		wait_turns(victim, 200 + (uint64_t)random() % 100);
		for (unsigned int i = 0; i < n_nodes; i++)
			boards[i].gap_ns = 0;
		killed = now_ns();
		end_node(victim);
		if (!wait_members(rest, rest))
			die("the dead node stays in the view");
		for (unsigned int i = 0; i < n_nodes; i++) {
			if (!(rest >> i & 1))
				continue;
			viewed = boards[i].view_ns > viewed ? boards[i].view_ns : viewed;
			probed = boards[i].probe_ns > probed ? boards[i].probe_ns : probed;
		}
		if (probed < viewed)
			probed = viewed;
		detect[n] = (double)(viewed - killed) / 1e6;
		if (!was_late(rest))
			on_time[n_on_time++] = detect[n];
		takeover[n++] = (double)(probed - killed) / 1e6;
		end_cluster();
	}
	fprintf(stderr, "%u deaths in clusters of %u; no survivor late by %llu ms in %u\n", n,
		n_nodes, LATE_NS / 1000000, n_on_time);
	/* Goals: detected 500 ms p99, new owner probing 1 s. */
	quantiles("node_death_new_view_everywhere", detect, n, 500);
	quantiles("node_death_services_taken_over", takeover, n, 1000);
	if (n_on_time)
		quantiles("node_death_new_view_nobody_late", on_time, n_on_time, 500);
}

/* ---- state changes ---------------------------------------------------- */

static void bench_state(void)
{
	static double ms[TRIALS_MAX];
	unsigned int n = 0;

	n_services = 1000;
	start_cluster();
	wait_quiet(n_nodes);
	for (unsigned int t = 0; t < 500; t++) {
		uint64_t entity = rendezvous_mix(1 + t % n_services);
		unsigned int owner = (unsigned int)rendezvous_first(entity, all_nodes());
		uint32_t value = t / n_services % 2 ? 2 : 1;
		uint64_t last = 0, start, end;

		for (unsigned int i = 0; i < n_nodes; i++) {
			boards[i].watch_ns = 0;
			boards[i].watch_value = value;
			boards[i].watch = entity;
		}
		/* At any moment between two flushes. */
		wait_turns(owner, (uint64_t)random() % 10);
		boards[owner].order_entity = entity;
		start = now_ns();
		boards[owner].order_value = value;
		end = start + 5000000000ull;
		for (unsigned int i = 0; i < n_nodes; i++) {
			while (i != owner && boards[i].watch_ns == 0 && now_ns() < end)
				nap();
			if (i != owner && boards[i].watch_ns == 0)
				die("a state change did not arrive");
			last = boards[i].watch_ns > last ? boards[i].watch_ns : last;
		}
		ms[n++] = (double)(last - start) / 1e6;
	}
	end_cluster();
	/* Goal: 1 RTT + 10 ms; up to 1 ms passes until a node looks at its order. */
	quantiles("state_change_on_all_nodes", ms, n, 11);
}

/* ---- many services ---------------------------------------------------- */

static uint64_t total_cpu(unsigned int id)
{
	return boards[id].cpu_us;
}

static bool wait_up(unsigned int id, uint32_t want, uint64_t end)
{
	while (boards[id].known_up < want && now_ns() < end)
		nap();
	return boards[id].known_up >= want;
}

/* NAME_N_services: N is not always what the goal is for. */
static void services_figure(const char *name, double value, const char *unit,
			    const char *goal, double goal_value)
{
	char text[96];

	snprintf(text, sizeof(text), "%s_%u_services", name, n_services);
	figure(text, value, unit, goal, goal_value);
}

static void bench_scale(void)
{
	unsigned int services = getenv("SERVICES") ? (unsigned int)atoi(getenv("SERVICES")) : 70000;
	unsigned int keep = n_nodes;
	uint64_t start, cpu[NODES_MAX], worst = 0;

	n_nodes = 3;
	n_services = services;
	/* Two first, so that the third joins something. */
	spawn(0);
	spawn(1);
	if (!wait_members(3, 3))
		die("no view of two");
	wait_quiet(2);
	spawn(2);
	while (!boards[2].ready)
		nap();
	start = now_ns();
	if (!wait_members(7, 7))
		die("the third does not join");
	services_figure("join", (double)(now_ns() - start) / 1e6, "ms",
	       "goal 2000 ms", 2000);
	if (!wait_up(2, services * 2 / 3 - services / 50, now_ns() + 30000000000ull))
		die("the third does not learn the states");
	wait_quiet(3);
	services_figure("memory", (double)boards[2].rss_kb / 1024, "MiB", NULL, 0);
	for (unsigned int i = 0; i < 3; i++)
		cpu[i] = total_cpu(i);
	start = now_ns();
	wait_turns(0, 5000);
	for (unsigned int i = 0; i < 3; i++)
		worst = total_cpu(i) - cpu[i] > worst ? total_cpu(i) - cpu[i] : worst;
	services_figure("cpu_idle", (double)worst / ((double)(now_ns() - start) / 1e3) * 100,
	       "% of a core", NULL, 0);
	/* Everything changes at once. */
	for (unsigned int i = 0; i < 3; i++)
		boards[i].known_up = 0;
	for (unsigned int i = 0; i < 3; i++)
		cpu[i] = total_cpu(i);
	for (unsigned int i = 0; i < 3; i++)
		boards[i].order_value = 1;
	wait_turns(0, 10); /* the order is taken */
	wait_quiet(3);
	start = now_ns();
	for (unsigned int i = 0; i < 3; i++)
		boards[i].order_value = 2;
	for (unsigned int i = 0; i < 3; i++)
		if (!wait_up(i, services / 2, now_ns() + 60000000000ull))
			die("a storm of changes did not arrive");
	uint64_t end = start;

	wait_quiet(3);
	for (unsigned int i = 0; i < 3; i++)
		end = boards[i].done_ns > end ? boards[i].done_ns : end;
	services_figure("change_of_all", (double)(end - start) / 1e6, "ms", NULL, 0);
	/* Death of one of three. */
	start = now_ns();
	end_node(2);
	if (!wait_members(3, 3))
		die("the dead stays");
	wait_quiet(2);
	end = boards[0].probe_ns > boards[1].probe_ns ? boards[0].probe_ns : boards[1].probe_ns;
	services_figure("redistribute", (double)(end - start) / 1e6, "ms", "goal 1000 ms",
	       1000);
	end_cluster();
	n_nodes = keep;
}

int main(int argc, char **argv)
{
	char key[128];
	FILE *f;

	if (getenv("NODES"))
		n_nodes = (unsigned int)atoi(getenv("NODES"));
	if (n_nodes < 3 || n_nodes > NODES_MAX)
		n_nodes = 5;
	if (!mkdtemp(dir))
		die(dir);
	boards = mmap(NULL, NODES_MAX * sizeof(*boards), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (boards == MAP_FAILED)
		die("mmap");
	snprintf(key, sizeof(key), "%s/key", dir);
	umask(077);
	f = fopen(key, "w");
	if (!f)
		die(key);
	fprintf(f, "key 1 %064x\n", 0x12345);
	fclose(f);
	srandom(1);
	base_port = (uint16_t)(20000 + getpid() % 10000);
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = { { "seal", bench_seal }, { "death", bench_death }, { "state", bench_state },
		      { "scale", bench_scale } };

	for (size_t p = 0; p < 4; p++) {
		bool want = argc == 1;

		for (int i = 1; i < argc; i++)
			want |= strcmp(argv[i], parts[p].name) == 0;
		if (want)
			parts[p].run();
	}
	unlink(key);
	rmdir(dir);
	return 0;
}
