// SPDX-License-Identifier: GPL-2.0-only
/*
 * The durable part of the cluster's state (see cluster_store.h).
 *
 *	"SLUICEV1" | view | promised (64) | accepted (64) | value | admin (8)
 *	| BLAKE2b-256 of all before
 *
 * with views of fixed size, all 32 entries.
 */
#include "cluster/cluster_store.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include "util/durable.h"
#include "util/wire.h"

#define MAGIC "SLUICEV1"
#define VIEW_BYTES (8 + 4 + 4 + NODES_MAX * (4 + 8))
#define HASH_BYTES 32
#define FILE_BYTES (8 + 2 * VIEW_BYTES + 8 + 8 + 1 + HASH_BYTES)

static void put_view(struct wire_writer *w, const struct view *v)
{
	wire_put_u64(w, v->number);
	wire_put_u32(w, v->configured);
	wire_put_u32(w, v->members);
	for (unsigned int i = 0; i < NODES_MAX; i++) {
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
		v->incarnation[i] = wire_get_u32(r);
		v->config[i] = wire_get_u64(r);
	}
}

static void hash(const uint8_t *data, uint8_t ret[HASH_BYTES])
{
	int err = crypto_generichash(ret, HASH_BYTES, data, FILE_BYTES - HASH_BYTES, NULL, 0);

	assert(err == 0);
}

int cluster_store_save(const char *path, const struct node_durable *durable)
{
	uint8_t data[FILE_BYTES];
	struct wire_writer w;

	assert(path && durable);
	wire_writer_init(&w, data, FILE_BYTES - HASH_BYTES);
	wire_put_bytes(&w, MAGIC, 8);
	put_view(&w, &durable->view);
	wire_put_u64(&w, durable->promised);
	wire_put_u64(&w, durable->accepted);
	put_view(&w, &durable->value);
	wire_put_u8(&w, durable->admin);
	assert(!w.failed && wire_room(&w) == 0);
	hash(data, data + FILE_BYTES - HASH_BYTES);
	return durable_write(path, 0600, data, sizeof(data));
}

int cluster_store_load(const char *path, struct node_durable *ret)
{
	uint8_t data[FILE_BYTES + 1], want[HASH_BYTES];
	struct node_durable d;
	struct wire_reader r;
	size_t len;
	int err;

	assert(path && ret);
	err = durable_read(path, data, sizeof(data), &len);
	if (err == -EFBIG)
		return -EBADMSG;
	if (err < 0)
		return err;
	if (len != FILE_BYTES || memcmp(data, MAGIC, 8) != 0)
		return -EBADMSG;
	hash(data, want);
	if (memcmp(want, data + FILE_BYTES - HASH_BYTES, HASH_BYTES) != 0)
		return -EBADMSG;
	memset(&d, 0, sizeof(d));
	wire_reader_init(&r, data + 8, FILE_BYTES - HASH_BYTES - 8);
	get_view(&r, &d.view);
	d.promised = wire_get_u64(&r);
	d.accepted = wire_get_u64(&r);
	get_view(&r, &d.value);
	d.admin = wire_get_u8(&r);
	assert(wire_reader_done(&r));
	*ret = d;
	return 0;
}
