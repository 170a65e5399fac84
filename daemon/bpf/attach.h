/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One interface and the XDP program on it: found and adopted, or attached by
 * us; replaced without a gap; released or left running.
 */
#ifndef SLUICE_ATTACH_H
#define SLUICE_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/loader.h"
#include "config/config.h"

enum attach_how {
	ATTACH_NOTHING = 0, /* "adopt": waits for `ip link set … xdp pinned` */
	ATTACH_LINK,	    /* our bpf_link, pinned: BPFFS/links/IFNAME */
	ATTACH_NETLINK,	    /* by `ip link`, adopted */
	ATTACH_DISPATCHER,  /* member of a libxdp dispatcher: dispatcher.h */
};

struct attach {
	const char *bpffs; /* borrowed */
	char name[16];
	uint32_t ifindex;
	enum config_attach wish;
	enum attach_how how;
	bool generic;	  /* skb mode */
	bool adopted;	  /* was there before this daemon */
	int link_fd;	  /* ATTACH_LINK, else -1 */
	uint32_t prog_id; /* on the interface, or behind its dispatcher, now */
	int prog_fd;	  /* ATTACH_NETLINK: a descriptor of that program, else -1 */
	char note[160];	  /* why generic, what is waited for; may be empty */
};

/* 0, or -errno with *e filled. */
int attach_new(struct attach *ret, const char *bpffs,
	       const struct config_interface *config,
	       const struct loader_program *program, struct config_error *e);

/* Puts PROGRAM in place of the one that is attached; where it was taken away,
 * attaches it anew. On failure the old one runs on. 0, or -errno with *e filled. */
int attach_swap(struct attach *attach, const struct loader_program *program,
		struct config_error *e);

/* Whether the interface no longer exists, or is another one by that name. */
bool attach_is_gone(const struct attach *attach);

/* Looks whether an awaited program has come, or an attached one was taken
 * away or exchanged by somebody else, or the interface is gone. True:
 * something changed (logged). */
bool attach_check(struct attach *attach, const struct loader_program *program);

/* Takes the program off the interface. 0 or -errno. */
int attach_remove(struct attach *attach);

/* Forgets it; what is attached stays. */
void attach_release(struct attach *attach);

const char *attach_how_name(enum attach_how how);

/* Whether the kernel will want CAP_SYS_ADMIN to take it off again. */
bool attach_needs_admin(const struct attach *attach);

/* Takes off every interface what PINS say is ours: links, members of
 * dispatchers, and programs set by `ip link` whose id is that of the pinned
 * program. For a data plane without daemon. 0 or -errno of the first failure. */
int attach_remove_pinned(const char *bpffs);

#endif
