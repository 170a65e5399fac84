/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pinned maps as the daemon uses them: descriptors of all, memory of those
 * that can be mapped. Values of array maps lie 8 bytes apart or more, so small
 * ones are reached by functions.
 */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <stddef.h>
#include <stdint.h>
#include "flow.h"
#include "map_abi.h"

/* X(name, memory mapped) */
#define MAPS(X)                                                                \
	X(conf, 1)                                                             \
	X(vips, 1)                                                             \
	X(vservers, 1)                                                         \
	X(services, 1)                                                         \
	X(svc_load, 1)                                                         \
	X(members, 1)                                                          \
	X(lb_table, 1)                                                         \
	X(node_bkts, 1)                                                        \
	X(core_bkts, 1)                                                        \
	X(nodes, 1)                                                            \
	X(engines, 1)                                                          \
	X(flows, 1)                                                            \
	X(counters, 0)                                                         \
	X(vs_stats, 0)                                                         \
	X(svc_stats, 0)                                                        \
	X(xsks, 0)                                                             \
	X(ifaces, 0)                                                           \
	X(ports, 0)

enum maps_id {
#define MAPS_X(name, mapped) MAPS_##name,
	MAPS(MAPS_X)
#undef MAPS_X
		MAPS_N
};

struct maps {
	int fd[MAPS_N];
	void *memory[MAPS_N];
	size_t bytes[MAPS_N];
	/* The same, typed. */
	struct dp_conf *conf;
	struct vip_bucket *vips;
	struct vserver *vservers;
	struct service *services;
	struct svc_load *svc_load;
	struct member *members;
	struct engine_info *engines;
	struct node_info *nodes;
	struct flow_set *flows;
	uint32_t flow_sets;
	int cpus; /* possible ones: values of per-CPU maps */
};

extern const char *const maps_names[MAPS_N];

/* Opens and maps what is pinned below DIR (BPFFS/maps). 0 or -errno (logged).
 * *MAPS need not be initialized. */
int maps_open(struct maps *maps, const char *dir);
void maps_close(struct maps *maps);

/* Sets the typed pointers from memory[]. */
void maps_assign(struct maps *maps);

/* Element I of the maps whose values are smaller than their distance. */
static inline uint32_t *maps_lb(const struct maps *maps, uint32_t i)
{
	return (uint32_t *)((char *)maps->memory[MAPS_lb_table] +
			    (size_t)i * 8);
}

static inline struct node_bucket *maps_node_bucket(const struct maps *maps,
						   uint32_t i)
{
	return (struct node_bucket *)((char *)maps->memory[MAPS_node_bkts] +
				      (size_t)i * 8);
}

static inline struct core_bucket *maps_core_bucket(const struct maps *maps,
						   uint32_t i)
{
	return (struct core_bucket *)((char *)maps->memory[MAPS_core_bkts] +
				      (size_t)i * 8);
}

/* Sum over all CPUs of a per-CPU value of N words; RET[N]. With EACH, the
 * values of CPU c go to EACH[c * N …]. 0 or -errno. */
int maps_percpu(const struct maps *maps, enum maps_id id, uint32_t key,
		size_t n, uint64_t *ret, uint64_t *each);

#endif
