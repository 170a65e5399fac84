#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The demo leaves nothing behind, also when it is interrupted: no namespace, no
# process, no mount, no directory, no BPF program.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }

out=$(mktemp)
trap 'rm -f "$out"' EXIT
left_behind() {
	ip netns list | grep "^sluice-demo-$1-"
	pgrep -f -- "--run-dir /tmp/sluice-demo-$1\." || true
	grep "/tmp/sluice-demo-$1\." /proc/mounts
	ls -d "/tmp/sluice-demo-$1".*
}

for signal in INT TERM; do
	# A shell starts background commands with SIGINT ignored, for good.
	env --default-signal=INT setsid "$root/scripts/demo" >"$out" 2>&1 &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		grep -q ' steady' "$out" && break
		[ -e /proc/$pid ] || break
		sleep 0.1
	done
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
