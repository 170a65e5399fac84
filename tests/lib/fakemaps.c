/* SPDX-License-Identifier: GPL-2.0-only */
#include "fakemaps.h"

#include <stdlib.h>
#include <sys/mman.h>
#include "limits.h"

static void give(struct maps *maps, enum maps_id id, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	maps->memory[id] = p;
	maps->bytes[id] = bytes;
}

void fakemaps_init(struct maps *maps, uint32_t flow_sets)
{
	int i;

	*maps = (struct maps){ .flow_sets = flow_sets, .cpus = 1 };
	for (i = 0; i < MAPS_N; i++)
		maps->fd[i] = -1;
	give(maps, MAPS_conf, sizeof(struct dp_conf));
	give(maps, MAPS_vips, sizeof(struct vip_bucket) * VIP_BUCKETS);
	give(maps, MAPS_vservers, sizeof(struct vserver) * VSERVERS_MAX);
	give(maps, MAPS_services, sizeof(struct service) * SERVICES_MAX);
	give(maps, MAPS_svc_load, sizeof(struct svc_load) * SERVICES_MAX);
	give(maps, MAPS_members, sizeof(struct member) * MEMBERS_MAX);
	give(maps, MAPS_lb_table, 8ul * LB_ENTRIES_MAX);
	give(maps, MAPS_node_bkts, 8ul * NODE_BUCKETS);
	give(maps, MAPS_core_bkts, 8ul * CORE_BUCKETS);
	give(maps, MAPS_nodes, sizeof(struct node_info) * NODES_MAX);
	give(maps, MAPS_engines, sizeof(struct engine_info) * ENGINES_MAX);
	give(maps, MAPS_flows, sizeof(struct flow_set) * flow_sets);
	maps_assign(maps);
}

void fakemaps_deinit(struct maps *maps)
{
	int i;

	for (i = 0; i < MAPS_N; i++) {
		if (maps->memory[i])
			munmap(maps->memory[i], maps->bytes[i]);
	}
}

uint64_t fakemaps_digest(const struct maps *maps)
{
	uint64_t h = 1;
	size_t i;
	int m;

	for (m = 0; m < MAPS_N; m++) {
		const uint64_t *p = maps->memory[m];

		for (i = 0; p && i < maps->bytes[m] / 8; i++)
			h = (h ^ p[i]) * 0x9e3779b97f4a7c15ull + (h >> 29);
	}
	return h;
}
