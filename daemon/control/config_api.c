/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From requests to configurations. No request changes anything by itself:
 * it becomes an edit of the JSON in use (config_edit.h), the result is checked
 * whole, and what passes is applied as a whole or not at all.
 */
#include "control/config_api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_edit.h"
#include "util/durable.h"

struct config_api {
	struct config_api_ops ops;
	void *ctx;
	uv_loop_t *loop;
	char *path;
	/* Of the last change, and of the last one that is in the file. */
	uint64_t change, saved_change;
	unsigned int jobs; /* parses under way */
	bool freed;
};

/* A file being parsed by a worker. */
struct job {
	uv_work_t work;
	struct config_api *config_api;
	struct api_pending *pending;
	char *name, *text;
	size_t len;
	bool check_only;
	/* Written by the worker. */
	int rc;
	struct config *config;
	struct config_error error;
};

static int status_of(int rc)
{
	switch (rc) {
	case -EINVAL:
		return 400;
	case -ENOENT:
		return 404;
	case -EEXIST:
	case -EBUSY:
		return 409;
	default:
		return 500;
	}
}

static void refuse(struct api_reply *reply, int rc, const char *text)
{
	api_fail(reply, status_of(rc), "%s", text[0] ? text : strerror(-rc));
}

/* Applies CONFIG and answers. */
static void apply(struct config_api *config_api, struct config *config,
		  struct api_reply *reply)
{
	uint32_t generation = 0;
	char error[512] = "";
	int rc = config_api->ops.apply(config_api->ctx, config, &generation,
				       error, sizeof(error));

	if (rc) {
		/* Not the caller's fault unless it is said so. */
		refuse(reply, rc, error);
		return;
	}
	config_api->change++;
	reply->json = json_object_new_object();
	json_object_object_add(reply->json, "generation",
			       json_object_new_int64(generation));
}

/* ---- the whole --------------------------------------------------------- */

static void get_config(void *ctx, const struct api_request *request,
		       struct api_reply *reply)
{
	struct config_api *config_api = ctx;
	const struct config *config = config_api->ops.current(config_api->ctx);

	if (request->tail[0])
		api_fail(reply, 404, "no such path");
	else
		reply->json = json_object_get(config->source);
}

static void free_job(struct job *job)
{
	struct config_api *config_api = job->config_api;

	config_free(job->config);
	free(job->name);
	free(job->text);
	free(job);
	if (--config_api->jobs == 0 && config_api->freed) {
		free(config_api->path);
		free(config_api);
	}
}

static void parse(uv_work_t *work)
{
	struct job *job = work->data;

	job->rc = config_parse(job->name, job->text, job->len, &job->config,
			       &job->error);
}

static void parsed(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct config_api *config_api = job->config_api;
	struct api_reply reply = { 0 };

	/* The API is gone, and with it what waited for the answer. */
	if (config_api->freed) {
		free_job(job);
		return;
	}
	if (status) {
		api_fail(&reply, 503, "the daemon stops");
	} else if (job->rc) {
		refuse(&reply, job->rc, job->error.text);
	} else if (!job->check_only) {
		struct config *config = job->config;

		job->config = NULL;
		apply(config_api, config, &reply);
	}
	api_complete(job->pending, &reply);
	free_job(job);
}

static void post_config(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	struct config_api *config_api = ctx;
	const char *name = api_query(request, "name");
	const char *check = api_query(request, "check");
	struct job *job;

	if (request->tail[0]) {
		api_fail(reply, 404, "no such path");
		return;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		goto no_memory;
	job->config_api = config_api;
	config_api->jobs++;
	job->work.data = job;
	job->check_only = check && strcmp(check, "1") == 0;
	job->name = strdup(name ? name : "request");
	job->text = malloc(request->body_len + 1);
	job->len = request->body_len;
	if (!job->name || !job->text)
		goto no_memory;
	memcpy(job->text, request->body, request->body_len);
	job->pending = api_defer(request);
	if (!job->pending)
		goto no_memory;
	uv_queue_work(config_api->loop, &job->work, parse, parsed);
	return;
no_memory:
	if (job)
		free_job(job);
	api_fail(reply, 500, "out of memory");
}

static void save_config(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	struct config_api *config_api = ctx;
	const struct config *config = config_api->ops.current(config_api->ctx);
	const char *text;
	size_t len;
	int rc;

	text = json_object_to_json_string_length(
		config->source,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			JSON_C_TO_STRING_NOSLASHESCAPE,
		&len);
	/* Passwords of monitors may be in it: for the owner only. */
	rc = text ? durable_write(config_api->path, 0600, text, len) : -ENOMEM;
	if (rc) {
		api_fail(reply, 500, "cannot write %.300s: %s",
			 config_api->path, strerror(-rc));
		return;
	}
	config_api->saved_change = config_api->change;
	reply->json = json_object_new_object();
	json_object_object_add(reply->json, "path",
			       json_object_new_string(config_api->path));
}

/* ---- objects ----------------------------------------------------------- */

/* "NAME" or "NAME/services/TARGET", split in place. */
struct target {
	char buf[256];
	char *name, *list, *other;
};

static int split(const char *tail, struct target *ret)
{
	size_t len = strlen(tail);
	char *slash;

	*ret = (struct target){ 0 };
	if (len == 0 || len >= sizeof(ret->buf))
		return -ENOENT;
	memcpy(ret->buf, tail, len + 1);
	ret->name = ret->buf;
	slash = strchr(ret->buf, '/');
	if (!slash)
		return 0;
	*slash = '\0';
	ret->list = slash + 1;
	slash = strchr(ret->list, '/');
	if (!slash || !slash[1] || strchr(slash + 1, '/'))
		return -ENOENT;
	*slash = '\0';
	ret->other = slash + 1;
	return 0;
}

static int read_weight(struct json_object *json, uint32_t *ret,
		       struct config_error *e)
{
	struct json_object *value;
	int64_t weight;

	*ret = 0;
	if (!json || !json_object_object_get_ex(json, "weight", &value))
		return 0;
	weight = json_object_get_int64(value);
	if (!json_object_is_type(value, json_type_int) || weight < 1 ||
	    weight > 65535) {
		snprintf(e->text, sizeof(e->text),
			 "weight: expected a number from 1 to 65535");
		return -EINVAL;
	}
	*ret = (uint32_t)weight;
	return 0;
}

/* Which list of KIND the word after the name may mean. */
static const char *list_of(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_KIND_VSERVER:
		return "services";
	case CONFIG_KIND_SERVICE:
		return "monitors";
	case CONFIG_KIND_MONITOR:
		break;
	}
	return "";
}

static int edit(struct json_object *source, enum config_kind kind,
		const struct target *target, const struct api_request *request,
		struct json_object **ret, struct config_error *e)
{
	bool put = strcmp(request->method, "PUT") == 0;
	uint32_t weight;
	int rc;

	if (target->other && put) {
		rc = read_weight(request->json, &weight, e);
		return rc ? rc :
			    config_edit_bind(source, kind, target->name,
					     target->other, weight, ret, e);
	}
	if (target->other)
		return config_edit_unbind(source, kind, target->name,
					  target->other, ret, e);
	if (strcmp(request->method, "DELETE") == 0)
		return config_edit_remove(source, kind, target->name, ret, e);
	if (put)
		return config_edit_set(source, kind, target->name,
				       request->json, ret, e);
	return config_edit_add(source, kind, target->name, request->json, ret,
			       e);
}

static int apply_edit(struct config_api *config_api, struct json_object *json,
		      struct api_reply *reply)
{
	struct config_error error;
	struct config *config;
	int rc = config_from_json(json, &config, &error);

	json_object_put(json);
	if (rc)
		refuse(reply, rc, error.text);
	else
		apply(config_api, config, reply);
	return rc;
}

static void change(struct config_api *config_api, enum config_kind kind,
		   const struct api_request *request, struct api_reply *reply)
{
	const struct config *config = config_api->ops.current(config_api->ctx);
	struct config_error error = { "" };
	struct json_object *json;
	struct target target;
	int rc = split(request->tail, &target);

	if (rc || (target.list && (strcmp(target.list, list_of(kind)) != 0 ||
				   strcmp(request->method, "POST") == 0))) {
		api_fail(reply, 404, "no such path: expected /v1/%s/NAME",
			 config_edit_kind_key(kind));
		return;
	}
	rc = edit(config->source, kind, &target, request, &json, &error);
	if (rc)
		refuse(reply, rc, error.text);
	else
		apply_edit(config_api, json, reply);
}

static void change_vserver(void *ctx, const struct api_request *request,
			   struct api_reply *reply)
{
	change(ctx, CONFIG_KIND_VSERVER, request, reply);
}

/* POST NAME/enable and NAME/disable are orders, not changes of keys. */
static bool command(struct config_api *config_api,
		    const struct api_request *request, struct api_reply *reply)
{
	const struct config_service *service;
	const char *slash = strrchr(request->tail, '/');
	char name[NAME_LEN];
	size_t len;

	if (strcmp(request->method, "POST") != 0 || !slash ||
	    (strcmp(slash, "/enable") != 0 && strcmp(slash, "/disable") != 0))
		return false;
	len = (size_t)(slash - request->tail);
	snprintf(name, sizeof(name), "%.*s", (int)len, request->tail);
	service = config_find_service(
		config_api->ops.current(config_api->ctx), name);
	if (!service || len >= NAME_LEN)
		api_fail(reply, 404, "there is no service \"%.*s\"",
			 len < 40 ? (int)len : 40, request->tail);
	else
		config_api->ops.service_command(config_api->ctx, service,
						slash + 1, request, reply);
	return true;
}

static void change_service(void *ctx, const struct api_request *request,
			   struct api_reply *reply)
{
	if (!command(ctx, request, reply))
		change(ctx, CONFIG_KIND_SERVICE, request, reply);
}

static void change_monitor(void *ctx, const struct api_request *request,
			   struct api_reply *reply)
{
	change(ctx, CONFIG_KIND_MONITOR, request, reply);
}

int config_api_set_top(struct config_api *config_api, const char *key,
		       uint32_t value, char *ret_error, size_t error_len)
{
	const struct config *current = config_api->ops.current(config_api->ctx);
	struct config_error error = { "" };
	struct json_object *json;
	struct config *config;
	uint32_t generation;
	int rc = config_edit_top(current->source, key, value, &json, &error);

	if (rc == 0) {
		rc = config_from_json(json, &config, &error);
		json_object_put(json);
	}
	if (rc) {
		snprintf(ret_error, error_len, "%s", error.text);
		return rc;
	}
	rc = config_api->ops.apply(config_api->ctx, config, &generation,
				   ret_error, error_len);
	if (rc == 0)
		config_api->change++;
	return rc;
}

bool config_api_saved(const struct config_api *config_api)
{
	return config_api->change == config_api->saved_change;
}

int config_api_new(struct api *api, uv_loop_t *loop, const char *path,
		   const struct config_api_ops *ops, void *ctx,
		   struct config_api **ret)
{
	static const struct {
		const char *prefix;
		api_handler *handler;
	} kinds[] = {
		{ "/v1/vservers", change_vserver },
		{ "/v1/services", change_service },
		{ "/v1/monitors", change_monitor },
	};
	static const char *const methods[] = { "POST", "PUT", "DELETE" };
	struct config_api *config_api = calloc(1, sizeof(*config_api));

	if (!config_api)
		return -ENOMEM;
	config_api->path = strdup(path);
	if (!config_api->path) {
		free(config_api);
		return -ENOMEM;
	}
	config_api->ops = *ops;
	config_api->ctx = ctx;
	config_api->loop = loop;
	api_route(api, "GET", "/v1/config", get_config, config_api);
	api_route(api, "POST", "/v1/config", post_config, config_api);
	api_route(api, "POST", "/v1/config/save", save_config, config_api);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]);
		     k++)
			api_route(api, methods[k], kinds[i].prefix,
				  kinds[i].handler, config_api);
	*ret = config_api;
	return 0;
}

void config_api_free(struct config_api *config_api)
{
	if (!config_api)
		return;
	config_api->freed = true;
	if (config_api->jobs)
		return; /* the last job frees it */
	free(config_api->path);
	free(config_api);
}
