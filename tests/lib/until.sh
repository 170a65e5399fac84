# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Waiting for a condition: the one place where tests pause. Sourced, never run.

now_ms() { date +%s%3N; }

# until_true SECONDS COMMAND…: waits for COMMAND to succeed. What ends the wait
# is the condition; the pause only spares the processor. SECONDS is what it may
# take on an idle machine; a busy one gets PATIENCE times as long, and an
# emulated one TIME_SCALE times that.
PATIENCE=${PATIENCE:-4}
TIME_SCALE=${TIME_SCALE:-1}
until_true() {
	local end=$(($(now_ms) + $1 * PATIENCE * TIME_SCALE * 1000))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.03
	done
}
