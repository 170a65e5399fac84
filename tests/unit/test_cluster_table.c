/* SPDX-License-Identifier: GPL-2.0-only */
/* The records table against an array that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cluster/table.h"

#define CONFIGURED 60
#define CACHED 20
#define UNIVERSE 150

enum where { NOWHERE, IN_CACHE, IN_CONFIGURATION };

struct model {
	enum where where[UNIVERSE + 1];
	uint32_t order[UNIVERSE + 1]; /* when it was cached */
	uint32_t configured, cached, clock;
};

static struct node *node;
static struct model model;
static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static int set_up(void **state)
{
	node = calloc(1, sizeof(*node));
	node->o.services_max = CONFIGURED;
	node->o.cache_max = CACHED;
	memset(&model, 0, sizeof(model));
	seed = 7;
	if (table_init(node))
		return -1;
	node->path_seen =
		calloc((size_t)node->slots * NODES_MAX, sizeof(uint32_t));
	return 0;
}

static int tear_down(void **state)
{
	free(node->path_seen);
	table_deinit(node);
	free(node);
	return 0;
}

static void do_cache(uint64_t e)
{
	uint32_t i, oldest = 0;

	if (model.where[e] != NOWHERE)
		return;
	assert_non_null(table_cache(node, e));
	if (model.cached == CACHED) {
		for (i = 1; i <= UNIVERSE; i++)
			if (model.where[i] == IN_CACHE &&
			    (!oldest || model.order[i] < model.order[oldest]))
				oldest = i;
		model.where[oldest] = NOWHERE;
		model.cached--;
	}
	model.where[e] = IN_CACHE;
	model.order[e] = ++model.clock;
	model.cached++;
}

static void do_configure(uint64_t e)
{
	struct record *rec = table_find(node, e);
	int full = model.configured == CONFIGURED ? -28 : 0;

	if (model.where[e] == IN_CONFIGURATION)
		return;
	if (rec)
		assert_int_equal(table_adopt(node, rec), full);
	else
		assert_int_equal(table_add(node, e, &rec), full);
	if (full)
		return;
	model.cached -= model.where[e] == IN_CACHE;
	model.configured++;
	model.where[e] = IN_CONFIGURATION;
	rec->s.view = below(3);
	rec->s.seq = below(5) + 1;
	table_digest_toggle(node, rec);
}

static void do_remove(uint64_t e)
{
	struct record *rec = table_find(node, e);

	if (model.where[e] == NOWHERE)
		return;
	table_digest_toggle(node, rec);
	table_remove(node, rec);
	if (model.where[e] == IN_CACHE)
		model.cached--;
	else
		model.configured--;
	model.where[e] = NOWHERE;
}

static void check_digests(void)
{
	uint64_t total[2] = {node->total[0], node->total[1]};
	uint64_t digests[MSG_DIGESTS], sum = 0;
	uint32_t e, i;

	table_digests(node, DIGEST_CONFIG, DIGEST_ROOT, digests);
	for (i = 0; i < MSG_DIGESTS; i++)
		sum ^= digests[i];
	assert_true(sum == total[DIGEST_CONFIG]);
	/* All out: nothing is left. All in again: as before. */
	for (i = 0; i < 2; i++)
		for (e = 1; e <= UNIVERSE; e++) {
			if (model.where[e] == IN_CONFIGURATION)
				table_digest_toggle(node, table_find(node, e));
			if (!i && e == UNIVERSE)
				assert_true(!node->total[0] && !node->total[1]);
		}
	assert_true(node->total[0] == total[0] && node->total[1] == total[1]);
}

static void check_chains(void)
{
	uint32_t b, slot, n = 0;

	for (b = 0; b < DIGEST_BUCKETS; b++) {
		uint64_t last = 0;

		for (slot = node->bucket[b]; slot != NIL;
		     slot = node->records[slot].chain) {
			const struct record *rec = &node->records[slot];

			assert_true(rec->s.entity > last);
			assert_int_equal(table_bucket(rec->s.entity), b);
			last = rec->s.entity;
			n++;
		}
	}
	assert_int_equal(n, model.configured + model.cached);
}

static void test_agrees_with_a_simple_model(void **state)
{
	uint32_t i, e;

	for (i = 0; i < 20000; i++) {
		e = 1 + below(UNIVERSE);
		switch (below(3)) {
		case 0:
			do_cache(e);
			break;
		case 1:
			do_configure(e);
			break;
		default:
			do_remove(e);
		}
		assert_int_equal(node->configured, model.configured);
		assert_int_equal(node->cached, model.cached);
		if (i % 50)
			continue;
		for (e = 1; e <= UNIVERSE; e++) {
			const struct record *rec = table_find(node, e);

			assert_int_equal(!!rec, model.where[e] != NOWHERE);
			if (rec)
				assert_int_equal(!!(rec->flags &
						    RECORD_CONFIGURED),
						 model.where[e] ==
							 IN_CONFIGURATION);
		}
		check_chains();
		check_digests();
	}
}

static void test_digest_covers_what_counts(void **state)
{
	struct record *rec;
	uint64_t config, records;

	assert_int_equal(table_add(node, 9, &rec), 0);
	table_digest_toggle(node, rec);
	config = node->total[DIGEST_CONFIG];
	assert_true(config && !node->total[DIGEST_RECORDS]);
	table_digest_toggle(node, rec);
	rec->s.view = 1;
	rec->s.seq = 1;
	table_digest_toggle(node, rec);
	records = node->total[DIGEST_RECORDS];
	assert_true(records && node->total[DIGEST_CONFIG] == config);
	table_digest_toggle(node, rec);
	rec->s.seq = 2;
	table_digest_toggle(node, rec);
	assert_true(node->total[DIGEST_RECORDS] != records);
	table_digest_toggle(node, rec);
	rec->key = 10;
	table_digest_toggle(node, rec);
	assert_true(node->total[DIGEST_CONFIG] != config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_agrees_with_a_simple_model,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_digest_covers_what_counts,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
