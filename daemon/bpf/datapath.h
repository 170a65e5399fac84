/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data plane of one node: program, maps, and the interfaces it is attached
 * to. It is there before a daemon opens it and stays when the daemon closes
 * it; only datapath_remove() takes it down.
 */
#ifndef SLUICE_DATAPATH_H
#define SLUICE_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/attach.h"
#include "bpf/loader.h"
#include "bpf/maps.h"
#include "config/config.h"

struct datapath_iface {
	bool used;
	struct attach attach;
	uint32_t queues; /* with packet sockets: min(RX queues, QUEUES_MAX) */
};

struct datapath {
	char bpffs[256];
	int lock;
	struct loader_options options;
	struct loader_program program;
	struct maps maps;
	struct datapath_iface iface[IFACES_MAX]; /* by slot */
	uint64_t swaps;
	uint32_t swap_us; /* the last exchange, without loading */
	bool adopted;	  /* the maps were there */
	bool pinned;	  /* program is the one that is pinned */
	bool loading;	  /* a program is being loaded in another thread */
};

/* Takes the pinned program if it is the one that would be loaded; else loads
 * it on the pinned maps, or new ones, which it pins. Attaches nothing. 0, or
 * -errno with *e filled. */
int datapath_open(struct datapath *dp, const char *bpffs,
		  const struct config *config, struct config_error *e);

/* Leaves everything running. */
void datapath_close(struct datapath *dp);

/* Attaches to one more interface and enters it into ifaces and ports. A slot
 * the maps remember for it is kept. 0, or -errno with *e filled. */
int datapath_add(struct datapath *dp, const struct config_interface *config,
		 uint32_t *ret_slot, struct config_error *e);
void datapath_del(struct datapath *dp, uint32_t slot);

/* Takes the program off all interfaces; daemon, pins and engines stay, and
 * datapath_swap() attaches again. *ret_n: how many had it. 0, or -errno with *e
 * filled: some could not. */
int datapath_detach(struct datapath *dp, uint32_t *ret_n,
		    struct config_error *e);

/* Interfaces in the maps that are not attached by this daemon. */
void datapath_prune(struct datapath *dp);

/* Slot of a used interface, or -1. */
int datapath_find(const struct datapath *dp, const char *name);

/* Makes the program of datapath_open() the pinned one: after the interfaces
 * were adopted, since an old one is known by the old pin. 0, or -errno with *e
 * filled. */
int datapath_pin(struct datapath *dp, struct config_error *e);

/* Loads a program with OPTIONS and puts it in place everywhere, or nowhere.
 * 0, or -errno with *e filled. */
int datapath_swap(struct datapath *dp, const struct loader_options *options,
		  struct config_error *e);

/* The halves of datapath_swap(), for loading in another thread: the first may
 * run there, with DP->loading set meanwhile. EXCHANGE takes PROGRAM over, also
 * on failure. */
int datapath_load(const struct datapath *dp,
		  const struct loader_options *options,
		  struct loader_program *ret, struct config_error *e);
int datapath_exchange(struct datapath *dp, struct loader_program *program,
		      const struct loader_options *options,
		      struct config_error *e);

/* Looks for what others did to the interfaces: attached, detached, deleted.
 * True: an interface that was deleted is there again, to be added anew. */
bool datapath_check(struct datapath *dp);

/* Whether an interface's program cannot be taken off, or put on again, without
 * CAP_SYS_ADMIN (dispatcher.h). */
bool datapath_needs_admin(const struct datapath *dp);

/* Detaches everything, unpins everything; engines must be stopped already.
 * Closes DP. */
int datapath_remove(struct datapath *dp);

/* The same for a data plane that no daemon has open; ends its engines. 0, or
 * -errno with *e filled; -ENOENT: there is none. */
int datapath_stop(const char *bpffs, struct config_error *e);

#endif
