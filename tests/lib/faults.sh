# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is done to a node while traffic runs. Each function returns when the
# fault is over (the engine is back, the daemon answers), so that what follows
# is not blamed on it. Sourced after node.sh.

fault_random_engine() { engine_pids | shuf -n 1; }

# Kills an engine and waits for its successor.
fault_engine_kill() {
	local pid count
	count=$(engine_pids | wc -l)
	pid=$(fault_random_engine)
	[ -n "$pid" ] || fail "no engine to kill"
	kill -9 "$pid"
	until_true 15 fault_engine_replaced "$pid" "$count" ||
		fail "engine $pid is not replaced after kill -9"
}

fault_engine_replaced() {
	! engine_pids | grep -qx "$1" && engines_ready "$2"
}

# Stops one for MS milliseconds. The daemon may replace it meanwhile.
fault_engine_stop() {
	local pid
	pid=$(fault_random_engine)
	[ -n "$pid" ] || fail "no engine to stop"
	kill -STOP "$pid"
	sleep "$(awk "BEGIN { print $1 / 1000 }")"
	kill -CONT "$pid" 2>/dev/null || true
	until_true 15 engines_ready "${2:-$ENGINES}" ||
		fail "engines do not come back after SIGSTOP"
}

fault_swap() {
	local i
	for ((i = 0; i < ${1:-1}; i++)); do
		cli datapath swap >/dev/null || fail "swap $i is refused"
	done
}

# Kills the daemon, leaves the node without one for MS, starts it again.
fault_daemon_kill() {
	local before
	before=$(engine_pids | sort)
	sluiced_kill
	sleep "$(awk "BEGIN { print ${2:-300} / 1000 }")"
	sluiced_up "$1"
	until_true 15 fault_engines_are "$before" ||
		fail "the daemon does not adopt the engines it left behind"
}

fault_engines_are() { [ "$(engine_pids | sort)" = "$1" ]; }

fault_scale() {
	cli engine scale "$1" >/dev/null || fail "scaling to $1 is refused"
	until_true 15 engines_exactly "$1" || fail "engines do not become $1"
}

fault_drain() {
	local s
	for s in "$@"; do
		cli service disable "$s" --graceful >/dev/null || fail "cannot drain $s"
	done
}

fault_enable() {
	local s
	for s in "$@"; do
		cli service enable "$s" >/dev/null || fail "cannot enable $s"
	done
}

# Frames of each pool, over all places they can be in, are all there.
pools_full() {
	cli -j engine show | jq -e '.pools | length > 0 and all(
		.fill + .rx + .tx + .completion + .free + .held == .total)' >/dev/null
}

# … and none is in anyone's hands.
pools_at_rest() {
	cli -j engine show | jq -e '.pools | length > 0 and all(
		.fill + .free == .total)' >/dev/null
}
