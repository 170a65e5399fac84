// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads the BPF programs, the XDP program with tables of several sizes (all
 * that its options change), and prints what the verifier of the running kernel
 * says of each, one line per program and option:
 *
 *   PROGRAM OPTIONS INSTRUCTIONS STACK      (tab between, stack in bytes)
 *
 * Instructions are those the verifier walked through (its budget is one
 * million); the stack is the largest frame of a function.
 * Exit 1 with the end of the verifier's log if one does not load.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ip_addr.h" /* the skeletons have such fields */

#include "bpf/component.skel.h"
#include "bpf/probe.skel.h"
#include "bpf/steer.skel.h"
#include "hash.h"
#include "limits.h"

#define LOG_SIZE (16 << 20)

/* Microsoft's published key would do as well: contents do not matter. */
static const __u8 key[40] = { 0x6d, 0x5a, 0x56, 0xda };

static _Noreturn void die(const char *what, const char *which)
{
	fprintf(stderr, "tool_budget: %s %s\n", what, which);
	exit(1);
}

#define DEPTH "stack depth "
#define FRAME " stack "

/* "A+B+…", a number per function. */
static unsigned int largest_of_list(const char *p)
{
	unsigned int largest = 0;

	for (;;) {
		char *end;
		unsigned int n = strtoul(p, &end, 10);

		if (n > largest)
			largest = n;
		if (*end != '+')
			return largest;
		p = end + 1;
	}
}

/* "subprog … stack A", a line per function. */
static unsigned int largest_of_lines(const char *p)
{
	unsigned int largest = 0;

	while ((p = strstr(p, FRAME))) {
		p += strlen(FRAME);
		unsigned int n = strtoul(p, NULL, 10);

		if (n > largest)
			largest = n;
	}
	return largest;
}

/* Chains of calls are bound by the kernel itself (it refuses more than 512
 * bytes), the largest frame is what a change of the code shows in. Newer kernels
 * have the deepest chain, as "max N", where others have the list. */
static unsigned int stack_deepest(const char *log)
{
	const char *p = strstr(log, DEPTH);

	if (!p)
		die("the verifier says nothing of the stack:", log);
	p += strlen(DEPTH);
	if (*p >= '0' && *p <= '9')
		return largest_of_list(p);
	if (!strstr(p, FRAME))
		die("what the verifier says of the stack is new:", log);
	return largest_of_lines(p);
}

static void print(const char *program, const char *options, int fd,
		  const char *log)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		die("no information of", program);
	printf("%s\t%s\t%u\t%u\n", program, options, info.verified_insns,
	       stack_deepest(log));
}

/* Loads OBJECT, whose only program is PROG; prints what became of it. */
static int measure(struct bpf_object *object, struct bpf_program *prog,
		   const char *name, const char *options)
{
	static char log[LOG_SIZE];
	size_t n;
	int err;

	log[0] = '\0';
	bpf_program__set_log_buf(prog, log, sizeof(log));
	bpf_program__set_log_level(prog, 4);
	err = bpf_object__load(object);
	if (!err) {
		print(name, options, bpf_program__fd(prog), log);
		return 0;
	}
	n = strlen(log);
	fprintf(stderr, "%s %s: does not load: %s\n%s\n", name, options,
		strerror(-err), log + (n > 2000 ? n - 2000 : 0));
	return -1;
}

static int measure_steer(unsigned int sets_log2)
{
	struct steer_bpf *skel = steer_bpf__open();
	char options[32];
	int err;

	if (!skel)
		die("cannot open", "steer");
	skel->rodata->flow_mask = (1u << sets_log2) - 1;
	toeplitz_tables_build(key, (__u32 *)skel->rodata->toeplitz);
	bpf_map__set_max_entries(skel->maps.flows, 1u << sets_log2);
	/* As the loader has it. */
	bpf_program__set_expected_attach_type(skel->progs.steer, 0);
	snprintf(options, sizeof(options), "flow_sets=2^%u", sets_log2);
	err = measure(skel->obj, skel->progs.steer, "steer", options);
	steer_bpf__destroy(skel);
	return err;
}

/* Programs without options, the only ones of their objects. */
static int measure_only(const char *name, const void *elf, size_t len)
{
	struct bpf_object *object = bpf_object__open_mem(elf, len, NULL);
	int err;

	if (!object)
		die("cannot open", name);
	err = measure(object, bpf_object__next_program(object, NULL), name,
		      "-");
	bpf_object__close(object);
	return err;
}

int main(void)
{
	/* The smallest table, the default, and what the guests' memory has
	 * room for. */
	static const unsigned int sets_log2[] = { FLOW_SETS_LOG2_MIN, 18, 20 };
	const void *elf;
	size_t len;
	int err = 0;

	libbpf_set_print(NULL);
	for (size_t i = 0; i < sizeof(sets_log2) / sizeof(*sets_log2); i++)
		err |= measure_steer(sets_log2[i]);
	elf = component_bpf__elf_bytes(&len);
	err |= measure_only("component", elf, len);
	elf = probe_bpf__elf_bytes(&len);
	err |= measure_only("probe", elf, len);
	return err ? 1 : 0;
}
