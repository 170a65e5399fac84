// SPDX-License-Identifier: GPL-2.0-only
/* Recounting of connections (daemon/control/engine_recount.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "control/engine_recount.h"
#include "flowtab.h"

#define SETS 16u

static struct flow_set *sets;
static struct svc_load *load;

static int setup(void **state)
{
	sets = aligned_alloc(64, sizeof(*sets) * SETS);
	load = calloc(SERVICES_MAX, sizeof(*load));
	assert_true(sets && load);
	memset(sets, 0, sizeof(*sets) * SETS);
	return 0;
}

static int teardown(void **state)
{
	free(sets);
	free(load);
	return 0;
}

static void put(uint32_t at, enum flow_kind kind, enum flow_tcp tcp,
		uint32_t service)
{
	struct flow *f = &sets[at / FLOW_WAYS].way[at % FLOW_WAYS];

	f->key.kind = (uint8_t)kind;
	f->activity = FLOW_ACTIVITY(1, tcp, 0);
	f->service = service;
	f->word = FLOW_WORD(FLOW_LIVE, 1, 1);
}

static void test_only_open_client_flows_count(void **state)
{
	put(0, FLOW_FORWARD, FLOW_TCP_ESTABLISHED, 7);
	put(9, FLOW_FORWARD, FLOW_TCP_SYN, 7);
	put(20, FLOW_FORWARD, FLOW_TCP_NONE, 7);
	put(21, FLOW_FORWARD, FLOW_TCP_FIN, 7);
	put(22, FLOW_REVERSE, FLOW_TCP_ESTABLISHED, 7);
	put(23, FLOW_PERSIST, FLOW_TCP_NONE, 7);
	put(24, FLOW_FORWARD, FLOW_TCP_ESTABLISHED, 8);
	sets[3].way[0].word = FLOW_WORD(FLOW_DEAD, 1, 1); /* 24 */
	put(30, FLOW_FORWARD, FLOW_TCP_ESTABLISHED, SERVICES_MAX + 5);
	load[7].conns = 5;	       /* too many */
	load[8].conns = (uint64_t)-1; /* too few */
	load[9].conns = 2;	       /* none at all */
	assert_int_equal(engine_recount(sets, SETS, load), 3);
	assert_int_equal(load[7].conns, 3);
	assert_int_equal(load[8].conns, 0);
	assert_int_equal(load[9].conns, 0);
	assert_int_equal(engine_recount(sets, SETS, load), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_only_open_client_flows_count, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
