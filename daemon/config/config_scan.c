/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A walk over JSON text with comments that knows just enough to tell keys,
 * values and lines apart. It follows json-c's tolerant reading: // and slash-
 * star comments, single quotes, a comma before a closing bracket. It never
 * reads past the text, whatever the text is; depth is bounded.
 */
#include "config/config_scan.h"

#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 32

struct scan {
	const char *p, *end;
	unsigned int line;
	const struct config_path *path; /* NULL: not looking for one */
	unsigned int found;
	struct config_scan_report *report; /* NULL: do not compare keys */
};

static void skip_space(struct scan *scan)
{
	while (scan->p < scan->end) {
		const char *p = scan->p;
		size_t left = (size_t)(scan->end - p);
		const char *stop;

		if (*p == '\n')
			scan->line++;
		if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' ||
		    *p == '\f' || *p == '\v') {
			scan->p++;
			continue;
		}
		if (*p != '/' || left < 2)
			return;
		if (p[1] == '/') {
			stop = memchr(p, '\n', left);
			scan->p = stop ? stop : scan->end;
		} else if (p[1] == '*') {
			stop = memmem(p + 2, left - 2, "*/", 2);
			stop = stop ? stop + 2 : scan->end;
			for (; scan->p < stop; scan->p++)
				scan->line += *scan->p == '\n';
		} else {
			return;
		}
	}
}

/* A quoted string; its inside is [*ret, *ret + *ret_len). */
static bool skip_string(struct scan *scan, const char **ret, size_t *ret_len)
{
	char quote;

	if (scan->p >= scan->end || (*scan->p != '"' && *scan->p != '\''))
		return false;
	quote = *scan->p++;
	*ret = scan->p;
	for (; scan->p < scan->end; scan->p++) {
		if (*scan->p == quote) {
			*ret_len = (size_t)(scan->p - *ret);
			scan->p++;
			return true;
		}
		if (*scan->p == '\\' && scan->p + 1 < scan->end)
			scan->p++;
		scan->line += *scan->p == '\n';
	}
	return false;
}

static enum config_scan_result walk(struct scan *scan, size_t depth,
				    bool on_path);

static enum config_scan_result walk_array(struct scan *scan, size_t depth,
					  bool on_path)
{
	for (size_t i = 0;; i++) {
		enum config_scan_result result;
		bool hit = false;

		skip_space(scan);
		if (scan->p < scan->end && *scan->p == ']') {
			scan->p++;
			return CONFIG_SCAN_OK;
		}
		if (on_path && depth < scan->path->depth &&
		    !scan->path->step[depth].key &&
		    scan->path->step[depth].index == i) {
			scan->found = scan->line;
			hit = true;
		}
		result = walk(scan, depth + 1, hit);
		if (result)
			return result;
		skip_space(scan);
		if (scan->p < scan->end && *scan->p == ',')
			scan->p++;
		else if (scan->p >= scan->end || *scan->p != ']')
			return CONFIG_SCAN_BROKEN;
	}
}

struct seen {
	const char *key;
	size_t len;
};

/* Compares a key with those of its object before it. */
static enum config_scan_result check_key(struct scan *scan, struct seen *seen,
					 size_t n, const char *key, size_t len)
{
	if (!scan->report)
		return CONFIG_SCAN_OK;
	scan->report->line = scan->line;
	scan->report->key = key;
	scan->report->key_len = len;
	if (memchr(key, '\\', len))
		return CONFIG_SCAN_ESCAPE;
	if (n >= CONFIG_KEYS_MAX)
		return CONFIG_SCAN_TOO_MANY;
	for (size_t i = 0; i < n; i++)
		if (seen[i].len == len && memcmp(seen[i].key, key, len) == 0)
			return CONFIG_SCAN_TWICE;
	seen[n].key = key;
	seen[n].len = len;
	return CONFIG_SCAN_OK;
}

static enum config_scan_result walk_object(struct scan *scan, size_t depth,
					   bool on_path)
{
	struct seen seen[CONFIG_KEYS_MAX];

	for (size_t n = 0;; n++) {
		enum config_scan_result result;
		const char *key;
		size_t len;
		bool hit = false;

		skip_space(scan);
		if (scan->p < scan->end && *scan->p == '}') {
			scan->p++;
			return CONFIG_SCAN_OK;
		}
		if (!skip_string(scan, &key, &len))
			return CONFIG_SCAN_BROKEN;
		result = check_key(scan, seen, n, key, len);
		if (result)
			return result;
		if (on_path && depth < scan->path->depth) {
			const char *want = scan->path->step[depth].key;

			if (want && strlen(want) == len &&
			    memcmp(want, key, len) == 0) {
				scan->found = scan->line;
				hit = true;
			}
		}
		skip_space(scan);
		if (scan->p >= scan->end || *scan->p != ':')
			return CONFIG_SCAN_BROKEN;
		scan->p++;
		result = walk(scan, depth + 1, hit);
		if (result)
			return result;
		skip_space(scan);
		if (scan->p < scan->end && *scan->p == ',')
			scan->p++;
		else if (scan->p >= scan->end || *scan->p != '}')
			return CONFIG_SCAN_BROKEN;
	}
}

static enum config_scan_result walk(struct scan *scan, size_t depth,
				    bool on_path)
{
	const char *start, *string;
	size_t len;

	skip_space(scan);
	if (scan->p >= scan->end || depth > DEPTH_MAX)
		return CONFIG_SCAN_BROKEN;
	if (depth == 0)
		scan->found = scan->line;
	switch (*scan->p) {
	case '{':
		scan->p++;
		return walk_object(scan, depth, on_path);
	case '[':
		scan->p++;
		return walk_array(scan, depth, on_path);
	case '"':
	case '\'':
		return skip_string(scan, &string, &len) ? CONFIG_SCAN_OK :
							  CONFIG_SCAN_BROKEN;
	default:
		start = scan->p;
		while (scan->p < scan->end && !strchr(",]}/ \t\r\n\f\v\"'[{:",
						      *scan->p))
			scan->p++;
		return scan->p > start ? CONFIG_SCAN_OK : CONFIG_SCAN_BROKEN;
	}
}

enum config_scan_result config_scan_keys(const char *text, size_t len,
					 struct config_scan_report *ret)
{
	struct scan scan = { .p = text, .end = text + len, .line = 1,
			     .report = ret };

	ret->line = 1;
	ret->key = text;
	ret->key_len = 0;
	return walk(&scan, 0, false);
}

unsigned int config_scan_line(const char *text, size_t len,
			      const struct config_path *path)
{
	struct scan scan = { .p = text, .end = text + len, .line = 1,
			     .path = path, .found = 1 };

	/* Keys are unique here, so the last match is the only one. */
	walk(&scan, 0, true);
	return scan.found;
}

unsigned int config_scan_offset_line(const char *text, size_t len,
				     size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < len && i < offset; i++)
		line += text[i] == '\n';
	return line;
}

size_t config_scan_skip_space(const char *text, size_t len, size_t offset)
{
	struct scan scan = { .p = text + offset, .end = text + len };

	skip_space(&scan);
	return (size_t)(scan.p - text);
}
