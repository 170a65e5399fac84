// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's loop: receive a batch from every port, handle, send, exchange
 * frames with the rings, sweep; asleep in epoll when nothing came. No
 * allocation, no lock that is waited for; system calls are the kicks, the
 * sleep, and what single packets of the slow path need.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include "engine/emit.h"
#include "engine/engine.h"
#include "engine/hold.h"
#include "engine/sweep.h"
#include "util/log.h"

/* After STOP: packets that were under way in XDP have arrived. */
#define STOP_QUIET_NS 60000000ull
/* After STOP, whatever remains. */
#define STOP_MAX_NS 1000000000ull
#define LOAD_WINDOW_NS 1000000000ull

static uint32_t receive_port(struct engine *engine, struct engine_port *port)
{
	uint32_t n = xsk_ring_load(port->rx.producer) - port->rx_next;
	struct xdp_desc desc[ENGINE_BATCH];

	if (!n)
		return 0;
	if (n > ENGINE_BATCH)
		n = ENGINE_BATCH;
	for (uint32_t i = 0; i < n; i++) {
		desc[i] = *xsk_ring_desc(&port->rx, port->rx_next + i);
		frames_receive(&engine->frames, frames_of_addr(desc[i].addr));
		__builtin_prefetch(engine->umem + desc[i].addr -
				   sizeof(struct pkt_meta));
		__builtin_prefetch(engine->umem + desc[i].addr + 32);
	}
	port->rx_next += n;
	xsk_ring_store(port->rx.consumer, port->rx_next);
	engine->info->rx += n;
	for (uint32_t i = 0; i < n; i++) {
		struct engine_packet packet;

		packet.data = engine->umem + desc[i].addr;
		packet.len = desc[i].len;
		packet.frame = frames_of_addr(desc[i].addr);
		packet.port = port;
		engine_handle(engine, &packet);
	}
	return n;
}

/* True if some frames must wait for a lock. */
static bool exchange(struct engine *engine)
{
	bool waiting = false;

	for (uint32_t i = 0; i < engine->n_active; i++) {
		uint32_t pool = engine->active[i];

		if (frames_pending(&engine->frames, pool) &&
		    !frames_exchange(&engine->frames, pool))
			waiting = true;
	}
	return waiting;
}

/* Answers "have you looked through your RX rings?": engine/README.md. */
static void drain(struct engine *engine)
{
	uint32_t request = __atomic_load_n(&engine->ctl->drain_request,
					   __ATOMIC_ACQUIRE);
	bool owed = false;

	if (request != engine->drain_seen) {
		engine->drain_seen = request;
		engine->drain_owed = true;
		for (uint32_t i = 0; i < engine->n_active; i++) {
			struct engine_port *port =
				&engine->port[engine->active[i]];

			port->draining = true;
			port->drain_to = xsk_ring_load(port->rx.producer);
		}
	}
	if (!engine->drain_owed)
		return;
	for (uint32_t i = 0; i < engine->n_active; i++) {
		struct engine_port *port = &engine->port[engine->active[i]];

		if (port->draining &&
		    (int32_t)(port->rx_next - port->drain_to) >= 0)
			port->draining = false;
		owed |= port->draining;
	}
	if (owed)
		return;
	engine->drain_owed = false;
	__atomic_store_n(&engine->ctl->engine[engine->slot].drained,
			 engine->drain_seen, __ATOMIC_RELEASE);
}

static void follow_key(struct engine *engine)
{
	uint32_t change = __atomic_load_n(&engine->ctl->key_change,
					  __ATOMIC_ACQUIRE);

	if (change == engine->key_seen)
		return;
	engine->key_seen = change;
	toeplitz_tables_build(engine->ctl->rss_key, engine->toeplitz);
}

static void beat(struct engine *engine)
{
	uint64_t window = engine->now_ns - engine->load_ns;

	follow_key(engine);
	__atomic_store_n(&engine->info->heartbeat_ns, engine->now_ns,
			 __ATOMIC_RELAXED);
	engine->beat_ns = engine->now_ns;
	engine->info->held = hold_count(engine->hold);
	if (window >= LOAD_WINDOW_NS) {
		uint64_t busy = engine->busy_ns * 1000 / window;

		engine->info->load = (uint32_t)(busy < 1000 ? busy : 1000);
		engine->busy_ns = 0;
		engine->load_ns = engine->now_ns;
	}
}

/* Milliseconds to sleep: what waits for a lock, a neighbour or a first
 * fragment is looked at again soon. */
static int sleep_ms(const struct engine *engine, bool waiting)
{
	if (waiting || engine->stopping)
		return 1;
	return hold_count(engine->hold) ? 2 : ENGINE_BEAT_NS / 1000000;
}

static bool tx_empty(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_active; i++) {
		const struct engine_port *port =
			&engine->port[engine->active[i]];

		if (xsk_ring_load(port->tx.consumer) != port->tx_next)
			return false;
	}
	return true;
}

static void kick_rest(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_active; i++) {
		struct engine_port *port = &engine->port[engine->active[i]];

		if (xsk_ring_load(port->tx.consumer) != port->tx_next)
			port->kick = true;
	}
	emit_flush(engine);
}

/* Nothing under way any more, or no more patience. */
static bool stopped(const struct engine *engine, uint32_t received)
{
	uint64_t since = engine->now_ns - engine->stop_ns;

	if (!engine->stopping || received)
		return false;
	return since > STOP_MAX_NS ||
	       (since > STOP_QUIET_NS && !hold_count(engine->hold) &&
		tx_empty(engine));
}

static uint32_t turn(struct engine *engine)
{
	uint32_t received = 0;

	for (uint32_t i = 0; i < engine->n_active; i++)
		received += receive_port(engine,
					 &engine->port[engine->active[i]]);
	hold_run(engine);
	emit_flush(engine);
	return received;
}

int engine_loop(struct engine *engine)
{
	struct epoll_event events[8];

	engine->now_ns = engine->load_ns = engine->sweep_ns =
		flowtab_now_ns();
	beat(engine);
	for (;;) {
		uint32_t received;
		uint64_t start = engine->now_ns;
		bool waiting;

		received = turn(engine);
		waiting = exchange(engine);
		drain(engine);
		sweep_run(engine);
		engine->now_ns = flowtab_now_ns();
		if (received)
			engine->busy_ns += engine->now_ns - start;
		if (stopped(engine, received))
			return 0;
		if (engine->now_ns - engine->beat_ns >= ENGINE_BEAT_NS / 2) {
			beat(engine);
			engine_attach_poll(engine);
		}
		if (received)
			continue;
		if (!tx_empty(engine)) {
			/* The device's queue was full: try again soon. */
			kick_rest(engine);
			waiting = true;
		}
		if (epoll_wait(engine->epoll_fd, events, 8,
			       sleep_ms(engine, waiting)) < 0 &&
		    errno != EINTR)
			return -errno;
		engine->now_ns = flowtab_now_ns();
	}
}
