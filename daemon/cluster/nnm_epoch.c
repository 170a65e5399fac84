// SPDX-License-Identifier: GPL-2.0-only
/* Boot epochs (see nnm_epoch.h). */
#include "cluster/nnm_epoch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/durable.h"
#include "util/log.h"
#include "util/wire.h"

/* One line: "epoch N". A file that says something else is not trusted to be
 * nothing: it may have been a larger number. */
static int read_counter(const char *path, uint64_t *ret)
{
	char text[64];
	char *end;
	size_t len;
	int err = durable_read(path, text, sizeof(text) - 1, &len);

	if (err == -ENOENT) {
		*ret = 0;
		return 0;
	}
	if (err < 0)
		return err;
	text[len] = 0;
	if (strncmp(text, "epoch ", 6) != 0 || text[6] < '0' || text[6] > '9')
		return -EBADMSG;
	errno = 0;
	*ret = strtoull(text + 6, &end, 10);
	if (errno != 0 || *end != '\n' || end + 1 != text + len)
		return -EBADMSG;
	return 0;
}

int nnm_epoch_begin(const char *path, uint64_t floor, struct nnm_epoch *ret)
{
	uint64_t counter;
	char text[64];
	int err;

	assert(path && ret);
	err = read_counter(path, &counter);
	if (err == -EBADMSG) {
		/* Peers tell us what they know and we go above it. */
		log_warn("%s: damaged, counting boots from the start", path);
		counter = 0;
	} else if (err < 0) {
		return err;
	}
	if (floor > counter)
		counter = floor;
	/* Only reached if somebody wrote it there. */
	if (counter >= UINT64_MAX - 1)
		return -EOVERFLOW;
	counter++;
	snprintf(text, sizeof(text), "epoch %" PRIu64 "\n", counter);
	err = durable_write(path, 0600, text, strlen(text));
	if (err < 0)
		return err;
	ret->counter = counter;
	randombytes_buf(&ret->random, sizeof(ret->random));
	assert(ret->counter > floor);
	return 0;
}

bool nnm_epoch_equal(const struct nnm_epoch *a, const struct nnm_epoch *b)
{
	assert(a && b);
	return a->counter == b->counter && a->random == b->random;
}

uint32_t nnm_epoch_tag(const struct nnm_epoch *epoch)
{
	assert(epoch);
	return (uint32_t)(epoch->random >> 32) ^ (uint32_t)epoch->counter;
}

void nnm_epoch_put(struct wire_writer *w, const struct nnm_epoch *epoch)
{
	assert(w && epoch);
	wire_put_u64(w, epoch->counter);
	wire_put_u64(w, epoch->random);
}

void nnm_epoch_get(struct wire_reader *r, struct nnm_epoch *ret)
{
	assert(r && ret);
	ret->counter = wire_get_u64(r);
	ret->random = wire_get_u64(r);
}
