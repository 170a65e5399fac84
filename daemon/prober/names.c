/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domain-based services: the consolidator of a service that this node owns asks
 * for its name, again when the TTL of the answer is over, and tells the daemon
 * what it found. The daemon decides what becomes of it; the address comes back
 * with the service's next row. c-ares asks the servers of /etc/resolv.conf, by
 * the name as it is written (no search list, no hosts file), and goes over to
 * TCP if an answer is cut short.
 */
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "prober/name_answer.h"
#include "prober/prober.h"

#define RESOLV_CONF "/etc/resolv.conf"
/* One try; c-ares makes two. */
#define TRY_MS 2000
#define TRIES 2
/* First questions: so many per ms. */
#define FIRST_PER_MS 10
/* With as many in flight others wait so long. */
#define WAIT_MS 20

struct name {
	struct wheel_node due; /* first: see schedule_run() */
	struct prober *prober;
	struct target *service; /* NULL: gone while a question was out */
	TAILQ_ENTRY(name) dirty;
	bool is_dirty, asking, active;
	uint32_t failures; /* in a row */
	struct probe_wire_name result;
	uint8_t family;
	char domain[];
};

struct socket {
	uv_poll_t poll;
	ares_socket_t fd;
};

static ares_channel channel;
static bool has_channel;
static struct timespec conf_time; /* RESOLV_CONF, as read last */
static ino_t conf_inode;
static struct socket *sockets[NAME_SOCKETS_MAX];
static uint32_t in_flight, count;
static TAILQ_HEAD(, name) dirty = TAILQ_HEAD_INITIALIZER(dirty);

/* ---- c-ares on the loop ----------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct socket *s = poll->data;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	ares_process_fd(channel,
			events & UV_READABLE ? s->fd : ARES_SOCKET_BAD,
			events & UV_WRITABLE ? s->fd : ARES_SOCKET_BAD);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct prober *prober = ctx;
	struct socket **at = NULL;

	for (int i = 0; i < NAME_SOCKETS_MAX; i++) {
		if (sockets[i] && sockets[i]->fd == fd) {
			at = &sockets[i];
			break;
		}
		if (!sockets[i] && !at)
			at = &sockets[i];
	}
	if (!at)
		return; /* its questions time out, and are asked again */
	if (!readable && !writable) {
		if (!*at)
			return;
		/* Stopped now: c-ares closes the socket next. */
		uv_poll_stop(&(*at)->poll);
		uv_close((uv_handle_t *)&(*at)->poll, on_closed);
		*at = NULL;
		return;
	}
	if (!*at) {
		struct socket *s = calloc(1, sizeof(*s));

		if (!s || uv_poll_init(prober->loop, &s->poll, fd)) {
			free(s);
			return;
		}
		s->fd = fd;
		s->poll.data = s;
		*at = s;
	}
	uv_poll_start(&(*at)->poll,
		      (readable ? UV_READABLE : 0) |
			      (writable ? UV_WRITABLE : 0),
		      on_ready);
}

/* The servers as they are configured now; no question is out. */
static int open_channel(struct prober *prober)
{
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = prober,
	};
	struct stat st = { 0 };

	stat(RESOLV_CONF, &st);
	if (has_channel && st.st_ino == conf_inode &&
	    st.st_mtim.tv_sec == conf_time.tv_sec &&
	    st.st_mtim.tv_nsec == conf_time.tv_nsec)
		return ARES_SUCCESS;
	names_deinit();
	conf_inode = st.st_ino;
	conf_time = st.st_mtim;
	if (ares_init_options(&channel, &options,
			      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
				      ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return ARES_ENOMEM;
	has_channel = true;
	return ARES_SUCCESS;
}

void names_deinit(void)
{
	if (has_channel)
		ares_destroy(channel);
	has_channel = false;
}

void names_turn(void)
{
	/* Time-outs. */
	if (in_flight)
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- one name --------------------------------------------------------- */

static void tell(struct name *name)
{
	if (!name->active || name->is_dirty)
		return;
	TAILQ_INSERT_TAIL(&dirty, name, dirty);
	name->is_dirty = true;
}

static void tell_not(struct name *name)
{
	if (name->is_dirty)
		TAILQ_REMOVE(&dirty, name, dirty);
	name->is_dirty = false;
}

static void ask_in(struct name *name, uint64_t ms)
{
	if (name->active && !name->asking && !wheel_queued(&name->due))
		wheel_add(&name->prober->schedule.wheel, &name->due,
			  prober_now_ns() / 1000000 + ms);
}

static void failed(struct name *name, enum reason code, uint32_t detail,
		   const char *text)
{
	uint64_t s = NAME_RETRY_MIN_S;

	name->result.resolved = false;
	reason_set(&name->result.reason, code, detail);
	if (text)
		reason_text(&name->result.reason, text, strlen(text));
	for (uint32_t i = 0; i < name->failures && s < NAME_RETRY_MAX_S; i++)
		s *= 2;
	if (s > NAME_RETRY_MAX_S)
		s = NAME_RETRY_MAX_S;
	name->failures++;
	name->result.failures = name->failures;
	tell(name);
	ask_in(name, s * 1000);
}

static void answered(struct name *name, const uint8_t *data, size_t len)
{
	struct probe_wire_name *r = &name->result;
	union ip_addr addr;
	uint32_t ttl_s;
	int n = name_answer_choose(data, len, name->family,
				   &name->service->addr, &addr, &ttl_s);

	if (n <= 0)
		return failed(name, n < 0 ? REASON_MALFORMED : REASON_RESOLVE_NONE,
			      0, NULL);
	if (ttl_s < NAME_TTL_MIN_S)
		ttl_s = NAME_TTL_MIN_S;
	if (ttl_s > NAME_TTL_MAX_S)
		ttl_s = NAME_TTL_MAX_S;
	name->failures = r->failures = 0;
	r->resolved = true;
	r->addr = addr;
	r->ttl_s = ttl_s;
	reason_set(&r->reason, REASON_OK, 0);
	tell(name);
	/* Not before the server's copy is over, and not all at once. */
	ask_in(name, ttl_s * 1000ull + prober_random(name->prober) % 100);
}

static void on_answer(void *ctx, int status, int timeouts, unsigned char *data,
		      int len)
{
	struct name *name = ctx;

	(void)timeouts;
	in_flight--;
	name->asking = false;
	if (!name->service) {
		free(name);
		return;
	}
	if (!name->active)
		return;
	if (status == ARES_SUCCESS)
		answered(name, data, (size_t)len);
	else if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION)
		ask_in(name, WAIT_MS);
	else
		failed(name, REASON_RESOLVE, (uint32_t)status,
		       ares_strerror(status));
}

void names_ask(struct wheel_node *due)
{
	struct name *name = (struct name *)due;
	int r = ARES_SUCCESS;

	if (in_flight >= NAMES_IN_FLIGHT_MAX) {
		ask_in(name, WAIT_MS);
		return;
	}
	if (!in_flight)
		r = open_channel(name->prober);
	if (r != ARES_SUCCESS) {
		failed(name, REASON_RESOLVE, (uint32_t)r, ares_strerror(r));
		return;
	}
	name->asking = true;
	in_flight++;
	/* May answer at once, with an error. */
	ares_query(channel, name->domain, ns_c_in,
		   name->family == 4 ? ns_t_a : ns_t_aaaa, on_answer, name);
}

/* ---- with the table --------------------------------------------------- */

struct name *names_new(struct prober *prober, struct target *service,
		       const struct probe_wire_service *row, struct name *old)
{
	size_t len = strlen(row->domain);
	struct name *name = old;

	if (!name || name->family != row->family ||
	    strcmp(name->domain, row->domain) != 0) {
		names_free(name);
		name = calloc(1, sizeof(*name) + len + 1);
		if (!name)
			return NULL;
		name->due.tag = SCHEDULE_NAME;
		name->prober = prober;
		name->family = row->family;
		memcpy(name->domain, row->domain, len + 1);
		count++;
	}
	name->service = service;
	/* The daemon may have missed it, among rows that crossed it. */
	if (name->result.resolved &&
	    !ip_addr_equal(&name->result.addr, &service->addr))
		tell(name);
	return name;
}

void names_free(struct name *name)
{
	if (!name)
		return;
	names_activate(name, false);
	name->service = NULL;
	count--;
	if (!name->asking)
		free(name);
}

void names_activate(struct name *name, bool on)
{
	if (name->active == on)
		return;
	name->active = on;
	if (on) {
		ask_in(name, prober_random(name->prober) %
				     (20 + count / FIRST_PER_MS));
		return;
	}
	tell_not(name);
	wheel_cancel(&name->prober->schedule.wheel, &name->due);
	memset(&name->result, 0, sizeof(name->result));
	name->failures = 0;
}

bool names_next(struct probe_wire_name *ret)
{
	struct name *name = TAILQ_FIRST(&dirty);

	if (!name)
		return false;
	*ret = name->result;
	ret->slot = name->service->slot;
	ret->generation = name->service->generation;
	return true;
}

void names_told(void)
{
	tell_not(TAILQ_FIRST(&dirty));
}
