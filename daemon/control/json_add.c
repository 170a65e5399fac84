/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See json_add.h.
 */
#include "control/json_add.h"

#include <stdio.h>
#include "util/addr_text.h"

void json_add_str(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

void json_add_int(struct json_object *to, const char *key, int64_t value)
{
	json_object_object_add(to, key, json_object_new_int64(value));
}

void json_add_bool(struct json_object *to, const char *key, bool value)
{
	json_object_object_add(to, key, json_object_new_boolean(value));
}

void json_add_id(struct json_object *to, const char *key, uint64_t value)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)value);
	json_add_str(to, key, text);
}

void json_add_addr(struct json_object *to, const char *key,
		   const union ip_addr *addr)
{
	char text[ADDR_TEXT_LEN];

	json_add_str(to, key, addr_text_format(addr, text));
}

void json_add_addr_port(struct json_object *to, const char *key,
			const union ip_addr *addr, uint16_t port)
{
	char text[ADDR_TEXT_LEN];

	json_add_str(to, key, addr_text_format_port(addr, port, text));
}

struct json_object *json_add_array(struct json_object *to, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(to, key, array);
	return array;
}

struct json_object *json_add_object(struct json_object *to, const char *key)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(to, key, object);
	return object;
}
