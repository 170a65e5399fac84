/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A prober handles hostile bytes, so it gives up everything: capabilities in
 * all sets, the way to new ones (no_new_privs), and, where the kernel has
 * Landlock, writing to the file system. The user stays the daemon's: the daemon
 * has no CAP_KILL after its start and must still be able to end a prober that
 * hangs. Files of that user can therefore be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "prober/confine.h"
#include "util/privileges.h"

/* Everything of the first Landlock ABI that changes something. */
#define WRITES                                                                 \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |       \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |       \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |           \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |         \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int rules, const char *path)
{
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	if (beneath.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		&beneath, 0);
	close(beneath.parent_fd);
}

static int forbid_writes(void)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = WRITES };
	int rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			    0);
	int r = 0;

	/* Not in this kernel, or not switched on: go on without. */
	if (rules < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	allow(rules, "/dev/null");
	if (syscall(SYS_landlock_restrict_self, rules, 0))
		r = -errno;
	close(rules);
	return r;
}

int confine_self(void)
{
	static const struct rlimit no_core = { 0, 0 };
	cap_t none;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	/* Needs CAP_SETPCAP, which the daemon may lack: no_new_privs does
	 * what matters. */
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	none = cap_init();
	if (!none)
		return -errno;
	r = cap_set_proc(none) ? -errno : 0;
	cap_free(none);
	if (r)
		return r;
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, PROCESS_DUMPABLE);
	return forbid_writes();
}
