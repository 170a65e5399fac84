// SPDX-License-Identifier: GPL-2.0-only
/*
 * The durable part of the cluster's state (see cluster_store.h). A slot:
 *
 *	"SLUICEV1" | generation (64) | view | promised (64) | accepted (64)
 *	| value | admin (8) | BLAKE2b-256 of all before
 *
 * with views of fixed size, all 32 entries.
 */
#include "cluster/cluster_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>
#include "util/durable.h"
#include "util/wire.h"

#define MAGIC "SLUICEV1"
#define VIEW_BYTES (8 + 4 + 4 + NODES_MAX * (4 + 8))
#define HASH_BYTES 32
#define SLOT_BYTES (8 + 8 + 2 * VIEW_BYTES + 8 + 8 + 1 + HASH_BYTES)
#define SLOT_SIZE 4096

_Static_assert(SLOT_BYTES <= SLOT_SIZE, "a slot is one block");

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

static void hash(const uint8_t *slot, uint8_t ret[HASH_BYTES])
{
	int err = crypto_generichash(ret, HASH_BYTES, slot, SLOT_BYTES - HASH_BYTES, NULL, 0);

	assert(err == 0);
}

static void encode(const struct node_durable *d, uint64_t generation, uint8_t slot[SLOT_SIZE])
{
	struct wire_writer w;

	memset(slot, 0, SLOT_SIZE);
	wire_writer_init(&w, slot, SLOT_BYTES - HASH_BYTES);
	wire_put_bytes(&w, MAGIC, 8);
	wire_put_u64(&w, generation);
	put_view(&w, &d->view);
	wire_put_u64(&w, d->promised);
	wire_put_u64(&w, d->accepted);
	put_view(&w, &d->value);
	wire_put_u8(&w, d->admin);
	assert(!w.failed && wire_room(&w) == 0);
	hash(slot, slot + SLOT_BYTES - HASH_BYTES);
}

/* The slot's generation, 0 if it does not check. */
static uint64_t decode(const uint8_t slot[SLOT_SIZE], struct node_durable *ret)
{
	uint8_t want[HASH_BYTES];
	struct wire_reader r;
	uint64_t generation;

	hash(slot, want);
	if (memcmp(slot, MAGIC, 8) != 0 ||
	    memcmp(want, slot + SLOT_BYTES - HASH_BYTES, HASH_BYTES) != 0)
		return 0;
	memset(ret, 0, sizeof(*ret));
	wire_reader_init(&r, slot + 8, SLOT_BYTES - HASH_BYTES - 8);
	generation = wire_get_u64(&r);
	get_view(&r, &ret->view);
	ret->promised = wire_get_u64(&r);
	ret->accepted = wire_get_u64(&r);
	get_view(&r, &ret->value);
	ret->admin = wire_get_u8(&r);
	assert(wire_reader_done(&r));
	return generation;
}

/* A new file: nothing promised yet, both slots in their place on disk. */
static int make(const char *path)
{
	static const struct node_durable nothing;
	uint8_t slots[2 * SLOT_SIZE];

	encode(&nothing, 1, slots);
	encode(&nothing, 1, slots + SLOT_SIZE);
	return durable_write(path, 0600, slots, sizeof(slots));
}

int cluster_store_open(const char *path, struct cluster_store *ret,
		       struct node_durable *ret_durable)
{
	uint8_t slots[2 * SLOT_SIZE];
	struct node_durable d[2];
	uint64_t generations[2];
	unsigned int newest;
	size_t len;
	int err, fd;

	assert(path && ret && ret_durable);
	err = durable_read(path, slots, sizeof(slots), &len);
	if (err == -ENOENT) {
		err = make(path);
		if (err == 0)
			err = durable_read(path, slots, sizeof(slots), &len);
	}
	if (err == -EFBIG || (err == 0 && len != sizeof(slots)))
		return -EBADMSG;
	if (err < 0)
		return err;
	generations[0] = decode(slots, &d[0]);
	generations[1] = decode(slots + SLOT_SIZE, &d[1]);
	newest = generations[1] > generations[0];
	if (generations[newest] == 0)
		return -EBADMSG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret->fd = fd;
	/* Generation 1 is the empty file's. */
	ret->generation = generations[newest] - 1;
	if (ret->generation != 0)
		*ret_durable = d[newest];
	return 0;
}

void cluster_store_close(struct cluster_store *store)
{
	assert(store);
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}

static int write_slot(int fd, unsigned int slot, const uint8_t data[SLOT_SIZE])
{
	ssize_t n;

	do {
		n = pwrite(fd, data, SLOT_SIZE, (off_t)slot * SLOT_SIZE);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == SLOT_SIZE ? 0 : -EIO;
}

int cluster_store_save(struct cluster_store *store, const struct node_durable *durable)
{
	uint64_t generation = store->generation + 2;
	uint8_t data[SLOT_SIZE];
	int ret;

	assert(store->fd >= 0);
	encode(durable, generation, data);
	ret = write_slot(store->fd, generation & 1, data);
	if (ret == 0 && fdatasync(store->fd) < 0)
		ret = -errno;
	/* The slot may be torn now; the other one holds the last generation,
	 * and is the one that stays until a save succeeds. */
	if (ret < 0)
		return ret;
	store->generation++;
	/* A copy against flipped bits: no hurry, and no harm if it fails. */
	write_slot(store->fd, !(generation & 1), data);
	return 0;
}
