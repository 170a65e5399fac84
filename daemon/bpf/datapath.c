/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Order at an exchange of the program: load (the verifier is the first
 * judge), exchange on each interface, pin. If one interface refuses, those
 * that were exchanged get the old program back; the maps are the same all the
 * time, so both programs mean the same flows.
 */
#include "bpf/datapath.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "bpf/bpffs.h"
#include "bpf/features.h"
#include "bpf/flow_scan.h"
#include "bpf/probe_tunnels.h"
#include "util/log.h"
#include "util/netif.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void say(struct config_error *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct config_error *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
}

static uint32_t key_id(const uint8_t key[40])
{
	return crc32(0, key, 40);
}

/* What the maps say and the options must agree with. */
static int check_maps(struct datapath *dp, struct config_error *e)
{
	struct dp_conf *conf = dp->maps.conf;
	uint32_t key = key_id(dp->options.rss_key);

	dp->adopted = conf->abi != 0;
	if (!dp->adopted) {
		conf->flow_sets = dp->maps.flow_sets;
		conf->key_id = key;
		__atomic_store_n(&conf->abi, MAP_ABI_VERSION, __ATOMIC_RELEASE);
		return 0;
	}
	if (conf->key_id != key && flow_scan_any(&dp->maps)) {
		say(e, "rss.key differs from the one the flows in %s/maps/flows were hashed with; keep the key, or end them: sluiced --stop-datapath --bpffs %s",
			 dp->bpffs, dp->bpffs);
		return -EBUSY;
	}
	conf->key_id = key;
	return 0;
}

/* Before anything is loaded on them. */
static int check_abi(const char *bpffs, uint64_t *ret_program,
		     struct config_error *e)
{
	struct dp_conf conf = { 0 };
	char path[PATH_MAX];
	uint32_t zero = 0, len;
	struct bpf_map_info info = { 0 };
	uint8_t value[4096];
	int fd, err = 0;

	*ret_program = 0;
	snprintf(path, sizeof(path), "%s/maps/conf", bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0; /* none yet */
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    info.value_size > sizeof(value) ||
	    bpf_map_lookup_elem(fd, &zero, value)) {
		err = errno ? -errno : -EINVAL;
		say(e, "cannot read map %s: %s",
			 path, strerror(-err));
	} else {
		len = info.value_size < sizeof(conf) ? info.value_size :
						       sizeof(conf);
		memcpy(&conf, value, len);
		*ret_program = conf.program;
		if (conf.abi && conf.abi != MAP_ABI_VERSION) {
			err = -EPROTO;
			say(e, "the maps in %s have layout %u, this sluiced has %u: run the %s version, or take the data plane down (established flows end): sluiced --stop-datapath --bpffs %s",
				 bpffs, conf.abi, MAP_ABI_VERSION,
				 conf.abi > MAP_ABI_VERSION ? "newer" : "older",
				 bpffs);
		}
	}
	close(fd);
	return err;
}

/* The pinned program, if it is the one wanted (a restart): it is on the
 * interfaces already, and the verifier need not see it again. */
static int take_pinned(struct datapath *dp, uint64_t fingerprint)
{
	if (fingerprint != loader_fingerprint(&dp->options))
		return -ENOENT;
	dp->pinned = !loader_pinned(dp->bpffs, &dp->program);
	return dp->pinned ? 0 : -ENOENT;
}

int datapath_open(struct datapath *dp, const char *bpffs,
		  const struct config *config, struct config_error *e)
{
	char path[PATH_MAX];
	uint64_t fingerprint;
	bool fresh;
	int err, i;

	*dp = (struct datapath){ .lock = -1, .program.fd = -1 };
	for (i = 0; i < MAPS_N; i++)
		dp->maps.fd[i] = -1;
	if (snprintf(dp->bpffs, sizeof(dp->bpffs), "%s", bpffs) >=
	    (int)sizeof(dp->bpffs)) {
		say(e, "--bpffs is too long");
		return -ENAMETOOLONG;
	}
	err = bpffs_open(bpffs, &dp->lock, e);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/maps/conf", bpffs);
	fresh = access(path, F_OK) != 0;
	err = features_check(e);
	if (!err)
		err = check_abi(bpffs, &fingerprint, e);
	if (err)
		goto fail;
	loader_options_from(config, &dp->options);
	err = take_pinned(dp, fingerprint);
	if (err)
		err = loader_load(bpffs, &dp->options, &dp->program, e);
	if (err)
		goto fail;
	snprintf(path, sizeof(path), "%s/maps", bpffs);
	err = maps_open(&dp->maps, path);
	if (err)
		say(e, "cannot use maps in %s: %s",
			 path, strerror(-err));
	else
		err = check_maps(dp, e);
	if (err)
		goto fail;
	if (dp->pinned)
		log_info("program %u and its maps adopted", dp->program.id);
	else
		log_info("program %u loaded in %u us, %u instructions, maps %s",
			 dp->program.id, dp->program.load_us,
			 dp->program.instructions,
			 dp->adopted ? "adopted" : "new");
	return 0;
fail:
	datapath_close(dp);
	if (fresh)
		bpffs_remove(bpffs);
	return err;
}

void datapath_close(struct datapath *dp)
{
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		if (dp->iface[i].used)
			attach_release(&dp->iface[i].attach);
		dp->iface[i].used = false;
	}
	maps_close(&dp->maps);
	loader_release(&dp->program);
	if (dp->lock >= 0)
		close(dp->lock);
	dp->lock = -1;
}

/* ---- interfaces -------------------------------------------------------- */

int datapath_find(const struct datapath *dp, const char *name)
{
	int i;

	for (i = 0; i < IFACES_MAX; i++) {
		if (dp->iface[i].used && !strcmp(dp->iface[i].attach.name, name))
			return i;
	}
	return -1;
}

/* Slots in the map that are remembered for others, as bits; *ret_own: the one
 * of this interface, or -1. */
static uint32_t slots_taken(struct datapath *dp, uint32_t ifindex, int *ret_own)
{
	uint32_t key, *prev = NULL, taken = 0;
	struct iface value;
	int i;

	*ret_own = -1;
	for (i = 0; i < IFACES_MAX; i++)
		taken |= (uint32_t)dp->iface[i].used << i;
	while (!bpf_map_get_next_key(dp->maps.fd[MAPS_ifaces], prev, &key)) {
		prev = &key;
		if (bpf_map_lookup_elem(dp->maps.fd[MAPS_ifaces], &key, &value) ||
		    value.slot >= IFACES_MAX)
			continue;
		if (key == ifindex)
			*ret_own = value.slot;
		else
			taken |= 1u << value.slot;
	}
	return taken;
}

static int enter_maps(struct datapath *dp, uint32_t slot)
{
	struct datapath_iface *iface = &dp->iface[slot];
	uint32_t ifindex = iface->attach.ifindex;
	struct iface value = { .slot = slot, .queues = iface->queues };
	int err = netif_mac(iface->attach.name, value.mac);

	if (err)
		return err;
	if (bpf_map_update_elem(dp->maps.fd[MAPS_ifaces], &ifindex, &value,
				BPF_ANY) ||
	    bpf_map_update_elem(dp->maps.fd[MAPS_ports], &ifindex, &ifindex,
				BPF_ANY))
		return -errno;
	return 0;
}

int datapath_add(struct datapath *dp, const struct config_interface *config,
		 uint32_t *ret_slot, struct config_error *e)
{
	struct datapath_iface *iface;
	struct attach attach;
	uint32_t taken, queues;
	int err, slot;

	err = attach_new(&attach, dp->bpffs, config, &dp->program, e);
	if (err)
		return err;
	taken = slots_taken(dp, attach.ifindex, &slot);
	for (int i = 0; slot < 0 && i < IFACES_MAX; i++) {
		if (!(taken >> i & 1))
			slot = i;
	}
	if (slot < 0 || dp->iface[slot].used) {
		say(e, "interface %s: all %d slots are in use", config->name,
			 IFACES_MAX);
		attach_remove(&attach);
		return -ENOSPC;
	}
	queues = netif_rx_queues(config->name);
	if (queues > QUEUES_MAX) {
		log_warn("interface %s: %u RX queues, packet sockets for the first %d only; ethtool -L sets fewer",
			 config->name, queues, QUEUES_MAX);
		queues = QUEUES_MAX;
	}
	iface = &dp->iface[slot];
	*iface = (struct datapath_iface){ .used = true,
					  .attach = attach,
					  .queues = queues };
	err = enter_maps(dp, slot);
	if (err) {
		say(e, "interface %s: cannot enter it into the maps: %s",
			 config->name, strerror(-err));
		datapath_del(dp, slot);
		return err;
	}
	*ret_slot = slot;
	return 0;
}

void datapath_del(struct datapath *dp, uint32_t slot)
{
	struct datapath_iface *iface = &dp->iface[slot];
	uint32_t ifindex = iface->attach.ifindex;
	int err = attach_remove(&iface->attach);

	if (err)
		log_warn("interface %s: cannot detach: %s", iface->attach.name,
			 strerror(-err));
	bpf_map_delete_elem(dp->maps.fd[MAPS_ifaces], &ifindex);
	bpf_map_delete_elem(dp->maps.fd[MAPS_ports], &ifindex);
	iface->used = false;
}

int datapath_detach(struct datapath *dp, uint32_t *ret_n,
		    struct config_error *e)
{
	uint32_t n = 0;
	int err = 0, rc;
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		struct attach *a = &dp->iface[i].attach;

		if (!dp->iface[i].used || a->how == ATTACH_NOTHING)
			continue;
		rc = attach_remove(a);
		if (rc) {
			err = rc;
			say(e, "interface %s: cannot detach: %s", a->name,
			    strerror(-rc));
			continue;
		}
		n++;
		snprintf(a->note, sizeof(a->note),
			 "detached: datapath swap, or a restart, attaches again");
		log_notice("interface %s: detached, as asked", a->name);
	}
	*ret_n = n;
	return err;
}

static bool is_used(const struct datapath *dp, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		if (dp->iface[i].used && dp->iface[i].attach.ifindex == ifindex)
			return true;
	}
	return false;
}

void datapath_prune(struct datapath *dp)
{
	static const enum maps_id both[] = { MAPS_ifaces, MAPS_ports };
	uint32_t key, next, n;
	bool more;
	size_t i;

	for (i = 0; i < 2; i++) {
		int fd = dp->maps.fd[both[i]];

		more = !bpf_map_get_next_key(fd, NULL, &key);
		for (n = 0; more && n < 4096; n++) {
			more = !bpf_map_get_next_key(fd, &key, &next);
			if (!is_used(dp, key))
				bpf_map_delete_elem(fd, &key);
			key = next;
		}
	}
}

bool datapath_check(struct datapath *dp)
{
	bool back = false;
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		struct attach *a = &dp->iface[i].attach;

		if (!dp->iface[i].used)
			continue;
		attach_check(a, &dp->program);
		back = back || (attach_is_gone(a) && if_nametoindex(a->name));
	}
	return back;
}

bool datapath_needs_admin(const struct datapath *dp)
{
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		if (dp->iface[i].used &&
		    attach_needs_admin(&dp->iface[i].attach))
			return true;
	}
	return false;
}

/* ---- exchange ---------------------------------------------------------- */

/* The pin and the number of what is pinned, unknown in between. */
static int pin(struct datapath *dp, const struct loader_program *program,
	       const struct loader_options *options, struct config_error *e)
{
	struct dp_conf *conf = dp->maps.conf;
	uint64_t before = conf->program;
	int err;

	__atomic_store_n(&conf->program, 0, __ATOMIC_SEQ_CST);
	err = loader_pin(dp->bpffs, program);
	if (err)
		say(e, "cannot pin %s/progs/steer: %s", dp->bpffs,
			 strerror(-err));
	__atomic_store_n(&conf->program,
			 err ? before : loader_fingerprint(options),
			 __ATOMIC_SEQ_CST);
	return err;
}

int datapath_pin(struct datapath *dp, struct config_error *e)
{
	int err;

	if (dp->pinned)
		return 0;
	err = pin(dp, &dp->program, &dp->options, e);
	dp->pinned = !err;
	return err;
}

static int exchange(struct datapath *dp, const struct loader_program *next,
		    const struct loader_options *options,
		    struct config_error *e)
{
	struct config_error ignored;
	int err = 0, i;

	for (i = 0; i < IFACES_MAX && !err; i++) {
		if (dp->iface[i].used)
			err = attach_swap(&dp->iface[i].attach, next, e);
	}
	if (!err) {
		err = pin(dp, next, options, e);
		if (!err)
			return 0;
	}
	while (i-- > 0) {
		if (dp->iface[i].used &&
		    dp->iface[i].attach.prog_id == next->id &&
		    attach_swap(&dp->iface[i].attach, &dp->program, &ignored))
			log_err("interface %s keeps program %u: %s",
				dp->iface[i].attach.name, next->id,
				ignored.text);
	}
	return err;
}

int datapath_load(const struct datapath *dp,
		  const struct loader_options *options,
		  struct loader_program *ret, struct config_error *e)
{
	return loader_load(dp->bpffs, options, ret, e);
}

int datapath_exchange(struct datapath *dp, struct loader_program *program,
		      const struct loader_options *options,
		      struct config_error *e)
{
	uint64_t start = now_ns();
	int err;

	err = exchange(dp, program, options, e);
	if (err) {
		loader_release(program);
		return err;
	}
	dp->swap_us = (now_ns() - start) / 1000;
	dp->maps.conf->key_id = key_id(options->rss_key);
	loader_release(&dp->program);
	dp->program = *program;
	dp->options = *options;
	dp->pinned = true;
	dp->swaps++;
	return 0;
}

int datapath_swap(struct datapath *dp, const struct loader_options *options,
		  struct config_error *e)
{
	struct loader_program next;
	int err;

	if (dp->loading) {
		say(e, "another program is being loaded: try again");
		return -EBUSY;
	}
	err = datapath_load(dp, options, &next, e);
	return err ? err : datapath_exchange(dp, &next, options, e);
}

/* ---- end --------------------------------------------------------------- */

int datapath_remove(struct datapath *dp)
{
	char bpffs[sizeof(dp->bpffs)];
	int err;
	size_t i;

	for (i = 0; i < IFACES_MAX; i++) {
		if (dp->iface[i].used)
			datapath_del(dp, i);
	}
	memcpy(bpffs, dp->bpffs, sizeof(bpffs));
	err = attach_remove_pinned(bpffs);
	if (probe_tunnels_remove())
		log_warn("routes of tunnelled probes could not be removed");
	datapath_close(dp);
	if (bpffs_remove(bpffs) && !err)
		err = -errno;
	return err;
}

/* An engine without daemon: its program says who it is, the number alone might
 * be another process by now. */
static void end_engine(pid_t pid)
{
	char path[64], exe[PATH_MAX];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return;
	exe[n] = '\0';
	base = strrchr(exe, '/');
	base = base ? base + 1 : exe;
	if (!strncmp(base, "sluice-engine", 13))
		kill(pid, SIGTERM);
}

int datapath_stop(const char *bpffs, struct config_error *e)
{
	struct maps maps;
	char path[PATH_MAX];
	int lock, err;
	size_t i;

	snprintf(path, sizeof(path), "%s/maps/conf", bpffs);
	if (access(path, F_OK)) {
		say(e, "no data plane at %s",
			 bpffs);
		return -ENOENT;
	}
	err = bpffs_open(bpffs, &lock, e);
	if (err)
		return err;
	err = attach_remove_pinned(bpffs);
	if (probe_tunnels_remove())
		log_warn("routes of tunnelled probes could not be removed");
	snprintf(path, sizeof(path), "%s/maps", bpffs);
	if (!maps_open(&maps, path)) {
		for (i = 0; i < ENGINES_MAX; i++) {
			if (maps.engines[i].state != ENGINE_EMPTY &&
			    maps.engines[i].pid > 1)
				end_engine(maps.engines[i].pid);
		}
		maps_close(&maps);
	}
	close(lock);
	i = bpffs_remove(bpffs);
	if (!err)
		err = i;
	if (err)
		say(e, "the data plane at %s could not be taken down completely: %s",
			 bpffs, strerror(-err));
	return err;
}
