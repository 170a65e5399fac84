/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables. Text from the daemon (reasons, names of devices, replies of back
 * ends) is printed without control characters: a terminal obeys those.
 */
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

#define CELL_MAX 512

struct json_object *table_get(struct json_object *json, const char *path)
{
	char key[64];

	while (json && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		if (!json_object_object_get_ex(json, key, &json))
			return NULL;
		path += n + (path[n] == '.');
	}
	return json;
}

static void scaled(char *buf, size_t size, double value, const char *const *unit,
		   double step)
{
	while (value >= step && unit[1]) {
		value /= step;
		unit++;
	}
	snprintf(buf, size, value == (double)(long long)value || value >= 100 ?
				    "%.0f %s" :
				    "%.1f %s",
		 value, *unit);
}

static void duration(char *buf, size_t size, int64_t s)
{
	if (s < 0)
		s = 0;
	if (s < 60)
		snprintf(buf, size, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(buf, size, "%lldm%02llds", (long long)s / 60,
			 (long long)s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%lldh%02lldm", (long long)s / 3600,
			 (long long)s / 60 % 60);
	else
		snprintf(buf, size, "%lldd%02lldh", (long long)s / 86400,
			 (long long)s / 3600 % 24);
}

static void join(struct json_object *array, char *buf, size_t size)
{
	size_t n = 0, count = json_object_array_length(array);

	buf[0] = '\0';
	for (size_t i = 0; i < count && n < size; i++)
		n += (size_t)snprintf(
			buf + n, size - n, "%s%s", i ? "," : "",
			json_object_get_string(
				json_object_array_get_idx(array, i)));
	if (count == 0)
		snprintf(buf, size, "-");
}

static void endpoint(struct json_object *row, const char *address, char *buf,
		     size_t size)
{
	struct json_object *port = table_get(row, "port");

	if (!port)
		snprintf(buf, size, "%s", address);
	else
		snprintf(buf, size, strchr(address, ':') ? "[%s]:%d" : "%s:%d",
			 address, json_object_get_int(port));
}

void table_cell(const struct cli_column *column, struct json_object *row,
		char *buf, size_t size)
{
	static const char *const bytes[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", NULL };
	static const char *const us[] = { "us", "ms", "s", NULL };
	struct json_object *value = table_get(row, column->path);
	double number = json_object_get_double(value);

	if (!value) {
		snprintf(buf, size, "-");
		return;
	}
	switch (column->format) {
	case CLI_TEXT:
		if (json_object_is_type(value, json_type_array))
			join(value, buf, size);
		else
			snprintf(buf, size, "%s",
				 json_object_get_string(value));
		if (!buf[0])
			snprintf(buf, size, "-");
		break;
	case CLI_ENDPOINT:
		endpoint(row, json_object_get_string(value), buf, size);
		break;
	case CLI_COUNT:
		snprintf(buf, size, "%llu",
			 (unsigned long long)json_object_get_uint64(value));
		break;
	case CLI_BYTES:
		scaled(buf, size, number, bytes, 1024);
		break;
	case CLI_US:
		scaled(buf, size, number, us, 1000);
		break;
	case CLI_MS:
		scaled(buf, size, number, us + 1, 1000);
		break;
	case CLI_AGO:
		duration(buf, size, time(NULL) - json_object_get_int64(value));
		break;
	case CLI_SECONDS:
		duration(buf, size, json_object_get_int64(value));
		break;
	case CLI_PERMILLE:
		snprintf(buf, size, "%.1f %%", number / 10);
		break;
	case CLI_YESNO:
		snprintf(buf, size, "%s",
			 json_object_get_boolean(value) ? "yes" : "no");
		break;
	case CLI_LENGTH:
		snprintf(buf, size, "%zu",
			 json_object_is_type(value, json_type_array) ?
				 json_object_array_length(value) :
				 0);
		break;
	}
}

static bool right_aligned(const struct cli_column *column)
{
	return column->format == CLI_COUNT || column->format == CLI_BYTES ||
	       column->format == CLI_US || column->format == CLI_MS ||
	       column->format == CLI_PERMILLE || column->format == CLI_LENGTH;
}

/* Characters, not bytes: reasons may hold UTF-8. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void cli_print_safe(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' :
								       *text);
}

static void print_cell(const struct cli_column *column, const char *text,
		       size_t wide, bool last)
{
	size_t fill = width(text) < wide ? wide - width(text) : 0;

	if (right_aligned(column))
		printf("%*s", (int)fill, "");
	cli_print_safe(text);
	/* No blanks at the end of a line. */
	if (!last && !right_aligned(column))
		printf("%*s", (int)fill, "");
	if (!last)
		printf("  ");
}

static void print_rows(const struct cli_view *view, struct json_object *rows)
{
	size_t n = json_object_is_type(rows, json_type_array) ?
			   json_object_array_length(rows) :
			   0;
	size_t *wide = calloc(view->n_columns, sizeof(*wide));
	char cell[CELL_MAX];

	if (!wide)
		return;
	for (size_t c = 0; c < view->n_columns; c++) {
		wide[c] = width(view->columns[c].title);
		for (size_t i = 0; i < n; i++) {
			table_cell(&view->columns[c],
				   json_object_array_get_idx(rows, i), cell,
				   sizeof(cell));
			if (width(cell) > wide[c])
				wide[c] = width(cell);
		}
	}
	for (size_t c = 0; c < view->n_columns; c++)
		print_cell(&view->columns[c], view->columns[c].title, wide[c],
			   c + 1 == view->n_columns);
	putchar('\n');
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < view->n_columns; c++) {
			table_cell(&view->columns[c],
				   json_object_array_get_idx(rows, i), cell,
				   sizeof(cell));
			print_cell(&view->columns[c], cell, wide[c],
				   c + 1 == view->n_columns);
		}
		putchar('\n');
	}
	free(wide);
}

/* One object, a line for each value that is there. */
static void print_object(const struct cli_view *view, struct json_object *json)
{
	size_t wide = 0;
	char cell[CELL_MAX];

	for (size_t c = 0; c < view->n_columns; c++)
		if (width(view->columns[c].title) > wide)
			wide = width(view->columns[c].title);
	for (size_t c = 0; c < view->n_columns; c++) {
		if (!table_get(json, view->columns[c].path))
			continue;
		table_cell(&view->columns[c], json, cell, sizeof(cell));
		printf("%-*s  ", (int)wide, view->columns[c].title);
		cli_print_safe(cell);
		putchar('\n');
	}
}

void table_print(const struct cli_view *view, struct json_object *json)
{
	bool first = true;

	for (; view; view = view->next) {
		struct json_object *part =
			view->list ? table_get(json, view->list) : json;

		if (!part)
			continue;
		if (!first)
			putchar('\n');
		first = false;
		if (view->title)
			printf("%s\n", view->title);
		if (view->list)
			print_rows(view, part);
		else
			print_object(view, part);
	}
}
