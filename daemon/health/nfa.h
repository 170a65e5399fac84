/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regular expressions whose cost is bounded: the pattern becomes a Thompson
 * automaton and all its threads advance together, so matching N bytes takes at
 * most N × states steps whatever the bytes are. Backtracking engines (also
 * those with match limits, which count per start position) can be made to
 * spend seconds by a hostile reply; this one cannot.
 *
 * Syntax: the common part of POSIX extended and Perl expressions:
 *   . [abc] [^a-z] [[:alpha:]] \d \w \s \D \W \S \t \r \n \xHH \. ( ) (?: )
 *   | * + ? {m} {m,} {m,n} ^ $ and, in front, (?i) to ignore case.
 * ^ and $ match at the beginning and end of the whole input. "." matches any
 * byte, also a newline. No back references, no look-around: refused, not
 * misread. Bytes, not characters.
 */
#ifndef SLUICE_NFA_H
#define SLUICE_NFA_H

#include <stdbool.h>
#include <stddef.h>

/* Steps per byte are bounded by this. */
#define NFA_STATES_MAX 1024

struct nfa;

/* 0; -EINVAL: not a valid expression, *ret_error then says why (static);
 * -E2BIG: needs more than NFA_STATES_MAX states; -ENOMEM. */
int nfa_compile(const char *pattern, size_t len, struct nfa **ret,
		const char **ret_error);
void nfa_free(struct nfa *nfa);

/* Whether the expression matches somewhere in DATA. */
bool nfa_search(const struct nfa *nfa, const void *data, size_t len);

#endif
