/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a probe costs at least: a bare loop of connect, request, first read,
 * close by RST over epoll, 14 at a time, to many loopback addresses. Prints
 * CPU µs per exchange.
 *
 *   tool_floor COUNT http|tcp
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void start(int epoll, unsigned int i)
{
	static const struct linger now = { 1, 0 };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(80) };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(0x7f010001 + i % 60000);
	event.data.fd = fd;
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
		perror("tool_floor");
		exit(2);
	}
}

/* True if the exchange is over. */
static bool advance(const struct epoll_event *event, bool http)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n"
				      "Connection: close\r\n\r\n";
	static char reply[65536];
	int fd = event->data.fd;

	if (http && !(event->events & EPOLLIN))
		return send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0;
	if (http && recv(fd, reply, sizeof(reply), 0) < 0)
		return false;
	close(fd);
	return true;
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 3 ? atoi(argv[1]) : 0, started = 0, done = 0;
	bool http = argc == 3 && !strcmp(argv[2], "http");
	struct epoll_event events[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	double before = cpu_s();

	if (!n) {
		fprintf(stderr, "usage: tool_floor COUNT http|tcp\n");
		return 1;
	}
	while (done < n) {
		int got;

		while (started - done < 14 && started < n)
			start(epoll, started++);
		got = epoll_wait(epoll, events, 64, 5000);
		if (got <= 0)
			return 2;
		for (int i = 0; i < got; i++)
			done += advance(&events[i], http);
	}
	printf("%.2f\n", (cpu_s() - before) * 1e6 / n);
	return 0;
}
