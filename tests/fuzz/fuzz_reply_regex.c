/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regular expressions on hostile text: the pattern is the input up to the
 * first NUL, the text is the rest. Where POSIX means the same by a pattern,
 * its answer must be ours.
 *
 * fuzz-sources: daemon/health/nfa.c
 */
#include <assert.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/nfa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only what both read alike, and short: regexec() is not bounded. */
static int comparable(const char *pattern, const char *text)
{
	if (strlen(pattern) > 12 || strlen(text) > 24)
		return 0;
	for (const char *p = pattern; *p; p++)
		if (!strchr("abc.|()", *p))
			return 0;
	for (const char *p = text; *p; p++)
		if (!strchr("abcd", *p))
			return 0;
	return !strstr(pattern, "()") && !strstr(pattern, "(|") &&
	       !strstr(pattern, "|)") && !strstr(pattern, "||") &&
	       *pattern != '|' && *pattern &&
	       pattern[strlen(pattern) - 1] != '|';
}

static void compare(const char *pattern, const char *text, int ours)
{
	regex_t re;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB))
		return;
	assert((regexec(&re, text, 0, NULL, 0) == 0) == ours);
	regfree(&re);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t len = nul ? (size_t)(nul - data) : size;
	size_t text_len = nul ? size - len - 1 : 0;
	const char *error = NULL;
	struct nfa *nfa;
	char *pattern, *text;
	int ours;

	if (nfa_compile((const char *)data, len, &nfa, &error)) {
		assert(error);
		return 0;
	}
	ours = nfa_search(nfa, nul ? nul + 1 : NULL, text_len);
	pattern = strndup((const char *)data, len);
	text = nul ? strndup((const char *)nul + 1, text_len) : strdup("");
	if (strlen(text) == text_len && comparable(pattern, text))
		compare(pattern, text, ours);
	free(pattern);
	free(text);
	nfa_free(nfa);
	return 0;
}
