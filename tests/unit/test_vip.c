// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of addresses (vip.h) against a list, through random additions,
 * changes and removals; overflow into second buckets included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "vip.h"

#define KEYS 40000

static struct vip_bucket vips[VIP_BUCKETS];

static struct {
	union ip_addr addr;
	uint16_t port;
	uint8_t proto, kind;
	uint32_t index;
} model[KEYS];

static void make_key(unsigned int i)
{
	memset(&model[i], 0, sizeof(model[i]));
	if (i & 1)
		ip_addr_set_v4(&model[i].addr, be32(0x0a000000u + i / 8));
	else
		model[i].addr.d[1] = i / 8 * 0x10000000001ull;
	if (i & 2)
		return; /* the address alone */
	model[i].port = be16(i % 977);
	model[i].proto = i & 4 ? 6 : 17;
}

static bool same_key(unsigned int a, unsigned int b)
{
	return ip_addr_equal(&model[a].addr, &model[b].addr) &&
	       model[a].port == model[b].port &&
	       model[a].proto == model[b].proto;
}

static void check(unsigned int i)
{
	uint32_t index = 0;

	assert_int_equal(vip_find(vips, &model[i].addr, model[i].port,
				  model[i].proto, &index), model[i].kind);
	if (model[i].kind)
		assert_int_equal(index, model[i].index);
}

static void test_against_list(void **state)
{
	unsigned int overflowed = 0, refused = 0;

	srand(7);
	for (unsigned int i = 0; i < KEYS; i++)
		make_key(i);
	for (unsigned int n = 0; n < 400000; n++) {
		unsigned int i = (unsigned int)rand() % KEYS;
		uint32_t index = (uint32_t)rand();
		uint8_t kind = (uint8_t)(1 + rand() % 4);

		/* Neighbours may be the same key: only one of them plays. */
		if ((i >= 2 && same_key(i, i - 2)) ||
		    (i >= 4 && same_key(i, i - 4)) ||
		    (i >= 6 && same_key(i, i - 6)))
			continue;
		if (rand() % 3) {
			int err = vip_put(vips, &model[i].addr, model[i].port,
					  model[i].proto, kind, index);

			/* Three times what there may be in use: some find
			 * both their buckets full, and are not there then. */
			if (err) {
				assert_int_equal(err, -ENOSPC);
				assert_int_equal(model[i].kind, 0);
				refused++;
			} else {
				model[i].kind = kind;
				model[i].index = index;
			}
		} else {
			assert_int_equal(vip_remove(vips, &model[i].addr,
						    model[i].port,
						    model[i].proto),
					 model[i].kind ? 0 : -ENOENT);
			model[i].kind = 0;
		}
		check(i);
		if (n % 50000 == 0)
			for (unsigned int k = 0; k < KEYS; k++)
				if (model[k].kind)
					check(k);
	}
	for (unsigned int i = 0; i < VIP_BUCKETS; i++)
		overflowed += vips[i].slot[0].pad != 0;
	assert_in_range(refused, 0, 2000);
	assert_true(overflowed > 10); /* or the test did not test that */
	for (unsigned int i = 0; i < KEYS; i++)
		if (model[i].kind)
			assert_int_equal(vip_remove(vips, &model[i].addr,
						    model[i].port,
						    model[i].proto), 0);
	for (unsigned int i = 0; i < VIP_BUCKETS; i++) {
		assert_int_equal(vips[i].slot[0].pad, 0);
		for (int w = 0; w < VIP_WAYS; w++)
			assert_int_equal(vips[i].slot[w].kind, 0);
	}
}

/* All vservers there may be, each with its address, fit. */
static void test_capacity(void **state)
{
	memset(vips, 0, sizeof(vips));
	for (unsigned int i = 0; i < VSERVERS_MAX; i++) {
		union ip_addr a;

		ip_addr_set_v4(&a, be32(0xc0000200u + i));
		assert_int_equal(vip_put(vips, &a, be16(80), 6, VIP_VSERVER, i),
				 0);
		assert_int_equal(vip_put(vips, &a, 0, 0, VIP_ADDR, 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_capacity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
