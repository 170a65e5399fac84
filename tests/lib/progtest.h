/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads the XDP program for a test and runs packets through it with
 * BPF_PROG_TEST_RUN. The test process gets a network namespace of its own
 * (unshare), which the kernel removes with it:
 *
 *     clients 198.51.100.0/24, 2001:db8:c::/48
 *        | by 192.168.0.254, fd00:0::fe (02:00:00:00:00:fe)
 *     in0   192.168.0.1/24 fd00:0::1/64 (02:00:00:00:00:01)  MTU 1500
 *     out0  10.0.1.1/24    fd00:1::1/64 (02:00:00:00:01:01)  MTU 1500
 *        | 10.0.1.11…14, fd00:1::11…14: 02:00:00:00:01:11…14
 *        | 10.0.1.99, fd00:1::99: no neighbour
 *     small0 10.0.3.1/24 MTU 1300 (02:00:00:00:03:01): 10.0.3.11 (…03:11)
 *
 * Services may also be one-armed: 192.168.0.11…14 on in0 (02:00:00:00:00:11…).
 */
#ifndef SLUICE_PROGTEST_H
#define SLUICE_PROGTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "counters.h"
#include "flow.h"
#include "flowtab.h"
#include "map_abi.h"
#include "pktbuild.h"

struct steer_bpf;

struct progtest {
	struct steer_bpf *skel;
	int prog_fd;
	int in0, out0, small0; /* ifindexes */
	uint32_t *toeplitz;
	struct dp_conf *conf;
	struct vip_bucket *vips;
	struct vserver *vservers;
	struct service *services;
	struct svc_load *svc_load;
	/* Values of arrays lie 8 bytes apart, at least. */
	struct { uint32_t service, pad; } *lb_table;
	struct { struct node_bucket b; uint32_t pad; } *node_bkts;
	struct core_bucket *core_bkts;
	struct node_info *nodes;
	struct engine_info *engines;
	struct flow_set *flows;
	struct flowtab flowtab;
	uint32_t lb_used;
};

/* What one run did. */
struct progtest_result {
	uint32_t action; /* XDP_* */
	int counter;	 /* the one verdict counted; -1: not exactly one */
	bool has_meta;
	struct pkt_meta meta;
	size_t len;
	uint8_t data[PKTBUILD_MAX];
};

/* The namespace and its links only. Fails the process (exit 77) if it may not:
 * not root. */
void progtest_links(void);
/* Sets of the flow table: a power of two; 0: 1024. */
void progtest_open(struct progtest *t, uint32_t flow_sets);
void progtest_close(struct progtest *t);
/* Configuration and flows gone, counters kept. */
void progtest_reset(struct progtest *t);

void progtest_service(struct progtest *t, uint32_t id, const char *addr,
		      uint16_t port);
/* Services first..first+count-1, in a table of 251 slots. */
void progtest_vserver(struct progtest *t, uint32_t id, const char *addr,
		      uint16_t port, uint8_t proto, enum fwd_mode mode,
		      enum setup_mode setup, uint32_t first, uint32_t count);
void progtest_vip(struct progtest *t, const char *addr, enum vip_kind kind,
		  uint32_t index);

uint32_t progtest_hash(const struct progtest *t, const char *src,
		       const char *dst, uint16_t sport, uint16_t dport);
/* A FORWARD entry for a client; nat: NAT port and address index 0 (IPv4) or 1
 * (IPv6), and its REVERSE twin. Established, now. */
void progtest_flow(struct progtest *t, uint32_t vserver, const char *client,
		   uint16_t sport, uint32_t service, uint16_t nat_port,
		   uint32_t flags);
struct flow *progtest_find(struct progtest *t, uint32_t vserver,
			   const char *client, uint16_t sport,
			   struct flow *copy);

/* AF_XDP sockets for engines 0..count-1 on in0, queue 0; every core bucket
 * prefers engine 0, then 1 …; they stay alive. */
void progtest_engines(struct progtest *t, unsigned int count);
void progtest_engine_kill(struct progtest *t, unsigned int engine);

void progtest_run(struct progtest *t, const void *data, size_t len,
		  int ifindex, struct progtest_result *ret);
uint64_t progtest_counter(struct progtest *t, enum counter counter);
const char *progtest_counter_name(int counter);

/* One row of a table of packets: action, counter, and, if expected is given,
 * every byte. Says on stderr what differs. */
bool progtest_check(struct progtest *t, const char *what,
		    const struct pktbuild *in, int ifindex, uint32_t action,
		    enum counter counter, const struct pktbuild *expected);

#endif
