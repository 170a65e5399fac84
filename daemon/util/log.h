/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One line per event to standard error, with the priority prefix journald
 * understands ("<4>…") when it is not a terminal.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <syslog.h>

/* NAME: the program's, printed before each line. Lines less urgent than LEVEL
 * (LOG_INFO, …) are dropped. */
void log_init(const char *name, int level);

void log_line(int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_err(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
