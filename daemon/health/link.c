/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages between the daemon and one prober. Like the prober's, this side
 * queues names of things, not bytes: what is sent is the newest. Order:
 * monitors, rows, states, sockets of peers, the set of probers; monitors that
 * are gone come after the rows that used them.
 *
 * What a prober sends is checked like anything from outside: it may have been
 * taken over by a reply.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "health/health_internal.h"
#include "util/log.h"

/* A few of these fit into a socket's buffer. */
#define FRAME 16384
#define ROW_MAX 1024 /* a row with a domain and 16 bindings: 530 */

static uint8_t in[PROBE_WIRE_FRAME_MAX];
static uint8_t out[PROBE_WIRE_FRAME_MAX];

/* ---- incoming --------------------------------------------------------- */

static void on_note(struct pool_prober *p, struct cursor *c)
{
	struct reason_info clean;
	size_t len;
	const char *text = cursor_get_bytes(c, &len);
	char line[256];

	if (!text)
		return;
	/* One line, printable, bounded: also if it went mad. */
	line[0] = '\0';
	for (size_t at = 0, n = 0; at < len && n + REASON_TEXT_LEN < sizeof(line);
	     at += REASON_TEXT_LEN - 1) {
		reason_text(&clean, text + at, len - at);
		strcpy(line + n, clean.text);
		n += strlen(clean.text);
	}
	log_warn("prober %d: %s", p->slot, line);
}

static void on_record(struct pool_prober *p, uint16_t type, struct cursor *c)
{
	struct probe_wire_state state;
	struct probe_wire_name name;
	struct reason_info reason;
	const char *text;
	uint64_t id;
	uint32_t us;
	uint8_t passed;
	size_t len;

	switch (type) {
	case PROBE_WIRE_READY:
		pool_ready(p);
		break;
	case PROBE_WIRE_STATE:
		if (probe_wire_get_state(c, &state))
			health_take_state(p->health, p->slot, &state);
		break;
	case PROBE_WIRE_NAME:
		if (probe_wire_get_name(c, &name))
			health_take_name(p->health, p->slot, &name);
		break;
	case PROBE_WIRE_STEP:
		id = cursor_get_u64(c);
		us = cursor_get_u32(c);
		text = cursor_get_bytes(c, &len);
		if (!c->error && text)
			tries_step(p->health, id, p->slot, us, text, len);
		break;
	case PROBE_WIRE_TRIED:
		id = cursor_get_u64(c);
		passed = cursor_get_u8(c);
		us = cursor_get_u32(c);
		probe_wire_get_reason(c, &reason);
		if (!c->error)
			tries_done(p->health, id, p->slot, passed, us, &reason);
		break;
	case PROBE_WIRE_NOTE:
		on_note(p, c);
		break;
	}
}

static void read_all(struct pool_prober *p)
{
	for (int i = 0; i < 64 && p->poll_open; i++) {
		ssize_t n = recv(p->fd, in, sizeof(in), MSG_DONTWAIT);
		struct cursor frame, body;
		uint16_t type;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			return pool_closed(p);
		frame = cursor_on(in, n);
		if (!probe_wire_check(&frame))
			return pool_closed(p);
		while (p->poll_open && probe_wire_next(&frame, &type, &body))
			on_record(p, type, &body);
		if (frame.error)
			return pool_closed(p);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pool_prober *p = poll->data;

	if (status < 0)
		return pool_closed(p);
	if (events & (UV_READABLE | UV_DISCONNECT))
		read_all(p);
	if (p->poll_open && (events & UV_WRITABLE))
		link_flush(p);
}

static void set_events(struct pool_prober *p, bool write)
{
	p->wants_write = write;
	uv_poll_start(&p->poll, UV_READABLE | (write ? UV_WRITABLE : 0),
		      on_poll);
}

int link_open(struct pool_prober *p, int fd)
{
	int r = uv_poll_init(p->health->loop, &p->poll, fd);

	if (r) {
		close(fd);
		return r;
	}
	p->fd = fd;
	p->poll.data = p;
	p->poll_open = true;
	p->handles++;
	set_events(p, false);
	return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct pool_prober *p = handle->data;

	p->handles--;
}

void link_close(struct pool_prober *p)
{
	if (!p->poll_open)
		return;
	p->poll_open = false;
	p->wants_write = p->send_mask = false;
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, on_poll_closed);
	close(p->fd);
	p->fd = -1;
}

/* ---- outgoing --------------------------------------------------------- */

/* True: sent (or the prober is gone, which its poll will tell). False: the
 * socket is full. */
static bool write_frame(struct pool_prober *p, const struct cursor *c)
{
	ssize_t n = send(p->fd, c->data, c->at, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

/* New and changed definitions (GONE false), or the ids that are free. */
static bool flush_monitors(struct pool_prober *p, bool gone)
{
	struct health_table *t = &p->health->table;

	for (uint32_t id = 0; p->n_monitors && id < HEALTH_MONITOR_IDS; id++) {
		struct health_monitor *m = t->monitors[id];
		struct cursor c = cursor_on(out, sizeof(out));
		size_t mark;

		if (!p->monitors[id] || !m != gone)
			continue;
		probe_wire_begin(&c);
		mark = probe_wire_open(&c, m ? PROBE_WIRE_MONITOR :
					       PROBE_WIRE_MONITOR_GONE);
		cursor_put_u32(&c, id);
		if (m)
			cursor_put(&c, m->wire, m->wire_len);
		probe_wire_close(&c, mark);
		if (!write_frame(p, &c))
			return false;
		p->monitors[id] = 0;
		p->n_monitors--;
	}
	return true;
}

static void put_row(struct health *health, struct cursor *c, uint32_t slot)
{
	struct health_service *s = health->table.services[slot];
	struct probe_wire_service row = { .slot = slot };
	size_t mark;

	if (!s) {
		mark = probe_wire_open(c, PROBE_WIRE_SERVICE_GONE);
		cursor_put_u32(c, slot);
		return probe_wire_close(c, mark);
	}
	row.generation = s->generation;
	row.entity = s->entity;
	row.addr = s->addr;
	row.port = s->port;
	row.threshold = s->threshold;
	row.observed = s->fsm.observed;
	row.owned = s->owned;
	memcpy(row.name, s->name, sizeof(row.name));
	if (s->domain) {
		row.family = s->family;
		snprintf(row.domain, sizeof(row.domain), "%s", s->domain);
	}
	row.n_bindings = s->n_bindings;
	for (uint32_t i = 0; i < s->n_bindings; i++)
		row.bindings[i] = (struct probe_wire_binding){
			.row = s->bindings[i].row,
			.monitor = s->bindings[i].monitor,
			.weight = s->bindings[i].weight,
			.verdict = s->bindings[i].verdict,
		};
	mark = probe_wire_open(c, PROBE_WIRE_SERVICE);
	probe_wire_put_service(c, &row);
	probe_wire_close(c, mark);
}

static void put_state(struct health *health, struct cursor *c, uint32_t slot)
{
	struct health_service *s = health->table.services[slot];
	struct probe_wire_state state = { .slot = slot };
	size_t mark;

	if (!s)
		return;
	state.generation = s->generation;
	state.observed = s->fsm.observed;
	state.n_bindings = s->n_bindings;
	for (uint32_t i = 0; i < s->n_bindings; i++)
		state.verdicts[i] = s->bindings[i].verdict;
	mark = probe_wire_open(c, PROBE_WIRE_STATE);
	probe_wire_put_state(c, &state);
	probe_wire_close(c, mark);
}

static bool flush_queue(struct pool_prober *p, struct slot_queue *queue,
			void put(struct health *, struct cursor *, uint32_t))
{
	while (queue->n) {
		struct cursor c = cursor_on(out, FRAME);
		uint32_t n = 0;

		probe_wire_begin(&c);
		while (n < queue->n && c.len - c.at >= ROW_MAX) {
			put(p->health, &c,
			    queue->ring[(queue->head + n) % queue->room]);
			n++;
		}
		if (!write_frame(p, &c))
			return false;
		for (; n; n--) {
			queue->queued[queue->ring[queue->head]] = 0;
			queue->head = (queue->head + 1) % queue->room;
			queue->n--;
		}
	}
	return true;
}

/* A socket to another prober, as ancillary data. */
static bool send_peer(struct pool_prober *p, int slot)
{
	struct cursor c = cursor_on(out, FRAME);
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { out, 0 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	size_t mark;

	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_PEER);
	cursor_put_u8(&c, slot);
	probe_wire_close(&c, mark);
	iov.iov_len = c.at;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &p->peer_fd[slot], sizeof(int));
	if (sendmsg(p->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
		return false;
	close(p->peer_fd[slot]);
	p->peer_fd[slot] = -1;
	return true;
}

static bool flush_peers(struct pool_prober *p)
{
	for (int i = 0; i < PROBERS_MAX; i++)
		if (p->peer_fd[i] >= 0 && !send_peer(p, i))
			return false;
	return true;
}

static bool flush_mask(struct pool_prober *p)
{
	struct cursor c = cursor_on(out, FRAME);
	size_t mark;

	if (!p->send_mask)
		return true;
	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_PROBERS);
	cursor_put_u64(&c, p->health->pool.mask);
	probe_wire_close(&c, mark);
	if (!write_frame(p, &c))
		return false;
	p->send_mask = false;
	return true;
}

void link_flush(struct pool_prober *p)
{
	bool done;

	if (!p->poll_open || p->state == POOL_STARTING)
		return;
	done = flush_monitors(p, false) &&
	       flush_queue(p, &p->rows, put_row) && flush_monitors(p, true) &&
	       flush_queue(p, &p->states, put_state) && flush_peers(p);
	if (done)
		pool_synced(p);
	done = done && flush_mask(p);
	if (p->poll_open && done == p->wants_write)
		set_events(p, !done);
}

int link_try(struct pool_prober *p, uint64_t id,
	     const struct config_service *service,
	     const struct config_monitor *monitor)
{
	struct cursor c = cursor_on(out, sizeof(out));
	size_t mark;

	probe_wire_begin(&c);
	mark = probe_wire_open(&c, PROBE_WIRE_TRY);
	cursor_put_u64(&c, id);
	cursor_put(&c, &service->addr, sizeof(service->addr));
	cursor_put_u16(&c, service->port);
	probe_wire_put_monitor(&c, monitor);
	probe_wire_close(&c, mark);
	if (c.error)
		return -EMSGSIZE;
	return send(p->fd, out, c.at, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ?
		       -errno :
		       0;
}
