/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of single objects at run time: edits of the JSON a configuration
 * was made from (config.source), which is then read and checked like a file
 * (config_from_json). So there is one way in which a configuration comes to
 * be, and `config save` writes what runs.
 *
 * An edit never changes its input: it gives a new object that shares all that
 * did not change, so that one edit among 70 000 services is cheap. All return
 * 0, or -errno with the error text filled in:
 *   -ENOENT  no such object      -EEXIST  the name is taken
 *   -EBUSY   something refers to it       -EINVAL  not an object, bad key
 */
#ifndef SLUICE_CONFIG_EDIT_H
#define SLUICE_CONFIG_EDIT_H

#include <json-c/json.h>
#include "config/config.h"

enum config_kind {
	CONFIG_KIND_VSERVER,
	CONFIG_KIND_SERVICE,
	CONFIG_KIND_MONITOR,
};

/* "vservers", "services", "monitors". */
const char *config_edit_kind_key(enum config_kind kind);

/* KEYS: the object without its name, or with the same one. */
int config_edit_add(struct json_object *source, enum config_kind kind,
		    const char *name, struct json_object *keys,
		    struct json_object **ret, struct config_error *e);

/* Keys of KEYS replace those of the object; null takes a key away. */
int config_edit_set(struct json_object *source, enum config_kind kind,
		    const char *name, struct json_object *keys,
		    struct json_object **ret, struct config_error *e);

int config_edit_remove(struct json_object *source, enum config_kind kind,
		       const char *name, struct json_object **ret,
		       struct config_error *e);

/* Binds service TARGET to vserver NAME, or monitor TARGET to service NAME, or
 * gives the binding another weight (0: leave it as it is, 1 if it is new). */
int config_edit_bind(struct json_object *source, enum config_kind kind,
		     const char *name, const char *target, uint32_t weight,
		     struct json_object **ret, struct config_error *e);
int config_edit_unbind(struct json_object *source, enum config_kind kind,
		       const char *name, const char *target,
		       struct json_object **ret, struct config_error *e);

/* Sets a number at the top, e.g. "engines". */
int config_edit_top(struct json_object *source, const char *key,
		    uint32_t value, struct json_object **ret,
		    struct config_error *e);

#endif
