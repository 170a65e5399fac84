/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scripted scenarios: each prints everything that the state machines did, and
 * the result is compared with the file of the same name in golden/. The names
 * are those of the design's examples: nodes b0, b1, b2, services s1 (monitors
 * m1, m2), s2 (m3, m4), s3 (m5), path monitors p1, p2, p3.
 */
#include <stdlib.h>
#include <string.h>

#include "rendezvous.h"
#include "sim.h"
#include "util/addr_text.h"

#define S1 0
#define S2 1
#define S3 2

static const char *const service_names[] = {"s1", "s2", "s3"};
static const char *const monitor_names[] = {"m1, m2", "m3, m4", "m5"};
static const char *const state_names[] = {"UNKNOWN", "DOWN", "UP",
					  "OUT-OF-SERVICE"};

static struct sim world;

static void line(uint32_t node, const char *text)
{
	if (node < NODES_MAX)
		printf("%6.0f ms  b%u %s\n", (double)world.now / 1000, node,
		       text);
	else
		printf("%6.0f ms  -- %s\n", (double)world.now / 1000, text);
}

static void say(const char *text)
{
	line(NODES_MAX, text);
}

/* Entities by their names. */
static void rename_services(char *text, size_t len)
{
	char hex[20], copy[200];
	uint32_t i;
	char *at;

	for (i = 0; i < world.n_services; i++) {
		snprintf(hex, sizeof(hex), "%llx",
			 (unsigned long long)world.services[i].entity);
		at = strstr(text, hex);
		if (!at)
			continue;
		snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - text), text,
			 service_names[i], at + strlen(hex));
		snprintf(text, len, "%s", copy);
	}
}

static void on_trace(struct sim *sim, uint32_t node, const struct node_trace *t)
{
	char text[200];

	(void)sim;
	node_trace_text(t, text, sizeof(text));
	rename_services(text, sizeof(text));
	line(node, text);
}

static const char *place(const struct service_state *s)
{
	static char text[ADDR_TEXT_LEN];
	static const union ip_addr none;

	return ip_addr_equal(&s->addr, &none) ? "no address"
					      : addr_text_format(&s->addr, text);
}

static void on_effect(struct sim *sim, uint32_t node,
		      const struct node_effect *e)
{
	char text[200];
	uint32_t s;

	switch (e->type) {
	case NODE_EFFECT_PROBE:
		s = sim_find(sim, e->probe.entity);
		snprintf(text, sizeof(text), "> %s probing %s with %s",
			 e->probe.on ? "starts" : "stops", service_names[s],
			 monitor_names[s]);
		break;
	case NODE_EFFECT_PATH_PROBE:
		s = sim_find(sim, e->probe.entity);
		snprintf(text, sizeof(text), "> %s path monitor p%u of %s",
			 e->probe.on ? "starts" : "stops", s + 1,
			 service_names[s]);
		break;
	case NODE_EFFECT_PUBLISH:
		s = sim_find(sim, e->publish.entity);
		snprintf(text, sizeof(text), "> uses %s%s%s as %s: %s",
			 service_names[s], world.services[s].named ? " at " : "",
			 world.services[s].named ? place(e->publish.record) : "",
			 state_names[e->publish.state],
			 node_state_reason_text(e->publish.reason));
		break;
	default:
		return;
	}
	line(node, text);
}

/* Entities whose preference lists begin as the scenarios need them. */
static uint64_t entity_with(uint32_t first, uint32_t second, uint32_t nodes,
			    uint64_t from)
{
	uint8_t list[32];

	for (;; from++) {
		rendezvous_list(from, nodes, list);
		if (list[0] == first && list[1] == second)
			return from;
	}
}

static void begin(uint32_t nodes, uint32_t services, uint32_t flags)
{
	struct sim_options o = {.seed = 1};
	uint32_t i, all = (1u << nodes) - 1;

	sim_init(&world, &o, 1, nodes, services);
	world.services[S1].entity = entity_with(0, 1, all, 0x5e1c0000000a1000);
	world.services[S2].entity = entity_with(1, 0, all, 0x5e1c0000000b2000);
	if (services > S3)
		world.services[S3].entity =
			entity_with(nodes - 1, 0, all, 0x5e1c0000000c3000);
	for (i = 0; i < services; i++) {
		world.services[i].configured = all;
		world.services[i].flags = flags;
	}
	for (i = 0; i < nodes; i++)
		world.nodes[i].clock = 1;
	world.on_trace = on_trace;
	world.on_effect = on_effect;
}

static void pass(uint32_t ms)
{
	sim_until(&world, world.now + ms * MS);
}

static void state(uint32_t service, uint8_t is)
{
	char text[64];

	snprintf(text, sizeof(text), "%s is %s from now on",
		 service_names[service], state_names[is]);
	say(text);
	world.services[service].state = is;
	sim_truth(&world, service);
}

static void reach(uint32_t service, uint32_t nodes)
{
	char text[64];

	snprintf(text, sizeof(text), "%s is reached from nodes %#x",
		 service_names[service], nodes);
	say(text);
	world.services[service].reachable = nodes;
	sim_truth(&world, service);
}

static void name(uint32_t service, uint32_t is)
{
	char text[64];

	world.services[service].silent = !is;
	snprintf(text, sizeof(text),
		 is ? "the name of %s resolves to 10.0.0.%u from now on"
		    : "nobody answers for the name of %s from now on",
		 service_names[service], is);
	say(text);
	if (is)
		world.services[service].place = is;
	sim_truth(&world, service);
}

static void boot(uint32_t node)
{
	line(node, "boots");
	sim_boot(&world, node);
}

/* ---- scenarios -------------------------------------------------------- */

static void two_nodes(void)
{
	begin(2, 2, 0);
	boot(0);
	boot(1);
	pass(700);
	state(S1, SVC_DOWN);
	pass(100);
	state(S2, SVC_DOWN);
	pass(100);
	state(S1, SVC_UP);
	pass(100);
}

static void path_monitors(void)
{
	begin(2, 2, NODE_SERVICE_PATH);
	boot(0);
	boot(1);
	pass(700);
	reach(S1, 1);
	pass(100);
	state(S1, SVC_DOWN);
	pass(100);
	state(S1, SVC_UP);
	pass(100);
	reach(S1, 3);
	pass(100);
	say("\"individual\" is switched off for s1");
	sim_set_flags(&world, S1, NODE_SERVICE_PATH | NODE_SERVICE_PATH_ANY);
	pass(50);
	reach(S1, 1);
	pass(100);
	say("path monitoring is switched off for s1");
	sim_set_flags(&world, S1, 0);
	pass(100);
}

static void join(void)
{
	begin(3, 3, 0);
	boot(0);
	boot(1);
	pass(1000);
	boot(2);
	pass(700);
}

static void leave(void)
{
	begin(3, 3, 0);
	boot(0);
	boot(1);
	boot(2);
	pass(800);
	line(2, "is told to leave");
	sim_admin(&world, 2, ADMIN_LEAVING);
	pass(300);
	line(2, "is told to join");
	sim_admin(&world, 2, ADMIN_ACTIVE);
	pass(500);
	line(2, "loses power");
	sim_crash(&world, 2);
	pass(800);
}

static void add_before_configuration(void)
{
	begin(2, 3, 0);
	world.services[S3].configured = 0;
	boot(0);
	boot(1);
	pass(800);
	say("s3 is configured on b1, its owner, and later on b0");
	sim_configure(&world, 1, S3, true);
	pass(400);
	sim_configure(&world, 0, S3, true);
	pass(400);
	say("s3 is deleted on both");
	sim_configure(&world, 0, S3, false);
	sim_configure(&world, 1, S3, false);
	pass(400);
}

static void master_change(void)
{
	begin(3, 3, 0);
	boot(0);
	boot(1);
	pass(1000);
	say("b2 joins and becomes master of s3; b0, s3's master so far, does "
	    "not hear b2");
	boot(2);
	pass(238);
	world.link[2][0].cut = true;
	pass(120);
	say("b0 hears b2 again");
	world.link[2][0].cut = false;
	pass(300);
}

static void old_master(void)
{
	begin(3, 3, 0);
	boot(0);
	boot(1);
	boot(2);
	pass(800);
	line(2, "is stopped for three seconds; s3 goes down meanwhile");
	sim_pause(&world, 2);
	world.link[0][2].cut = world.link[1][2].cut = true;
	pass(1000);
	state(S3, SVC_DOWN);
	pass(2000);
	line(2, "runs again, but does not hear the others for a moment");
	sim_resume(&world, 2);
	sim_truth(&world, S3);
	pass(100);
	say("b2 hears the others again");
	world.link[0][2].cut = world.link[1][2].cut = false;
	pass(1000);
}

static void domain(void)
{
	begin(2, 2, 0);
	world.services[S1].named = true;
	boot(0);
	boot(1);
	pass(700);
	name(S1, 1);
	pass(100);
	name(S1, 2);
	pass(100);
	name(S1, 0);
	line(0, "is told to be passive");
	sim_admin(&world, 0, ADMIN_PASSIVE);
	pass(300);
	name(S1, 3);
	pass(100);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{"two-nodes", two_nodes},
	{"path-monitors", path_monitors},
	{"join", join},
	{"leave", leave},
	{"add-before-configuration", add_before_configuration},
	{"master-change", master_change},
	{"old-master", old_master},
	{"domain", domain},
};

int golden_run(const char *name, bool list)
{
	char why[400];
	bool agree;
	size_t i;

	for (i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (list) {
			puts(scenarios[i].name);
			continue;
		}
		if (strcmp(name, scenarios[i].name))
			continue;
		scenarios[i].run();
		agree = check_states(&world, why, sizeof(why));
		printf("%s\n", agree ? "all nodes agree with the truth" : why);
		sim_free(&world);
		return world.failed;
	}
	if (list)
		return 0;
	fprintf(stderr, "sim: no scenario is called %s\n", name);
	return 2;
}
