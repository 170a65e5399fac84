/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starts scripts in a process of its own, see spawner.h. Messages are packets
 * on a socket pair, host byte order:
 *
 *   prober → spawner   RUN number, arguments, environment; with the output
 *                      KILL number
 *   spawner → prober   enum spawner_event, number, value
 *
 * What is under way is bounded by SCRIPTS_MAX, so neither side fills the
 * socket of the other.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prober/poller.h"
#include "prober/script_limits.h"
#include "prober/spawner.h"
#include "util/cursor.h"
#include "util/log.h"

#define MESSAGE_MAX 65536
#define STRINGS_MAX 80

enum order { ORDER_RUN = 1, ORDER_KILL };

/* ---- the process beside ------------------------------------------------ */

static pid_t jobs[SCRIPTS_MAX]; /* 0: none */

static void tell(int fd, uint32_t number, enum spawner_event event,
		 uint32_t value)
{
	uint8_t buf[16];
	struct cursor c = cursor_on(buf, sizeof(buf));

	cursor_put_u8(&c, event);
	cursor_put_u32(&c, number);
	cursor_put_u32(&c, value);
	/* If the prober is gone, its end of the socket says so. */
	(void)!send(fd, buf, c.at, MSG_NOSIGNAL);
}

/* Its session, and itself in case it has not yet got one. */
static void kill_job(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
}

/* In the child. */
static _Noreturn void become(char **args, char **env, int output)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL);
	if (null < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(127);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	script_limits_exec(args, env);
}

/* Strings into ARRAY, which is ended by NULL; they lie in the message. */
static void get_strings(struct cursor *c, char **array)
{
	uint32_t n = cursor_get_u32(c);

	for (uint32_t i = 0; i < n && !c->error; i++) {
		size_t len;
		const char *s = cursor_get_bytes(c, &len);

		if (i == STRINGS_MAX || !s || !len || s[len - 1])
			c->error = true;
		else
			*array++ = (char *)s;
	}
	*array = NULL;
}

static void run(int fd, uint32_t number, struct cursor *c, int output)
{
	char *args[STRINGS_MAX + 1], *env[STRINGS_MAX + 1];
	pid_t pid;

	get_strings(c, args);
	get_strings(c, env);
	if (c->error || !args[0] || output < 0)
		return tell(fd, number, SPAWNER_FAILED, EBADMSG);
	pid = fork();
	if (pid < 0)
		return tell(fd, number, SPAWNER_FAILED, errno);
	if (!pid)
		become(args, env, output);
	jobs[number] = pid;
	tell(fd, number, SPAWNER_STARTED, pid);
}

/* The descriptor that came with a message, or -1. */
static int descriptor_of(struct msghdr *msg)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void obey(int fd)
{
	static uint8_t buf[MESSAGE_MAX];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cursor c;
	uint32_t number;
	int output, order;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		/* The prober has ended. */
		for (int i = 0; i < SCRIPTS_MAX; i++)
			if (jobs[i])
				kill_job(jobs[i]);
		_exit(0);
	}
	c = cursor_on(buf, n);
	order = cursor_get_u8(&c);
	number = cursor_get_u32(&c);
	output = descriptor_of(&msg);
	if (number < SCRIPTS_MAX && order == ORDER_RUN && !jobs[number])
		run(fd, number, &c, output);
	else if (number < SCRIPTS_MAX && order == ORDER_KILL && jobs[number])
		kill_job(jobs[number]);
	if (output >= 0)
		close(output);
}

/* The group goes while its leader's number cannot yet be another's. */
static void reap(int fd)
{
	siginfo_t info = { 0 };
	int status;

	while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid) {
		kill(-info.si_pid, SIGKILL);
		waitpid(info.si_pid, &status, 0);
		for (uint32_t i = 0; i < SCRIPTS_MAX; i++) {
			if (jobs[i] != info.si_pid)
				continue;
			jobs[i] = 0;
			tell(fd, i, SPAWNER_ENDED, status);
		}
		info.si_pid = 0;
	}
}

static _Noreturn void serve(int fd)
{
	struct signalfd_siginfo unused;
	struct pollfd wait[2] = { { .fd = fd, .events = POLLIN },
				  { .events = POLLIN } };
	sigset_t children;

	/* Nothing of the prober's but its socket. */
	close_range(STDERR_FILENO + 1, fd - 1, 0);
	close_range(fd + 1, ~0u, 0);
	prctl(PR_SET_NAME, "sluice-spawner");
	/* No PR_SET_PDEATHSIG: when the prober ends, the socket says so, and
	 * there are scripts to be ended first. */
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	wait[1].fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (wait[1].fd < 0)
		_exit(2);
	for (;;) {
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents) {
			/* Signals merge: one says nothing of their number. */
			(void)!read(wait[1].fd, &unused, sizeof(unused));
			reap(fd);
		}
		if (wait[0].revents)
			obey(fd);
	}
}

/* ---- the prober's side ------------------------------------------------- */

static struct poller_io peer = { .fd = -1 };
static spawner_on_event *handler;

int spawner_start(void)
{
	int fds[2];
	pid_t pid;

	assert(peer.fd < 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (!pid)
		serve(fds[1]);
	close(fds[1]);
	peer.fd = fds[0];
	return fcntl(peer.fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

/* Without it this prober is no good; sluiced starts another, and verdicts
 * stay what they are meanwhile. */
static _Noreturn void lost(const char *why)
{
	log_err("the process that starts scripts: %s", why);
	exit(2);
}

static void on_ready(struct poller_io *io, uint32_t events)
{
	uint8_t buf[16];

	(void)events;
	for (;;) {
		ssize_t n = recv(io->fd, buf, sizeof(buf), 0);
		struct cursor c = cursor_on(buf, n > 0 ? n : 0);
		enum spawner_event event;
		uint32_t number, value;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			lost(n ? strerror(errno) : "it has ended");
		event = cursor_get_u8(&c);
		number = cursor_get_u32(&c);
		value = cursor_get_u32(&c);
		if (c.error || number >= SCRIPTS_MAX)
			lost("its message makes no sense");
		handler(number, event, value);
	}
}

int spawner_init(spawner_on_event *on_event)
{
	assert(peer.fd >= 0);
	handler = on_event;
	peer.ready = on_ready;
	return poller_add(&peer);
}

static void put_strings(struct cursor *c, char *const *array)
{
	uint32_t n = 0;

	while (array[n])
		n++;
	if (n > STRINGS_MAX)
		c->error = true;
	cursor_put_u32(c, n);
	for (uint32_t i = 0; i < n; i++)
		cursor_put_bytes(c, array[i], strlen(array[i]) + 1);
}

int spawner_run(uint32_t number, char *const *args, char *const *env,
		int output)
{
	static uint8_t buf[MESSAGE_MAX];
	struct cursor c = cursor_on(buf, sizeof(buf));
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { buf, 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);

	assert(number < SCRIPTS_MAX);
	cursor_put_u8(&c, ORDER_RUN);
	cursor_put_u32(&c, number);
	put_strings(&c, args);
	put_strings(&c, env);
	if (c.error)
		return -E2BIG;
	iov.iov_len = c.at;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &output, sizeof(output));
	return sendmsg(peer.fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void spawner_kill(uint32_t number)
{
	uint8_t buf[8];
	struct cursor c = cursor_on(buf, sizeof(buf));

	assert(number < SCRIPTS_MAX);
	cursor_put_u8(&c, ORDER_KILL);
	cursor_put_u32(&c, number);
	if (send(peer.fd, buf, c.at, MSG_NOSIGNAL) < 0)
		lost("it does not read");
}
