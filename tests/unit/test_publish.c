/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Publishing into memory that stands for the pinned maps: what a packet would
 * read after each step, and that a restarted daemon finds everything again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/fakemaps.h"
#include "bpf/flow_scan.h"
#include "bpf/maglev.h"
#include "bpf/publish.h"
#include "bpf/spans.h"
#include "hash.h"
#include "vip.h"

#define HEAD "{ \"interfaces\": [ { \"name\": \"eth0\" } ], "

static const char two[] =
	HEAD
	"\"services\": ["
	" { \"name\": \"w1\", \"address\": \"10.0.1.11\", \"port\": 80 },"
	" { \"name\": \"w2\", \"address\": \"10.0.1.12\", \"port\": 80 } ],"
	"\"vservers\": [ { \"name\": \"web\", \"address\": \"192.0.2.10\","
	" \"port\": 80, \"protocol\": \"tcp\", \"mode\": \"nat\","
	" \"services\": [ { \"service\": \"w1\" }, { \"service\": \"w2\" } ] } ] }";

static const char one[] =
	HEAD
	"\"services\": ["
	" { \"name\": \"w1\", \"address\": \"10.0.1.11\", \"port\": 80 } ],"
	"\"vservers\": [ { \"name\": \"web\", \"address\": \"192.0.2.10\","
	" \"port\": 80, \"protocol\": \"tcp\", \"mode\": \"nat\","
	" \"services\": [ { \"service\": \"w1\" } ] } ] }";

static const char moved[] =
	HEAD
	"\"services\": ["
	" { \"name\": \"w1\", \"address\": \"10.0.1.99\", \"port\": 80 } ],"
	"\"vservers\": [ { \"name\": \"web\", \"address\": \"192.0.2.10\","
	" \"port\": 80, \"protocol\": \"tcp\", \"mode\": \"nat\","
	" \"services\": [ { \"service\": \"w1\" } ] } ] }";

static const char nothing[] = HEAD "\"services\": [] }";

struct world {
	struct maps maps;
	struct publish *publish;
	struct config *config;
	enum svc_state state; /* of every service at commit */
};

static enum svc_state state_of(void *ctx, const struct config_service *service,
			       bool fresh, enum svc_state before)
{
	struct world *w = ctx;

	return fresh ? w->state : before;
}

static struct config *parse(const char *text)
{
	struct config_error e = { "" };
	struct config *c = NULL;

	if (config_parse("test", text, strlen(text), &c, &e))
		fail_msg("%s", e.text);
	return c;
}

static void commit(struct world *w, const char *text)
{
	struct publish_addrs addrs = { .n_nat = 1 };
	struct config_error e = { "" };
	struct config *c = parse(text);

	ip_addr_set_v4(&addrs.nat[0], htonl(0x0a000101));
	if (publish_prepare(w->publish, c, &addrs, &e))
		fail_msg("%s", e.text);
	publish_commit(w->publish, state_of, w);
	config_free(w->config);
	w->config = c;
}

static int start(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	fakemaps_init(&w->maps, 64);
	w->state = SVC_UP;
	assert_int_equal(publish_new(&w->maps, &w->publish), 0);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	publish_free(w->publish);
	config_free(w->config);
	fakemaps_deinit(&w->maps);
	free(w);
	return 0;
}

static uint32_t service_id(struct world *w, const char *name)
{
	return publish_service_id(w->publish, config_entity("service", name));
}

static struct vserver *web(struct world *w)
{
	uint32_t id = publish_vserver_id(w->publish,
					 config_entity("vserver", "web"));

	assert_int_not_equal(id, 0);
	return &w->maps.vservers[id];
}

/* How many slots of web's table lead to a service. */
static uint32_t slots(struct world *w, uint32_t id)
{
	uint64_t span = web(w)->lb;
	uint32_t i, n = 0;

	for (i = 0; i < SPAN_LEN(span); i++)
		n += *maps_lb(&w->maps, SPAN_OFF(span) + i) == id;
	return n;
}

static enum vip_kind vip(struct world *w, uint32_t v4, uint16_t port,
			 uint8_t proto, uint32_t *index)
{
	union ip_addr addr;

	ip_addr_set_v4(&addr, htonl(v4));
	return vip_find(w->maps.vips, &addr, htons(port), proto, index);
}

static void test_first_publication(void **state)
{
	static uint32_t table[TOEPLITZ_TABLE_LEN];
	struct world *w = *state;
	uint32_t index = 0, w1, w2, size;
	const struct service *s;
	struct vserver *v;

	commit(w, two);
	v = web(w);
	w1 = service_id(w, "w1");
	w2 = service_id(w, "w2");
	s = &w->maps.services[w1];
	assert_int_equal(s->state, SVC_UP);
	assert_int_equal(s->port, htons(80));
	assert_int_equal(s->weight_scale, 256);
	assert_string_equal(s->name, "w1");
	assert_int_equal(v->flags, VS_ENABLED);
	assert_int_equal(v->port, htons(80));
	assert_int_equal(SPAN_LEN(v->members), 2);
	size = SPAN_LEN(v->lb);
	assert_int_equal(size, maglev_size(2));
	assert_int_equal(slots(w, w1) + slots(w, w2), size);
	assert_in_range(slots(w, w1), size / 2 - 1, size / 2 + 1);
	toeplitz_tables_build(w->config->rss_key, table);
	assert_int_equal(v->hash_dst,
			 toeplitz_dst(table, true, &v->addr, v->port));
	assert_int_equal(vip(w, 0xc000020a, 80, IPPROTO_TCP, &index),
			 VIP_VSERVER);
	assert_int_equal(index, v - w->maps.vservers);
	assert_int_equal(vip(w, 0xc000020a, 0, 0, &index), VIP_ADDR);
	assert_int_equal(vip(w, 0x0a000101, 0, 0, &index), VIP_NAT);
	assert_int_equal(vip(w, 0xc000020a, 80, IPPROTO_UDP, &index), VIP_NONE);
	assert_int_equal(w->maps.conf->generation, 1);
}

static void test_state_moves_the_table(void **state)
{
	struct world *w = *state;
	uint64_t e1 = config_entity("service", "w1");
	uint64_t e2 = config_entity("service", "w2");
	uint32_t size;
	uint64_t span;

	commit(w, two);
	span = web(w)->lb;
	size = SPAN_LEN(span);
	assert_int_equal(publish_service_state(w->publish, e1, SVC_DOWN), 0);
	assert_int_equal(w->maps.services[service_id(w, "w1")].state, SVC_DOWN);
	assert_false(publish_flush(w->publish, 1000000000));
	assert_int_equal(slots(w, service_id(w, "w1")), 0);
	assert_int_equal(slots(w, service_id(w, "w2")), size);
	/* In place: engines and XDP need no new pointer. */
	assert_true(web(w)->lb == span);
	publish_service_state(w->publish, e2, SVC_GOING_OUT);
	publish_flush(w->publish, 1000000000);
	assert_int_equal(SPAN_LEN(web(w)->lb), 0);
	publish_service_state(w->publish, e1, SVC_UP);
	publish_flush(w->publish, 1000000000);
	assert_int_equal(slots(w, service_id(w, "w1")), size);
	assert_int_equal(publish_service_state(w->publish, 12345, SVC_UP),
			 -ENOENT);
}

static void test_slow_start_takes_a_share(void **state)
{
	struct world *w = *state;
	uint32_t size, w1;

	commit(w, two);
	w1 = service_id(w, "w1");
	size = SPAN_LEN(web(w)->lb);
	publish_service_weight(w->publish, config_entity("service", "w1"),
				   64);
	publish_flush(w->publish, 1000000000);
	/* 64 : 256 */
	assert_in_range(slots(w, w1), size / 5 - 2, size / 5 + 2);
}

static void test_refused_preparation_changes_nothing(void **state)
{
	struct world *w = *state;
	struct publish_addrs addrs = { 0 };
	struct config_error e = { "" };
	struct config *c = parse(moved);
	uint64_t before;
	uint32_t id;

	commit(w, two);
	before = fakemaps_digest(&w->maps);
	id = service_id(w, "w1");
	assert_int_equal(publish_prepare(w->publish, c, &addrs, &e), 0);
	publish_abort(w->publish);
	config_free(c);
	assert_true(fakemaps_digest(&w->maps) == before);
	commit(w, two);
	assert_int_equal(service_id(w, "w1"), id);
}

static void test_removed_service_keeps_its_number(void **state)
{
	struct world *w = *state;
	uint32_t w2, w1, fresh;

	commit(w, two);
	w1 = service_id(w, "w1");
	w2 = service_id(w, "w2");
	commit(w, one);
	assert_int_equal(service_id(w, "w2"), 0);
	/* Its flows go on: address and port stay, new ones are not taken. */
	assert_int_equal(w->maps.services[w2].port, htons(80));
	assert_int_equal(w->maps.services[w2].state, SVC_GOING_OUT);
	assert_int_equal(slots(w, w2), 0);
	assert_int_equal(publish_service_ids(w->publish)->state[w2],
			 IDS_LEAVING);
	/* Another address is another number, though the name is the same. */
	commit(w, moved);
	fresh = service_id(w, "w1");
	assert_int_not_equal(fresh, w1);
	assert_int_not_equal(fresh, w2);
	/* Back again: the old numbers, with their flows. */
	commit(w, two);
	assert_int_equal(service_id(w, "w1"), w1);
	assert_int_equal(service_id(w, "w2"), w2);
	assert_int_equal(w->maps.services[w2].state, SVC_GOING_OUT);
}

static void test_removed_vserver_leaves_the_vips(void **state)
{
	struct world *w = *state;
	uint32_t index, id;

	commit(w, two);
	id = web(w) - w->maps.vservers;
	commit(w, nothing);
	assert_int_equal(vip(w, 0xc000020a, 80, IPPROTO_TCP, &index), VIP_NONE);
	assert_int_equal(vip(w, 0xc000020a, 0, 0, &index), VIP_NONE);
	assert_int_equal(w->maps.vservers[id].flags, 0);
	assert_int_equal(publish_vserver_ids(w->publish)->state[id],
			 IDS_LEAVING);
}

static void test_restart_finds_everything(void **state)
{
	struct world *w = *state;
	uint32_t w1, w2;
	uint64_t lb, members, before;

	commit(w, two);
	w1 = service_id(w, "w1");
	w2 = service_id(w, "w2");
	lb = web(w)->lb;
	members = web(w)->members;
	publish_free(w->publish);
	before = fakemaps_digest(&w->maps);
	assert_int_equal(publish_new(&w->maps, &w->publish), 0);
	assert_true(fakemaps_digest(&w->maps) == before);
	commit(w, two);
	assert_int_equal(service_id(w, "w1"), w1);
	assert_int_equal(service_id(w, "w2"), w2);
	assert_true(web(w)->lb == lb);
	assert_true(web(w)->members == members);
	w->maps.conf->generation--;
	/* Publishing the same again stores the same. */
	assert_true(fakemaps_digest(&w->maps) == before);
}

static void test_restart_with_less_retires_the_rest(void **state)
{
	struct world *w = *state;
	uint32_t w2;

	commit(w, two);
	w2 = service_id(w, "w2");
	publish_free(w->publish);
	assert_int_equal(publish_new(&w->maps, &w->publish), 0);
	commit(w, one);
	assert_int_equal(w->maps.services[w2].state, SVC_GOING_OUT);
	assert_int_equal(publish_service_ids(w->publish)->state[w2],
			 IDS_LEAVING);
}

static void scan(struct world *w, struct flow_scan *scan)
{
	static uint64_t now = 1; /* time goes on from test to test */
	int i;

	for (i = 0; i < 40; i++, now += 100000000)
		flow_scan_step(scan, &w->maps, w->publish, now);
}

static void test_numbers_come_back_when_no_flow_has_them(void **state)
{
	struct world *w = *state;
	struct flow *f = &w->maps.flows[7].way[3];
	struct flow_scan s;
	uint32_t w2;

	assert_int_equal(flow_scan_init(&s), 0);
	commit(w, two);
	w2 = service_id(w, "w2");
	f->service = w2;
	f->key.kind = FLOW_FORWARD;
	f->key.id = web(w) - w->maps.vservers;
	f->word = FLOW_WORD(FLOW_LIVE, 1, 1);
	assert_true(flow_scan_any(&w->maps));
	commit(w, one);
	scan(w, &s);
	assert_int_equal(publish_service_ids(w->publish)->state[w2],
			 IDS_LEAVING);
	f->word = FLOW_WORD(FLOW_DEAD, 0, 1);
	assert_false(flow_scan_any(&w->maps));
	scan(w, &s);
	assert_int_equal(publish_service_ids(w->publish)->state[w2], IDS_FREE);
	assert_int_equal(w->maps.services[w2].entity, 0);
	flow_scan_deinit(&s);
}

static void test_equal_members_share_a_table(void **state)
{
	static const char text[] =
		HEAD
		"\"services\": [ { \"name\": \"w1\", \"address\": \"10.0.1.11\","
		" \"port\": 80 } ], \"vservers\": ["
		"{ \"name\": \"web\", \"address\": \"192.0.2.10\", \"port\": 80,"
		" \"protocol\": \"tcp\", \"services\": [ { \"service\": \"w1\" } ] },"
		"{ \"name\": \"alt\", \"address\": \"192.0.2.11\", \"port\": 80,"
		" \"protocol\": \"tcp\", \"services\": [ { \"service\": \"w1\" } ] } ] }";
	struct world *w = *state;
	uint32_t alt;

	commit(w, text);
	alt = publish_vserver_id(w->publish, config_entity("vserver", "alt"));
	assert_true(web(w)->lb == w->maps.vservers[alt].lb);
	publish_service_state(w->publish, config_entity("service", "w1"),
			      SVC_DOWN);
	publish_flush(w->publish, 1000000000);
	assert_int_equal(SPAN_LEN(web(w)->lb), 0);
	assert_int_equal(SPAN_LEN(w->maps.vservers[alt].lb), 0);
}

/* More bindings than the map has room for at 100 slots each: smaller tables,
 * twice in a row (old and new exist together), then everything as before. */
static void test_many_tables_get_smaller(void **state)
{
	struct world *w = *state;
	size_t v, m, n = 0, room = 8 << 20;
	char *text = malloc(room);
	int round;

	for (round = 0; round < 2; round++) {
		n = snprintf(text, room, HEAD "\"services\": [");
		for (m = 0; m < 200; m++)
			n += snprintf(text + n, room - n,
				      "%s{ \"name\": \"s%zu\", \"address\": \"10.1.0.%zu\", \"port\": 80 }",
				      m ? "," : "", m, m + 1);
		n += snprintf(text + n, room - n, "], \"vservers\": [");
		for (v = 0; v < 1000; v++) {
			n += snprintf(text + n, room - n,
				      "%s{ \"name\": \"%s%zu\", \"address\": \"192.0.2.1\", \"port\": %zu, \"protocol\": \"tcp\", \"services\": [",
				      v ? "," : "", v ? "v" : "web", v ? v : 0,
				      v + 1);
			for (m = 0; m < 70; m++)
				n += snprintf(text + n, room - n,
					      "%s{ \"service\": \"s%zu\", \"weight\": %zu }",
					      m ? "," : "", (v + m) % 200,
					      1 + v + round);
			n += snprintf(text + n, room - n, "] }");
		}
		snprintf(text + n, room - n, "] }");
		commit(w, text);
	}
	free(text);
	v = publish_vserver_id(w->publish, config_entity("vserver", "v999"));
	assert_in_range(SPAN_LEN(w->maps.vservers[v].lb), 1000, 2100);
	commit(w, two);
	assert_int_equal(SPAN_LEN(web(w)->lb), maglev_size(2));
}

static void test_spans_rest_after_use(void **state)
{
	struct spans s;
	uint32_t a, b, c;

	spans_init(&s, 101);
	assert_int_equal(spans_alloc(&s, 50, 1, &a), 0);
	assert_int_equal(spans_alloc(&s, 50, 1, &b), 0);
	assert_int_equal(spans_alloc(&s, 1, 1, &c), -ENOSPC);
	spans_free(&s, a, 1000);
	assert_int_equal(spans_alloc(&s, 50, 1000 + SPANS_GRACE_NS - 1, &c),
			 -ENOSPC);
	assert_int_equal(spans_alloc(&s, 50, 1000 + SPANS_GRACE_NS, &c), 0);
	assert_int_equal(c, a);
	assert_int_equal(spans_reserve(&s, 40, 20), -EEXIST);
	assert_int_equal(spans_reserve(&s, 90, 20), -EINVAL);
	spans_deinit(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_publication),
		TEST(test_state_moves_the_table),
		TEST(test_slow_start_takes_a_share),
		TEST(test_refused_preparation_changes_nothing),
		TEST(test_removed_service_keeps_its_number),
		TEST(test_removed_vserver_leaves_the_vips),
		TEST(test_restart_finds_everything),
		TEST(test_restart_with_less_retires_the_rest),
		TEST(test_numbers_come_back_when_no_flow_has_them),
		TEST(test_equal_members_share_a_table),
		TEST(test_many_tables_get_smaller),
		cmocka_unit_test(test_spans_rest_after_use),
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
