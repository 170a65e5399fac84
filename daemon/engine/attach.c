// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's end of the connection to the daemon (link.h): gets memory,
 * maps and sockets at the start; later ports come and go; when the daemon
 * dies the engine works on, keeps everything and calls until there is a new
 * one, to which it hands what the daemon needs. Engine thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "engine/engine.h"
#include "engine/hold.h"
#include "util/log.h"

#define SETUP_TIMEOUT_MS 10000
#define RETRY_MIN_NS 20000000ull
#define RETRY_MAX_NS 500000000ull

static int dial(const char *path, int *ret_fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static void watch(struct engine *engine, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void close_fds(const int fds[LINK_FDS_MAX])
{
	for (int i = 0; i < LINK_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static int tell(struct engine *engine, enum link_type type, uint32_t pool,
		const int *fds, int n_fds)
{
	struct link_msg msg = {
		.type = type,
		.slot = engine->slot,
		.epoch = engine->epoch,
		.pid = (uint32_t)getpid(),
		.running = engine->set_up,
		.instance = engine->instance,
		.len = engine->umem_len,
		.pool = pool,
	};

	return link_send(engine->link, &msg, fds, n_fds);
}

/* ---- memory and maps ---- */

static int take_memory(struct engine *engine, const struct link_msg *msg,
		       const int fds[LINK_FDS_MAX])
{
	struct stat umem, ctl;
	void *map;

	if (fds[0] < 0 || fds[1] < 0 || engine->umem)
		return -EPROTO;
	engine->umem_fd = fds[0];
	engine->ctl_fd = fds[1];
	if (fstat(fds[0], &umem) || fstat(fds[1], &ctl))
		return -errno;
	engine->umem_len = (size_t)umem.st_size;
	engine->ctl_len = (size_t)ctl.st_size;
	map = mmap(NULL, engine->umem_len, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fds[0], 0);
	if (map == MAP_FAILED)
		return -errno;
	engine->umem = map;
	map = mmap(NULL, engine->ctl_len, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fds[1], 0);
	if (map == MAP_FAILED)
		return -errno;
	engine->ctl = map;
	if (!frames_ctl_valid(engine->ctl, engine->ctl_len) ||
	    engine->ctl->instance != msg->instance ||
	    (size_t)engine->ctl->frames << FRAME_SHIFT != engine->umem_len)
		return -EPROTO;
	engine->instance = msg->instance;
	frames_init(&engine->frames, engine->ctl, engine->slot);
	return 0;
}

static int take_map(struct engine *engine, const struct link_msg *msg, int fd)
{
	static const bool writable[LINK_MAPS] = {
		[LINK_MAP_SVC_LOAD] = true,
		[LINK_MAP_ENGINES] = true,
		[LINK_MAP_FLOWS] = true,
	};
	static const size_t least[LINK_MAPS] = {
		[LINK_MAP_CONF] = sizeof(struct dp_conf),
		[LINK_MAP_VIPS] = sizeof(struct vip_bucket) * VIP_BUCKETS,
		[LINK_MAP_VSERVERS] = sizeof(struct vserver) * VSERVERS_MAX,
		[LINK_MAP_SERVICES] = sizeof(struct service) * SERVICES_MAX,
		[LINK_MAP_SVC_LOAD] = sizeof(struct svc_load) * SERVICES_MAX,
		[LINK_MAP_ENGINES] = sizeof(struct engine_info) * ENGINES_MAX,
		[LINK_MAP_FLOWS] = sizeof(struct flow_set) * 2,
	};
	struct engine_maps *m = &engine->maps;
	void *map;

	if (fd < 0 || msg->map >= LINK_MAPS || msg->len < least[msg->map])
		return -EPROTO;
	map = mmap(NULL, msg->len,
		   PROT_READ | (writable[msg->map] ? PROT_WRITE : 0),
		   MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	switch ((enum link_map)msg->map) {
	case LINK_MAP_CONF:
		m->conf = map;
		break;
	case LINK_MAP_VIPS:
		m->vips = map;
		break;
	case LINK_MAP_VSERVERS:
		m->vservers = map;
		break;
	case LINK_MAP_SERVICES:
		m->services = map;
		break;
	case LINK_MAP_SVC_LOAD:
		m->svc_load = map;
		break;
	case LINK_MAP_MEMBERS:
		m->members = map;
		m->members_len = (uint32_t)(msg->len / sizeof(struct member));
		break;
	case LINK_MAP_LB_TABLE:
		m->lb_table = map;
		m->lb_len = (uint32_t)(msg->len / sizeof(struct pick_slot));
		break;
	case LINK_MAP_ENGINES:
		m->engines = map;
		break;
	case LINK_MAP_FLOWS:
		m->flows = map;
		m->flow_sets = (uint32_t)(msg->len / sizeof(struct flow_set));
		break;
	case LINK_MAPS:
		break;
	}
	return 0;
}

/* ---- ports ---- */

static void list_ports(struct engine *engine)
{
	engine->n_active = 0;
	for (uint32_t p = 0; p < POOLS_MAX; p++) {
		if (engine->port[p].used)
			engine->active[engine->n_active++] = (uint16_t)p;
	}
}

static int add_port(struct engine *engine, const struct link_msg *msg,
		    const int fds[LINK_FDS_MAX])
{
	struct engine_port *port;
	int err;

	if (fds[0] < 0 || fds[1] < 0 || !engine->ctl ||
	    msg->pool >= engine->frames.n_pools ||
	    engine->port[msg->pool].used)
		return -EPROTO;
	port = &engine->port[msg->pool];
	*port = (struct engine_port){
		.pool = msg->pool,
		.iface = msg->iface,
		.ifindex = msg->ifindex,
		.queue = msg->queue,
		.base_fd = fds[0],
		.fd = fds[1],
	};
	err = xsk_ring_map(port->fd, XSK_RING_RX, msg->rx_size, &port->rx);
	if (err)
		return err;
	err = xsk_ring_map(port->fd, XSK_RING_TX, msg->tx_size, &port->tx);
	if (err)
		goto no_tx;
	err = frames_pool_map(&engine->frames, port->pool, port->base_fd);
	if (err)
		goto no_pool;
	port->rx_next = *port->rx.consumer;
	port->tx_next = *port->tx.producer;
	port->used = true;
	list_ports(engine);
	watch(engine, port->fd);
	return 0;

no_pool:
	xsk_ring_unmap(&port->tx);
no_tx:
	xsk_ring_unmap(&port->rx);
	return err;
}

static void remove_port(struct engine *engine, uint32_t pool)
{
	struct engine_port *port;

	if (pool >= POOLS_MAX || !engine->port[pool].used)
		return;
	port = &engine->port[pool];
	hold_forget_port(engine, port);
	/* What is left in its rings goes with it: the interface is going. */
	epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, port->fd, NULL);
	frames_pool_unmap(&engine->frames, pool);
	xsk_ring_unmap(&port->rx);
	xsk_ring_unmap(&port->tx);
	close(port->fd);
	close(port->base_fd);
	port->used = false;
	list_ports(engine);
}

/* ---- messages ---- */

/* Descriptors that are kept are set to -1. */
static int handle(struct engine *engine, const struct link_msg *msg,
		  int fds[LINK_FDS_MAX])
{
	int err;

	switch (msg->type) {
	case LINK_SETUP:
		err = take_memory(engine, msg, fds);
		fds[0] = fds[1] = -1;
		return err;
	case LINK_MAP:
		/* The mapping is enough; who has the descriptor could map it
		 * writable. */
		return take_map(engine, msg, fds[0]);
	case LINK_PORT:
		err = add_port(engine, msg, fds);
		if (err)
			return err;
		fds[0] = fds[1] = -1;
		if (engine->set_up)
			return tell(engine, LINK_PORT_READY, msg->pool, NULL,
				    0);
		return 0;
	case LINK_UNPORT:
		remove_port(engine, msg->pool);
		return tell(engine, LINK_PORT_GONE, msg->pool, NULL, 0);
	case LINK_GO:
		engine->set_up = true;
		return 0;
	case LINK_STOP:
		if (!engine->set_up)
			return -ECONNREFUSED;
		if (!engine->stopping)
			engine->stop_ns = flowtab_now_ns();
		engine->stopping = true;
		return 0;
	default:
		return -EPROTO;
	}
}

static int receive(struct engine *engine)
{
	int fds[LINK_FDS_MAX], err;
	struct link_msg msg;

	err = link_receive(engine->link, &msg, fds);
	if (err)
		return err;
	err = handle(engine, &msg, fds);
	close_fds(fds);
	if (err)
		log_err("message %u: %s", msg.type, strerror(-err));
	return err;
}

static bool maps_complete(const struct engine *engine)
{
	const struct engine_maps *m = &engine->maps;

	return m->conf && m->vips && m->vservers && m->services &&
	       m->svc_load && m->members && m->lb_table && m->engines &&
	       m->flows && m->flow_sets &&
	       !(m->flow_sets & (m->flow_sets - 1));
}

int engine_attach(struct engine *engine)
{
	struct pollfd pfd = { .events = POLLIN };
	int err;

	err = dial(engine->socket_path, &engine->link);
	if (!err)
		err = tell(engine, LINK_HELLO, 0, NULL, 0);
	pfd.fd = engine->link;
	while (!err && !engine->set_up) {
		if (poll(&pfd, 1, SETUP_TIMEOUT_MS) <= 0)
			return -ETIMEDOUT;
		err = receive(engine);
		if (err == -EAGAIN || err == -EINTR)
			err = 0;
	}
	if (!err && (!engine->ctl || !maps_complete(engine)))
		err = -EPROTO;
	if (!err)
		watch(engine, engine->link);
	return err;
}

int engine_attach_ready(struct engine *engine)
{
	int err = tell(engine, LINK_READY, 0, NULL, 0);

	for (uint32_t i = 0; i < engine->n_active && !err; i++)
		err = tell(engine, LINK_PORT_READY, engine->active[i], NULL, 0);
	return err;
}

/* ---- the daemon's death and its successor ---- */

static void hang_up(struct engine *engine, const char *why)
{
	log_notice("daemon is away (%s): working on", why);
	close(engine->link); /* leaves the epoll set with it */
	engine->link = -1;
	engine->link_pause_ns = RETRY_MIN_NS;
	engine->link_retry_ns = engine->now_ns + engine->link_pause_ns;
}

static int introduce(struct engine *engine)
{
	const int memory[2] = { engine->umem_fd, engine->ctl_fd };
	int err = tell(engine, LINK_HELLO, 0, memory, 2);

	for (uint32_t i = 0; i < engine->n_active && !err; i++) {
		const struct engine_port *port =
			&engine->port[engine->active[i]];

		err = tell(engine, LINK_HAVE, port->pool, &port->base_fd, 1);
	}
	return err ? err : tell(engine, LINK_READY, 0, NULL, 0);
}

static void call_again(struct engine *engine)
{
	int err, size = 1 << 20;

	if (engine->stopping || engine->now_ns < engine->link_retry_ns)
		return;
	err = dial(engine->socket_path, &engine->link);
	if (!err) {
		setsockopt(engine->link, SOL_SOCKET, SO_SNDBUF, &size,
			   sizeof(size));
		err = introduce(engine);
		if (!err) {
			watch(engine, engine->link);
			return;
		}
		close(engine->link);
	}
	engine->link = -1;
	if (engine->link_pause_ns < RETRY_MAX_NS)
		engine->link_pause_ns *= 2;
	engine->link_retry_ns = engine->now_ns + engine->link_pause_ns;
}

void engine_attach_poll(struct engine *engine)
{
	int err;

	if (engine->link < 0) {
		call_again(engine);
		return;
	}
	do {
		err = receive(engine);
	} while (!err);
	if (err == -EAGAIN || err == -EINTR)
		return;
	hang_up(engine, err == -EPIPE ? "connection closed" : strerror(-err));
}
