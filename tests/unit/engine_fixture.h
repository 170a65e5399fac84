/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An engine in plain memory, for tests: tables, flow table, frames and rings
 * are ordinary memory, next hops are what the test says. Packets come with the
 * metadata XDP would write; what the engine sends is read from its TX rings.
 * Included once by a test program.
 */
#ifndef SLUICE_ENGINE_FIXTURE_H
#define SLUICE_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/pktbuild.h"
#include "encap.h"
#include "engine/emit.h"
#include "engine/engine.h"
#include "engine/flows.h"
#include "engine/hold.h"
#include "engine/sweep.h"
#include "fragment.h"
#include "headers.h"
#include "icmp.h"
#include "vip.h"

#define FRAMES 64u
#define SETS 64u
#define VS 7u
#define CLIENT "10.0.0.9"
#define VIP "192.0.2.10"
#define CLIENT6 "2001:db8:1::9"
#define VIP6 "2001:db8::10"
#define NAT "10.0.1.1"
#define NAT6 "2001:db8:2::1"
#define SECOND 1000000000ull

struct ring_memory {
	uint32_t producer, consumer, flags, pad;
	struct xdp_desc entries[FRAMES];
};

struct fixture {
	struct engine e;
	struct ring_memory rx, tx, tx_out, fill, completion;
	uint32_t next_frame;
	struct vserver *vservers;
	struct service *services;
	struct member *members;
	struct pick_slot *lb;
	struct dp_conf conf;
	struct vip_bucket *vips;
};

/* What the kernel would say. */
static struct nexthop_entry next_hop;

const struct nexthop_entry *nexthop_find(struct nexthop *nexthop,
					 const union ip_addr *dst,
					 uint64_t now_ns)
{
	next_hop.dst = *dst;
	return &next_hop;
}

static inline struct xsk_ring ring_of(struct ring_memory *m)
{
	return (struct xsk_ring){ .producer = &m->producer,
				  .consumer = &m->consumer,
				  .flags = &m->flags,
				  .entries = m->entries,
				  .mask = FRAMES - 1 };
}

static inline void add_port(struct fixture *f, uint32_t pool, uint32_t ifindex,
		     struct ring_memory *tx)
{
	struct engine_port *port = &f->e.port[pool];

	*port = (struct engine_port){ .used = true, .pool = pool,
				      .ifindex = ifindex, .fd = -1,
				      .base_fd = -1, .rx = ring_of(&f->rx),
				      .tx = ring_of(tx) };
	f->e.active[f->e.n_active++] = (uint16_t)pool;
}

/* N services of one family for the vserver: 10.0.1.11…, port 8080. */
static inline void add_services(struct fixture *f, uint32_t n, bool v4)
{
	struct vserver *vs = &f->vservers[VS];

	for (uint32_t i = 1; i <= n; i++) {
		struct service *s = &f->services[i];

		*s = (struct service){ .state = SVC_UP, .weight_scale = 256,
				       .port = htons(8080) };
		s->addr = pktbuild_addr(v4 ? "10.0.1.11" : "2001:db8:2::11");
		s->addr.b[15] = (uint8_t)(10 + i);
		f->members[i - 1] = (struct member){ .service = i,
						     .weight = 1 };
	}
	for (uint32_t i = 0; i < 101; i++)
		f->lb[i].service = n ? 1 + i % n : 0;
	vs->members = SPAN(0, n);
	vs->lb = SPAN(0, n ? 101 : 0);
}

static inline void set_vserver(struct fixture *f, enum fwd_mode mode, bool v4,
			uint8_t proto)
{
	struct vserver *vs = &f->vservers[VS];

	*vs = (struct vserver){ .addr = pktbuild_addr(v4 ? VIP : VIP6),
				.port = htons(80), .proto = proto,
				.mode = (uint8_t)mode, .flags = VS_ENABLED,
				.method = LB_ROUND_ROBIN, .syn_s = 30,
				.est_s = 3600, .fin_s = 30, .udp_s = 60,
				.persist_s = 60 };
	vs->hash_dst = toeplitz_dst(f->e.toeplitz, v4, &vs->addr, vs->port);
	add_services(f, 2, v4);
	vip_put(f->vips, &vs->addr, vs->port, proto, VIP_VSERVER, VS);
}

static inline void *zeroed(size_t n, size_t size)
{
	void *p = aligned_alloc(64, (n * size + 63) / 64 * 64);

	assert_non_null(p);
	memset(p, 0, (n * size + 63) / 64 * 64);
	return p;
}

static inline void make_memory(struct fixture *f)
{
	struct engine *e = &f->e;
	struct frames_pool *fp = &e->frames.pool[0];

	e->umem = zeroed(FRAMES, FRAME_SIZE);
	e->ctl = zeroed(1, frames_ctl_len(FRAMES));
	assert_int_equal(frames_ctl_init(e->ctl, 1, FRAMES, FRAMES), 0);
	frames_init(&e->frames, e->ctl, 3);
	fp->stack = calloc(FRAMES, sizeof(uint32_t));
	fp->fill = ring_of(&f->fill);
	fp->completion = ring_of(&f->completion);
	fp->mapped = true;
}

static inline int setup(void **state)
{
	static const uint8_t key[] = TOEPLITZ_KEY_DEFAULT;
	struct fixture *f = zeroed(1, sizeof(*f));
	struct engine *e = &f->e;
	struct pick_tables t;

	e->slot = 3;
	e->raw4 = e->raw6 = e->udp4 = e->udp6 = -1;
	e->now_ns = 1000 * SECOND;
	make_memory(f);
	add_port(f, 0, 5, &f->tx);
	e->toeplitz = zeroed(TOEPLITZ_TABLE_LEN, sizeof(uint32_t));
	toeplitz_tables_build(key, e->toeplitz);
	f->vservers = zeroed(VSERVERS_MAX, sizeof(*f->vservers));
	f->services = zeroed(SERVICES_MAX, sizeof(*f->services));
	f->members = zeroed(1024, sizeof(*f->members));
	f->lb = zeroed(1024, sizeof(*f->lb));
	f->vips = zeroed(VIP_BUCKETS, sizeof(*f->vips));
	f->conf.nat_count = 2;
	f->conf.nat[0] = pktbuild_addr(NAT);
	f->conf.nat[1] = pktbuild_addr(NAT6);
	f->conf.tunnel_src4 = pktbuild_addr(NAT);
	f->conf.tunnel_src6 = pktbuild_addr(NAT6);
	vip_put(f->vips, &f->conf.nat[0], 0, 0, VIP_NAT, 0);
	e->maps = (struct engine_maps){
		.conf = &f->conf, .vips = f->vips, .vservers = f->vservers,
		.services = f->services, .members = f->members,
		.svc_load = zeroed(SERVICES_MAX, sizeof(struct svc_load)),
		.lb_table = f->lb, .lb_len = 1024, .members_len = 1024,
		.engines = zeroed(ENGINES_MAX, sizeof(struct engine_info)),
		.flows = zeroed(SETS, sizeof(struct flow_set)),
		.flow_sets = SETS,
	};
	e->info = &e->maps.engines[e->slot];
	e->flowtab = (struct flowtab){ .mask = SETS - 1,
				       .sets = e->maps.flows,
				       .vservers = f->vservers };
	t = (struct pick_tables){ .vservers = f->vservers,
				  .services = f->services,
				  .svc_load = e->maps.svc_load,
				  .members = f->members, .lb_table = f->lb,
				  .members_len = 1024, .lb_len = 1024 };
	assert_int_equal(pick_new(&t, 0, &e->pick), 0);
	assert_int_equal(hold_new(&e->hold), 0);
	next_hop = (struct nexthop_entry){ .ifindex = 5, .mtu = 1500,
					   .result = NEXTHOP_RESOLVED,
					   .dst_mac = { 2, 0, 0, 0, 0, 0x11 },
					   .src_mac = { 2, 0, 0, 0, 0, 0x01 } };
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	struct engine *e = &f->e;

	pick_free(e->pick);
	hold_free(e->hold);
	free(e->frames.pool[0].stack);
	free(e->umem);
	free(e->ctl);
	free(e->toeplitz);
	free(e->maps.svc_load);
	free(e->maps.engines);
	free(e->maps.flows);
	free(f->vservers);
	free(f->services);
	free(f->members);
	free(f->lb);
	free(f->vips);
	free(f);
	return 0;
}

/* ---- giving and taking packets ---- */

static inline void give_bytes(struct fixture *f, const void *data, size_t len,
		       const struct pkt_meta *meta)
{
	struct engine_packet packet = { .len = (uint32_t)len,
					.port = &f->e.port[0] };

	packet.frame = f->next_frame++ % FRAMES;
	packet.data = f->e.umem + packet.frame * FRAME_SIZE + 256;
	memcpy(packet.data, data, len);
	memcpy(packet.data - sizeof(*meta), meta, sizeof(*meta));
	frames_receive(&f->e.frames, packet.frame);
	engine_handle(&f->e, &packet);
	/* It is in exactly one place. */
	assert_true(FRAME_REC_STATE(f->e.ctl->rec[packet.frame]) == FRAME_TX ||
		    FRAME_REC_STATE(f->e.ctl->rec[packet.frame]) ==
			    FRAME_LOCAL ||
		    hold_count(f->e.hold));
	f->e.frames.pool[0].depth = 0; /* as an exchange would */
}

static inline void give(struct fixture *f, const struct pktbuild *p,
		 enum steer_reason reason)
{
	struct pkt pkt;
	struct pkt_meta meta = { .reason = (uint8_t)reason, .vserver = VS,
				 .ifindex = 5, .magic = PKT_META_MAGIC };

	assert_int_equal(parse_packet((void *)p->data,
				      (void *)(p->data + p->len), &pkt),
			 PARSE_OK);
	meta.l3_off = pkt.l3_off;
	meta.l4_off = pkt.l4_off;
	meta.l4_proto = pkt.proto;
	meta.hash = flows_forward_hash(&f->e, &pkt.src, pkt.sport, VS);
	give_bytes(f, p->data, p->len, &meta);
}

static inline void give_tcp(struct fixture *f, uint16_t sport, uint8_t flags)
{
	bool v4 = ip_addr_is_v4(&f->vservers[VS].addr);
	struct pktbuild p;

	pktbuild_l4(&p, v4 ? CLIENT : CLIENT6, v4 ? VIP : VIP6, PROTO_TCP,
		    sport, 80, flags, 10);
	give(f, &p, STEER_NEW);
}

/* The next packet the engine sent, or fails. */
static const uint8_t *take(struct fixture *f, uint32_t *ret_len,
			   struct pkt *ret_pkt)
{
	struct xsk_ring tx = ring_of(&f->tx);
	struct xdp_desc *desc;
	uint8_t *data;

	emit_flush(&f->e);
	assert_int_not_equal(f->tx.producer, f->tx.consumer);
	desc = xsk_ring_desc(&tx, f->tx.consumer++);
	data = f->e.umem + desc->addr;
	assert_int_equal(parse_packet(data, data + desc->len, ret_pkt),
			 PARSE_OK);
	assert_int_equal(ret_pkt->bad, PKT_GOOD);
	assert_true(pktbuild_checksums_ok(data, desc->len));
	if (ret_len)
		*ret_len = desc->len;
	return data;
}

static inline void assert_nothing_sent(struct fixture *f)
{
	emit_flush(&f->e);
	assert_int_equal(f->tx.producer, f->tx.consumer);
}

static inline uint64_t dropped(const struct fixture *f, enum engine_drop why)
{
	return f->e.ctl->engine[f->e.slot].dropped[why];
}

static inline void assert_addr(const union ip_addr *addr, const char *text)
{
	union ip_addr want = pktbuild_addr(text);

	assert_memory_equal(addr, &want, sizeof(want));
}

static inline struct flow *forward_of(struct fixture *f, uint16_t sport,
			       struct flow *copy)
{
	bool v4 = ip_addr_is_v4(&f->vservers[VS].addr);
	struct pkt pkt = { .src = pktbuild_addr(v4 ? CLIENT : CLIENT6),
			   .sport = htons(sport),
			   .proto = f->vservers[VS].proto };
	struct flow_key key;

	flows_forward_key(&pkt, VS, &key);
	return flows_find(&f->e,
			  flows_forward_hash(&f->e, &pkt.src, pkt.sport, VS),
			  &key, copy);
}

static inline uint32_t live_entries(const struct fixture *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SETS * FLOW_WAYS; i++)
		n += FLOW_WORD_STATE(f->e.maps.flows[i / FLOW_WAYS]
					     .way[i % FLOW_WAYS].word) ==
		     FLOW_LIVE;
	return n;
}

#endif
