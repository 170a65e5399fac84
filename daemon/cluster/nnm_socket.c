// SPDX-License-Identifier: GPL-2.0-only
/* The UDP socket (see nnm_socket.h). */
#include "cluster/nnm_socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <unistd.h>

/* A burst of 31 peers that all bring a joining node up to date: a tick's worth
 * of each, with the kernel's overhead per packet. */
#define RECEIVE_BUFFER (8 << 20)
#define SEND_BUFFER (4 << 20)

void nnm_socket_address(const union ip_addr *addr, uint16_t port,
			struct nnm_address *ret)
{
	assert(addr && ret);
	memset(ret, 0, sizeof(*ret));
	if (ip_addr_is_v4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)&ret->sa;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = addr->w[3];
		ret->len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->sa;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, addr, sizeof(*addr));
		ret->len = sizeof(*in6);
	}
}

bool nnm_socket_same(const struct nnm_address *a, const struct nnm_address *b)
{
	if (a->sa.ss_family != b->sa.ss_family)
		return false;
	if (a->sa.ss_family == AF_INET) {
		const struct sockaddr_in *x = (const void *)&a->sa, *y = (const void *)&b->sa;

		return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
	}
	if (a->sa.ss_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const void *)&a->sa, *y = (const void *)&b->sa;

		return x->sin6_port == y->sin6_port &&
		       memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
	}
	return false;
}

int nnm_socket_open(const union ip_addr *addr, uint16_t port)
{
	const int on = 1, rcv = RECEIVE_BUFFER, snd = SEND_BUFFER, tos = IPTOS_CLASS_CS6;
	struct nnm_address bind_to;
	int fd, err;

	nnm_socket_address(addr, port, &bind_to);
	fd = socket(bind_to.sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Best effort: what the kernel grants decides how big a burst may be,
	 * not whether anything works. FORCE needs CAP_NET_ADMIN. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof(rcv)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcv, sizeof(rcv));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &snd, sizeof(snd)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &snd, sizeof(snd));
	if (bind_to.sa.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (bind(fd, (struct sockaddr *)&bind_to.sa, bind_to.len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int nnm_socket_receive(int fd, struct nnm_datagram batch[NNM_BATCH])
{
	struct mmsghdr messages[NNM_BATCH];
	struct iovec iov[NNM_BATCH];
	int n;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < NNM_BATCH; i++) {
		iov[i] = (struct iovec){ batch[i].data, sizeof(batch[i].data) };
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = &batch[i].from.sa;
		messages[i].msg_hdr.msg_namelen = sizeof(batch[i].from.sa);
	}
	do {
		n = recvmmsg(fd, messages, NNM_BATCH, MSG_DONTWAIT, NULL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		batch[i].len = messages[i].msg_len;
		batch[i].from.len = messages[i].msg_hdr.msg_namelen;
	}
	return n;
}

int nnm_socket_send(int fd, const struct nnm_address *to, const uint8_t *data, size_t len)
{
	ssize_t n;

	assert(len <= NNM_DATAGRAM_MAX);
	do {
		n = sendto(fd, data, len, MSG_DONTWAIT, (const struct sockaddr *)&to->sa, to->len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

uint32_t nnm_socket_overflows(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}
