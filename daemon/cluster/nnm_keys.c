// SPDX-License-Identifier: GPL-2.0-only
/* The key file (see nnm_keys.h). Nothing here prints a key, not even wrong
 * ones: lines are named by number. */
#include "cluster/nnm_keys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NNM_KEYS_MAX lines of keys and room for comments. */
#define FILE_MAX 4096

__attribute__((format(printf, 3, 4)))
static int fail(struct nnm_keys_error *e, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return error;
}

/* "1".."255" at *P, which moves behind it; 0 if there is none. */
static unsigned int parse_id(const char **p)
{
	unsigned int id = 0, digits = 0;

	while (**p == ' ' || **p == '\t')
		(*p)++;
	for (; **p >= '0' && **p <= '9' && digits < 4; digits++, (*p)++)
		id = id * 10 + (unsigned int)(**p - '0');
	return id <= 255 ? id : 0;
}

static int parse_key(const char *p, unsigned int line, struct nnm_keys *keys,
		     struct nnm_keys_error *e)
{
	unsigned int id = parse_id(&p);
	const char *end;
	size_t len;

	if (id == 0)
		return fail(e, -EINVAL, "line %u: expected: key ID HEX, with ID 1 to 255", line);
	if (nnm_keys_find(keys, (uint8_t)id) >= 0)
		return fail(e, -EINVAL, "line %u: key %u is there twice", line, id);
	if (keys->n == NNM_KEYS_MAX)
		return fail(e, -EINVAL, "line %u: more than %d keys: remove those no longer used",
			    line, NNM_KEYS_MAX);
	while (*p == ' ' || *p == '\t')
		p++;
	if (strlen(p) != 2 * NNM_KEY_BYTES ||
	    sodium_hex2bin(keys->keys[keys->n].secret, NNM_KEY_BYTES, p, 2 * NNM_KEY_BYTES,
			   NULL, &len, &end) != 0 ||
	    len != NNM_KEY_BYTES)
		return fail(e, -EINVAL, "line %u: key %u: expected %d hexadecimal digits",
			    line, id, 2 * NNM_KEY_BYTES);
	if (sodium_is_zero(keys->keys[keys->n].secret, NNM_KEY_BYTES))
		return fail(e, -EINVAL, "line %u: key %u is all zeros", line, id);
	keys->keys[keys->n++].id = (uint8_t)id;
	return 0;
}

static int parse_line(const char *p, unsigned int line, struct nnm_keys *keys,
		      unsigned int *use, struct nnm_keys_error *e)
{
	while (*p == ' ' || *p == '\t')
		p++;
	if (*p == '\0' || *p == '#')
		return 0;
	if (strncmp(p, "key ", 4) == 0)
		return parse_key(p + 4, line, keys, e);
	if (strncmp(p, "use ", 4) == 0) {
		p += 4;
		if (*use != 0)
			return fail(e, -EINVAL, "line %u: a second \"use\"", line);
		*use = parse_id(&p);
		if (*use == 0 || *p != '\0')
			return fail(e, -EINVAL, "line %u: expected: use ID", line);
		return 0;
	}
	return fail(e, -EINVAL, "line %u: expected \"key ID HEX\" or \"use ID\"", line);
}

int nnm_keys_parse(const char *text, size_t len, struct nnm_keys *ret_keys,
		   struct nnm_keys_error *ret_error)
{
	char copy[FILE_MAX + 1];
	struct nnm_keys keys = { .n = 0 };
	unsigned int use = 0, line = 1;
	int ret = 0;

	assert(text && ret_keys && ret_error);
	if (len > FILE_MAX)
		return fail(ret_error, -EFBIG, "larger than %d bytes", FILE_MAX);
	if (memchr(text, 0, len))
		return fail(ret_error, -EINVAL, "not a text file");
	memcpy(copy, text, len);
	copy[len] = 0;
	for (char *p = copy, *next; ret == 0 && p; p = next, line++) {
		next = strchr(p, '\n');
		if (next)
			*next++ = 0;
		/* Blanks and a carriage return at the end are nobody's business. */
		for (size_t n = strlen(p); n > 0 && strchr(" \t\r", p[n - 1]); n--)
			p[n - 1] = 0;
		ret = parse_line(p, line, &keys, &use, ret_error);
	}
	if (ret == 0 && keys.n == 0)
		ret = fail(ret_error, -EINVAL, "no key in it");
	/* With one key there is nothing to choose. */
	if (ret == 0 && use == 0 && keys.n > 1)
		ret = fail(ret_error, -EINVAL, "several keys and no \"use ID\" line");
	if (ret == 0 && use != 0) {
		int i = nnm_keys_find(&keys, (uint8_t)use);

		if (i < 0)
			ret = fail(ret_error, -EINVAL, "\"use %u\": no such key", use);
		else
			keys.use = (unsigned int)i;
	}
	if (ret == 0)
		*ret_keys = keys;
	sodium_memzero(copy, sizeof(copy));
	nnm_keys_clear(&keys);
	return ret;
}

int nnm_keys_load(const char *path, struct nnm_keys *ret_keys,
		  struct nnm_keys_error *ret_error)
{
	char text[FILE_MAX + 1];
	struct nnm_keys_error inner;
	struct stat st;
	ssize_t n;
	int fd, ret;

	assert(path && ret_keys && ret_error);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(ret_error, -errno, "key file %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		ret = fail(ret_error, -errno, "key file %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		ret = fail(ret_error, -EINVAL, "key file %s: not a regular file", path);
	else if (st.st_mode & 077)
		ret = fail(ret_error, -EPERM,
			   "key file %s: mode %04o lets others at the keys: chmod 600 it",
			   path, st.st_mode & 07777);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		ret = fail(ret_error, -EPERM, "key file %s: belongs to user %u: chown it to root",
			   path, st.st_uid);
	else
		ret = 0;
	if (ret == 0) {
		n = read(fd, text, sizeof(text));
		if (n < 0)
			ret = fail(ret_error, -errno, "key file %s: %s", path, strerror(errno));
		else
			ret = nnm_keys_parse(text, (size_t)n, ret_keys, &inner);
		if (ret < 0 && n >= 0)
			fail(ret_error, ret, "key file %.64s: %s", path, inner.text);
		sodium_memzero(text, sizeof(text));
	}
	close(fd);
	return ret;
}

int nnm_keys_find(const struct nnm_keys *keys, uint8_t id)
{
	assert(keys && keys->n <= NNM_KEYS_MAX);
	for (unsigned int i = 0; i < keys->n; i++)
		if (keys->keys[i].id == id)
			return (int)i;
	return -ENOENT;
}

void nnm_keys_clear(struct nnm_keys *keys)
{
	assert(keys);
	sodium_memzero(keys, sizeof(*keys));
}
