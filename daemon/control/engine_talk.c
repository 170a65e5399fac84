// SPDX-License-Identifier: GPL-2.0-only
/*
 * RUNDIR/engine.sock: engines call here, new ones for their sockets and
 * memory, old ones after a daemon's death to be adopted. The protocol is in
 * engine/link.h. An engine is known by its process id as the kernel tells it
 * (SO_PEERCRED); a stranger is told to stop. Loop thread.
 */
#include "control/engine_supervisor_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "util/log.h"

/* Callers that have not said who they are. */
#define GUESTS_MAX 64
/* All messages of one hand-over fit in the socket's buffer. */
#define SEND_BUFFER (4 << 20)

struct talk_guest {
	struct talk_guest *next;
	struct engine_supervisor *supervisor;
	struct engine_watch *watch;
	pid_t pid;
};



static void close_fds(const int fds[LINK_FDS_MAX])
{
	for (int i = 0; i < LINK_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void guest_unlink(struct talk_guest *guest)
{
	struct engine_supervisor *s = guest->supervisor;
	struct talk_guest **at = &s->guests;

	while (*at != guest)
		at = &(*at)->next;
	*at = guest->next;
	s->n_guests--;
}

static void guest_free(struct talk_guest *guest)
{
	guest_unlink(guest);
	engine_watch_free(guest->watch);
	free(guest);
}

static void conn_lost(struct engine_slot *slot)
{
	engine_watch_free(slot->conn);
	slot->conn = NULL;
	slot->conn_lost_ms = engine_supervisor_now_ms();
}

/* ---- to the engine ---- */

static int send_msg(struct engine_slot *slot, struct link_msg *msg,
		    const int *fds, int n_fds)
{
	int err;

	if (!slot->conn)
		return -ENOTCONN;
	msg->slot = slot->slot;
	msg->epoch = slot->epoch;
	err = link_send(engine_watch_fd(slot->conn), msg, fds, n_fds);
	if (err)
		log_err("engine %u: message %u not sent: %s", slot->slot,
			msg->type, strerror(-err));
	return err;
}

void engine_talk_send_port(struct engine_slot *slot, uint32_t pool)
{
	struct engine_supervisor *s = slot->supervisor;
	const struct ctl_pool *cp = &s->memory.ctl->pool[pool];
	struct link_msg msg = {
		.type = LINK_PORT,
		.pool = pool,
		.iface = cp->iface,
		.ifindex = cp->ifindex,
		.queue = cp->queue,
		.rx_size = 1u << s->memory.frames->pool_shift,
		.tx_size = ENGINE_TX_RING,
	};
	int fds[2], err;

	err = engine_memory_open_socket(&s->memory, pool, &fds[1]);
	if (err) {
		log_err("engine %u: no packet socket for interface %u queue "
			"%u: %s", slot->slot, cp->ifindex, cp->queue,
			strerror(-err));
		/* Not tried again before the pool or the engine is new. */
		slot->has_port[pool] = true;
		return;
	}
	fds[0] = s->memory.base[pool];
	slot->has_port[pool] = true;
	slot->sock[pool] = fds[1];
	if (send_msg(slot, &msg, fds, 2))
		engine_slot_kill(slot, "does not read its messages");
}

void engine_talk_send_unport(struct engine_slot *slot, uint32_t pool)
{
	struct link_msg msg = { .type = LINK_UNPORT, .pool = pool };

	if (slot->sock[pool] >= 0)
		close(slot->sock[pool]);
	slot->sock[pool] = -1;
	if (send_msg(slot, &msg, NULL, 0))
		engine_slot_kill(slot, "does not read its messages");
}

int engine_talk_send_stop(struct engine_slot *slot)
{
	struct link_msg msg = { .type = LINK_STOP };

	return send_msg(slot, &msg, NULL, 0);
}

/* Everything a new engine needs. */
static int send_setup(struct engine_slot *slot)
{
	struct engine_supervisor *s = slot->supervisor;
	const int memory_fds[2] = { s->memory.umem_fd, s->memory.ctl_fd };
	struct link_msg msg = {
		.type = LINK_SETUP,
		.instance = s->memory.ctl->instance,
		.len = s->memory.umem_len,
		.ctl_len = (uint32_t)s->memory.ctl_len,
	};
	int err = send_msg(slot, &msg, memory_fds, 2);

	for (uint32_t i = 0; i < LINK_MAPS && !err; i++) {
		msg = (struct link_msg){
			.type = LINK_MAP,
			.map = i,
			.len = s->map_len[i],
		};
		err = send_msg(slot, &msg, &s->map_fd[i], 1);
	}
	for (uint32_t p = 0; p < s->memory.frames->n_pools && !err; p++) {
		if (s->memory.base[p] >= 0 && !s->retiring[p])
			engine_talk_send_port(slot, p);
	}
	msg = (struct link_msg){ .type = LINK_GO };
	if (!err)
		err = send_msg(slot, &msg, NULL, 0);
	slot->setup_sent = !err;
	return err;
}

/* ---- from the engine ---- */

static void on_port_ready(struct engine_slot *slot, uint32_t pool)
{
	struct engine_supervisor *s = slot->supervisor;
	const struct ctl_pool *cp;
	uint32_t key;
	int fd;

	if (!s->memory.ready || pool >= s->memory.frames->n_pools ||
	    slot->sock[pool] < 0)
		return;
	fd = slot->sock[pool];
	slot->sock[pool] = -1;
	cp = &s->memory.ctl->pool[pool];
	if (!s->retiring[pool] && slot->state != SLOT_STOPPING) {
		key = XSK_INDEX(cp->iface, cp->queue, slot->slot);
		if (bpf_map_update_elem(s->options.maps.xsks, &key, &fd, 0))
			log_err("engine %u: XSKMAP entry %u: %s", slot->slot,
				key, strerror(errno));
		slot->inserted = true;
	}
	/* Ours must not keep the socket alive when the engine dies: its end
	 * is what empties the place in the map. */
	close(fd);
}

static void on_have(struct engine_slot *slot, const struct link_msg *msg,
		    int fds[LINK_FDS_MAX])
{
	struct engine_supervisor *s = slot->supervisor;
	int err;

	if (fds[0] < 0 || msg->pool >= POOLS_MAX)
		return;
	err = engine_memory_adopt_base(&s->memory, msg->pool, fds[0]);
	if (!err)
		fds[0] = -1;
	if (!err || err == -EEXIST)
		slot->has_port[msg->pool] = true;
	else
		log_err("engine %u: pool %u not adopted: %s", slot->slot,
			msg->pool, strerror(-err));
}

static void on_port_gone(struct engine_slot *slot, uint32_t pool)
{
	if (pool >= POOLS_MAX)
		return;
	slot->has_port[pool] = false;
	engine_supervisor_sync(slot->supervisor);
}

static void handle(struct engine_slot *slot, const struct link_msg *msg,
		   int fds[LINK_FDS_MAX])
{
	switch (msg->type) {
	case LINK_HAVE:
		on_have(slot, msg, fds);
		break;
	case LINK_READY:
		if (slot->state == SLOT_STARTING ||
		    slot->state == SLOT_AWAITED)
			engine_slot_ready(slot);
		break;
	case LINK_PORT_READY:
		on_port_ready(slot, msg->pool);
		break;
	case LINK_PORT_GONE:
		on_port_gone(slot, msg->pool);
		break;
	default:
		log_warn("engine %u: unexpected message %u", slot->slot,
			 msg->type);
		break;
	}
}

static void on_message(void *ctx, int fd)
{
	struct engine_slot *slot = ctx;

	while (slot->conn && engine_watch_fd(slot->conn) == fd) {
		int fds[LINK_FDS_MAX];
		struct link_msg msg;
		int err = link_receive(fd, &msg, fds);

		if (err == -EAGAIN || err == -EINTR)
			return;
		if (err) {
			if (err != -EPIPE)
				log_err("engine %u: connection: %s",
					slot->slot, strerror(-err));
			conn_lost(slot);
			return;
		}
		handle(slot, &msg, fds);
		close_fds(fds);
	}
}

/* ---- callers ---- */

/* A running engine: its memory is the node's, or it must go. */
static int take_memory(struct engine_slot *slot, const struct link_msg *msg,
		       int fds[LINK_FDS_MAX])
{
	struct engine_memory *memory = &slot->supervisor->memory;
	int err;

	if (!memory->ready) {
		if (fds[0] < 0 || fds[1] < 0)
			return -EPROTO;
		err = engine_memory_adopt(memory, fds[0], fds[1], msg->len);
		if (err)
			return err;
		fds[0] = fds[1] = -1;
		/* What a former daemon had in its hands. */
		frames_reclaim(memory->frames, FRAME_OWNER_DAEMON,
			       engine_supervisor_now_ms());
		/* Engines that died while no daemon was there. */
		for (uint32_t i = 0; i < ENGINES_MAX; i++) {
			struct engine_slot *other = &slot->supervisor->slot[i];

			other->dead_frames = !engine_slot_alive(other);
		}
	}
	return memory->ctl->instance == msg->instance ? 0 : -ESTALE;
}

static bool expected(const struct engine_slot *slot, const struct link_msg *msg,
		     pid_t pid)
{
	if (slot->pid != pid || slot->epoch != msg->epoch || slot->conn)
		return false;
	if (msg->running)
		return slot->state == SLOT_AWAITED || slot->state == SLOT_READY;
	return slot->state == SLOT_STARTING && !slot->setup_sent;
}

static void dismiss(struct talk_guest *guest, const struct link_msg *msg)
{
	struct link_msg stop = { .type = LINK_STOP };

	log_warn("process %d says it is engine %u, which is not expected: "
		 "told to stop", guest->pid, msg->slot);
	link_send(engine_watch_fd(guest->watch), &stop, NULL, 0);
	guest_free(guest);
}

static void welcome(struct talk_guest *guest, const struct link_msg *msg,
		    int fds[LINK_FDS_MAX])
{
	struct engine_supervisor *s = guest->supervisor;
	struct engine_slot *slot;
	int err;

	if (msg->type != LINK_HELLO || msg->slot >= ENGINES_MAX ||
	    !expected(&s->slot[msg->slot], msg, guest->pid)) {
		dismiss(guest, msg);
		return;
	}
	slot = &s->slot[msg->slot];
	slot->conn = guest->watch;
	engine_watch_redirect(slot->conn, on_message, slot);
	guest_unlink(guest);
	free(guest);
	err = msg->running ? take_memory(slot, msg, fds) : send_setup(slot);
	if (err) {
		log_err("engine %u: %s", slot->slot, strerror(-err));
		engine_slot_kill(slot, msg->running ?
					       "cannot be adopted" :
					       "cannot be given its sockets");
	}
}

static void on_guest(void *ctx, int fd)
{
	struct talk_guest *guest = ctx;
	int fds[LINK_FDS_MAX];
	struct link_msg msg;
	int err = link_receive(fd, &msg, fds);

	if (err == -EAGAIN || err == -EINTR)
		return;
	if (err) {
		guest_free(guest);
		return;
	}
	welcome(guest, &msg, fds);
	close_fds(fds);
}

static void on_connection(void *ctx, int listener)
{
	struct engine_supervisor *s = ctx;
	struct talk_guest *guest;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int size = SEND_BUFFER, fd;

	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	guest = calloc(1, sizeof(*guest));
	if (!guest || s->n_guests >= GUESTS_MAX ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		close(fd);
		free(guest);
		return;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	guest->supervisor = s;
	guest->pid = cred.pid;
	if (engine_watch_new(s->loop, fd, on_guest, guest, &guest->watch)) {
		free(guest);
		return;
	}
	guest->next = s->guests;
	s->guests = guest;
	s->n_guests++;
}

int engine_talk_listen(struct engine_supervisor *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(s->socket_path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, s->socket_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* RUNDIR is locked by the daemon: what lies here is a dead one's. */
	unlink(s->socket_path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    chmod(s->socket_path, 0600) || listen(fd, GUESTS_MAX)) {
		err = -errno;
		close(fd);
		return err;
	}
	return engine_watch_new(s->loop, fd, on_connection, s, &s->listener);
}

void engine_talk_close(struct engine_supervisor *s)
{
	while (s->guests)
		guest_free(s->guests);
	if (s->listener)
		unlink(s->socket_path);
	engine_watch_free(s->listener);
	s->listener = NULL;
}
