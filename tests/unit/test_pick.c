// SPDX-License-Identifier: GPL-2.0-only
/* Load-balancing methods over tables in plain memory (daemon/engine/pick.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "engine/pick.h"
#include "lb.h"

#define LB_LEN 1009u
#define MEMBERS 1024u
#define VS 1u
#define BACKUP 2u

struct fixture {
	struct vserver *vservers;
	struct service *services;
	struct svc_load *load;
	struct member *members;
	struct pick_slot *lb;
	struct pick *pick;
};

/* N members of weight 1, services 1..N, all UP; the table holds them in turn. */
static void fill(struct fixture *f, uint32_t vserver, uint32_t first,
		 uint32_t n, enum lb_method method)
{
	struct vserver *vs = &f->vservers[vserver];
	uint32_t off = (vserver - 1) * 512, lb_off = (vserver - 1) * LB_LEN;

	vs->flags = VS_ENABLED;
	vs->method = (uint8_t)method;
	vs->members = SPAN(off, n);
	vs->lb = SPAN(lb_off, LB_LEN);
	for (uint32_t i = 0; i < n; i++) {
		f->members[off + i] = (struct member){ .service = first + i,
						       .weight = 1 };
		f->services[first + i] = (struct service){
			.state = SVC_UP, .weight_scale = 256
		};
	}
	for (uint32_t i = 0; i < LB_LEN; i++)
		f->lb[lb_off + i].service = first + i % n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pick_tables t;

	f->vservers = calloc(VSERVERS_MAX, sizeof(*f->vservers));
	f->services = calloc(SERVICES_MAX, sizeof(*f->services));
	f->load = calloc(SERVICES_MAX, sizeof(*f->load));
	f->members = calloc(MEMBERS, sizeof(*f->members));
	f->lb = calloc(2 * LB_LEN, sizeof(*f->lb));
	t = (struct pick_tables){ .vservers = f->vservers,
				  .services = f->services,
				  .svc_load = f->load,
				  .members = f->members,
				  .lb_table = f->lb,
				  .members_len = MEMBERS,
				  .lb_len = 2 * LB_LEN };
	assert_int_equal(pick_new(&t, 0, &f->pick), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pick_free(f->pick);
	free(f->vservers);
	free(f->services);
	free(f->load);
	free(f->members);
	free(f->lb);
	free(f);
	return 0;
}

static uint32_t pick(struct fixture *f, uint32_t hash)
{
	union ip_addr source;
	uint32_t by = 0;

	ip_addr_set_v4(&source, htonl(0x0a000000 + (hash & 0xff)));
	return pick_service(f->pick, VS, hash, &source, &by);
}

/* How often each of services 1..N is chosen in COUNT picks. */
static void shares(struct fixture *f, uint32_t count, uint32_t *share,
		   uint32_t n)
{
	memset(share, 0, sizeof(*share) * (n + 1));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = pick(f, i * 2654435761u);

		assert_in_range(id, 1, n);
		share[id]++;
	}
}

static void test_round_robin_takes_turns(void **state)
{
	struct fixture *f = *state;

	fill(f, VS, 1, 3, LB_ROUND_ROBIN);
	for (uint32_t i = 0; i < 9; i++)
		assert_int_equal(pick(f, 0), 1 + i % 3);
	f->services[2].state = SVC_DOWN;
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(pick(f, 0), i % 2 ? 3 : 1);
}

static void test_weighted_round_robin_is_exact_and_smooth(void **state)
{
	struct fixture *f = *state;
	uint32_t share[4], run = 0, last = 0, longest = 0;

	fill(f, VS, 1, 3, LB_WEIGHTED_ROUND_ROBIN);
	f->members[1].weight = 2;
	f->members[2].weight = 4;
	shares(f, 700, share, 3);
	assert_int_equal(share[1], 100);
	assert_int_equal(share[2], 200);
	assert_int_equal(share[3], 400);
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t id = pick(f, 0);

		run = id == last ? run + 1 : 1;
		last = id;
		longest = run > longest ? run : longest;
	}
	assert_in_range(longest, 1, 2);
}

static void test_slow_start_scales_the_weight(void **state)
{
	struct fixture *f = *state;
	uint32_t share[3];

	fill(f, VS, 1, 2, LB_WEIGHTED_ROUND_ROBIN);
	f->services[2].weight_scale = 64; /* a quarter */
	shares(f, 1000, share, 2);
	assert_int_equal(share[2], 200);
}

static void test_least_connections_by_weight(void **state)
{
	struct fixture *f = *state;

	fill(f, VS, 1, 3, LB_LEAST_CONNECTIONS);
	f->members[2].weight = 3;
	for (uint32_t i = 0; i < 500; i++)
		f->load[pick(f, i)].conns++;
	assert_in_range(f->load[1].conns, 95, 105);
	assert_in_range(f->load[2].conns, 95, 105);
	assert_in_range(f->load[3].conns, 295, 305);
	/* A count that wrapped below zero is none. */
	f->load[1].conns = (uint64_t)-5;
	assert_int_equal(pick(f, 1), 1);
}

static void test_least_response_and_load(void **state)
{
	struct fixture *f = *state;

	fill(f, VS, 1, 3, LB_LEAST_RESPONSE);
	f->services[1].response_us = 900;
	f->services[2].response_us = 300;
	f->services[3].response_us = 901;
	assert_int_equal(pick(f, 7), 2);
	f->load[2].conns = 5; /* six times 300 is more than 900 */
	assert_int_equal(pick(f, 7), 1);
	f->vservers[VS].method = LB_LEAST_LOAD;
	f->services[1].load = 70;
	f->services[2].load = 80;
	f->services[3].load = 10;
	assert_int_equal(pick(f, 7), 3);
	/* Above its threshold: last, however little that is. */
	f->services[3].load |= SVC_LOAD_OVER;
	assert_int_equal(pick(f, 7), 1);
	f->services[1].load |= SVC_LOAD_OVER;
	f->services[2].load |= SVC_LOAD_OVER;
	assert_int_equal(pick(f, 7), 3);
}

static void test_source_hash_ignores_ports(void **state)
{
	struct fixture *f = *state;
	union ip_addr source;
	uint32_t by, first;

	fill(f, VS, 1, 5, LB_SOURCE_HASH);
	ip_addr_set_v4(&source, htonl(0x0a010203));
	first = pick_service(f->pick, VS, 1, &source, &by);
	for (uint32_t hash = 0; hash < 100; hash++)
		assert_int_equal(pick_service(f->pick, VS, hash * 7919, &source,
					      &by), first);
}

static void test_maglev_is_the_table(void **state)
{
	struct fixture *f = *state;

	fill(f, VS, 1, 5, LB_MAGLEV);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t hash = i * 2654435761u;

		assert_int_equal(pick(f, hash),
				 f->lb[lb_slot(hash, LB_LEN)].service);
		assert_int_equal(pick_stateless(f->pick, &f->vservers[VS],
						hash), pick(f, hash));
	}
}

static void test_every_method_avoids_what_takes_none(void **state)
{
	struct fixture *f = *state;

	for (int method = LB_MAGLEV; method <= LB_LEAST_LOAD; method++) {
		fill(f, VS, 1, 6, (enum lb_method)method);
		f->services[1].state = SVC_DOWN;
		f->services[2].state = SVC_GOING_OUT;
		f->services[3].state = SVC_OUT_OF_SERVICE;
		f->services[4].conns_max = 10;
		f->load[4].conns = 10;
		f->services[5].state = SVC_UNKNOWN;
		for (uint32_t i = 0; i < 200; i++)
			assert_int_equal(pick(f, i * 2654435761u), 6);
	}
	f->load[4].conns = 0;
}

static void test_many_members(void **state)
{
	struct fixture *f = *state;
	uint32_t share[501];

	for (int method = LB_MAGLEV; method <= LB_LEAST_LOAD; method++) {
		fill(f, VS, 1, 500, (enum lb_method)method);
		if (method == LB_SOURCE_HASH)
			continue;
		shares(f, 10000, share, 500);
		for (uint32_t i = 1; i <= 500; i++)
			assert_in_range(share[i], 1, 80);
	}
}

static void test_backup_and_minimum(void **state)
{
	struct fixture *f = *state;
	union ip_addr source = { 0 };
	uint32_t by = 0;

	fill(f, VS, 1, 2, LB_MAGLEV);
	fill(f, BACKUP, 11, 1, LB_ROUND_ROBIN);
	f->vservers[VS].backup = BACKUP;
	f->services[1].state = f->services[2].state = SVC_DOWN;
	assert_int_equal(pick_service(f->pick, VS, 5, &source, &by), 11);
	assert_int_equal(by, BACKUP);
	/* The daemon empties the table below members_min. */
	f->services[1].state = SVC_UP;
	f->vservers[VS].lb = SPAN(0, 0);
	assert_int_equal(pick_service(f->pick, VS, 5, &source, &by), 11);
	f->services[11].state = SVC_DOWN;
	assert_int_equal(pick_service(f->pick, VS, 5, &source, &by), 0);
	/* A ring of backups ends. */
	f->vservers[BACKUP].backup = VS;
	assert_int_equal(pick_service(f->pick, VS, 5, &source, &by), 0);
}

static void test_spans_out_of_bounds_lead_nowhere(void **state)
{
	struct fixture *f = *state;

	fill(f, VS, 1, 2, LB_ROUND_ROBIN);
	f->vservers[VS].members = SPAN(MEMBERS - 1, 2);
	assert_int_equal(pick(f, 1), 0);
	f->vservers[VS].members = SPAN(0xffffffff, 0xffffffff);
	f->vservers[VS].lb = SPAN(2 * LB_LEN, 1);
	assert_int_equal(pick(f, 1), 0);
	fill(f, VS, 1, 2, LB_MAGLEV);
	for (uint32_t i = 0; i < LB_LEN; i++)
		f->lb[i].service = SERVICES_MAX + i;
	f->vservers[VS].members = SPAN(0, 0);
	assert_int_equal(pick(f, 1), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_robin_takes_turns),
		T(test_weighted_round_robin_is_exact_and_smooth),
		T(test_slow_start_scales_the_weight),
		T(test_least_connections_by_weight),
		T(test_least_response_and_load),
		T(test_source_hash_ignores_ports),
		T(test_maglev_is_the_table),
		T(test_every_method_avoids_what_takes_none),
		T(test_many_members),
		T(test_backup_and_minimum),
		T(test_spans_out_of_bounds_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
