#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo leaves nothing behind, also when it is interrupted: no namespace, no
# process, no mount, no directory, no BPF program.
set -euo pipefail
. "$(dirname "$0")/../lib/netns.sh"
[ "$(id -u)" = 0 ] || skip "needs root"

out=$(mktemp)
trap 'rm -f "$out"' EXIT
left_behind() {
	ip netns list | grep "^sluice-demo-$1-"
	pgrep -f -- "--run-dir /tmp/sluice-demo-$1\." || true
	grep "/tmp/sluice-demo-$1\." /proc/mounts
	ls -d "/tmp/sluice-demo-$1".*
}

steady_or_gone() { grep ' steady' "$out" || [ ! -e "/proc/$pid" ]; }

for signal in INT TERM; do
	# A shell starts background commands with SIGINT ignored, for good.
	env --default-signal=INT setsid "$ROOT/scripts/demo" >"$out" 2>&1 &
	pid=$!
	until_true 60 steady_or_gone
	grep -q ' steady' "$out" || { cat "$out"; echo "the demo does not come to its traffic"; exit 1; }
	kill -s $signal -- "-$pid"
	rc=0
	wait $pid || rc=$?
	[ $rc != 0 ] || { echo "an interrupted demo exits with 0"; exit 1; }
	if left=$(left_behind "$pid" 2>/dev/null) || [ -n "$left" ]; then
		echo "left behind after SIG$signal: $left"
		exit 1
	fi
done
