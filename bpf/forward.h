/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is to be done with a packet once its flow is known: filled by the
 * look-up or by the set-up, carried out by emit.h.
 */
#ifndef SLUICE_FORWARD_H
#define SLUICE_FORWARD_H

#include "compiler.h"
#include "flowtab.h"
#include "maps.h"
#include "rewrite_nat.h"

/* Beside enum fwd_mode. */
#define FWD_ICMP_NAT 4 /* translate the error and what it quotes */
#define FWD_NODE 5     /* to another node of the cluster */

enum forward_flag {
	FORWARD_INSPECT = 1 << 0,
	FORWARD_MARK = 1 << 1, /* our node's mark as the source MAC address */
	FORWARD_REPLY = 1 << 2, /* from a service: the kernel could route it */
};

struct forward {
	struct nat_to to;  /* to.dst is also where it is routed to */
	__u32 service;
	__u32 egress;	   /* interface; set by emit */
	__u32 flow_index;
	__u32 tick;
	__u16 vserver;
	__u8 mode;	   /* enum fwd_mode, FWD_ICMP_NAT, FWD_NODE */
	__u8 flags;
	__u32 counter;	   /* 0: by the action */
};

/* All but `to`, which is filled whole or not read. */
static __always_inline void forward_clear(struct forward *fwd)
{
	fwd->service = 0;
	fwd->egress = 0;
	fwd->flow_index = 0;
	fwd->vserver = 0;
	fwd->mode = 0;
	fwd->flags = 0;
	fwd->counter = 0;
}

/* Client → service. */
static __always_inline void forward_request(struct forward *fwd,
					    const struct dp_conf *cfg,
					    const struct pkt *pkt,
					    const struct vserver *vs,
					    const struct service *svc,
					    const struct flow *flow)
{
	fwd->mode = vs->mode;
	fwd->to.dst = svc->addr;
	fwd->service = flow->service;
	if (vs->mode == FWD_NAT) {
		fwd->to.src = cfg->nat[flow->pair_id % NAT_ADDRS_MAX];
		fwd->to.sport = flow->pair_port;
		fwd->to.dport = svc->port;
	} else if (vs->mode == FWD_DSR_L2) {
		fwd->to.src = pkt->src;
	} else if (ip_addr_is_v4(&svc->addr)) {
		fwd->to.src = cfg->tunnel_src4;
	} else {
		fwd->to.src = cfg->tunnel_src6;
	}
}

/* Service → client, NAT. */
static __always_inline void forward_reply(struct forward *fwd,
					  const struct vserver *vs,
					  const struct flow *flow)
{
	fwd->mode = FWD_NAT;
	fwd->flags |= FORWARD_REPLY;
	fwd->to.src = vs->addr;
	fwd->to.dst = flow->pair_addr;
	fwd->to.sport = vs->port;
	fwd->to.dport = flow->pair_port;
	fwd->service = flow->service;
}

#endif
