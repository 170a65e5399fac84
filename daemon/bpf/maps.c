/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opens pins and maps memory. Never creates a map: that is the loader's, with
 * the program that defines them.
 */
#include "bpf/maps.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util/log.h"

const char *const maps_names[MAPS_N] = {
#define MAPS_X(name, mapped) #name,
	MAPS(MAPS_X)
#undef MAPS_X
};

static const char maps_mapped[MAPS_N] = {
#define MAPS_X(name, mapped) mapped,
	MAPS(MAPS_X)
#undef MAPS_X
};

static int open_one(struct maps *maps, const char *dir, int i)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	size_t page = sysconf(_SC_PAGESIZE), bytes;
	void *p;

	snprintf(path, sizeof(path), "%s/%s", dir, maps_names[i]);
	maps->fd[i] = bpf_obj_get(path);
	if (maps->fd[i] < 0 || bpf_obj_get_info_by_fd(maps->fd[i], &info, &len))
		return -errno;
	if (i == MAPS_flows)
		maps->flow_sets = info.max_entries;
	if (!maps_mapped[i])
		return 0;
	bytes = (size_t)((info.value_size + 7) & ~7u) * info.max_entries;
	bytes = (bytes + page - 1) & ~(page - 1);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps->fd[i],
		 0);
	if (p == MAP_FAILED)
		return -errno;
	maps->memory[i] = p;
	maps->bytes[i] = bytes;
	return 0;
}

void maps_assign(struct maps *maps)
{
	maps->conf = maps->memory[MAPS_conf];
	maps->vips = maps->memory[MAPS_vips];
	maps->vservers = maps->memory[MAPS_vservers];
	maps->services = maps->memory[MAPS_services];
	maps->svc_load = maps->memory[MAPS_svc_load];
	maps->members = maps->memory[MAPS_members];
	maps->engines = maps->memory[MAPS_engines];
	maps->nodes = maps->memory[MAPS_nodes];
	maps->flows = maps->memory[MAPS_flows];
}

int maps_open(struct maps *maps, const char *dir)
{
	int i, err;

	*maps = (struct maps){ .cpus = libbpf_num_possible_cpus() };
	for (i = 0; i < MAPS_N; i++)
		maps->fd[i] = -1;
	if (maps->cpus <= 0)
		return maps->cpus ? maps->cpus : -EINVAL;
	for (i = 0; i < MAPS_N; i++) {
		err = open_one(maps, dir, i);
		if (err) {
			log_err("cannot use map %s/%s: %s", dir, maps_names[i],
				strerror(-err));
			maps_close(maps);
			return err;
		}
	}
	maps_assign(maps);
	return 0;
}

void maps_close(struct maps *maps)
{
	int i;

	for (i = 0; i < MAPS_N; i++) {
		if (maps->memory[i])
			munmap(maps->memory[i], maps->bytes[i]);
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
		maps->memory[i] = NULL;
		maps->fd[i] = -1;
	}
	maps_assign(maps);
}

int maps_percpu(const struct maps *maps, enum maps_id id, uint32_t key,
		size_t n, uint64_t *ret, uint64_t *each)
{
	uint64_t values[8 * 1024];
	size_t i, c;

	if (n * maps->cpus > sizeof(values) / sizeof(*values))
		return -E2BIG;
	if (bpf_map_lookup_elem(maps->fd[id], &key, values))
		return -errno;
	memset(ret, 0, n * sizeof(*ret));
	for (c = 0; c < (size_t)maps->cpus; c++) {
		for (i = 0; i < n; i++)
			ret[i] += values[c * n + i];
	}
	if (each)
		memcpy(each, values, n * maps->cpus * sizeof(*values));
	return 0;
}
