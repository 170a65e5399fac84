/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every feature is named once and says what its absence costs; the kernel that
 * runs the other tests has all that are required; one that is taken away (a
 * process without rights) is missing by name.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bpf/features.h"

static void test_each_says_what_it_costs(void **state)
{
	const struct feature *f = features_all();

	for (int i = 0; i < FEATURES_N; i++) {
		assert_non_null(f[i].name);
		assert_true(f[i].name[0] && f[i].cost[0]);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(f[i].name, f[k].name);
	}
}

/* In a process of its own, whose rights are gone before the first look. */
static void test_a_missing_one_is_named(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct config_error e = { "" };
		bool optional_only = true;
		int rc;

		if (setuid(65534))
			_exit(10);
		rc = features_check(&e);
		for (int i = 0; i < FEATURES_N; i++)
			optional_only &= features_all()[i].present ||
					 !features_all()[i].required;
		if (optional_only)
			_exit(rc ? 11 : 12);
		_exit(rc == -EOPNOTSUPP && strstr(e.text, "XDP programs") &&
				      strstr(e.text, "CAP_BPF") ?
			      0 :
			      13);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_this_kernel_has_what_is_required(void **state)
{
	struct config_error e = { "" };

	if (features_check(&e))
		fail_msg("%s", e.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: it forks before anything is remembered. */
		cmocka_unit_test(test_a_missing_one_is_named),
		cmocka_unit_test(test_each_says_what_it_costs),
		cmocka_unit_test(test_this_kernel_has_what_is_required),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
