/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages from and to the daemon and the other probers. Nothing outgoing is
 * queued as bytes: what has to be told stands in the table (dirty lists) and
 * is written when the socket takes it, in its newest form. A full socket is
 * tried again at the next turn of the loop.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "prober/monitor.h"
#include "prober/probe.h"
#include "prober/prober.h"
#include "util/log.h"

/* Outgoing frames; small enough that a few fit into a socket's buffer. */
#define FRAME 16384
/* Largest record we write: a state with reason. */
#define RECORD_MAX 512

static uint8_t in[PROBE_WIRE_FRAME_MAX], out[FRAME];

/* ---- incoming --------------------------------------------------------- */

static void take_fd(struct prober *prober, int fd, uint8_t slot);

/* What the daemon said can neither be used nor asked for again: the process
 * ends, and its successor is told everything. */
static void out_of_memory(void)
{
	log_err("no memory for what the daemon says");
	exit(2);
}

static void on_try(struct prober *prober, struct cursor *c)
{
	struct reason_info reason;
	struct config_monitor definition;
	struct monitor *monitor;
	union ip_addr addr;
	uint64_t id = cursor_get_u64(c);
	uint16_t port;
	int r;

	cursor_get(c, &addr, sizeof(addr));
	port = cursor_get_u16(c);
	r = probe_wire_get_monitor(c, &definition);
	if (!r)
		r = monitor_new(&definition, &monitor);
	if (!r) {
		r = probe_start(prober, monitor, NULL, &addr, port, id);
		monitor_unref(monitor);
	}
	if (r) {
		reason_set(&reason, REASON_ERROR, -r);
		control_tried(prober, id, false, 0, &reason);
	}
}

static int on_monitor(struct prober *prober, struct cursor *c)
{
	uint32_t id = cursor_get_u32(c);
	struct config_monitor definition;
	int r = probe_wire_get_monitor(c, &definition);

	return r ? r : table_set_monitor(prober, id, &definition);
}

/* One record of the daemon. -errno: it cannot be right. */
static int from_daemon(struct prober *prober, uint16_t type, struct cursor *c)
{
	struct probe_wire_service service;
	struct probe_wire_state state;
	uint32_t number;

	switch (type) {
	case PROBE_WIRE_MONITOR:
		return on_monitor(prober, c);
	case PROBE_WIRE_MONITOR_GONE:
		number = cursor_get_u32(c);
		table_remove_monitor(prober, number);
		return 0;
	case PROBE_WIRE_SERVICE:
		if (!probe_wire_get_service(c, &service))
			return -EBADMSG;
		return table_set_service(prober, &service);
	case PROBE_WIRE_SERVICE_GONE:
		number = cursor_get_u32(c);
		table_remove_service(prober, number);
		return 0;
	case PROBE_WIRE_STATE:
		if (!probe_wire_get_state(c, &state))
			return -EBADMSG;
		table_set_state(prober, &state);
		return 0;
	case PROBE_WIRE_PROBERS:
		table_set_probers(prober, cursor_get_u64(c));
		return 0;
	case PROBE_WIRE_TRY:
		on_try(prober, c);
		return 0;
	default:
		/* A newer daemon's: not for us. */
		return 0;
	}
}

static void from_peer(struct prober *prober, uint16_t type, struct cursor *c)
{
	struct probe_wire_result result;

	if (type != PROBE_WIRE_RESULT || !probe_wire_get_result(c, &result))
		return;
	prober->self->results_received++;
	table_set_result(prober, &result);
}

/* A descriptor that came along, or −1. */
static int passed_fd(struct msghdr *msg)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void handle_frame(struct control_end *end, size_t len, int fd)
{
	struct cursor frame = cursor_on(in, len), body;
	uint16_t type;
	int r;

	if (!probe_wire_check(&frame)) {
		control_note(end->prober, "message of another version");
		goto out;
	}
	while (probe_wire_next(&frame, &type, &body)) {
		if (end->slot >= 0) {
			from_peer(end->prober, type, &body);
		} else if (type == PROBE_WIRE_PEER && fd >= 0) {
			take_fd(end->prober, fd, cursor_get_u8(&body));
			fd = -1;
		} else {
			r = from_daemon(end->prober, type, &body);
			if (r == -ENOMEM)
				out_of_memory();
			if (r)
				control_note(end->prober,
					     "message %u: %s", type,
					     strerror(-r));
		}
	}
out:
	if (fd >= 0)
		close(fd);
}

static void close_end(struct control_end *end)
{
	if (!end->open)
		return;
	end->open = false;
	uv_poll_stop(&end->poll);
	uv_close((uv_handle_t *)&end->poll, NULL);
	close(end->fd);
	end->fd = -1;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct control_end *end = poll->data;
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { in, sizeof(in) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)status;
	(void)events;
	/* A whole table is thousands of frames: probes must go on meanwhile. */
	for (int i = 0; i < 16; i++) {
		ssize_t n;

		msg.msg_control = control.data;
		msg.msg_controllen = sizeof(control.data);
		n = recvmsg(end->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			/* Without a daemon there is nothing to do. */
			if (end->slot < 0) {
				end->prober->stopping = true;
				uv_stop(end->prober->loop);
			}
			close_end(end);
			return;
		}
		handle_frame(end, n, passed_fd(&msg));
		if (!end->open)
			return;
	}
}

static int open_end(struct prober *prober, struct control_end *end, int fd,
		    int slot)
{
	int r = uv_poll_init(prober->loop, &end->poll, fd);

	if (r)
		return r;
	end->prober = prober;
	end->fd = fd;
	end->slot = slot;
	end->open = true;
	end->poll.data = end;
	return uv_poll_start(&end->poll, UV_READABLE, on_readable);
}

/* The other side of a prober's socket; a former one's is dead. */
static void take_fd(struct prober *prober, int fd, uint8_t slot)
{
	struct control_end *end;

	if (slot >= PROBERS_MAX) {
		close(fd);
		return;
	}
	end = prober->control.peers[slot];
	if (end)
		close_end(end); /* its memory goes with the process */
	end = calloc(1, sizeof(*end));
	if (!end)
		out_of_memory();
	if (open_end(prober, end, fd, slot)) {
		free(end);
		end = NULL;
		close(fd);
	}
	prober->control.peers[slot] = end;
}

int control_init(struct prober *prober)
{
	struct control *control = &prober->control;
	struct cursor c = cursor_on(out, sizeof(out));
	size_t mark;
	int r;

	for (int i = 0; i < PROBERS_MAX; i++)
		TAILQ_INIT(&control->dirty[i]);
	TAILQ_INIT(&control->states);
	r = open_end(prober, &control->daemon, PROBE_WIRE_FD_CONTROL, -1);
	if (r)
		return r;
	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_READY);
	cursor_put_u16(&c, PROBE_WIRE_VERSION);
	probe_wire_close(&c, mark);
	return send(control->daemon.fd, out, c.at, MSG_NOSIGNAL) < 0 ? -errno :
								       0;
}

/* ---- outgoing --------------------------------------------------------- */

/* Remembers REASON (may be NULL) at *KEPT. */
static void keep_reason(struct reason_info **kept,
			const struct reason_info *reason)
{
	if (!reason)
		return;
	if (!*kept)
		*kept = malloc(sizeof(**kept));
	if (*kept)
		**kept = *reason;
}

static const struct reason_info *kept_reason(const struct reason_info *kept)
{
	static const struct reason_info none;

	return kept ? kept : &none;
}

void control_drop_result(struct prober *prober, struct binding *binding)
{
	if (binding->dirty_to < 0)
		return;
	TAILQ_REMOVE(&prober->control.dirty[binding->dirty_to], binding, dirty);
	binding->dirty_to = -1;
}

void control_send_result(struct prober *prober, struct binding *binding,
			 const struct reason_info *reason)
{
	struct target *service = binding->service;
	int to = service->consolidator;

	keep_reason(&binding->reason, reason);
	control_drop_result(prober, binding);
	if (to == prober->slot) {
		binding->seen = binding->verdict.value;
		table_consolidate(prober, service, binding->reason);
	} else if (to >= 0) {
		TAILQ_INSERT_TAIL(&prober->control.dirty[to], binding, dirty);
		binding->dirty_to = to;
	}
}

void control_drop_state(struct prober *prober, struct target *service)
{
	TAILQ_REMOVE(&prober->control.states, service, dirty);
	service->is_dirty = false;
}

void control_send_state(struct prober *prober, struct target *service,
			const struct reason_info *why)
{
	keep_reason(&service->why, why);
	if (service->is_dirty)
		return;
	TAILQ_INSERT_TAIL(&prober->control.states, service, dirty);
	service->is_dirty = true;
}

/* False: the socket is full, try again later. */
static bool write_frame(int fd, struct cursor *c)
{
	ssize_t n = send(fd, c->data, c->at, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void put_result(struct cursor *c, const struct binding *binding)
{
	struct target *service = binding->service;
	struct probe_wire_result result = {
		.slot = service->slot,
		.generation = service->generation,
		.index = binding - service->bindings,
		.verdict = binding->verdict.value,
		.reason = *kept_reason(binding->reason),
	};
	size_t mark = probe_wire_open(c, PROBE_WIRE_RESULT);

	probe_wire_put_result(c, &result);
	probe_wire_close(c, mark);
}

/* Results for one peer. False: its socket is full. */
static bool flush_peer(struct prober *prober, int slot)
{
	struct binding_list *list = &prober->control.dirty[slot];
	struct control_end *end = prober->control.peers[slot];

	while (!TAILQ_EMPTY(list)) {
		struct cursor c = cursor_on(out, sizeof(out));
		struct binding *b;
		unsigned int n = 0;

		/* Not there (yet): the binding's next result will try again,
		 * and so will a change of probers. */
		if (!end || !end->open) {
			control_drop_result(prober, TAILQ_FIRST(list));
			continue;
		}
		probe_wire_begin(&c);
		TAILQ_FOREACH(b, list, dirty) {
			if (c.len - c.at < RECORD_MAX)
				break;
			put_result(&c, b);
			n++;
		}
		if (!write_frame(end->fd, &c))
			return false;
		prober->self->results_sent += n;
		while (n--)
			control_drop_result(prober, TAILQ_FIRST(list));
	}
	return true;
}

static void put_state(struct cursor *c, const struct target *service)
{
	struct probe_wire_state state = {
		.slot = service->slot,
		.generation = service->generation,
		.observed = service->observed,
		.n_bindings = service->n_bindings,
		.reason = *kept_reason(service->why),
	};
	size_t mark = probe_wire_open(c, PROBE_WIRE_STATE);

	for (uint32_t i = 0; i < service->n_bindings; i++)
		state.verdicts[i] = service->bindings[i].seen;
	probe_wire_put_state(c, &state);
	probe_wire_close(c, mark);
}

static bool flush_states(struct prober *prober)
{
	struct target_list *list = &prober->control.states;

	while (!TAILQ_EMPTY(list)) {
		struct cursor c = cursor_on(out, sizeof(out));
		struct target *s;
		unsigned int n = 0;

		probe_wire_begin(&c);
		TAILQ_FOREACH(s, list, dirty) {
			if (c.len - c.at < RECORD_MAX)
				break;
			put_state(&c, s);
			n++;
		}
		if (!write_frame(prober->control.daemon.fd, &c))
			return false;
		prober->self->states_sent += n;
		while (n--) {
			s = TAILQ_FIRST(list);
			control_drop_state(prober, s);
			free(s->why);
			s->why = NULL;
		}
	}
	return true;
}

/* What names were resolved to. */
static bool flush_names(struct prober *prober)
{
	struct probe_wire_name name;

	while (names_next(&name)) {
		struct cursor c = cursor_on(out, sizeof(out));
		size_t mark;

		probe_wire_begin(&c);
		mark = probe_wire_open(&c, PROBE_WIRE_NAME);
		probe_wire_put_name(&c, &name);
		probe_wire_close(&c, mark);
		if (!write_frame(prober->control.daemon.fd, &c))
			return false;
		names_told();
	}
	return true;
}

void control_flush(struct prober *prober)
{
	bool done = flush_names(prober);

	for (int i = 0; i < PROBERS_MAX; i++)
		if (!TAILQ_EMPTY(&prober->control.dirty[i]))
			done &= flush_peer(prober, i);
	if (!TAILQ_EMPTY(&prober->control.states))
		done &= flush_states(prober);
	prober->control.backlog = !done;
}

void control_step(struct prober *prober, uint64_t id, uint32_t us,
		  const char *text)
{
	struct cursor c = cursor_on(out, sizeof(out));
	size_t mark;

	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_STEP);
	cursor_put_u64(&c, id);
	cursor_put_u32(&c, us);
	cursor_put_string(&c, text);
	probe_wire_close(&c, mark);
	write_frame(prober->control.daemon.fd, &c);
}

void control_tried(struct prober *prober, uint64_t id, bool passed, uint32_t us,
		   const struct reason_info *reason)
{
	struct cursor c = cursor_on(out, sizeof(out));
	size_t mark;

	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_TRIED);
	cursor_put_u64(&c, id);
	cursor_put_u8(&c, passed);
	cursor_put_u32(&c, us);
	probe_wire_put_reason(&c, reason);
	probe_wire_close(&c, mark);
	write_frame(prober->control.daemon.fd, &c);
}

void control_note(struct prober *prober, const char *format, ...)
{
	struct cursor c = cursor_on(out, sizeof(out));
	char text[256];
	va_list ap;
	size_t mark;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_NOTE);
	cursor_put_string(&c, text);
	probe_wire_close(&c, mark);
	write_frame(prober->control.daemon.fd, &c);
}
