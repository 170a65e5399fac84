/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dns: the service resolves `dns_query`. Passes if the response code is
 * NOERROR, the answer holds a record of the type asked for, and, if
 * `dns_answers` is given, one of them is listed there. c-ares builds the query
 * and takes replies apart; the datagram is ours, as servers are probed one by
 * one and each socket only takes replies from the address it is connected to.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "prober/probe.h"
#include "prober/prober.h"

static const struct {
	const char *name;
	int type;
} types[] = {
	{ "A", ns_t_a },     { "AAAA", ns_t_aaaa }, { "CNAME", ns_t_cname },
	{ "NS", ns_t_ns },   { "MX", ns_t_mx },	    { "TXT", ns_t_txt },
	{ "SOA", ns_t_soa }, { "PTR", ns_t_ptr },   { "SRV", ns_t_srv },
};

static int type_of(const struct config_monitor *c)
{
	for (size_t i = 0; c->dns_type && i < sizeof(types) / sizeof(types[0]);
	     i++)
		if (!strcasecmp(types[i].name, c->dns_type))
			return types[i].type;
	return c->dns_type ? -1 : ns_t_a;
}

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

struct answers {
	const char *expected; /* comma separated; NULL: any */
	unsigned int count;
	bool found;
};

static void take_answer(struct answers *answers, const char *text)
{
	const char *p = answers->expected;
	size_t len = strlen(text);

	answers->count++;
	if (!p)
		answers->found = true;
	while (p && *p) {
		size_t n = strcspn(p, ",");

		while (n && *p == ' ')
			p++, n--;
		while (n && (p[n - 1] == ' ' || p[n - 1] == '.'))
			n--;
		if (n == len && !strncasecmp(p, text, n))
			answers->found = true;
		p += strcspn(p, ",");
		p += *p == ',';
	}
}

static void take_addresses(struct answers *answers, int type,
			   const uint8_t *data, int len)
{
	struct hostent *host = NULL;
	char text[INET6_ADDRSTRLEN];
	int family = type == ns_t_a ? AF_INET : AF_INET6;
	int r = type == ns_t_a ?
			ares_parse_a_reply(data, len, &host, NULL, NULL) :
			ares_parse_aaaa_reply(data, len, &host, NULL, NULL);

	if (r != ARES_SUCCESS)
		return;
	for (char **a = host->h_addr_list; *a; a++)
		if (inet_ntop(family, *a, text, sizeof(text)))
			take_answer(answers, text);
	ares_free_hostent(host);
}

static void take_names(struct answers *answers, int type, const uint8_t *data,
		       int len)
{
	struct ares_mx_reply *mx = NULL;
	struct ares_txt_reply *txt = NULL;
	struct ares_srv_reply *srv = NULL;
	struct ares_soa_reply *soa = NULL;
	struct hostent *host = NULL;
	static const uint8_t any[4];

	switch (type) {
	case ns_t_mx:
		if (ares_parse_mx_reply(data, len, &mx))
			return;
		for (struct ares_mx_reply *i = mx; i; i = i->next)
			take_answer(answers, i->host);
		return ares_free_data(mx);
	case ns_t_txt:
		if (ares_parse_txt_reply(data, len, &txt))
			return;
		for (struct ares_txt_reply *i = txt; i; i = i->next)
			take_answer(answers, (char *)i->txt);
		return ares_free_data(txt);
	case ns_t_srv:
		if (ares_parse_srv_reply(data, len, &srv))
			return;
		for (struct ares_srv_reply *i = srv; i; i = i->next)
			take_answer(answers, i->host);
		return ares_free_data(srv);
	case ns_t_soa:
		if (ares_parse_soa_reply(data, len, &soa))
			return;
		take_answer(answers, soa->nsname);
		return ares_free_data(soa);
	case ns_t_ns:
		if (ares_parse_ns_reply(data, len, &host))
			return;
		break;
	case ns_t_ptr:
		if (ares_parse_ptr_reply(data, len, any, 4, AF_INET, &host))
			return;
		break;
	default: /* CNAME: the last one of the chain is the name */
		if (ares_parse_a_reply(data, len, &host, NULL, NULL))
			return;
		if (host->h_aliases[0])
			take_answer(answers, host->h_name);
		return ares_free_hostent(host);
	}
	for (char **a = host->h_aliases; *a; a++)
		take_answer(answers, *a);
	ares_free_hostent(host);
}

/* Whether the reply answers our question: id, response bit, and the question
 * section as sent (names without regard to case). */
static bool is_ours(const struct probe *probe, const uint8_t *data, size_t len)
{
	const uint8_t *query = probe->private;
	size_t query_len = probe->number;

	if (len < query_len || query_len < 17 || memcmp(data, query, 2) ||
	    !(data[2] & 0x80) || data[4] != 0 || data[5] != 1)
		return false;
	for (size_t i = 12; i < query_len; i++)
		if (fold(data[i]) != fold(query[i]))
			return false;
	return true;
}

static void judge(struct probe *probe, const uint8_t *data, size_t len)
{
	const struct config_monitor *c = &probe->monitor->config;
	struct answers answers = { .expected = c->dns_answers };
	int type = type_of(c), code = data[3] & 15;

	probe_step(probe, "response code %d, %zu bytes", code, len);
	if (code)
		return probe_finish(probe, REASON_DNS_CODE, code);
	if (type == ns_t_a || type == ns_t_aaaa)
		take_addresses(&answers, type, data, len);
	else
		take_names(&answers, type, data, len);
	probe_step(probe, "%u answers", answers.count);
	if (answers.found)
		probe_finish(probe, REASON_OK, 0);
	else
		probe_finish(probe, REASON_DNS_ANSWER, answers.count);
}

static void on_ready(struct poller_io *io, uint32_t events)
{
	struct probe *probe =
		(struct probe *)((char *)io - offsetof(struct probe, io));

	(void)events;
	for (int i = 0; i < 8; i++) {
		ssize_t n = recv(io->fd, probe_scratch, sizeof(probe_scratch),
				 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			return probe_finish_errno(probe, errno);
		/* Others are strays or forgeries: wait on. */
		if (is_ours(probe, probe_scratch, n))
			return judge(probe, probe_scratch, n);
	}
	if (poller_again(io))
		probe_finish_errno(probe, errno);
}

static void start(struct probe *probe)
{
	const struct config_monitor *c = &probe->monitor->config;
	const char *name = c->dns_query ? c->dns_query : ".";
	unsigned char *query;
	int len, type = type_of(c), r;

	if (type < 0)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "DNS type", 8);
	if (ares_create_query(name, ns_c_in, type,
			      prober_random(probe->prober), 1, &query, &len,
			      0) != ARES_SUCCESS)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "not a DNS name", 14);
	probe->private = query;
	probe->number = len;
	probe->io.ready = on_ready;
	r = probe_open(probe, SOCK_DGRAM);
	if (!r)
		r = probe_connect(probe);
	if (!r && send(probe->io.fd, query, len, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r)
		return probe_finish_errno(probe, -r);
	probe_step(probe, "query for %s sent", name);
}

static void stop(struct probe *probe)
{
	if (probe->private)
		ares_free_string(probe->private);
}

const struct probe_kind probe_dns = { "dns", start, stop, NULL };
