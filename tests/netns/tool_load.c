// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load generator of the demo and the network tests: many HTTP connections in
 * one epoll loop, every byte of every answer checked, accounts by phase.
 *
 *   tool_load make FILE BYTES         writes a file with the expected contents
 *   tool_load run [OPTIONS]           until "stop" or --seconds
 *     --target ADDR:PORT              repeated; [V6]:PORT; used in turn
 *     --source ADDR                   repeated; local addresses, by family
 *     --load KIND:COUNT:PATH:PAUSE_MS repeated; KIND short, long, upload
 *                                     (upload: PATH is /path=BYTES; each
 *                                     worker appends its number)
 *     --control FIFO                  lines "phase NAME", "stop"
 *     --output FILE                   JSON at the end (default stdout)
 *     --status FILE                   totals, rewritten every 100 ms:
 *                                     PHASE SENT ANSWERED FAILED BROKEN OPEN
 *                                     EARLIER (requests of earlier phases
 *                                     that are under way)
 *     --timeout-ms N                  10000: without a byte: a failure
 *     --seconds N
 *
 * Exit status 0: requests were answered, none failed, no connection broke.
 *
 * link-with: tests/lib/http_worker.c tests/lib/load_stats.c tests/lib/pattern.c
 * link-with: daemon/util/addr_text.c
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../lib/http_worker.h"
#include "../lib/load_stats.h"
#include "../lib/pattern.h"
#include "util/addr_text.h"

#define TARGETS_MAX 16
#define SOURCES_MAX 32
#define WORKERS_MAX 20000
#define STATUS_US 100000
#define SCAN_US 1000

struct load {
	struct http_target targets[TARGETS_MAX * SOURCES_MAX];
	size_t n_targets;
	struct sockaddr_storage sources[SOURCES_MAX];
	size_t n_sources;
	struct http_worker *workers;
	size_t n_workers;
	struct http_shared shared;
	struct load_stats stats;
	int control_fd;
	char control[256];
	size_t control_len;
	const char *output, *status;
	uint64_t end_us, drain_us;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what, const char *which)
{
	fprintf(stderr, "tool_load: %s%s%s\n", what, which ? ": " : "",
		which ? which : "");
	exit(2);
}

static int make_file(const char *path, uint64_t size)
{
	static uint8_t buf[65536];
	FILE *f = fopen(path, "w");
	uint64_t at = 0;

	if (!f)
		die(strerror(errno), path);
	while (at < size) {
		size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);

		pattern_fill(at, buf, n);
		if (fwrite(buf, 1, n, f) != n)
			die(strerror(errno), path);
		at += n;
	}
	if (fclose(f))
		die(strerror(errno), path);
	return 0;
}

static socklen_t to_sockaddr(const union ip_addr *addr, uint16_t port,
			     struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip_addr_is_v4(addr)) {
		struct sockaddr_in *sin = (void *)ret;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		memcpy(&sin->sin_addr, &addr->w[3], 4);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (void *)ret;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	memcpy(&sin6->sin6_addr, addr, 16);
	return sizeof(*sin6);
}

static void add_target(struct load *l, const char *text)
{
	struct http_target *t = &l->targets[l->n_targets];
	union ip_addr addr;
	uint16_t port;

	if (l->n_targets == TARGETS_MAX ||
	    addr_text_parse_port(text, &addr, &port))
		die("bad --target", text);
	t->addr_len = to_sockaddr(&addr, port, &t->addr);
	snprintf(t->host, sizeof(t->host), "%s", text);
	l->n_targets++;
}

static void add_source(struct load *l, const char *text)
{
	union ip_addr addr;

	if (l->n_sources == SOURCES_MAX || addr_text_parse(text, &addr))
		die("bad --source", text);
	to_sockaddr(&addr, 0, &l->sources[l->n_sources++]);
}

/* Each target once per source address of its family. */
static void cross_sources(struct load *l)
{
	size_t n = l->n_targets;

	for (size_t t = 0; t < n; t++) {
		bool bound = false;

		for (size_t s = 0; s < l->n_sources; s++) {
			struct http_target *to = &l->targets[t];

			if (l->sources[s].ss_family !=
			    l->targets[t].addr.ss_family)
				continue;
			if (bound) {
				to = &l->targets[l->n_targets++];
				*to = l->targets[t];
			}
			to->source = l->sources[s];
			bound = true;
		}
	}
}

static void add_load(struct load *l, char *text)
{
	static const char *const kinds[] = { "short", "long", "upload" };
	char *kind = strsep(&text, ":"), *count = strsep(&text, ":");
	char *path = strsep(&text, ":"), *pause = text, *size;
	enum http_kind k = 0;
	uint64_t upload = 0;

	if (!pause)
		die("--load needs KIND:COUNT:PATH:PAUSE_MS", kind);
	while (k <= HTTP_UPLOAD && strcmp(kinds[k], kind))
		k++;
	if (k > HTTP_UPLOAD)
		die("--load: unknown kind", kind);
	if (k == HTTP_UPLOAD) {
		size = strchr(path, '=');
		if (!size)
			die("--load upload needs /path=BYTES", path);
		*size = 0;
		upload = strtoull(size + 1, NULL, 10);
	}
	for (int n = atoi(count); n > 0; n--) {
		struct http_worker *w = &l->workers[l->n_workers++];

		if (l->n_workers > WORKERS_MAX)
			die("too many workers", NULL);
		w->shared = &l->shared;
		w->kind = k;
		w->fd = -1;
		w->pause_us = strtoull(pause, NULL, 10) * 1000;
		w->upload_len = upload;
		if (upload)
			snprintf(w->path, sizeof(w->path), "%s%d", path, n);
		else
			snprintf(w->path, sizeof(w->path), "%s", path);
	}
}

static void stop(struct load *l)
{
	if (l->shared.stopping)
		return;
	l->shared.stopping = true;
	/* Answers that are on their way may take as long as they need, unless
	 * a byte fails to come in time; this bounds endless ones. */
	l->drain_us = now_us() + 120000000;
}

static void control_line(struct load *l, const char *line)
{
	if (!strncmp(line, "phase ", 6))
		load_stats_phase(&l->stats, line + 6, now_us());
	else if (!strcmp(line, "stop"))
		stop(l);
	else
		fprintf(stderr, "tool_load: unknown command: %s\n", line);
}

static void control_read(struct load *l)
{
	ssize_t n = read(l->control_fd, l->control + l->control_len,
			 sizeof(l->control) - 1 - l->control_len);
	char *line = l->control, *end;

	if (n <= 0)
		return;
	l->control_len += n;
	l->control[l->control_len] = 0;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		control_line(l, line);
		line = end + 1;
	}
	l->control_len = strlen(line);
	memmove(l->control, line, l->control_len + 1);
	if (l->control_len == sizeof(l->control) - 1)
		l->control_len = 0; /* a line that long is no command */
}

/* Written beside and renamed, so that readers never see half a line. */
static void write_status(struct load *l)
{
	struct load_phase total;
	const struct load_phase *phase =
		&l->stats.phases[l->stats.n_phases - 1];
	size_t open = 0, earlier = 0;
	char tmp[512];
	FILE *f;

	if (!l->status)
		return;
	load_stats_total(&l->stats, &total);
	for (size_t i = 0; i < l->n_workers; i++) {
		const struct http_worker *w = &l->workers[i];

		open += w->fd >= 0;
		earlier += w->state != HTTP_IDLE && w->phase != phase;
	}
	snprintf(tmp, sizeof(tmp), "%s.tmp", l->status);
	f = fopen(tmp, "w");
	if (!f)
		die(strerror(errno), tmp);
	fprintf(f, "%s %lu %lu %lu %lu %zu %zu\n", phase->name, total.sent,
		total.answered, total.failed, total.broken, open, earlier);
	if (fclose(f) || rename(tmp, l->status))
		die(strerror(errno), l->status);
}

/* Wakes whoever is due. True while a request is under way or may come. */
static bool scan(struct load *l, uint64_t now)
{
	bool busy = !l->shared.stopping;

	for (size_t i = 0; i < l->n_workers; i++) {
		struct http_worker *w = &l->workers[i];

		if (w->wake_us <= now)
			http_worker_wake(w, now);
		busy |= w->state != HTTP_IDLE;
	}
	return busy;
}

static void run_loop(struct load *l)
{
	uint64_t now = now_us(), next_scan = 0, next_status = 0;
	struct epoll_event events[256];
	bool busy = true;

	while (busy) {
		int n = epoll_wait(l->shared.epoll_fd, events, 256, 2);

		now = now_us();
		for (int i = 0; i < n; i++) {
			struct http_worker *w = events[i].data.ptr;

			if (!w)
				control_read(l);
			else if (w->fd >= 0)
				http_worker_event(w, events[i].events, now);
		}
		if (now >= next_scan) {
			busy = scan(l, now);
			next_scan = now + SCAN_US;
		}
		if (now >= next_status) {
			write_status(l);
			next_status = now + STATUS_US;
		}
		if (l->end_us && now >= l->end_us)
			stop(l);
		if (l->shared.stopping && now >= l->drain_us)
			die("answers did not end within two minutes", NULL);
	}
	l->stats.phases[l->stats.n_phases - 1].end_us = now;
}

static void prepare(struct load *l, const char *control)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint64_t now = now_us();

	if (!l->n_targets || !l->n_workers)
		die("--target and --load are needed", NULL);
	cross_sources(l);
	l->shared.stats = &l->stats;
	l->shared.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->shared.epoll_fd < 0)
		die(strerror(errno), "epoll");
	if (control) {
		/* Read and write: no end of file when a writer leaves. */
		l->control_fd = open(control, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (l->control_fd < 0 ||
		    epoll_ctl(l->shared.epoll_fd, EPOLL_CTL_ADD, l->control_fd,
			      &ev))
			die(strerror(errno), control);
	}
	load_stats_phase(&l->stats, "start", now);
	for (size_t i = 0; i < l->n_workers; i++) {
		struct http_worker *w = &l->workers[i];

		w->target = &l->targets[i % l->n_targets];
		/* The first requests come spread over a pause or 100 ms. */
		w->wake_us = now + (uint64_t)random() %
					   (w->pause_us + 100000);
	}
}

static int finish(struct load *l)
{
	FILE *f = l->output ? fopen(l->output, "w") : stdout;
	struct load_phase total;

	write_status(l);
	if (!f)
		die(strerror(errno), l->output);
	load_stats_write(&l->stats, f);
	if (fclose(f))
		die(strerror(errno), l->output);
	for (size_t i = 0; i < l->n_workers; i++)
		http_worker_close(&l->workers[i]);
	free(l->workers);
	load_stats_total(&l->stats, &total);
	return total.answered && !total.failed && !total.broken ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, NULL, 't' },  { "source", 1, NULL, 's' },
		{ "load", 1, NULL, 'l' },    { "control", 1, NULL, 'c' },
		{ "output", 1, NULL, 'o' },  { "status", 1, NULL, 'f' },
		{ "timeout-ms", 1, NULL, 'w' }, { "seconds", 1, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	static struct load load = { .control_fd = -1,
				    .shared.timeout_us = 10000000 };
	const char *control = NULL;
	struct rlimit files;
	int c;

	if (argc == 4 && !strcmp(argv[1], "make"))
		return make_file(argv[2], strtoull(argv[3], NULL, 0));
	if (argc < 2 || strcmp(argv[1], "run"))
		die("make FILE BYTES, or run [OPTIONS]", NULL);
	load.workers = calloc(WORKERS_MAX, sizeof(*load.workers));
	if (!load.workers)
		die("out of memory", NULL);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	while ((c = getopt_long(argc - 1, argv + 1, "", options, NULL)) >= 0) {
		switch (c) {
		case 't': add_target(&load, optarg); break;
		case 's': add_source(&load, optarg); break;
		case 'l': add_load(&load, optarg); break;
		case 'c': control = optarg; break;
		case 'o': load.output = optarg; break;
		case 'f': load.status = optarg; break;
		case 'w': load.shared.timeout_us = atoll(optarg) * 1000; break;
		case 'e': load.end_us = now_us() + atoll(optarg) * 1000000;
			break;
		default: return 2;
		}
	}
	prepare(&load, control);
	run_loop(&load);
	return finish(&load);
}
