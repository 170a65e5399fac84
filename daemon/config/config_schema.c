/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic reader behind the tables of config_keys.c. All sizes of what it
 * allocates come from the text that is already in memory, and text is bounded
 * by CONFIG_BYTES_MAX.
 */
#include "config/config_schema.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util/addr_text.h"

/* "$.services[2].port", or for edits 'service "w3", port': nobody counts the
 * elements of an array that is not before his eyes. */
static void describe(const struct config_reader *reader, char *buf, size_t size)
{
	const struct config_path *path = &reader->path;
	struct json_object *array, *name;
	size_t i = 0, n = 0;

	buf[0] = '\0';
	if (reader->text) {
		n = (size_t)snprintf(buf, size, "$");
	} else if (path->depth >= 2 && !path->step[1].key &&
		   json_object_object_get_ex(reader->config->source,
					     path->step[0].key, &array) &&
		   json_object_object_get_ex(
			   json_object_array_get_idx(array,
						     path->step[1].index),
			   "name", &name)) {
		n = (size_t)snprintf(buf, size, "%.*s \"%.40s\"",
				     (int)strlen(path->step[0].key) - 1,
				     path->step[0].key,
				     json_object_get_string(name));
		i = 2;
	}
	for (; i < path->depth && n < size; i++) {
		const char *key = path->step[i].key;

		if (key && (reader->text || i > 2))
			n += (size_t)snprintf(buf + n, size - n, ".%.40s", key);
		else if (key)
			n += (size_t)snprintf(buf + n, size - n, "%s%.40s",
					      i ? ", " : "", key);
		else
			n += (size_t)snprintf(buf + n, size - n, "[%zu]",
					      path->step[i].index);
	}
}

void config_schema_printable(char *text)
{
	/* Keys and values come from outside: one line, no escapes. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

int config_schema_fail(struct config_reader *reader, const char *format, ...)
{
	char where[160], what[180];
	va_list args;

	describe(reader, where, sizeof(where));
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	config_schema_printable(where);
	config_schema_printable(what);
	if (reader->text)
		snprintf(reader->error->text, sizeof(reader->error->text),
			 "%.150s:%u: %s: %s", reader->name,
			 config_scan_line(reader->text, reader->len,
					  &reader->path),
			 where, what);
	else
		snprintf(reader->error->text, sizeof(reader->error->text),
			 "%s%s%s", where, where[0] ? ": " : "", what);
	return -EINVAL;
}

void config_schema_push(struct config_reader *reader, const char *key,
			size_t index)
{
	/* The schema's nesting is fixed: this is a bound on our tables. */
	if (reader->path.depth >= CONFIG_PATH_MAX)
		abort();
	reader->path.step[reader->path.depth].key = key;
	reader->path.step[reader->path.depth].index = index;
	reader->path.depth++;
}

void config_schema_pop(struct config_reader *reader)
{
	reader->path.depth--;
}

const char *config_schema_enum_name(const char *const *names, unsigned value)
{
	for (unsigned int i = 0; names[i]; i++)
		if (i == value)
			return names[i];
	return "?";
}

static void store(const struct config_key *key, void *dst, uint64_t value)
{
	char *at = (char *)dst + key->off;

	switch (key->size) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)value;
		break;
	default:
		abort();
	}
}

/* What the file holds instead of what was expected. */
static const char *type_text(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "a boolean";
	case json_type_double:
		return "a number with a fraction";
	case json_type_int:
		return "a number";
	case json_type_string:
		return "a string";
	case json_type_array:
		return "an array";
	case json_type_object:
		return "an object";
	}
	return "something else";
}

static int need(struct config_reader *reader, struct json_object *value,
		json_type type, const char *what)
{
	if (json_object_get_type(value) == type)
		return 0;
	return config_schema_fail(reader, "expected %s, found %s", what,
				  type_text(value));
}

static int read_number(struct config_reader *reader,
		       const struct config_key *key, struct json_object *value,
		       void *dst)
{
	int64_t number;

	if (need(reader, value, json_type_int, "a whole number"))
		return -EINVAL;
	/* json-c clamps what does not fit; that is out of range here too. */
	number = json_object_get_int64(value);
	if (number < 0 || (uint64_t)number < key->min ||
	    (uint64_t)number > key->max)
		return config_schema_fail(
			reader, "expected a number from %llu to %llu, found %s",
			(unsigned long long)key->min,
			(unsigned long long)key->max,
			json_object_get_string(value));
	store(key, dst, (uint64_t)number);
	return 0;
}

static int read_enum(struct config_reader *reader, const struct config_key *key,
		     struct json_object *value, void *dst)
{
	char all[256] = "";
	const char *text;
	size_t n = 0;

	if (need(reader, value, json_type_string, "a string"))
		return -EINVAL;
	text = json_object_get_string(value);
	for (unsigned int i = 0; key->names[i]; i++) {
		if (strcmp(key->names[i], text) == 0) {
			store(key, dst, key->values ? key->values[i] : i);
			return 0;
		}
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
					      i ? ", " : "", key->names[i]);
	}
	return config_schema_fail(reader, "expected one of %s, found \"%.40s\"",
				  all, text);
}

static int read_name(struct config_reader *reader, const struct config_key *key,
		     struct json_object *value, void *dst)
{
	const char *text;
	size_t len;

	if (need(reader, value, json_type_string, "a string"))
		return -EINVAL;
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	if (len == 0 || len >= NAME_LEN)
		return config_schema_fail(
			reader, "expected a name of 1 to %d characters",
			NAME_LEN - 1);
	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789._:-") != len)
		return config_schema_fail(
			reader, "expected a name of letters, digits, "
				"'.', '_', '-', ':', found \"%.40s\"",
			text);
	memcpy((char *)dst + key->off, text, len + 1);
	return 0;
}

static int read_string(struct config_reader *reader,
		       const struct config_key *key, struct json_object *value,
		       char **dst)
{
	const char *text;
	size_t len;

	if (need(reader, value, json_type_string, "a string"))
		return -EINVAL;
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	if (len < key->min || len > key->max)
		return config_schema_fail(
			reader, "expected %llu to %llu bytes, found %zu",
			(unsigned long long)key->min,
			(unsigned long long)key->max, len);
	/* They end up in request lines and headers. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return config_schema_fail(
				reader, "control characters are not allowed");
	*dst = strdup(text);
	return *dst ? 0 : -ENOMEM;
}

/* Characters U+0000..U+00FF stand for the bytes of the same number, so that
 * every byte can be written, as \u00NN if not otherwise. */
static int read_bytes(struct config_reader *reader,
		      const struct config_key *key, struct json_object *value,
		      void *dst)
{
	size_t len, n = 0;
	const char *text;
	char *bytes;

	if (need(reader, value, json_type_string, "a string"))
		return -EINVAL;
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	bytes = malloc(len + 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x80) {
			/* UTF-8 of U+0080..U+00FF starts with C2 or C3. */
			if ((c != 0xc2 && c != 0xc3) || i + 1 >= len) {
				free(bytes);
				return config_schema_fail(
					reader, "expected characters up to "
						"U+00FF: each is one byte");
			}
			c = (unsigned char)((c & 3) << 6 | (text[++i] & 0x3f));
		}
		bytes[n++] = (char)c;
	}
	bytes[n] = '\0';
	if (n < key->min || n > key->max) {
		free(bytes);
		return config_schema_fail(
			reader, "expected %llu to %llu bytes, found %zu",
			(unsigned long long)key->min,
			(unsigned long long)key->max, n);
	}
	*(char **)((char *)dst + key->off) = bytes;
	*(size_t *)((char *)dst + key->count_off) = n;
	return 0;
}

static int read_strings(struct config_reader *reader,
			const struct config_key *key, struct json_object *value,
			void *dst)
{
	struct config_key element = { .max = 4096 };
	char ***at = (char ***)((char *)dst + key->off);
	size_t n;

	if (need(reader, value, json_type_array, "an array of strings"))
		return -EINVAL;
	n = json_object_array_length(value);
	if (n > key->max)
		return config_schema_fail(reader, "expected at most %llu",
					  (unsigned long long)key->max);
	*at = calloc(n + 1, sizeof(**at));
	if (!*at)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int rc;

		config_schema_push(reader, NULL, i);
		rc = read_string(reader, &element,
				 json_object_array_get_idx(value, i),
				 &(*at)[i]);
		if (rc)
			return rc;
		config_schema_pop(reader);
	}
	return 0;
}

static int read_addr(struct config_reader *reader, struct json_object *value,
		     union ip_addr *dst)
{
	if (need(reader, value, json_type_string, "an address"))
		return -EINVAL;
	if (addr_text_parse(json_object_get_string(value), dst))
		return config_schema_fail(
			reader, "expected an IPv4 or IPv6 address, found "
				"\"%.60s\"",
			json_object_get_string(value));
	return 0;
}

static int read_addrs(struct config_reader *reader,
		      const struct config_key *key, struct json_object *value,
		      void *dst)
{
	union ip_addr *addrs = (union ip_addr *)((char *)dst + key->off);
	size_t n;

	if (need(reader, value, json_type_array, "an array of addresses"))
		return -EINVAL;
	n = json_object_array_length(value);
	if (n > key->max)
		return config_schema_fail(reader,
					  "expected at most %llu addresses",
					  (unsigned long long)key->max);
	for (size_t i = 0; i < n; i++) {
		config_schema_push(reader, NULL, i);
		if (read_addr(reader, json_object_array_get_idx(value, i),
			      &addrs[i]))
			return -EINVAL;
		config_schema_pop(reader);
	}
	*(size_t *)((char *)dst + key->count_off) = n;
	return 0;
}

static int read_array(struct config_reader *reader,
		      const struct config_key *key, struct json_object *value,
		      void *dst)
{
	size_t n, *count = (size_t *)((char *)dst + key->count_off);
	char what[96], *elements;

	snprintf(what, sizeof(what), "an array of objects (%s)",
		 key->sub->title);
	if (need(reader, value, json_type_array, what))
		return -EINVAL;
	n = json_object_array_length(value);
	if (n > key->max)
		return config_schema_fail(reader, "expected at most %llu, "
						  "found %zu",
					  (unsigned long long)key->max, n);
	if (key->type == CONFIG_ARRAY) {
		elements = calloc(n ? n : 1, key->sub->size);
		if (!elements)
			return -ENOMEM;
		*(char **)((char *)dst + key->off) = elements;
	} else {
		elements = (char *)dst + key->off;
	}
	for (size_t i = 0; i < n; i++) {
		int rc;

		config_schema_push(reader, NULL, i);
		/* Counted first, so that a failure frees the half-read one. */
		*count = i + 1;
		rc = config_schema_read(reader, key->sub,
					json_object_array_get_idx(value, i),
					elements + i * key->sub->size);
		if (rc)
			return rc;
		config_schema_pop(reader);
	}
	return 0;
}

static int read_value(struct config_reader *reader,
		      const struct config_key *key, struct json_object *value,
		      void *dst)
{
	char *at = (char *)dst + key->off;

	switch (key->type) {
	case CONFIG_BOOL:
		if (need(reader, value, json_type_boolean, "true or false"))
			return -EINVAL;
		*(bool *)at = json_object_get_boolean(value);
		return 0;
	case CONFIG_NUMBER:
		return read_number(reader, key, value, dst);
	case CONFIG_ENUM:
		return read_enum(reader, key, value, dst);
	case CONFIG_NAME:
		return read_name(reader, key, value, dst);
	case CONFIG_STRING:
		return read_string(reader, key, value, (char **)at);
	case CONFIG_BYTES:
		return read_bytes(reader, key, value, dst);
	case CONFIG_STRINGS:
		return read_strings(reader, key, value, dst);
	case CONFIG_ADDR:
		if (read_addr(reader, value, (union ip_addr *)at))
			return -EINVAL;
		if (key->count_off)
			*(bool *)((char *)dst + key->count_off) = true;
		return 0;
	case CONFIG_ADDRS:
		return read_addrs(reader, key, value, dst);
	case CONFIG_OBJECT:
		if (key->count_off)
			*(bool *)((char *)dst + key->count_off) = true;
		return config_schema_read(reader, key->sub, value, at);
	case CONFIG_ARRAY:
	case CONFIG_FIXED:
		return read_array(reader, key, value, dst);
	case CONFIG_CUSTOM:
		return key->read(reader, value, at);
	}
	return -EINVAL;
}

static void set_default(const struct config_key *key, void *dst)
{
	if (key->type == CONFIG_BOOL || key->type == CONFIG_ENUM ||
	    key->type == CONFIG_NUMBER)
		store(key, dst, key->def);
}

/* The key is not in the file. */
static int read_absent(struct config_reader *reader,
		       const struct config_key *key, void *dst)
{
	char **at = (char **)((char *)dst + key->off);

	if (key->flags & CONFIG_REQUIRED)
		return config_schema_fail(reader, "\"%s\" is missing: %s",
					  key->name, key->help);
	if (key->type == CONFIG_OBJECT)
		for (size_t i = 0; i < key->sub->n_keys; i++)
			set_default(&key->sub->keys[i], at);
	if (key->def_string) {
		*at = strdup(key->def_string);
		if (!*at)
			return -ENOMEM;
	}
	return 0;
}

/* An object's keys must all be known, and known to its kind. */
static int check_keys(struct config_reader *reader,
		      const struct config_schema *schema,
		      struct json_object *object, uint32_t kind)
{
	json_object_object_foreach(object, name, value)
	{
		bool known = false, fits = false;

		(void)value;
		for (size_t i = 0; i < schema->n_keys; i++) {
			const struct config_key *key = &schema->keys[i];

			if (strcmp(key->name, name) != 0)
				continue;
			known = true;
			fits |= !key->types || (key->types & kind);
		}
		if (fits)
			continue;
		config_schema_push(reader, name, 0);
		return known ? config_schema_fail(
				       reader, "this type of %s has no such key",
				       schema->title) :
			       config_schema_fail(reader,
						  "unknown key of %s",
						  schema->title);
	}
	return 0;
}

int config_schema_read(struct config_reader *reader,
		       const struct config_schema *schema,
		       struct json_object *object, void *dst)
{
	uint32_t kind = ~0u;
	char what[64];

	snprintf(what, sizeof(what), "an object (%s)", schema->title);
	if (need(reader, object, json_type_object, what))
		return -EINVAL;
	for (size_t i = 0; i < schema->n_keys; i++)
		set_default(&schema->keys[i], dst);
	if (!schema->kind && check_keys(reader, schema, object, kind))
		return -EINVAL;
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];
		struct json_object *value;
		int rc;

		/* Rows with types stand after the row that tells the kind. */
		if (schema->kind && key->types && kind == ~0u) {
			kind = schema->kind(dst);
			if (check_keys(reader, schema, object, kind))
				return -EINVAL;
		}
		if (key->types && !(key->types & kind))
			continue;
		config_schema_push(reader, key->name, 0);
		if (json_object_object_get_ex(object, key->name, &value)) {
			rc = read_value(reader, key, value, dst);
		} else {
			config_schema_pop(reader);
			rc = read_absent(reader, key, dst);
			config_schema_push(reader, key->name, 0);
		}
		if (rc == 0 && key->after)
			rc = key->after(reader);
		if (rc == -ENOMEM)
			config_schema_fail(reader, "out of memory");
		if (rc)
			return rc;
		config_schema_pop(reader);
	}
	return 0;
}

void config_schema_deinit(const struct config_schema *schema, void *dst)
{
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];
		char *at = (char *)dst + key->off;
		size_t n;

		switch (key->type) {
		case CONFIG_STRING:
		case CONFIG_BYTES:
			free(*(char **)at);
			*(char **)at = NULL;
			break;
		case CONFIG_STRINGS:
			for (char **s = *(char ***)at; s && *s; s++)
				free(*s);
			free(*(char ***)at);
			*(char ***)at = NULL;
			break;
		case CONFIG_OBJECT:
			config_schema_deinit(key->sub, at);
			break;
		case CONFIG_ARRAY:
			if (!*(char **)at)
				break;
			n = *(size_t *)((char *)dst + key->count_off);
			for (size_t k = 0; k < n; k++)
				config_schema_deinit(key->sub,
						     *(char **)at +
							     k * key->sub->size);
			free(*(char **)at);
			*(char **)at = NULL;
			break;
		default:
			break;
		}
	}
}
