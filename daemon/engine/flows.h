/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table from the engine's side: keys, look-up, insertion and removal
 * with the accounting that hangs on them (svc_load). bpf/flows.h is the same
 * for XDP; the algorithm is include/flowtab.h.
 */
#ifndef SLUICE_ENGINE_FLOWS_H
#define SLUICE_ENGINE_FLOWS_H

#include "engine/engine.h"

/* Key and hash of what a client's packet is found by. */
void flows_forward_key(const struct pkt *pkt, uint32_t vserver,
		       struct flow_key *ret);
/* … of what the service's answer is found by. */
void flows_reverse_key(const struct engine *engine, const union ip_addr *service,
		       __be16 service_port, uint32_t nat_index, __be16 nat_port,
		       uint8_t proto, struct flow_key *ret, uint32_t *ret_hash);
void flows_persist_key(const struct engine *engine, const union ip_addr *client,
		       uint32_t vserver, uint8_t proto, struct flow_key *ret,
		       uint32_t *ret_hash);
/* Hash of a client's address and port to a vserver. */
uint32_t flows_forward_hash(const struct engine *engine,
			    const union ip_addr *client, __be16 port,
			    uint32_t vserver);

struct flow *flows_find(const struct engine *engine, uint32_t hash,
			const struct flow_key *key, struct flow *ret_copy);

/* The twin of a NAT flow's entry, either direction, or NULL. */
struct flow *flows_find_twin(const struct engine *engine,
			     const struct flow *copy, struct flow *ret_twin);

/* Inserts and counts what it evicted. */
enum flowtab_result flows_insert(struct engine *engine,
				 const struct flow *entry,
				 struct flowtab_change *change);

/* Removes a generation of an entry; true if it was this call that did. */
bool flows_delete(struct engine *engine, struct flow *f,
		  const struct flow *copy);
/* Both directions. */
void flows_delete_pair(struct engine *engine, struct flow *f,
		       const struct flow *copy);

/* Ports of a later fragment from its first one; false: not known. */
bool flows_fragment_ports(const struct engine *engine, struct pkt *pkt);

#endif
