/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Answers as text: tables with aligned columns, or one object as "key value"
 * lines, with units that people read.
 */
#ifndef SLUICE_CLI_TABLE_H
#define SLUICE_CLI_TABLE_H

#include <json-c/json.h>
#include <stddef.h>

enum cli_format {
	CLI_TEXT,     /* as it is; arrays of strings joined by commas */
	CLI_ENDPOINT, /* path is of the address; "port" stands beside it */
	CLI_COUNT,    /* 1234567 */
	CLI_BYTES,    /* 1.2 MiB */
	CLI_US,	      /* from microseconds: 830 us, 1.2 ms */
	CLI_MS,	      /* from milliseconds: 12 ms, 3.1 s */
	CLI_AGO,      /* from seconds since the epoch: 3m12s */
	CLI_SECONDS,  /* a duration: 3m12s */
	CLI_PERMILLE, /* 1.2 % */
	CLI_YESNO,
	CLI_LENGTH,   /* number of elements of an array */
};

struct cli_column {
	const char *title;
	const char *path; /* keys joined by dots */
	enum cli_format format;
};

/* How to show one kind of answer. */
struct cli_view {
	const char *list;  /* key of an array of rows; NULL: one object */
	const char *title; /* above the table; NULL: none */
	const struct cli_column *columns;
	size_t n_columns;
	const struct cli_view *next; /* another part of the same answer */
};

/* Prints what VIEW says of JSON. */
void table_print(const struct cli_view *view, struct json_object *json);

/* One cell's text; a missing value is "-". */
void table_cell(const struct cli_column *column, struct json_object *row,
		char *buf, size_t size);

/* The value at "a.b.c", or NULL. */
struct json_object *table_get(struct json_object *json, const char *path);

#endif
