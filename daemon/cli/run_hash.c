/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `sluice hash`: the RSS hash of a flow and its buckets. With a key it is
 * computed here; without one the daemon is asked, since its key counts; if
 * there is no daemon, the default key is taken and the answer says so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/run.h"
#include "cli/table.h"
#include "config/config_read.h"
#include "hash.h"
#include "limits.h"
#include "util/addr_text.h"

struct flow_ends {
	union ip_addr src, dst;
	uint16_t sport, dport;
	bool ports;
};

/* Both with ports, or both without. */
static int read_ends(const struct cli_command *command, const char *src,
		     const char *dst, struct flow_ends *ret)
{
	*ret = (struct flow_ends){ 0 };
	if (addr_text_parse_port(src, &ret->src, &ret->sport) == 0 &&
	    addr_text_parse_port(dst, &ret->dst, &ret->dport) == 0)
		ret->ports = true;
	else if (addr_text_parse(src, &ret->src) ||
		 addr_text_parse(dst, &ret->dst))
		return cli_usage(command,
				 "expected two of ADDRESS:PORT or "
				 "[ADDRESS]:PORT, or two addresses");
	if (ip_addr_is_v4(&ret->src) != ip_addr_is_v4(&ret->dst))
		return cli_usage(command, "the addresses must be of one family");
	return CLI_DONE;
}

static uint32_t compute(const uint8_t key[40], const struct flow_ends *ends)
{
	bool v4 = ip_addr_is_v4(&ends->src);
	uint16_t sport = htons(ends->sport), dport = htons(ends->dport);
	uint8_t input[36];
	size_t len = 0, size = v4 ? 4 : 16;

	memcpy(input, ends->src.b + 16 - size, size);
	memcpy(input + size, ends->dst.b + 16 - size, size);
	len = 2 * size;
	if (ends->ports) {
		memcpy(input + len, &sport, 2);
		memcpy(input + len + 2, &dport, 2);
		len += 4;
	}
	return toeplitz_reference(key, input, len);
}

/* The configuration's reader knows what a key is. */
static int read_key(const struct cli_command *command, const char *text,
		    uint8_t key[40])
{
	struct config_error error = { "" };
	struct config_reader reader = { .error = &error };
	struct json_object *value = json_object_new_string(text);
	int rc = config_read_rss_key(&reader, value, key);

	json_object_put(value);
	return rc ? cli_usage(command, "key: %s", error.text) : CLI_DONE;
}

static void print_local(struct cli *cli, const struct cli_command *command,
			const char *key, uint32_t hash,
			const struct flow_ends *ends)
{
	struct json_object *json = json_object_new_object();
	char text[16];

	snprintf(text, sizeof(text), "0x%08x", hash);
	json_object_object_add(json, "hash", json_object_new_string(text));
	json_object_object_add(json, "key", json_object_new_string(key));
	json_object_object_add(json, "with_ports",
			       json_object_new_boolean(ends->ports));
	json_object_object_add(
		json, "node_bucket",
		json_object_new_int64(hash & (NODE_BUCKETS - 1)));
	json_object_object_add(
		json, "core_bucket",
		json_object_new_int64((hash >> NODE_BUCKET_BITS) &
				      (CORE_BUCKETS - 1)));
	run_print(cli, command->view, json);
	json_object_put(json);
}

RUN(hash)
{
	struct flow_ends ends;
	struct json_object *json;
	struct client_path path;
	const char *key = NULL;
	uint8_t bytes[40];
	int rc;

	if (argc == 4) {
		const char *word = argv[2] +
				   (strncmp(argv[2], "--", 2) == 0 ? 2 : 0);

		if (!args_compare(word, "key"))
			return cli_usage(command, "unexpected \"%s\"", argv[2]);
		key = argv[3];
	} else if (argc != 2) {
		return cli_usage(command, "expected SOURCE and DESTINATION");
	}
	rc = read_ends(command, argv[0], argv[1], &ends);
	if (rc)
		return rc;
	if (!key) {
		client_path_init(&path, command->path);
		client_path_query(&path, "src", argv[0]);
		client_path_query(&path, "dst", argv[1]);
		rc = client_try(cli, "GET", &path, &json);
		if (rc == 0) {
			run_print(cli, command->view, json);
			json_object_put(json);
		}
		if (rc >= 0)
			return rc;
		key = "default";
	}
	rc = read_key(command, key, bytes);
	if (rc)
		return rc;
	print_local(cli, command, key, compute(bytes, &ends), &ends);
	return CLI_DONE;
}
