// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbered UDP datagrams that are echoed, to tell which fault lost how many.
 *
 *   tool_udp serve PORT NAME      echoes with its name, both families; answers
 *                                 from the address that was asked (DSR)
 *   tool_udp run [OPTIONS]        options as of tool_load, and
 *     --target ADDR:PORT          repeated; flows take them in turn
 *     --flows N                   sockets (200)
 *     --rate N                    datagrams per second over all flows (2000)
 *
 * A datagram is lost if its echo does not come within 2 s. The output has, per
 * phase, sent, answered, failed (lost), broken (flows whose echoes began to
 * come from another server), duplicates, and the longest run of losses.
 *
 * link-with: tests/lib/load_stats.c daemon/util/addr_text.c
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/load_stats.h"
#include "util/addr_text.h"

#define FLOWS_MAX 4096
#define TARGETS_MAX 8
#define SEQ_MAX (1u << 23) /* over an hour at 2 000 per second */
#define LOST_US 2000000
#define STATUS_US 100000

struct datagram {
	uint64_t magic;
	uint32_t flow;
	uint32_t seq;
	char server[16]; /* filled by the echo */
	char pad[32];
};

#define MAGIC 0x534c554943453031ull

struct record {
	uint64_t sent_us;
	uint8_t phase;
	bool answered;
};

struct flow {
	int fd;
	char server[16];
};

struct run {
	struct sockaddr_storage targets[TARGETS_MAX];
	socklen_t target_len[TARGETS_MAX];
	unsigned int n_targets;
	struct flow flows[FLOWS_MAX];
	unsigned int n_flows, rate;
	struct record *records;
	uint32_t seq;
	uint64_t answered, duplicates[LOAD_PHASES_MAX];
	struct load_stats stats;
	int epoll_fd, control_fd;
	const char *status;
	bool stopping;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what, const char *which)
{
	fprintf(stderr, "tool_udp: %s: %s\n", what, which);
	exit(2);
}

/* ---- server ------------------------------------------------------------ */

static int serve_socket(int family, uint16_t port)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1, rc;

	if (fd < 0)
		die("socket", strerror(errno));
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one,
			   sizeof(one));
		rc = bind(fd, (void *)&a6, sizeof(a6));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		rc = bind(fd, (void *)&a4, sizeof(a4));
	}
	if (rc)
		die("bind", strerror(errno));
	return fd;
}

/* The control data that came says the address that was asked; handed back to
 * sendmsg() it makes that the source. The interface must not be fixed: with
 * DSR the address is on lo. */
static void any_interface(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (void *)CMSG_DATA(c);

			info->ipi_ifindex = 0;
			info->ipi_spec_dst = info->ipi_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
			   c->cmsg_type == IPV6_PKTINFO) {
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
		}
	}
}

static void serve_one(int fd, const char *name)
{
	struct sockaddr_storage from;
	struct datagram d;
	union {
		char buf[128];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &d, sizeof(d) };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	if (recvmsg(fd, &msg, MSG_DONTWAIT) != sizeof(d) || d.magic != MAGIC)
		return;
	snprintf(d.server, sizeof(d.server), "%s", name);
	any_interface(&msg);
	/* A lost echo is what the other side measures. */
	(void)!sendmsg(fd, &msg, 0);
}

static _Noreturn void serve(const char *port, const char *name)
{
	struct pollfd fds[2] = {
		{ serve_socket(AF_INET, atoi(port)), POLLIN, 0 },
		{ serve_socket(AF_INET6, atoi(port)), POLLIN, 0 },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll", strerror(errno));
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				serve_one(fds[i].fd, name);
	}
}

/* ---- client ------------------------------------------------------------ */

static void add_target(struct run *r, const char *text)
{
	struct sockaddr_storage *sa = &r->targets[r->n_targets];
	union ip_addr addr;
	uint16_t port;

	if (r->n_targets == TARGETS_MAX ||
	    addr_text_parse_port(text, &addr, &port))
		die("bad --target", text);
	if (ip_addr_is_v4(&addr)) {
		struct sockaddr_in *sin = (void *)sa;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		memcpy(&sin->sin_addr, &addr.w[3], 4);
		r->target_len[r->n_targets++] = sizeof(*sin);
	} else {
		struct sockaddr_in6 *sin6 = (void *)sa;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		memcpy(&sin6->sin6_addr, &addr, 16);
		r->target_len[r->n_targets++] = sizeof(*sin6);
	}
}

static void open_flows(struct run *r)
{
	for (unsigned int i = 0; i < r->n_flows; i++) {
		struct epoll_event ev = { .events = EPOLLIN,
					  .data.ptr = &r->flows[i] };
		unsigned int t = i % r->n_targets;
		int fd = socket(r->targets[t].ss_family,
				SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0 ||
		    connect(fd, (void *)&r->targets[t], r->target_len[t]) ||
		    epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
			die("flow", strerror(errno));
		r->flows[i].fd = fd;
	}
}

static void send_one(struct run *r, uint64_t now)
{
	struct datagram d = { .magic = MAGIC,
			      .flow = r->seq % r->n_flows,
			      .seq = r->seq };

	if (r->seq == SEQ_MAX)
		die("run", "too long");
	r->records[r->seq++] = (struct record){
		.sent_us = now, .phase = r->stats.n_phases - 1
	};
	r->stats.phases[r->stats.n_phases - 1].sent++;
	/* ECONNREFUSED of an earlier ICMP error: this one was not sent; an
	 * error of that kind is a loss like others, and counted so. */
	(void)!send(r->flows[d.flow].fd, &d, sizeof(d), 0);
}

static void receive(struct run *r, struct flow *flow, uint64_t now)
{
	struct record *rec;
	struct datagram d;

	while (recv(flow->fd, &d, sizeof(d), 0) == sizeof(d)) {
		if (d.magic != MAGIC || d.seq >= r->seq ||
		    d.flow != flow - r->flows)
			die("echo", "not what was sent");
		rec = &r->records[d.seq];
		if (rec->answered) {
			r->duplicates[rec->phase]++;
			continue;
		}
		if (now - rec->sent_us > LOST_US)
			continue;
		rec->answered = true;
		r->answered++;
		load_stats_answer(&r->stats.phases[rec->phase], d.server,
				  now - rec->sent_us);
		d.server[sizeof(d.server) - 1] = 0;
		if (*flow->server && strcmp(flow->server, d.server))
			r->stats.phases[rec->phase].broken++;
		memcpy(flow->server, d.server, sizeof(flow->server));
	}
}

static void control(struct run *r)
{
	char buf[512], *line = buf, *end;
	ssize_t n = read(r->control_fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return;
	buf[n] = 0;
	/* Lines are shorter than PIPE_BUF, so they come whole. */
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		if (!strncmp(line, "phase ", 6))
			load_stats_phase(&r->stats, line + 6, now_us());
		else if (!strcmp(line, "stop"))
			r->stopping = true;
		line = end + 1;
	}
}

static void write_status(struct run *r)
{
	char tmp[512];
	FILE *f;

	if (!r->status)
		return;
	snprintf(tmp, sizeof(tmp), "%s.tmp", r->status);
	f = fopen(tmp, "w");
	if (!f)
		die(tmp, strerror(errno));
	fprintf(f, "%s %u %lu %lu 0 %u\n",
		r->stats.phases[r->stats.n_phases - 1].name, r->seq,
		r->answered, 0ul, r->n_flows);
	if (fclose(f) || rename(tmp, r->status))
		die(r->status, strerror(errno));
}

static void loop(struct run *r)
{
	uint64_t start = now_us(), now = start, next_status = 0, stop_us = 0;
	struct epoll_event events[128];

	while (!stop_us || now < stop_us + LOST_US) {
		int n = epoll_wait(r->epoll_fd, events, 128, 1);

		now = now_us();
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				receive(r, events[i].data.ptr, now);
			else
				control(r);
		}
		/* Catches up after a late turn, by 64 at most at a time. */
		for (int i = 0; i < 64 && !r->stopping &&
				r->seq < (now - start) * r->rate / 1000000;
		     i++)
			send_one(r, now);
		if (now >= next_status) {
			write_status(r);
			next_status = now + STATUS_US;
		}
		if (r->stopping && !stop_us)
			stop_us = now;
		if (stop_us && r->answered == r->seq)
			break;
	}
	r->stats.phases[r->stats.n_phases - 1].end_us = now;
}

/* What has no echo is lost: counted by phase, with the longest run. */
static uint64_t count_lost(struct run *r)
{
	uint64_t lost = 0, run = 0, longest[LOAD_PHASES_MAX] = { 0 };

	for (uint32_t i = 0; i < r->seq; i++) {
		struct record *rec = &r->records[i];

		run = rec->answered ? 0 : run + 1;
		if (!rec->answered) {
			r->stats.phases[rec->phase].failed++;
			lost++;
		}
		if (run > longest[rec->phase])
			longest[rec->phase] = run;
	}
	for (unsigned int p = 0; p < r->stats.n_phases; p++)
		if (longest[p] || r->duplicates[p])
			fprintf(stderr,
				"%s: %lu lost, longest run %lu, %lu duplicates\n",
				r->stats.phases[p].name,
				r->stats.phases[p].failed, longest[p],
				r->duplicates[p]);
	return lost;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, NULL, 't' },  { "flows", 1, NULL, 'n' },
		{ "rate", 1, NULL, 'r' },    { "control", 1, NULL, 'c' },
		{ "status", 1, NULL, 'f' },  { "output", 1, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	static struct run r = { .n_flows = 200, .rate = 2000 };
	struct epoll_event ev = { .events = EPOLLIN };
	const char *ctl = NULL, *output = NULL;
	FILE *f = stdout;
	uint64_t lost;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 't': add_target(&r, optarg); break;
		case 'n': r.n_flows = atoi(optarg); break;
		case 'r': r.rate = atoi(optarg); break;
		case 'c': ctl = optarg; break;
		case 'f': r.status = optarg; break;
		case 'o': output = optarg; break;
		default: return 2;
		}
	}
	if (!r.n_targets || !ctl || !r.n_flows || r.n_flows > FLOWS_MAX)
		die("run", "--target and --control are needed");
	r.records = calloc(SEQ_MAX, sizeof(*r.records));
	r.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r.control_fd = open(ctl, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (!r.records || r.epoll_fd < 0 || r.control_fd < 0 ||
	    epoll_ctl(r.epoll_fd, EPOLL_CTL_ADD, r.control_fd, &ev))
		die("run", strerror(errno));
	load_stats_phase(&r.stats, "start", now_us());
	open_flows(&r);
	loop(&r);
	lost = count_lost(&r);
	if (output)
		f = fopen(output, "w");
	if (!f)
		die(output, strerror(errno));
	load_stats_write(&r.stats, f);
	if (fclose(f))
		die("output", strerror(errno));
	free(r.records);
	return r.answered && !lost ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2], argv[3]);
	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argc - 1, argv + 1);
	die("usage", "serve PORT NAME, or run [OPTIONS]");
	return 2;
}
