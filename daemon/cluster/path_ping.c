// SPDX-License-Identifier: GPL-2.0-only
/* Pings of services (see path_ping.h). */
#include "cluster/path_ping.h"

#include <assert.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "limits.h"
#include "util/log.h"
#include "util/wire.h"

/* type, code, checksum, id, number; then index and nonce. */
#define ECHO_BYTES (8 + 4 + 8)
/* Per tick: what 100 ticks a second need for all services. */
#define SENDS_PER_TICK 2048
#define READS_PER_TICK 4096
/* Own ticks further apart than this: what was not answered meanwhile may lie
 * in a buffer, or never have left. */
#define LATE_MS 500

struct target {
	uint64_t entity;
	union ip_addr addr;
	uint64_t nonce;	 /* of the last ping */
	uint64_t due_ms; /* of the next */
	uint32_t next_free;
	uint16_t number;
	uint8_t missed;
	bool used, in_flight, known, reachable;
};

struct path_ping {
	path_ping_changed *changed;
	void *ctx;
	int fd[2]; /* IPv4, IPv6; -1: not to be had */
	bool raw[2];
	uint16_t id; /* raw sockets see everybody's replies */
	struct target *targets;
	uint32_t n, size, cursor;
	uint32_t free; /* 1 + first free slot, 0: none */
	uint64_t ticked_ms;
};

static int open_family(struct path_ping *p, bool v6)
{
	int family = v6 ? AF_INET6 : AF_INET, proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(family, SOCK_DGRAM | flags, proto);
	struct icmp6_filter filter;

	p->raw[v6] = fd < 0;
	if (fd < 0)
		fd = socket(family, SOCK_RAW | flags, proto);
	if (fd < 0) {
		log_warn("cluster: cannot ping by %s: %s: its paths stay unknown",
			 v6 ? "IPv6" : "IPv4", strerror(errno));
		return -1;
	}
	if (v6 && p->raw[v6]) {
		ICMP6_FILTER_SETBLOCKALL(&filter);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
		setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
	}
	return fd;
}

int path_ping_new(path_ping_changed *changed, void *ctx, struct path_ping **ret)
{
	struct path_ping *p = calloc(1, sizeof(*p));

	assert(changed);
	if (!p)
		return -ENOMEM;
	p->changed = changed;
	p->ctx = ctx;
	p->id = (uint16_t)randombytes_random();
	p->fd[0] = open_family(p, false);
	p->fd[1] = open_family(p, true);
	*ret = p;
	return 0;
}

void path_ping_free(struct path_ping *p)
{
	if (!p)
		return;
	for (int v6 = 0; v6 < 2; v6++)
		if (p->fd[v6] >= 0)
			close(p->fd[v6]);
	free(p->targets);
	free(p);
}

/* A slot that is free, or one more. */
static int take_slot(struct path_ping *p, uint32_t *ret)
{
	struct target *t;
	uint32_t size;

	if (p->free != 0) {
		*ret = p->free - 1;
		p->free = p->targets[*ret].next_free;
		return 0;
	}
	if (p->n == p->size) {
		size = p->size ? 2 * p->size : 64;
		if (size > 2 * SERVICES_MAX)
			return -ENOMEM;
		t = realloc(p->targets, size * sizeof(*t));
		if (!t)
			return -ENOMEM;
		p->targets = t;
		p->size = size;
	}
	*ret = p->n++;
	return 0;
}

static void set_target(struct path_ping *p, uint32_t slot, uint64_t entity,
		       const union ip_addr *addr)
{
	assert(slot < p->n);
	p->targets[slot] = (struct target){
		.entity = entity,
		.addr = *addr,
		.due_ms = p->ticked_ms + randombytes_uniform(PATH_PING_INTERVAL_MS),
		.used = true,
	};
}

int path_ping_add(struct path_ping *p, uint64_t entity, const union ip_addr *addr,
		  uint32_t *ret_slot)
{
	uint32_t slot;
	int ret = take_slot(p, &slot);

	if (ret < 0)
		return ret;
	set_target(p, slot, entity, addr);
	*ret_slot = slot;
	return 0;
}

void path_ping_remove(struct path_ping *p, uint32_t slot)
{
	assert(slot < p->n && p->targets[slot].used);
	p->targets[slot].used = false;
	p->targets[slot].next_free = p->free;
	p->free = slot + 1;
}

void path_ping_move(struct path_ping *p, uint32_t slot, const union ip_addr *addr)
{
	assert(slot < p->n && p->targets[slot].used);
	if (!ip_addr_equal(&p->targets[slot].addr, addr))
		set_target(p, slot, p->targets[slot].entity, addr);
}

void path_ping_clear(struct path_ping *p)
{
	assert(p);
	p->n = p->cursor = p->free = 0;
}

/* ---- sending ---------------------------------------------------------- */

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

static void send_echo(struct path_ping *p, uint32_t index)
{
	struct target *t = &p->targets[index];
	bool v6 = !ip_addr_is_v4(&t->addr);
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	uint8_t echo[ECHO_BYTES];
	struct wire_writer w;

	randombytes_buf(&t->nonce, sizeof(t->nonce));
	t->number++;
	wire_writer_init(&w, echo, sizeof(echo));
	wire_put_u8(&w, v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO);
	wire_put_u8(&w, 0);
	wire_put_u16(&w, 0);
	wire_put_u16(&w, p->id);
	wire_put_u16(&w, t->number);
	wire_put_u32(&w, index);
	wire_put_u64(&w, t->nonce);
	assert(!w.failed && wire_room(&w) == 0);
	/* For ICMPv6 the kernel does it: the addresses are part of the sum. */
	if (!v6)
		wire_patch_u16(&w, 2, checksum(echo, sizeof(echo)));
	memcpy(&to6.sin6_addr, &t->addr, sizeof(t->addr));
	to4.sin_addr.s_addr = t->addr.w[3];
	/* What cannot be sent (no route, no carrier) was not answered. */
	if (sendto(p->fd[v6], echo, sizeof(echo), MSG_DONTWAIT,
		   v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
		   v6 ? sizeof(to6) : sizeof(to4)) < 0)
		assert(errno != EBADF);
	t->in_flight = true;
}

static void decide(struct path_ping *p, struct target *t, bool reachable)
{
	if (t->known && t->reachable == reachable)
		return;
	t->known = true;
	t->reachable = reachable;
	p->changed(p->ctx, t->entity, reachable);
}

/* ---- receiving -------------------------------------------------------- */

static void on_reply(struct path_ping *p, bool v6, const uint8_t *data, size_t len,
		     const union ip_addr *from)
{
	struct wire_reader r;
	struct target *t;
	uint16_t id, number;
	uint64_t nonce;
	uint32_t index;
	uint8_t type;

	wire_reader_init(&r, data, len);
	type = wire_get_u8(&r);
	wire_get_u8(&r);
	wire_get_u16(&r);
	id = wire_get_u16(&r);
	number = wire_get_u16(&r);
	index = wire_get_u32(&r);
	nonce = wire_get_u64(&r);
	/* Ping sockets have an id of their own and see no others. */
	if (r.failed || type != (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) ||
	    (p->raw[v6] && id != p->id) || index >= p->n)
		return;
	t = &p->targets[index];
	if (!t->used || !t->in_flight || number != t->number || nonce != t->nonce ||
	    !ip_addr_equal(from, &t->addr))
		return;
	t->in_flight = false;
	t->missed = 0;
	decide(p, t, true);
}

/* Raw IPv4 sockets give the IP header, too: its length, 0 if it is none. */
static size_t ip_header(const uint8_t *data, size_t len)
{
	size_t header = len > 0 ? (size_t)(data[0] & 15) * 4 : 0;

	return header >= 20 && header <= len ? header : 0;
}

static void receive(struct path_ping *p, bool v6)
{
	for (unsigned int i = 0; i < READS_PER_TICK; i++) {
		struct sockaddr_storage sa;
		socklen_t sa_len = sizeof(sa);
		union ip_addr from;
		uint8_t data[256];
		size_t skip = 0;
		ssize_t n = recvfrom(p->fd[v6], data, sizeof(data), MSG_DONTWAIT,
				     (struct sockaddr *)&sa, &sa_len);

		/* A pending ICMP error comes as an error of this call, once. */
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			continue;
		if (n < 0)
			return;
		if (v6)
			memcpy(&from, &((struct sockaddr_in6 *)&sa)->sin6_addr, sizeof(from));
		else
			ip_addr_set_v4(&from, ((struct sockaddr_in *)&sa)->sin_addr.s_addr);
		if (!v6 && p->raw[v6]) {
			skip = ip_header(data, (size_t)n);
			if (skip == 0)
				continue;
		}
		on_reply(p, v6, data + skip, (size_t)n - skip, &from);
	}
}

void path_ping_tick(struct path_ping *p, uint64_t now_ms)
{
	bool late = p->ticked_ms != 0 && now_ms - p->ticked_ms > LATE_MS;
	unsigned int sent = 0;

	if (p->n == 0) {
		p->ticked_ms = now_ms;
		return;
	}
	for (int v6 = 0; v6 < 2; v6++)
		if (p->fd[v6] >= 0)
			receive(p, v6);
	p->ticked_ms = now_ms;
	for (uint32_t seen = 0; seen < p->n && sent < SENDS_PER_TICK; seen++) {
		uint32_t index = p->cursor < p->n ? p->cursor : 0;
		struct target *t = &p->targets[index];

		p->cursor = index + 1;
		if (!t->used || t->due_ms > now_ms || p->fd[!ip_addr_is_v4(&t->addr)] < 0)
			continue;
		if (t->in_flight && !late && ++t->missed >= PATH_PING_MISSED) {
			t->missed = PATH_PING_MISSED;
			decide(p, t, false);
			/* Targets may have moved. */
			if (index >= p->n || !p->targets[index].used)
				continue;
			t = &p->targets[index];
		}
		t->due_ms = now_ms + PATH_PING_INTERVAL_MS;
		send_echo(p, index);
		sent++;
	}
}
