/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text in, struct config out: bounds and syntax, then keys given twice, then
 * the tables of config_keys.c, then the rules of config_check.c. Anyone may
 * call this from any thread; it touches nothing but its arguments.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_check.h"
#include "config/config_index.h"
#include "config/config_keys.h"
#include "config/config_schema.h"

static int fail(const char *name, unsigned int line, struct config_error *e,
		const char *what)
{
	snprintf(e->text, sizeof(e->text), "%.160s:%u: $: %s", name, line,
		 what);
	/* Keys come from the file: keep the error one printable line. */
	config_schema_printable(e->text);
	return -EINVAL;
}

/* The text as JSON; comments and trailing commas are allowed. */
static int parse_json(const char *name, const char *text, size_t len,
		      struct json_object **ret, struct config_error *e)
{
	struct json_tokener *tokener;
	struct json_object *json;
	enum json_tokener_error error;
	size_t end;

	if (len > CONFIG_BYTES_MAX)
		return fail(name, 1, e, "larger than 64 MiB");
	if (config_scan_skip_space(text, len, 0) == len)
		return fail(name, 1, e, "expected an object, found nothing");
	/* json-c takes it for the end of the text. */
	if (memchr(text, '\0', len)) {
		end = (size_t)((char *)memchr(text, '\0', len) - text);
		return fail(name, config_scan_offset_line(text, len, end), e,
			    "a NUL byte is not allowed");
	}
	tokener = json_tokener_new();
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	json = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	/* A comment may end the text without the end of its line. */
	if (error == json_tokener_continue) {
		json = json_tokener_parse_ex(tokener, "\n", 1);
		error = json_tokener_get_error(tokener);
		end = len;
	}
	json_tokener_free(tokener);
	if (error == json_tokener_continue)
		return fail(name, config_scan_offset_line(text, len, len), e,
			    "the text ends before the object does");
	if (error != json_tokener_success) {
		char what[128];

		snprintf(what, sizeof(what), "not JSON: %s",
			 json_tokener_error_desc(error));
		return fail(name, config_scan_offset_line(text, len, end), e,
			    what);
	}
	/* What json-c 0.16 says of a lack of memory: nothing. NULL is what it
	 * makes of "null", too. */
	if (!json && text[config_scan_skip_space(text, len, 0)] != 'n')
		return -ENOMEM;
	end = config_scan_skip_space(text, len, end);
	if (end < len) {
		json_object_put(json);
		return fail(name, config_scan_offset_line(text, len, end), e,
			    "text after the end of the object");
	}
	*ret = json;
	return 0;
}

static int check_text_keys(const char *name, const char *text, size_t len,
			   struct config_error *e)
{
	struct config_scan_report report;
	char what[128];

	switch (config_scan_keys(text, len, &report)) {
	case CONFIG_SCAN_OK:
		return 0;
	case CONFIG_SCAN_TWICE:
		snprintf(what, sizeof(what), "the key \"%.*s\" is given twice",
			 report.key_len < 40 ? (int)report.key_len : 40,
			 report.key);
		return fail(name, report.line, e, what);
	case CONFIG_SCAN_ESCAPE:
		return fail(name, report.line, e,
			    "unknown key: it has a backslash");
	case CONFIG_SCAN_TOO_MANY:
		return fail(name, report.line, e,
			    "an object has more keys than there are");
	case CONFIG_SCAN_BROKEN:
		break;
	}
	return fail(name, report.line, e, "not JSON");
}

/* From JSON (the reference is taken) to a checked configuration. */
static int build(struct config_reader *reader, struct json_object *json,
		 struct config **ret)
{
	struct config *config = calloc(1, sizeof(*config));
	int rc;

	if (!config) {
		json_object_put(json);
		return -ENOMEM;
	}
	config->source = json;
	reader->config = config;
	rc = config_schema_read(reader, &config_keys_top, json, config);
	if (rc == 0)
		rc = config_check_whole(reader);
	if (rc) {
		config_free(config);
		return rc;
	}
	*ret = config;
	return 0;
}

int config_parse(const char *name, const char *text, size_t len,
		 struct config **ret, struct config_error *e)
{
	struct config_reader reader = {
		.name = name, .text = text, .len = len, .error = e,
	};
	struct json_object *json = NULL;
	int rc;

	e->text[0] = '\0';
	rc = parse_json(name, text, len, &json, e);
	if (rc == 0) {
		rc = check_text_keys(name, text, len, e);
		if (rc)
			json_object_put(json);
	}
	if (rc == 0)
		rc = build(&reader, json, ret);
	if (rc && !e->text[0])
		fail(name, 1, e, strerror(-rc));
	return rc;
}

int config_from_json(struct json_object *json, struct config **ret,
		     struct config_error *e)
{
	struct config_reader reader = { .error = e };
	int rc;

	e->text[0] = '\0';
	rc = build(&reader, json_object_get(json), ret);
	if (rc && !e->text[0])
		snprintf(e->text, sizeof(e->text), "%s", strerror(-rc));
	return rc;
}

static int read_file(const char *path, char **ret, size_t *ret_len,
		     struct config_error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0, room = 0;
	char *text = NULL;
	struct stat st;
	int rc = 0;

	if (fd < 0 || fstat(fd, &st)) {
		rc = -errno;
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
		goto out;
	}
	/* Size is a hint only: the file may be a pipe, or growing. */
	for (;;) {
		ssize_t n;

		if (len == room) {
			char *more;

			room = room ? 2 * room : (size_t)st.st_size + 4096;
			if (room > CONFIG_BYTES_MAX + 4096)
				room = CONFIG_BYTES_MAX + 4096;
			if (len == room) {
				rc = -EFBIG;
				goto out;
			}
			more = realloc(text, room);
			if (!more) {
				rc = -ENOMEM;
				goto out;
			}
			text = more;
		}
		n = read(fd, text + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			goto out;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
out:
	if (fd >= 0)
		close(fd);
	if (rc) {
		free(text);
		snprintf(e->text, sizeof(e->text), "%.300s: cannot read: %s",
			 path, strerror(-rc));
		return rc;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

int config_load(const char *path, struct config **ret, struct config_error *e)
{
	char *text;
	size_t len;
	int rc = read_file(path, &text, &len, e);

	if (rc)
		return rc;
	rc = config_parse(path, text, len, ret, e);
	free(text);
	return rc;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	config_schema_deinit(&config_keys_top, config);
	config_index_free(config->monitor_index);
	config_index_free(config->service_index);
	config_index_free(config->vserver_index);
	json_object_put(config->source);
	free(config);
}

uint64_t config_entity(const char *kind, const char *name)
{
	/* Fixed for ever: entities are compared between nodes and versions.
	 * The key is the text "sluice-entity-id" (16 bytes, no NUL). */
	static const unsigned char key[crypto_shorthash_KEYBYTES + 1] =
		"sluice-entity-id";
	unsigned char text[2 * NAME_LEN], hash[crypto_shorthash_BYTES];
	size_t kind_len = strnlen(kind, NAME_LEN - 1);
	size_t name_len = strnlen(name, NAME_LEN - 1);
	uint64_t id = 0;

	memcpy(text, kind, kind_len);
	text[kind_len] = '\0';
	memcpy(text + kind_len + 1, name, name_len);
	crypto_shorthash(hash, text, kind_len + 1 + name_len, key);
	/* Little endian on every machine, so that the id is one number. */
	for (int i = 7; i >= 0; i--)
		id = id << 8 | hash[i];
	return id ? id : 1;
}

#define FIND(what, array, count, index)                                        \
	const struct config_##what *config_find_##what(                        \
		const struct config *config, const char *name)                 \
	{                                                                      \
		if (config->index)                                             \
			return config_index_find(config->index, name);         \
		for (size_t i = 0; i < config->count; i++)                     \
			if (strcmp(config->array[i].name, name) == 0)          \
				return &config->array[i];                      \
		return NULL;                                                   \
	}

FIND(monitor, monitors, n_monitors, monitor_index)
FIND(service, services, n_services, service_index)
FIND(vserver, vservers, n_vservers, vserver_index)
