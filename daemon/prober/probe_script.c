/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: an executable is run with address, port and the configured arguments,
 * and with
 *   SLUICE_ADDRESS SLUICE_PORT SLUICE_SERVICE SLUICE_MONITOR
 * in its otherwise empty environment (and PATH), and SLUICE_SERVICE_ADDRESS, the
 * service's own address where the monitor's takes its place: its connections
 * are not ours, and no tunnel leads them there. Exit status 0 passes; the
 * first line of its output is shown with a failure. It runs in a session of its
 * own with limits on CPU time, memory, files and processes
 * (script_limits.c) and without privileges, as the prober has none; when
 * the time-out is over, or its output grows too large, all of its group is
 * killed. At most SCRIPTS_MAX run at once, the others wait their turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/probe_script.h"
#include "prober/spawner.h"
#include "util/addr_text.h"

#define OUTPUT_MAX 65536
#define READS_MAX 4 /* per wake-up */

/* A script, until the spawner has seen its end. */
static struct run {
	struct probe *probe; /* NULL: ended before the script did */
	uint32_t output_len;
	bool used, exited, eof;
	int status; /* as from wait(2) */
} runs[SCRIPTS_MAX];

/* Both its end and the end of its output have been seen. */
static void judge(struct run *run)
{
	struct probe *probe = run->probe;
	enum reason code = REASON_OK;
	uint32_t detail = 0;

	if (!probe || !run->exited || !run->eof)
		return;
	if (WIFSIGNALED(run->status))
		code = REASON_SIGNAL, detail = WTERMSIG(run->status);
	else if (WEXITSTATUS(run->status))
		code = REASON_EXIT, detail = WEXITSTATUS(run->status);
	probe_step(probe, "ended: status %d, signal %d, %u bytes of output",
		   WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 0,
		   WIFSIGNALED(run->status) ? WTERMSIG(run->status) : 0,
		   run->output_len);
	if (code != REASON_OK && probe->reply_len) {
		char line[REASON_TEXT_LEN];
		size_t n = probe->reply_len < sizeof(line) ? probe->reply_len :
							     sizeof(line);

		memcpy(line, probe->reply, n);
		return probe_finish_text(probe, code, detail, line, n);
	}
	probe_finish(probe, code, detail);
}

static void on_event(uint32_t number, enum spawner_event event, uint32_t value)
{
	struct run *run = &runs[number];

	switch (event) {
	case SPAWNER_STARTED:
		if (run->probe)
			probe_step(run->probe, "started, process %u", value);
		return;
	case SPAWNER_FAILED:
		run->used = false;
		if (run->probe)
			probe_finish(run->probe, REASON_SPAWN, value);
		return;
	case SPAWNER_ENDED:
		/* Of a probe that is over the number is free now; else with
		 * the end of its output. */
		run->exited = true;
		run->status = value;
		if (run->probe)
			judge(run);
		else
			run->used = false;
		return;
	}
}

static void on_output(struct poller_io *io, uint32_t events)
{
	struct probe *probe =
		(struct probe *)((char *)io - offsetof(struct probe, io));
	struct run *run = probe->private;
	char buf[4096];

	(void)events;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(io->fd, buf, sizeof(buf));

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			return probe_finish_errno(probe, errno);
		if (n == 0) {
			run->eof = true;
			return judge(run);
		}
		run->output_len += n;
		if (run->output_len > OUTPUT_MAX)
			return probe_finish(probe, REASON_OUTPUT, OUTPUT_MAX);
		if (probe->reply_len < REASON_TEXT_LEN)
			probe_keep(probe, buf, n);
	}
	if (poller_again(io))
		probe_finish_errno(probe, errno);
}

/* "NAME=value" in *AT, which moves on. */
static char *put_env(char **at, char *end, const char *name, const char *value)
{
	char *start = *at;
	int n = snprintf(start, end - start, "%s=%s", name, value);

	if (n < 0 || n >= end - start)
		return NULL;
	*at += n + 1;
	return start;
}

static int spawn(struct probe *probe, uint32_t number, int output)
{
	const struct config_monitor *c = &probe->monitor->config;
	char text[ADDR_TEXT_LEN], service[ADDR_TEXT_LEN];
	char port[8], space[1024], *at = space;
	char *end = space + sizeof(space);
	char *args[72], *env[7];
	size_t n = 0;

	addr_text_format(&probe->addr, text);
	addr_text_format(&probe->outer, service);
	snprintf(port, sizeof(port), "%u", probe->port);
	env[0] = put_env(&at, end, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
	env[1] = put_env(&at, end, "SLUICE_ADDRESS", text);
	env[2] = put_env(&at, end, "SLUICE_PORT", port);
	env[3] = put_env(&at, end, "SLUICE_SERVICE",
			 probe->binding ? probe->binding->service->name : "");
	env[4] = put_env(&at, end, "SLUICE_MONITOR", c->name);
	env[5] = put_env(&at, end, "SLUICE_SERVICE_ADDRESS", service);
	env[6] = NULL;
	args[n++] = c->script;
	args[n++] = text;
	args[n++] = port;
	for (char **arg = c->script_args; arg && *arg && n < 70; arg++)
		args[n++] = *arg;
	args[n] = NULL;
	return spawner_run(number, args, env, output);
}

static void start(struct probe *probe)
{
	uint32_t number = 0;
	int output[2], r;

	if (!probe->monitor->config.script)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "no script given", 15);
	while (number < SCRIPTS_MAX && runs[number].used)
		number++;
	if (number == SCRIPTS_MAX)
		return probe_finish_errno(probe, EAGAIN);
	if (pipe2(output, O_CLOEXEC))
		return probe_finish_errno(probe, errno);
	probe->io.fd = output[0];
	probe->io.ready = on_output;
	r = fcntl(output[0], F_SETFL, O_NONBLOCK) ? -errno : 0;
	if (!r)
		r = spawn(probe, number, output[1]);
	close(output[1]);
	if (r)
		return probe_finish(probe, REASON_SPAWN, -r);
	runs[number] = (struct run){ .probe = probe, .used = true };
	probe->private = &runs[number];
	probe_step(probe, "handed over to be started");
	r = poller_add(&probe->io);
	if (r)
		probe_finish_errno(probe, -r);
}

static void stop(struct probe *probe)
{
	struct run *run = probe->private;

	if (!run)
		return;
	probe->private = NULL;
	run->probe = NULL;
	if (run->exited)
		run->used = false;
	else if (run->used)
		spawner_kill(run - runs);
}

int probe_script_init(void)
{
	return spawner_init(on_event);
}

const struct probe_kind probe_script = { "script", start, stop, NULL };
