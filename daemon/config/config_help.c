/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turns the rows of config_keys.c into text. What is printed here is by
 * construction what the reader accepts.
 */
#include "config/config_help.h"

#include <string.h>

#include "config/config_keys.h"

/* "number 1..65535", "nat, dsr-l2, …". */
static void type_text(const struct config_key *key, char *buf, size_t size)
{
	size_t n = 0;

	switch (key->type) {
	case CONFIG_BOOL:
		snprintf(buf, size, "true or false");
		break;
	case CONFIG_NUMBER:
		snprintf(buf, size, "%llu..%llu", (unsigned long long)key->min,
			 (unsigned long long)key->max);
		break;
	case CONFIG_ENUM:
		for (size_t i = 0; key->names[i] && n < size; i++)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      i ? ", " : "", key->names[i]);
		break;
	case CONFIG_NAME:
		snprintf(buf, size, "name");
		break;
	case CONFIG_STRING:
		snprintf(buf, size, "string");
		break;
	case CONFIG_BYTES:
		snprintf(buf, size, "string of bytes");
		break;
	case CONFIG_STRINGS:
		snprintf(buf, size, "array of strings");
		break;
	case CONFIG_ADDR:
		snprintf(buf, size, "address");
		break;
	case CONFIG_ADDRS:
		snprintf(buf, size, "array of addresses");
		break;
	case CONFIG_OBJECT:
		snprintf(buf, size, "object");
		break;
	case CONFIG_ARRAY:
	case CONFIG_FIXED:
		snprintf(buf, size, "array of objects");
		break;
	case CONFIG_CUSTOM:
		snprintf(buf, size, "string");
		break;
	}
}

static void default_text(const struct config_key *key, char *buf, size_t size)
{
	buf[0] = '\0';
	if (key->flags & CONFIG_REQUIRED) {
		snprintf(buf, size, "required");
	} else if (key->def_help) {
		snprintf(buf, size, "%s", key->def_help);
	} else if (key->def_string) {
		snprintf(buf, size, "%s", key->def_string);
	} else if (key->type == CONFIG_BOOL) {
		snprintf(buf, size, "%s", key->def ? "true" : "false");
	} else if (key->type == CONFIG_NUMBER) {
		snprintf(buf, size, "%llu", (unsigned long long)key->def);
	} else if (key->type == CONFIG_ENUM) {
		for (size_t i = 0; key->names[i]; i++)
			if ((key->values ? key->values[i] : i) == key->def)
				snprintf(buf, size, "%s", key->names[i]);
	}
}

/* "http, https" or "" for all. */
static void kinds_text(const struct config_key *key, char *buf, size_t size)
{
	size_t n = 0, set = 0;

	buf[0] = '\0';
	if (!key->types || key->types == ~(1u << MONITOR_INLINE))
		return;
	for (unsigned int i = 0; config_keys_monitor_types[i]; i++) {
		if (!(key->types & 1u << i))
			continue;
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      set ? ", " : "",
					      config_keys_monitor_types[i]);
		set++;
	}
	if (set > 8)
		buf[0] = '\0';
}

void config_help_keys(FILE *to, const struct config_schema *schema)
{
	char type[256], def[128], kinds[256];

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];

		type_text(key, type, sizeof(type));
		default_text(key, def, sizeof(def));
		kinds_text(key, kinds, sizeof(kinds));
		fprintf(to, "  %-16s %s", key->name, type);
		if (def[0])
			fprintf(to, " [%s]", def);
		fprintf(to, "\n  %-16s     %s", "", key->help);
		if (kinds[0])
			fprintf(to, " (%s)", kinds);
		fputc('\n', to);
	}
}

static void help_schema(FILE *to, const struct config_schema *schema,
			const char *path,
			void (*one)(FILE *to, const char *path,
				    const struct config_schema *schema))
{
	one(to, path, schema);
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];
		char sub[256]; /* nesting is fixed: far more than it takes */

		if (!key->sub)
			continue;
		snprintf(sub, sizeof(sub), "%.160s.%.64s%s", path, key->name,
			 key->type == CONFIG_OBJECT ? "" : "[]");
		help_schema(to, key->sub, sub, one);
	}
}

static void text_section(FILE *to, const char *path,
			 const struct config_schema *schema)
{
	fprintf(to, "%s (%s)\n", path, schema->title);
	config_help_keys(to, schema);
	fputc('\n', to);
}

void config_help(FILE *to)
{
	fprintf(to, "JSON; comments (// and /* */) and a comma before a closing "
		    "bracket are allowed.\nKeys not listed here are errors. "
		    "In brackets: the default.\n\n");
	help_schema(to, &config_keys_top, "$", text_section);
}

/* A backslash, and a dot or quote at the start of a line, mean something to
 * roff. */
static void man_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", to);
		else if (*text == '-')
			fputs("\\-", to);
		else
			fputc(*text, to);
	}
}

static void man_section(FILE *to, const char *path,
			const struct config_schema *schema)
{
	char type[256], def[128], kinds[256];

	fprintf(to, ".Ss ");
	man_text(to, path);
	/* Top level: the section's own head says it. */
	fprintf(to, "\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct config_key *key = &schema->keys[i];

		type_text(key, type, sizeof(type));
		default_text(key, def, sizeof(def));
		kinds_text(key, kinds, sizeof(kinds));
		fprintf(to, ".It Cm %s\n\\&", key->name);
		man_text(to, key->help);
		fprintf(to, ".\nType: ");
		man_text(to, type);
		if (key->flags & CONFIG_REQUIRED) {
			fprintf(to, ".\nRequired");
		} else if (def[0]) {
			fprintf(to, ".\nDefault: ");
			man_text(to, def);
		}
		if (kinds[0]) {
			fprintf(to, ".\nOf the types: ");
			man_text(to, kinds);
		}
		fprintf(to, ".\n");
	}
	fprintf(to, ".El\n");
}

void config_help_man(FILE *to)
{
	fprintf(to, ".Dd $Mdocdate$\n.Dt SLUICE.JSON 5\n.Os\n"
		    ".Sh NAME\n.Nm sluice.json\n"
		    ".Nd configuration of sluiced\n"
		    ".Sh DESCRIPTION\nOne JSON object.\n"
		    "Comments (// and /* */) and a comma before a closing "
		    "bracket are allowed;\nkeys that are not listed here are "
		    "errors.\n"
		    ".Xr sluiced 8\nchecks the whole before any of it takes "
		    "effect.\n"
		    ".Sh KEYS\n"
		    "$ is the whole object, [] an element of an array.\n");
	help_schema(to, &config_keys_top, "$", man_section);
	fprintf(to, ".Sh FILES\n.Pa /etc/sluice/sluice.json\n"
		    ".Sh SEE ALSO\n.Xr sluice 8 ,\n.Xr sluiced 8\n");
}
