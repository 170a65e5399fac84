/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ours is a pinned bpf_link: nobody can take the program away by accident, it
 * outlives the daemon, and the kernel exchanges its program in one step. A
 * program set by `ip link` has no link; it is exchanged with
 * XDP_FLAGS_REPLACE, which fails if somebody else was faster.
 *
 * Order of looking: our pinned link; a program that is ours by id; a program
 * of our name (an object attached by hand, `ip link … xdp obj`); anything
 * else, a libxdp dispatcher as well, is foreign and refused.
 */
#include "bpf/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "bpf/bpffs.h"
#include "util/log.h"

#define PROGRAM_NAME "steer"

static int fail(struct config_error *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct config_error *e, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	return err;
}

static void link_path(char path[PATH_MAX], const char *bpffs, const char *name)
{
	snprintf(path, PATH_MAX, "%s/links/%s", bpffs, name);
}

/* Program on the interface: 0 with *ret_id 0 if there is none. */
static int query(uint32_t ifindex, uint32_t *ret_id, bool *ret_generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	int err = bpf_xdp_query(ifindex, 0, &opts);

	if (err)
		return err;
	*ret_id = opts.prog_id;
	*ret_generic = opts.attach_mode == XDP_ATTACHED_SKB;
	return 0;
}

/* ---- our own link ------------------------------------------------------ */

/* The pinned link if it still is on this interface; -1. */
static int find_link(const struct attach *a, uint32_t *ret_prog_id)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	link_path(path, a->bpffs, a->name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -1;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) &&
	    info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == a->ifindex) {
		*ret_prog_id = info.prog_id;
		return fd;
	}
	/* The interface went away and came back under another number. */
	close(fd);
	unlink(path);
	return -1;
}

static int create_link(struct attach *a, const struct loader_program *program,
		       uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	char path[PATH_MAX];
	int fd, err;

	fd = bpf_link_create(program->fd, a->ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return -errno;
	link_path(path, a->bpffs, a->name);
	err = bpffs_pin(fd, path);
	if (err) {
		close(fd); /* takes the program off again */
		return err;
	}
	a->link_fd = fd;
	a->how = ATTACH_LINK;
	a->generic = flags & XDP_FLAGS_SKB_MODE;
	return 0;
}

static int attach_link(struct attach *a, const struct loader_program *program,
		       struct config_error *e)
{
	int err;

	if (a->wish == CONFIG_ATTACH_GENERIC) {
		err = create_link(a, program, XDP_FLAGS_SKB_MODE);
		if (err)
			return fail(e, err,
				    "interface %s: cannot attach in generic mode: %s",
				    a->name, strerror(-err));
		return 0;
	}
	err = create_link(a, program, XDP_FLAGS_DRV_MODE);
	if (!err)
		return 0;
	if (a->wish == CONFIG_ATTACH_NATIVE || err == -EBUSY)
		return fail(e, err,
			    "interface %s: cannot attach in native mode: %s%s",
			    a->name, strerror(-err),
			    err == -EBUSY ? "" :
					    "; \"attach\": \"auto\" falls back to generic mode");
	snprintf(a->note, sizeof(a->note),
		 "generic: the driver refuses native mode (%s)",
		 strerror(-err));
	err = create_link(a, program, XDP_FLAGS_SKB_MODE);
	if (err)
		return fail(e, err,
			    "interface %s: cannot attach in native (%s) nor in generic mode: %s",
			    a->name, a->note, strerror(-err));
	log_warn("interface %s: %s: slower", a->name, a->note);
	return 0;
}

/* ---- a program that is there already ----------------------------------- */

struct found {
	int fd; /* -1: cannot be opened */
	char name[BPF_OBJ_NAME_LEN];
};

static struct found open_found(uint32_t id, const char *bpffs)
{
	struct found found = { .fd = -1, .name = "?" };
	struct bpf_prog_info info = { 0 };
	struct loader_program pinned;
	uint32_t len = sizeof(info);

	/* By its pin first: opening by number needs CAP_SYS_ADMIN. */
	if (!loader_pinned(bpffs, &pinned)) {
		if (pinned.id == id)
			found.fd = pinned.fd;
		else
			loader_release(&pinned);
	}
	if (found.fd < 0)
		found.fd = bpf_prog_get_fd_by_id(id);
	if (found.fd >= 0 && !bpf_obj_get_info_by_fd(found.fd, &info, &len))
		memcpy(found.name, info.name, sizeof(found.name));
	return found;
}

static int replace_netlink(struct attach *a, int old_fd, int new_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = old_fd);
	uint32_t flags = XDP_FLAGS_REPLACE;

	flags |= a->generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	return bpf_xdp_attach(a->ifindex, new_fd, flags, &opts);
}

static int adopt_found(struct attach *a, const char *bpffs, uint32_t id,
		       struct config_error *e)
{
	struct found found = open_found(id, bpffs);

	if (found.fd < 0)
		return fail(e, -EBUSY,
			    "interface %s already has XDP program %u, which is not ours; remove it: ip link set dev %s xdp off",
			    a->name, id, a->name);
	if (strcmp(found.name, PROGRAM_NAME)) {
		close(found.fd);
		return fail(e, -EBUSY,
			    "interface %s already has XDP program %u (%s), which is not ours; remove it: ip link set dev %s xdp off",
			    a->name, id, found.name, a->name);
	}
	a->prog_fd = found.fd;
	a->prog_id = id;
	a->how = ATTACH_NETLINK;
	a->adopted = true;
	return 0;
}

int attach_new(struct attach *ret, const char *bpffs,
	       const struct config_interface *config,
	       const struct loader_program *program, struct config_error *e)
{
	struct attach a = { .bpffs = bpffs,
			    .wish = config->attach,
			    .link_fd = -1,
			    .prog_fd = -1 };
	uint32_t id = 0;
	bool generic;
	int err;

	memcpy(a.name, config->name, sizeof(a.name));
	a.ifindex = if_nametoindex(a.name);
	if (!a.ifindex)
		return fail(e, -ENODEV, "interface %s: there is none", a.name);
	err = query(a.ifindex, &id, &generic);
	if (err)
		return fail(e, err, "interface %s: cannot query XDP: %s",
			    a.name, strerror(-err));
	a.link_fd = find_link(&a, &a.prog_id);
	if (a.link_fd >= 0) {
		a.how = ATTACH_LINK;
		a.adopted = true;
		a.generic = generic;
		err = attach_swap(&a, program, e);
	} else if (id) {
		a.generic = generic;
		err = adopt_found(&a, bpffs, id, e);
		if (!err)
			err = attach_swap(&a, program, e);
	} else if (a.wish == CONFIG_ATTACH_ADOPT) {
		snprintf(a.note, sizeof(a.note),
			 "waiting for: ip link set dev %s xdp pinned %.80s/progs/steer",
			 a.name, bpffs);
		log_notice("interface %s: %s", a.name, a.note);
	} else {
		err = attach_link(&a, program, e);
		a.prog_id = program->id;
		if (!err)
			log_info("interface %s: program %u attached, %s mode",
				 a.name, program->id,
				 a.generic ? "generic" : "native");
	}
	if (err) {
		attach_release(&a);
		return err;
	}
	if (a.adopted)
		log_info("interface %s: adopted, %s, %s mode", a.name,
			 attach_how_name(a.how),
			 a.generic ? "generic" : "native");
	*ret = a;
	return 0;
}

/* ---- later ------------------------------------------------------------- */

int attach_swap(struct attach *a, const struct loader_program *program,
		struct config_error *e)
{
	int fd, err = 0;

	switch (a->how) {
	case ATTACH_LINK:
		if (bpf_link_update(a->link_fd, program->fd, NULL))
			err = -errno;
		break;
	case ATTACH_NETLINK:
		err = replace_netlink(a, a->prog_fd, program->fd);
		break;
	case ATTACH_NOTHING:
		if (a->wish == CONFIG_ATTACH_ADOPT || attach_is_gone(a))
			return 0;
		a->note[0] = '\0';
		err = attach_link(a, program, e);
		if (!err)
			a->prog_id = program->id;
		return err;
	}
	if (err)
		return fail(e, err,
			    "interface %s: cannot exchange program %u for %u: %s",
			    a->name, a->prog_id, program->id, strerror(-err));
	a->prog_id = program->id;
	if (a->how == ATTACH_NETLINK) {
		fd = dup(program->fd);
		if (a->prog_fd >= 0)
			close(a->prog_fd);
		a->prog_fd = fd;
	}
	return 0;
}

bool attach_is_gone(const struct attach *a)
{
	return if_nametoindex(a->name) != a->ifindex;
}

bool attach_check(struct attach *a, const struct loader_program *program)
{
	uint32_t id;
	bool generic;

	if (a->how != ATTACH_NOTHING && attach_is_gone(a)) {
		log_warn("interface %s is gone", a->name);
		attach_release(a);
		snprintf(a->note, sizeof(a->note), "the interface is gone");
		return true;
	}
	if (a->how == ATTACH_LINK || query(a->ifindex, &id, &generic))
		return false;
	if (a->how == ATTACH_NOTHING && id == program->id) {
		a->how = ATTACH_NETLINK;
		a->adopted = true;
		a->generic = generic;
		a->prog_id = id;
		a->prog_fd = dup(program->fd);
		a->note[0] = '\0';
		log_info("interface %s: adopted what ip link attached, %s mode",
			 a->name, generic ? "generic" : "native");
		return true;
	}
	if (a->how == ATTACH_NETLINK && id != a->prog_id) {
		log_warn("interface %s: somebody took program %u away%s",
			 a->name, a->prog_id,
			 id ? " and set another" : "");
		if (a->prog_fd >= 0)
			close(a->prog_fd);
		a->prog_fd = -1;
		a->prog_id = 0;
		a->how = ATTACH_NOTHING;
		snprintf(a->note, sizeof(a->note),
			 "program was taken away: sluice datapath swap, or ip link, attaches it again");
		return true;
	}
	return false;
}

int attach_remove(struct attach *a)
{
	char path[PATH_MAX];
	int err = 0;

	switch (a->how) {
	case ATTACH_LINK:
		link_path(path, a->bpffs, a->name);
		if (unlink(path) && errno != ENOENT)
			err = -errno;
		/* Others may hold the link open: this detaches it. */
		if (bpf_link_detach(a->link_fd) && errno != ENOLINK)
			err = err ? err : -errno;
		break;
	case ATTACH_NETLINK:
		err = replace_netlink(a, a->prog_fd, -1);
		break;
	case ATTACH_NOTHING:
		break;
	}
	attach_release(a);
	return err;
}

void attach_release(struct attach *a)
{
	if (a->link_fd >= 0)
		close(a->link_fd);
	if (a->prog_fd >= 0)
		close(a->prog_fd);
	a->link_fd = a->prog_fd = -1;
	a->how = ATTACH_NOTHING;
}

const char *attach_how_name(enum attach_how how)
{
	switch (how) {
	case ATTACH_NOTHING:
		return "none";
	case ATTACH_LINK:
		return "link";
	case ATTACH_NETLINK:
		return "ip-link";
	}
	return "?";
}

/* ---- without daemon ---------------------------------------------------- */

static int remove_links(const char *bpffs)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int fd, err = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/links", bpffs);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		link_path(path, bpffs, entry->d_name);
		fd = bpf_obj_get(path);
		if (fd >= 0 && bpf_link_detach(fd) && errno != ENOLINK)
			err = -errno;
		if (fd >= 0)
			close(fd);
	}
	closedir(d);
	return err;
}

int attach_remove_pinned(const char *bpffs)
{
	struct if_nameindex *all, *i;
	struct loader_program pinned;
	struct attach a;
	int err = remove_links(bpffs), rc;
	uint32_t id;

	if (loader_pinned(bpffs, &pinned))
		return err;
	all = if_nameindex();
	for (i = all; i && i->if_index; i++) {
		a = (struct attach){ .ifindex = i->if_index };
		if (query(a.ifindex, &id, &a.generic) || id != pinned.id)
			continue;
		rc = replace_netlink(&a, pinned.fd, -1);
		if (rc && !err)
			err = rc;
	}
	if (all)
		if_freenameindex(all);
	loader_release(&pinned);
	return err;
}
