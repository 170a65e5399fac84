/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Logging: formats a line and writes it with one write(2), so that lines of
 * several processes on one standard error do not mix. Owns nothing else.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_name = "sluice";
static int log_level = LOG_INFO;
static int log_prefix;

void log_init(const char *name, int level)
{
	log_name = name;
	log_level = level;
	log_prefix = !isatty(STDERR_FILENO);
}

void log_line(int level, const char *format, ...)
{
	char line[1024];
	va_list ap;
	int n = 0;

	if (level > log_level)
		return;
	if (log_prefix)
		n = snprintf(line, sizeof(line), "<%d>", level);
	n += snprintf(line + n, sizeof(line) - n, "%s: ", log_name);
	va_start(ap, format);
	n += vsnprintf(line + n, sizeof(line) - n, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* Nowhere to report to if standard error is gone. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
