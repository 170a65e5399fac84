/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared status of probers, see status_table.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "health/status_table.h"

int status_table_map(int fd, struct status_table **ret)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st))
		return -errno;
	/* A shorter file would mean SIGBUS later. */
	if (st.st_size < (off_t)sizeof(struct status_table))
		return -EINVAL;
	p = mmap(NULL, sizeof(struct status_table), PROT_READ | PROT_WRITE,
		 MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

int status_table_create(int *ret_fd, struct status_table **ret)
{
	int fd = memfd_create("sluice-probers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct status_table)) ||
	    /* A prober must not be able to cut it under the daemon. */
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		r = -errno;
		close(fd);
		return r;
	}
	r = status_table_map(fd, ret);
	if (r) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

void status_table_unmap(struct status_table *table)
{
	if (table)
		munmap(table, sizeof(*table));
}

uint32_t status_table_late_us(const struct status_prober *prober,
			      unsigned int permille)
{
	uint64_t total = 0, sum = 0;

	for (int i = 0; i < STATUS_LATE_BUCKETS; i++)
		total += prober->late[i];
	if (!total)
		return 0;
	for (int i = 0; i < STATUS_LATE_BUCKETS; i++) {
		sum += prober->late[i];
		if (sum * 1000 >= total * permille)
			return 1u << i;
	}
	return UINT32_MAX;
}
