/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Edits by shallow copies: the top object and one array of references are
 * copied, and the one object that changes; all else is shared by reference
 * count with the configuration that is in use. Shared parts are never written
 * to. Values are not judged here; config_from_json() does that.
 */
#include "config/config_edit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *key, *what;
	/* Its bindings: the list, and the key in it that names the other. */
	const char *list, *ref;
} kinds[] = {
	[CONFIG_KIND_VSERVER] = { "vservers", "vserver", "services", "service" },
	[CONFIG_KIND_SERVICE] = { "services", "service", "monitors", "monitor" },
	[CONFIG_KIND_MONITOR] = { "monitors", "monitor", NULL, NULL },
};

const char *config_edit_kind_key(enum config_kind kind)
{
	return kinds[kind].key;
}

#define FAIL(e, code, ...)                                                     \
	({                                                                     \
		snprintf((e)->text, sizeof((e)->text), __VA_ARGS__);           \
		code;                                                          \
	})

/* The string at KEY of OBJECT equals NAME. */
static bool names(struct json_object *object, const char *key, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) &&
	       json_object_is_type(value, json_type_string) &&
	       strcmp(json_object_get_string(value), name) == 0;
}

/* Position in ARRAY (may be NULL) of the element whose KEY is NAME, or -1. */
static long find(struct json_object *array, const char *key, const char *name)
{
	size_t n = array ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++)
		if (names(json_object_array_get_idx(array, i), key, name))
			return (long)i;
	return -1;
}

static struct json_object *get_array(struct json_object *object,
				     const char *key)
{
	struct json_object *array;

	if (!json_object_object_get_ex(object, key, &array) ||
	    !json_object_is_type(array, json_type_array))
		return NULL;
	return array;
}

static struct json_object *copy_object(struct json_object *object)
{
	struct json_object *copy = json_object_new_object();

	if (!copy)
		return NULL;
	json_object_object_foreach(object, key, value)
	{
		if (json_object_object_add(copy, key, json_object_get(value))) {
			json_object_put(value);
			json_object_put(copy);
			return NULL;
		}
	}
	return copy;
}

/* Without element SKIP, unless that is -1. */
static struct json_object *copy_array(struct json_object *array, long skip)
{
	size_t n = array ? json_object_array_length(array) : 0;
	struct json_object *copy = json_object_new_array_ext((int)n + 1);

	for (size_t i = 0; copy && i < n; i++) {
		struct json_object *value = json_object_array_get_idx(array, i);

		if ((long)i == skip)
			continue;
		if (json_object_array_add(copy, json_object_get(value))) {
			json_object_put(value);
			json_object_put(copy);
			return NULL;
		}
	}
	return copy;
}

/* A copy of SOURCE in which KEY is VALUE, whose reference it takes. */
static int replace(struct json_object *source, const char *key,
		   struct json_object *value, struct json_object **ret,
		   struct config_error *e)
{
	struct json_object *copy = value ? copy_object(source) : NULL;

	if (!copy || json_object_object_add(copy, key, value)) {
		json_object_put(value);
		json_object_put(copy);
		return FAIL(e, -ENOMEM, "out of memory");
	}
	*ret = copy;
	return 0;
}

/* A copy of SOURCE in which element AT of KIND is OBJECT (reference taken). */
static int replace_element(struct json_object *source, enum config_kind kind,
			   long at, struct json_object *object,
			   struct json_object **ret, struct config_error *e)
{
	struct json_object *array =
		object ? copy_array(get_array(source, kinds[kind].key), -1) :
			 NULL;

	if (!array || json_object_array_put_idx(array, (size_t)at, object)) {
		json_object_put(object);
		json_object_put(array);
		return FAIL(e, -ENOMEM, "out of memory");
	}
	return replace(source, kinds[kind].key, array, ret, e);
}

static int no_object(enum config_kind kind, const char *name,
		     struct config_error *e)
{
	return FAIL(e, -ENOENT, "there is no %s \"%.40s\"", kinds[kind].what,
		    name);
}

/* OBJECT's keys must be an object that does not give another name. */
static int check_keys(enum config_kind kind, const char *name,
		      struct json_object *keys, struct config_error *e)
{
	if (!json_object_is_type(keys, json_type_object))
		return FAIL(e, -EINVAL, "expected an object with the keys of "
					"the %s",
			    kinds[kind].what);
	if (json_object_object_get_ex(keys, "name", NULL) &&
	    !names(keys, "name", name))
		return FAIL(e, -EINVAL, "a %s cannot be renamed: \"name\" must "
					"be \"%.40s\" or left out",
			    kinds[kind].what, name);
	return 0;
}

/* Puts the keys of KEYS into OBJECT; null deletes. */
static int merge(struct json_object *object, struct json_object *keys)
{
	json_object_object_foreach(keys, key, value)
	{
		if (!value) {
			json_object_object_del(object, key);
		} else if (json_object_object_add(object, key,
						  json_object_get(value))) {
			json_object_put(value);
			return -ENOMEM;
		}
	}
	return 0;
}

int config_edit_add(struct json_object *source, enum config_kind kind,
		    const char *name, struct json_object *keys,
		    struct json_object **ret, struct config_error *e)
{
	struct json_object *array = get_array(source, kinds[kind].key);
	struct json_object *object;
	int rc = check_keys(kind, name, keys, e);

	if (rc)
		return rc;
	if (find(array, "name", name) >= 0)
		return FAIL(e, -EEXIST, "there is a %s \"%.40s\" already",
			    kinds[kind].what, name);
	object = json_object_new_object();
	if (!object ||
	    json_object_object_add(object, "name",
				   json_object_new_string(name)) ||
	    merge(object, keys)) {
		json_object_put(object);
		return FAIL(e, -ENOMEM, "out of memory");
	}
	return replace_element(source, kind,
			       array ? (long)json_object_array_length(array) :
				       0,
			       object, ret, e);
}

int config_edit_set(struct json_object *source, enum config_kind kind,
		    const char *name, struct json_object *keys,
		    struct json_object **ret, struct config_error *e)
{
	struct json_object *array = get_array(source, kinds[kind].key);
	long at = find(array, "name", name);
	struct json_object *object;
	int rc = check_keys(kind, name, keys, e);

	if (rc)
		return rc;
	if (at < 0)
		return no_object(kind, name, e);
	object = copy_object(json_object_array_get_idx(array, (size_t)at));
	if (!object || merge(object, keys)) {
		json_object_put(object);
		return FAIL(e, -ENOMEM, "out of memory");
	}
	return replace_element(source, kind, at, object, ret, e);
}

/* Who refers to NAME; fills in the error. */
static int check_unused(struct json_object *source, enum config_kind kind,
			const char *name, struct config_error *e)
{
	struct json_object *array;
	size_t n;

	for (unsigned int user = 0; user < sizeof(kinds) / sizeof(kinds[0]);
	     user++) {
		bool binds = kinds[user].ref &&
			     strcmp(kinds[user].ref, kinds[kind].what) == 0;
		bool backs = user == CONFIG_KIND_VSERVER && kind == user;

		if (!binds && !backs)
			continue;
		array = get_array(source, kinds[user].key);
		n = array ? json_object_array_length(array) : 0;
		for (size_t i = 0; i < n; i++) {
			struct json_object *object =
				json_object_array_get_idx(array, i);
			struct json_object *other;

			if (!(backs && names(object, "backup", name)) &&
			    !(binds &&
			      find(get_array(object, kinds[user].list),
				   kinds[user].ref, name) >= 0))
				continue;
			json_object_object_get_ex(object, "name", &other);
			return FAIL(e, -EBUSY,
				    "%s \"%.40s\" is in use by %s \"%.40s\": "
				    "unbind it first",
				    kinds[kind].what, name, kinds[user].what,
				    json_object_get_string(other));
		}
	}
	return 0;
}

int config_edit_remove(struct json_object *source, enum config_kind kind,
		       const char *name, struct json_object **ret,
		       struct config_error *e)
{
	struct json_object *array = get_array(source, kinds[kind].key);
	long at = find(array, "name", name);
	int rc;

	if (at < 0)
		return no_object(kind, name, e);
	rc = check_unused(source, kind, name, e);
	if (rc)
		return rc;
	return replace(source, kinds[kind].key, copy_array(array, at), ret, e);
}

static struct json_object *new_binding(const char *ref, const char *target,
				       uint32_t weight)
{
	struct json_object *binding = json_object_new_object();

	if (!binding ||
	    json_object_object_add(binding, ref,
				   json_object_new_string(target)) ||
	    json_object_object_add(binding, "weight",
				   json_object_new_int64(weight))) {
		json_object_put(binding);
		return NULL;
	}
	return binding;
}

/* Changes the list of bindings of one object: BIND or take away. */
static int edit_binding(struct json_object *source, enum config_kind kind,
			const char *name, const char *target, bool bind,
			uint32_t weight, struct json_object **ret,
			struct config_error *e)
{
	struct json_object *array = get_array(source, kinds[kind].key);
	long at = find(array, "name", name), binding_at;
	struct json_object *object, *list, *copy, *binding;

	if (at < 0)
		return no_object(kind, name, e);
	if (!kinds[kind].list)
		return FAIL(e, -EINVAL, "nothing is bound to a %s",
			    kinds[kind].what);
	object = json_object_array_get_idx(array, (size_t)at);
	list = get_array(object, kinds[kind].list);
	binding_at = find(list, kinds[kind].ref, target);
	if (!bind && binding_at < 0)
		return FAIL(e, -ENOENT,
			    "%s \"%.40s\" is not bound to %s \"%.40s\"",
			    kinds[kind].ref, target, kinds[kind].what, name);
	/* Binding again without a weight changes nothing. */
	if (bind && binding_at >= 0 && weight == 0) {
		*ret = json_object_get(source);
		return 0;
	}
	copy = copy_array(list, bind ? -1 : binding_at);
	object = copy_object(object);
	binding = bind ? new_binding(kinds[kind].ref, target,
				     weight ? weight : 1) :
			 NULL;
	if (!copy || !object || (bind && !binding))
		goto no_memory;
	if (bind) {
		size_t to = binding_at >= 0 ? (size_t)binding_at :
					      json_object_array_length(copy);

		if (json_object_array_put_idx(copy, to, binding))
			goto no_memory;
		binding = NULL;
	}
	if (json_object_object_add(object, kinds[kind].list, copy))
		goto no_memory;
	return replace_element(source, kind, at, object, ret, e);
no_memory:
	json_object_put(copy);
	json_object_put(object);
	json_object_put(binding);
	return FAIL(e, -ENOMEM, "out of memory");
}

int config_edit_bind(struct json_object *source, enum config_kind kind,
		     const char *name, const char *target, uint32_t weight,
		     struct json_object **ret, struct config_error *e)
{
	return edit_binding(source, kind, name, target, true, weight, ret, e);
}

int config_edit_unbind(struct json_object *source, enum config_kind kind,
		       const char *name, const char *target,
		       struct json_object **ret, struct config_error *e)
{
	return edit_binding(source, kind, name, target, false, 0, ret, e);
}

int config_edit_top(struct json_object *source, const char *key,
		    uint32_t value, struct json_object **ret,
		    struct config_error *e)
{
	return replace(source, key, json_object_new_int64(value), ret, e);
}
