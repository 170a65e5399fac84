// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP program on every interface of a node. For each packet: parse, look
 * the address up, hash, find the flow, rewrite, send. Packets without a flow
 * are set up here or by an engine (setup.h); what is not for a vserver is the
 * kernel's, unhashed and untouched.
 *
 * Order of the pipeline (later stages have their place marked by name):
 *
 *   parse → vip → [ACL prefixes] → fragment → tunnel (once) → hash → node
 *     → flow hit → service state → [rate of the source] → emit
 *     → miss → [SYN cookie] → set-up here or by an engine
 *
 * README.md in this folder tells the whole story.
 */
#include "maps.h"
#include "steer_opts.h"
#include "verdict.h"
#include "flows.h"
#include "forward.h"
#include "emit.h"
#include "setup.h"
#include "node.h"

char _license[] SEC("license") = "GPL";

/* Where a packet's flow entry is to be found. */
struct flow_query {
	__u64 tail;
	__u32 id; /* vserver, or index of the NAT address */
	__u32 kind; /* FLOW_FORWARD, FLOW_REVERSE */
};

/* ---- ICMP errors: after the flow they quote ----------------------------- */

/* Fills fwd from the flow entry in copy. */
SUBPROG int flow_forward(const struct pkt *pkt, const struct flow *copy,
				   struct forward *fwd, __u32 kind)
{
	__u32 zero = 0, service, vs_id;
	struct dp_conf *cfg = bpf_map_lookup_elem(&conf, &zero);
	struct vserver *vs;
	struct service *svc;

	if (!pkt || !copy || !fwd || !cfg)
		return -1;
	if (kind == FLOW_REVERSE)
		fwd->vserver = copy->pair_id;
	vs_id = fwd->vserver;
	vs = bpf_map_lookup_elem(&vservers, &vs_id);
	service = copy->service;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!vs || !svc)
		return -1;
	if (kind == FLOW_FORWARD)
		forward_request(fwd, cfg, pkt, vs, svc, copy);
	else
		forward_reply(fwd, vs, copy);
	return 0;
}

/* 0: fwd is filled; else a verdict. */
SUBPROG int icmp_error(struct xdp_md *ctx, struct pkt *pkt,
		       struct forward *fwd, __u32 kind, __u32 nat_index)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 index = 0;
	struct scratch *s = scratch_get();
	struct vserver *vs;
	struct quoted *q;
	__u64 tail;

	if (!pkt || !fwd || !s)
		return DROP(MAP);
	q = &s->quoted;
	if (!icmp_quoted(data, data_end, pkt, q) ||
	    !ip_addr_equal(&q->src, &pkt->dst))
		return DROP(ICMP);
	if (kind == FLOW_FORWARD) {
		if (vip_lookup(&q->src, q->sport, q->proto, &index) != VIP_VSERVER)
			return DROP(ICMP);
		vs = bpf_map_lookup_elem(&vservers, &index);
		if (!vs)
			return DROP(MAP);
		fwd->vserver = (__u16)index;
		pkt->hash = toeplitz_src(toeplitz, ip_addr_is_v4(&q->dst),
					 &q->dst, q->dport) ^ vs->hash_dst;
		tail = flow_key_tail(q->dport, 0, (__u16)index, FLOW_FORWARD,
				     q->proto);
	} else {
		pkt->hash = toeplitz_hash(toeplitz, &q->dst, &q->src, q->dport,
					  q->sport);
		tail = flow_key_tail(q->dport, q->sport, (__u16)nat_index,
				     FLOW_REVERSE, q->proto);
	}
	if (!flows_find_slow(pkt->hash, &q->dst, tail, &s->flow) ||
	    flow_forward(pkt, &s->flow, fwd, kind))
		/* The kernel has connections of its own at NAT addresses. */
		return kind == FLOW_REVERSE ? PASS(VIP) : DROP(ICMP);
	if (fwd->mode == FWD_NAT)
		fwd->mode = FWD_ICMP_NAT;
	fwd->counter = CNT_FWD_ICMP;
	return 0;
}

/* To a VIP, but to no vserver's port. 0: as icmp_error. */
SUBPROG int vip_other(struct xdp_md *ctx, struct pkt *pkt,
				struct forward *fwd)
{
	bool icmp;

	if (!pkt || !fwd)
		return DROP(MAP);
	icmp = pkt->proto == (pkt->flags & PKT_V6 ? PROTO_ICMP6 : PROTO_ICMP);
	if (!icmp)
		return PASS(VIP);
	if (icmp_is_nd(pkt))
		return PASS(ND);
	if (pkt->flags & PKT_FRAGMENT)
		return PASS(VIP);
	if (icmp_is_echo(pkt))
		return answer_echo(ctx, pkt);
	if (icmp_is_error(pkt))
		return icmp_error(ctx, pkt, fwd, FLOW_FORWARD, 0);
	return PASS(VIP);
}

/* A later fragment whose first one is not known (yet). */
SUBPROG int fragment_unknown(struct xdp_md *ctx, struct pkt *pkt,
				       struct forward *fwd, __u32 kind)
{
	if (!pkt || !fwd)
		return DROP(MAP);
	if (kind != VIP_ADDR)
		return PASS(VIP); /* our own address: the kernel's, maybe */
	pkt->hash = fragment_hash(pkt);
	return to_engine(ctx, pkt, fwd, STEER_FRAGMENT);
}

/* ---- misses ------------------------------------------------------------- */

/* 0: flow is filled, go on; else a verdict. */
SUBPROG int flow_miss(struct xdp_md *ctx, struct pkt *pkt,
				struct forward *fwd, struct flow *flow)
{
	struct vserver *vs;
	__u32 vs_id;
	int key;

	if (!pkt || !fwd || !flow)
		return DROP(MAP);
	vs_id = fwd->vserver;
	count(CNT_FLOW_MISS);
	vs = bpf_map_lookup_elem(&vservers, &vs_id);
	if (!vs)
		return DROP(MAP);
	if (pkt->flags & PKT_STEERED) {
		__u32 bucket = pkt->hash & (NODE_BUCKETS - 1), zero = 0;
		struct node_bucket *nb;
		struct dp_conf *cfg;

		nb = bpf_map_lookup_elem(&node_bkts, &bucket);
		cfg = bpf_map_lookup_elem(&conf, &zero);
		/* Tables of two nodes differ for a moment: only what is known
		 * here goes on, new flows wait for the tables. */
		if (nb && cfg && nb->owner != cfg->node_id)
			return DROP(STEERED);
	}
	if (!(vs->flags & VS_ENABLED))
		return setup_no_service(ctx, pkt, vs, fwd);
	if (pkt->flags & PKT_LATER)
		return to_engine(ctx, pkt, fwd, STEER_FRAGMENT);
	/* SYN cookies have their place here. */
	if (vs->setup != SETUP_KERNEL || !setup_here(vs, pkt)) {
		key = engine_choose(ctx, pkt->hash);
		if (key >= 0 || vs->setup == SETUP_INSPECT ||
		    !setup_here(vs, pkt))
			return to_engine_at(ctx, pkt, fwd, STEER_NEW, key);
		count(CNT_SETUP_ALONE);
	}
	fwd->counter = CNT_FWD_NEW;
	return setup_kernel(ctx, pkt, fwd, flow);
}

/* ---- hits --------------------------------------------------------------- */

/* TCP state and the time of the last packet; the line stays clean mostly. */
static __always_inline void flow_touch(struct flow *f, const struct flow *copy,
				       const struct pkt *pkt, __u32 kind,
				       __u32 tick)
{
	__u32 tcp = FLOW_ACTIVITY_TCP(copy->activity), next = tcp;

	if (pkt->proto == PROTO_TCP &&
	    unlikely(tcp == FLOW_TCP_SYN ||
		     pkt->tcp_flags & (TCP_FIN | TCP_RST)))
		next = flow_tcp_next(tcp, pkt->tcp_flags);
	if (unlikely(next != tcp)) {
		/* By CAS: the entry may be another flow's by now, and the end
		 * of a connection is counted once. */
		if (cmpxchg_u32(&f->activity, copy->activity,
				FLOW_ACTIVITY(tick, next,
					      FLOW_ACTIVITY_FLAGS(
						      copy->activity))) ==
			    copy->activity &&
		    kind == FLOW_FORWARD && tcp < FLOW_TCP_FIN &&
		    next >= FLOW_TCP_FIN)
			flows_conns(copy->service, false);
		return;
	}
	if (flow_age(copy->activity, tick) >= FLOW_ACTIVITY_SLACK)
		write_once(f->activity,
			   FLOW_ACTIVITY(tick, tcp,
					 FLOW_ACTIVITY_FLAGS(copy->activity)));
}

/* A connection that begins, where an earlier one ended or where its service
 * takes none: decided anew. */
static __always_inline bool flow_restarts(const struct flow *copy,
					  const struct service *svc,
					  const struct pkt *pkt)
{
	if (likely((pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN))
		return false;
	return FLOW_ACTIVITY_TCP(copy->activity) >= FLOW_TCP_FIN ||
	       read_once(svc->state) != SVC_UP;
}

static __always_inline int steer_flow(struct xdp_md *ctx, struct pkt *pkt,
				      struct forward *fwd, struct flow *copy,
				      const struct dp_conf *cfg,
				      const struct vserver *vs, __u32 kind,
				      __u64 tail)
{
	__u32 bytes = pkt->l3_len, id;
	struct service *svc;
	struct flow *f;
	int rc;

	f = flows_find(pkt->hash, &pkt->src, tail, copy);
	if (likely(f)) {
		id = copy->service;
		svc = bpf_map_lookup_elem(&services, &id);
		if (!svc)
			return DROP(MAP);
		if (kind == FLOW_FORWARD &&
		    unlikely(flow_restarts(copy, svc, pkt))) {
			flows_forget(f, copy);
			f = NULL;
		}
	}
	if (unlikely(!f)) {
		if (kind == FLOW_REVERSE)
			return PASS(VIP); /* the kernel's own, or too late */
		__builtin_memset(copy, 0, sizeof(*copy));
		rc = flow_miss(ctx, pkt, fwd, copy);
		if (rc)
			return rc;
		id = copy->service;
		svc = bpf_map_lookup_elem(&services, &id);
		if (!svc)
			return DROP(MAP);
	} else {
		count(CNT_FLOW_HIT);
		flow_touch(f, copy, pkt, kind, fwd->tick);
		fwd->service = id;
		if (kind == FLOW_REVERSE) {
			id = copy->pair_id;
			vs = bpf_map_lookup_elem(&vservers, &id);
			if (!vs)
				return DROP(MAP);
			fwd->vserver = (__u16)id;
		}
		if (unlikely(svc->state == SVC_DOWN &&
			     vs->flags & VS_DOWN_FLUSH))
			return to_engine(ctx, pkt, fwd, STEER_NO_SERVICE);
		if (unlikely(FLOW_ACTIVITY_FLAGS(copy->activity) &
			     FLOW_F_INSPECT)) {
			fwd->flags = FORWARD_INSPECT;
			fwd->flow_index = flows_index(pkt->hash, f);
		}
	}
	if (kind == FLOW_FORWARD)
		forward_request(fwd, cfg, pkt, vs, svc, copy);
	else
		forward_reply(fwd, vs, copy);
	/* Of a reply, only now: what is not ours leaves no entry. `copy` is
	 * not needed any more. */
	if (unlikely((pkt->flags & (PKT_FRAGMENT | PKT_LATER)) ==
		     PKT_FRAGMENT) && kind == FLOW_REVERSE)
		fragment_record(pkt, fwd->tick);
	count_traffic(&vs_stats, fwd->vserver, bytes);
	count_traffic(&svc_stats, fwd->service, bytes);
	return emit(ctx, pkt, fwd);
}

/* What the packet's destination means; 0: nothing. */
static __always_inline __u32 steer_kind(const struct pkt *pkt, __u32 *ret_index)
{
	__u32 kind = 0;

	if (likely(pkt->dport))
		kind = vip_lookup(&pkt->dst, pkt->dport, pkt->proto, ret_index);
	if (!kind)
		kind = vip_lookup(&pkt->dst, 0, 0, ret_index);
	return kind;
}

/* Parses, and opens a tunnel: 0, or a verdict. */
static __always_inline int steer_parse(struct xdp_md *ctx, struct pkt *pkt,
				       __u32 *ret_kind, __u32 *ret_index,
				       __u32 *ret_steered)
{
	enum parse_result parsed;
	__u32 depth, kind = 0;

	/* Twice at most: a tunnelled packet, then what was in it. */
	for (depth = 0; depth < 2; depth++) {
		parsed = parse_packet_fast((void *)(long)ctx->data,
					   (void *)(long)ctx->data_end, pkt);
		if (unlikely(parsed == PARSE_EXT))
			parsed = parse_ext(ctx, pkt);
		if (parsed == PARSE_NOT_IP)
			return PASS(ARP);
		if (parsed != PARSE_OK)
			return PASS(OTHER);
		kind = steer_kind(pkt, ret_index);
		if (likely(kind != VIP_TUNNEL) || depth)
			break;
		if (!node_decap(ctx, pkt, ret_steered))
			return PASS(OTHER);
	}
	if (kind == VIP_NONE || kind == VIP_TUNNEL)
		return PASS(OTHER);
	*ret_kind = kind;
	if (likely(!pkt->bad))
		return 0;
	if (kind == VIP_NAT)
		return PASS(VIP);
	return pkt->bad == PKT_SHORT ? DROP(SHORT) : DROP(HEADER);
}

/* To a vserver. */
static __always_inline int steer_request(struct xdp_md *ctx, struct scratch *s,
					 const struct dp_conf *cfg, __u32 id,
					 __u32 steered)
{
	struct vserver *vs = bpf_map_lookup_elem(&vservers, &id);
	struct pkt *pkt = &s->pkt;
	struct node_bucket *nb;
	__u32 bucket;
	__u64 tail;

	if (!vs)
		return DROP(MAP);
	s->fwd.vserver = (__u16)id;
	pkt->hash = toeplitz_src(toeplitz, !(pkt->flags & PKT_V6), &pkt->src,
				 pkt->sport) ^ vs->hash_dst;
	bucket = pkt->hash & (NODE_BUCKETS - 1);
	nb = bpf_map_lookup_elem(&node_bkts, &bucket);
	if (unlikely(nb && nb->owner != cfg->node_id) && !steered &&
	    node_steer(ctx, pkt, &s->fwd, nb->owner))
		return emit(ctx, pkt, &s->fwd);
	tail = flow_key_tail(pkt->sport, 0, (__u16)id, FLOW_FORWARD,
			     pkt->proto);
	return steer_flow(ctx, pkt, &s->fwd, &s->flow, cfg, vs, FLOW_FORWARD,
			  tail);
}

/* To a NAT address. */
static __always_inline int steer_reply(struct xdp_md *ctx, struct scratch *s,
				       const struct dp_conf *cfg, __u32 index)
{
	struct pkt *pkt = &s->pkt;
	__u64 tail;
	int rc;

	if (pkt->proto == PROTO_ICMP || pkt->proto == PROTO_ICMP6) {
		if (pkt->flags & PKT_FRAGMENT || !icmp_is_error(pkt))
			return PASS(VIP);
		rc = icmp_error(ctx, pkt, &s->fwd, FLOW_REVERSE, index);
		return rc ? rc : emit(ctx, pkt, &s->fwd);
	}
	if (!pkt->dport)
		return PASS(VIP);
	pkt->hash = toeplitz_hash(toeplitz, &pkt->src, &pkt->dst, pkt->sport,
				  pkt->dport);
	tail = flow_key_tail(pkt->sport, pkt->dport, (__u16)index, FLOW_REVERSE,
			     pkt->proto);
	return steer_flow(ctx, pkt, &s->fwd, &s->flow, cfg, NULL, FLOW_REVERSE,
			  tail);
}

static __always_inline int steer_packet(struct xdp_md *ctx)
{
	__u32 index = 0, kind = 0, zero = 0, steered = 0;
	struct scratch *s = scratch_get();
	struct dp_conf *cfg;
	int rc;

	cfg = bpf_map_lookup_elem(&conf, &zero);
	if (!cfg || !s)
		return DROP(MAP);
	rc = steer_parse(ctx, &s->pkt, &kind, &index, &steered);
	if (rc)
		return rc;
	/* ACL prefixes have their place here. */
	forward_clear(&s->fwd);
	s->fwd.tick = flow_tick(bpf_ktime_get_coarse_ns());
	if (unlikely(s->pkt.flags & PKT_LATER)) {
		if (!fragment_find(&s->pkt))
			return fragment_unknown(ctx, &s->pkt, &s->fwd, kind);
		kind = steer_kind(&s->pkt, &index);
	} else if (unlikely(s->pkt.flags & PKT_FRAGMENT) &&
		   kind == VIP_VSERVER) {
		fragment_record(&s->pkt, s->fwd.tick);
	}
	if (steered)
		s->pkt.flags |= PKT_STEERED;
	if (likely(kind == VIP_VSERVER))
		return steer_request(ctx, s, cfg, index, steered);
	if (kind == VIP_NAT)
		return steer_reply(ctx, s, cfg, index);
	rc = vip_other(ctx, &s->pkt, &s->fwd);
	return rc ? rc : emit(ctx, &s->pkt, &s->fwd);
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	return verdict(steer_packet(ctx));
}
