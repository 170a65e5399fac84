/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a probe ended as it did, see reason.h. */
#include <stdio.h>
#include <string.h>

#include "health/reason.h"

static const char *const texts[REASON_MAX] = {
#define REASON_X(id, text) [REASON_##id] = text,
	REASONS(REASON_X)
#undef REASON_X
};

void reason_set(struct reason_info *info, enum reason code, uint32_t detail)
{
	info->code = code;
	info->detail = detail;
	info->text[0] = '\0';
}

void reason_text(struct reason_info *info, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof(info->text) - 1; i++) {
		unsigned char c = text[i];

		if (c == '\n' || c == '\r')
			break;
		info->text[n++] = c >= 0x20 && c < 0x7f ? c : '.';
	}
	info->text[n] = '\0';
}

/* The texts are ours; %u is the only conversion in them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
char *reason_format(const struct reason_info *info, char *buf, size_t size)
{
	unsigned int code = info->code < REASON_MAX ? info->code : REASON_NONE;
	int n = snprintf(buf, size, texts[code], info->detail);

	if (info->text[0] && n >= 0 && (size_t)n < size)
		snprintf(buf + n, size - n, ": %s", info->text);
	return buf;
}
#pragma GCC diagnostic pop

bool reason_is_broken(enum reason code)
{
	return code == REASON_RESET || code == REASON_CLOSED ||
	       code == REASON_TLS || code == REASON_PROTOCOL ||
	       code == REASON_SIGNAL;
}

bool reason_is_local(enum reason code)
{
	return code == REASON_ERROR || code == REASON_SPAWN ||
	       code == REASON_UNSUPPORTED;
}
