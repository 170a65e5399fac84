/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ours is a pinned bpf_link: nobody can take the program away by accident, it
 * outlives the daemon, and the kernel exchanges its program in one step. A
 * program set by `ip link` has no link; it is exchanged with
 * XDP_FLAGS_REPLACE, which fails if somebody else was faster.
 *
 * Order of looking: our pinned link; a libxdp dispatcher, which ours joins
 * unless it is in there; a program that is ours by id; a program of our name
 * (an object attached by hand, `ip link … xdp obj`); anything else is foreign
 * and refused.
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
#include "bpf/dispatcher.h"
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

static int refuse_found(const struct attach *a, uint32_t id, const char *name,
			struct config_error *e)
{
	return fail(e, -EBUSY,
		    "interface %s already has XDP program %u (%s), which is not ours; remove it: ip link set dev %s xdp off",
		    a->name, id, name, a->name);
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

	if (found.fd < 0 || strcmp(found.name, PROGRAM_NAME)) {
		if (found.fd >= 0)
			close(found.fd);
		return refuse_found(a, id, found.name, e);
	}
	a->prog_fd = found.fd;
	a->prog_id = id;
	a->how = ATTACH_NETLINK;
	a->adopted = true;
	return 0;
}

/* ---- a dispatcher ------------------------------------------------------ */

static int set_current(struct attach *a, const struct loader_program *program,
		       struct config_error *e)
{
	int err = dispatcher_set(a->bpffs, program->fd);

	if (err)
		return fail(e, err,
			    "interface %s: cannot set program %u in %s/maps/current: %s",
			    a->name, program->id, a->bpffs, strerror(-err));
	a->how = ATTACH_DISPATCHER;
	a->prog_id = program->id;
	return 0;
}

/* Into the dispatcher that is there, or a new one. */
static int join_dispatcher(struct attach *a,
			   const struct loader_program *program,
			   struct config_error *e)
{
	int err = set_current(a, program, e);

	if (!err)
		err = dispatcher_join(a->bpffs, a->name, a->ifindex, a->generic,
				      e);
	if (err)
		a->how = ATTACH_NOTHING;
	return err;
}

/* A dispatcher has one mode, which its first member has chosen. */
static int check_mode(const struct attach *a, struct config_error *e)
{
	if ((a->wish == CONFIG_ATTACH_NATIVE && a->generic) ||
	    (a->wish == CONFIG_ATTACH_GENERIC && !a->generic))
		return fail(e, -EBUSY,
			    "interface %s has a libxdp dispatcher in %s mode, the configuration asks for %s mode: unload it (xdp-loader unload %s --all) or set \"attach\": \"auto\"",
			    a->name, a->generic ? "generic" : "native",
			    a->generic ? "native" : "generic", a->name);
	return 0;
}

static int enter_dispatcher(struct attach *a, uint32_t id,
			    const struct loader_program *program,
			    struct config_error *e)
{
	int fd = dispatcher_find(a->bpffs, a->ifindex, id), err;

	if (fd >= 0) {
		close(fd);
		a->adopted = true;
		return set_current(a, program, e);
	}
	if (a->wish == CONFIG_ATTACH_ADOPT)
		return refuse_found(a, id, "xdp_dispatcher", e);
	err = check_mode(a, e);
	return err ? err : join_dispatcher(a, program, e);
}

/* ---- beginning --------------------------------------------------------- */

/* A dispatcher of our own: in native mode, or else in generic mode. */
static int start_dispatcher(struct attach *a,
			    const struct loader_program *program,
			    struct config_error *e)
{
	struct config_error ignored;
	int err = join_dispatcher(a, program, e);

	if (!err)
		return 0;
	a->generic = true;
	if (join_dispatcher(a, program, &ignored))
		return err;
	snprintf(a->note, sizeof(a->note),
		 "generic: the driver refuses native mode (%s)",
		 strerror(-err));
	log_warn("interface %s: %s: slower", a->name, a->note);
	return 0;
}

static int attach_first(struct attach *a, const struct loader_program *program,
			struct config_error *e)
{
	int err;

	a->generic = false;
	if (a->wish == CONFIG_ATTACH_DISPATCHER)
		return start_dispatcher(a, program, e);
	err = attach_link(a, program, e);
	if (!err)
		a->prog_id = program->id;
	return err;
}

static void wait_for_ip_link(struct attach *a)
{
	snprintf(a->note, sizeof(a->note),
		 "waiting for: ip link set dev %s xdp pinned %.80s/progs/steer",
		 a->name, a->bpffs);
	log_notice("interface %s: %s", a->name, a->note);
}

/* Decides by what is there; ID is the program on the interface, or 0. */
static int begin(struct attach *a, uint32_t id,
		 const struct loader_program *program, struct config_error *e)
{
	int err;

	a->link_fd = find_link(a, &a->prog_id);
	if (a->link_fd >= 0) {
		a->how = ATTACH_LINK;
		a->adopted = true;
		return attach_swap(a, program, e);
	}
	if (dispatcher_is(a->ifindex, id))
		return enter_dispatcher(a, id, program, e);
	if (id) {
		err = adopt_found(a, a->bpffs, id, e);
		return err ? err : attach_swap(a, program, e);
	}
	if (a->wish != CONFIG_ATTACH_ADOPT)
		return attach_first(a, program, e);
	wait_for_ip_link(a);
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
	int err;

	memcpy(a.name, config->name, sizeof(a.name));
	a.ifindex = if_nametoindex(a.name);
	if (!a.ifindex)
		return fail(e, -ENODEV, "interface %s: there is none", a.name);
	err = query(a.ifindex, &id, &a.generic);
	if (err)
		return fail(e, err, "interface %s: cannot query XDP: %s",
			    a.name, strerror(-err));
	err = begin(&a, id, program, e);
	if (err) {
		attach_release(&a);
		return err;
	}
	if (a.how != ATTACH_NOTHING)
		log_info("interface %s: program %u %s, %s, %s mode", a.name,
			 program->id, a.adopted ? "adopted" : "attached",
			 attach_how_name(a.how),
			 a.generic ? "generic" : "native");
	*ret = a;
	return 0;
}

/* ---- later ------------------------------------------------------------- */

/* Where it was taken away. */
static int attach_again(struct attach *a, const struct loader_program *program,
			struct config_error *e)
{
	uint32_t id;
	bool generic;

	if (a->wish == CONFIG_ATTACH_ADOPT || attach_is_gone(a))
		return 0;
	a->note[0] = '\0';
	if (!query(a->ifindex, &id, &generic) && dispatcher_is(a->ifindex, id)) {
		a->generic = generic;
		return enter_dispatcher(a, id, program, e);
	}
	return attach_first(a, program, e);
}

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
	case ATTACH_DISPATCHER:
		return set_current(a, program, e);
	case ATTACH_NOTHING:
		return attach_again(a, program, e);
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

static void taken_away(struct attach *a, bool other)
{
	log_warn("interface %s: somebody took program %u away%s", a->name,
		 a->prog_id, other ? " and set another" : "");
	if (a->prog_fd >= 0)
		close(a->prog_fd);
	a->prog_fd = -1;
	a->prog_id = 0;
	a->how = ATTACH_NOTHING;
	snprintf(a->note, sizeof(a->note),
		 "program was taken away: sluice datapath swap, or ip link, attaches it again");
}

/* Whether our member is no longer in the dispatcher ID of the interface. While
 * libxdp replaces a dispatcher, the number is soon out of date. */
static bool is_expelled(const struct attach *a, uint32_t id)
{
	int fd = dispatcher_find(a->bpffs, a->ifindex, id);
	uint32_t now;
	bool generic;

	if (fd >= 0)
		close(fd);
	return fd < 0 && !query(a->ifindex, &now, &generic) && now == id;
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
	if ((a->how == ATTACH_NETLINK && id != a->prog_id) ||
	    (a->how == ATTACH_DISPATCHER && is_expelled(a, id))) {
		taken_away(a, id);
		return true;
	}
	return false;
}

bool attach_needs_admin(const struct attach *a)
{
	return a->how == ATTACH_DISPATCHER ||
	       a->wish == CONFIG_ATTACH_DISPATCHER;
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
	case ATTACH_DISPATCHER:
		err = dispatcher_leave(a->bpffs, a->ifindex);
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
	case ATTACH_DISPATCHER:
		return "dispatcher";
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

/* Only what was set by `ip link` and is the pinned program. */
static int remove_netlink(uint32_t ifindex, const struct loader_program *pinned)
{
	struct attach a = { .ifindex = ifindex };
	uint32_t id;

	if (pinned->fd < 0 || query(ifindex, &id, &a.generic) ||
	    id != pinned->id)
		return 0;
	return replace_netlink(&a, pinned->fd, -1);
}

int attach_remove_pinned(const char *bpffs)
{
	struct if_nameindex *all, *i;
	struct loader_program pinned;
	int err = remove_links(bpffs), rc;

	if (loader_pinned(bpffs, &pinned))
		pinned.fd = -1;
	all = if_nameindex();
	for (i = all; i && i->if_index; i++) {
		rc = dispatcher_leave(bpffs, i->if_index);
		if (!rc)
			rc = remove_netlink(i->if_index, &pinned);
		if (rc && !err)
			err = rc;
	}
	if (all)
		if_freenameindex(all);
	loader_release(&pinned);
	return err;
}
