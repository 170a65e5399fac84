// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a change of state takes to reach the tables that XDP and engines
 * read. Listens as the back end of a service that is probed, closes and opens
 * its port in turn, and watches the pinned maps for what follows: the
 * service's state, and its vserver's look-up table (with one service: empty or
 * not). Times are from the close or the listen, so they hold one wait for the
 * next probe, too.
 *
 *   tool_reach MAPS SERVICE VSERVER PORT ROUNDS
 *
 * One JSON object: milliseconds, sorted, per direction and table. Exit status
 * 1 if a change does not arrive within PATIENCE (environment, 4) seconds.
 *
 * link-with: daemon/bpf/maps.c daemon/util/log.c
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bpf/maps.h"
#include "util/log.h"

#define ROUNDS_MAX 1000
#define POLL_NS 100000

struct reach {
	struct maps maps;
	uint32_t service, vserver;
	uint16_t port;
	uint64_t patience_ns;
};

struct times {
	double service[ROUNDS_MAX], table[ROUNDS_MAX];
};

static void die(const char *what)
{
	fprintf(stderr, "tool_reach: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_port(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(fd, 1024))
		die("listen");
	return fd;
}

static bool service_up(const struct reach *r)
{
	return __atomic_load_n(&r->maps.services[r->service].state,
			       __ATOMIC_ACQUIRE) == SVC_UP;
}

static bool table_filled(const struct reach *r)
{
	return SPAN_LEN(__atomic_load_n(&r->maps.vservers[r->vserver].lb,
					__ATOMIC_ACQUIRE));
}

/* Milliseconds from START until both are as UP says. False: not in time. */
static bool follow(const struct reach *r, bool up, double *ret_service,
		   double *ret_table)
{
	static const struct timespec pause = { 0, POLL_NS };
	uint64_t start = now_ns(), service = 0, table = 0, now = start;

	while (!service || !table) {
		now = now_ns();
		if (!service && service_up(r) == up)
			service = now;
		if (!table && table_filled(r) == up)
			table = now;
		if (now - start > r->patience_ns)
			return false;
		nanosleep(&pause, NULL);
	}
	*ret_service = (service - start) / 1e6;
	*ret_table = (table - start) / 1e6;
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(const char *name, double *ms, int n, const char *end)
{
	qsort(ms, n, sizeof(*ms), by_value);
	printf("\"%s\":{\"p50\":%.1f,\"max\":%.1f}%s", name, ms[n / 2],
	       ms[n - 1], end);
}

static bool run(const struct reach *r, int rounds, struct times *down,
		struct times *up)
{
	double unused[2];
	int fd = open_port(r->port);
	bool ok = follow(r, true, &unused[0], &unused[1]);

	for (int i = 0; ok && i < rounds; i++) {
		close(fd);
		ok = follow(r, false, &down->service[i], &down->table[i]);
		fd = open_port(r->port);
		ok = ok && follow(r, true, &up->service[i], &up->table[i]);
	}
	close(fd);
	return ok;
}

int main(int argc, char **argv)
{
	const char *patience = getenv("PATIENCE");
	static struct times down, up;
	struct reach r;
	int rounds;

	if (argc != 6)
		return 2;
	log_init("tool_reach", LOG_INFO);
	if (maps_open(&r.maps, argv[1]))
		return 2;
	r.service = atoi(argv[2]);
	r.vserver = atoi(argv[3]);
	r.port = atoi(argv[4]);
	rounds = atoi(argv[5]);
	r.patience_ns = (patience ? atoi(patience) : 4) * 1000000000ull;
	if (!r.service || r.service >= SERVICES_MAX || !r.vserver ||
	    r.vserver >= VSERVERS_MAX || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	if (!run(&r, rounds, &down, &up)) {
		fprintf(stderr, "tool_reach: a change of state did not reach the tables\n");
		return 1;
	}
	printf("{\"rounds\":%d,\"down\":{", rounds);
	print("service", down.service, rounds, ",");
	print("table", down.table, rounds, "},\"up\":{");
	print("service", up.service, rounds, ",");
	print("table", up.table, rounds, "}}\n");
	maps_close(&r.maps);
	return 0;
}
