// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads the XDP program in every combination of its options and prints what
 * the verifier of the running kernel says of each, one line per combination:
 *
 *   PROGRAM OPTIONS INSTRUCTIONS STACK      (tab between, stack in bytes)
 *
 * Instructions are those the verifier walked through (its budget is one
 * million); the stack is the largest frame of a function.
 * Exit 1 with the end of the verifier's log if a combination does not load.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/steer.skel.h"
#include "hash.h"

#define LOG_SIZE (16 << 20)

/* Microsoft's published key would do as well: contents do not matter. */
static const __u8 key[40] = { 0x6d, 0x5a, 0x56, 0xda };

/* "stack depth A+B+…" has one number per subprogram; chains of calls are bound
 * by the kernel itself (it refuses more than 512), the largest frame is what a
 * change of the code shows in. */
static unsigned int stack_deepest(const char *log)
{
	const char *p = strstr(log, "stack depth ");
	unsigned int deepest = 0;

	if (!p)
		return 0;
	p += strlen("stack depth ");
	for (;;) {
		char *end;
		unsigned int n = strtoul(p, &end, 10);

		if (n > deepest)
			deepest = n;
		if (*end != '+')
			return deepest;
		p = end + 1;
	}
}

static int measure(bool v4, bool v6, unsigned int sets, char *log)
{
	struct bpf_prog_info info = {};
	struct steer_bpf *skel;
	__u32 len = sizeof(info);
	int err;

	skel = steer_bpf__open();
	if (!skel) {
		fprintf(stderr, "cannot open the object\n");
		return -1;
	}
	skel->rodata->have_v4 = v4;
	skel->rodata->have_v6 = v6;
	skel->rodata->flow_mask = sets - 1;
	toeplitz_tables_build(key, (__u32 *)skel->rodata->toeplitz);
	bpf_map__set_max_entries(skel->maps.flows, sets);
	log[0] = '\0';
	bpf_program__set_log_buf(skel->progs.steer, log, LOG_SIZE);
	bpf_program__set_log_level(skel->progs.steer, 4);
	err = steer_bpf__load(skel);
	if (err) {
		size_t n = strlen(log);

		fprintf(stderr, "steer v4=%d v6=%d: does not load: %s\n%s\n",
			v4, v6, strerror(-err),
			log + (n > 2000 ? n - 2000 : 0));
		goto out;
	}
	err = bpf_obj_get_info_by_fd(bpf_program__fd(skel->progs.steer),
				      &info, &len);
	if (err)
		goto out;
	printf("steer\tv4=%d,v6=%d\t%u\t%u\n", v4, v6, info.verified_insns,
	       stack_deepest(log));
out:
	steer_bpf__destroy(skel);
	return err;
}

int main(void)
{
	char *log = malloc(LOG_SIZE);
	int err = 0;

	if (!log)
		return 1;
	libbpf_set_print(NULL);
	for (int families = 1; families <= 3; families++)
		err |= measure(families & 1, families & 2, 1024, log);
	free(log);
	return err ? 1 : 0;
}
