// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet memory and pools; see engine_memory.h. The daemon never reads the
 * packets: it maps them only while it registers them with the kernel.
 */
#include "control/engine_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/log.h"

void engine_memory_init(struct engine_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->umem_fd = memory->ctl_fd = -1;
	for (uint32_t p = 0; p < POOLS_MAX; p++)
		memory->base[p] = -1;
}

void engine_memory_deinit(struct engine_memory *memory)
{
	if (memory->frames)
		frames_deinit(memory->frames);
	free(memory->frames);
	for (uint32_t p = 0; p < POOLS_MAX; p++) {
		if (memory->base[p] >= 0)
			close(memory->base[p]);
	}
	if (memory->ctl)
		munmap(memory->ctl, memory->ctl_len);
	if (memory->ctl_fd >= 0)
		close(memory->ctl_fd);
	if (memory->umem_fd >= 0)
		close(memory->umem_fd);
	engine_memory_init(memory);
}

/* An engine shares these: their size is sealed, so that it cannot pull the
 * memory from under the daemon or the other engines. */
static int sealed_memfd(const char *name, size_t len, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int map_ctl(struct engine_memory *memory)
{
	void *map = mmap(NULL, memory->ctl_len, PROT_READ | PROT_WRITE,
			 MAP_SHARED, memory->ctl_fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	memory->ctl = map;
	memory->frames = calloc(1, sizeof(*memory->frames));
	return memory->frames ? 0 : -ENOMEM;
}

int engine_memory_create(struct engine_memory *memory, uint32_t queues,
			 uint32_t per_pool)
{
	uint64_t instance;
	int err;

	assert(!memory->ready);
	assert(queues && queues <= POOLS_MAX);
	memory->umem_len = ((size_t)queues * per_pool) << FRAME_SHIFT;
	memory->ctl_len = frames_ctl_len(queues * per_pool);
	if (getrandom(&instance, sizeof(instance), 0) != sizeof(instance))
		return -errno;
	err = sealed_memfd("sluice-umem", memory->umem_len, &memory->umem_fd);
	if (!err)
		err = sealed_memfd("sluice-engines", memory->ctl_len,
				   &memory->ctl_fd);
	if (!err)
		err = map_ctl(memory);
	if (!err)
		err = frames_ctl_init(memory->ctl, instance, queues * per_pool,
				      per_pool);
	if (err) {
		engine_memory_deinit(memory);
		return err;
	}
	frames_init(memory->frames, memory->ctl, FRAME_OWNER_DAEMON);
	memory->ready = true;
	return 0;
}

int engine_memory_adopt(struct engine_memory *memory, int umem_fd, int ctl_fd,
			size_t umem_len)
{
	struct stat umem, ctl;
	int err;

	assert(!memory->ready);
	if (fstat(umem_fd, &umem) || fstat(ctl_fd, &ctl))
		return -errno;
	memory->umem_len = (size_t)umem.st_size;
	memory->ctl_len = (size_t)ctl.st_size;
	memory->ctl_fd = ctl_fd;
	err = map_ctl(memory);
	if (!err && (!frames_ctl_valid(memory->ctl, memory->ctl_len) ||
		     umem_len != memory->umem_len ||
		     (size_t)memory->ctl->frames << FRAME_SHIFT != umem_len))
		err = -EPROTO;
	if (err) {
		memory->ctl_fd = -1;
		engine_memory_deinit(memory);
		return err;
	}
	memory->umem_fd = umem_fd;
	frames_init(memory->frames, memory->ctl, FRAME_OWNER_DAEMON);
	memory->ready = true;
	return 0;
}

int engine_memory_adopt_base(struct engine_memory *memory, uint32_t pool,
			     int base_fd)
{
	int err;

	if (!memory->ready || pool >= memory->frames->n_pools ||
	    !memory->ctl->pool[pool].used)
		return -EINVAL;
	if (memory->base[pool] >= 0)
		return -EEXIST;
	err = frames_pool_map(memory->frames, pool, base_fd);
	if (!err)
		memory->base[pool] = base_fd;
	return err;
}

int engine_memory_find(const struct engine_memory *memory, uint32_t iface,
		       uint32_t ifindex, uint32_t queue)
{
	if (!memory->ready)
		return -ENOENT;
	for (uint32_t p = 0; p < memory->frames->n_pools; p++) {
		const struct ctl_pool *cp = &memory->ctl->pool[p];

		if (cp->used && cp->iface == iface &&
		    cp->ifindex == ifindex && cp->queue == queue)
			return (int)p;
	}
	return -ENOENT;
}

static int open_base(struct engine_memory *memory, uint32_t ifindex,
		     uint32_t queue, int *ret_fd)
{
	uint32_t per_pool = 1u << memory->frames->pool_shift;
	void *umem;
	int err;

	for (uint32_t p = 0; p < memory->frames->n_pools; p++) {
		if (memory->base[p] < 0)
			continue;
		err = xsk_open_base(NULL, 0, FRAME_SIZE, memory->base[p],
				    ifindex, queue, per_pool, ret_fd);
		/* The base of an interface that was deleted: not bound any
		 * more, nothing can be shared with it. */
		if (err != -EBADF)
			return err;
	}
	umem = mmap(NULL, memory->umem_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		    memory->umem_fd, 0);
	if (umem == MAP_FAILED)
		return -errno;
	err = xsk_open_base(umem, memory->umem_len, FRAME_SIZE, -1, ifindex,
			    queue, per_pool, ret_fd);
	munmap(umem, memory->umem_len);
	return err;
}

int engine_memory_open_pool(struct engine_memory *memory, uint32_t iface,
			    uint32_t ifindex, uint32_t queue, uint64_t now_ms)
{
	struct ctl_pool *cp = NULL;
	uint32_t pool;
	int fd, err;

	assert(memory->ready);
	for (pool = 0; pool < memory->frames->n_pools; pool++) {
		cp = &memory->ctl->pool[pool];
		if (!cp->used)
			break;
	}
	if (pool == memory->frames->n_pools)
		return -ENOSPC;
	err = open_base(memory, ifindex, queue, &fd);
	if (err)
		return err;
	err = frames_pool_map(memory->frames, pool, fd);
	if (err) {
		close(fd);
		return err;
	}
	memory->base[pool] = fd;
	cp->iface = iface;
	cp->ifindex = ifindex;
	cp->queue = queue;
	cp->used = 1;
	frames_refill(memory->frames, now_ms);
	return (int)pool;
}

void engine_memory_close_pool(struct engine_memory *memory, uint32_t pool,
			      uint64_t now_ms)
{
	assert(memory->ready);
	frames_pool_unmap(memory->frames, pool);
	if (memory->base[pool] >= 0)
		close(memory->base[pool]);
	memory->base[pool] = -1;
	memory->ctl->pool[pool].used = 0;
	frames_retire_pool(memory->frames, pool, now_ms);
}

int engine_memory_open_socket(const struct engine_memory *memory,
			      uint32_t pool, int *ret_fd)
{
	const struct engine_ctl *ctl = memory->ctl;

	assert(memory->ready && memory->base[pool] >= 0);
	return xsk_open_engine(memory->base[pool], ctl->pool[pool].ifindex,
			       ctl->pool[pool].queue,
			       1u << memory->frames->pool_shift,
			       ENGINE_TX_RING, ret_fd);
}
