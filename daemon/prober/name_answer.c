/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses in a DNS reply (see name_answer.h); c-ares takes it apart. */
#include <ares.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "prober/name_answer.h"

/* A reply over TCP may have more; the first ones do. */
#define ADDRS_MAX 64

struct choice {
	const union ip_addr *current;
	union ip_addr best;
	uint32_t ttl_s;
	int usable;
	bool has_current;
};

static bool is_usable(const union ip_addr *addr)
{
	return !ip_addr_is_unspecified(addr) && !ip_addr_is_loopback(addr) &&
	       !ip_addr_is_multicast(addr);
}

static void consider(struct choice *c, const union ip_addr *addr, int ttl_s)
{
	uint32_t ttl = ttl_s > 0 ? (uint32_t)ttl_s : 0;

	if (!is_usable(addr))
		return;
	if (!c->usable || memcmp(addr->b, c->best.b, 16) < 0)
		c->best = *addr;
	if (!c->usable || ttl < c->ttl_s)
		c->ttl_s = ttl;
	c->has_current |= ip_addr_equal(addr, c->current);
	c->usable++;
}

static int take4(struct choice *c, const uint8_t *data, int len)
{
	struct ares_addrttl found[ADDRS_MAX];
	int n = ADDRS_MAX;
	int r = ares_parse_a_reply(data, len, NULL, found, &n);

	for (int i = 0; r == ARES_SUCCESS && i < n; i++) {
		union ip_addr addr = { .w = { [2] = IP_ADDR_V4_PREFIX } };

		memcpy(&addr.w[3], &found[i].ipaddr, 4);
		consider(c, &addr, found[i].ttl);
	}
	return r;
}

static int take6(struct choice *c, const uint8_t *data, int len)
{
	struct ares_addr6ttl found[ADDRS_MAX];
	int n = ADDRS_MAX;
	int r = ares_parse_aaaa_reply(data, len, NULL, found, &n);

	for (int i = 0; r == ARES_SUCCESS && i < n; i++) {
		union ip_addr addr;

		memcpy(addr.b, &found[i].ip6addr, 16);
		/* A mapped address would be taken for IPv4 from here on. */
		if (!ip_addr_is_v4(&addr))
			consider(c, &addr, found[i].ttl);
	}
	return r;
}

int name_answer_choose(const uint8_t *data, size_t len, uint8_t family,
		       const union ip_addr *current, union ip_addr *ret_addr,
		       uint32_t *ret_ttl_s)
{
	struct choice c = { .current = current };
	int r = len > INT_MAX ? ARES_EBADRESP :
		family == 4   ? take4(&c, data, (int)len) :
				take6(&c, data, (int)len);

	if (r != ARES_SUCCESS && r != ARES_ENODATA)
		return -1;
	if (!c.usable)
		return 0;
	*ret_addr = c.has_current ? *current : c.best;
	*ret_ttl_s = c.ttl_s;
	return c.usable;
}
