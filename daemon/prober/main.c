/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sluice-prober: started by sluiced, never by hand. Descriptor 3 is its socket
 * to the daemon, 4 the status table, 5 the memory of tunnels or /dev/null. It
 * ends when the daemon's end closes.
 */
#include <ares.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "prober/ping.h"
#include "prober/poller.h"
#include "prober/confine.h"
#include "prober/probe_curl.h"
#include "prober/probe_script.h"
#include "prober/prober.h"
#include "prober/spawner.h"
#include "prober/tunnel.h"
#include "util/log.h"

/* Timers closer together than this share a turn of the loop. */
#define TURN_MS 1

static struct prober prober;

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* only ends the wait; see turn() */
}

static void beat(uint64_t now_ns)
{
	static uint64_t cpu_ns;
	struct rusage usage;

	__atomic_store_n(&prober.self->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
	if (now_ns - cpu_ns < 250000000)
		return;
	cpu_ns = now_ns;
	getrusage(RUSAGE_SELF, &usage);
	prober.self->cpu_us =
		(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ull +
		usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	if (!prober.self_check.complained)
		prober.self->holding = 0;
}

/* One turn, after the wait: replies first, then what has become due, so that
 * a reply that is here beats its time-out. */
static void turn(uv_check_t *check)
{
	uint64_t now_ns = prober_now_ns(), next_ms, now_ms;

	(void)check;
	late_observe(&prober, now_ns);
	poller_run();
	names_turn();
	schedule_run(&prober, prober_now_ns());
	control_flush(&prober);
	now_ns = prober_now_ns();
	beat(now_ns);
	now_ms = now_ns / 1000000;
	next_ms = wheel_next(&prober.schedule.wheel);
	if (next_ms > now_ms + LATE_TICK_MS)
		next_ms = now_ms + LATE_TICK_MS;
	if (next_ms < now_ms + TURN_MS || prober.control.backlog)
		next_ms = now_ms + TURN_MS;
	uv_update_time(prober.loop);
	uv_timer_start(&prober.timer, on_timer, next_ms - now_ms, 0);
}

static int start(void)
{
	int r = poller_init(prober.loop);

	if (!r)
		r = probe_script_init();
	if (!r)
		r = probe_curl_init(prober.loop);
	if (!r && ares_library_init(ARES_LIB_INIT_ALL))
		r = -ENOMEM;
	if (r)
		return r;
	prober.self->ping_kind = ping_init();
	self_check_init(&prober);
	schedule_init(&prober);
	uv_timer_init(prober.loop, &prober.timer);
	uv_check_init(prober.loop, &prober.check);
	uv_check_start(&prober.check, turn);
	uv_timer_start(&prober.timer, on_timer, 0, 0);
	beat(prober_now_ns());
	return control_init(&prober);
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 3 || strcmp(argv[1], "--slot")) {
		fprintf(stderr, "sluice-prober is started by sluiced\n");
		return 1;
	}
	log_init("sluice-prober", LOG_INFO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* the daemon decides */
#ifdef __SANITIZE_ADDRESS__
	/* The socket's end is enough for one that does not hang, and leaves
	 * time to the leak checker. */
	signal(SIGTERM, SIG_IGN);
#endif
	fcntl(PROBE_WIRE_FD_CONTROL, F_SETFD, FD_CLOEXEC);
	fcntl(PROBE_WIRE_FD_STATUS, F_SETFD, FD_CLOEXEC);
	tunnel_init(PROBE_WIRE_FD_TUNNELS);
	prober.slot = atoi(argv[2]);
	if (prober.slot < 0 || prober.slot >= PROBERS_MAX)
		return 1;
	r = status_table_map(PROBE_WIRE_FD_STATUS, &prober.status);
	if (r) {
		log_err("status table: %s", strerror(-r));
		return 2;
	}
	prober.self = &prober.status->prober[prober.slot];
	if (getrandom(&prober.random, sizeof(prober.random), 0) < 0 ||
	    !prober.random)
		prober.random = prober_now_ns();
	ping_open(prober.slot);
	r = confine_self();
	if (r) {
		log_err("privileges cannot be dropped: %s", strerror(-r));
		return 2;
	}
	r = spawner_start();
	if (r) {
		log_err("no process to start scripts: %s", strerror(-r));
		return 2;
	}
	prober.loop = uv_default_loop();
	r = start();
	if (r) {
		log_err("start: %s", strerror(-r));
		return 2;
	}
	while (!prober.stopping)
		uv_run(prober.loop, UV_RUN_DEFAULT);
	table_free(&prober);
	names_deinit();
	return 0;
}
