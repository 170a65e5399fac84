#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every place where daemon, engine and prober ask for memory is refused it
# once (tests/lib/preload/failalloc.c), on node n0 of two (drawing:
# tests/lib/cluster.sh): at start, in every command, in the cluster's work, in
# the recovery from faults. A start that fails says why and leaves nothing
# behind; a command that fails says why, leaves the configuration as it was,
# and succeeds when it is given again; nothing ever dies of a signal. At the
# end the places are counted against those that the executables contain.
# Libraries keep their memory: some end the process without it (libuv, glibc).
NETNS_PREFIX=alc
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"
TRIES=200
SHIM=$ROOT/build/tests/lib/preload/failalloc.so
SERVICE_OPTIONS[1]='"path_monitor": true'
cluster_topology 2 3

config() { # I
	cluster_config "$1" | jq '
	.probers = 1 |
	.monitors += [
	  { name: "tcp", type: "tcp-ecv", send: "GET / HTTP/1.0\r\n\r\n", expect: "HTTP/1.[01] [0-9]{3}", expect_regex: true, interval_ms: 200 },
	  { name: "ping", type: "ping", interval_ms: 200 },
	  { name: "script", type: "script", script: "/bin/true", args: [ "a", "b" ], interval_ms: 300 },
	  { name: "https", type: "https", verify: false, interval_ms: 300 },
	  { name: "inline", type: "inline", window_ms: 1000 } ] |
	.services[].monitors += [ "tcp", "ping", "script", "https", "inline" | { monitor: . } ] |
	.services[].monitors[0].weight = 10 | .services[].threshold = 10 |
	.vservers = [
	  { name: "v4", address: "192.0.2.10", port: 80, protocol: "tcp", mode: "nat", method: "maglev",
	    services: [ { service: "s1" }, { service: "s2" } ] },
	  { name: "u4", address: "192.0.2.11", port: 53, protocol: "udp", mode: "nat", method: "least-connections",
	    services: [ { service: "s2", weight: 2 }, { service: "s3" } ] } ] |
	.tunnel = { source4: "10.0.9.10" } | .nat = [ "10.0.9.10" ]'
}
for i in 0 1; do config $i >"$RUN/n$i/sluice.json"; done

# Says which places these are: program, offset → file and line.
places() {
	local program offset _
	while read -r program offset _; do
		printf '%s %s\n' "$program" \
			"$(addr2line -fsp -e "$B/$program" "$(printf '%x' $((0x$offset - 1)))")"
	done
}
blame() { # TEXT: fails, naming what has failed last
	{ [ ! -s "$RUN/failed" ] || tail -n 4 "$RUN/failed" | places; } >&2
	fail "$*"
}

n0_run() {
	: >"$RUN/n0.log"
	nsenter --net="/var/run/netns/$(node_ns 0)" -- env \
		FAILALLOC_SEEN="$RUN/seen" FAILALLOC_LOG="$RUN/failed" \
		FAILALLOC_PROGRAMS="sluiced sluice-engine sluice-prober" \
		LD_PRELOAD="$SHIM" \
		"$B/sluiced" --config "$RUN/n0/sluice.json" --run-dir "$RUN/n0/run" \
		--state-dir "$RUN/n0/state" --bpffs "$RUN/bpf/n0" --foreground \
		>>"$RUN/n0.log" 2>&1 </dev/null &
	NODE_PID[0]=$!
}
n0_decided() { node_gone 0 || ncli 0 -j node show; }
node_gone() { ! [ -e "/proc/${NODE_PID[$1]}" ] || grep -q '^State:.*Z' "/proc/${NODE_PID[$1]}/status"; }
alive() { ! node_gone 0 || blame "the daemon died in: $*: $(tail -n 3 "$RUN/n0.log")"; }

# start_n0 nothing|anything: until it succeeds. A failed one says why, and takes down what
# it had set up, unless a data plane was there before it.
start_n0() {
	local n rc before
	for ((n = 1; ; n++)); do
		[ $n -le $TRIES ] || blame "no start succeeds"
		before=$(wc -l <"$RUN/failed")
		n0_run
		until_true 15 n0_decided || blame "the daemon neither ends nor answers"
		node_gone 0 || break
		rc=0
		wait "${NODE_PID[0]}" || rc=$?
		[ "$(wc -l <"$RUN/failed")" -gt "$before" ] ||
			blame "start $n fails with all its memory: $(tail -n 3 "$RUN/n0.log")"
		[ $rc = 2 ] || blame "start $n ends with $rc, not 2: $(tail -n 5 "$RUN/n0.log")"
		grep -qi memory "$RUN/n0.log" ||
			blame "start $n does not say why it fails: $(tail -n 3 "$RUN/n0.log")"
		[ "$1" = anything ] || [ -z "$(ls "$RUN/bpf/n0" 2>/dev/null)" ] ||
			blame "start $n leaves pins behind"
	done
	say "$n starts, $(wc -l <"$RUN/failed") places"
}
: >"$RUN/failed"
start_n0 nothing
cluster_start 1

# ---- commands ----
config_now() {
	local n
	for ((n = 0; n < TRIES; n++)); do
		ncli 0 config show 2>/dev/null && return
		alive config show
	done
	blame "config show never succeeds"
}

engine_ready() { ncli 0 -j engine show | jq -e '.ready >= 1'; }
prober_ready() { ncli 0 -j prober show | jq -e '.probers | any(.state == "running")'; }

# op COMMAND…: again and again until it succeeds.
op() {
	local n rc before err failed
	before=$(config_now) || exit 1
	for ((n = 0; n < TRIES; n++)); do
		rc=0
		# One that lacks memory ends, and there is none for a moment.
		[ "$1 $2" != "monitor try" ] || until_true 20 prober_ready
		failed=$(wc -l <"$RUN/failed")
		err=$(ncli 0 "$@" 2>&1 >/dev/null) || rc=$?
		alive "$@"
		[ $rc = 0 ] && return
		[ $rc = 2 ] || blame "$*: exit status $rc: $err"
		[ -n "$err" ] || blame "$*: refused without a word"
		[ "$(wc -l <"$RUN/failed")" -gt "$failed" ] ||
			blame "$*: refused with all the memory there is: $err"
		[ "$(config_now)" = "$before" ] || blame "$*: refused, and yet the configuration has changed: $err"
	done
	blame "$* never succeeds: $err"
}

streams() { # start a watch, end it
	local p
	for p in services/watch cluster/trace; do
		curl -sN -m 1 --unix-socket "$RUN/n0/run/sluiced.sock" "http://x/v1/$p" >/dev/null
		alive $p
	done
}

jq '.vservers += [.vservers[0] + {"name": "more", "port": 8080}] |
	.services[2].port = 81 | del(.monitors[5], .services[].monitors[5])' \
	"$RUN/n0/sluice.json" >"$RUN/more.json"
# Nobody answers here.
name_tried() { ncli 0 -j service show named | jq -e '.name_resolution.error'; }
commands() {
	op node show
	op vserver show
	op vserver show v4
	op service show
	op service show s1
	op monitor show
	op monitor show m
	op prober show
	op engine show
	op bucket show
	op flow show
	op flow show vserver v4 limit 5
	op flow where tcp 198.51.100.7:40000 192.0.2.10:80
	op datapath show
	op stats -v
	op hash 198.51.100.7:40000 192.0.2.10:80
	op cluster show
	op config apply "$RUN/more.json"
	op config apply "$RUN/n0/sluice.json"
	op service add extra address 10.0.9.101 port 82
	op vserver bind v4 extra
	op service set extra conns_max 100
	op monitor bind m extra
	op monitor unbind m extra
	op vserver unbind v4 extra
	op service rm extra
	op service add named domain www.example.org port 82
	until_true 20 name_tried || blame "nobody asks for a name: $(ncli 0 -j service show named)"
	op service rm named
	op monitor try http 10.0.9.101:80
	op service disable s2 --graceful
	op service disable s2
	op service enable s2
	op engine scale 2
	op engine scale 1
	op prober scale 2
	op prober scale 1
	op datapath swap
	op datapath detach
	op datapath swap
	op config save "$RUN/saved.json"
	op config check "$RUN/saved.json"
	streams
}
commands

# ---- the cluster's work, and recovery ----
until_true 30 same_view "0 1" "n0 n1" || blame "n0 does not get into the view"
until_true 30 all_services 1 UP || blame "n1 does not know that all services are up"
until_true 30 all_services 0 UP || blame "n0 does not know that all services are up: $(ncli 0 service show)"
op cluster passive
op cluster active
until_true 30 same_view "0 1" "n0 n1" || blame "n0 does not get back into the view"
back_down 2
for i in 0 1; do until_true 20 service_state_is $i s2 DOWN || blame "n$i believes s2 is up"; done
backs_heal
for i in 0 1; do until_true 30 all_services $i UP || blame "n$i does not see s2 return"; done
for i in 1 2; do
	for what in engine prober; do
		pid=$(ncli 0 -j $what show | jq ".${what}s[0].pid // empty")
		[ -z "$pid" ] || kill -9 "$pid"
		until_true 20 ${what}_ready || blame "no $what after kill -9"
	done
done
kill -HUP "${NODE_PID[0]}"
kill -HUP "${NODE_PID[0]}"
commands
alive "all of it"

# ---- end, and a second life, on the same data plane ----
kill -TERM "${NODE_PID[0]}"
until_true 20 node_gone 0 || blame "the daemon does not stop"
rc=0
wait "${NODE_PID[0]}" || rc=$?
[ $rc = 0 ] || blame "the daemon ends with $rc, not 0"
start_n0 anything
until_true 30 same_view "0 1" "n0 n1" || blame "n0 does not come back"
for i in 0 1; do until_true 30 all_services $i UP || blame "n$i: services are not up in the end"; done
# Engines and probers may end for want of memory, and this test kills some.
crashed=$(grep -aE 'Segmentation|Aborted|Bus error|Assertion|signal (4|6|7|8|11)\b' "$RUN/n0.log") &&
	blame "something crashed: $crashed"

# ---- what was reached ----
contained() { # PROGRAM
	objdump -d "$B/$1" | awk -v p="$1" '
		want { sub(":", "", $1); print p, $1; want = 0 }
		/call.*<(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|__asprintf_chk|__vasprintf_chk|aligned_alloc|mmap)@plt>/ { want = 1 }'
}
for p in sluiced sluice-engine sluice-prober; do contained $p; done | sort -u >"$RUN/contained"
awk '{ print $1, $2 }' "$RUN/failed" | sort -u >"$RUN/reached"
# dispatcher.sh says whether this kernel has one to join.
comm -23 "$RUN/contained" "$RUN/reached" | places | grep -v component_bpf__ | sort >"$RUN/missed"
cat "$RUN/missed"
missed=$(wc -l <"$RUN/missed")
say "$(wc -l <"$RUN/failed") failures; $(comm -12 "$RUN/contained" "$RUN/reached" | wc -l) of $(wc -l <"$RUN/contained") places of the programs"
# The few that are left are calls the compiler has doubled.
[ "$missed" -le 10 ] || fail "$missed places are not reached"
