/* SPDX-License-Identifier: GPL-2.0-only */
/* States over a restart, see state_file.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "health/health.h"
#include "health/state_file.h"
#include "health/svc_fsm.h"
#include "health/verdict.h"

#define HEAD "sluice-health 1\n"
/* 17 + 17 + 2 + 2 + 21 + 3 + 16 × 19 + 1, rounded up */
#define LINE_MAX_LEN 384
#define FILE_BYTES_MAX ((size_t)SERVICES_MAX * LINE_MAX_LEN)

char *state_file_format(const struct state_file_entry *entries, size_t n,
			size_t *ret_len)
{
	size_t room = sizeof(HEAD) + n * LINE_MAX_LEN + 32;
	char *text = malloc(room), *at = text;

	if (!text)
		return NULL;
	at += sprintf(at, HEAD);
	for (size_t i = 0; i < n; i++) {
		const struct state_file_entry *e = &entries[i];

		at += sprintf(at, "%016" PRIx64 " %" PRIx64 " %u %u %" PRId64 " %u",
			      e->entity, e->where, e->admin, e->observed, e->since_s,
			      e->n_bindings);
		for (int b = 0; b < e->n_bindings; b++)
			at += sprintf(at, " %" PRIx64 ":%u", e->monitors[b],
				      e->verdicts[b]);
		*at++ = '\n';
	}
	at += sprintf(at, "end %08lx\n",
		      crc32(0, (const unsigned char *)text, at - text));
	*ret_len = at - text;
	return text;
}

static int parse_line(const char *line, struct state_file_entry *e)
{
	unsigned int admin, observed, n;
	int used;

	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %u %u %" SCNd64 " %u%n",
		   &e->entity, &e->where, &admin, &observed, &e->since_s, &n, &used) != 6 ||
	    admin > SVC_ADMIN_DISABLED || observed > HEALTH_UP ||
	    n > BINDINGS_PER_SERVICE_MAX || !e->entity)
		return -EBADMSG;
	e->admin = admin;
	e->observed = observed;
	e->n_bindings = n;
	line += used;
	for (unsigned int i = 0; i < n; i++) {
		unsigned int verdict;

		if (sscanf(line, " %" SCNx64 ":%u%n", &e->monitors[i], &verdict,
			   &used) != 2 ||
		    verdict > VERDICT_PASS)
			return -EBADMSG;
		e->verdicts[i] = verdict;
		line += used;
	}
	return *line ? -EBADMSG : 0;
}

/* LINES: terminated text between head and end; is cut into lines. */
static int parse_lines(char *lines, struct state_file *ret)
{
	size_t n = 0, i = 0;

	for (const char *p = lines; *p; p++)
		n += *p == '\n';
	if (n > SERVICES_MAX)
		return -EBADMSG;
	ret->entries = calloc(n + 1, sizeof(*ret->entries));
	if (!ret->entries)
		return -ENOMEM;
	while (*lines) {
		char *eol = strchr(lines, '\n');

		if (!eol)
			return -EBADMSG;
		*eol = '\0';
		if (parse_line(lines, &ret->entries[i++]))
			return -EBADMSG;
		lines = eol + 1;
	}
	ret->n = i;
	return 0;
}

int state_file_parse(const char *text, size_t len, struct state_file *ret)
{
	static const size_t tail = sizeof("end 00000000\n") - 1;
	struct state_file file = { 0 };
	char *copy, end[32];
	int r;

	if (len < sizeof(HEAD) - 1 + tail ||
	    memcmp(text, HEAD, sizeof(HEAD) - 1) || memchr(text, '\0', len))
		return -EBADMSG;
	snprintf(end, sizeof(end), "end %08lx\n",
		 crc32(0, (const unsigned char *)text, len - tail));
	if (memcmp(end, text + len - tail, tail))
		return -EBADMSG;
	len -= sizeof(HEAD) - 1 + tail;
	copy = strndup(text + sizeof(HEAD) - 1, len);
	if (!copy)
		return -ENOMEM;
	r = parse_lines(copy, &file);
	free(copy);
	if (r) {
		state_file_free(&file);
		return r;
	}
	*ret = file;
	return 0;
}

int state_file_read(const char *path, struct state_file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	struct stat st;
	char *text;
	size_t len = 0;
	ssize_t n = 0;

	*ret = (struct state_file){ 0 };
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) || st.st_size > (off_t)FILE_BYTES_MAX) {
		close(fd);
		return -EBADMSG;
	}
	text = malloc(st.st_size + 1);
	while (text && len < (size_t)st.st_size &&
	       (n = read(fd, text + len, st.st_size - len)) > 0)
		len += n;
	close(fd);
	if (!text)
		return -ENOMEM;
	r = n < 0 ? -EIO : state_file_parse(text, len, ret);
	free(text);
	return r;
}

void state_file_free(struct state_file *file)
{
	free(file->entries);
	*file = (struct state_file){ 0 };
}
