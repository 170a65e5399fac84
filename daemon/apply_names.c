/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of domain-based services (see apply_names.h). On the loop's
 * thread, like all of apply. */
#include "apply_names.h"

#include <arpa/inet.h>
#include <string.h>
#include "util/addr_text.h"
#include "util/log.h"
#include "util/u64_map.h"

static bool same_domain(const struct config_service *a,
			const struct config_service *b)
{
	return a->domain && b->domain && a->family == b->family &&
	       !strcmp(a->domain, b->domain);
}

/* A restarted daemon goes on where packets go now. (Were the domain changed
 * meanwhile, this holds until the first answer.) */
static void recover(const struct apply *a, struct config *next)
{
	const struct maps *maps = &a->dp->maps;
	struct u64_map at;
	uint32_t i;

	if (u64_map_init(&at, 64))
		return;
	for (size_t k = 0; k < next->n_services; k++)
		if (next->services[k].domain &&
		    u64_map_put(&at, next->services[k].entity, k))
			break;
	for (uint32_t id = 1; id < SERVICES_MAX; id++) {
		const struct service *m = &maps->services[id];
		struct config_service *s;

		/* One that is going out is a former address. */
		if (!m->entity || m->state == SVC_GOING_OUT ||
		    !u64_map_get(&at, m->entity, &i))
			continue;
		s = &next->services[i];
		if (ntohs(m->port) == s->port &&
		    !config_address_problem(next, s, &m->addr))
			s->addr = m->addr;
	}
	u64_map_deinit(&at);
}

void apply_names_carry(const struct apply *a, struct config *next)
{
	bool any = false;

	for (size_t i = 0; i < next->n_services; i++) {
		struct config_service *s = &next->services[i];
		const struct config_service *old;

		if (!s->domain)
			continue;
		any = true;
		old = a->config ? config_find_service(a->config, s->name) : NULL;
		if (!old || !same_domain(s, old))
			continue;
		s->addr = old->moves ? old->next_addr : old->addr;
		s->ttl_s = old->moves ? old->next_ttl_s : old->ttl_s;
		/* Meanwhile it may have become a vserver's. */
		if (!config_unresolved(s) &&
		    config_address_problem(next, s, &s->addr))
			memset(&s->addr, 0, sizeof(s->addr));
	}
	if (any && !a->config)
		recover(a, next);
}

enum apply_names_result apply_names_learn(struct apply *a, uint64_t entity,
					  const union ip_addr *addr,
					  uint32_t ttl_s,
					  const char **ret_problem)
{
	struct config_service *s;
	const char *problem;
	char text[ADDR_TEXT_LEN];
	uint32_t i;

	*ret_problem = NULL;
	if (!a->config || !publish_service_index(a->publish, entity, &i))
		return APPLY_NAMES_SAME;
	s = &a->config->services[i];
	if (!s->domain)
		return APPLY_NAMES_SAME;
	if (ip_addr_equal(&s->addr, addr)) {
		s->moves = false; /* and back again */
		return APPLY_NAMES_SAME;
	}
	problem = config_address_problem(a->config, s, addr);
	if (!ip_addr_equal(&s->next_addr, addr))
		log_notice("service %s: %s is at %s%s%s", s->name, s->domain,
			   addr_text_format(addr, text),
			   problem ? ", which is refused: " : "",
			   problem ? problem : "");
	s->next_addr = *addr;
	s->next_ttl_s = ttl_s;
	s->moves = !problem;
	*ret_problem = problem;
	return problem ? APPLY_NAMES_REFUSED : APPLY_NAMES_MOVES;
}

bool apply_names_exchange(struct apply *a)
{
	bool any = false;

	for (size_t i = 0; i < a->config->n_services; i++) {
		struct config_service *s = &a->config->services[i];
		struct config_service was = *s;

		if (!s->moves)
			continue;
		s->addr = was.next_addr;
		s->ttl_s = was.next_ttl_s;
		s->next_addr = was.addr;
		s->next_ttl_s = was.ttl_s;
		any = true;
	}
	return any;
}

void apply_names_settle(struct apply *a)
{
	for (size_t i = 0; i < a->config->n_services; i++) {
		struct config_service *s = &a->config->services[i];

		if (!s->domain)
			continue;
		if (s->moves)
			memset(&s->next_addr, 0, sizeof(s->next_addr));
		s->moves = false;
		clustering_changed(a->clustering, s->entity);
		clustering_again(a->clustering, s->entity);
	}
}
