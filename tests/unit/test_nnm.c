// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two or three nodes' transports on the loopback interface, real sockets, in
 * one event loop, each with its own key file and epoch; and a stranger.
 */
#include <arpa/inet.h>
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
#include "cluster/nnm.h"
#include "cluster/nnm_header.h"
#include "cluster/nnm_socket.h"
#include "util/log.h"

#define NODES 3
#define KEY1 "key 1 1111111111111111111111111111111111111111111111111111111111111111\n"
#define KEY2 "key 2 2222222222222222222222222222222222222222222222222222222222222222\n"

struct node {
	struct nnm *nnm;
	uint64_t messages;
	uint32_t from_incarnation;
	struct message last;
	uint8_t order[4096];
	unsigned int reborn;
};

static uv_loop_t loop;
static struct node nodes[NODES];
static char dir[64];
static uint16_t base_port;

static void on_message(void *ctx, const struct message *m)
{
	struct node *n = ctx;

	if (n->messages < sizeof(n->order))
		n->order[n->messages] = m->type;
	n->messages++;
	n->last = *m;
	n->from_incarnation = m->incarnation;
}

static void on_idle(void *ctx)
{
}

static void on_reborn(void *ctx, uint32_t incarnation)
{
	((struct node *)ctx)->reborn = incarnation;
}

static const struct nnm_ops ops = { on_message, on_idle, on_reborn };

static const char *path(const char *what, unsigned int id)
{
	static char text[4][128];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(text[turn], sizeof(text[turn]), "%s/%s%u", dir, what, id);
	return text[turn];
}

static void write_keys(unsigned int id, const char *keys)
{
	FILE *f = fopen(path("key", id), "w");

	assert_non_null(f);
	fputs(keys, f);
	fclose(f);
	assert_int_equal(chmod(path("key", id), 0600), 0);
}

static void start(unsigned int id)
{
	struct nnm_options o = {
		.self = (uint8_t)id,
		.port = (uint16_t)(base_port + id),
		.key_file = path("key", id),
		.epoch_file = path("epoch", id),
	};
	struct nnm_peer peers[NODES];
	size_t n = 0;

	ip_addr_set_v4(&o.addr, htonl(INADDR_LOOPBACK));
	for (unsigned int i = 0; i < NODES; i++) {
		if (i == id)
			continue;
		peers[n].id = (uint8_t)i;
		peers[n].port = (uint16_t)(base_port + i);
		peers[n++].addr = o.addr;
	}
	memset(&nodes[id], 0, sizeof(nodes[id]));
	assert_int_equal(nnm_new(&loop, &o, &ops, &nodes[id], &nodes[id].nnm), 0);
	assert_int_equal(nnm_set_peers(nodes[id].nnm, peers, n), 0);
}

static void stop(unsigned int id)
{
	nnm_free(nodes[id].nnm);
	nodes[id].nnm = NULL;
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void on_timer(uv_timer_t *timer)
{
	for (unsigned int i = 0; i < NODES; i++)
		if (nodes[i].nnm)
			nnm_tick(nodes[i].nnm);
}

static bool session(unsigned int a, unsigned int b)
{
	struct nnm_peer_stats s;

	assert_int_equal(nnm_peer_stats(nodes[a].nnm, (uint8_t)b, &s), 0);
	return s.session;
}

/* Runs the loop until CONDITION, 10 s at most. */
#define WAIT_FOR(condition)                                             \
	do {                                                            \
		uint64_t end = uv_hrtime() + 10000000000ull;            \
		while (!(condition)) {                                  \
			assert_true(uv_hrtime() < end);                 \
			uv_run(&loop, UV_RUN_ONCE);                     \
		}                                                       \
	} while (0)

static uv_timer_t timer;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/test_nnm.XXXXXX");
	assert_non_null(mkdtemp(dir));
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_timer, 1, 5);
	base_port = (uint16_t)(20000 + getpid() % 20000);
	for (unsigned int i = 0; i < NODES; i++)
		write_keys(i, KEY1);
	start(0);
	start(1);
	WAIT_FOR(session(0, 1) && session(1, 0));
	return 0;
}

static int teardown(void **state)
{
	for (unsigned int i = 0; i < NODES; i++) {
		if (nodes[i].nnm)
			stop(i);
		unlink(path("key", i));
		unlink(path("epoch", i));
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void send_pull(unsigned int from, uint32_t to, uint64_t number)
{
	struct message m = { .type = MSG_PULL };

	m.pull.n = 1;
	m.pull.entity[0] = number;
	nnm_send(nodes[from].nnm, to, PRIO_REPAIR, &m);
}

static uint64_t counter(unsigned int node, unsigned int peer, enum nnm_counter c)
{
	return nnm_counters(nodes[node].nnm)->v[peer][c];
}

static void test_messages_arrive_authentic(void **state)
{
	send_pull(0, 1 << 1, 77);
	nnm_flush(nodes[0].nnm);
	WAIT_FOR(nodes[1].messages == 1);
	assert_int_equal(nodes[1].last.source, 0);
	assert_int_equal(nodes[1].last.incarnation, nnm_incarnation(nodes[0].nnm));
	assert_true(nodes[1].last.pull.entity[0] == 77);
}

static void test_coalescing_and_priorities(void **state)
{
	struct message prepare = { .type = MSG_PREPARE };
	uint64_t before = counter(0, 1, NNM_tx_datagrams);

	for (uint64_t i = 0; i < 50; i++)
		send_pull(0, 1 << 1, i + 1);
	nnm_send(nodes[0].nnm, 1 << 1, PRIO_VIEW, &prepare);
	nnm_flush(nodes[0].nnm);
	WAIT_FOR(nodes[1].messages == 51);
	assert_int_equal(nodes[1].order[0], MSG_PREPARE);
	assert_true(counter(0, 1, NNM_tx_datagrams) - before <= 2);
	assert_true(nodes[1].last.pull.entity[0] == 50);
}

static void test_to_nobody_known_is_refused(void **state)
{
	send_pull(0, 1 << 2, 1); /* configured, not there */
	assert_true(counter(0, 2, NNM_queue_no_session) == 1);
}

/* More than the pace lets through at once: nothing is lost, the queue never
 * grows above its bound. */
static void test_bulk_is_paced_and_arrives(void **state)
{
	struct message m = { .type = MSG_PULL };
	uint64_t sent = 0;

	m.pull.n = MSG_PULL_MAX;
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t full = counter(0, 1, NNM_queue_full);

		nnm_send(nodes[0].nnm, 1 << 1, PRIO_REPAIR, &m);
		sent += counter(0, 1, NNM_queue_full) == full;
		if (i % 16 == 15)
			uv_run(&loop, UV_RUN_ONCE);
	}
	WAIT_FOR(nodes[1].messages == sent);
	assert_true(sent > 100);
	assert_true(counter(0, 1, NNM_tx_lost) == 0);
}

static void test_round_trip_and_loss_are_measured(void **state)
{
	struct nnm_peer_stats s;

	for (int i = 0; i < 300; i++) {
		uint64_t got = nodes[1].messages;

		send_pull(0, 1 << 1, 1);
		nnm_flush(nodes[0].nnm);
		WAIT_FOR(nodes[1].messages > got);
	}
	WAIT_FOR(counter(0, 1, NNM_tx_acked) >= 256);
	assert_int_equal(nnm_peer_stats(nodes[0].nnm, 1, &s), 0);
	assert_in_range(s.srtt_us, 1, 1000000);
	assert_int_equal(s.loss_ppm, 0);
}

static void test_restart_of_a_peer(void **state)
{
	uint32_t life = nnm_incarnation(nodes[1].nnm);

	stop(1);
	start(1);
	assert_true(nnm_incarnation(nodes[1].nnm) == life + 1);
	WAIT_FOR(session(1, 0) && counter(0, 1, NNM_sessions) == 2);
	send_pull(1, 1 << 0, 5);
	nnm_flush(nodes[1].nnm);
	WAIT_FOR(nodes[0].messages == 1);
	assert_int_equal(nodes[0].from_incarnation, life + 1);
	send_pull(0, 1 << 1, 6);
	nnm_flush(nodes[0].nnm);
	WAIT_FOR(nodes[1].messages == 1);
}

static void test_lost_epoch_file_is_repaired(void **state)
{
	/* Lives 2, 3 of node 1; node 0 remembers the last. */
	for (int i = 0; i < 2; i++) {
		stop(1);
		start(1);
		WAIT_FOR(session(1, 0) && counter(0, 1, NNM_sessions) == (unsigned int)i + 2);
	}
	stop(1);
	assert_int_equal(unlink(path("epoch", 1)), 0);
	start(1);
	assert_int_equal(nnm_incarnation(nodes[1].nnm), 1);
	WAIT_FOR(nodes[1].reborn != 0);
	assert_int_equal(nodes[1].reborn, 4);
	WAIT_FOR(session(1, 0) && counter(0, 1, NNM_sessions) == 4);
	send_pull(1, 1 << 0, 5);
	nnm_flush(nodes[1].nnm);
	WAIT_FOR(nodes[0].messages == 1);
	assert_int_equal(nodes[0].from_incarnation, 4);
}

static void test_rolling_rotation(void **state)
{
	static const struct {
		unsigned int node;
		const char *keys;
	} steps[] = {
		{ 0, KEY1 KEY2 "use 1\n" }, { 1, KEY1 KEY2 "use 1\n" },
		{ 0, KEY1 KEY2 "use 2\n" }, { 1, KEY1 KEY2 "use 2\n" },
		{ 0, KEY2 },		    { 1, KEY2 },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint64_t a = nodes[0].messages, b = nodes[1].messages;

		write_keys(steps[i].node, steps[i].keys);
		assert_int_equal(nnm_set_keys(nodes[steps[i].node].nnm,
					      path("key", steps[i].node)), 0);
		send_pull(0, 1 << 1, 1);
		send_pull(1, 1 << 0, 1);
		nnm_flush(nodes[0].nnm);
		nnm_flush(nodes[1].nnm);
		WAIT_FOR(nodes[0].messages > a && nodes[1].messages > b);
	}
	assert_true(counter(0, 1, NNM_sessions) == 1);
	assert_true(counter(0, 1, NNM_drop_key) == 0);
	/* A file that became readable by others is not taken. */
	chmod(path("key", 0), 0640);
	assert_int_equal(nnm_set_keys(nodes[0].nnm, path("key", 0)), -EPERM);
}

static void test_strangers_change_nothing(void **state)
{
	struct nnm_address to;
	union ip_addr addr;
	uint8_t data[NNM_DATAGRAM_MAX + 100];
	int fd;

	ip_addr_set_v4(&addr, htonl(INADDR_LOOPBACK));
	fd = nnm_socket_open(&addr, 0);
	assert_true(fd >= 0);
	nnm_socket_address(&addr, (uint16_t)(base_port + 1), &to);
	srandom(1);
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)random() % sizeof(data);

		for (size_t b = 0; b < len; b++)
			data[b] = (uint8_t)random();
		if (i % 2 && len > 8)
			memcpy(data, "SL\1\1\1\0\1\0", 8);
		sendto(fd, data, len, 0, (struct sockaddr *)&to.sa, to.len);
		if (i % 64 == 0)
			uv_run(&loop, UV_RUN_NOWAIT);
	}
	close(fd);
	WAIT_FOR(counter(1, NNM_STRANGER, NNM_rx_datagrams) > 500);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(nodes[1].messages == 0);
	assert_true(counter(1, NNM_STRANGER, NNM_drop_address) > 100);
	send_pull(0, 1 << 1, 9);
	nnm_flush(nodes[0].nnm);
	WAIT_FOR(nodes[1].messages == 1);
}

static void test_peers_come_and_go(void **state)
{
	struct nnm_peer_stats s;
	struct nnm_peer peer = { .id = 1, .port = (uint16_t)(base_port + 1) };

	ip_addr_set_v4(&peer.addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(nnm_set_peers(nodes[0].nnm, NULL, 0), 0);
	assert_int_equal(nnm_peer_stats(nodes[0].nnm, 1, &s), -ENOENT);
	send_pull(1, 1 << 0, 1);
	nnm_flush(nodes[1].nnm);
	WAIT_FOR(counter(0, NNM_STRANGER, NNM_drop_sender) > 0);
	assert_true(nodes[0].messages == 0);
	assert_int_equal(nnm_set_peers(nodes[0].nnm, &peer, 1), 0);
	send_pull(1, 1 << 0, 1);
	nnm_flush(nodes[1].nnm);
	WAIT_FOR(nodes[0].messages == 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_messages_arrive_authentic),
		T(test_coalescing_and_priorities),
		T(test_to_nobody_known_is_refused),
		T(test_bulk_is_paced_and_arrives),
		T(test_round_trip_and_loss_are_measured),
		T(test_restart_of_a_peer),
		T(test_lost_epoch_file_is_repaired),
		T(test_rolling_rotation),
		T(test_strangers_change_nothing),
		T(test_peers_come_and_go),
	};

	log_init("test_nnm", LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
