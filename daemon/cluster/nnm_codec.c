// SPDX-License-Identifier: GPL-2.0-only
/*
 * The codec (see nnm_codec.h). Each message has a put and a get that stand
 * beside each other and read line by line the same; PROTOCOL.md draws them.
 */
#include "cluster/nnm_codec.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "map_abi.h"

typedef void put_fn(struct wire_writer *w, const struct message *m);
typedef void get_fn(struct wire_reader *r, struct message *m);

/* A count of 16 bits, FROM..MAX. */
static uint32_t get_count(struct wire_reader *r, uint32_t from, uint32_t max)
{
	uint32_t n = wire_get_u16(r);

	if (n < from || n > max) {
		wire_reader_fail(r);
		return 0;
	}
	return n;
}

static void put_count(struct wire_writer *w, uint32_t n, uint32_t from, uint32_t max)
{
	assert(n >= from && n <= max);
	wire_put_u16(w, (uint16_t)n);
}

/* A byte below LIMIT. */
static uint8_t get_below(struct wire_reader *r, unsigned int limit)
{
	uint8_t value = wire_get_u8(r);

	if (value >= limit)
		wire_reader_fail(r);
	return value;
}

static uint64_t get_nonzero_u64(struct wire_reader *r)
{
	uint64_t value = wire_get_u64(r);

	if (value == 0)
		wire_reader_fail(r);
	return value;
}

/* ---- views ------------------------------------------------------------ */

static void put_view(struct wire_writer *w, const struct view *v)
{
	wire_put_u64(w, v->number);
	wire_put_u32(w, v->configured);
	wire_put_u32(w, v->members);
	for (unsigned int i = 0; i < NODES_MAX; i++) {
		if (!(v->members >> i & 1))
			continue;
		wire_put_u32(w, v->incarnation[i]);
		wire_put_u64(w, v->config[i]);
	}
}

static void get_view(struct wire_reader *r, struct view *v)
{
	v->number = wire_get_u64(r);
	v->configured = wire_get_u32(r);
	v->members = wire_get_u32(r);
	for (unsigned int i = 0; i < NODES_MAX; i++) {
		if (!(v->members >> i & 1))
			continue;
		v->incarnation[i] = wire_get_u32(r);
		v->config[i] = wire_get_u64(r);
	}
}

static void put_prepare(struct wire_writer *w, const struct message *m)
{
	wire_put_u64(w, m->prepare.slot);
	wire_put_u64(w, m->prepare.ballot);
	wire_put_u32(w, m->prepare.configured);
}

static void get_prepare(struct wire_reader *r, struct message *m)
{
	m->prepare.slot = wire_get_u64(r);
	m->prepare.ballot = wire_get_u64(r);
	m->prepare.configured = wire_get_u32(r);
}

static void put_promise(struct wire_writer *w, const struct message *m)
{
	wire_put_u64(w, m->promise.slot);
	wire_put_u64(w, m->promise.ballot);
	wire_put_u64(w, m->promise.accepted);
	if (m->promise.accepted != 0)
		put_view(w, &m->promise.value);
}

static void get_promise(struct wire_reader *r, struct message *m)
{
	m->promise.slot = wire_get_u64(r);
	m->promise.ballot = wire_get_u64(r);
	m->promise.accepted = wire_get_u64(r);
	if (m->promise.accepted != 0)
		get_view(r, &m->promise.value);
}

static void put_accept(struct wire_writer *w, const struct message *m)
{
	wire_put_u64(w, m->accept.ballot);
	put_view(w, &m->accept.value);
}

static void get_accept(struct wire_reader *r, struct message *m)
{
	m->accept.ballot = wire_get_u64(r);
	get_view(r, &m->accept.value);
}

static void put_accepted(struct wire_writer *w, const struct message *m)
{
	wire_put_u64(w, m->accepted.slot);
	wire_put_u64(w, m->accepted.ballot);
}

static void get_accepted(struct wire_reader *r, struct message *m)
{
	m->accepted.slot = wire_get_u64(r);
	m->accepted.ballot = wire_get_u64(r);
}

static void put_reject(struct wire_writer *w, const struct message *m)
{
	wire_put_u64(w, m->reject.slot);
	wire_put_u64(w, m->reject.promised);
}

static void get_reject(struct wire_reader *r, struct message *m)
{
	m->reject.slot = wire_get_u64(r);
	m->reject.promised = wire_get_u64(r);
}

static void put_commit(struct wire_writer *w, const struct message *m)
{
	put_view(w, &m->commit.view);
}

static void get_commit(struct wire_reader *r, struct message *m)
{
	get_view(r, &m->commit.view);
}

/* ---- hello ------------------------------------------------------------ */

static void put_hello(struct wire_writer *w, const struct message *m)
{
	const struct msg_hello *h = &m->hello;

	assert(h->admin < ADMIN_COUNT);
	wire_put_u32(w, h->seq);
	wire_put_u8(w, h->admin);
	wire_put_u8(w, h->flags);
	wire_put_u16(w, 0);
	wire_put_u64(w, h->view);
	wire_put_u32(w, h->configured);
	wire_put_u32(w, h->heard);
	wire_put_u32(w, h->accused);
	wire_put_u32(w, h->synced);
	wire_put_u32(w, h->synced_lives);
	wire_put_u32(w, h->config_seq);
	wire_put_u64(w, h->config_digest);
	wire_put_u64(w, h->record_digest);
}

static void get_hello(struct wire_reader *r, struct message *m)
{
	struct msg_hello *h = &m->hello;

	h->seq = wire_get_u32(r);
	h->admin = get_below(r, ADMIN_COUNT);
	h->flags = wire_get_u8(r);
	wire_get_u16(r); /* for later: ignored */
	h->view = wire_get_u64(r);
	h->configured = wire_get_u32(r);
	h->heard = wire_get_u32(r);
	h->accused = wire_get_u32(r);
	h->synced = wire_get_u32(r);
	h->synced_lives = wire_get_u32(r);
	h->config_seq = wire_get_u32(r);
	h->config_digest = wire_get_u64(r);
	h->record_digest = wire_get_u64(r);
}

/* ---- service states --------------------------------------------------- */

static void put_service(struct wire_writer *w, const struct service_state *s)
{
	assert(s->owner < NODES_MAX && s->entity != 0);
	wire_put_u64(w, s->entity);
	wire_put_u64(w, s->view);
	wire_put_u32(w, s->tag);
	wire_put_u32(w, s->seq);
	wire_put_u8(w, s->owner);
	wire_put_u8(w, s->state);
	wire_put_u8(w, s->reason);
	wire_put_u8(w, s->flags);
	wire_put_bytes(w, s->mac, sizeof(s->mac));
	wire_put_u16(w, s->vlan);
	wire_put_u16(w, s->mss);
	wire_put_u16(w, s->rr_weight);
	wire_put_u32(w, s->ttl_s);
	wire_put_u32(w, s->response_us);
	wire_put_u32(w, s->load);
	wire_put_bytes(w, &s->addr, sizeof(s->addr));
}

static void get_service(struct wire_reader *r, struct service_state *s)
{
	s->entity = get_nonzero_u64(r);
	s->view = wire_get_u64(r);
	s->tag = wire_get_u32(r);
	s->seq = wire_get_u32(r);
	s->owner = get_below(r, NODES_MAX);
	s->state = get_below(r, SVC_DOWN_GOING_OUT + 1);
	s->reason = wire_get_u8(r);
	s->flags = wire_get_u8(r);
	wire_get_bytes(r, s->mac, sizeof(s->mac));
	s->vlan = wire_get_u16(r);
	s->mss = wire_get_u16(r);
	s->rr_weight = wire_get_u16(r);
	s->ttl_s = wire_get_u32(r);
	s->response_us = wire_get_u32(r);
	s->load = wire_get_u32(r);
	wire_get_bytes(r, &s->addr, sizeof(s->addr));
}

static void put_state(struct wire_writer *w, const struct message *m)
{
	put_count(w, m->state.n, 1, MSG_STATES_MAX);
	for (uint32_t i = 0; i < m->state.n; i++) {
		const struct msg_state_item *item = &m->state.item[i];

		wire_put_u32(w, item->handle);
		wire_put_u32(w, item->stamp);
		put_service(w, &item->state);
	}
}

static void get_state(struct wire_reader *r, struct message *m)
{
	m->state.n = get_count(r, 1, MSG_STATES_MAX);
	for (uint32_t i = 0; i < m->state.n; i++) {
		struct msg_state_item *item = &m->state.item[i];

		item->handle = wire_get_u32(r);
		item->stamp = wire_get_u32(r);
		get_service(r, &item->state);
	}
}

static void put_path(struct wire_writer *w, const struct message *m)
{
	put_count(w, m->path.n, 1, MSG_PATHS_MAX);
	for (uint32_t i = 0; i < m->path.n; i++) {
		const struct msg_path_item *item = &m->path.item[i];

		assert(item->stamp != 0 && item->entity != 0);
		wire_put_u32(w, item->handle);
		wire_put_u32(w, item->stamp);
		wire_put_u64(w, item->entity);
		wire_put_u8(w, item->known | item->asks << 1);
		wire_put_u8(w, item->reachable);
	}
}

static void get_path(struct wire_reader *r, struct message *m)
{
	m->path.n = get_count(r, 1, MSG_PATHS_MAX);
	for (uint32_t i = 0; i < m->path.n; i++) {
		struct msg_path_item *item = &m->path.item[i];

		item->handle = wire_get_u32(r);
		item->stamp = wire_get_u32(r);
		item->entity = get_nonzero_u64(r);
		item->known = get_below(r, 4);
		item->asks = item->known >> 1;
		item->known &= 1;
		item->reachable = get_below(r, 2);
		if (item->stamp == 0)
			wire_reader_fail(r);
	}
}

static void put_ack(struct wire_writer *w, const struct message *m)
{
	wire_put_u32(w, m->ack.incarnation);
	put_count(w, m->ack.n, 1, MSG_ACKS_MAX);
	for (uint32_t i = 0; i < m->ack.n; i++) {
		wire_put_u32(w, m->ack.item[i].handle);
		wire_put_u32(w, m->ack.item[i].stamp);
	}
}

static void get_ack(struct wire_reader *r, struct message *m)
{
	m->ack.incarnation = wire_get_u32(r);
	m->ack.n = get_count(r, 1, MSG_ACKS_MAX);
	for (uint32_t i = 0; i < m->ack.n; i++) {
		m->ack.item[i].handle = wire_get_u32(r);
		m->ack.item[i].stamp = wire_get_u32(r);
	}
}

/* ---- anti-entropy ----------------------------------------------------- */

static uint8_t get_group(struct wire_reader *r)
{
	uint8_t group = wire_get_u8(r);

	if (group >= DIGEST_GROUPS && group != DIGEST_ROOT)
		wire_reader_fail(r);
	return group;
}

static void put_digest_ask(struct wire_writer *w, const struct message *m)
{
	wire_put_u8(w, m->digest_ask.kind);
	wire_put_u8(w, m->digest_ask.group);
	wire_put_u64(w, m->digest_ask.mask);
}

static void get_digest_ask(struct wire_reader *r, struct message *m)
{
	m->digest_ask.kind = get_below(r, DIGEST_KINDS);
	m->digest_ask.group = get_group(r);
	m->digest_ask.mask = wire_get_u64(r);
	if (m->digest_ask.mask != 0 && m->digest_ask.group == DIGEST_ROOT)
		wire_reader_fail(r);
}

static void put_digest(struct wire_writer *w, const struct message *m)
{
	wire_put_u8(w, m->digest.kind);
	wire_put_u8(w, m->digest.group);
	wire_put_u32(w, m->digest.config_seq);
	wire_put_u64(w, m->digest.total);
	for (unsigned int i = 0; i < MSG_DIGESTS; i++)
		wire_put_u64(w, m->digest.digest[i]);
}

static void get_digest(struct wire_reader *r, struct message *m)
{
	m->digest.kind = get_below(r, DIGEST_KINDS);
	m->digest.group = get_group(r);
	m->digest.config_seq = wire_get_u32(r);
	m->digest.total = wire_get_u64(r);
	for (unsigned int i = 0; i < MSG_DIGESTS; i++)
		m->digest.digest[i] = wire_get_u64(r);
}

static void put_list(struct wire_writer *w, const struct message *m)
{
	assert(m->list.bucket < DIGEST_BUCKETS);
	wire_put_u8(w, m->list.kind);
	wire_put_u16(w, m->list.bucket);
	wire_put_u32(w, m->list.config_seq);
	wire_put_u64(w, m->list.first);
	wire_put_u64(w, m->list.last);
	put_count(w, m->list.n, 0, MSG_LIST_MAX);
	for (uint32_t i = 0; i < m->list.n; i++) {
		wire_put_u64(w, m->list.item[i].entity);
		wire_put_u64(w, m->list.item[i].view);
		wire_put_u32(w, m->list.item[i].seq);
		wire_put_u32(w, m->list.item[i].tag);
	}
}

static void get_list(struct wire_reader *r, struct message *m)
{
	m->list.kind = get_below(r, DIGEST_KINDS);
	m->list.bucket = wire_get_u16(r);
	if (m->list.bucket >= DIGEST_BUCKETS)
		wire_reader_fail(r);
	m->list.config_seq = wire_get_u32(r);
	m->list.first = wire_get_u64(r);
	m->list.last = wire_get_u64(r);
	m->list.n = get_count(r, 0, MSG_LIST_MAX);
	for (uint32_t i = 0; i < m->list.n; i++) {
		m->list.item[i].entity = wire_get_u64(r);
		m->list.item[i].view = wire_get_u64(r);
		m->list.item[i].seq = wire_get_u32(r);
		m->list.item[i].tag = wire_get_u32(r);
	}
}

static void put_pull(struct wire_writer *w, const struct message *m)
{
	put_count(w, m->pull.n, 1, MSG_PULL_MAX);
	for (uint32_t i = 0; i < m->pull.n; i++)
		wire_put_u64(w, m->pull.entity[i]);
}

static void get_pull(struct wire_reader *r, struct message *m)
{
	m->pull.n = get_count(r, 1, MSG_PULL_MAX);
	for (uint32_t i = 0; i < m->pull.n; i++)
		m->pull.entity[i] = wire_get_u64(r);
}

/* ---- all of them ------------------------------------------------------ */

static const struct {
	const char *name;
	enum message_priority priority;
} types[MSG_TYPE_COUNT] = {
#define X(id, text, prio) [MSG_##id] = { text, prio },
	MESSAGE_TYPES(X)
#undef X
};

static const struct {
	put_fn *put;
	get_fn *get;
} codecs[MSG_TYPE_COUNT] = {
	[MSG_HELLO] = { put_hello, get_hello },
	[MSG_PREPARE] = { put_prepare, get_prepare },
	[MSG_PROMISE] = { put_promise, get_promise },
	[MSG_ACCEPT] = { put_accept, get_accept },
	[MSG_ACCEPTED] = { put_accepted, get_accepted },
	[MSG_REJECT] = { put_reject, get_reject },
	[MSG_COMMIT] = { put_commit, get_commit },
	[MSG_STATE] = { put_state, get_state },
	[MSG_PATH] = { put_path, get_path },
	[MSG_ACK] = { put_ack, get_ack },
	[MSG_DIGEST_ASK] = { put_digest_ask, get_digest_ask },
	[MSG_DIGEST] = { put_digest, get_digest },
	[MSG_LIST] = { put_list, get_list },
	[MSG_PULL] = { put_pull, get_pull },
};

int nnm_codec_put(struct wire_writer *w, const struct message *message)
{
	size_t start = wire_written(w), body;

	assert(message->type < MSG_TYPE_COUNT && codecs[message->type].put);
	wire_put_u8(w, message->type);
	wire_put_u8(w, 0);
	wire_put_u16(w, 0);
	codecs[message->type].put(w, message);
	if (w->failed)
		return -ENOSPC;
	body = wire_written(w) - start - NNM_FRAME_BYTES;
	assert(body <= NNM_BODY_MAX);
	wire_patch_u16(w, start + 2, (uint16_t)body);
	return 0;
}

enum nnm_codec_result nnm_codec_get(struct wire_reader *r, struct message *ret)
{
	uint8_t type = wire_get_u8(r);
	const uint8_t *body;
	struct wire_reader inner;
	size_t len;

	wire_get_u8(r); /* for later: ignored */
	len = wire_get_u16(r);
	body = wire_get_view(r, len);
	if (!body || len > NNM_BODY_MAX) {
		wire_reader_fail(r);
		return NNM_CODEC_BAD;
	}
	if (type >= MSG_TYPE_COUNT)
		return NNM_CODEC_UNKNOWN;
	assert(codecs[type].get);
	memset(ret, 0, sizeof(*ret));
	ret->type = type;
	wire_reader_init(&inner, body, len);
	codecs[type].get(&inner, ret);
	if (!wire_reader_done(&inner)) {
		wire_reader_fail(r);
		return NNM_CODEC_BAD;
	}
	return NNM_CODEC_OK;
}

size_t nnm_codec_size(const struct message *message)
{
	uint8_t buf[NNM_FRAME_BYTES + NNM_BODY_MAX];
	struct wire_writer w;
	int ret;

	wire_writer_init(&w, buf, sizeof(buf));
	ret = nnm_codec_put(&w, message);
	assert(ret == 0);
	return wire_written(&w);
}

const char *nnm_codec_type_name(unsigned int type)
{
	return type < MSG_TYPE_COUNT ? types[type].name : "unknown";
}

enum message_priority nnm_codec_priority(unsigned int type)
{
	assert(type < MSG_TYPE_COUNT);
	return types[type].priority;
}
