// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exchanges the program of a pinned link with another one and back, as fast as
 * it goes: the moment of a swap without the time to load and verify one.
 *
 *   tool_swap LINK_PIN PROGRAM_PIN OTHER_PIN TIMES    ends on PROGRAM_PIN
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int get(const char *pin)
{
	int fd = bpf_obj_get(pin);

	if (fd < 0) {
		fprintf(stderr, "tool_swap: %s: %s\n", pin, strerror(errno));
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int link, progs[2];

	if (argc != 5) {
		fprintf(stderr, "usage: tool_swap LINK PROGRAM OTHER TIMES\n");
		return 2;
	}
	link = get(argv[1]);
	progs[0] = get(argv[2]);
	progs[1] = get(argv[3]);
	for (int i = atoi(argv[4]) & ~1; i > 0; i--) {
		/* Even numbers left go to the other, the last one back. */
		int rc = bpf_link_update(link, progs[i % 2 == 0], NULL);

		if (rc) {
			fprintf(stderr, "tool_swap: %s\n", strerror(-rc));
			return 1;
		}
	}
	return 0;
}
