/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stateless look-ups; each opens and closes what it needs.
 */
#include "util/netif.h"

#include <errno.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	strncpy(ifr->ifr_name, name, sizeof(ifr->ifr_name) - 1);
	if (ioctl(fd, request, ifr))
		err = -errno;
	close(fd);
	return err;
}

uint32_t netif_rx_queues(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { 0 };
	uint32_t n;

	ifr.ifr_data = (char *)&channels;
	/* A driver without channels has one queue. */
	if (ask(name, SIOCETHTOOL, &ifr))
		return 1;
	n = channels.rx_count + channels.combined_count;
	return n ? n : 1;
}

int netif_mac(const char *name, uint8_t ret[6])
{
	struct ifreq ifr = { 0 };
	int err = ask(name, SIOCGIFHWADDR, &ifr);

	if (!err)
		memcpy(ret, ifr.ifr_hwaddr.sa_data, 6);
	return err;
}

static int take_stats(const struct nlmsghdr *nlh, void *ctx)
{
	struct rtnl_link_stats64 *ret = ctx;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct if_stats_msg)) {
		size_t len = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) != IFLA_STATS_LINK_64)
			continue;
		/* Newer kernels send more fields, older ones fewer. */
		memcpy(ret, mnl_attr_get_payload(attr),
		       len < sizeof(*ret) ? len : sizeof(*ret));
		return MNL_CB_STOP;
	}
	return MNL_CB_OK;
}

int netif_drops(uint32_t ifindex, uint64_t *ret_rx, uint64_t *ret_tx)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtnl_link_stats64 stats = { 0 };
	struct if_stats_msg *msg;
	struct mnl_socket *socket;
	ssize_t len;
	int err = 0;

	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	nlh->nlmsg_type = RTM_GETSTATS;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifindex = ifindex;
	msg->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) ||
	    mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0 ||
	    (len = mnl_socket_recvfrom(socket, buf, sizeof(buf))) < 0 ||
	    mnl_cb_run(buf, (size_t)len, 1, mnl_socket_get_portid(socket),
		       take_stats, &stats) < 0)
		err = -errno;
	mnl_socket_close(socket);
	*ret_rx = stats.rx_dropped;
	*ret_tx = stats.tx_dropped;
	return err;
}

static bool usable(const struct sockaddr *sa, bool v4, union ip_addr *ret)
{
	if (v4 && sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;
		uint32_t host = ntohl(in->sin_addr.s_addr);

		ip_addr_set_v4(ret, in->sin_addr.s_addr);
		return host >> 24 != 127 && host >> 16 != 0xa9fe;
	}
	if (!v4 && sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		memcpy(ret, &in6->sin6_addr, sizeof(*ret));
		return !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
		       !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

int netif_address(const char *name, bool v4, const union ip_addr *except,
		  size_t n, union ip_addr *ret)
{
	struct ifaddrs *all, *a;
	union ip_addr addr;
	int err = -ENOENT;
	size_t i;

	if (getifaddrs(&all))
		return -errno;
	for (a = all; a && err; a = a->ifa_next) {
		if (!a->ifa_addr || strcmp(a->ifa_name, name) ||
		    !usable(a->ifa_addr, v4, &addr))
			continue;
		for (i = 0; i < n; i++) {
			if (ip_addr_equal(&except[i], &addr))
				break;
		}
		if (i < n)
			continue;
		*ret = addr;
		err = 0;
	}
	freeifaddrs(all);
	return err;
}
