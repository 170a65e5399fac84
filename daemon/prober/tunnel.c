/* SPDX-License-Identifier: GPL-2.0-only */
/* See tunnel.h. */
#include "prober/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct probe_tunnel *table; /* by local port; NULL: none */

void tunnel_init(int fd)
{
	void *p = mmap(NULL, sizeof(*table) * PROBE_TUNNEL_PORTS,
		       PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		table = p;
	close(fd);
}

int tunnel_enter(enum probe_tunnel_space space, uint16_t port,
		 enum probe_tunnel_kind kind, const union ip_addr *outer)
{
	struct probe_tunnel *t;

	if (!table)
		return -EOPNOTSUPP;
	t = &table[probe_tunnel_index(space, port)];
	/* A late packet of the port's last probe is dropped meanwhile. */
	__atomic_store_n(&t->kind, PROBE_TUNNEL_NONE, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	t->outer = *outer;
	__atomic_store_n(&t->kind, kind, __ATOMIC_RELEASE);
	return 0;
}

void tunnel_leave(enum probe_tunnel_space space, uint16_t port)
{
	if (table)
		__atomic_store_n(&table[probe_tunnel_index(space, port)].kind,
				 PROBE_TUNNEL_NONE, __ATOMIC_RELAXED);
}

int tunnel_bind(int socket, enum probe_tunnel_space space, bool v4,
		enum probe_tunnel_kind kind, const union ip_addr *outer,
		uint16_t *ret_port)
{
	static const int off;
	struct sockaddr_in any4 = { .sin_family = AF_INET };
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
	struct sockaddr *any = v4 ? (struct sockaddr *)&any4 :
				    (struct sockaddr *)&any6;
	socklen_t len = v4 ? sizeof(any4) : sizeof(any6);

	if (!table)
		return -EOPNOTSUPP;
	/* Where net.ipv6.bindv6only is set, the kernel would give one port to
	 * a socket of each family. Identifiers it never gives twice. */
	if (!v4 && space != PROBE_TUNNEL_ECHO &&
	    setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	if (bind(socket, any, len) || getsockname(socket, any, &len))
		return -errno;
	*ret_port = ntohs(v4 ? any4.sin_port : any6.sin6_port);
	return tunnel_enter(space, *ret_port, kind, outer);
}
