/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps named in maps.h are pinned and shared by all programs of this data
 * plane, past and future. Maps the program keeps to itself (next hop cache,
 * constants) come and go with it.
 */
#include "bpf/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bpf/bpffs.h"
#include "bpf/maps.h"
#include "bpf/steer.skel.h"
#include "hash.h"
#include "util/log.h"

/* The last of what libbpf said: its last lines tell why a load failed. */
static char said[4096];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format,
			    va_list ap)
{
	size_t n = strlen(said);

	if (level == LIBBPF_DEBUG)
		return 0;
	if (n > sizeof(said) / 2) { /* keep the later half */
		memmove(said, said + n / 2, n - n / 2 + 1);
		n -= n / 2;
	}
	vsnprintf(said + n, sizeof(said) - n, format, ap);
	return 0;
}

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

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void loader_options_from(const struct config *config,
			 struct loader_options *ret)
{
	*ret = (struct loader_options){ .flow_sets_log2 =
						config->flow_sets_log2 };
	memcpy(ret->rss_key, config->rss_key, sizeof(ret->rss_key));
}

bool loader_options_equal(const struct loader_options *a,
			  const struct loader_options *b)
{
	return a->flow_sets_log2 == b->flow_sets_log2 &&
	       !memcmp(a->rss_key, b->rss_key, sizeof(a->rss_key));
}

uint64_t loader_fingerprint(const struct loader_options *options)
{
	const unsigned char *elf;
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */
	size_t n, i;

	elf = steer_bpf__elf_bytes(&n);
	for (i = 0; i < n; i++)
		h = (h ^ elf[i]) * 0x100000001b3ull;
	for (i = 0; i < sizeof(options->rss_key); i++)
		h = (h ^ options->rss_key[i]) * 0x100000001b3ull;
	h = (h ^ options->flow_sets_log2) * 0x100000001b3ull;
	return h ? h : 1;
}

/* ---- maps -------------------------------------------------------------- */

static int is_shared(const char *name)
{
	int i;

	for (i = 0; i < MAPS_N; i++) {
		if (!strcmp(name, maps_names[i]))
			return 1;
	}
	return 0;
}

static int mismatch(struct bpf_map *map, const struct bpf_map_info *info,
		    const char *path, struct config_error *e)
{
	const char *bpffs_hint =
		"; take the data plane down first (established flows end): sluiced --stop-datapath";

	if (info->max_entries != bpf_map__max_entries(map))
		return fail(e, -EBUSY,
			    "pinned map %s has %u entries, the configuration asks for %u: keep the size (flows.max)%s",
			    path, info->max_entries, bpf_map__max_entries(map),
			    bpffs_hint);
	return fail(e, -EBUSY,
		    "pinned map %s has another layout than this program's (type %u/%u, key %u/%u, value %u/%u bytes, flags %#x/%#x)%s",
		    path, info->type, bpf_map__type(map), info->key_size,
		    bpf_map__key_size(map), info->value_size,
		    bpf_map__value_size(map), info->map_flags,
		    bpf_map__map_flags(map), bpffs_hint);
}

/* Kernels add flags of their own to what was asked for. */
#define FLAGS_OURS (BPF_F_MMAPABLE | BPF_F_NO_PREALLOC)

static int reuse_map(struct bpf_map *map, const char *path,
		     struct config_error *e)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path), err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 :
					 fail(e, -errno, "cannot open %s: %s",
					      path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		err = fail(e, -errno, "cannot examine %s: %s", path,
			   strerror(errno));
	} else if (info.type != bpf_map__type(map) ||
		   info.key_size != bpf_map__key_size(map) ||
		   info.value_size != bpf_map__value_size(map) ||
		   info.max_entries != bpf_map__max_entries(map) ||
		   (info.map_flags & FLAGS_OURS) !=
			   (bpf_map__map_flags(map) & FLAGS_OURS)) {
		/* Counters grow from version to version: start new ones. */
		if (!strcmp(bpf_map__name(map), "counters") &&
		    !unlink(path))
			log_notice("counters have changed and start from zero");
		else
			err = mismatch(map, &info, path, e);
	} else {
		err = bpf_map__reuse_fd(map, fd);
		if (err)
			fail(e, err, "cannot reuse %s: %s", path,
			     strerror(-err));
	}
	close(fd);
	return err;
}

static int for_maps(const char *bpffs, struct bpf_object *object, bool pin,
		    struct config_error *e)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, object) {
		if (!is_shared(bpf_map__name(map)))
			continue;
		snprintf(path, sizeof(path), "%s/maps/%s", bpffs,
			 bpf_map__name(map));
		if (!pin)
			err = reuse_map(map, path, e);
		else if (access(path, F_OK) &&
			 bpf_obj_pin(bpf_map__fd(map), path))
			err = fail(e, -errno, "cannot pin %s: %s", path,
				   strerror(errno));
		if (err)
			break;
	}
	return err;
}

/* ---- program ----------------------------------------------------------- */

/* The verifier's reason, or libbpf's last words, on one line. The verifier ends
 * its log with the reason and then statistics ("processed … insns"). */
static const char *why(void)
{
	char *end = strstr(said, "\nprocessed "), *p;
	size_t n = end ? (size_t)(end - said) : strlen(said);

	said[n] = '\0';
	p = n > 300 ? said + n - 300 : said;
	for (char *c = p; *c; c++) {
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	}
	return p;
}

static int describe(struct loader_program *program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(program->fd, &info, &len))
		return -errno;
	program->id = info.id;
	memcpy(program->tag, info.tag, sizeof(program->tag));
	program->instructions = info.verified_insns;
	return 0;
}

static int open_object(const struct loader_options *options,
		       struct steer_bpf **ret, struct config_error *e)
{
	struct steer_bpf *skel = steer_bpf__open();
	char why[128];

	if (!skel) {
		int err = -errno;

		/* Also numbers of libbpf's own. */
		libbpf_strerror(err, why, sizeof(why));
		return fail(e, err, "cannot open the XDP program: %s", why);
	}
	toeplitz_tables_build(options->rss_key,
			      (uint32_t *)skel->rodata->toeplitz);
	*(volatile uint32_t *)&skel->rodata->flow_mask =
		(1u << options->flow_sets_log2) - 1;
	bpf_map__set_max_entries(skel->maps.flows,
				 1u << options->flow_sets_log2);
	/* Not BPF_XDP, as libbpf would say: kernels let only programs of one
	 * and the same attach type call each other, and a dispatcher's member
	 * has none (dispatcher.h). */
	bpf_program__set_expected_attach_type(skel->progs.steer, 0);
	*ret = skel;
	return 0;
}

int loader_load(const char *bpffs, const struct loader_options *options,
		struct loader_program *ret, struct config_error *e)
{
	struct loader_program program = { .fd = -1 };
	struct steer_bpf *skel = NULL;
	uint64_t start = now_ns();
	int err;

	libbpf_set_print(listen_to_libbpf);
	said[0] = '\0';
	err = open_object(options, &skel, e);
	if (err)
		return err;
	err = for_maps(bpffs, skel->obj, false, e);
	if (err)
		goto out;
	err = steer_bpf__load(skel);
	if (err) {
		fail(e, err, "the kernel refuses the XDP program: %s: %s",
		     strerror(-err), why());
		goto out;
	}
	err = for_maps(bpffs, skel->obj, true, e);
	if (err)
		goto out;
	program.fd = fcntl(bpf_program__fd(skel->progs.steer), F_DUPFD_CLOEXEC,
			   3);
	if (program.fd < 0)
		err = -errno;
	else
		err = describe(&program);
	if (err) {
		fail(e, err, "cannot examine the loaded program: %s",
		     strerror(-err));
		loader_release(&program);
		goto out;
	}
	program.loaded_ns = now_ns();
	program.load_us = (program.loaded_ns - start) / 1000;
	*ret = program;
out:
	steer_bpf__destroy(skel);
	return err;
}

int loader_pin(const char *bpffs, const struct loader_program *program)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/progs/steer", bpffs);
	return bpffs_pin(program->fd, path);
}

int loader_pinned(const char *bpffs, struct loader_program *ret)
{
	struct loader_program program = { 0 };
	char path[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s/progs/steer", bpffs);
	program.fd = bpf_obj_get(path);
	if (program.fd < 0)
		return -errno;
	err = describe(&program);
	if (err)
		loader_release(&program);
	else
		*ret = program;
	return err;
}

void loader_release(struct loader_program *program)
{
	if (program->fd >= 0)
		close(program->fd);
	program->fd = -1;
}
