// SPDX-License-Identifier: GPL-2.0-only
/* Key files, boot epochs and the file of what the cluster promised. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "cluster/cluster_store.h"
#include "cluster/cluster_writer.h"
#include "cluster/nnm_crypto.h"
#include "cluster/nnm_epoch.h"
#include "cluster/nnm_keys.h"
#include "util/durable.h"
#include "util/log.h"

#define HEX1 "1111111111111111111111111111111111111111111111111111111111111111"
#define HEX2 "22222222222222222222222222222222222222222222222222222222222222aF"

static char dir[64];

static const char *path(const char *name)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return text;
}

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/test_keys.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return nnm_crypto_init();
}

static int teardown(void **state)
{
	unlink(path("file"));
	return rmdir(dir);
}

static void test_good_files(void **state)
{
	struct nnm_keys_error e;
	struct nnm_keys keys;
	static const char one[] = "# comment\n\n  key 7 " HEX1 "  \r\n";
	static const char two[] = "key 1 " HEX1 "\nuse 2\nkey 2 " HEX2;

	assert_int_equal(nnm_keys_parse(one, strlen(one), &keys, &e), 0);
	assert_int_equal(keys.n, 1);
	assert_int_equal(keys.keys[0].id, 7);
	assert_int_equal(keys.keys[0].secret[31], 0x11);
	assert_int_equal(nnm_keys_parse(two, strlen(two), &keys, &e), 0);
	assert_int_equal(keys.n, 2);
	assert_int_equal(keys.keys[keys.use].id, 2);
	assert_int_equal(keys.keys[keys.use].secret[31], 0xaf);
	assert_int_equal(nnm_keys_find(&keys, 1), 0);
	assert_int_equal(nnm_keys_find(&keys, 3), -ENOENT);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "no key in it" },
		{ "# nothing\n", "no key in it" },
		{ "key 0 " HEX1, "line 1: expected: key ID HEX, with ID 1 to 255" },
		{ "key 256 " HEX1, "line 1: expected: key ID HEX, with ID 1 to 255" },
		{ "key x " HEX1, "line 1: expected: key ID HEX, with ID 1 to 255" },
		{ "key 1 1234", "line 1: key 1: expected 64 hexadecimal digits" },
		{ "key 1 " HEX1 "1", "line 1: key 1: expected 64 hexadecimal digits" },
		{ "key 1 g" HEX1, "line 1: key 1: expected 64 hexadecimal digits" },
		{ "\nkey 1 0000000000000000000000000000000000000000000000000000000000000000",
		  "line 2: key 1 is all zeros" },
		{ "key 1 " HEX1 "\nkey 1 " HEX2, "line 2: key 1 is there twice" },
		{ "key 1 " HEX1 "\nkey 2 " HEX2, "several keys and no \"use ID\" line" },
		{ "key 1 " HEX1 "\nuse 2", "\"use 2\": no such key" },
		{ "key 1 " HEX1 "\nuse 1\nuse 1", "line 3: a second \"use\"" },
		{ "key 1 " HEX1 "\nuse 1x", "line 2: expected: use ID" },
		{ "kex 1 " HEX1, "line 1: expected \"key ID HEX\" or \"use ID\"" },
		{ "key 1 " HEX1 "\nkey 2 " HEX1 "\nkey 3 " HEX1 "\nkey 4 " HEX1 "\nkey 5 " HEX1,
		  "line 5: more than 4 keys: remove those no longer used" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nnm_keys_error e = { "" };
		struct nnm_keys keys = { .n = 99 };

		assert_int_equal(nnm_keys_parse(rows[i].text, strlen(rows[i].text), &keys, &e),
				 -EINVAL);
		assert_string_equal(e.text, rows[i].error);
		assert_int_equal(keys.n, 99);
	}
}

static void write_file(const char *text, mode_t mode)
{
	FILE *f;

	unlink(path("file"));
	f = fopen(path("file"), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path("file"), mode), 0);
}

static void test_file_must_be_private(void **state)
{
	static const mode_t open_modes[] = { 0640, 0604, 0660, 0610, 0601, 0620 };
	struct nnm_keys_error e;
	struct nnm_keys keys;

	write_file("key 1 " HEX1 "\n", 0600);
	assert_int_equal(nnm_keys_load(path("file"), &keys, &e), 0);
	write_file("key 1 " HEX1 "\n", 0400);
	assert_int_equal(nnm_keys_load(path("file"), &keys, &e), 0);
	for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		chmod(path("file"), open_modes[i]);
		assert_int_equal(nnm_keys_load(path("file"), &keys, &e), -EPERM);
		assert_non_null(strstr(e.text, "chmod 600"));
	}
	if (geteuid() == 0) {
		write_file("key 1 " HEX1 "\n", 0600);
		assert_int_equal(chown(path("file"), 12345, 0), 0);
		assert_int_equal(nnm_keys_load(path("file"), &keys, &e), -EPERM);
		assert_non_null(strstr(e.text, "user 12345"));
	}
	assert_int_equal(nnm_keys_load(path("none"), &keys, &e), -ENOENT);
	assert_int_equal(nnm_keys_load(dir, &keys, &e), -EINVAL);
	/* What is wrong is said, what the key is is not. */
	write_file("key 1 " HEX1 "1\n", 0600);
	assert_int_equal(nnm_keys_load(path("file"), &keys, &e), -EINVAL);
	assert_null(strstr(e.text, "1111"));
}

static void test_epochs_only_grow(void **state)
{
	struct nnm_epoch a, b;

	assert_int_equal(nnm_epoch_begin(path("file"), 0, &a), 0);
	assert_true(a.counter == 1);
	assert_int_equal(nnm_epoch_begin(path("file"), 0, &b), 0);
	assert_true(b.counter == 2 && b.random != a.random);
	assert_int_equal(nnm_epoch_begin(path("file"), 40, &b), 0);
	assert_true(b.counter == 41);
	assert_int_equal(nnm_epoch_begin(path("file"), 7, &b), 0);
	assert_true(b.counter == 42);
	assert_int_equal(nnm_epoch_begin("/nonexistent/epoch", 0, &b), -ENOENT);
	assert_true(b.counter == 42);
	write_file("epoch 18446744073709551614\n", 0600);
	assert_int_equal(nnm_epoch_begin(path("file"), 0, &b), -EOVERFLOW);
}

static void test_damaged_epoch_files_start_over(void **state)
{
	static const char *const texts[] = {
		"", "epoch", "epoch \n", "epoch 5", "epoch 5\nx", "epoch -5\n", "epoch x\n",
		"epoch 99999999999999999999999\n", "junk junk junk junk junk junk junk",
	};
	struct nnm_epoch e;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(texts[i], 0600);
		assert_int_equal(nnm_epoch_begin(path("file"), 0, &e), 0);
		assert_true(e.counter == 1);
	}
}

static struct node_durable sample(void)
{
	struct node_durable d;

	memset(&d, 0, sizeof(d));
	d.view.number = 17;
	d.view.configured = 7;
	d.view.members = 3;
	for (int i = 0; i < NODES_MAX; i++) {
		d.view.incarnation[i] = 100 + (uint32_t)i;
		d.view.config[i] = 0x123456789abcdef0 + (uint64_t)i;
	}
	d.promised = 99;
	d.accepted = 66;
	d.value = d.view;
	d.value.number = 18;
	d.admin = 2;
	return d;
}

static void test_promises_are_kept(void **state)
{
	struct node_durable d = sample(), back;
	struct cluster_store store;

	assert_int_equal(cluster_store_open(path("file"), &store, &back), 0);
	assert_true(store.generation == 0);
	for (uint64_t i = 1; i <= 5; i++) {
		d.promised = i;
		assert_int_equal(cluster_store_save(&store, &d), 0);
		cluster_store_close(&store);
		assert_int_equal(cluster_store_open(path("file"), &store, &back), 0);
		assert_true(store.generation == i);
		assert_memory_equal(&d, &back, sizeof(d));
	}
	cluster_store_close(&store);
}

static void put_file(const uint8_t *data, size_t len)
{
	FILE *f = fopen(path("file"), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static int open_and_close(struct node_durable *ret)
{
	struct cluster_store store;
	int err = cluster_store_open(path("file"), &store, ret);

	if (err == 0)
		cluster_store_close(&store);
	return err;
}

/* Any single bit is healed by the copy; both slots wrong is an error. */
static void test_flipped_bits_in_promises(void **state)
{
	struct node_durable d = sample(), back;
	struct cluster_store store;
	uint8_t data[8192];
	size_t len;

	assert_int_equal(cluster_store_open(path("file"), &store, &back), 0);
	assert_int_equal(cluster_store_save(&store, &d), 0);
	d.promised++;
	assert_int_equal(cluster_store_save(&store, &d), 0);
	cluster_store_close(&store);
	assert_int_equal(durable_read(path("file"), data, sizeof(data), &len), 0);
	assert_int_equal(len, sizeof(data));
	for (size_t bit = 0; bit < len * 8; bit += 11) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		put_file(data, len);
		assert_int_equal(open_and_close(&back), 0);
		assert_memory_equal(&d, &back, sizeof(d));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	data[100] ^= 1;
	data[4196] ^= 4;
	put_file(data, len);
	assert_int_equal(open_and_close(&back), -EBADMSG);
	data[100] ^= 1;
	data[4196] ^= 4;
	for (size_t cut = 0; cut < len; cut += 411) {
		put_file(data, cut);
		assert_int_equal(open_and_close(&back), -EBADMSG);
	}
}

/* Cut at any byte, a write leaves the promise before it or the new one. */
static void test_torn_writes(void **state)
{
	struct node_durable before = sample(), after = sample(), back;
	struct cluster_store store;
	uint8_t old[8192], next[8192], torn[8192];
	size_t len;

	after.promised = before.promised + 1;
	assert_int_equal(cluster_store_open(path("file"), &store, &back), 0);
	assert_int_equal(cluster_store_save(&store, &before), 0);
	assert_int_equal(durable_read(path("file"), old, sizeof(old), &len), 0);
	assert_int_equal(cluster_store_save(&store, &after), 0);
	cluster_store_close(&store);
	assert_int_equal(durable_read(path("file"), next, sizeof(next), &len), 0);
	/* Generation 3 went to the odd slot. */
	for (size_t cut = 0; cut <= 4096; cut += 16) {
		memcpy(torn, old, sizeof(torn));
		memcpy(torn + 4096, next + 4096, cut);
		put_file(torn, sizeof(torn));
		assert_int_equal(open_and_close(&back), 0);
		assert_true(memcmp(&back, &before, sizeof(back)) == 0 ||
			    memcmp(&back, &after, sizeof(back)) == 0);
	}
	assert_memory_equal(&back, &after, sizeof(back));
}

static unsigned int waited;

static void on_waiting(void *ctx)
{
	waited++;
}

static void test_writer_thread(void **state)
{
	struct node_durable d = sample(), back;
	struct cluster_writer *writer;
	struct cluster_store store;

	assert_int_equal(cluster_store_open(path("file"), &store, &back), 0);
	assert_int_equal(cluster_writer_new(&store, &writer), 0);
	for (unsigned int i = 0; i < 20; i++) {
		d.promised = i;
		assert_int_equal(cluster_writer_save(writer, &d, 60000, on_waiting, NULL), 0);
	}
	assert_int_equal(waited, 0);
	cluster_writer_free(writer);
	assert_int_equal(open_and_close(&back), 0);
	assert_memory_equal(&d, &back, sizeof(d));
}

static void test_writer_says_what_failed(void **state)
{
	struct node_durable d = sample();
	struct cluster_store store = { .fd = open("/dev/full", O_WRONLY) };
	struct cluster_writer *writer;

	assert_true(store.fd >= 0);
	assert_int_equal(cluster_writer_new(&store, &writer), 0);
	assert_int_equal(cluster_writer_save(writer, &d, 1000, on_waiting, NULL), -ENOSPC);
	assert_int_equal(cluster_writer_save(writer, &d, 1000, on_waiting, NULL), -ENOSPC);
	cluster_writer_free(writer);
}

static void test_write_that_fails_keeps_the_old(void **state)
{
	uint8_t data[16];
	size_t len;

	assert_int_equal(durable_write(path("file"), 0600, "old", 3), 0);
	/* Something that cannot be unlinked stands where the new one would be. */
	snprintf((char *)data, sizeof(data), "x");
	assert_int_equal(mkdir(path("file.new"), 0700), 0);
	assert_true(durable_write(path("file"), 0600, "new", 3) < 0);
	rmdir(path("file.new"));
	assert_int_equal(durable_read(path("file"), data, sizeof(data), &len), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(data, "old", 3);
	assert_int_equal(durable_read(path("file"), data, 2, &len), -EFBIG);
	assert_int_equal(durable_read(path("file"), data, 3, &len), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good_files),
		T(test_bad_files),
		T(test_file_must_be_private),
		T(test_epochs_only_grow),
		T(test_damaged_epoch_files_start_over),
		T(test_promises_are_kept),
		T(test_flipped_bits_in_promises),
		T(test_torn_writes),
		T(test_writer_thread),
		T(test_writer_says_what_failed),
		T(test_write_that_fails_keeps_the_old),
	};

	log_init("test_nnm_keys", LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
