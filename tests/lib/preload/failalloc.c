/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preloaded allocator in which every place of the program fails once. A place
 * is a call of malloc() and its kin, or mmap(), in the program itself; its
 * first request is answered with ENOMEM, all later ones go to the real
 * allocator. What has failed is remembered in a file that processes share, so
 * that a program that gives up is started again and gets one place further,
 * and children (engines, probers) take part.
 *
 * FAILALLOC_SEEN=FILE     8-byte entries: program << 32 | offset of the return
 *                         address in the executable; made and grown by this
 * FAILALLOC_LOG=FILE      a line is appended per failure: program, offset
 * FAILALLOC_PROGRAMS=S    only in programs whose names S contains
 *
 * Without FAILALLOC_SEEN nothing fails. Works in multi-threaded programs; does
 * not allocate itself.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 65536 /* more places than any program here has */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
/* With _FORTIFY_SOURCE the compiler calls these; headers hide them. */
int __vasprintf_chk(char **ret, int flag, const char *format, va_list ap);
int __asprintf_chk(char **ret, int flag, const char *format, ...);

static uint64_t *seen; /* shared table, 0: free */
static uint32_t program;
static int log_fd = -1;
static uintptr_t base, end;

static bool in_program(uintptr_t address)
{
	return address >= base && address < end;
}

/* True if KEY was not in the table, in which it is now. */
static bool is_new(uint64_t key)
{
	uint32_t i = (key * 0x9e3779b97f4a7c15ull) >> 48;
	uint64_t there;
	int n;

	for (n = 0; n < SLOTS; n++, i = (i + 1) % SLOTS) {
		there = __atomic_load_n(&seen[i], __ATOMIC_RELAXED);
		if (there == key)
			return false;
		if (there)
			continue;
		if (__atomic_compare_exchange_n(&seen[i], &there, key, false,
						__ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
		if (there == key)
			return false;
	}
	abort(); /* SLOTS is too small */
}

/* True if the request from CALLER is one that must fail. */
static bool chosen(void *caller_pointer)
{
	uintptr_t caller = (uintptr_t)caller_pointer;
	uint32_t offset = (uint32_t)(caller - base);
	char line[96];
	int n;

	if (!__atomic_load_n(&seen, __ATOMIC_ACQUIRE) || !in_program(caller) ||
	    !is_new((uint64_t)program << 32 | offset))
		return false;
	n = snprintf(line, sizeof(line), "%s %x %d\n",
		     program_invocation_short_name, offset, getpid());
	if (log_fd >= 0 && write(log_fd, line, n) != n)
		log_fd = -1;
	errno = ENOMEM;
	return true;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
	return chosen(CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return chosen(CALLER) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return size && chosen(CALLER) ? NULL : __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return bytes && chosen(CALLER) ? NULL : __libc_realloc(p, bytes);
}

void *aligned_alloc(size_t align, size_t size)
{
	return chosen(CALLER) ? NULL : __libc_memalign(align, size);
}

/* The C library's own calls of malloc() do not come here with the caller that
 * matters, so its functions that return memory are here too. */
static char *copy(const char *s, size_t len)
{
	char *p = __libc_malloc(len + 1);

	if (p) {
		memcpy(p, s, len);
		p[len] = '\0';
	}
	return p;
}

char *strdup(const char *s)
{
	return chosen(CALLER) ? NULL : copy(s, strlen(s));
}

char *strndup(const char *s, size_t n)
{
	return chosen(CALLER) ? NULL : copy(s, strnlen(s, n));
}

int vasprintf(char **ret, const char *format, va_list ap)
{
	va_list again;
	int n;

	if (chosen(CALLER))
		return -1;
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	*ret = n < 0 ? NULL : __libc_malloc(n + 1);
	return *ret ? vsnprintf(*ret, n + 1, format, ap) : -1;
}

int asprintf(char **ret, const char *format, ...)
{
	va_list ap;
	int n;

	if (chosen(CALLER))
		return -1;
	va_start(ap, format);
	n = vasprintf(ret, format, ap);
	va_end(ap);
	return n;
}

int __vasprintf_chk(char **ret, int flag, const char *format, va_list ap)
{
	return chosen(CALLER) ? -1 : vasprintf(ret, format, ap);
}

int __asprintf_chk(char **ret, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	if (chosen(CALLER))
		return -1;
	va_start(ap, format);
	n = vasprintf(ret, format, ap);
	va_end(ap);
	return n;
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (chosen(CALLER))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}

static int find_program(struct dl_phdr_info *info, size_t size, void *ctx)
{
	int i;

	base = info->dlpi_addr;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && base + p->p_vaddr + p->p_memsz > end)
			end = base + p->p_vaddr + p->p_memsz;
	}
	return 1; /* the program comes first */
}

__attribute__((constructor)) static void failalloc_start(void)
{
	const char *file = getenv("FAILALLOC_SEEN");
	const char *log = getenv("FAILALLOC_LOG");
	const char *programs = getenv("FAILALLOC_PROGRAMS");
	const char *p = program_invocation_short_name;
	void *table;
	int fd;

	if (!file || (programs && !strstr(programs, p)))
		return;
	for (program = 1; *p; p++)
		program = program * 31 + (unsigned char)*p;
	program &= 0x7fffffff;
	dl_iterate_phdr(find_program, NULL);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, SLOTS * sizeof(*seen)))
		abort();
	table = (void *)syscall(SYS_mmap, NULL, SLOTS * sizeof(*seen),
				PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		abort();
	close(fd);
	if (log)
		log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			      0600);
	__atomic_store_n(&seen, (uint64_t *)table, __ATOMIC_RELEASE);
}
