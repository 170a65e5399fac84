/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Readers for single values with a form of their own. References are resolved
 * here, at once: monitors are read before services, services before vservers.
 */
#include "config/config_read.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "config/config_index.h"
#include "hash.h"
#include "util/addr_text.h"

#define CLUSTER_PORT 7946

static const uint8_t rss_key_default[40] = TOEPLITZ_KEY_DEFAULT;
static const uint8_t rss_key_symmetric[40] = TOEPLITZ_KEY_SYMMETRIC;

static const char *string(struct config_reader *reader,
			  struct json_object *value, const char *what)
{
	if (json_object_is_type(value, json_type_string))
		return json_object_get_string(value);
	config_schema_fail(reader, "expected a string: %s", what);
	return NULL;
}

int config_read_ifname(struct config_reader *reader, struct json_object *value,
		       void *dst)
{
	const char *text = string(reader, value, "the name of a device");
	size_t len;

	if (!text)
		return -EINVAL;
	len = strlen(text);
	/* As the kernel's dev_valid_name(). */
	if (len == 0 || len >= 16 || strpbrk(text, "/: \t\r\n\v\f") ||
	    strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return config_schema_fail(
			reader, "expected a device name of 1 to 15 "
				"characters, found \"%.40s\"",
			text);
	memcpy(dst, text, len + 1);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int config_read_rss_key(struct config_reader *reader,
			struct json_object *value, void *dst)
{
	const char *text = string(reader, value, "a key");
	uint8_t key[40];

	if (!text)
		return -EINVAL;
	if (strcmp(text, "default") == 0) {
		memcpy(dst, rss_key_default, sizeof(rss_key_default));
		return 0;
	}
	if (strcmp(text, "symmetric") == 0) {
		memcpy(dst, rss_key_symmetric, sizeof(rss_key_symmetric));
		return 0;
	}
	if (strlen(text) != 80 || json_object_get_string_len(value) != 80)
		goto refuse;
	for (int i = 0; i < 40; i++) {
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			goto refuse;
		key[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(dst, key, sizeof(key));
	return 0;
refuse:
	return config_schema_fail(reader, "expected \"default\", "
					  "\"symmetric\" or 80 hexadecimal "
					  "digits");
}

int config_read_rss_done(struct config_reader *reader)
{
	static const uint8_t none[40];
	uint8_t *key = reader->config->rss_key;

	/* All zero would hash every flow to 0: also what "00…" asks for. */
	if (memcmp(key, none, sizeof(none)) == 0)
		memcpy(key, rss_key_default, sizeof(rss_key_default));
	return 0;
}

int config_read_node_done(struct config_reader *reader)
{
	char *name = reader->config->node_name;
	char host[256];

	if (name[0])
		return 0;
	if (gethostname(host, sizeof(host)) == 0) {
		host[sizeof(host) - 1] = '\0';
		/* The host's name without its domain. */
		snprintf(name, NAME_LEN, "%.*s",
			 (int)strnlen(host, NAME_LEN - 1), host);
		name[strcspn(name, ".")] = '\0';
	}
	if (!name[0])
		snprintf(name, NAME_LEN, "n%u", reader->config->node_id);
	return 0;
}

static int read_ref(struct config_reader *reader, struct json_object *value,
		    const struct config_index *index, const char *kind,
		    const void **dst)
{
	const char *text = string(reader, value, "a name");

	if (!text)
		return -EINVAL;
	*dst = config_index_find(index, text);
	if (!*dst)
		return config_schema_fail(reader, "there is no %s \"%.40s\"",
					  kind, text);
	return 0;
}

int config_read_monitor_ref(struct config_reader *reader,
			    struct json_object *value, void *dst)
{
	return read_ref(reader, value, reader->config->monitor_index,
			"monitor", dst);
}

int config_read_service_ref(struct config_reader *reader,
			    struct json_object *value, void *dst)
{
	return read_ref(reader, value, reader->config->service_index,
			"service", dst);
}

int config_read_backup(struct config_reader *reader, struct json_object *value,
		       void *dst)
{
	(void)dst;
	return string(reader, value, "the name of a vserver") ? 0 : -EINVAL;
}

static int read_endpoint(struct config_reader *reader,
			 struct json_object *value, union ip_addr *addr,
			 uint16_t *port)
{
	const char *text = string(reader, value, "an address");

	if (!text)
		return -EINVAL;
	*port = CLUSTER_PORT;
	if (addr_text_parse(text, addr) == 0)
		return 0;
	if (addr_text_parse_port(text, addr, port) || *port == 0)
		return config_schema_fail(
			reader, "expected ADDRESS, ADDRESS:PORT or "
				"[ADDRESS]:PORT, found \"%.60s\"",
			text);
	return 0;
}

int config_read_peer_address(struct config_reader *reader,
			     struct json_object *value, void *dst)
{
	struct config_peer *peer =
		(void *)((char *)dst - offsetof(struct config_peer, addr));

	return read_endpoint(reader, value, &peer->addr, &peer->port);
}

int config_read_cluster_address(struct config_reader *reader,
				struct json_object *value, void *dst)
{
	struct config_cluster *cluster =
		(void *)((char *)dst - offsetof(struct config_cluster, addr));

	return read_endpoint(reader, value, &cluster->addr, &cluster->port);
}
