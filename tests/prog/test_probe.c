// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes through a tunnel, from what a prober enters (daemon/prober/tunnel.h)
 * to the bytes on the wire: the route and the program that the daemon sets up
 * encapsulate them, and drop everything else that goes there. Packets are sent
 * by raw sockets and seen at the far end of out0. A dropped one is known by the
 * next, a marker, which arrives alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "../lib/progtest.h"
#include "bpf/probe_tunnels.h"
#include "lb.h"
#include "prober/tunnel.h"

#define VIP4 "192.0.2.10"
#define VIP6 "2001:db8::10"
#define NODE4 "10.0.1.1"
#define NODE6 "fd00:1::1"
#define SVC4 "10.0.1.11"
#define SVC6 "fd00:1::11"
#define GUE_PORT 6080

/* Ports and identifiers. */
#define IPIP 4001
#define GUE 4002
#define CROSSED 4003 /* IPIP whose outer headers are of the other family */
#define LEFT 4004    /* was a probe's */
#define NOBODYS 4005
#define TCP_ONLY 4006
#define MARKER 4007

static const char *const config_text =
	"{ \"interfaces\": [ { \"name\": \"out0\" } ], \"monitors\": [\n"
	"  { \"name\": \"p4\", \"type\": \"ping\", \"address\": \"" VIP4 "\","
	"    \"tunnel\": \"ipip\" },\n"
	"  { \"name\": \"p6\", \"type\": \"ping\", \"address\": \"" VIP6 "\","
	"    \"tunnel\": \"gue\" } ] }";

static struct probe_tunnels *tunnels;
static int wire, raw4, raw6;

enum layer { ECHO, TCP, UDP };

struct row {
	const char *what;
	enum layer layer;
	uint16_t port; /* or identifier */
	bool passes;
	/* Of ICMP: another type than an echo request's, by family. */
	bool other_type;
	uint8_t type[2];
	uint8_t protocol[2]; /* other than the layer's */
	uint16_t frag;	     /* IPv4 */
	bool frag6;
	uint8_t options;  /* words, IPv4 */
	uint8_t cut;	  /* the packet ends so many bytes into the layer */
	bool v4_only, v6_only;
};

#define ROW(text, l, p) .what = text, .layer = l, .port = p

static const struct row rows[] = {
	{ ROW("echo request, IPIP", ECHO, IPIP), .passes = true },
	{ ROW("echo request, GUE", ECHO, GUE), .passes = true },
	{ ROW("echo request, the other family outside", ECHO, CROSSED),
	  .passes = true },
	{ ROW("TCP, IPIP", TCP, IPIP), .passes = true },
	{ ROW("TCP, GUE", TCP, GUE), .passes = true },
	{ ROW("UDP, IPIP", UDP, IPIP), .passes = true },
	{ ROW("UDP, GUE", UDP, GUE), .passes = true },
	{ ROW("echo request behind IPv4 options", ECHO, IPIP), .passes = true,
	  .options = 2, .v4_only = true },
	{ ROW("echo request, header only", ECHO, IPIP),
	  .passes = true, .cut = 8 },
	{ ROW("echo request without an entry", ECHO, NOBODYS) },
	{ ROW("echo request after its probe", ECHO, LEFT) },
	{ ROW("echo request with a TCP probe's port", ECHO, TCP_ONLY) },
	{ ROW("UDP with a TCP probe's port", UDP, TCP_ONLY) },
	{ ROW("echo reply", ECHO, IPIP),
	  .other_type = true, .type = { 0, 129 } },
	{ ROW("unreachable", ECHO, IPIP),
	  .other_type = true, .type = { 3, 1 } },
	{ ROW("the other family's echo request", ECHO, IPIP),
	  .other_type = true,
	  .type = { 128, 8 } },
	{ ROW("the other family's ICMP", ECHO, IPIP), .protocol = { 58, 1 } },
	{ ROW("another protocol", ECHO, IPIP), .protocol = { 47, 47 } },
	{ ROW("ICMP of seven bytes", ECHO, IPIP), .cut = 7 },
	{ ROW("ICMP of four bytes", ECHO, IPIP), .cut = 4 },
	{ ROW("ICMP of one byte", ECHO, IPIP), .cut = 1 },
	{ ROW("TCP of one byte", TCP, IPIP), .cut = 1 },
	{ ROW("first fragment of an echo request", ECHO, IPIP), .frag = 0x2000,
	  .v4_only = true },
	{ ROW("last fragment", ECHO, IPIP), .frag = 0x0003, .v4_only = true },
	{ ROW("first fragment of an echo request", ECHO, IPIP), .frag6 = true,
	  .v6_only = true },
};

/* ---- packets ------------------------------------------------------------ */

static void build(struct pktbuild *p, const struct row *row, bool v6)
{
	static const uint8_t protocols[2][3] = { { 1, 6, 17 }, { 58, 6, 17 } };
	uint8_t proto = protocols[v6][row->layer];
	size_t start;

	if (row->protocol[v6])
		proto = row->protocol[v6];
	pktbuild_init(p);
	if (!v6) {
		pktbuild_ip4_full(p, NODE4, VIP4, proto, row->options, 0x1234,
				  row->frag);
	} else {
		pktbuild_ip(p, NODE6, VIP6, row->frag6 ? 44 : proto);
		if (row->frag6)
			pktbuild_ip6_frag(p, proto, 0, true, 0x12345678);
	}
	start = p->len;
	if (row->layer == ECHO)
		pktbuild_icmp(p, v6,
			      row->other_type ? row->type[v6] : v6 ? 128 : 8, 0,
			      (uint32_t)row->port << 16 | 77);
	else if (row->layer == TCP)
		pktbuild_tcp(p, row->port, 80, 0x02);
	else
		pktbuild_udp(p, row->port, 80);
	pktbuild_payload(p, 40);
	pktbuild_finish(p);
	if (row->cut) {
		size_t len = p->len = start + row->cut;

		/* Checksums are nobody's business on the way. */
		if (v6) {
			p->data[5] = (uint8_t)(len - 40);
		} else {
			struct pktbuild head = *p;

			head.n_layers = 1;
			pktbuild_finish(&head);
			memcpy(p->data, head.data, start);
		}
	}
}

/* What is to be seen of IN. */
static void wrap(struct pktbuild *p, const struct pktbuild *in,
		 const struct row *row, bool v6)
{
	static const uint8_t ours[6] = { 2, 0, 0, 0, 1, 1 };
	static const uint8_t svc[6] = { 2, 0, 0, 0, 1, 0x11 };
	bool outer6 = v6 != (row->port == CROSSED), gue = row->port == GUE;
	uint8_t inner = v6 ? 41 : 4;
	uint32_t hash = lb_mix(probe_tunnel_index(
		row->layer == ECHO ? PROBE_TUNNEL_ECHO :
		row->layer == TCP  ? PROBE_TUNNEL_TCP :
				     PROBE_TUNNEL_UDP,
		row->port));

	pktbuild_init(p);
	pktbuild_eth_macs(p, svc, ours, outer6 ? 0x86dd : 0x0800);
	pktbuild_ip(p, outer6 ? NODE6 : NODE4, outer6 ? SVC6 : SVC4,
		    gue ? 17 : inner);
	if (gue) {
		const uint8_t header[4] = { 0, inner, 0, 0 };

		pktbuild_udp(p, 0xc000 | (hash & 0x3fff), GUE_PORT);
		p->udp_no_csum = true;
		pktbuild_bytes(p, header, sizeof(header));
	}
	pktbuild_bytes(p, in->data, in->len);
	pktbuild_finish(p);
	if (outer6) { /* flow label */
		p->data[15] |= (uint8_t)(hash >> 16 & 0xf);
		p->data[16] = (uint8_t)(hash >> 8);
		p->data[17] = (uint8_t)hash;
	}
}

static void put(const struct pktbuild *p, bool v6)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	ssize_t n;

	inet_pton(AF_INET, VIP4, &to4.sin_addr);
	inet_pton(AF_INET6, VIP6, &to6.sin6_addr);
	n = v6 ? sendto(raw6, p->data, p->len, 0, (void *)&to6, sizeof(to6)) :
		 sendto(raw4, p->data, p->len, 0, (void *)&to4, sizeof(to4));
	/* What the program drops the sender may hear of. */
	if (n < 0 && errno != EPERM) {
		perror("sendto");
		fail();
	}
}

/* The next frame that is none of the kernel's own chatter. */
static size_t get(uint8_t *buf, size_t size)
{
	static const uint8_t svc[6] = { 2, 0, 0, 0, 1, 0x11 };
	ssize_t n;

	do {
		n = recv(wire, buf, size, 0);
		if (n < 0) {
			perror("nothing arrives");
			fail();
		}
	} while (n < 14 || memcmp(buf, svc, 6) != 0);
	return (size_t)n;
}

static bool is(const uint8_t *frame, size_t len, const struct pktbuild *p)
{
	return len == p->len && !memcmp(frame, p->data, len);
}

static bool check(const struct row *row, bool v6)
{
	static const struct row marker = { ROW("marker", UDP, MARKER) };
	static struct pktbuild in, out, mark, marked;
	uint8_t frame[2048];
	size_t len;

	build(&in, row, v6);
	wrap(&out, &in, row, v6);
	build(&mark, &marker, v6);
	wrap(&marked, &mark, &marker, v6);
	put(&in, v6);
	put(&mark, v6);
	len = get(frame, sizeof(frame));
	if (row->passes) {
		if (!is(frame, len, &out)) {
			fprintf(stderr, "%s, IPv%d: %s\n", row->what,
				v6 ? 6 : 4,
				is(frame, len, &marked) ? "dropped" :
							  "not as expected");
			pktbuild_dump("expected", out.data, out.len);
			pktbuild_dump("is", frame, len);
			if (!is(frame, len, &marked))
				get(frame, sizeof(frame));
			return false;
		}
		len = get(frame, sizeof(frame));
	}
	if (is(frame, len, &marked))
		return true;
	fprintf(stderr, "%s, IPv%d: passed\n", row->what, v6 ? 6 : 4);
	pktbuild_dump("is", frame, len);
	get(frame, sizeof(frame));
	return false;
}

static void enter(enum probe_tunnel_space space, uint16_t port,
		  enum probe_tunnel_kind kind, const char *outer)
{
	union ip_addr addr = pktbuild_addr(outer);

	assert_int_equal(tunnel_enter(space, port, kind, &addr), 0);
}

static void test_packets(void **state)
{
	bool ok = true;

	(void)state;
	for (int v6 = 0; v6 <= 1; v6++) {
		const char *svc = v6 ? SVC6 : SVC4, *other = v6 ? SVC4 : SVC6;

		for (int space = 0; space < PROBE_TUNNEL_SPACES; space++) {
			enter(space, IPIP, PROBE_TUNNEL_IPIP, svc);
			enter(space, GUE, PROBE_TUNNEL_GUE, svc);
			enter(space, LEFT, PROBE_TUNNEL_IPIP, svc);
			tunnel_leave(space, LEFT);
		}
		enter(PROBE_TUNNEL_ECHO, CROSSED, PROBE_TUNNEL_IPIP, other);
		enter(PROBE_TUNNEL_TCP, TCP_ONLY, PROBE_TUNNEL_IPIP, svc);
		enter(PROBE_TUNNEL_UDP, MARKER, PROBE_TUNNEL_IPIP, svc);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (!(v6 ? rows[i].v4_only : rows[i].v6_only))
				ok &= check(&rows[i], v6);
	}
	assert_true(ok);
}

/* ---- ports -------------------------------------------------------------- */

static void setting(const char *path, const char *value)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(value, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Two ports for three sockets of both families, and a node that lets each
 * family have all: the third gets none, in particular not the second's. */
static void test_no_port_twice(void **state)
{
	static const bool v4s[3] = { true, false, true };
	union ip_addr outer = pktbuild_addr(SVC4);

	(void)state;
	setting("/proc/sys/net/ipv6/bindv6only", "1");
	setting("/proc/sys/net/ipv4/ip_local_port_range", "20000 20001");
	for (int udp = 0; udp <= 1; udp++) {
		uint16_t port[3] = { 0 };
		int fd[3], r = 0;

		for (int i = 0; i < 3; i++) {
			fd[i] = socket(v4s[i] ? AF_INET : AF_INET6,
				       udp ? SOCK_DGRAM : SOCK_STREAM, 0);
			assert_true(fd[i] >= 0);
			r = tunnel_bind(fd[i], udp ? PROBE_TUNNEL_UDP :
						     PROBE_TUNNEL_TCP,
					v4s[i], PROBE_TUNNEL_IPIP, &outer,
					&port[i]);
			assert_int_equal(r, i < 2 ? 0 : -EADDRINUSE);
		}
		assert_int_equal(port[0] + port[1], 40001);
		for (int i = 0; i < 3; i++)
			close(fd[i]);
	}
}

/* Ping sockets of both families have one space of identifiers. */
static void test_no_identifier_twice(void **state)
{
	union ip_addr outer = pktbuild_addr(SVC4);
	struct sockaddr_in held = { .sin_family = AF_INET };
	uint16_t first, second;
	int fd[3];

	(void)state;
	setting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
	for (int i = 0; i < 3; i++) {
		fd[i] = i < 2 ? socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) :
				socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
		assert_true(fd[i] >= 0);
	}
	assert_int_equal(tunnel_bind(fd[0], PROBE_TUNNEL_ECHO, true,
				     PROBE_TUNNEL_IPIP, &outer, &first), 0);
	/* The kernel counts upwards: this would be next. */
	held.sin_port = htons(first + 1);
	assert_int_equal(bind(fd[1], (void *)&held, sizeof(held)), 0);
	assert_int_equal(tunnel_bind(fd[2], PROBE_TUNNEL_ECHO, false,
				     PROBE_TUNNEL_IPIP, &outer, &second), 0);
	assert_int_not_equal(second, first);
	assert_int_not_equal(second, first + 1);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* ---- life --------------------------------------------------------------- */

static int open_wire(void)
{
	static const struct timeval patience = { .tv_sec = 30 };
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(0x0003), /* all */
		.sll_ifindex = (int)if_nametoindex("pout0"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(0x0003));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				    sizeof(patience)), 0);
	return fd;
}

static int setup(void **state)
{
	static struct publish_addrs addrs;
	struct config_error e = { "" };
	struct config *config;

	(void)state;
	progtest_links();
	if (probe_tunnels_new(&tunnels) || probe_tunnels_fd(tunnels) < 0) {
		printf("no lwtunnel programs here\n");
		exit(77);
	}
	if (config_parse("t", config_text, strlen(config_text), &config, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	addrs.tunnel_src4 = pktbuild_addr(NODE4);
	addrs.tunnel_src6 = pktbuild_addr(NODE6);
	if (probe_tunnels_apply(tunnels, config, &addrs, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	config_free(config);
	tunnel_init(dup(probe_tunnels_fd(tunnels)));
	raw4 = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	raw6 = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	assert_true(raw4 >= 0 && raw6 >= 0);
	wire = open_wire();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(wire);
	close(raw4);
	close(raw6);
	probe_tunnels_free(tunnels);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_no_port_twice),
		cmocka_unit_test(test_no_identifier_twice),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
