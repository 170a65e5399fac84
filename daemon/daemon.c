/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wires the modules together and unwinds them in reverse. Decides nothing
 * itself: effects of a configuration are apply.c's, what paths answer is
 * control/'s.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "apply_names.h"
#include "bpf/features.h"
#include "control/api.h"
#include "control/config_api.h"
#include "control/datapath_api.h"
#include "control/flow_api.h"
#include "control/health_api.h"
#include "control/object_api.h"
#include "util/log.h"
#include "util/notify.h"
#include "util/privileges.h"

#define HEARTBEAT_MS 100
#define CHECK_EVERY 10 /* heartbeats */
/* Rebuilding tables may hold up the loop for this long at a time. */
#define FLUSH_NS 10000000ull

/* ---- timers ------------------------------------------------------------ */

static void on_heartbeat(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	uint64_t now = uv_hrtime();

	__atomic_store_n(&d->dp.maps.conf->daemon_ns, now, __ATOMIC_RELEASE);
	flow_scan_step(&d->scan, &d->dp.maps, d->publish, now);
	if (++d->beats % CHECK_EVERY == 0 && datapath_check(&d->dp))
		apply_interfaces(&d->apply);
}

static void on_flush(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	if (publish_flush(d->publish, FLUSH_NS))
		uv_timer_start(&d->flush, on_flush, 0, 0);
}

/* Names that change together are put into effect together, and not more often
 * than this: each time all look-up tables are gone through. */
#define MOVES_MS 10
#define MOVES_EVERY_MS 500

static void on_moves(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	if (apply_moves(&d->apply))
		uv_timer_start(timer, on_moves, MOVES_EVERY_MS, 0);
	d->moved_ns = uv_hrtime();
}

static bool learn(struct daemon *d, uint64_t entity, const union ip_addr *addr,
		  uint32_t ttl_s, const char **ret_problem)
{
	enum apply_names_result r = apply_names_learn(&d->apply, entity, addr,
						      ttl_s, ret_problem);
	uint64_t since_ms = (uv_hrtime() - d->moved_ns) / 1000000;

	if (r == APPLY_NAMES_MOVES && !uv_is_active((uv_handle_t *)&d->moves))
		uv_timer_start(&d->moves, on_moves,
			       since_ms > MOVES_EVERY_MS ?
				       MOVES_MS :
				       MOVES_MS + MOVES_EVERY_MS - since_ms,
			       0);
	return r == APPLY_NAMES_SAME;
}

/* What the owner of a service says about its address; see clustering.h. */
static bool on_is_at(void *ctx, uint64_t entity, const union ip_addr *addr,
		     uint32_t ttl_s)
{
	const char *problem;

	return learn(ctx, entity, addr, ttl_s, &problem);
}

/* ---- health ------------------------------------------------------------ */

static void on_state(void *ctx, const struct health_event *event)
{
	struct daemon *d = ctx;

	if (!publish_service_state(d->publish, event->entity, event->state))
		uv_timer_start(&d->flush, on_flush, 0, 0);
	clustering_changed(&d->clustering, event->entity);
	health_api_event(event);
}

static void on_weight_scale(void *ctx, uint64_t entity, uint16_t scale)
{
	struct daemon *d = ctx;

	if (!publish_service_weight(d->publish, entity, scale))
		uv_timer_start(&d->flush, on_flush, 0, 0);
}

static void on_response(void *ctx, uint64_t entity, uint32_t response_us)
{
	struct daemon *d = ctx;

	publish_service_response(d->publish, entity, response_us);
	clustering_changed(&d->clustering, entity);
}

static void on_load(void *ctx, uint64_t entity, uint32_t load, bool over)
{
	struct daemon *d = ctx;

	/* Above its threshold: after all that are not (map_abi.h). */
	load &= ~SVC_LOAD_OVER;
	publish_service_load(d->publish, entity,
			     over ? load | SVC_LOAD_OVER : load);
	clustering_changed(&d->clustering, entity);
}

static const char *on_resolved(void *ctx, uint64_t entity,
			       const union ip_addr *addr, uint32_t ttl_s)
{
	const char *problem;

	learn(ctx, entity, addr, ttl_s, &problem);
	return problem;
}

static const struct svc_load *load_of(struct daemon *d, uint64_t entity)
{
	uint32_t id = publish_service_id(d->publish, entity);

	return id ? &d->dp.maps.svc_load[id] : NULL;
}

static int64_t on_connections(void *ctx, uint64_t entity)
{
	const struct svc_load *load = load_of(ctx, entity);
	int64_t n;

	if (!load)
		return -1;
	n = (int64_t)__atomic_load_n(&load->conns, __ATOMIC_RELAXED);
	return n < 0 ? 0 : n;
}

static bool on_passive(void *ctx, uint64_t entity, struct health_passive *ret)
{
	const struct svc_load *load = load_of(ctx, entity);

	if (!load)
		return false;
	ret->attempts = load->conns_total;
	ret->unanswered = load->unanswered;
	ret->resets = load->resets;
	return true;
}

static const struct health_ops health_ops = {
	.state_changed = on_state,
	.weight_scale = on_weight_scale,
	.response = on_response,
	.load = on_load,
	.resolved = on_resolved,
	.connections = on_connections,
	.passive = on_passive,
};

/* ---- configuration ----------------------------------------------------- */

static const struct config *on_current(void *ctx)
{
	struct daemon *d = ctx;

	return d->apply.config;
}

static int on_apply(void *ctx, struct config *config, uint32_t *ret_generation,
		    char *ret_error, size_t error_len)
{
	struct daemon *d = ctx;
	struct config_error e = { "" };
	int err = apply_config(&d->apply, config, &e);

	if (err) {
		config_free(config);
		snprintf(ret_error, error_len, "%s", e.text);
		return err;
	}
	*ret_generation = d->dp.maps.conf->generation;
	return 0;
}

static void on_service_command(void *ctx, const struct config_service *service,
			       const char *verb,
			       const struct api_request *request,
			       struct api_reply *reply)
{
	struct daemon *d = ctx;

	object_api_service_command(&d->apply, service, verb, request, reply);
}

static int on_scale(void *ctx, uint32_t count, char *ret_error, size_t len)
{
	struct daemon *d = ctx;

	return config_api_set_top(d->config_api, "engines", count, ret_error,
				  len);
}


static int on_scale_probers(void *ctx, uint32_t count, char *ret_error,
			    size_t len)
{
	struct daemon *d = ctx;

	return config_api_set_top(d->config_api, "probers", count, ret_error,
				  len);
}

static void reload(struct daemon *d)
{
	struct config_error e = { "" };
	struct config *next;

	notify_send("RELOADING=1");
	if (config_load(d->options->config, &next, &e)) {
		log_err("reload: %s", e.text);
	} else if (apply_config(&d->apply, next, &e)) {
		log_err("reload: %s", e.text);
		config_free(next);
	}
	notify_send("READY=1");
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *d = handle->data;

	if (number == SIGHUP) {
		reload(d);
		return;
	}
	log_notice("%s: stopping; the data plane runs on", strsignal(number));
	uv_stop(&d->loop);
}

/* ---- start and end ----------------------------------------------------- */

/* Two daemons must not share a run directory. */
static int lock_run_dir(struct daemon *d)
{
	char path[256], pid[16];
	int n;

	if ((mkdir(d->options->run_dir, 0755) && errno != EEXIST) ||
	    (mkdir(d->options->state_dir, 0750) && errno != EEXIST)) {
		log_err("cannot make %s or %s: %s", d->options->run_dir,
			d->options->state_dir, strerror(errno));
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/sluiced.pid", d->options->run_dir);
	d->pid_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (d->pid_lock < 0) {
		log_err("cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	if (flock(d->pid_lock, LOCK_EX | LOCK_NB)) {
		n = read(d->pid_lock, pid, sizeof(pid) - 1);
		pid[n > 0 ? n : 0] = '\0';
		log_err("another sluiced runs in %s (process %d): give each its own --run-dir",
			d->options->run_dir, atoi(pid));
		close(d->pid_lock);
		return -EBUSY;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(d->pid_lock, 0) ||
	    pwrite(d->pid_lock, pid, n, 0) != n)
		log_warn("cannot write %s: %s", path, strerror(errno));
	return 0;
}

static void watch_signals(struct daemon *d)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 3; i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, numbers[i]);
		uv_unref((uv_handle_t *)&d->signals[i]);
	}
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Modules closed their own handles; what is left is the daemon's. */
static void close_loop(struct daemon *d)
{
	int i;

	uv_close((uv_handle_t *)&d->heartbeat, NULL);
	uv_close((uv_handle_t *)&d->flush, NULL);
	uv_close((uv_handle_t *)&d->moves, NULL);
	for (i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&d->signals[i], NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&d->loop) == UV_EBUSY) {
		uv_walk(&d->loop, close_handle, NULL);
		uv_run(&d->loop, UV_RUN_DEFAULT);
		uv_loop_close(&d->loop);
	}
}

static int start_api(struct daemon *d)
{
	static const struct config_api_ops ops = {
		.current = on_current,
		.apply = on_apply,
		.service_command = on_service_command,
	};
	char path[256];
	int err;

	snprintf(path, sizeof(path), "%s/sluiced.sock", d->options->run_dir);
	err = api_new(&d->loop, path, &d->api);
	if (err) {
		log_err("cannot listen on %s: %s", path, strerror(-err));
		return err;
	}
	err = config_api_new(d->api, &d->loop, d->options->config, &ops, d,
			     &d->config_api);
	if (err) {
		log_err("cannot start the management API: %s", strerror(-err));
		api_free(d->api);
	}
	return err;
}

static int start_workers(struct daemon *d)
{
	const int *fd = d->dp.maps.fd;
	const struct engine_supervisor_options engines = {
		.run_dir = d->options->run_dir,
		.rss_key = d->dp.options.rss_key,
		.maps = { .conf = fd[MAPS_conf],
			  .vips = fd[MAPS_vips],
			  .vservers = fd[MAPS_vservers],
			  .services = fd[MAPS_services],
			  .svc_load = fd[MAPS_svc_load],
			  .members = fd[MAPS_members],
			  .lb_table = fd[MAPS_lb_table],
			  .core_bkts = fd[MAPS_core_bkts],
			  .engines = fd[MAPS_engines],
			  .flows = fd[MAPS_flows],
			  .xsks = fd[MAPS_xsks] },
		.scale = on_scale,
		.ctx = d,
	};
	const struct clustering_ops clustering_ops = { .is_at = on_is_at,
							.ctx = d };
	struct health_options health = { .state_dir = d->options->state_dir,
					 .tunnels_fd = probe_tunnels_fd(
						 d->tunnels) };
	int err;

	err = health_new(&d->loop, &health, &health_ops, d, &d->health);
	if (err) {
		log_err("cannot start probing: %s", strerror(-err));
		return err;
	}
	err = clustering_init(&d->clustering, &d->loop, d->health,
			      d->options->state_dir, d->api, &clustering_ops);
	if (err) {
		log_err("cannot prepare for a cluster: %s", strerror(-err));
		goto free_health;
	}
	err = engine_supervisor_new(&d->loop, &engines, &d->engines);
	if (err) {
		log_err("cannot supervise engines: %s", strerror(-err));
		goto free_clustering;
	}
	return 0;

free_clustering:
	clustering_deinit(&d->clustering);
free_health:
	health_free(d->health);
	return err;
}

static int add_routes(struct daemon *d)
{
	int err;

	d->datapath_api =
		(struct datapath_api){ .loop = &d->loop,
				       .apply = &d->apply,
				       .config_api = d->config_api,
				       .config_path = d->options->config,
				       .started_ns = uv_hrtime() };
	datapath_api_routes(d->api, &d->datapath_api);
	flow_api_routes(d->api, &d->apply);
	object_api_routes(d->api, &d->apply);
	engine_supervisor_routes(d->engines, d->api);
	err = health_api_routes(d->api, d->health, on_current,
				on_scale_probers, d);
	if (err)
		log_err("cannot set up the management API: %s", strerror(-err));
	return err;
}

/* Where XDP is alone. True if there is something to end. */
static bool keep_neighbours(struct daemon *d)
{
	int err;

	if (features_all()[FEATURE_XSK_RINGS].present)
		return false;
	err = neighbours_init(&d->neighbours, &d->loop, on_current, d);
	if (err)
		log_warn("cannot keep the services' neighbours resolved: %s",
			 strerror(-err));
	return !err;
}

static void run(struct daemon *d)
{
	bool neighbours = keep_neighbours(d);
	int err;

	err = privileges_drop(datapath_needs_admin(&d->dp));
	if (err)
		log_warn("cannot give up privileges: %s", strerror(-err));
	log_info("capabilities now: %s", privileges_text());
	uv_timer_start(&d->heartbeat, on_heartbeat, 0, HEARTBEAT_MS);
	if (d->options->ready)
		d->options->ready(d->options->ctx);
	notify_send("READY=1");
	log_notice("ready");
	uv_run(&d->loop, UV_RUN_DEFAULT);
	if (neighbours)
		neighbours_deinit(&d->neighbours);
	notify_send("STOPPING=1");
}

/* From here on everything exists but the configuration's effects. */
static int configure_and_run(struct daemon *d, struct config *config)
{
	struct config_error e = { "" };
	int err;

	d->apply = (struct apply){ .dp = &d->dp,
				   .publish = d->publish,
				   .engines = d->engines,
				   .health = d->health,
				   .clustering = &d->clustering,
				   .tunnels = d->tunnels };
	err = add_routes(d);
	if (!err)
		err = apply_config(&d->apply, config, &e);
	if (err) {
		config_free(config);
		return err;
	}
	d->remove = false;
	run(d);
	return 0;
}

static int open_datapath(struct daemon *d, const struct config *config)
{
	struct config_error e = { "" };
	int err = datapath_open(&d->dp, d->options->bpffs, config, &e);

	if (err) {
		log_err("%s", e.text);
		return err;
	}
	err = publish_new(&d->dp.maps, &d->publish);
	if (!err)
		err = flow_scan_init(&d->scan);
	if (!err)
		err = probe_tunnels_new(&d->tunnels);
	if (err) {
		log_err("cannot take over what is published: %s",
			strerror(-err));
		publish_free(d->publish);
		if (d->dp.adopted)
			datapath_close(&d->dp);
		else
			datapath_remove(&d->dp);
	}
	return err;
}

static int init_loop(struct daemon *d)
{
	int err = uv_loop_init(&d->loop);

	if (err) {
		log_err("cannot start the event loop: %s", strerror(-err));
		return err;
	}
	uv_timer_init(&d->loop, &d->heartbeat);
	uv_timer_init(&d->loop, &d->flush);
	uv_timer_init(&d->loop, &d->moves);
	d->heartbeat.data = d->flush.data = d->moves.data = d;
	watch_signals(d);
	return 0;
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon d = { .options = options, .pid_lock = -1 };
	struct config_error e = { "" };
	struct config *config;
	int err;

	err = config_load(options->config, &config, &e);
	if (err) {
		log_err("%s", e.text);
		return err;
	}
	err = lock_run_dir(&d);
	if (err)
		goto free_config;
	err = open_datapath(&d, config);
	if (err)
		goto unlock;
	/* A start that fails leaves nothing behind that was not there. */
	d.remove = !d.dp.adopted;
	err = init_loop(&d);
	if (err)
		goto free_datapath;
	err = start_api(&d);
	if (err)
		goto close_loop;
	err = start_workers(&d);
	if (err)
		goto free_api;
	err = configure_and_run(&d, config);
	config = NULL;

	engine_supervisor_free(d.engines, d.remove);
	clustering_deinit(&d.clustering);
	health_free(d.health);
free_api:
	api_free(d.api);
	d.datapath_api.closed = true;
	config_api_free(d.config_api);
close_loop:
	close_loop(&d);
free_datapath:
	probe_tunnels_free(d.tunnels);
	flow_scan_deinit(&d.scan);
	publish_free(d.publish);
	if (d.remove && datapath_remove(&d.dp))
		log_warn("the data plane could not be taken down completely");
	else
		datapath_close(&d.dp);
	config_free(d.apply.config);
unlock:
	close(d.pid_lock);
free_config:
	config_free(config);
	return err;
}
