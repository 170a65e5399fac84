/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Before most services are believed to have failed at once: does this machine
 * itself work? It does if the prober was on time, a connection over loopback
 * comes about, and at least one network interface has a carrier.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prober/prober.h"

#define LOOPBACK_WAIT_MS 20
#define REPEAT_NS 1000000000ull

void self_check_init(struct prober *prober)
{
	struct self_check *check = &prober->self_check;
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t len = sizeof(any);

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check->listener = socket(AF_INET,
				 SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (check->listener < 0)
		return;
	if (bind(check->listener, (struct sockaddr *)&any, sizeof(any)) ||
	    listen(check->listener, 4) ||
	    getsockname(check->listener, (struct sockaddr *)&any, &len)) {
		close(check->listener);
		check->listener = -1;
		return;
	}
	check->port = ntohs(any.sin_port);
}

/* True also if loopback is not up here: then it proves nothing. */
static bool loopback_works(const struct self_check *check)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	static const struct linger now = { 1, 0 };
	struct pollfd pfd = { .events = POLLOUT };
	int error = 0, peer;
	socklen_t len = sizeof(error);
	bool works;

	if (check->listener < 0)
		return true;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(check->port);
	pfd.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (pfd.fd < 0)
		return false; /* out of descriptors: not well */
	setsockopt(pfd.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (!connect(pfd.fd, (struct sockaddr *)&to, sizeof(to)))
		works = true;
	else if (errno == ENETUNREACH)
		works = true;
	else
		works = errno == EINPROGRESS &&
			poll(&pfd, 1, LOOPBACK_WAIT_MS) == 1 &&
			!getsockopt(pfd.fd, SOL_SOCKET, SO_ERROR, &error,
				    &len) &&
			!error;
	peer = accept4(check->listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer >= 0)
		close(peer);
	close(pfd.fd);
	return works;
}

/* False if there are network interfaces that are up, and none has a carrier. */
static bool carrier_found(void)
{
	unsigned int up = 0, running = 0;
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return true;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if ((i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP))
			continue;
		up++;
		running += !!(i->ifa_flags & IFF_RUNNING);
	}
	freeifaddrs(list);
	return !up || running;
}

bool self_check_passed(struct prober *prober)
{
	struct self_check *check = &prober->self_check;
	uint64_t now = prober_now_ns();
	const char *why = NULL;

	if (check->checked_ns && now - check->checked_ns < REPEAT_NS)
		return check->passed;
	if (late_since(prober, now - REPEAT_NS))
		why = "this prober was late";
	else if (!loopback_works(check))
		why = "loopback does not answer";
	else if (!carrier_found())
		why = "no interface has a carrier";
	check->checked_ns = now;
	check->passed = !why;
	prober->self->self_checks++;
	if (why && !check->complained)
		control_note(prober,
			     "%u of %u services fail at once, but %s: verdicts "
			     "are held back",
			     prober->schedule.failing, prober->schedule.passing,
			     why);
	check->complained = why != NULL;
	return check->passed;
}
