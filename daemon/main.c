/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sluiced: command line, and going to the background. Exit status: 0 done,
 * 1 wrong usage, 2 the configuration or the kernel refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bpf/datapath.h"
#include "bpf/features.h"
#include "config/config.h"
#include "daemon.h"
#include "util/log.h"
#include "version.h"

enum { EXIT_USAGE = 1, EXIT_REFUSED = 2 };

enum { OPT_CHECK = 256, OPT_RUN_DIR, OPT_STATE_DIR, OPT_BPFFS, OPT_STOP,
       OPT_FOREGROUND, OPT_VERBOSE };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "bpffs", required_argument, NULL, OPT_BPFFS },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "stop-datapath", no_argument, NULL, OPT_STOP },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"usage: sluiced [--config FILE] [--check] [--run-dir DIR] [--state-dir DIR]\n"
	"               [--bpffs DIR] [--foreground] [--verbose]\n"
	"       sluiced --stop-datapath [--bpffs DIR]\n"
	"       sluiced --help | --version\n"
	"\n"
	"  --config FILE     configuration, JSON with comments (/etc/sluice/sluice.json)\n"
	"  --check           check configuration and kernel, change nothing\n"
	"  --run-dir DIR     sockets, pid file (/run/sluice)\n"
	"  --state-dir DIR   state that survives a reboot (/var/lib/sluice)\n"
	"  --bpffs DIR       pins: DIR/progs/steer, DIR/maps/NAME, DIR/links/IFNAME\n"
	"                    (/sys/fs/bpf/sluice)\n"
	"  --foreground      stay in the foreground, log to standard error; otherwise\n"
	"                    go to the background when ready, log to RUNDIR/sluiced.log\n"
	"  --stop-datapath   take down the data plane of a daemon that does not run:\n"
	"                    detach, unpin, end engines; established flows end\n"
	"  --verbose         log more\n"
	"\n"
	"The data plane runs on when sluiced stops. sluice datapath detach takes it off\n"
	"the interfaces; --stop-datapath removes it altogether.\n"
	"Signals: TERM, INT stop; HUP reads the configuration again.\n"
	"Exit status: 0 done, 1 wrong usage, 2 configuration or kernel refused.\n";

/* Names what the kernel lacks. */
static int check_kernel(void)
{
	const struct feature *f;
	struct config_error e;
	int missing = 0;

	if (geteuid()) {
		printf("kernel: not examined, that takes root\n");
		return 0;
	}
	f = features_all();
	for (int i = 0; i < FEATURES_N; i++) {
		if (f[i].present)
			continue;
		missing++;
		printf("kernel: no %s (%s): %s\n", f[i].name,
		       f[i].required ? "required" : "optional", f[i].cost);
	}
	if (!missing)
		printf("kernel: has all %d features that are used\n",
		       FEATURES_N);
	return features_check(&e) ? EXIT_REFUSED : 0;
}

static int check(const char *path)
{
	struct config_error e = { "" };
	struct config *config;

	if (config_load(path, &config, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return EXIT_REFUSED;
	}
	config_free(config);
	printf("%s: valid\n", path);
	return check_kernel();
}

static int stop_datapath(const char *bpffs)
{
	struct config_error e = { "" };

	if (datapath_stop(bpffs, &e)) {
		fprintf(stderr, "sluiced: %s\n", e.text);
		return EXIT_REFUSED;
	}
	return 0;
}

/* ---- background -------------------------------------------------------- */

struct background {
	int pipe; /* one byte here: ready; -1: in the foreground */
	const char *run_dir;
};

static void on_ready(void *ctx)
{
	struct background *b = ctx;
	char path[256];
	int fd, null;

	if (b->pipe < 0)
		return;
	if (write(b->pipe, "", 1) != 1)
		log_warn("the process that started this one is gone");
	close(b->pipe);
	snprintf(path, sizeof(path), "%s/sluiced.log", b->run_dir);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(fd >= 0 ? fd : null, STDERR_FILENO);
		close(null);
	}
	if (fd >= 0)
		close(fd);
}

/* In the parent, waits until the child is ready and exits; in the child,
 * returns the pipe to say so. -errno. */
static int go_to_background(void)
{
	int ends[2], status = 0;
	pid_t pid;
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		close(ends[0]);
		setsid();
		return ends[1];
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 1)
		_exit(0);
	/* It ended before it was ready: pass on why. */
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(EXIT_REFUSED);
}

int main(int argc, char **argv)
{
	struct background background = { .pipe = -1 };
	struct daemon_options options = {
		.config = "/etc/sluice/sluice.json",
		.run_dir = "/run/sluice",
		.state_dir = "/var/lib/sluice",
		.bpffs = "/sys/fs/bpf/sluice",
		.ready = on_ready,
		.ctx = &background,
	};
	bool only_check = false, foreground = false, stop = false;
	int c, level = LOG_INFO;

	while ((c = getopt_long(argc, argv, "c:hV", long_options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			options.config = optarg;
			break;
		case OPT_CHECK:
			only_check = true;
			break;
		case OPT_RUN_DIR:
			options.run_dir = optarg;
			break;
		case OPT_STATE_DIR:
			options.state_dir = optarg;
			break;
		case OPT_BPFFS:
			options.bpffs = optarg;
			break;
		case OPT_FOREGROUND:
			foreground = true;
			break;
		case OPT_STOP:
			stop = true;
			break;
		case OPT_VERBOSE:
			level = LOG_DEBUG;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'V':
			printf("sluiced %s\n", SLUICE_VERSION);
			return 0;
		default:
			fputs("try: sluiced --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: unexpected argument: %s\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	if (only_check)
		return check(options.config);
	if (stop)
		return stop_datapath(options.bpffs);
	log_init("sluiced", level);
	background.run_dir = options.run_dir;
	if (!foreground) {
		background.pipe = go_to_background();
		if (background.pipe < 0) {
			log_err("cannot go to the background: %s",
				strerror(-background.pipe));
			return EXIT_REFUSED;
		}
	}
	return daemon_run(&options) ? EXIT_REFUSED : 0;
}
