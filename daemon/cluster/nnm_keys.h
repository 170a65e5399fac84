/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cluster keys, read from a file that all nodes have:
 *
 *	# made by: sluice cluster key
 *	key 1 <64 hexadecimal digits>
 *	key 2 <64 hexadecimal digits>
 *	use 2
 *
 * All of them are accepted from peers, the one named by "use" seals what this
 * node sends. Rotation without an interruption: add the new key on all nodes,
 * then use it on all nodes, then remove the old one on all nodes.
 *
 * The file must belong to the daemon's user or root and be closed to group
 * and others. Keys are cleared from memory when they are no longer needed.
 */
#ifndef SLUICE_NNM_KEYS_H
#define SLUICE_NNM_KEYS_H

#include <stddef.h>
#include <stdint.h>

/* Old, current and next, and one to spare. */
#define NNM_KEYS_MAX 4
#define NNM_KEY_BYTES 32

struct nnm_key {
	uint8_t id; /* 1..255 */
	uint8_t secret[NNM_KEY_BYTES];
};

struct nnm_keys {
	struct nnm_key keys[NNM_KEYS_MAX];
	unsigned int n;
	unsigned int use; /* index of the key to send with */
};

struct nnm_keys_error {
	char text[256];
};

/* Reads PATH. 0, or -errno with *ret_error saying what is wrong and what to
 * do; *ret_keys is untouched then. */
int nnm_keys_load(const char *path, struct nnm_keys *ret_keys,
		  struct nnm_keys_error *ret_error);

/* The same from memory, without the checks of the file. */
int nnm_keys_parse(const char *text, size_t len, struct nnm_keys *ret_keys,
		   struct nnm_keys_error *ret_error);

/* Index of key ID, or -ENOENT. */
int nnm_keys_find(const struct nnm_keys *keys, uint8_t id);

void nnm_keys_clear(struct nnm_keys *keys);

#endif
