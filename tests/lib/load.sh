# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs tool_load and tool_udp in the client's namespace and speaks to them.
# Sourced after netns.sh. NAME tells several generators apart.
#
#   load_start NAME OPTIONS…   tool_load run, or tool_udp run for names udp…
#   load_phase NAME PHASE      what is sent from now on belongs to PHASE
#   load_ended NAME PHASE      waits for the end of what was sent before PHASE,
#                              so that no later fault meets it
#   load_more NAME N           waits for N further answers
#   load_stop NAME             ends it; the accounts are in RUN/NAME.json
#   load_sound NAME            ends it; fails if anything failed or broke

load_tool() {
	case $1 in
	udp*) echo "$B/tests/netns/tool_udp" ;;
	*) echo "$B/tests/netns/tool_load" ;;
	esac
}

load_start() {
	local name=$1
	shift
	# Of an earlier run by the same name: its counts are not this one's.
	rm -f "$RUN/$name.status"
	mkfifo "$RUN/$name.ctl"
	# An emulated machine may stand still for longer than a connection is
	# given on a real one.
	[[ $name = udp* ]] || set -- --timeout-ms $((10000 * TIME_SCALE)) "$@"
	nsenter --net="/var/run/netns/$CLIENT" -- "$(load_tool "$name")" run \
		--control "$RUN/$name.ctl" --status "$RUN/$name.status" \
		--output "$RUN/$name.json" "$@" >"$RUN/$name.log" 2>&1 </dev/null &
	eval "LOAD_PID_${name//-/_}=$!"
	until_true 10 test -s "$RUN/$name.status" || fail "$name does not start"
}

load_phase() { echo "phase $2" >"$RUN/$1.ctl"; }

load_ended() {
	until_true 10 load_has_ended "$1" "$2" || fail "$1: requests sent before $2 do not end"
}
load_has_ended() { [ "$(cut -d' ' -f1,7 "$RUN/$1.status")" = "$2 0" ]; }

# Field of the status line: 1 phase, 2 sent, 3 answered, 4 failed, 5 broken,
# 6 open, 7 of earlier phases under way.
load_field() { cut -d' ' -f"$2" "$RUN/$1.status"; }
load_answered() { load_field "$1" 3; }

load_reached() { [ "$(load_answered "$1")" -ge "$2" ]; }

load_more() {
	until_true 10 load_reached "$1" $(($(load_answered "$1") + $2)) ||
		fail "$1: not $2 further answers in time"
}

# Exit status of the generator.
load_stop() {
	local pid_name="LOAD_PID_${1//-/_}" rc=0
	echo stop >"$RUN/$1.ctl"
	wait "${!pid_name}" || rc=$?
	rm -f "$RUN/$1.ctl"
	[ -s "$RUN/$1.json" ] || fail "$1 left no accounts (exit status $rc)"
	return $rc
}

load_table() {
	jq -r '(.phases + [.total])[] | select(.sent > 0) |
		[.name, .sent, .answered, .failed, .broken,
		 (.p50_us / 1000), (.p99_us / 1000), .max_us / 1000,
		 (.errors | tostring), (.backends | tostring)] | @tsv' "$RUN/$1.json" |
		awk -F'\t' 'BEGIN { f = "%-18s %8s %9s %6s %6s %8s %8s %8s  %s %s\n"
			printf f, "phase", "sent", "answered", "failed", "broken",
				"p50 ms", "p99 ms", "max ms", "errors", "back ends" }
			{ printf "%-18s %8d %9d %6d %6d %8.1f %8.1f %8.1f  %s %s\n", $1, $2, $3, $4,
				$5, $6, $7, $8, $9, $10 }'
}

load_sound() {
	local rc=0
	load_stop "$1" || rc=$?
	load_table "$1"
	[ $rc = 0 ] || fail "$1: requests failed or connections broke"
}
