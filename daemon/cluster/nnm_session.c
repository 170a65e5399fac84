// SPDX-License-Identifier: GPL-2.0-only
/* Sessions with peers (see nnm_session.h; the argument that it is safe stands
 * in PROTOCOL.md). */
#include "cluster/nnm_session.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include "util/wire.h"

static const struct nnm_key *tx_key(const struct nnm_sessions *s)
{
	assert(s->keys.n > 0 && s->keys.use < s->keys.n);
	return &s->keys.keys[s->keys.use];
}

static void count(struct nnm_sessions *s, unsigned int peer, enum nnm_counter what)
{
	assert(peer <= NNM_STRANGER && what < NNM_COUNTERS_N);
	s->counters.v[peer][what]++;
}

/* All keys of one peer, for the epochs as they are. */
static void derive(struct nnm_sessions *s, uint8_t id)
{
	struct nnm_peer_session *p = &s->peers[id];

	assert(id != s->self && id < NODES_MAX);
	nnm_crypto_derive(tx_key(s), NNM_PURPOSE_HANDSHAKE, s->self, id, NULL, NULL,
			  p->hs_tx_key);
	nnm_crypto_derive(tx_key(s), NNM_PURPOSE_DATA, s->self, id, &s->epoch, &p->epoch,
			  p->tx_key);
	for (unsigned int i = 0; i < s->keys.n; i++) {
		nnm_crypto_derive(&s->keys.keys[i], NNM_PURPOSE_HANDSHAKE, id, s->self,
				  NULL, NULL, p->hs_rx_keys[i]);
		nnm_crypto_derive(&s->keys.keys[i], NNM_PURPOSE_DATA, id, s->self,
				  &p->epoch, &s->epoch, p->rx_keys[i]);
	}
}

void nnm_session_init(struct nnm_sessions *s, uint8_t self,
		      const struct nnm_epoch *epoch, const struct nnm_keys *keys)
{
	assert(self < NODES_MAX && epoch->counter > 0);
	memset(s, 0, sizeof(*s));
	s->self = self;
	s->epoch = *epoch;
	s->keys = *keys;
}

void nnm_session_deinit(struct nnm_sessions *s)
{
	assert(s);
	sodium_memzero(s, sizeof(*s));
}

void nnm_session_set_peer(struct nnm_sessions *s, uint8_t peer, bool configured)
{
	struct nnm_peer_session *p = &s->peers[peer];

	assert(peer < NODES_MAX && peer != s->self);
	if (p->configured == configured)
		return;
	/* What is known of its epoch stays, as do sequence number and window:
	 * removed and added again it continues the same session. */
	p->configured = configured;
	if (configured)
		derive(s, peer);
}

void nnm_session_set_keys(struct nnm_sessions *s, const struct nnm_keys *keys)
{
	assert(keys->n > 0 && keys->n <= NNM_KEYS_MAX);
	nnm_keys_clear(&s->keys);
	s->keys = *keys;
	for (unsigned int id = 0; id < NODES_MAX; id++)
		if (s->peers[id].configured)
			derive(s, (uint8_t)id);
}

void nnm_session_set_epoch(struct nnm_sessions *s, const struct nnm_epoch *epoch)
{
	assert(epoch->counter > s->epoch.counter);
	s->epoch = *epoch;
	for (unsigned int id = 0; id < NODES_MAX; id++) {
		struct nnm_peer_session *p = &s->peers[id];

		/* The peer's epoch stays known: an older one stays refused. */
		p->up = false;
		p->challenge_open = false;
		nnm_replay_init(&p->window);
		if (p->configured)
			derive(s, (uint8_t)id);
	}
}

/* ---- handshakes ------------------------------------------------------- */

struct handshake {
	struct nnm_epoch sender, receiver;
	uint8_t challenge[16];
};

static size_t make_handshake(struct nnm_sessions *s, enum nnm_type type, uint8_t peer,
			     const struct handshake *h, uint8_t *to)
{
	const struct nnm_header header = {
		.type = type,
		.key_id = tx_key(s)->id,
		.sender = s->self,
		.receiver = peer,
	};
	uint8_t *text = to + NNM_PREFIX_BYTES + NNM_XNONCE_BYTES;
	struct wire_writer w;

	nnm_header_write(&header, to);
	wire_writer_init(&w, text, NNM_HANDSHAKE_TEXT);
	nnm_epoch_put(&w, &h->sender);
	nnm_epoch_put(&w, &h->receiver);
	wire_put_bytes(&w, h->challenge, sizeof(h->challenge));
	assert(!w.failed && wire_room(&w) == 0);
	nnm_crypto_xseal(s->peers[peer].hs_tx_key, to + NNM_PREFIX_BYTES, to, NNM_PREFIX_BYTES,
			 text, NNM_HANDSHAKE_TEXT);
	return NNM_HANDSHAKE_BYTES;
}

size_t nnm_session_challenge(struct nnm_sessions *s, uint8_t peer,
			     uint64_t now_ms, uint8_t to[NNM_HANDSHAKE_BYTES])
{
	struct nnm_peer_session *p = &s->peers[peer];
	struct handshake h = { .sender = s->epoch, .receiver = p->epoch };

	assert(peer < NODES_MAX && p->configured);
	if (p->challenge_ever_sent && now_ms - p->challenge_sent_ms < NNM_CHALLENGE_GAP_MS)
		return 0;
	/* The same bytes are repeated, so that an answer slower than the gap
	 * still counts; not for ever, so that an answer held back does not. */
	if (!p->challenge_open || now_ms - p->challenge_made_ms >= NNM_CHALLENGE_MS) {
		randombytes_buf(p->challenge, sizeof(p->challenge));
		p->challenge_made_ms = now_ms;
		p->challenge_open = true;
	}
	p->challenge_sent_ms = now_ms;
	p->challenge_ever_sent = true;
	memcpy(h.challenge, p->challenge, sizeof(h.challenge));
	count(s, peer, NNM_handshake_sent);
	return make_handshake(s, NNM_TYPE_CHALLENGE, peer, &h, to);
}

static void drop(struct nnm_sessions *s, unsigned int peer, enum nnm_counter why,
		 struct nnm_input *ret)
{
	ret->result = NNM_INPUT_DROPPED;
	ret->why = why;
	count(s, peer, why);
}

static void on_challenge(struct nnm_sessions *s, uint8_t peer, const struct handshake *in,
			 uint64_t now_ms, struct nnm_input *ret)
{
	struct nnm_peer_session *p = &s->peers[peer];
	struct handshake out = { .sender = s->epoch, .receiver = in->sender };

	/* Somebody of the cluster knows a later life of ours than this one:
	 * our counter was lost. It would refuse us for ever. */
	if (in->receiver.counter >= s->epoch.counter &&
	    !nnm_epoch_equal(&in->receiver, &s->epoch)) {
		ret->epoch_floor = in->receiver.counter;
		ret->result = NNM_INPUT_QUIET;
		return;
	}
	if (now_ms - p->answers_from_ms >= NNM_ANSWER_SPAN_MS) {
		p->answers_from_ms = now_ms;
		p->answers = 0;
	}
	if (p->answers >= NNM_ANSWERS_MAX) {
		drop(s, peer, NNM_drop_handshake_rate, ret);
		return;
	}
	p->answers++;
	memcpy(out.challenge, in->challenge, sizeof(out.challenge));
	ret->answer_len = make_handshake(s, NNM_TYPE_ANSWER, peer, &out, ret->answer);
	ret->challenge = !p->up || !nnm_epoch_equal(&in->sender, &p->epoch);
	ret->result = NNM_INPUT_QUIET;
	count(s, peer, NNM_handshake_answered);
}

static void on_answer(struct nnm_sessions *s, uint8_t peer, const struct handshake *in,
		      uint64_t now_ms, struct nnm_input *ret)
{
	struct nnm_peer_session *p = &s->peers[peer];

	if (!p->challenge_open || now_ms - p->challenge_made_ms >= NNM_CHALLENGE_MS ||
	    sodium_memcmp(in->challenge, p->challenge, sizeof(p->challenge)) != 0 ||
	    !nnm_epoch_equal(&in->receiver, &s->epoch)) {
		drop(s, peer, NNM_drop_challenge, ret);
		return;
	}
	p->challenge_open = false;
	if (p->up && nnm_epoch_equal(&in->sender, &p->epoch)) {
		ret->result = NNM_INPUT_QUIET;
		return;
	}
	/* Epoch 0 is nobody's; the same epoch again is agreed anew only after
	 * our own epoch changed. */
	if (in->sender.counter == 0 || in->sender.counter < p->epoch.counter ||
	    (in->sender.counter == p->epoch.counter &&
	     !nnm_epoch_equal(&in->sender, &p->epoch))) {
		drop(s, peer, NNM_drop_old_epoch, ret);
		/* It learns from the challenge what we know. */
		ret->challenge = true;
		return;
	}
	p->epoch = in->sender;
	p->up = true;
	nnm_replay_init(&p->window);
	derive(s, peer);
	ret->result = NNM_INPUT_SESSION;
	count(s, peer, NNM_sessions);
}

static void input_handshake(struct nnm_sessions *s, const struct nnm_header *header,
			    unsigned int key, uint8_t *data, uint64_t now_ms,
			    struct nnm_input *ret)
{
	uint8_t peer = header->sender;
	uint8_t *text = data + NNM_PREFIX_BYTES + NNM_XNONCE_BYTES;
	struct handshake in;
	struct wire_reader r;

	if (nnm_crypto_xopen(s->peers[peer].hs_rx_keys[key], data + NNM_PREFIX_BYTES, data,
			     NNM_PREFIX_BYTES, text, NNM_HANDSHAKE_TEXT) < 0) {
		drop(s, peer, NNM_drop_forged, ret);
		return;
	}
	wire_reader_init(&r, text, NNM_HANDSHAKE_TEXT);
	nnm_epoch_get(&r, &in.sender);
	nnm_epoch_get(&r, &in.receiver);
	wire_get_bytes(&r, in.challenge, sizeof(in.challenge));
	assert(wire_reader_done(&r));
	if (header->type == NNM_TYPE_CHALLENGE)
		on_challenge(s, peer, &in, now_ms, ret);
	else
		on_answer(s, peer, &in, now_ms, ret);
}

/* ---- data ------------------------------------------------------------- */

static void input_data(struct nnm_sessions *s, const struct nnm_header *header,
		       unsigned int key, uint8_t *data, size_t len, struct nnm_input *ret)
{
	uint8_t peer = header->sender;
	struct nnm_peer_session *p = &s->peers[peer];
	size_t text_len = len - NNM_HEADER_BYTES - NNM_TAG_BYTES;

	if (!p->up) {
		drop(s, peer, NNM_drop_no_session, ret);
		ret->challenge = true;
		return;
	}
	/* The tags are hints for a good reason to give; the keys decide. */
	if (header->sender_tag != nnm_epoch_tag(&p->epoch) ||
	    header->receiver_tag != nnm_epoch_tag(&s->epoch)) {
		drop(s, peer, NNM_drop_session, ret);
		ret->challenge = true;
		return;
	}
	if (!nnm_replay_fresh(&p->window, header->seq)) {
		drop(s, peer, NNM_drop_replay, ret);
		return;
	}
	if (nnm_crypto_open(p->rx_keys[key], header->seq, data, NNM_HEADER_BYTES,
			    data + NNM_HEADER_BYTES, text_len) < 0) {
		drop(s, peer, NNM_drop_forged, ret);
		return;
	}
	nnm_replay_mark(&p->window, header->seq);
	ret->result = NNM_INPUT_TEXT;
	ret->text = data + NNM_HEADER_BYTES;
	ret->len = text_len;
	ret->seq = header->seq;
}

void nnm_session_input(struct nnm_sessions *s, unsigned int from,
		       uint8_t *data, size_t len, uint64_t now_ms,
		       struct nnm_input *ret)
{
	struct nnm_header header;
	enum nnm_counter why;
	int key;

	assert(from <= NNM_STRANGER && from != s->self);
	memset(ret, 0, sizeof(*ret));
	count(s, from, NNM_rx_datagrams);
	s->counters.v[from][NNM_rx_bytes] += len;
	if (nnm_header_read(data, len, &header, &why) < 0) {
		drop(s, from, why, ret);
	} else if (header.receiver != s->self) {
		drop(s, from, NNM_drop_receiver, ret);
	} else if (header.sender == s->self || !s->peers[header.sender].configured) {
		drop(s, from, NNM_drop_sender, ret);
	} else if (from != header.sender) {
		drop(s, from, NNM_drop_address, ret);
	} else if ((key = nnm_keys_find(&s->keys, header.key_id)) < 0) {
		drop(s, from, NNM_drop_key, ret);
	} else if (header.type == NNM_TYPE_DATA) {
		input_data(s, &header, (unsigned int)key, data, len, ret);
	} else {
		input_handshake(s, &header, (unsigned int)key, data, now_ms, ret);
	}
}

size_t nnm_session_seal(struct nnm_sessions *s, uint8_t peer, uint8_t *datagram,
			size_t len, uint64_t *ret_seq)
{
	struct nnm_peer_session *p = &s->peers[peer];
	const struct nnm_header header = {
		.type = NNM_TYPE_DATA,
		.key_id = tx_key(s)->id,
		.sender = s->self,
		.receiver = peer,
		.sender_tag = nnm_epoch_tag(&s->epoch),
		.receiver_tag = nnm_epoch_tag(&p->epoch),
		.seq = p->tx_seq + 1,
	};

	assert(p->configured && p->up && len <= NNM_TEXT_MAX);
	/* 2^64 datagrams do not happen; a nonce must not come twice even so. */
	assert(header.seq < UINT64_MAX);
	p->tx_seq = header.seq;
	nnm_header_write(&header, datagram);
	nnm_crypto_seal(p->tx_key, header.seq, datagram, NNM_HEADER_BYTES,
			datagram + NNM_HEADER_BYTES, len);
	*ret_seq = header.seq;
	return NNM_HEADER_BYTES + len + NNM_TAG_BYTES;
}
