/* SPDX-License-Identifier: GPL-2.0-only */
/* Paths about probing, see health_api.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "control/health_api.h"
#include "control/json_add.h"
#include "health/health.h"
#include "probe_tunnel.h"
#include "util/addr_text.h"

static struct health_api {
	struct health *health;
	struct api_topic *topic;
	const struct config *(*current)(void *ctx);
	int (*scale)(void *ctx, uint32_t count, char *ret_error, size_t len);
	void *ctx;
} state;

/* ---- the stream ------------------------------------------------------- */

void health_api_event(const struct health_event *event)
{
	struct json_object *o;

	if (!state.topic || !api_topic_readers(state.topic))
		return;
	o = json_object_new_object();
	json_add_int(o, "time_s", time(NULL));
	json_add_str(o, "service", event->name);
	json_add_str(o, "state", health_state_name(event->state));
	json_add_str(o, "before", health_state_name(event->before));
	json_add_str(o, "observed", health_observed_name(event->observed));
	json_add_str(o, "reason", event->reason);
	if (event->response_us)
		json_add_int(o, "response_us", event->response_us);
	api_topic_publish(state.topic, o);
	json_object_put(o);
}

/* ---- monitors --------------------------------------------------------- */

/* Types as in the configuration; the order of enum config_monitor_type. */
static const char *const types[] = {
	"ping",	   "tcp",	"tcp-ecv", "http",    "http-ecv",
	"https",   "https-ecv", "udp",	   "udp-ecv", "dns",
	"ftp",	   "load",	"script",  "inline",
};

static struct json_object *monitor_json(const struct config_monitor *m)
{
	struct json_object *o = json_object_new_object();
	unsigned int bindings, passing;

	json_add_str(o, "name", m->name);
	json_add_str(o, "type", types[m->type]);
	json_add_int(o, "interval_ms", m->interval_ms);
	json_add_int(o, "timeout_ms", m->timeout_ms);
	json_add_int(o, "down_ms", m->down_ms);
	json_add_int(o, "retries", m->retries);
	json_add_int(o, "success_retries", m->success_retries);
	json_add_int(o, "failure_retries", m->failure_retries);
	if (m->deviation_ms)
		json_add_int(o, "deviation_ms", m->deviation_ms);
	if (m->reverse)
		json_add_bool(o, "reverse", true);
	if (m->has_address)
		json_add_addr(o, "address", &m->address);
	if (m->port)
		json_add_int(o, "port", m->port);
	if (m->tunnel)
		json_add_str(o, "tunnel",
			     m->tunnel == PROBE_TUNNEL_GUE ? "gue" : "ipip");
	health_monitor_count(state.health, m->entity, &bindings, &passing);
	json_add_int(o, "services", bindings);
	json_add_int(o, "passing", passing);
	return o;
}

static void get_monitors(void *ctx, const struct api_request *request,
			 struct api_reply *reply)
{
	const struct config *config = state.current(state.ctx);
	const struct config_monitor *m;
	struct json_object *list;

	(void)ctx;
	if (*request->tail) {
		m = config_find_monitor(config, request->tail);
		if (m)
			reply->json = monitor_json(m);
		else
			api_fail(reply, 404, "no monitor named %s",
				 request->tail);
		return;
	}
	reply->json = json_object_new_object();
	list = json_add_array(reply->json, "monitors");
	for (size_t i = 0; i < config->n_monitors; i++)
		json_object_array_add(list, monitor_json(&config->monitors[i]));
}

/* ---- one-off probes --------------------------------------------------- */

/* A configuration with nothing but the monitor and its target: parsed by the
 * same rules as all others, so a try refuses what the configuration would. */
static struct config *try_config(const struct api_request *request,
				 struct api_reply *reply)
{
	struct json_object *root, *monitor, *service, *value, *list;
	struct config_error error = { "" };
	struct config *config = NULL;
	union ip_addr addr;
	uint16_t port = 0;
	const char *text;
	char buf[ADDR_TEXT_LEN];

	if (!json_object_object_get_ex(request->json, "target", &value) ||
	    !json_object_is_type(value, json_type_string)) {
		api_fail(reply, 400,
			 "target: expected \"ADDRESS:PORT\" or \"ADDRESS\"");
		return NULL;
	}
	text = json_object_get_string(value);
	if (addr_text_parse_port(text, &addr, &port) &&
	    addr_text_parse(text, &addr)) {
		api_fail(reply, 400,
			 "target: %.80s is not ADDRESS:PORT or ADDRESS", text);
		return NULL;
	}
	root = json_object_new_object();
	list = json_add_array(root, "interfaces");
	json_object_array_add(list, json_object_new_object());
	json_add_str(json_object_array_get_idx(list, 0), "name", "lo");
	list = json_add_array(root, "monitors");
	monitor = json_object_new_object();
	json_object_object_foreach(request->json, key, item) {
		if (strcmp(key, "target"))
			json_object_object_add(monitor, key,
					       json_object_get(item));
	}
	json_add_str(monitor, "name", "try");
	json_object_array_add(list, monitor);
	list = json_add_array(root, "services");
	service = json_object_new_object();
	json_add_str(service, "name", "try");
	json_add_str(service, "address", addr_text_format(&addr, buf));
	/* Kinds without a port do not care, the others have been given one. */
	json_add_int(service, "port", port ? port : 1);
	json_object_array_add(list, service);
	list = json_add_array(service, "monitors");
	json_object_array_add(list, json_object_new_object());
	json_add_str(json_object_array_get_idx(list, 0), "monitor", "try");
	text = json_object_to_json_string(root);
	if (config_parse("try", text, strlen(text), &config, &error)) {
		api_fail(reply, 400, "%s", error.text);
		config = NULL;
	}
	json_object_put(root);
	return config;
}

static void on_tried(void *ctx, struct json_object *result)
{
	struct api_reply reply = { .status = 200, .json = result };

	api_complete(ctx, &reply);
}

static void post_try(void *ctx, const struct api_request *request,
		     struct api_reply *reply)
{
	struct api_pending *pending;
	struct config *config;
	int err;

	(void)ctx;
	config = try_config(request, reply);
	if (!config)
		return;
	pending = api_defer(request);
	if (!pending) {
		api_fail(reply, 503, "out of memory");
		config_free(config);
		return;
	}
	err = health_try(state.health, config, on_tried, pending);
	config_free(config);
	if (err) {
		struct api_reply refusal = { .status = 200 };

		api_fail(&refusal, 409, "%s",
			 err == -EAGAIN ? "no prober runs: `sluice prober "
					  "scale` starts some" :
			 err == -EBUSY	? "too many tries at once" :
					  strerror(-err));
		api_complete(pending, &refusal);
	}
}

/* ---- probers ---------------------------------------------------------- */

static void get_probers(void *ctx, const struct api_request *request,
			struct api_reply *reply)
{
	(void)ctx;
	(void)request;
	reply->json = json_object_new_object();
	json_object_object_add(reply->json, "probers",
			       health_probers_json(state.health));
}

static void post_scale(void *ctx, const struct api_request *request,
		       struct api_reply *reply)
{
	struct json_object *value;
	char error[256] = "";
	int64_t count;
	int err;

	(void)ctx;
	if (!json_object_object_get_ex(request->json, "count", &value) ||
	    !json_object_is_type(value, json_type_int)) {
		api_fail(reply, 400, "count: expected 0 to %d", PROBERS_MAX);
		return;
	}
	count = json_object_get_int64(value);
	if (count < 0 || count > PROBERS_MAX) {
		api_fail(reply, 400, "count: expected 0 to %d", PROBERS_MAX);
		return;
	}
	err = state.scale(state.ctx, count, error, sizeof(error));
	if (err) {
		api_fail(reply, 500, "%s", error[0] ? error : strerror(-err));
		return;
	}
	reply->json = json_object_new_object();
	json_add_int(reply->json, "count", count);
}

int health_api_routes(struct api *api, struct health *health,
		      const struct config *(*current)(void *ctx),
		      int (*scale)(void *ctx, uint32_t count, char *ret_error,
				   size_t len),
		      void *ctx)
{
	state = (struct health_api){ .health = health,
				     .current = current,
				     .scale = scale,
				     .ctx = ctx };
	state.topic = api_topic_new(api, "/v1/services/watch");
	if (!state.topic)
		return -ENOMEM;
	api_route(api, "GET", "/v1/monitors", get_monitors, NULL);
	api_route(api, "POST", "/v1/monitors/try", post_try, NULL);
	api_route(api, "GET", "/v1/probers", get_probers, NULL);
	api_route(api, "POST", "/v1/probers/scale", post_scale, NULL);
	return 0;
}
