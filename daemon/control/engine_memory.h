/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node's packet memory and its pools: one memfd registered as UMEM, the
 * control memory beside it (engine/ctl.h), and a base socket per (interface,
 * queue) that keeps the queue's pool alive. Made by the daemon or taken over
 * from engines that outlived a daemon. Loop thread; nothing here waits.
 */
#ifndef SLUICE_ENGINE_MEMORY_H
#define SLUICE_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/frames.h"

struct engine_memory {
	bool ready;
	int umem_fd;
	int ctl_fd;
	size_t umem_len;
	size_t ctl_len;
	struct engine_ctl *ctl;
	struct frames *frames; /* the daemon's view */
	int base[POOLS_MAX];   /* base socket; -1: none */
};

void engine_memory_init(struct engine_memory *memory);
void engine_memory_deinit(struct engine_memory *memory);

/* Fresh memory for QUEUES pools of PER_POOL frames each. 0 or -errno. */
int engine_memory_create(struct engine_memory *memory, uint32_t queues,
			 uint32_t per_pool);

/* Takes over what an engine holds; the descriptors are taken on success only.
 * -EPROTO: not memory of this version. */
int engine_memory_adopt(struct engine_memory *memory, int umem_fd, int ctl_fd,
			size_t umem_len);
/* The base socket of POOL, as an engine has it. Taken on success only;
 * -EEXIST: known already, -EINVAL: there is no such pool. */
int engine_memory_adopt_base(struct engine_memory *memory, uint32_t pool,
			     int base_fd);

/* Pool of that queue, or -ENOENT. */
int engine_memory_find(const struct engine_memory *memory, uint32_t iface,
		       uint32_t ifindex, uint32_t queue);

/* Makes a pool with a filled ring. Returns its number, -ENOSPC, -errno. */
int engine_memory_open_pool(struct engine_memory *memory, uint32_t iface,
			    uint32_t ifindex, uint32_t queue, uint64_t now_ms);

/* No engine has sockets on POOL any more: it ends. */
void engine_memory_close_pool(struct engine_memory *memory, uint32_t pool,
			      uint64_t now_ms);

/* A socket for an engine on POOL; the caller's. 0 or -errno. */
int engine_memory_open_socket(const struct engine_memory *memory,
			      uint32_t pool, int *ret_fd);

#endif
