/* SPDX-License-Identifier: GPL-2.0-only */
/* The 5 % rule (see metrics.h). */
#include "cluster/metrics.h"
#include "cluster/sss.h"

static bool differs(uint32_t sent, uint32_t measured)
{
	uint64_t diff = sent > measured ? sent - measured : measured - sent;

	return diff && diff * 20 >= sent;
}

bool metrics_due(const struct node *node, const struct record *rec)
{
	const struct measured *m = &rec->measured;

	assert(rec->flags & RECORD_MASTER);
	assert(rec->s.owner == node->o.id);
	if (!(rec->flags & RECORD_ACKED))
		return false;
	if (rec->service_flags & NODE_SERVICE_USE_RESPONSE &&
	    differs(rec->s.response_us, m->response_us))
		return true;
	if (!(rec->service_flags & NODE_SERVICE_USE_LOAD))
		return false;
	return (rec->s.flags ^ m->load_flags) & STATE_LOAD_OVER ||
	       differs(rec->s.load, m->load) ||
	       differs(rec->s.rr_weight, m->rr_weight);
}

void metrics_fill(const struct node *node, struct record *rec)
{
	const struct measured *m = &rec->measured;

	assert(rec->flags & RECORD_MASTER);
	assert(rec->s.owner == node->o.id);
	rec->s.response_us = m->response_us;
	rec->s.load = m->load;
	rec->s.rr_weight = m->rr_weight;
	rec->s.flags = m->load_flags & STATE_LOAD_OVER;
}

void metrics_review(struct node *node, struct record *rec)
{
	assert(rec->flags & RECORD_ACKED);
	assert(rec->flags & RECORD_MASTER);
	if (metrics_due(node, rec))
		sss_advertise(node, rec);
}
