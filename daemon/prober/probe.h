/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One probe from start to result. Kinds (probe_tcp.c, probe_http.c, …) only
 * know this: a probe is started, gets events, and is finished once, by them or
 * by its time-out. Everything bound to it ends with it.
 */
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ip_addr.h"
#include "health/reason.h"
#include "health/wheel.h"
#include "prober/http_reply.h"
#include "prober/monitor.h"
#include "prober/poller.h"

struct binding;
struct prober;

/* Expected content is looked for in so much of a reply, and no more is kept. */
#define PROBE_REPLY_MAX 65536

struct probe {
	struct wheel_node timer; /* time-out */
	struct poller_io io;
	struct prober *prober;
	struct monitor *monitor;
	struct binding *binding; /* NULL: one-off, for try_id */
	uint64_t try_id;
	union ip_addr addr;
	union ip_addr outer; /* the service: where a tunnel leads */
	uint16_t port;
	uint8_t stage; /* the kind's own */
	bool traced;   /* tell every step */
	bool matched;
	bool unread; /* bytes are left in the socket */
	uint64_t start_ns;
	uint64_t lost_us; /* by this process, before it started */
	uint32_t timeout_ms;
	uint32_t sent;
	struct http_reply http;
	uint8_t *reply; /* kept part, from malloc */
	uint32_t reply_len, reply_room, matched_len;
	void *private; /* the kind's own; freed by its stop() */
	union {
		struct probe *next_free;
		uint64_t number; /* the kind's own */
	};
};

struct probe_kind {
	const char *name;
	/* May finish the probe at once. */
	void (*start)(struct probe *probe);
	/* Ends what start() began, whatever the outcome. NULL: nothing. */
	void (*stop)(struct probe *probe);
	/* Time is up. NULL: REASON_TIMEOUT. Must finish the probe. */
	void (*timeout)(struct probe *probe);
};

const struct probe_kind *probe_kind_of(enum config_monitor_type type);

/* Starts a probe; its result goes to schedule_result() or control_tried().
 * BINDING may be NULL: then ADDR, PORT say where (before overrides). */
int probe_start(struct prober *prober, struct monitor *monitor,
		struct binding *binding, const union ip_addr *addr,
		uint16_t port, uint64_t try_id);
/* Sends what leaves SOCKET, of SOCK_… TYPE, through the tunnel if there is one.
 * Before it connects. 0 or -errno. */
int probe_enter_tunnel(const struct probe *probe, int socket, int type);
/* Ends it without a result. */
void probe_cancel(struct probe *probe);

/* For kinds. FINISH must be the last thing done with the probe. */
void probe_finish(struct probe *probe, enum reason code, uint32_t detail);
void probe_finish_text(struct probe *probe, enum reason code, uint32_t detail,
		       const char *text, size_t len);
void probe_finish_errno(struct probe *probe, int error);
void probe_time_out(struct probe *probe); /* from the wheel */
/* One step of a probe that is tried by hand, now or AT_US after its start. */
void probe_step(struct probe *probe, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void probe_step_at(struct probe *probe, uint32_t at_us, const char *text);
/* Keeps more of the reply. False: PROBE_REPLY_MAX is reached, or no memory. */
bool probe_keep(struct probe *probe, const void *data, size_t len);
/* Looks for the expected content in what was kept; LAST: no more will come.
 * The work is bounded also for replies that drip in. */
bool probe_matches(struct probe *probe, bool last);
/* Opens PROBE->io for a socket of TYPE. 0 or -errno. */
int probe_open(struct probe *probe, int type);
/* Starts connecting it to the destination. 0, or -errno: also -ECONNREFUSED
 * and the like. */
int probe_connect(struct probe *probe);
/* Fills in a socket address; returns its length. */
socklen_t probe_sockaddr(const union ip_addr *addr, uint16_t port,
			 struct sockaddr_storage *ret);

/* Scratch space for one read; its contents last until the next read. */
extern uint8_t probe_scratch[65536];

extern const struct probe_kind probe_tcp, probe_tcp_ecv, probe_http,
	probe_http_ecv, probe_load, probe_udp, probe_udp_ecv, probe_dns,
	probe_ping, probe_https, probe_https_ecv, probe_ftp, probe_script,
	probe_inline;

#endif
