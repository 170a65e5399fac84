/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads JSON objects into structs by tables: one table per kind of object,
 * one row per key. The same rows make the reference text (config_help).
 *
 * The reader knows types, ranges, defaults and required keys. What takes
 * more than one value to judge is config_check.c's business.
 */
#ifndef SLUICE_CONFIG_SCHEMA_H
#define SLUICE_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "config/config.h"
#include "config/config_scan.h"

/* One reading of one text. */
struct config_reader {
	const char *name; /* of the file, for errors */
	const char *text;
	size_t len;
	struct config_path path; /* where the reader is */
	struct config *config;
	struct config_error *error;
};

enum config_type {
	CONFIG_BOOL,   /* bool */
	CONFIG_NUMBER, /* uint16_t or uint32_t by size */
	CONFIG_ENUM,   /* one of names[]; stored as index or values[] */
	CONFIG_NAME,   /* char[NAME_LEN] */
	CONFIG_STRING, /* char *, without control characters */
	CONFIG_BYTES,  /* char * and length: U+0000..U+00FF are bytes */
	CONFIG_STRINGS, /* char **, NULL-terminated */
	CONFIG_ADDR,   /* union ip_addr, and a bool at count_off if not 0 */
	CONFIG_ADDRS,  /* union ip_addr[max], count at count_off */
	CONFIG_OBJECT, /* into the same struct, by sub */
	CONFIG_ARRAY,  /* allocated array of structs, count at count_off */
	CONFIG_FIXED,  /* array of structs in place, count at count_off */
	CONFIG_CUSTOM, /* by read() */
};

enum config_key_flag {
	CONFIG_REQUIRED = 1 << 0,
	CONFIG_SECRET = 1 << 1,
};

struct config_schema;

struct config_key {
	const char *name;
	enum config_type type;
	unsigned int flags;
	/* Where it goes, from the start of the object's struct. */
	size_t off, size, count_off;
	/* Range of numbers; of the length of strings and arrays. */
	uint64_t min, max;
	uint64_t def;		  /* numbers, booleans, enums: as stored */
	const char *def_string;	  /* strings: the default */
	const char *def_help;	  /* what the absence of the key means */
	const char *const *names; /* enums: NULL-terminated */
	const uint8_t *values;	  /* enums: what is stored; NULL: the index */
	const struct config_schema *sub;
	/* Monitors: the types that have this key; 0: all. */
	uint32_t types;
	int (*read)(struct config_reader *reader, struct json_object *value,
		    void *dst);
	/* After the whole value has been read. */
	int (*after)(struct config_reader *reader);
	const char *help;
};

struct config_schema {
	const char *title; /* "service": as errors call it */
	const struct config_key *keys;
	size_t n_keys;
	size_t size; /* of the struct: elements of CONFIG_ARRAY */
	/* Bit of this object's kind, for keys with types; may be NULL. */
	uint32_t (*kind)(const void *dst);
};

/* Control characters become question marks. */
void config_schema_printable(char *text);

/* Writes the error text and returns -EINVAL. The path is the reader's. */
int config_schema_fail(struct config_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Steps into a key (INDEX ignored) or, with KEY NULL, an element. */
void config_schema_push(struct config_reader *reader, const char *key,
			size_t index);
void config_schema_pop(struct config_reader *reader);

/* Reads OBJECT by SCHEMA into DST, defaults first. */
int config_schema_read(struct config_reader *reader,
		       const struct config_schema *schema,
		       struct json_object *object, void *dst);

/* Frees what the rows of SCHEMA allocated in DST. */
void config_schema_deinit(const struct config_schema *schema, void *dst);

/* The name of a VALUE of an enum, "?" if there is none. */
const char *config_schema_enum_name(const char *const *names, unsigned value);

#endif
