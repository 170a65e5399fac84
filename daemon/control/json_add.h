/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shorthands for building answers. Memory that runs out in json-c leaves a key
 * out; no answer is worth ending the daemon for.
 */
#ifndef SLUICE_JSON_ADD_H
#define SLUICE_JSON_ADD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include "ip_addr.h"

void json_add_str(struct json_object *to, const char *key, const char *value);
void json_add_int(struct json_object *to, const char *key, int64_t value);
void json_add_bool(struct json_object *to, const char *key, bool value);
/* 64-bit ids: 16 hexadecimal digits. */
void json_add_id(struct json_object *to, const char *key, uint64_t value);
void json_add_addr(struct json_object *to, const char *key,
		   const union ip_addr *addr);
/* ADDR:PORT; PORT in host order. */
void json_add_addr_port(struct json_object *to, const char *key,
			const union ip_addr *addr, uint16_t port);
/* Creates an array, adds and returns it. */
struct json_object *json_add_array(struct json_object *to, const char *key);
struct json_object *json_add_object(struct json_object *to, const char *key);

#endif
