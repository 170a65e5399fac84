// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluice-engine: a packet engine, started by sluiced, useless by hand. Opens
 * what needs privileges (raw sockets), gets its packet sockets and memory
 * from the daemon, drops all privileges and runs the loop. Outlives the
 * daemon; one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "engine/engine.h"
#include "engine/hold.h"
#include "util/log.h"
#include "util/privileges.h"

static void usage(FILE *out)
{
	fputs("Usage: sluice-engine --socket RUNDIR/engine.sock --slot N --epoch N\n"
	      "Started by sluiced, which gives it its sockets and memory.\n"
	      "  --verbose   log more\n",
	      out);
}

static int parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || n > max)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int parse_options(struct engine *engine, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "slot", required_argument, NULL, 'n' },
		{ "epoch", required_argument, NULL, 'e' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool slot = false;
	int c, err = 0;

	while (!err && (c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		switch (c) {
		case 's':
			engine->socket_path = optarg;
			break;
		case 'n':
			err = parse_number(optarg, ENGINES_MAX - 1,
					   &engine->slot);
			slot = !err;
			break;
		case 'e':
			err = parse_number(optarg, UINT32_MAX, &engine->epoch);
			break;
		case 'v':
			log_init("sluice-engine", LOG_DEBUG);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			err = -EINVAL;
		}
	}
	if (err || optind != argc || !engine->socket_path || !slot) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static int open_socket(int family, int type, int protocol, int *ret)
{
	*ret = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	/* A kernel without IPv6 has no IPv6 packets either. */
	if (*ret < 0 && !(family == AF_INET6 && errno == EAFNOSUPPORT))
		return -errno;
	return 0;
}

/* IPPROTO_RAW: what is written is the packet, header included. These sockets
 * receive nothing. */
static int open_sockets(struct engine *engine)
{
	int err;

	err = open_socket(AF_INET, SOCK_RAW, IPPROTO_RAW, &engine->raw4);
	if (!err)
		err = open_socket(AF_INET6, SOCK_RAW, IPPROTO_RAW,
				  &engine->raw6);
	if (!err)
		err = open_socket(AF_INET, SOCK_DGRAM, 0, &engine->udp4);
	if (!err)
		err = open_socket(AF_INET6, SOCK_DGRAM, 0, &engine->udp6);
	return err;
}

static int drop_privileges(void)
{
	cap_t none;
	int err = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, PROCESS_DUMPABLE, 0, 0, 0) ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	none = cap_init(); /* all flags clear */
	if (!none)
		return -errno;
	if (cap_set_proc(none))
		err = -errno;
	cap_free(none);
	return err;
}

static int prepare(struct engine *engine)
{
	const struct engine_maps *m = &engine->maps;
	const struct pick_tables tables = {
		.vservers = m->vservers,
		.services = m->services,
		.svc_load = m->svc_load,
		.members = m->members,
		.lb_table = m->lb_table,
		.members_len = m->members_len,
		.lb_len = m->lb_len,
	};
	int err;

	engine->info = &engine->maps.engines[engine->slot];
	engine->flowtab = (struct flowtab){
		.mask = m->flow_sets - 1,
		.sets = m->flows,
		.vservers = m->vservers,
		.intent = &engine->ctl->engine[engine->slot].flow_intent,
	};
	engine->toeplitz = calloc(TOEPLITZ_TABLE_LEN, sizeof(uint32_t));
	if (!engine->toeplitz)
		return -ENOMEM;
	engine->key_seen = engine->ctl->key_change;
	toeplitz_tables_build(engine->ctl->rss_key, engine->toeplitz);
	err = pick_new(&tables, engine->slot, &engine->pick);
	if (!err)
		err = nexthop_new(&engine->nexthop);
	if (!err)
		err = hold_new(&engine->hold);
	return err;
}

static int fail(const char *what, int err)
{
	log_err("%s: %s", what, strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	static struct engine engine = { .link = -1 };
	int err;

	log_init("sluice-engine", LOG_INFO);
	if (parse_options(&engine, argc, argv))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	/* The daemon's terminal is not ours. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	engine.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (engine.epoll_fd < 0)
		return fail("epoll", -errno);
	err = open_sockets(&engine);
	if (err)
		return fail("raw sockets (CAP_NET_RAW is needed to start)",
			    err);
	err = engine_attach(&engine);
	if (err)
		return fail("no sockets and memory from the daemon (engines "
			    "are started by sluiced only)", err);
	err = prepare(&engine);
	if (err)
		return fail("preparing", err);
	err = drop_privileges();
	if (err)
		return fail("dropping privileges", err);
	engine.now_ns = flowtab_now_ns();
	__atomic_store_n(&engine.info->heartbeat_ns, engine.now_ns,
			 __ATOMIC_RELAXED);
	err = engine_attach_ready(&engine);
	if (!err)
		err = engine_loop(&engine);
	return err ? fail("engine", err) : 0;
}
