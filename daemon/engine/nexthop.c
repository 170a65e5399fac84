// SPDX-License-Identifier: GPL-2.0-only
/*
 * Next hops by rtnetlink, cached in a direct-mapped table: a collision costs
 * another question, nothing else. Engine thread.
 */
#include "engine/nexthop.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "lb.h"
#include "util/rtnl.h"

#define ENTRIES 4096u
#define LINKS 16u
/* What is known stays so for a second; what is not is asked for again soon. */
#define TTL_RESOLVED_NS 1000000000ull
#define TTL_UNRESOLVED_NS 2000000ull
#define TTL_LINK_NS 2000000000ull

struct link {
	uint32_t ifindex;
	uint32_t mtu;
	uint64_t until_ns;
	bool ethernet;
	uint8_t mac[6];
};

struct nexthop {
	struct rtnl rtnl;
	uint32_t next_link;
	struct link link[LINKS];
	struct nexthop_entry entry[ENTRIES];
};

int nexthop_new(struct nexthop **ret)
{
	struct nexthop *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	err = rtnl_open(&n->rtnl);
	if (err) {
		free(n);
		return err;
	}
	*ret = n;
	return 0;
}

void nexthop_free(struct nexthop *n)
{
	if (!n)
		return;
	rtnl_close(&n->rtnl);
	free(n);
}

/* ---- link ---- */

static int on_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct link *link = ctx;
	const struct nlattr *attr;

	link->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == 6)
				memcpy(link->mac, mnl_attr_get_payload(attr),
				       6);
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		}
	}
	return MNL_CB_STOP;
}

static const struct link *find_link(struct nexthop *n, uint32_t ifindex,
				    uint64_t now_ns)
{
	struct link *link = NULL, fresh = { .ifindex = ifindex };
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;

	for (uint32_t i = 0; i < LINKS; i++) {
		if (n->link[i].ifindex == ifindex)
			link = &n->link[i];
	}
	if (link && now_ns < link->until_ns)
		return link;
	if (!link)
		link = &n->link[n->next_link++ % LINKS];
	nlh = mnl_nlmsg_put_header(n->rtnl.buf);
	nlh->nlmsg_type = RTM_GETLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)ifindex;
	if (rtnl_ask(&n->rtnl, nlh, on_link, &fresh))
		return NULL;
	fresh.until_ns = now_ns + TTL_LINK_NS;
	*link = fresh;
	return link;
}

/* ---- neighbour ---- */

struct neigh {
	bool valid;
	uint8_t mac[6];
};

static int on_neigh(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct neigh *neigh = ctx;
	const struct nlattr *attr;

	/* STALE and DELAY have an address that was right and very likely is;
	 * the kernel probes it when its own stack uses it. */
	if (!(ndm->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY |
				NUD_PROBE | NUD_PERMANENT | NUD_NOARP)))
		return MNL_CB_STOP;
	mnl_attr_for_each(attr, nlh, sizeof(*ndm)) {
		if (mnl_attr_get_type(attr) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attr) == 6) {
			memcpy(neigh->mac, mnl_attr_get_payload(attr), 6);
			neigh->valid = true;
		}
	}
	return MNL_CB_STOP;
}

static void find_neigh(struct nexthop *n, const union ip_addr *addr,
		       uint32_t ifindex, struct neigh *ret)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(n->rtnl.buf);
	struct ndmsg *ndm;

	nlh->nlmsg_type = RTM_GETNEIGH;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = ip_addr_is_v4(addr) ? AF_INET : AF_INET6;
	ndm->ndm_ifindex = (int)ifindex;
	rtnl_put_addr(nlh, NDA_DST, addr);
	/* Not there: unresolved, like any other error. */
	rtnl_ask(&n->rtnl, nlh, on_neigh, ret);
}

static void resolve(struct nexthop *n, struct nexthop_entry *e, uint64_t now_ns)
{
	struct rtnl_route route = { 0 };
	struct neigh neigh = { 0 };
	const struct link *link;

	e->result = NEXTHOP_UNREACHABLE;
	if (rtnl_route(&n->rtnl, &e->dst, &route) || !route.oif)
		return;
	e->ifindex = route.oif;
	e->result = NEXTHOP_LOCAL;
	if (route.type != RTN_UNICAST)
		return;
	link = find_link(n, route.oif, now_ns);
	if (!link || !link->ethernet)
		return;
	e->mtu = route.mtu && route.mtu < link->mtu ? route.mtu : link->mtu;
	memcpy(e->src_mac, link->mac, 6);
	find_neigh(n, route.has_gateway ? &route.gateway : &e->dst, route.oif,
		   &neigh);
	e->result = neigh.valid ? NEXTHOP_RESOLVED : NEXTHOP_UNRESOLVED;
	memcpy(e->dst_mac, neigh.mac, 6);
}

const struct nexthop_entry *nexthop_find(struct nexthop *n,
					 const union ip_addr *dst,
					 uint64_t now_ns)
{
	struct nexthop_entry *e =
		&n->entry[lb_mix(lb_hash_source(dst)) % ENTRIES];

	if (ip_addr_equal(&e->dst, dst) && now_ns < e->until_ns)
		return e;
	*e = (struct nexthop_entry){ .dst = *dst };
	resolve(n, e, now_ns);
	e->until_ns = now_ns + (e->result == NEXTHOP_RESOLVED ?
					TTL_RESOLVED_NS :
					TTL_UNRESOLVED_NS);
	return e;
}
