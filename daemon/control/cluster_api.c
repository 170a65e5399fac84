// SPDX-License-Identifier: GPL-2.0-only
/* API paths of the cluster (see cluster_api.h). */
#include "control/cluster_api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cluster_api {
	struct cluster *const *slot;
	struct api_topic *trace;
};

static void get_cluster(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	const struct cluster_api *a = ctx;

	if (request->tail[0] != '\0') {
		api_fail(reply, 404, "no such path: %s", request->path);
		return;
	}
	if (*a->slot) {
		reply->json = cluster_show(*a->slot);
		return;
	}
	reply->json = json_object_new_object();
	json_object_object_add(reply->json, "enabled", json_object_new_boolean(false));
}

static void post_cluster(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	const struct cluster_api *a = ctx;
	const char *word = request->tail;
	int ret;

	while (*word == '/')
		word++;
	if (!*a->slot) {
		api_fail(reply, 409, "this node has no cluster: its configuration has no \"cluster\"");
		return;
	}
	ret = cluster_command(*a->slot, word);
	if (ret == -EINVAL)
		api_fail(reply, 404, "no such order: expected join, leave, active, passive or spare");
	else if (ret < 0)
		api_fail(reply, 500, "the order could not be kept on disk: %s", strerror(-ret));
	else
		reply->json = json_object_new_object();
}

static bool on_wanted(void *ctx)
{
	const struct cluster_api *a = ctx;

	return api_topic_wanted(a->trace);
}

static void on_event(void *ctx, struct json_object *event)
{
	const struct cluster_api *a = ctx;

	api_topic_publish(a->trace, event);
}

static const struct cluster_trace trace = { .wanted = on_wanted, .event = on_event };

int cluster_api_new(struct api *api, struct cluster *const *slot,
		    struct cluster_api **ret)
{
	struct cluster_api *a = calloc(1, sizeof(*a));

	assert(api && slot);
	if (!a)
		return -ENOMEM;
	a->slot = slot;
	a->trace = api_topic_new(api, "/v1/cluster/trace");
	if (!a->trace) {
		free(a);
		return -ENOMEM;
	}
	api_route(api, "GET", "/v1/cluster", get_cluster, a);
	api_route(api, "POST", "/v1/cluster", post_cluster, a);
	*ret = a;
	return 0;
}

void cluster_api_free(struct cluster_api *cluster_api)
{
	free(cluster_api);
}

void cluster_api_attach(struct cluster_api *a)
{
	assert(a);
	if (*a->slot)
		cluster_set_trace(*a->slot, &trace, a);
}
