/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capabilities by libcap. The bounding set goes too, where that is allowed,
 * so that a program run by root cannot get back what was given up; where it is
 * not, no_new_privs does the same for what is executed from here on.
 */
#include "util/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Numbers are ABI; old headers lack the names. */
#define SLUICE_CAP_PERFMON 38
#define SLUICE_CAP_BPF 39

static bool memory_is_limited(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (!setrlimit(RLIMIT_MEMLOCK, &limit))
		return false;
	return getrlimit(RLIMIT_MEMLOCK, &limit) ||
	       limit.rlim_cur != RLIM_INFINITY;
}

int privileges_drop(bool with_admin)
{
	cap_value_t keep[6] = { CAP_NET_ADMIN, CAP_NET_RAW, SLUICE_CAP_BPF,
				SLUICE_CAP_PERFMON };
	int n = 4, i, j, err = 0;
	cap_flag_value_t has;
	cap_t now = cap_get_proc(), next = cap_init();

	if (memory_is_limited())
		keep[n++] = CAP_IPC_LOCK;
	if (with_admin)
		keep[n++] = CAP_SYS_ADMIN;
	if (!now || !next) {
		err = -errno;
		goto out;
	}
	for (i = 0; i < n; i++) {
		if (cap_get_flag(now, keep[i], CAP_PERMITTED, &has) ||
		    has != CAP_SET)
			continue;
		if (cap_set_flag(next, CAP_PERMITTED, 1, &keep[i], CAP_SET) ||
		    cap_set_flag(next, CAP_EFFECTIVE, 1, &keep[i], CAP_SET)) {
			err = -errno;
			goto out;
		}
	}
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		for (j = 0; j < n && keep[j] != i; j++)
			;
		if (j == n)
			cap_drop_bound(i); /* needs CAP_SETPCAP; see above */
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || cap_set_proc(next))
		err = -errno;
out:
	cap_free(now);
	cap_free(next);
	return err;
}

bool privileges_have_admin(void)
{
	cap_flag_value_t has = CAP_CLEAR;
	cap_t now = cap_get_proc();

	if (now)
		cap_get_flag(now, CAP_SYS_ADMIN, CAP_EFFECTIVE, &has);
	cap_free(now);
	return has == CAP_SET;
}

const char *privileges_text(void)
{
	static char text[256];
	cap_t now = cap_get_proc();
	char *all = now ? cap_to_text(now, NULL) : NULL;

	snprintf(text, sizeof(text), "%s", all ? all : "?");
	cap_free(all);
	cap_free(now);
	return text;
}
