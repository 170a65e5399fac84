/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arguments in the manner of ip(8): "key value" pairs whose keys may be
 * abbreviated as long as that is unambiguous. Types come from the tables of
 * the configuration, so that a new key needs nothing here. Ranges and
 * contradictions are for the daemon to judge.
 */
#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_schema.h"

enum args_match args_compare(const char *word, const char *full)
{
	size_t n = strlen(word);

	if (n == 0 || strncmp(word, full, n) != 0)
		return ARGS_NONE;
	return full[n] ? ARGS_ABBREVIATED : ARGS_EXACT;
}

int args_number(const struct cli_command *command, const char *what,
		const char *word, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(word, &end, 10);
	if (word[0] < '0' || word[0] > '9' || *end || errno || value < min ||
	    value > max)
		return cli_usage(command,
				 "%s: expected a number from %llu to %llu, "
				 "found \"%s\"",
				 what, (unsigned long long)min,
				 (unsigned long long)max, word);
	*ret = value;
	return CLI_DONE;
}

const char *args_key(const struct cli_command *command, const char *key,
		     const char *const *keys)
{
	const char *found = NULL;

	for (; *keys; keys++) {
		switch (args_compare(key, *keys)) {
		case ARGS_EXACT:
			return *keys;
		case ARGS_ABBREVIATED:
			if (found) {
				cli_usage(command,
					  "\"%s\" may mean %s or %s", key,
					  found, *keys);
				return NULL;
			}
			found = *keys;
			break;
		case ARGS_NONE:
			break;
		}
	}
	if (!found)
		cli_usage(command, "unknown key \"%s\"", key);
	return found;
}

/* The row of the schema that WORD means. */
static const struct config_key *schema_key(const struct cli_command *command,
					   const char *word)
{
	const struct config_schema *schema = command->schema;
	const struct config_key *found = NULL;

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];

		switch (args_compare(word, key->name)) {
		case ARGS_EXACT:
			return key;
		case ARGS_ABBREVIATED:
			/* One key may have several rows, by monitor type. */
			if (found && strcmp(found->name, key->name) != 0) {
				cli_usage(command,
					  "\"%s\" may mean %s or %s", word,
					  found->name, key->name);
				return NULL;
			}
			found = key;
			break;
		case ARGS_NONE:
			break;
		}
	}
	if (!found)
		cli_usage(command, "unknown key \"%s\"", word);
	return found;
}

static struct json_object *parse_bool(const char *text)
{
	static const char *const yes[] = { "true", "on", "yes", "1" };
	static const char *const no[] = { "false", "off", "no", "0" };

	for (size_t i = 0; i < 4; i++) {
		if (strcmp(text, yes[i]) == 0)
			return json_object_new_boolean(1);
		if (strcmp(text, no[i]) == 0)
			return json_object_new_boolean(0);
	}
	return NULL;
}

static struct json_object *parse_number(const char *text)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (!*text || *end || errno)
		return NULL;
	return json_object_new_int64(value);
}

/* "w1,w2=3": names of a binding's other side, each with its weight. */
static struct json_object *parse_bindings(const char *ref, char *text)
{
	struct json_object *array = json_object_new_array();
	char *save = NULL;

	for (char *word = strtok_r(text, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		struct json_object *binding = json_object_new_object();
		char *weight = strchr(word, '=');

		json_object_array_add(array, binding);
		if (weight) {
			struct json_object *number;

			*weight++ = '\0';
			number = parse_number(weight);
			if (!number) {
				json_object_put(array);
				return NULL;
			}
			json_object_object_add(binding, "weight", number);
		}
		json_object_object_add(binding, ref,
				       json_object_new_string(word));
	}
	return array;
}

/* Bytes as characters U+0000..U+00FF, which is how the configuration writes
 * them; the escapes \r \n \t \0 \\ \xNN are understood. */
static struct json_object *parse_bytes(const char *text)
{
	char *buf = malloc(2 * strlen(text) + 1);
	struct json_object *value;
	size_t n = 0;

	if (!buf)
		return NULL;
	while (*text) {
		unsigned int c = (unsigned char)*text++;

		if (c == '\\' && *text) {
			char hex[3] = "", *end;

			c = (unsigned char)*text++;
			switch (c) {
			case 'r':
				c = '\r';
				break;
			case 'n':
				c = '\n';
				break;
			case 't':
				c = '\t';
				break;
			case '0':
				c = '\0';
				break;
			case '\\':
				break;
			case 'x':
				memcpy(hex, text, strnlen(text, 2));
				c = (unsigned int)strtoul(hex, &end, 16);
				if (end != hex + 2 || hex[0] == '-' ||
				    hex[0] == '+' || hex[0] == ' ') {
					free(buf);
					return NULL;
				}
				text += 2;
				break;
			default:
				/* "\d" of a regular expression stays. */
				buf[n++] = '\\';
				break;
			}
		}
		if (c >= 0x80)
			buf[n++] = (char)(0xc0 | c >> 6);
		buf[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
	}
	value = json_object_new_string_len(buf, (int)n);
	free(buf);
	return value;
}

static struct json_object *parse_strings(char *text)
{
	struct json_object *array = json_object_new_array();
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		json_object_array_add(array, json_object_new_string(word));
	return array;
}

/* The value as the key's type, or NULL with what was expected. */
static struct json_object *parse_value(const struct config_key *key,
				       const char *text, const char **expected)
{
	struct json_object *value;
	char *copy;

	switch (key->type) {
	case CONFIG_BOOL:
		*expected = "true or false";
		return parse_bool(text);
	case CONFIG_NUMBER:
		*expected = "a number";
		return parse_number(text);
	case CONFIG_BYTES:
		*expected = "text with the escapes \\r \\n \\t \\0 \\\\ \\xNN";
		return parse_bytes(text);
	case CONFIG_STRINGS:
	case CONFIG_ARRAY:
		*expected = "NAME[=WEIGHT],…";
		copy = strdup(text);
		value = !copy ? NULL :
			key->type == CONFIG_STRINGS ?
				parse_strings(copy) :
				parse_bindings(key->sub->keys[0].name, copy);
		free(copy);
		return value;
	default:
		*expected = "text";
		return json_object_new_string(text);
	}
}

int args_object(const struct cli_command *command, int argc, char **argv,
		struct json_object *object)
{
	for (int i = 0; i < argc; i += 2) {
		const struct config_key *key = schema_key(command, argv[i]);
		struct json_object *value;
		const char *expected;

		if (!key)
			return CLI_USAGE;
		if (i + 1 >= argc)
			return cli_usage(command, "\"%s\" needs a value",
					 key->name);
		if (json_object_object_get_ex(object, key->name, NULL))
			return cli_usage(command, "\"%s\" is given twice",
					 key->name);
		/* Back to what holds when the key is not given. */
		if (strcmp(argv[i + 1], "default") == 0) {
			json_object_object_add(object, key->name, NULL);
			continue;
		}
		value = parse_value(key, argv[i + 1], &expected);
		if (!value)
			return cli_usage(command,
					 "%s: expected %s, found \"%s\"",
					 key->name, expected, argv[i + 1]);
		json_object_object_add(object, key->name, value);
	}
	return CLI_DONE;
}
