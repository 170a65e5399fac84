/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Questions to the kernel's routing by rtnetlink, which it answers within the
 * send: nothing here waits. One thread.
 */
#ifndef SLUICE_RTNL_H
#define SLUICE_RTNL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>
#include "ip_addr.h"

struct rtnl {
	struct mnl_socket *socket;
	uint32_t portid, seq;
	char buf[8192]; /* where requests are put together */
};

/* 0 or -errno. */
int rtnl_open(struct rtnl *rtnl);
void rtnl_close(struct rtnl *rtnl);

/* Sends the request NLH, which is in rtnl->buf, and hands its answer to CB.
 * 0 or -errno. */
int rtnl_ask(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx);
/* Sends a request to which only a refusal is an answer, and that is of no
 * interest. 0 or -errno of the sending. */
int rtnl_tell(struct rtnl *rtnl, struct nlmsghdr *nlh);

/* 4 or 16 bytes. */
void rtnl_put_addr(struct nlmsghdr *nlh, uint16_t type,
		   const union ip_addr *addr);

struct rtnl_route {
	uint32_t oif; /* 0: none */
	uint32_t mtu; /* of the route; 0: the interface's */
	uint8_t type; /* RTN_UNICAST, … */
	bool has_gateway;
	union ip_addr gateway; /* of either family (RFC 5549) */
};

/* How packets to DST leave. 0 or -errno. */
int rtnl_route(struct rtnl *rtnl, const union ip_addr *dst,
	       struct rtnl_route *ret);

/* Has the kernel find out, or confirm, the link-layer address of whatever
 * packets to DST go to next. Needs CAP_NET_ADMIN. 0 or -errno; the answer of
 * the network is not waited for. */
int rtnl_resolve(struct rtnl *rtnl, const union ip_addr *dst);

#endif
