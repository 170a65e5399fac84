# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is done to a node while traffic runs. Each function returns when the
# fault is over (the engine is back, the daemon answers), so that what follows
# is not blamed on it. Sourced after node.sh and load.sh.

fault_random_engine() { engine_pids | shuf -n 1; }

# Fails if PID has died meanwhile: the list it was taken from is older than this.
fault_kill() { kill -9 "$1" 2>/dev/null; }

# Kills an engine and waits for its successor.
fault_engine_kill() {
	local pid count
	count=$(engine_pids | wc -l)
	pid=$(fault_random_engine)
	[ -n "$pid" ] || fail "no engine to kill"
	fault_kill "$pid" || true
	until_true 15 fault_engine_replaced "$pid" "$count" ||
		fail "engine $pid is not replaced after kill -9"
}

fault_engine_replaced() {
	! engine_pids | grep -qx "$1" && engines_ready "$2"
}

# fault_engine_stop [LOAD N]: stops one until LOAD has N further answers, or else
# until the daemon has replaced it.
fault_engine_stop() {
	local pid count
	count=$(engine_pids | wc -l)
	pid=$(fault_random_engine)
	[ -n "$pid" ] || fail "no engine to stop"
	kill -STOP "$pid"
	if [ $# -gt 0 ]; then
		load_more "$@"
		# Stopped for longer than the daemon bears, it is dead.
		kill -CONT "$pid" 2>/dev/null || true
		until_true 15 engines_ready "$count" ||
			fail "engines do not come back after SIGSTOP"
	else
		until_true 15 fault_engine_replaced "$pid" "$count" ||
			fail "engine $pid is not replaced after SIGSTOP"
	fi
}

fault_swap() {
	local i
	for ((i = 0; i < ${1:-1}; i++)); do
		cli datapath swap >/dev/null || fail "swap $i is refused"
	done
}

# fault_daemon_kill FILE [LOAD N]: kills the daemon, leaves the node without one
# until LOAD has N further answers, starts it again.
fault_daemon_kill() {
	local before config=$1
	shift
	before=$(engine_pids | sort)
	sluiced_kill
	[ $# = 0 ] || load_more "$@"
	sluiced_up "$config"
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
