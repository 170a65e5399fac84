/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds lines in configuration text that json-c has already accepted. The
 * parser keeps no positions, so an error's line is looked up when there is an
 * error, by one more walk over the text; a good file pays for one walk only,
 * the one that finds keys given twice (json-c would silently take the last).
 */
#ifndef SLUICE_CONFIG_SCAN_H
#define SLUICE_CONFIG_SCAN_H

#include <stddef.h>

#define CONFIG_PATH_MAX 8
#define CONFIG_KEYS_MAX 64

/* Where a value is: key NULL means array element INDEX. */
struct config_step {
	const char *key;
	size_t index;
};

struct config_path {
	struct config_step step[CONFIG_PATH_MAX];
	size_t depth;
};

enum config_scan_result {
	CONFIG_SCAN_OK,
	CONFIG_SCAN_TWICE,    /* a key is given twice */
	CONFIG_SCAN_ESCAPE,   /* a key holds a backslash: none of ours does */
	CONFIG_SCAN_TOO_MANY, /* more than CONFIG_KEYS_MAX keys in an object */
	CONFIG_SCAN_BROKEN,   /* not JSON as this walk understands it */
};

struct config_scan_report {
	unsigned int line;   /* of the offending key; 1 is the first */
	const char *key;     /* into the text, not terminated */
	size_t key_len;
};

/* Looks for keys that json-c would mistake. */
enum config_scan_result config_scan_keys(const char *text, size_t len,
					 struct config_scan_report *ret);

/* Line of the key or element at PATH, or of the innermost enclosing one that
 * exists. */
unsigned int config_scan_line(const char *text, size_t len,
			      const struct config_path *path);

/* Line of the byte at OFFSET. */
unsigned int config_scan_offset_line(const char *text, size_t len,
				     size_t offset);

/* Offset of the first byte from OFFSET on that is neither white space nor
 * part of a comment; LEN if there is none. */
size_t config_scan_skip_space(const char *text, size_t len, size_t offset);

#endif
