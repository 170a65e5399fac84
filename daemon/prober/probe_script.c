/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: an executable is run with address, port and the configured arguments,
 * and with
 *   SLUICE_ADDRESS SLUICE_PORT SLUICE_SERVICE SLUICE_MONITOR
 * in its otherwise empty environment (and PATH). Exit status 0 passes; the
 * first line of its output is shown with a failure. It runs in a session of its
 * own with limits on CPU time, memory, files and processes
 * (script_limits.c) and without privileges, as the prober has none; when
 * the time-out is over, or its output grows too large, all of its group is
 * killed. At most SCRIPTS_MAX run at once, the others wait their turn.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prober/probe.h"
#include "prober/prober.h"
#include "prober/script_limits.h"
#include "util/addr_text.h"

#define SCRIPTS_MAX 32
#define OUTPUT_MAX 65536

struct run {
	uv_process_t process;
	uv_pipe_t output;
	struct probe *probe; /* NULL: ended before the process did */
	uint32_t handles;    /* to be closed before this is freed */
	uint32_t output_len;
	bool exited, eof;
	int64_t status;
	int signal;
	char buffer[4096];
};

static unsigned int running;

static void on_closed(uv_handle_t *handle)
{
	struct run *run = handle->data;

	if (--run->handles == 0)
		free(run);
}

/* Leaves the probe; the memory goes when process and pipe are closed. */
static void leave(struct run *run)
{
	run->probe = NULL;
	if (!uv_is_closing((uv_handle_t *)&run->output))
		uv_close((uv_handle_t *)&run->output, on_closed);
	if (run->exited) {
		if (!uv_is_closing((uv_handle_t *)&run->process))
			uv_close((uv_handle_t *)&run->process, on_closed);
	} else {
		/* Its group: what it started must go, too. */
		kill(-run->process.pid, SIGKILL);
	}
}

/* Both its end and the end of its output have been seen. */
static void judge(struct run *run)
{
	struct probe *probe = run->probe;
	enum reason code = REASON_OK;
	uint32_t detail = 0;

	if (!probe || !run->exited || !run->eof)
		return;
	if (run->signal)
		code = REASON_SIGNAL, detail = run->signal;
	else if (run->status)
		code = REASON_EXIT, detail = run->status;
	probe_step(probe, "ended: status %d, signal %d, %u bytes of output",
		   (int)run->status, run->signal, run->output_len);
	if (code == REASON_OK)
		return probe_finish(probe, code, detail);
	if (probe->reply_len) {
		char line[REASON_TEXT_LEN];
		size_t n = probe->reply_len < sizeof(line) ? probe->reply_len :
							     sizeof(line);

		memcpy(line, probe->reply, n);
		return probe_finish_text(probe, code, detail, line, n);
	}
	probe_finish(probe, code, detail);
}

static void on_exit_(uv_process_t *process, int64_t status, int signal)
{
	struct run *run = process->data;

	running--;
	run->exited = true;
	run->status = status;
	run->signal = signal;
	/* Children that hold on to the output must not hold up the result. */
	kill(-process->pid, SIGKILL);
	if (run->probe)
		judge(run);
	else if (!uv_is_closing((uv_handle_t *)process))
		uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct run *run = handle->data;

	(void)hint;
	*buf = uv_buf_init(run->buffer, sizeof(run->buffer));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct run *run = stream->data;

	if (n == 0 || !run->probe)
		return;
	if (n < 0) {
		run->eof = true;
		judge(run);
		return;
	}
	run->output_len += n;
	if (run->output_len > OUTPUT_MAX)
		return probe_finish(run->probe, REASON_OUTPUT, OUTPUT_MAX);
	if (run->probe->reply_len < REASON_TEXT_LEN)
		probe_keep(run->probe, buf->base, n);
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

static int spawn(struct probe *probe, struct run *run)
{
	const struct config_monitor *c = &probe->monitor->config;
	char text[ADDR_TEXT_LEN], port[8], space[1024], *at = space;
	char *end = space + sizeof(space);
	char *args[72], *env[6];
	size_t n = 0;
	uv_stdio_container_t stdio[3] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&run->output },
		{ .flags = UV_IGNORE },
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_,
		.file = "/proc/self/exe",
		.args = args,
		.env = env,
		.flags = UV_PROCESS_DETACHED, /* setsid() */
		.stdio_count = 3,
		.stdio = stdio,
	};

	addr_text_format(&probe->addr, text);
	snprintf(port, sizeof(port), "%u", probe->port);
	env[0] = put_env(&at, end, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
	env[1] = put_env(&at, end, "SLUICE_ADDRESS", text);
	env[2] = put_env(&at, end, "SLUICE_PORT", port);
	env[3] = put_env(&at, end, "SLUICE_SERVICE",
			 probe->binding ? probe->binding->service->name : "");
	env[4] = put_env(&at, end, "SLUICE_MONITOR", c->name);
	env[5] = NULL;
	/* The prober itself, as a wrapper that sets the limits. */
	args[n++] = (char *)"sluice-prober";
	args[n++] = (char *)SCRIPT_LIMITS_OPTION;
	args[n++] = c->script;
	args[n++] = text;
	args[n++] = port;
	for (char **arg = c->script_args; arg && *arg && n < 70; arg++)
		args[n++] = *arg;
	args[n] = NULL;
	return uv_spawn(probe->prober->loop, &run->process, &options);
}

static void start(struct probe *probe)
{
	struct run *run;
	int r;

	if (!probe->monitor->config.script)
		return probe_finish_text(probe, REASON_UNSUPPORTED, 0,
					 "no script given", 15);
	if (running >= SCRIPTS_MAX)
		return probe_finish_errno(probe, EAGAIN);
	run = calloc(1, sizeof(*run));
	if (!run)
		return probe_finish_errno(probe, ENOMEM);
	uv_pipe_init(probe->prober->loop, &run->output, 0);
	run->process.data = run->output.data = run;
	run->handles = 2;
	run->probe = probe;
	r = spawn(probe, run);
	if (r) {
		/* libuv has initialised the process handle; nothing runs. */
		run->exited = true;
		leave(run);
		return probe_finish(probe, REASON_SPAWN, -r);
	}
	running++;
	probe->private = run;
	uv_read_start((uv_stream_t *)&run->output, on_alloc, on_output);
	probe_step(probe, "started, process %d", run->process.pid);
}

static void stop(struct probe *probe)
{
	if (probe->private)
		leave(probe->private);
	probe->private = NULL;
}

const struct probe_kind probe_script = { "script", start, stop, NULL };
