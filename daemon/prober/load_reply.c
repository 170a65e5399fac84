/* SPDX-License-Identifier: GPL-2.0-only */
/* Load metrics in replies, see load_reply.h. */
#include <string.h>

#include "prober/load_reply.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool read_number(const char *p, const char *end, uint32_t *ret)
{
	uint64_t value = 0;
	bool any = false;

	while (p < end && (is_space(*p) || *p == ':' || *p == '='))
		p++;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		any = true;
		value = value * 10 + *p - '0';
		if (value > INT32_MAX)
			value = INT32_MAX;
	}
	*ret = value;
	return any;
}

bool load_reply_find(const char *data, size_t len, const char *key,
		     uint32_t *ret)
{
	const char *end = data + len;
	size_t key_len = strlen(key);

	while (data < end) {
		const char *eol = memchr(data, '\n', end - data);

		if (!eol)
			eol = end;
		while (data < eol && is_space(*data))
			data++;
		if ((size_t)(eol - data) > key_len &&
		    !memcmp(data, key, key_len) &&
		    (is_space(data[key_len]) || data[key_len] == ':' ||
		     data[key_len] == '='))
			return read_number(data + key_len, eol, ret);
		data = eol + 1;
	}
	return false;
}
