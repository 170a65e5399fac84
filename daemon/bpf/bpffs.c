/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and locks only; what is pinned is the business of loader.c and
 * attach.c.
 */
#include "bpf/bpffs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "util/log.h"

#define SYSTEM_BPFFS "/sys/fs/bpf"

static const char *const folders[] = { "progs", "maps", "links" };

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int make_path(const char *path)
{
	char part[PATH_MAX], *slash;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	for (slash = strchr(part + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(part, 0755) && errno != EEXIST ? -errno : 0;
}

static int mount_bpffs(const char *dir, struct config_error *e)
{
	const char *where = dir;
	size_t n = strlen(SYSTEM_BPFFS);
	int err;

	if (!strncmp(dir, SYSTEM_BPFFS, n) && (!dir[n] || dir[n] == '/'))
		where = SYSTEM_BPFFS;
	if (is_bpffs(where))
		return 0;
	err = make_path(where);
	if (!err && mount("bpf", where, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "mode=0755"))
		err = -errno;
	if (err) {
		snprintf(e->text, sizeof(e->text),
			 "no BPF file system at %s and none can be mounted: %s; run: mount -t bpf bpf %s",
			 where, strerror(-err), where);
		return err;
	}
	log_notice("mounted a BPF file system at %s", where);
	return 0;
}

int bpffs_open(const char *dir, int *ret_lock, struct config_error *e)
{
	char path[PATH_MAX];
	size_t i;
	int fd, err = 0;

	/* It may exist, or lie on a BPF file system that does. */
	if (make_path(dir) || !is_bpffs(dir)) {
		err = mount_bpffs(dir, e);
		if (err)
			return err;
		err = make_path(dir);
	}
	for (i = 0; i < sizeof(folders) / sizeof(*folders) && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		if (mkdir(path, 0755) && errno != EEXIST)
			err = -errno;
	}
	if (err) {
		snprintf(e->text, sizeof(e->text), "cannot make %s: %s", dir,
			 strerror(-err));
		return err;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		snprintf(e->text, sizeof(e->text),
			 err == -EBUSY ?
				 "%s is in use by another sluiced: give each its own --bpffs" :
				 "cannot lock %s",
			 dir);
		if (fd >= 0)
			close(fd);
		return err;
	}
	*ret_lock = fd;
	return 0;
}

int bpffs_pin(int fd, const char *path)
{
	char temporary[PATH_MAX];

	/* bpffs refuses names with dots. */
	snprintf(temporary, sizeof(temporary), "%s-next", path);
	if (unlink(temporary) && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, temporary))
		return -errno;
	if (rename(temporary, path)) {
		int err = -errno;

		unlink(temporary);
		return err;
	}
	return 0;
}

static int empty(const char *dir)
{
	char path[PATH_MAX + NAME_MAX + 2];
	struct dirent *entry;
	DIR *d = NULL;
	int err = 0, tries;

	/* A lack of memory is often why all is taken down: nothing is to be
	 * left behind for want of a few bytes. */
	for (tries = 0; tries < 3 && !d; tries++) {
		d = opendir(dir);
		if (!d && errno != ENOMEM)
			return errno == ENOENT ? 0 : -errno;
	}
	if (!d)
		return -ENOMEM;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (unlink(path) && errno != ENOENT && !err)
			err = -errno;
	}
	closedir(d);
	if (rmdir(dir) && errno != ENOENT && !err)
		err = -errno;
	return err;
}

int bpffs_remove(const char *dir)
{
	char path[PATH_MAX];
	size_t i;
	int err = 0, rc;

	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		rc = empty(path);
		if (rc && !err)
			err = rc;
	}
	/* A mount point, or one with other things in it, stays. */
	if (rmdir(dir) && errno != ENOENT && errno != EBUSY &&
	    errno != ENOTEMPTY && !err)
		err = -errno;
	return err;
}
