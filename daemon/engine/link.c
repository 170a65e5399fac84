// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages between daemon and engine, see link.h. Runs in both, never waits.
 */
#include "engine/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int link_send(int fd, const struct link_msg *msg, const int *fds, int n_fds)
{
	struct link_msg copy = *msg;
	struct iovec iov = { .iov_base = &copy, .iov_len = sizeof(copy) };
	union {
		char buf[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds < 0 || n_fds > LINK_FDS_MAX)
		return -EINVAL;
	copy.version = LINK_VERSION;
	if (n_fds) {
		struct cmsghdr *cm;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return n == sizeof(copy) ? 0 : -EIO;
}

static void take_fds(struct msghdr *mh, int fds[LINK_FDS_MAX])
{
	int n = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm;
	     cm = CMSG_NXTHDR(mh, cm)) {
		int count, fd;

		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		count = (int)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(cm) + sizeof(int) * i,
			       sizeof(fd));
			if (n < LINK_FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
}

int link_receive(int fd, struct link_msg *ret_msg, int ret_fds[LINK_FDS_MAX])
{
	struct link_msg msg;
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };
	union {
		char buf[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int fds[LINK_FDS_MAX] = { -1, -1 };
	ssize_t n;

	n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	take_fds(&mh, fds);
	if (!n || n != sizeof(msg) || msg.version != LINK_VERSION ||
	    mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (int i = 0; i < LINK_FDS_MAX; i++) {
			if (fds[i] >= 0)
				close(fds[i]);
		}
		return n ? -EPROTO : -EPIPE;
	}
	*ret_msg = msg;
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}
