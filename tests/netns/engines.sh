#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Engine processes: without privileges, replaced after death, their frames
# back to the full count after forty deaths under new connections; none left, and
# nobody to start others: XDP sets connections up alone.
set -euo pipefail
MODE=nat QUEUES=2 ENGINES=3
. "$(dirname "$0")/../lib/scenario.sh"
scenario_up
until_true 15 pools_at_rest || fail "frames not at rest before any traffic"
total=$(cli -j engine show | jq '[.pools[].total] | add')

for pid in $(engine_pids); do
	grep -q '^CapEff:[[:space:]]*0*$' "/proc/$pid/status" ||
		fail "engine $pid has capabilities: $(grep Cap "/proc/$pid/status" | tr '\n' ' ')"
	grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status" ||
		fail "engine $pid may gain privileges"
done

# All traffic through engines: each request is a new connection.
BIG=20 LONG=10 SHORT=150
scenario_web
load_phase web deaths
declare -A killed=()
for ((i = 0; ${#killed[@]} < 40 && i < 1000; i++)); do
	pid=$(fault_random_engine)
	# All may be dead, or this one by the last turn's kill.
	if [ -n "$pid" ] && fault_kill "$pid"; then killed[$pid]=1; fi
	load_more web 20
done
[ ${#killed[@]} = 40 ] || fail "only ${#killed[@]} engines came to be killed"
until_true 30 engines_exactly 3 || fail "not three engines after forty deaths"
load_sound web
until_true 20 pools_at_rest || fail "frames do not come back: $(cli -j engine show)"
[ "$(cli -j engine show | jq '[.pools[].total] | add')" = "$total" ] ||
	fail "pools changed their size"
pools_full || fail "frames are missing: $(cli -j engine show)"

# A stopped one gets no new work: connections go on at once.
stopped=$(engine_pids | head -n 2)
# shellcheck disable=SC2086
kill -STOP $stopped
rm -f "$RUN/web.ctl"
SHORT=50 scenario_web
load_more web 500
load_sound web
for pid in $stopped; do
	until_true 20 fault_engine_replaced "$pid" 3 || fail "stopped engine $pid is not replaced"
done

# All of them gone, and the daemon, too: XDP sets connections up alone.
pids=$(engine_pids)
sluiced_kill
# shellcheck disable=SC2086
kill -9 $pids
for pid in $pids; do
	until_true 5 test ! -e "/proc/$pid" || fail "engine $pid survives kill -9"
done
# Nobody is there to resolve next hops, either.
netns_wait_ready
rm -f "$RUN/web.ctl"
SHORT=50 scenario_web
load_more web 500
load_sound web
sluiced_up "$RUN/sluice.json" 3
counter() { cli -j stats | jq --arg n "$1" '.counters[] | select(.name == $n).value'; }
[ "$(counter setup_alone)" -gt 100 ] ||
	fail "XDP has not set up flows alone: $(counter setup_alone)"
until_true 20 engines_exactly 3 || fail "engines do not come back"
