/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preloaded allocator that fails once, on purpose. It numbers the distinct
 * places that allocate (return addresses, in the order in which they first
 * ask) and answers NULL to the first request of place number FAILALLOC_SITE;
 * everything else goes to the real allocator.
 *
 * FAILALLOC_SITE=k     fail place k (1…); 0 or unset: only count
 * FAILALLOC_REPORT=F   append to file F at the failure "fail k ADDRESS SIZE",
 *                      and at exit "sites N"
 * FAILALLOC_PROGRAM=S  only in a program whose name contains S, so that
 *                      children of the program under test are left alone
 *
 * Works in multi-threaded programs; does not allocate itself.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITES 8192

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static uintptr_t sites[SITES];
static unsigned int n_sites;
static unsigned int fail_site;
static int report_fd = -1;
static bool active;

static void report(const char *text, int len)
{
	if (report_fd >= 0 && write(report_fd, text, len) != len)
		report_fd = -1;
}

/* True if the request from CALLER is the one that must fail. */
static bool chosen(uintptr_t caller, size_t size)
{
	unsigned int i = (caller * 0x9e3779b97f4a7c15ull) >> 51;
	unsigned int number;
	uintptr_t seen = 0;
	char line[96];

	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE))
		return false;
	for (;; i = (i + 1) % SITES) {
		seen = __atomic_load_n(&sites[i], __ATOMIC_RELAXED);
		if (seen == caller)
			return false;
		if (seen)
			continue;
		if (__atomic_compare_exchange_n(&sites[i], &seen, caller, false,
						__ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			break;
		if (seen == caller)
			return false;
	}
	number = __atomic_add_fetch(&n_sites, 1, __ATOMIC_RELAXED);
	if (number >= SITES / 2)
		abort();
	if (number != fail_site)
		return false;
	report(line, snprintf(line, sizeof(line), "fail %u %p %zu\n", number,
			      (void *)caller, size));
	return true;
}

void *malloc(size_t size)
{
	if (chosen((uintptr_t)__builtin_return_address(0), size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (chosen((uintptr_t)__builtin_return_address(0), n * size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	if (size && chosen((uintptr_t)__builtin_return_address(0), size)) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, size);
}

__attribute__((constructor)) static void failalloc_start(void)
{
	const char *site = getenv("FAILALLOC_SITE");
	const char *file = getenv("FAILALLOC_REPORT");
	const char *program = getenv("FAILALLOC_PROGRAM");

	if (program && !strstr(program_invocation_short_name, program))
		return;
	fail_site = site ? strtoul(site, NULL, 10) : 0;
	if (file)
		report_fd = open(file,
				 O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
				 0600);
	__atomic_store_n(&active, true, __ATOMIC_RELEASE);
}

__attribute__((destructor)) static void failalloc_end(void)
{
	char line[32];

	if (__atomic_load_n(&active, __ATOMIC_ACQUIRE))
		report(line, snprintf(line, sizeof(line), "sites %u\n",
				      n_sites));
}
