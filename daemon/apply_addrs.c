/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses a configuration leaves to the machine. Without "nat", full NAT
 * uses the first global address per family of the interfaces; without
 * "tunnel", so do the outer headers of IPIP and GUE.
 *
 * A NAT address is known to flow entries by its index in conf.nat, so an
 * address keeps its index as long as it is configured and flows exist.
 */
#include "apply.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "util/addr_text.h"
#include "util/netif.h"

static bool needs(const struct config *c, enum fwd_mode mode, bool v4)
{
	size_t i, m;

	for (i = 0; i < c->n_vservers; i++) {
		if (c->vservers[i].mode != mode)
			continue;
		for (m = 0; m < c->vservers[i].n_members; m++) {
			if (ip_addr_is_v4(&c->vservers[i].members[m]
						   .service->addr) == v4)
				return true;
		}
	}
	return false;
}

/* First address of the family on an interface that is not a VIP. */
static int own_address(const struct config *c, bool v4, union ip_addr *ret)
{
	union ip_addr vips[64];
	size_t i, n = 0;

	for (i = 0; i < c->n_vservers && n < 64; i++)
		vips[n++] = c->vservers[i].addr;
	for (i = 0; i < c->n_ifaces; i++) {
		if (!netif_address(c->ifaces[i].name, v4, vips, n, ret))
			return 0;
	}
	return -ENOENT;
}

static int want_nat(const struct config *c, union ip_addr *want, size_t *ret_n,
		    struct config_error *e)
{
	bool have[2] = { false, false };
	size_t n = 0, i;
	int v4;

	for (i = 0; i < c->n_nat; i++) {
		want[n++] = c->nat[i];
		have[ip_addr_is_v4(&c->nat[i])] = true;
	}
	for (v4 = 1; v4 >= 0; v4--) {
		if (have[v4] || n == NAT_ADDRS_MAX || !needs(c, FWD_NAT, v4))
			continue;
		if (own_address(c, v4, &want[n++])) {
			snprintf(e->text, sizeof(e->text),
				 "$.nat: mode nat needs an IPv%d address towards the services, and no interface has a global one: expected \"nat\": [\"ADDRESS\"]",
				 v4 ? 4 : 6);
			return -EADDRNOTAVAIL;
		}
	}
	*ret_n = n;
	return 0;
}

static bool contains(const union ip_addr *list, size_t n,
		     const union ip_addr *addr)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (ip_addr_equal(&list[i], addr))
			return true;
	}
	return false;
}

/* Old addresses at their old places, new ones in the gaps and at the end. */
static int place_nat(const union ip_addr *want, size_t n,
		     const struct dp_conf *conf, bool flows,
		     struct publish_addrs *ret, struct config_error *e)
{
	bool taken[NAT_ADDRS_MAX] = { false };
	char text[ADDR_TEXT_LEN];
	size_t i, at = 0;

	if (!flows) {
		memcpy(ret->nat, want, n * sizeof(*want));
		ret->n_nat = n;
		return 0;
	}
	for (i = 0; i < conf->nat_count && i < NAT_ADDRS_MAX; i++) {
		ret->nat[i] = conf->nat[i];
		taken[i] = contains(want, n, &conf->nat[i]);
	}
	for (i = 0; i < n; i++) {
		if (contains(conf->nat, conf->nat_count, &want[i]))
			continue;
		while (at < NAT_ADDRS_MAX && taken[at])
			at++;
		ret->nat[at] = want[i];
		taken[at] = true;
	}
	ret->n_nat = n;
	for (i = 0; i < n; i++) {
		if (taken[i])
			continue;
		snprintf(e->text, sizeof(e->text),
			 "$.nat: %s cannot be removed while flows use the addresses after it; remove the last ones first, or put another in its place",
			 addr_text_format(&conf->nat[i], text));
		return -EBUSY;
	}
	return 0;
}

static int tunnel_source(const struct config *c, bool v4, union ip_addr *ret,
			 struct config_error *e)
{
	if (v4 ? c->has_tunnel4 : c->has_tunnel6) {
		*ret = v4 ? c->tunnel_src4 : c->tunnel_src6;
		return 0;
	}
	if (!own_address(c, v4, ret))
		return 0;
	memset(ret, 0, sizeof(*ret));
	if (!needs(c, FWD_DSR_IPIP, v4) && !needs(c, FWD_DSR_GUE, v4))
		return 0;
	snprintf(e->text, sizeof(e->text),
		 "$.tunnel: modes dsr-ipip and dsr-gue need an IPv%d source address, and no interface has a global one: expected \"tunnel\": {\"source%d\": \"ADDRESS\"}",
		 v4 ? 4 : 6, v4 ? 4 : 6);
	return -EADDRNOTAVAIL;
}

int apply_addrs(const struct config *config, const struct dp_conf *conf,
		bool flows, struct publish_addrs *ret, struct config_error *e)
{
	union ip_addr want[NAT_ADDRS_MAX];
	struct publish_addrs addrs = { 0 };
	size_t n = 0;
	int err;

	err = want_nat(config, want, &n, e);
	if (!err)
		err = place_nat(want, n, conf, flows, &addrs, e);
	if (!err)
		err = tunnel_source(config, true, &addrs.tunnel_src4, e);
	if (!err)
		err = tunnel_source(config, false, &addrs.tunnel_src6, e);
	if (!err)
		*ret = addrs;
	return err;
}
