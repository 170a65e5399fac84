// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: through the packet socket of the egress interface if its next hop
 * is known, else through the kernel's own stack (raw sockets), which queues
 * the packet and asks for the neighbour. Engine thread.
 */
#include "engine/emit.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "encap.h"
#include "engine/hold.h"
#include "engine/reply.h"

void engine_count_drop(struct engine *engine, enum engine_drop why)
{
	engine->ctl->engine[engine->slot].dropped[why]++;
	engine->info->dropped++;
}

void engine_drop(struct engine *engine, struct engine_packet *packet,
		 enum engine_drop why)
{
	engine_count_drop(engine, why);
	frames_put(&engine->frames, packet->frame);
}

/* A socket on the interface; the one on the packet's own queue if there is,
 * so that engines and queues do not all meet in one. */
static struct engine_port *port_by_ifindex(struct engine *engine,
					   const struct engine_packet *packet,
					   uint32_t ifindex)
{
	struct engine_port *found = NULL;

	if (packet->port->used && packet->port->ifindex == ifindex)
		return packet->port;
	for (uint32_t i = 0; i < engine->n_active; i++) {
		struct engine_port *port = &engine->port[engine->active[i]];

		if (port->ifindex != ifindex)
			continue;
		found = port;
		if (port->queue == packet->meta.queue)
			break;
	}
	return found;
}

static void publish(struct engine *engine, struct engine_port *port)
{
	xsk_ring_store(port->tx.producer, port->tx_next);
	/* An error is that of the interface (down, gone): what is in the ring
	 * stays there, and the ring being full is counted. */
	xsk_kick_tx(port->fd, &port->tx);
	port->kick = false;
}

static void transmit(struct engine *engine, struct engine_packet *packet,
		     struct engine_port *port, const uint8_t *data,
		     uint32_t len)
{
	struct xdp_desc *desc;

	if (port->tx_next - xsk_ring_load(port->tx.consumer) >
	    port->tx.mask) {
		publish(engine, port);
		if (port->tx_next - xsk_ring_load(port->tx.consumer) >
		    port->tx.mask) {
			engine_drop(engine, packet, DROP_TX_FULL);
			return;
		}
	}
	frames_send(&engine->frames, packet->frame, port->pool);
	desc = xsk_ring_desc(&port->tx, port->tx_next++);
	desc->addr = (uint64_t)(data - engine->umem);
	desc->len = len;
	desc->options = 0;
	port->kick = true;
	engine->info->tx++;
}

void emit_flush(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_active; i++) {
		struct engine_port *port = &engine->port[engine->active[i]];

		if (port->kick)
			publish(engine, port);
	}
}

/* By the kernel's stack: it routes by the packet's own destination. */
static void send_raw(struct engine *engine, struct engine_packet *packet,
		     const uint8_t *l3, uint32_t len)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	ssize_t n;

	if (l3[0] >> 4 == 4) {
		memcpy(&to4.sin_addr, l3 + 16, 4);
		n = sendto(engine->raw4, l3, len, MSG_DONTWAIT,
			   (struct sockaddr *)&to4, sizeof(to4));
	} else {
		memcpy(&to6.sin6_addr, l3 + 24, 16);
		n = sendto(engine->raw6, l3, len, MSG_DONTWAIT,
			   (struct sockaddr *)&to6, sizeof(to6));
	}
	if (n < 0) {
		engine_drop(engine, packet,
			    errno == EMSGSIZE ? DROP_TOO_BIG : DROP_RAW);
		return;
	}
	engine->info->tx++;
	frames_put(&engine->frames, packet->frame);
}

/* VLAN tags stay on packets that leave by the interface they came by. */
static uint32_t tags_len(const struct engine_packet *packet, uint32_t ifindex)
{
	uint32_t l2 = packet->meta.l3_off;

	return packet->port->ifindex == ifindex && (l2 == 18 || l2 == 22) ?
		       l2 - (uint32_t)sizeof(struct eth_hdr) :
		       0;
}

static void send_ethernet(struct engine *engine, struct engine_packet *packet,
			  struct engine_port *port, uint8_t *l3, uint32_t len,
			  const struct nexthop_entry *nh)
{
	uint32_t tags = tags_len(packet, port->ifindex);
	uint8_t *l2 = l3 - sizeof(struct eth_hdr) - tags;
	uint16_t type = htons(l3[0] >> 4 == 4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6);

	memcpy(l2 + 12, packet->l2 + 12, tags);
	memcpy(l2 + 12 + tags, &type, sizeof(type));
	memcpy(l2, nh->dst_mac, 6);
	memcpy(l2 + 6, nh->src_mac, 6);
	transmit(engine, packet, port, l2,
		 len + (uint32_t)sizeof(struct eth_hdr) + tags);
}

/* Makes the kernel look for the neighbour: an empty datagram to its discard
 * port (RFC 863). */
static void poke(struct engine *engine, const union ip_addr *dst)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(9) };

	if (ip_addr_is_v4(dst)) {
		to4.sin_addr.s_addr = dst->w[3];
		sendto(engine->udp4, "", 0, MSG_DONTWAIT,
		       (struct sockaddr *)&to4, sizeof(to4));
	} else {
		memcpy(&to6.sin6_addr, dst->b, 16);
		sendto(engine->udp6, "", 0, MSG_DONTWAIT,
		       (struct sockaddr *)&to6, sizeof(to6));
	}
}

void emit_l3(struct engine *engine, struct engine_packet *packet, uint8_t *l3,
	     uint32_t len, const union ip_addr *dst, bool by_neighbour)
{
	const struct nexthop_entry *nh =
		nexthop_find(engine->nexthop, dst, engine->now_ns);
	struct engine_port *port = NULL;

	if (nh->result == NEXTHOP_UNREACHABLE) {
		engine_drop(engine, packet, DROP_NO_ROUTE);
		return;
	}
	if (nh->result == NEXTHOP_RESOLVED)
		port = port_by_ifindex(engine, packet, nh->ifindex);
	if (port) {
		send_ethernet(engine, packet, port, l3, len, nh);
	} else if (!by_neighbour) {
		send_raw(engine, packet, l3, len);
	} else if (nh->result == NEXTHOP_UNRESOLVED) {
		poke(engine, dst);
		hold_for_neighbour(engine, packet, l3, len, dst);
	} else {
		engine_drop(engine, packet, DROP_NO_ROUTE);
	}
}

void emit_as_is(struct engine *engine, struct engine_packet *packet,
		uint32_t ifindex)
{
	struct engine_port *port = port_by_ifindex(engine, packet, ifindex);

	if (port)
		transmit(engine, packet, port, packet->data, packet->len);
	else
		engine_drop(engine, packet, DROP_NO_ROUTE);
}

void emit_back(struct engine *engine, struct engine_packet *packet,
	       uint8_t *l3, uint32_t len)
{
	uint32_t l2_len = packet->meta.l3_off;
	uint8_t *l2 = l3 - l2_len;

	if (!packet->port->used) {
		engine_drop(engine, packet, DROP_NO_ROUTE);
		return;
	}
	memcpy(l2, packet->l2 + 6, 6);
	memcpy(l2 + 6, packet->l2, 6);
	memcpy(l2 + 12, packet->l2 + 12, l2_len - 12);
	transmit(engine, packet, packet->port, l2, len + l2_len);
}

static uint32_t overhead(const struct engine *engine,
			 const struct emit_plan *plan)
{
	bool v4 = ip_addr_is_v4(&plan->to.dst);

	switch (plan->mode) {
	case FWD_DSR_IPIP:
		return encap_len(v4, false, false);
	case FWD_DSR_GUE:
		return encap_len(v4, true, false);
	default:
		return 0;
	}
}

/* Puts the outer header before the packet; the new layer 3, or NULL. */
static uint8_t *encapsulate(struct engine *engine,
			    const struct engine_packet *packet,
			    const struct emit_plan *plan, uint32_t extra)
{
	uint8_t *l3 = packet->data + packet->pkt.l3_off - extra;
	struct encap e = {
		.src = plan->to.src,
		.dst = plan->to.dst,
		.inner_len = packet->pkt.l3_len,
		.hash = packet->meta.hash,
		.inner_v6 = !!(packet->pkt.flags & PKT_V6),
		.tos = packet->pkt.tos,
	};

	if (plan->mode == FWD_DSR_GUE)
		e.gue_port = engine->maps.conf->gue_port ?
				     engine->maps.conf->gue_port :
				     htons(6080);
	return encap_write(l3, packet->data + packet->len, &e) ? l3 : NULL;
}

void emit_forward(struct engine *engine, struct engine_packet *packet,
		  const struct emit_plan *plan)
{
	uint32_t extra = overhead(engine, plan);
	uint8_t *end = packet->data + packet->len;
	uint8_t *l3 = packet->data + packet->pkt.l3_off;
	const struct nexthop_entry *nh;
	bool ok;

	if (packet->pkt.ttl <= 1) {
		reply_ttl(engine, packet);
		return;
	}
	nh = nexthop_find(engine->nexthop, &plan->to.dst, engine->now_ns);
	if (nh->mtu && packet->pkt.l3_len + extra > nh->mtu) {
		reply_too_big(engine, packet, nh->mtu - extra);
		return;
	}
	if (plan->mode == FWD_NAT)
		ok = rewrite_nat(packet->data, end, &packet->pkt, &plan->to);
	else
		ok = rewrite_ttl(packet->data, end, &packet->pkt);
	if (ok && extra) {
		l3 = encapsulate(engine, packet, plan, extra);
		ok = l3 != NULL;
	}
	if (!ok) {
		engine_drop(engine, packet, DROP_BAD_PACKET);
		return;
	}
	emit_l3(engine, packet, l3, packet->pkt.l3_len + extra, &plan->to.dst,
		plan->mode == FWD_DSR_L2);
}
