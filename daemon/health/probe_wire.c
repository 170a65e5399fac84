/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages of probers, see probe_wire.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/health.h"
#include "health/probe_wire.h"
#include "health/verdict.h"

void probe_wire_begin(struct cursor *c)
{
	cursor_put_u16(c, PROBE_WIRE_MAGIC);
	cursor_put_u16(c, PROBE_WIRE_VERSION);
}

size_t probe_wire_open(struct cursor *c, enum probe_wire_type type)
{
	cursor_put_u16(c, type);
	cursor_put_u32(c, 0);
	return c->at;
}

void probe_wire_close(struct cursor *c, size_t mark)
{
	uint32_t len = c->at - mark;

	if (!c->error)
		memcpy(c->data + mark - sizeof(len), &len, sizeof(len));
}

bool probe_wire_check(struct cursor *c)
{
	return cursor_get_u16(c) == PROBE_WIRE_MAGIC &&
	       cursor_get_u16(c) == PROBE_WIRE_VERSION && !c->error;
}

bool probe_wire_next(struct cursor *c, uint16_t *ret_type,
		     struct cursor *ret_body)
{
	uint32_t len;

	if (c->error || c->at == c->len)
		return false;
	*ret_type = cursor_get_u16(c);
	len = cursor_get_u32(c);
	if (c->error || c->len - c->at < len) {
		c->error = true;
		return false;
	}
	*ret_body = cursor_on(c->data + c->at, len);
	c->at += len;
	return true;
}

void probe_wire_put_reason(struct cursor *c, const struct reason_info *reason)
{
	cursor_put_u16(c, reason->code);
	cursor_put_u32(c, reason->detail);
	cursor_put_string(c, reason->text);
}

void probe_wire_get_reason(struct cursor *c, struct reason_info *ret)
{
	uint16_t code = cursor_get_u16(c);
	uint32_t detail = cursor_get_u32(c);
	size_t len;
	const void *text = cursor_get_bytes(c, &len);

	reason_set(ret, code < REASON_MAX ? code : REASON_NONE, detail);
	if (text)
		reason_text(ret, text, len);
}

void probe_wire_put_service(struct cursor *c,
			    const struct probe_wire_service *service)
{
	cursor_put_u32(c, service->slot);
	cursor_put_u32(c, service->generation);
	cursor_put_u64(c, service->entity);
	cursor_put(c, &service->addr, sizeof(service->addr));
	cursor_put_u16(c, service->port);
	cursor_put_u32(c, service->threshold);
	cursor_put_u8(c, service->observed);
	cursor_put_u8(c, service->owned);
	cursor_put(c, service->name, sizeof(service->name));
	cursor_put_u8(c, service->family);
	if (service->family)
		cursor_put_string(c, service->domain);
	cursor_put_u32(c, service->n_bindings);
	for (uint32_t i = 0; i < service->n_bindings; i++) {
		cursor_put_u32(c, service->bindings[i].row);
		cursor_put_u32(c, service->bindings[i].monitor);
		cursor_put_u16(c, service->bindings[i].weight);
		cursor_put_u8(c, service->bindings[i].verdict);
	}
}

static bool get_domain(struct cursor *c, struct probe_wire_service *ret)
{
	const void *text;
	size_t len;

	ret->domain[0] = '\0';
	ret->family = cursor_get_u8(c);
	if (!ret->family)
		return !c->error;
	text = cursor_get_bytes(c, &len);
	if (!text || !len || len >= DOMAIN_LEN || memchr(text, 0, len) ||
	    (ret->family != 4 && ret->family != 6))
		return false;
	memcpy(ret->domain, text, len);
	ret->domain[len] = '\0';
	return true;
}

bool probe_wire_get_service(struct cursor *c, struct probe_wire_service *ret)
{
	ret->slot = cursor_get_u32(c);
	ret->generation = cursor_get_u32(c);
	ret->entity = cursor_get_u64(c);
	cursor_get(c, &ret->addr, sizeof(ret->addr));
	ret->port = cursor_get_u16(c);
	ret->threshold = cursor_get_u32(c);
	ret->observed = cursor_get_u8(c);
	ret->owned = cursor_get_u8(c);
	cursor_get(c, ret->name, sizeof(ret->name));
	ret->name[NAME_LEN - 1] = '\0';
	if (!get_domain(c, ret))
		return false;
	ret->n_bindings = cursor_get_u32(c);
	if (c->error || ret->n_bindings > BINDINGS_PER_SERVICE_MAX ||
	    ret->slot >= SERVICES_MAX || ret->observed > HEALTH_UP)
		return false;
	for (uint32_t i = 0; i < ret->n_bindings; i++) {
		ret->bindings[i].row = cursor_get_u32(c);
		ret->bindings[i].monitor = cursor_get_u32(c);
		ret->bindings[i].weight = cursor_get_u16(c);
		ret->bindings[i].verdict = cursor_get_u8(c);
		if (ret->bindings[i].row >= BINDINGS_MAX ||
		    ret->bindings[i].verdict > VERDICT_PASS)
			return false;
	}
	return !c->error;
}

void probe_wire_put_state(struct cursor *c,
			  const struct probe_wire_state *state)
{
	cursor_put_u32(c, state->slot);
	cursor_put_u32(c, state->generation);
	cursor_put_u8(c, state->observed);
	cursor_put_u32(c, state->n_bindings);
	cursor_put(c, state->verdicts, state->n_bindings);
	probe_wire_put_reason(c, &state->reason);
}

bool probe_wire_get_state(struct cursor *c, struct probe_wire_state *ret)
{
	ret->slot = cursor_get_u32(c);
	ret->generation = cursor_get_u32(c);
	ret->observed = cursor_get_u8(c);
	ret->n_bindings = cursor_get_u32(c);
	if (c->error || ret->n_bindings > BINDINGS_PER_SERVICE_MAX ||
	    ret->slot >= SERVICES_MAX || ret->observed > HEALTH_UP)
		return false;
	cursor_get(c, ret->verdicts, ret->n_bindings);
	for (uint32_t i = 0; i < ret->n_bindings; i++)
		if (ret->verdicts[i] > VERDICT_PASS)
			return false;
	probe_wire_get_reason(c, &ret->reason);
	return !c->error;
}

void probe_wire_put_name(struct cursor *c, const struct probe_wire_name *name)
{
	cursor_put_u32(c, name->slot);
	cursor_put_u32(c, name->generation);
	cursor_put_u8(c, name->resolved);
	cursor_put(c, &name->addr, sizeof(name->addr));
	cursor_put_u32(c, name->ttl_s);
	cursor_put_u32(c, name->failures);
	probe_wire_put_reason(c, &name->reason);
}

bool probe_wire_get_name(struct cursor *c, struct probe_wire_name *ret)
{
	ret->slot = cursor_get_u32(c);
	ret->generation = cursor_get_u32(c);
	ret->resolved = cursor_get_u8(c);
	cursor_get(c, &ret->addr, sizeof(ret->addr));
	ret->ttl_s = cursor_get_u32(c);
	ret->failures = cursor_get_u32(c);
	probe_wire_get_reason(c, &ret->reason);
	return !c->error && ret->slot < SERVICES_MAX &&
	       ret->ttl_s <= NAME_TTL_MAX_S;
}

void probe_wire_put_result(struct cursor *c,
			   const struct probe_wire_result *result)
{
	cursor_put_u32(c, result->slot);
	cursor_put_u32(c, result->generation);
	cursor_put_u8(c, result->index);
	cursor_put_u8(c, result->verdict);
	probe_wire_put_reason(c, &result->reason);
}

bool probe_wire_get_result(struct cursor *c, struct probe_wire_result *ret)
{
	ret->slot = cursor_get_u32(c);
	ret->generation = cursor_get_u32(c);
	ret->index = cursor_get_u8(c);
	ret->verdict = cursor_get_u8(c);
	probe_wire_get_reason(c, &ret->reason);
	return !c->error && ret->slot < SERVICES_MAX &&
	       ret->index < BINDINGS_PER_SERVICE_MAX &&
	       ret->verdict <= VERDICT_PASS;
}

/* ---- monitors --------------------------------------------------------- */

/* The strings of a definition, in wire order. */
#define MONITOR_STRINGS(X)                                                     \
	X(http_method) X(http_path) X(http_host) X(http_codes) X(sni)          \
	X(dns_query) X(dns_type) X(dns_answers) X(ftp_user) X(ftp_password)    \
	X(ftp_path) X(script) X(load_metric)                  \
	X(weight_metric)

#define MONITOR_NUMBERS(X)                                                     \
	X(interval_ms) X(timeout_ms) X(retries) X(success_retries)             \
	X(failure_retries) X(down_ms) X(deviation_ms) X(load_max)              \
	X(inline_window_ms) X(inline_failures) X(tunnel)

#define MONITOR_FLAGS(X)                                                       \
	X(response_time) X(reverse) X(verify) X(has_address) X(expect_regex)

void probe_wire_put_monitor(struct cursor *c,
			    const struct config_monitor *monitor)
{
	uint32_t n_args = 0;

	cursor_put(c, monitor->name, sizeof(monitor->name));
	cursor_put_u64(c, monitor->entity);
	cursor_put_u32(c, monitor->type);
	cursor_put(c, &monitor->address, sizeof(monitor->address));
	cursor_put_u16(c, monitor->port);
#define PUT(field) cursor_put_u32(c, monitor->field);
	MONITOR_NUMBERS(PUT)
	MONITOR_FLAGS(PUT)
#undef PUT
	cursor_put_bytes(c, monitor->send, monitor->send_len);
	cursor_put_bytes(c, monitor->expect, monitor->expect_len);
#define PUT(field) cursor_put_string(c, monitor->field);
	MONITOR_STRINGS(PUT)
#undef PUT
	while (monitor->script_args && monitor->script_args[n_args])
		n_args++;
	cursor_put_u32(c, n_args);
	for (uint32_t i = 0; i < n_args; i++)
		cursor_put_string(c, monitor->script_args[i]);
}

/* *NO_MEMORY is set, and C's error with it, if that is what is missing. */
static char *get_string(struct cursor *c, size_t *ret_len, bool *no_memory)
{
	const void *data = cursor_get_bytes(c, ret_len);
	char *copy;

	if (!data)
		return NULL;
	if (*ret_len > PROBE_WIRE_STRING_MAX) {
		c->error = true;
		return NULL;
	}
	copy = malloc(*ret_len + 1);
	if (!copy) {
		*no_memory = c->error = true;
		return NULL;
	}
	memcpy(copy, data, *ret_len);
	copy[*ret_len] = '\0';
	return copy;
}

int probe_wire_get_monitor(struct cursor *c, struct config_monitor *ret)
{
	struct config_monitor monitor = { 0 };
	bool no_memory = false;
	uint32_t n_args;
	size_t len;

	cursor_get(c, monitor.name, sizeof(monitor.name));
	monitor.name[NAME_LEN - 1] = '\0';
	monitor.entity = cursor_get_u64(c);
	monitor.type = cursor_get_u32(c);
	cursor_get(c, &monitor.address, sizeof(monitor.address));
	monitor.port = cursor_get_u16(c);
#define GET(field) monitor.field = cursor_get_u32(c);
	MONITOR_NUMBERS(GET)
	MONITOR_FLAGS(GET)
#undef GET
	monitor.send = get_string(c, &monitor.send_len, &no_memory);
	monitor.expect = get_string(c, &monitor.expect_len, &no_memory);
#define GET(field) monitor.field = get_string(c, &len, &no_memory);
	MONITOR_STRINGS(GET)
#undef GET
	n_args = cursor_get_u32(c);
	if (!c->error && n_args > 0 && n_args <= 64) {
		monitor.script_args = calloc(n_args + 1, sizeof(char *));
		no_memory |= !monitor.script_args;
		for (uint32_t i = 0; monitor.script_args && i < n_args; i++) {
			monitor.script_args[i] = get_string(c, &len, &no_memory);
			if (!monitor.script_args[i]) {
				c->error = true; /* absent: not an argument */
				break;
			}
		}
	}
	if (c->error || n_args > 64 || (n_args && !monitor.script_args) ||
	    monitor.type > MONITOR_INLINE) {
		probe_wire_free_monitor(&monitor);
		return no_memory ? -ENOMEM : -EBADMSG;
	}
	*ret = monitor;
	return 0;
}

void probe_wire_free_monitor(struct config_monitor *monitor)
{
	free(monitor->send);
	free(monitor->expect);
#define FREE(field) free(monitor->field);
	MONITOR_STRINGS(FREE)
#undef FREE
	for (char **arg = monitor->script_args; arg && *arg; arg++)
		free(*arg);
	free(monitor->script_args);
}
