// SPDX-License-Identifier: GPL-2.0-only
/* Questions to the kernel's routing, see rtnl.h. */
#include "util/rtnl.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

int rtnl_open(struct rtnl *rtnl)
{
	rtnl->seq = 0;
	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl->socket ||
	    mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID)) {
		int err = -errno;

		rtnl_close(rtnl);
		return err;
	}
	rtnl->portid = mnl_socket_get_portid(rtnl->socket);
	return 0;
}

void rtnl_close(struct rtnl *rtnl)
{
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	rtnl->socket = NULL;
}

int rtnl_ask(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	char answer[8192];
	ssize_t len;
	int rc;

	nlh->nlmsg_seq = ++rtnl->seq;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	if (mnl_socket_sendto(rtnl->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		len = recv(mnl_socket_get_fd(rtnl->socket), answer, sizeof(answer),
			   MSG_DONTWAIT);
		if (len < 0)
			return -errno;
		rc = mnl_cb_run(answer, (size_t)len, rtnl->seq, rtnl->portid, cb,
				ctx);
		if (rc >= 0)
			return 0;
		/* An answer to an earlier question: skip it. */
		if (errno != EPROTO)
			return -errno;
	}
}

int rtnl_tell(struct rtnl *rtnl, struct nlmsghdr *nlh)
{
	char refusal[8192];

	nlh->nlmsg_seq = ++rtnl->seq;
	if (mnl_socket_sendto(rtnl->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (recv(mnl_socket_get_fd(rtnl->socket), refusal, sizeof(refusal),
		    MSG_DONTWAIT) > 0)
		;
	return 0;
}

static void get_addr(const struct nlattr *attr, union ip_addr *ret)
{
	if (mnl_attr_get_payload_len(attr) == 4)
		ip_addr_set_v4(ret, *(const __be32 *)mnl_attr_get_payload(attr));
	else if (mnl_attr_get_payload_len(attr) == 16)
		memcpy(ret, mnl_attr_get_payload(attr), 16);
}

static void get_metrics(const struct nlattr *nest, struct rtnl_route *route)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == RTAX_MTU)
			route->mtu = mnl_attr_get_u32(attr);
	}
}

static int on_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct rtnl_route *route = ctx;
	const struct nlattr *attr;

	route->type = rtm->rtm_type;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			route->oif = mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			get_addr(attr, &route->gateway);
			route->has_gateway = true;
			break;
		case RTA_VIA: { /* IPv4 by an IPv6 gateway (RFC 5549) */
			const struct rtvia *via = mnl_attr_get_payload(attr);

			if (via->rtvia_family != AF_INET6)
				break;
			memcpy(&route->gateway, via->rtvia_addr, 16);
			route->has_gateway = true;
			break;
		}
		case RTA_METRICS:
			get_metrics(attr, route);
			break;
		}
	}
	return MNL_CB_STOP;
}

void rtnl_put_addr(struct nlmsghdr *nlh, uint16_t type,
		   const union ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		mnl_attr_put(nlh, type, 4, &addr->w[3]);
	else
		mnl_attr_put(nlh, type, 16, addr->b);
}

int rtnl_route(struct rtnl *rtnl, const union ip_addr *dst,
	       struct rtnl_route *ret)
{
	bool v4 = ip_addr_is_v4(dst);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(rtnl->buf);
	struct rtmsg *rtm;

	nlh->nlmsg_type = RTM_GETROUTE;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = v4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = v4 ? 32 : 128;
	rtnl_put_addr(nlh, RTA_DST, dst);
	return rtnl_ask(rtnl, nlh, on_route, ret);
}

int rtnl_resolve(struct rtnl *rtnl, const union ip_addr *dst)
{
	const union ip_addr *hop;
	struct rtnl_route route = { 0 };
	struct nlmsghdr *nlh;
	struct ndmsg *ndm;
	int err = rtnl_route(rtnl, dst, &route);

	if (err || route.type != RTN_UNICAST)
		return err;
	hop = route.has_gateway ? &route.gateway : dst;
	nlh = mnl_nlmsg_put_header(rtnl->buf);
	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = ip_addr_is_v4(hop) ? AF_INET : AF_INET6;
	ndm->ndm_ifindex = (int)route.oif;
	/* As if a packet went there now. */
	ndm->ndm_flags = NTF_USE;
	rtnl_put_addr(nlh, NDA_DST, hop);
	return rtnl_tell(rtnl, nlh);
}
