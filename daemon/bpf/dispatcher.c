/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libxdp builds a new dispatcher for every change and replaces the old one at
 * once; it does so under a lock of its own and tries again when somebody else
 * was faster. Where the kernel has no dispatchers, it attaches a program alone
 * and says nothing: that is looked at, and undone.
 */
#include "bpf/dispatcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include "bpf/component.skel.h"
#include "util/privileges.h"

/* Pins looked at: libxdp has at most 10 members in a dispatcher. */
#define PINS_MAX 32

/* Why a call failed: the verifier's reason if there is one, else the first of
 * what libxdp complained about. */
static char said[200];
static bool verifier_said;

static int listen_to_libxdp(enum libxdp_print_level level, const char *format,
			    va_list ap)
{
	if (level > LIBXDP_INFO || said[0])
		return 0;
	vsnprintf(said, sizeof(said), format + strspn(format, " "), ap);
	said[strcspn(said, "\n")] = '\0';
	return 0;
}

/* Its log comes as one text, between two lines of dashes. */
static int listen_to_libbpf(enum libbpf_print_level level, const char *format,
			    va_list ap)
{
	char text[1024], *log;

	if (level != LIBBPF_WARN || verifier_said)
		return 0;
	vsnprintf(text, sizeof(text), format, ap);
	log = strstr(text, "LOG --\n");
	if (!log)
		return 0;
	log += strlen("LOG --\n");
	if (!strncmp(log, "processed ", strlen("processed ")))
		return 0; /* statistics only: it had no objection */
	log[strcspn(log, "\n")] = '\0';
	snprintf(said, sizeof(said), "%.*s", (int)sizeof(said) - 1, log);
	verifier_said = true;
	return 0;
}

static void listen_anew(void)
{
	libxdp_set_print(listen_to_libxdp);
	libbpf_set_print(listen_to_libbpf);
	said[0] = '\0';
	verifier_said = false;
}

static void pins_of(char path[PATH_MAX], uint32_t ifindex, uint32_t prog_id)
{
	const char *bpffs = getenv(XDP_BPFFS_ENVVAR);

	snprintf(path, PATH_MAX, "%s/xdp/dispatch-%u-%u",
		 bpffs ? bpffs : "/sys/fs/bpf", ifindex, prog_id);
}

static void current_path(char path[PATH_MAX], const char *bpffs)
{
	snprintf(path, PATH_MAX, "%s/maps/current", bpffs);
}

/* Number of BPFFS/maps/current; 0: there is none. */
static uint32_t current_id(const char *bpffs)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	current_path(path, bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.id = 0;
	close(fd);
	return info.id;
}

static bool has_map(int prog_fd, uint32_t map_id)
{
	uint32_t ids[4] = { 0 }, len = sizeof(struct bpf_prog_info), i;
	struct bpf_prog_info info = { .nr_map_ids = 4,
				      .map_ids = (uintptr_t)ids };

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		return false;
	for (i = 0; i < info.nr_map_ids && i < 4; i++) {
		if (ids[i] == map_id)
			return true;
	}
	return false;
}

bool dispatcher_is(uint32_t ifindex, uint32_t prog_id)
{
	char path[PATH_MAX];

	pins_of(path, ifindex, prog_id);
	return prog_id && !access(path, F_OK);
}

/* dispatcher_find(), with the path of its pin. */
static int find_pin(const char *bpffs, uint32_t ifindex, uint32_t prog_id,
		    char ret_path[PATH_MAX + 32])
{
	uint32_t map_id = current_id(bpffs);
	char pins[PATH_MAX];
	int fd, i;

	if (!map_id || !dispatcher_is(ifindex, prog_id))
		return -1;
	pins_of(pins, ifindex, prog_id);
	for (i = 0; i < PINS_MAX; i++) {
		snprintf(ret_path, PATH_MAX + 32, "%s/prog%d-prog", pins, i);
		fd = bpf_obj_get(ret_path);
		if (fd >= 0 && has_map(fd, map_id))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

int dispatcher_find(const char *bpffs, uint32_t ifindex, uint32_t prog_id)
{
	char path[PATH_MAX + 32];

	return find_pin(bpffs, ifindex, prog_id, path);
}

int dispatcher_set(const char *bpffs, int prog_fd)
{
	char path[PATH_MAX];
	uint32_t zero = 0;
	int fd, err = 0;

	current_path(path, bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT) {
		fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "current",
				    sizeof(zero), sizeof(zero), 1, NULL);
		if (fd >= 0 && bpf_obj_pin(fd, path)) {
			err = -errno;
			close(fd);
			return err;
		}
	}
	if (fd < 0)
		return -errno;
	if (bpf_map_update_elem(fd, &zero, &prog_fd, BPF_ANY))
		err = -errno;
	close(fd);
	return err;
}

static int refuse(struct config_error *e, int err, const char *name)
{
	const char *remedy = "";

	if (err == -EPERM && !privileges_have_admin())
		remedy = "; CAP_SYS_ADMIN is needed, which sluiced gives up unless an interface has a dispatcher when it starts: restart it";
	snprintf(e->text, sizeof(e->text),
		 "interface %s: cannot join libxdp's dispatcher: %s%s%s%s", name,
		 strerror(-err), said[0] ? ": " : "", said, remedy);
	return err;
}

/* Whether libxdp made a dispatcher, or attached the program alone. */
static int check_joined(struct xdp_program *member, uint32_t ifindex,
			enum xdp_attach_mode mode)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(ifindex);
	bool alone;

	if (libxdp_get_error(mp))
		return libxdp_get_error(mp);
	alone = xdp_multiprog__is_legacy(mp);
	xdp_multiprog__close(mp);
	if (!alone)
		return 0;
	xdp_program__detach(member, ifindex, mode, 0);
	return -EOPNOTSUPP;
}

int dispatcher_join(const char *bpffs, const char *name, uint32_t ifindex,
		    bool generic, struct config_error *e)
{
	enum xdp_attach_mode mode = generic ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	struct component_bpf *skel;
	struct xdp_program *member;
	char path[PATH_MAX];
	int err;

	listen_anew();
	skel = component_bpf__open();
	if (!skel)
		return refuse(e, -errno, name);
	current_path(path, bpffs);
	err = bpf_map__set_pin_path(skel->maps.current, path);
	member = xdp_program__from_bpf_obj(skel->obj, "xdp");
	if (!err)
		err = libxdp_get_error(member);
	if (err) {
		component_bpf__destroy(skel);
		return refuse(e, err, name);
	}
	err = xdp_program__attach(member, ifindex, mode, 0);
	if (!err)
		err = check_joined(member, ifindex, mode);
	xdp_program__close(member);
	component_bpf__destroy(skel);
	return err ? refuse(e, err, name) : 0;
}

int dispatcher_leave(const char *bpffs, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, now);
	char path[PATH_MAX + 32];
	struct xdp_program *member;
	enum xdp_attach_mode mode;
	int fd, err;

	listen_anew();
	err = bpf_xdp_query(ifindex, 0, &now);
	if (err)
		return err;
	fd = find_pin(bpffs, ifindex, now.prog_id, path);
	if (fd < 0)
		return 0;
	close(fd);
	member = xdp_program__from_pin(path);
	err = libxdp_get_error(member);
	if (err)
		return err;
	mode = now.attach_mode == XDP_ATTACHED_SKB ? XDP_MODE_SKB :
						     XDP_MODE_NATIVE;
	err = xdp_program__detach(member, ifindex, mode, 0);
	xdp_program__close(member);
	return err;
}
