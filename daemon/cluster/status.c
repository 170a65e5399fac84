/* SPDX-License-Identifier: GPL-2.0-only */
/* What operators, tests and the runtime look at (end of node.h): reads the
 * state machine, changes nothing. */
#include <errno.h>
#include <stdio.h>

#include "cluster/hello.h"
#include "cluster/member.h"
#include "cluster/owner.h"
#include "cluster/sss.h"
#include "cluster/table.h"
#include "cluster/view.h"

void node_status(const struct node *node, struct node_status *ret)
{
	uint32_t i;

	assert(ret);
	assert(node->o.id < NODES_MAX);
	memset(ret, 0, sizeof(*ret));
	ret->view = node->d.view.number;
	ret->members = node->d.view.members;
	ret->configured = node->o.configured;
	ret->connected = node->connected;
	ret->operational = node->operational;
	ret->reason =
		node->operational ? NODE_REASON_NONE : node->reason[node->o.id];
	ret->admin = node->o.admin;
	ret->services = node->configured;
	ret->cached = node->cached;
	ret->masters = node->masters;
	for (i = 0; i < NODES_MAX; i++)
		if (node->connected & 1u << i)
			ret->queued += node->peer[i].pend[CHANNEL_STATE] +
				       node->peer[i].pend[CHANNEL_PATH];
	ret->config_digest = node->total[DIGEST_CONFIG];
	ret->record_digest = node->total[DIGEST_RECORDS];
	ret->cache_drops = node->cache_drops;
	ret->stale = node->stale;
	ret->duplicates = node->duplicates;
	ret->refused = node->refused;
	ret->conflicts = node->conflicts;
}

const struct view *node_view(const struct node *node)
{
	return &node->d.view;
}

int node_peer_status(const struct node *node, uint32_t peer,
		     struct node_peer_status *ret)
{
	const struct peer *p;
	const struct view *view = &node->d.view;

	assert(ret);
	if (peer >= NODES_MAX || !(node->o.configured & 1u << peer))
		return -ENOENT;
	p = &node->peer[peer];
	memset(ret, 0, sizeof(*ret));
	ret->connected = node->connected & 1u << peer;
	ret->admin = p->hello.admin;
	ret->incarnation = p->incarnation;
	ret->view = p->hello.view;
	ret->operational = view->members & 1u << peer &&
			   view->incarnation[peer] == p->incarnation;
	if (peer == node->o.id) {
		ret->connected = true;
		ret->admin = node->o.admin;
		ret->incarnation = node->o.incarnation;
		ret->view = view->number;
		ret->operational = node->operational;
	} else {
		uint64_t since = p->ever ? p->heard_at : node->started;

		assert(since <= node->now);
		ret->silent_ms = node->now - since;
	}
	ret->reason = node->reason[peer];
	ret->accusers = node->accusers[peer];
	ret->pending = p->pend[CHANNEL_STATE] + p->pend[CHANNEL_PATH];
	ret->strikes = p->strikes;
	return 0;
}

int node_service_status(const struct node *node, uint64_t entity,
			struct node_service_status *ret)
{
	const struct record *rec = table_find(node, entity);

	assert(ret);
	if (!rec)
		return -ENOENT;
	memset(ret, 0, sizeof(*ret));
	ret->record = rec->s;
	ret->key = rec->key;
	ret->configured = rec->flags & RECORD_CONFIGURED;
	ret->master = rec->flags & RECORD_MASTER;
	ret->owner = OWNER_NONE;
	if (ret->configured && !(rec->service_flags & NODE_SERVICE_INTERNAL))
		ret->owner = owner_of(node, rec);
	if (ret->owner < 0)
		ret->owner = -1;
	sss_effective(node, rec, &ret->state, &ret->reason);
	ret->pending = rec->out[CHANNEL_STATE].pend;
	ret->path_known = rec->path_known;
	ret->path_reachable = rec->path_reachable;
	ret->configured_on = rec->config_on | node->same;
	if (ret->configured)
		ret->configured_on |= node_self(node);
	if (ret->master) {
		ret->response_us = rec->measured.response_us;
		ret->load = rec->measured.load;
	}
	assert(ret->owner < NODES_MAX);
	return 0;
}

void node_each_service(const struct node *node,
		       void (*each)(void *ctx, uint64_t entity), void *ctx)
{
	uint32_t i;

	assert(each);
	assert(node->records);
	for (i = 0; i < node->slots; i++)
		if (node->records[i].flags & RECORD_CONFIGURED)
			each(ctx, node->records[i].s.entity);
}

/* ---- names ------------------------------------------------------------ */

#define NAME_OF(function, type, count, ...)                                    \
	const char *function(type value)                                       \
	{                                                                      \
		static const char *const names[] = {__VA_ARGS__};              \
                                                                               \
		return (unsigned int)value < (count) ? names[value] : "?";     \
	}

#define X(name, text) text,
NAME_OF(node_reason_text, enum node_reason, NODE_REASON_COUNT, NODE_REASONS(X))
NAME_OF(node_state_reason_text, enum state_reason, STATE_REASON_COUNT,
	STATE_REASONS(X))
NAME_OF(node_mutation_name, enum node_mutation, NODE_MUTATION_COUNT,
	NODE_MUTATIONS(X))
static NAME_OF(trace_format, enum node_trace_type, NODE_TRACE_COUNT,
	       NODE_TRACES(X))
#undef X
#define X(name, text) #name,
	NAME_OF(node_reason_name, enum node_reason, NODE_REASON_COUNT,
		NODE_REASONS(X)) NAME_OF(node_trace_name, enum node_trace_type,
					 NODE_TRACE_COUNT, NODE_TRACES(X))
#undef X
#define X(name, text, prio) text,
		NAME_OF(node_message_name, enum message_type, MSG_TYPE_COUNT,
			MESSAGE_TYPES(X))
#undef X
			NAME_OF(node_admin_name, enum node_admin, ADMIN_COUNT,
				"active", "passive", "spare", "left")

				char *node_trace_text(
					const struct node_trace *trace,
					char *buf, size_t len)
{
	const char *f = trace_format(trace->type);
	size_t at = 0;

	assert(len > 0);
	assert(buf);
	buf[0] = '\0';
	for (; *f && at + 1 < len; f++) {
		int n;

		if (*f != '%') {
			buf[at++] = *f;
			buf[at] = '\0';
			continue;
		}
		f++;
		if (*f == 'n')
			n = snprintf(buf + at, len - at, "%u", trace->peer);
		else if (*f == 'e')
			n = snprintf(buf + at, len - at, "%llx",
				     (unsigned long long)trace->entity);
		else if (*f == 'v')
			n = snprintf(buf + at, len - at, "%llu.%llu",
				     (unsigned long long)trace->b >> 16,
				     (unsigned long long)trace->b & 0xffff);
		else
			n = snprintf(buf + at, len - at,
				     *f == 'B' ? "%#llx" : "%llu",
				     (unsigned long long)(*f == 'a'
								  ? trace->a
								  : trace->b));
		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}
