/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Publishing: makes the pinned maps say what a configuration says. The one
 * writer of vips, vservers, services, members and lb_table, and of the NAT and
 * tunnel part of conf.
 *
 * A publication has two halves. publish_prepare() does all that can fail:
 * numbers, ranges, places. publish_commit() only stores words, in an order in
 * which every packet in between sees either the old or the new meaning:
 *   services → tables → vservers → conf → new VIPs → old VIPs out
 *   → old vservers and services become "leaving" → generation
 * Old ranges rest for a grace period, old numbers until no flow entry
 * mentions them (flow_scan.h).
 */
#ifndef SLUICE_PUBLISH_H
#define SLUICE_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/ids.h"
#include "bpf/maps.h"
#include "config/config.h"

struct publish;

/* What the configuration leaves to the machine, filled in (publish_addrs). */
struct publish_addrs {
	union ip_addr nat[NAT_ADDRS_MAX]; /* by index: position is meaning */
	uint32_t n_nat;
	union ip_addr tunnel_src4, tunnel_src6; /* all zero: none */
};

/* Effective state of a service, asked at commit. FRESH: not published before;
 * otherwise BEFORE is what the map says. */
typedef enum svc_state publish_state_of(void *ctx,
					const struct config_service *service,
					bool fresh, enum svc_state before);

/* Takes over what a former daemon published. MAPS is borrowed. 0 or -errno. */
int publish_new(struct maps *maps, struct publish **ret);
void publish_free(struct publish *publish);

/* 0, or -errno with *e filled. CONFIG is borrowed until another one has been
 * committed. After success, one of commit and abort must follow. */
int publish_prepare(struct publish *publish, const struct config *config,
		    const struct publish_addrs *addrs, struct config_error *e);
void publish_abort(struct publish *publish);
void publish_commit(struct publish *publish, publish_state_of *state_of,
		    void *ctx);

/* Changes of a published service. -ENOENT: unknown. Engines and XDP see the
 * service's words at once; tables follow with publish_flush(). */
int publish_service_state(struct publish *publish, uint64_t entity,
			  enum svc_state state);
/* SCALE: 1..256, as struct service's weight_scale. */
int publish_service_weight(struct publish *publish, uint64_t entity,
			   uint16_t scale);
int publish_service_response(struct publish *publish, uint64_t entity,
			     uint32_t response_us);
int publish_service_load(struct publish *publish, uint64_t entity,
			 uint32_t load);

/* Rebuilds tables of changed services, for BUDGET_NS at most. Returns whether
 * some remain. */
bool publish_flush(struct publish *publish, uint64_t budget_ns);

/* Numbers in the maps; 0: not published. */
uint32_t publish_service_id(const struct publish *publish, uint64_t entity);
/* Index of a published service in the configuration. False: not in it. */
bool publish_service_index(const struct publish *publish, uint64_t entity,
			   uint32_t *ret);
uint32_t publish_vserver_id(const struct publish *publish, uint64_t entity);

struct ids *publish_service_ids(struct publish *publish);
struct ids *publish_vserver_ids(struct publish *publish);
/* A leaving number that no flow mentions any more. */
void publish_forget_service(struct publish *publish, uint32_t id);
void publish_forget_vserver(struct publish *publish, uint32_t id);

#endif
