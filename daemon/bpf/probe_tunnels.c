/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See probe_tunnels.h. The routes have a metric of their own, so that an
 * operator's route to the same address is neither replaced nor removed; while
 * ours is there, it is preferred.
 */
#include "bpf/probe_tunnels.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/probe.skel.h"
#include "probe_tunnel.h"
#include "util/addr_text.h"
#include "util/log.h"

/* Not one of /etc/iproute2/rt_protos. */
#define ROUTE_PROTOCOL 81
#define ROUTE_METRIC 1
/* Room for the outer headers in what leaves by an Ethernet. */
#define ROUTE_MTU 1400
#define ADDRESSES_MAX 4096

struct probe_tunnels {
	struct probe_bpf *skel; /* NULL: not with this kernel */
	struct addresses {
		union ip_addr addr[ADDRESSES_MAX];
		size_t n;
	} routed;
};

/* ---- routes ------------------------------------------------------------ */

static bool has(const struct addresses *a, const union ip_addr *addr)
{
	for (size_t i = 0; i < a->n; i++)
		if (ip_addr_equal(&a->addr[i], addr))
			return true;
	return false;
}

static bool add(struct addresses *a, const union ip_addr *addr)
{
	if (has(a, addr))
		return true;
	if (a->n == ADDRESSES_MAX)
		return false;
	a->addr[a->n++] = *addr;
	return true;
}

static const void *bytes_of(const union ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? (const void *)&addr->w[3] : addr->b;
}

/* Sends what has been built and waits for the answers. */
static int talk(struct nlmsghdr *nlh, mnl_cb_t take, void *ctx)
{
	char buf[MNL_SOCKET_BUFFER_SIZE * 4];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int rc = MNL_CB_ERROR;
	ssize_t n;

	if (!s)
		return -errno;
	if (!mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) &&
	    mnl_socket_sendto(s, nlh, nlh->nlmsg_len) >= 0) {
		do {
			n = mnl_socket_recvfrom(s, buf, sizeof(buf));
			rc = n < 0 ? MNL_CB_ERROR :
				     mnl_cb_run(buf, n, nlh->nlmsg_seq,
						mnl_socket_get_portid(s), take,
						ctx);
		} while (rc > MNL_CB_STOP);
	}
	rc = rc == MNL_CB_ERROR ? -errno : 0;
	mnl_socket_close(s);
	return rc;
}

static struct nlmsghdr *request(void *buf, uint16_t type, uint16_t flags,
				const union ip_addr *addr)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	bool v4 = ip_addr_is_v4(addr);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = 1;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = v4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = v4 ? 32 : 128;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = ROUTE_PROTOCOL;
	rtm->rtm_scope = v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put(nlh, RTA_DST, v4 ? 4 : 16, bytes_of(addr));
	mnl_attr_put_u32(nlh, RTA_PRIORITY, ROUTE_METRIC);
	return nlh;
}

static int route_del(const union ip_addr *addr)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	int err = talk(request(buf, RTM_DELROUTE, 0, addr), NULL, NULL);

	return err == -ESRCH || err == -ENOENT ? 0 : err;
}

/* The device only has to be up: packets are routed anew before they get
 * there. SOURCE: what replies are sent to. */
static int route_set(const union ip_addr *addr, const union ip_addr *source,
		     uint32_t ifindex, int prog)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = request(buf, RTM_NEWROUTE,
				       NLM_F_CREATE | NLM_F_REPLACE, addr);
	struct nlattr *outer, *inner;

	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	mnl_attr_put(nlh, RTA_PREFSRC, ip_addr_is_v4(addr) ? 4 : 16,
		     bytes_of(source));
	outer = mnl_attr_nest_start(nlh, RTA_METRICS);
	mnl_attr_put_u32(nlh, RTAX_MTU, ROUTE_MTU);
	mnl_attr_nest_end(nlh, outer);
	mnl_attr_put_u16(nlh, RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_BPF);
	outer = mnl_attr_nest_start(nlh, RTA_ENCAP);
	inner = mnl_attr_nest_start(nlh, LWT_BPF_XMIT);
	mnl_attr_put_u32(nlh, LWT_BPF_PROG_FD, prog);
	mnl_attr_put_strz(nlh, LWT_BPF_PROG_NAME, "sluice-probe");
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, outer);
	return talk(nlh, NULL, NULL);
}

static int take_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	union ip_addr addr = { 0 };

	if (rtm->rtm_protocol != ROUTE_PROTOCOL ||
	    rtm->rtm_dst_len != (rtm->rtm_family == AF_INET ? 32 : 128))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_type(attr) != RTA_DST)
			continue;
		if (rtm->rtm_family == AF_INET)
			ip_addr_set_v4(&addr, mnl_attr_get_u32(attr));
		else
			memcpy(addr.b, mnl_attr_get_payload(attr), 16);
		add(ctx, &addr);
	}
	return MNL_CB_OK;
}

/* Routes that are there, also those of an earlier daemon. */
static int list_routes(struct addresses *ret)
{
	static const int families[] = { AF_INET, AF_INET6 };
	char buf[MNL_SOCKET_BUFFER_SIZE];
	int err = 0;

	ret->n = 0;
	for (int i = 0; i < 2 && !err; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct rtmsg *rtm;

		nlh->nlmsg_type = RTM_GETROUTE;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		nlh->nlmsg_seq = 1;
		rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
		rtm->rtm_family = families[i];
		err = talk(nlh, take_route, ret);
	}
	return err;
}

int probe_tunnels_remove(void)
{
	struct addresses *a = calloc(1, sizeof(*a));
	int err, rc;

	if (!a)
		return -ENOMEM;
	err = list_routes(a);
	for (size_t i = 0; i < a->n; i++) {
		rc = route_del(&a->addr[i]);
		if (rc)
			err = rc;
	}
	free(a);
	return err;
}

/* ---- life -------------------------------------------------------------- */

int probe_tunnels_new(struct probe_tunnels **ret)
{
	struct probe_tunnels *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->skel = probe_bpf__open_and_load();
	if (!t->skel)
		log_info("probes cannot pass through tunnels: no lwtunnel programs here");
	if (list_routes(&t->routed))
		t->routed.n = 0;
	*ret = t;
	return 0;
}

void probe_tunnels_free(struct probe_tunnels *t)
{
	if (!t)
		return;
	probe_bpf__destroy(t->skel);
	free(t);
}

int probe_tunnels_fd(const struct probe_tunnels *t)
{
	return t->skel ? bpf_map__fd(t->skel->maps.probe_tunnels) : -1;
}

static int refuse(struct config_error *e, int err, const union ip_addr *addr,
		  const char *what)
{
	char text[ADDR_TEXT_LEN];

	snprintf(e->text, sizeof(e->text),
		 "monitors with \"tunnel\" to %s: %s",
		 addr_text_format(addr, text), what);
	return err;
}

static int set_routes(struct probe_tunnels *t, const struct addresses *wanted,
		      uint32_t ifindex, const struct publish_addrs *addrs,
		      struct config_error *e)
{
	static const union ip_addr none;

	for (size_t i = 0; i < wanted->n; i++) {
		const union ip_addr *addr = &wanted->addr[i];
		const union ip_addr *source = ip_addr_is_v4(addr) ?
						      &addrs->tunnel_src4 :
						      &addrs->tunnel_src6;
		int err;

		if (ip_addr_equal(source, &none))
			return refuse(e, -EADDRNOTAVAIL, addr,
				      "no source address of its family");
		err = route_set(addr, source, ifindex,
				bpf_program__fd(t->skel->progs.probe_out));
		if (err)
			return refuse(e, err, addr, strerror(-err));
		if (!add(&t->routed, addr))
			return refuse(e, -E2BIG, addr, "too many addresses");
	}
	return 0;
}

int probe_tunnels_apply(struct probe_tunnels *t, const struct config *config,
			const struct publish_addrs *addrs,
			struct config_error *e)
{
	struct addresses *wanted = calloc(1, sizeof(*wanted));
	size_t kept = 0;
	int err = 0;

	if (!wanted) {
		snprintf(e->text, sizeof(e->text), "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_monitors && !err; i++) {
		const struct config_monitor *m = &config->monitors[i];

		if (!m->tunnel)
			continue;
		if (!t->skel)
			err = refuse(e, -EOPNOTSUPP, &m->address,
				     "this kernel has no lwtunnel programs (CONFIG_LWTUNNEL_BPF)");
		else if (!add(wanted, &m->address))
			err = refuse(e, -E2BIG, &m->address,
				     "too many addresses");
	}
	if (!err && t->skel) {
		t->skel->bss->source4 = addrs->tunnel_src4;
		t->skel->bss->source6 = addrs->tunnel_src6;
		t->skel->bss->gue_port = htons(config->gue_port);
		err = set_routes(t, wanted,
				 config->n_ifaces ?
					 if_nametoindex(config->ifaces[0].name) :
					 0,
				 addrs, e);
	}
	for (size_t i = 0; i < t->routed.n && !err; i++) {
		if (has(wanted, &t->routed.addr[i]))
			t->routed.addr[kept++] = t->routed.addr[i];
		else
			route_del(&t->routed.addr[i]);
	}
	if (!err)
		t->routed.n = kept;
	free(wanted);
	return err;
}
