/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Configuration text: the reader, its line finder, and edits of what it
 * accepted. Invariants: an error has a text of one line with a file and line;
 * what was accepted is accepted again from its own JSON; an edit leaves its
 * source as it was.
 *
 * fuzz-sources: daemon/config/config.c daemon/config/config_check.c daemon/config/config_edit.c daemon/config/config_index.c daemon/config/config_keys.c daemon/config/config_read.c daemon/config/config_scan.c daemon/config/config_schema.c daemon/util/addr_text.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_edit.h"
#include "config/config_scan.h"

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "invariant broken: %s\n", what);
	abort();
}

static void check_error(const char *text)
{
	check(strncmp(text, "f:", 2) == 0 && atoi(text + 2) >= 1 &&
		      strstr(text, ": $"),
	      text);
	for (const char *p = text; *p; p++)
		check((unsigned char)*p >= 0x20, "error of more than one line");
}

/* Takes the result of an edit through the checker. */
static void judge(struct json_object *result)
{
	struct config_error error;
	struct config *config;

	if (config_from_json(result, &config, &error) == 0)
		config_free(config);
	else
		check(error.text[0] != '\0', "no text");
	json_object_put(result);
}

static void edit(const struct config *config)
{
	char *before = strdup(json_object_to_json_string(config->source));
	struct json_object *keys = json_object_new_object(), *result;
	struct config_error error;

	json_object_object_add(keys, "port", json_object_new_int(7));
	for (size_t i = 0; i < config->n_services && i < 4; i++) {
		const char *name = config->services[i].name;

		if (!config_edit_set(config->source, CONFIG_KIND_SERVICE, name,
				     keys, &result, &error))
			judge(result);
		if (!config_edit_remove(config->source, CONFIG_KIND_SERVICE,
					name, &result, &error))
			judge(result);
		if (config->n_vservers &&
		    !config_edit_bind(config->source, CONFIG_KIND_VSERVER,
				      config->vservers[0].name, name, 3,
				      &result, &error))
			judge(result);
	}
	check(strcmp(before, json_object_to_json_string(config->source)) == 0,
	      "an edit changed its source");
	free(before);
	json_object_put(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_path path = {
		.step = { { "services", 0 }, { NULL, 1 }, { "port", 0 } },
		.depth = 3,
	};
	struct config_error error;
	struct config *config, *again;
	unsigned int line;

	/* The line finder must stand any text, not only good JSON. */
	line = config_scan_line((const char *)data, size, &path);
	check(line >= 1 && line <= size + 1, "line out of the text");
	if (config_parse("f", (const char *)data, size, &config, &error)) {
		check_error(error.text);
		return 0;
	}
	check(config_from_json(config->source, &again, &error) == 0,
	      "accepted text is not accepted as JSON");
	config_free(again);
	edit(config);
	config_free(config);
	return 0;
}
