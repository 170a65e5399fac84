/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a probe passed or failed: a code that fits a message and a status row,
 * one number of detail, and, for some, a short text from the far side.
 * Append only: codes are exchanged between processes.
 */
#ifndef SLUICE_REASON_H
#define SLUICE_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enum suffix, text; %u is the detail) */
#define REASONS(X)                                                             \
	X(NONE, "not yet probed")                                              \
	X(OK, "passed")                                                        \
	X(TIMEOUT, "no reply within %u ms")                                    \
	X(TIMEOUT_CONNECT, "no connection within %u ms")                       \
	X(REFUSED, "connection refused")                                       \
	X(RESET, "connection reset")                                           \
	X(UNREACHABLE, "destination unreachable")                              \
	X(CLOSED, "closed by the service before its reply was complete")       \
	X(MALFORMED, "reply is malformed")                                     \
	X(HEADER_SIZE, "reply's header is too large")                          \
	X(BODY_SIZE, "expected content not in the first %u bytes")             \
	X(STATUS, "HTTP status %u is not accepted")                            \
	X(CONTENT, "expected content not found in %u bytes")                   \
	X(REGEX, "expected content is not a valid regular expression")         \
	X(TLS, "TLS failed")                                                   \
	X(CERTIFICATE, "certificate refused")                                  \
	X(DNS_CODE, "DNS response code %u")                                    \
	X(DNS_ANSWER, "no answer among %u is an expected one")                 \
	X(FTP, "FTP server answered %u")                                       \
	X(LOAD_ABSENT, "load metric not in the reply")                         \
	X(EXIT, "script ended with status %u")                                 \
	X(SIGNAL, "script was killed by signal %u")                            \
	X(OUTPUT, "script wrote more than %u bytes")                           \
	X(SPAWN, "script could not be started, error %u")                      \
	X(PASSIVE, "%u attempts of clients unanswered or reset")               \
	X(TRIAL, "down time over, trying traffic again")                       \
	X(REVERSED, "met a criterion that means down (reverse)")               \
	X(REVERSED_OK, "failed, which means up (reverse)")                     \
	X(ERROR, "system error %u")                                            \
	X(PROTOCOL, "transfer failed, error %u")                               \
	X(UNSUPPORTED, "this kind of probe is not possible here")              \
	X(NO_MONITORS, "no monitors bound")                                    \
	X(RESTORED, "as before the daemon's restart")                          \
	X(NOT_OWNED, "as reported by the owning node")                         \
	X(RESOLVE, "name does not resolve, error %u")                          \
	X(RESOLVE_NONE, "name resolves to no usable address")

enum reason {
#define REASON_X(id, text) REASON_##id,
	REASONS(REASON_X)
#undef REASON_X
		REASON_MAX
};

/* Texts from the far side are cut to this, controls replaced by '.'. */
#define REASON_TEXT_LEN 96

struct reason_info {
	uint16_t code; /* enum reason */
	uint32_t detail;
	char text[REASON_TEXT_LEN]; /* may be empty */
};

void reason_set(struct reason_info *info, enum reason code, uint32_t detail);

/* Adds text that cannot be trusted. */
void reason_text(struct reason_info *info, const char *text, size_t len);

/* One line, always terminated. Returns BUF. */
char *reason_format(const struct reason_info *info, char *buf, size_t size);

/* The exchange broke off, which may be the fault of a prober that was late with
 * its part. All other failures stand however late it was: time-outs are
 * extended by what was lost. */
bool reason_is_broken(enum reason code);

/* This machine's trouble: says nothing about the service. */
bool reason_is_local(enum reason code);

#endif
