// SPDX-License-Identifier: GPL-2.0-only
/* Node-to-node messages on a socket (see nnm.h). */
#include "cluster/nnm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cluster/nnm_codec.h"
#include "cluster/nnm_link.h"
#include "cluster/nnm_queue.h"
#include "cluster/nnm_session.h"
#include "cluster/nnm_socket.h"
#include "util/addr_text.h"
#include "util/log.h"

/* Batches read before the loop gets its turn again. */
#define BATCHES_PER_TURN 8
/* Same complaint about the same peer: not more often. */
#define LOG_GAP_MS 30000
/* What stands before the messages in each datagram: flags, acknowledgement. */
#define ACK_BYTES (1 + 8 + 8 + 4)
#define FLAG_MESSAGES 1 /* carries messages: wants an acknowledgement */
/* A peer without session is challenged this often. */
#define CHALLENGE_EVERY_MS 200

_Static_assert(ACK_BYTES + NNM_FRAME_BYTES + NNM_BODY_MAX <= NNM_TEXT_MAX,
	       "the longest message fits one datagram");

struct nnm_peer_state {
	bool used;
	struct nnm_address addr;
	struct nnm_queue queue;
	struct nnm_link link;
	uint64_t challenged_ms;
	bool challenge_due;
	int send_error; /* what the kernel said last, 0 if it sent */
	uint64_t logged_ms;
};

struct nnm {
	uv_loop_t *loop;
	uv_poll_t poll;
	int fd;
	const struct nnm_ops *ops;
	void *ctx;
	char *epoch_file;
	struct nnm_sessions sessions;
	struct nnm_peer_state peers[NODES_MAX];
	struct nnm_datagram batch[NNM_BATCH];
	uint64_t stranger_logged_ms;
	bool epoch_failed;
};

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- sending ---------------------------------------------------------- */

static void put_on_wire(struct nnm *nnm, uint8_t id, const uint8_t *data, size_t len)
{
	struct nnm_peer_state *p = &nnm->peers[id];
	uint64_t *counters = nnm->sessions.counters.v[id];
	int ret = nnm_socket_send(nnm->fd, &p->addr, data, len);

	if (ret < 0) {
		counters[NNM_tx_errors]++;
		/* Said once, until it works again or fails differently. */
		if (p->send_error != ret && ret != -EAGAIN)
			log_warn("cluster: sending to node %u: %s", id, strerror(-ret));
	} else {
		counters[NNM_tx_datagrams]++;
		counters[NNM_tx_bytes] += len;
	}
	if (ret != -EAGAIN)
		p->send_error = ret;
}

static void challenge(struct nnm *nnm, uint8_t id, uint64_t ms)
{
	uint8_t data[NNM_HANDSHAKE_BYTES];
	size_t len = nnm_session_challenge(&nnm->sessions, id, ms, data);

	/* Too early: the tick repeats it. */
	nnm->peers[id].challenge_due = len == 0;
	if (len == 0)
		return;
	nnm->peers[id].challenged_ms = ms;
	put_on_wire(nnm, id, data, len);
}

/* Moves messages into TEXT, the most urgent first, up to what the pace
 * allows. *ret_paced tells whether some of them count against it. */
static size_t fill(struct nnm *nnm, uint8_t id, struct wire_writer *w, size_t allowance,
		   bool *ret_paced)
{
	struct nnm_peer_state *p = &nnm->peers[id];
	size_t messages = 0;

	*ret_paced = false;
	for (unsigned int prio = 0; prio < PRIO_COUNT; prio++) {
		size_t len;

		while ((len = nnm_queue_next(&p->queue, prio)) > 0) {
			if (prio >= PRIO_STATE && wire_written(w) > allowance) {
				nnm_link_held_back(&p->link);
				nnm->sessions.counters.v[id][NNM_paced]++;
				return messages;
			}
			if (len > wire_room(w))
				return messages;
			nnm_queue_take(&p->queue, prio, w->pos);
			w->pos += len;
			messages++;
			*ret_paced |= prio >= PRIO_STATE;
		}
	}
	return messages;
}

/* One datagram to the peer, with messages or, if ONLY_ACK, without. False if
 * there is nothing to send, or nothing may be sent now. */
static bool send_datagram(struct nnm *nnm, uint8_t id, bool only_ack, uint64_t us)
{
	struct nnm_peer_state *p = &nnm->peers[id];
	struct nnm_sessions *s = &nnm->sessions;
	uint8_t data[NNM_DATAGRAM_MAX];
	struct wire_writer w;
	struct nnm_ack ack;
	size_t messages = 0, len;
	bool paced = false;
	uint64_t seq;

	wire_writer_init(&w, data + NNM_HEADER_BYTES, NNM_TEXT_MAX);
	w.pos += ACK_BYTES;
	if (!only_ack)
		messages = fill(nnm, id, &w, nnm_link_allowance(&p->link, us), &paced);
	if (messages == 0 && !only_ack)
		return false;
	len = wire_written(&w);
	nnm_link_make_ack(&p->link, nnm_replay_bitmap(&s->peers[id].window), us, &ack);
	w.pos = w.start;
	wire_put_u8(&w, messages > 0 ? FLAG_MESSAGES : 0);
	wire_put_u64(&w, ack.top);
	wire_put_u64(&w, ack.bitmap);
	wire_put_u32(&w, ack.delay_us);
	assert(!w.failed && wire_written(&w) == ACK_BYTES);
	len = nnm_session_seal(s, id, data, len, &seq);
	nnm_link_sent(&p->link, seq, len, messages > 0, paced, us);
	s->counters.v[id][NNM_tx_messages] += messages;
	put_on_wire(nnm, id, data, len);
	return true;
}

static void flush_peer(struct nnm *nnm, uint8_t id)
{
	struct nnm_peer_state *p = &nnm->peers[id];

	if (!p->used || nnm_queue_empty(&p->queue))
		return;
	if (!nnm->sessions.peers[id].up) {
		nnm_queue_clear(&p->queue);
		return;
	}
	while (send_datagram(nnm, id, false, now_us()))
		;
}

void nnm_flush(struct nnm *nnm)
{
	for (unsigned int id = 0; id < NODES_MAX; id++)
		flush_peer(nnm, (uint8_t)id);
}

void nnm_send(struct nnm *nnm, uint32_t to, enum message_priority priority,
	      const struct message *message)
{
	uint8_t buf[NNM_FRAME_BYTES + NNM_BODY_MAX];
	struct wire_writer w;
	int ret;

	assert(priority < PRIO_COUNT);
	assert(!(to >> nnm->sessions.self & 1));
	wire_writer_init(&w, buf, sizeof(buf));
	ret = nnm_codec_put(&w, message);
	assert(ret == 0);
	for (unsigned int id = 0; id < NODES_MAX; id++) {
		uint64_t *counters = nnm->sessions.counters.v[id];

		if (!(to >> id & 1) || !nnm->peers[id].used)
			continue;
		if (!nnm->sessions.peers[id].up)
			counters[NNM_queue_no_session]++;
		else if (nnm_queue_put(&nnm->peers[id].queue, priority, buf,
				       wire_written(&w)) < 0)
			counters[NNM_queue_full]++;
	}
}

void nnm_tick(struct nnm *nnm)
{
	uint64_t ms = now_ms();

	for (unsigned int id = 0; id < NODES_MAX; id++) {
		struct nnm_peer_state *p = &nnm->peers[id];

		if (!p->used)
			continue;
		if (p->challenge_due || (!nnm->sessions.peers[id].up &&
					 ms - p->challenged_ms >= CHALLENGE_EVERY_MS))
			challenge(nnm, (uint8_t)id, ms);
	}
	nnm_flush(nnm);
}

/* ---- receiving -------------------------------------------------------- */

/* One line per peer and LOG_GAP_MS, whatever arrives: the counters have it
 * all. Strangers are one peer. */
static void complain(struct nnm *nnm, unsigned int id, enum nnm_counter why, uint64_t ms)
{
	uint64_t *logged = id < NODES_MAX ? &nnm->peers[id].logged_ms : &nnm->stranger_logged_ms;

	/* What happens to honest peers when one of them restarts. */
	if (why == NNM_drop_no_session || why == NNM_drop_session || why == NNM_drop_challenge)
		return;
	if (*logged != 0 && ms - *logged < LOG_GAP_MS)
		return;
	*logged = ms;
	if (id < NODES_MAX)
		log_warn("cluster: datagram of node %u: %s", id, nnm_counter_help(why));
	else
		log_warn("cluster: datagram of a stranger: %s", nnm_counter_help(why));
}

static int begin_epoch(struct nnm *nnm, uint64_t floor)
{
	struct nnm_epoch epoch;
	int ret = nnm_epoch_begin(nnm->epoch_file, floor, &epoch);

	if (ret < 0)
		return ret;
	nnm_session_set_epoch(&nnm->sessions, &epoch);
	for (unsigned int id = 0; id < NODES_MAX; id++)
		if (nnm->peers[id].used)
			nnm_queue_clear(&nnm->peers[id].queue);
	return 0;
}

int nnm_begin_life(struct nnm *nnm)
{
	assert(nnm);
	return begin_epoch(nnm, nnm->sessions.epoch.counter);
}

/* Peers know a later life than this one. */
static void overtake(struct nnm *nnm, uint64_t floor)
{
	int ret;

	/* A disk that does not take it will not take it a moment later: the
	 * peers go on refusing this node, and say so. */
	if (nnm->epoch_failed)
		return;
	ret = begin_epoch(nnm, floor);
	if (ret < 0) {
		log_err("cluster: %s: %s", nnm->epoch_file, strerror(-ret));
		nnm->epoch_failed = true;
		return;
	}
	log_notice("cluster: peers remember life %llu of this node, goes on as life %llu",
		   (unsigned long long)floor,
		   (unsigned long long)nnm->sessions.epoch.counter);
	nnm->ops->reborn(nnm->ctx, nnm_incarnation(nnm));
}

static void on_text(struct nnm *nnm, uint8_t id, const struct nnm_input *in)
{
	struct nnm_peer_state *p = &nnm->peers[id];
	uint64_t *counters = nnm->sessions.counters.v[id];
	uint64_t us = now_us();
	struct wire_reader r;
	struct nnm_ack ack;
	struct message m;
	uint8_t flags;

	wire_reader_init(&r, in->text, in->len);
	flags = wire_get_u8(&r);
	ack.top = wire_get_u64(&r);
	ack.bitmap = wire_get_u64(&r);
	ack.delay_us = wire_get_u32(&r);
	if (r.failed || nnm_link_acked(&p->link, &ack, us) < 0) {
		counters[NNM_drop_malformed]++;
		complain(nnm, id, NNM_drop_malformed, now_ms());
		return;
	}
	counters[NNM_tx_acked] = p->link.acked;
	counters[NNM_tx_lost] = p->link.lost;
	if (wire_left(&r) == 0)
		counters[NNM_rx_acks_only]++;
	while (wire_left(&r) > 0) {
		switch (nnm_codec_get(&r, &m)) {
		case NNM_CODEC_OK:
			m.source = id;
			m.incarnation = (uint32_t)nnm->sessions.peers[id].epoch.counter;
			counters[NNM_rx_messages]++;
			nnm->ops->message(nnm->ctx, &m);
			break;
		case NNM_CODEC_UNKNOWN:
			counters[NNM_rx_unknown]++;
			break;
		case NNM_CODEC_BAD:
			counters[NNM_drop_malformed]++;
			complain(nnm, id, NNM_drop_malformed, now_ms());
			break;
		}
	}
	if (nnm_link_received(&p->link, in->seq, flags & FLAG_MESSAGES, us) &&
	    nnm->sessions.peers[id].up)
		send_datagram(nnm, id, true, now_us());
}

static void on_datagram(struct nnm *nnm, struct nnm_datagram *d)
{
	/* The claimed sender saves a search; it must match its address. */
	unsigned int id = d->len > 5 ? d->data[5] : NNM_STRANGER;
	uint64_t ms = now_ms();
	struct nnm_input in;

	if (id >= NODES_MAX || !nnm->peers[id].used ||
	    !nnm_socket_same(&nnm->peers[id].addr, &d->from))
		id = NNM_STRANGER;
	nnm_session_input(&nnm->sessions, id, d->data, d->len, ms, &in);
	if (in.result == NNM_INPUT_DROPPED)
		complain(nnm, id, in.why, ms);
	if (id == NNM_STRANGER)
		return;
	if (in.epoch_floor != 0) {
		overtake(nnm, in.epoch_floor);
		return;
	}
	if (in.answer_len > 0)
		put_on_wire(nnm, (uint8_t)id, in.answer, in.answer_len);
	if (in.result == NNM_INPUT_SESSION) {
		log_info("cluster: session with node %u, life %llu", id,
			 (unsigned long long)nnm->sessions.peers[id].epoch.counter);
		nnm_link_restart(&nnm->peers[id].link, now_us());
		nnm_queue_clear(&nnm->peers[id].queue);
	}
	if (in.challenge)
		challenge(nnm, (uint8_t)id, ms);
	if (in.result == NNM_INPUT_TEXT)
		on_text(nnm, (uint8_t)id, &in);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct nnm *nnm = poll->data;
	int n = NNM_BATCH;

	/* An error here is a pending error of the socket, which receiving
	 * takes off it. */
	for (int turn = 0; turn < BATCHES_PER_TURN && n == NNM_BATCH; turn++) {
		n = nnm_socket_receive(nnm->fd, nnm->batch);
		for (int i = 0; i < n; i++)
			on_datagram(nnm, &nnm->batch[i]);
	}
	nnm->ops->idle(nnm->ctx);
}

/* ---- life ------------------------------------------------------------- */

uint32_t nnm_incarnation(const struct nnm *nnm)
{
	assert(nnm->sessions.epoch.counter > 0);
	return (uint32_t)nnm->sessions.epoch.counter;
}

int nnm_set_peers(struct nnm *nnm, const struct nnm_peer *peers, size_t n)
{
	const struct nnm_peer *want[NODES_MAX] = { NULL };
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		assert(peers[i].id < NODES_MAX && peers[i].id != nnm->sessions.self);
		want[peers[i].id] = &peers[i];
	}
	for (unsigned int id = 0; id < NODES_MAX; id++) {
		struct nnm_peer_state *p = &nnm->peers[id];

		if (p->used && !want[id]) {
			nnm_session_set_peer(&nnm->sessions, (uint8_t)id, false);
			nnm_queue_deinit(&p->queue);
			p->used = false;
		} else if (!p->used && want[id]) {
			if (nnm_queue_init(&p->queue) < 0) {
				ret = -ENOMEM;
				continue;
			}
			nnm_link_init(&p->link, now_us());
			nnm_session_set_peer(&nnm->sessions, (uint8_t)id, true);
			p->used = true;
			p->challenge_due = true;
		}
		if (p->used)
			nnm_socket_address(&want[id]->addr, want[id]->port, &p->addr);
	}
	return ret;
}

int nnm_set_keys(struct nnm *nnm, const char *path)
{
	struct nnm_keys_error error;
	struct nnm_keys keys;
	int ret = nnm_keys_load(path, &keys, &error);

	if (ret < 0) {
		log_err("cluster: %s", error.text);
		return ret;
	}
	nnm_session_set_keys(&nnm->sessions, &keys);
	nnm_keys_clear(&keys);
	return 0;
}

static int open_socket(struct nnm *nnm, const struct nnm_options *options)
{
	char text[ADDR_TEXT_LEN];
	int ret;

	nnm->fd = nnm_socket_open(&options->addr, options->port);
	if (nnm->fd < 0) {
		log_err("cluster: %s: %s",
			addr_text_format_port(&options->addr, options->port, text),
			strerror(-nnm->fd));
		return nnm->fd;
	}
	ret = uv_poll_init(nnm->loop, &nnm->poll, nnm->fd);
	if (ret < 0) {
		close(nnm->fd);
		return ret;
	}
	nnm->poll.data = nnm;
	return 0;
}

int nnm_new(uv_loop_t *loop, const struct nnm_options *options,
	    const struct nnm_ops *ops, void *ctx, struct nnm **ret)
{
	struct nnm *nnm;
	struct nnm_keys_error error;
	struct nnm_epoch epoch;
	struct nnm_keys keys;
	int err;

	assert(options->self < NODES_MAX);
	err = nnm_crypto_init();
	if (err < 0)
		return err;
	err = nnm_keys_load(options->key_file, &keys, &error);
	if (err < 0) {
		log_err("cluster: %s", error.text);
		return err;
	}
	nnm = calloc(1, sizeof(*nnm));
	if (!nnm) {
		err = -ENOMEM;
		goto clear_keys;
	}
	nnm->loop = loop;
	nnm->ops = ops;
	nnm->ctx = ctx;
	nnm->epoch_file = strdup(options->epoch_file);
	err = nnm->epoch_file ? nnm_epoch_begin(options->epoch_file, 0, &epoch) : -ENOMEM;
	if (err < 0) {
		log_err("cluster: %s: %s", options->epoch_file, strerror(-err));
		goto free_nnm;
	}
	nnm_session_init(&nnm->sessions, options->self, &epoch, &keys);
	err = open_socket(nnm, options);
	if (err < 0)
		goto clear_session;
	/* Cannot fail: the handle is new and its descriptor open. */
	uv_poll_start(&nnm->poll, UV_READABLE, on_readable);
	nnm_keys_clear(&keys);
	*ret = nnm;
	return 0;

clear_session:
	nnm_session_deinit(&nnm->sessions);
free_nnm:
	free(nnm->epoch_file);
	free(nnm);
clear_keys:
	nnm_keys_clear(&keys);
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct nnm *nnm = handle->data;

	close(nnm->fd);
	for (unsigned int id = 0; id < NODES_MAX; id++)
		if (nnm->peers[id].used)
			nnm_queue_deinit(&nnm->peers[id].queue);
	nnm_session_deinit(&nnm->sessions);
	free(nnm->epoch_file);
	free(nnm);
}

void nnm_free(struct nnm *nnm)
{
	if (!nnm)
		return;
	nnm_flush(nnm);
	uv_poll_stop(&nnm->poll);
	uv_close((uv_handle_t *)&nnm->poll, on_closed);
}

/* ---- looking in ------------------------------------------------------- */

int nnm_peer_stats(const struct nnm *nnm, uint8_t peer, struct nnm_peer_stats *ret)
{
	const struct nnm_peer_state *p = &nnm->peers[peer];

	if (peer >= NODES_MAX || !p->used)
		return -ENOENT;
	ret->session = nnm->sessions.peers[peer].up;
	ret->srtt_us = p->link.srtt_us;
	ret->rtt_min_us = p->link.rtt_min_us;
	ret->loss_ppm = p->link.loss_ppm;
	ret->rate = p->link.rate;
	ret->queued_bytes = (uint32_t)nnm_queue_bytes(&p->queue);
	return 0;
}

const struct nnm_counters *nnm_counters(const struct nnm *nnm)
{
	return &nnm->sessions.counters;
}

uint32_t nnm_overflows(const struct nnm *nnm)
{
	return nnm_socket_overflows(nnm->fd);
}

unsigned int nnm_key_ids(const struct nnm *nnm, uint8_t *ret, unsigned int max)
{
	const struct nnm_keys *keys = &nnm->sessions.keys;
	unsigned int n = 0;

	if (n < max)
		ret[n++] = keys->keys[keys->use].id;
	for (unsigned int i = 0; i < keys->n && n < max; i++)
		if (i != keys->use)
			ret[n++] = keys->keys[i].id;
	return n;
}
