#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A thief on the back plane (drawing: tests/lib/cluster.sh) sends real daemons
# what it recorded on its way to n1, again, cut, flipped, extended, forged, and
# from former lives of both sides: nothing changes, everything is counted. Then
# the keys are changed while all this runs.
NETNS_PREFIX=clt
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"

THIEF="$B/tests/netns/tool_thief"
PORT=n1-eth0
thief() { in_ns "$FABRIC" "$THIEF" "$@"; }

# Sum of a counter over all peers and strangers.
counted() { shown 1 "[.nodes[].counters.$1 // 0, .strangers.$1 // 0] | add"; }

# What must not change: view, members, states, who owns what, sessions.
fingerprint() {
	shown 1 '[.view, .members, .record_digest, .config_digest, .masters, .refused, .cached,
		(.nodes[] | [.id, .incarnation, .owned, .state, .counters.sessions])] | tostring'
	ncli 1 -j service show | jq -c '[.services[] | [.name, .state, .observed, .since_s]]'
}

# dropped "A B…": sum of these counters.
dropped() {
	local sum=0 c
	for c in $1; do sum=$((sum + $(counted "drop_$c"))); done
	echo $sum
}
dropped_at_least() { [ "$(dropped "$1")" -ge "$2" ]; }

# attack FILE HOW COUNTERS [TIMES]: what is sent is dropped, and counted.
attack() {
	local before sent want c
	before=$(fingerprint)
	c=$(dropped "$3")
	sent=$(thief replay $PORT "$1" "$2" "${NODE_PID[1]}" "${4:-1}") || fail "$2: nothing was sent"
	want=$((c + sent))
	until_true 10 dropped_at_least "$3" "$want" ||
		fail "$2: $sent sent, only $(($(dropped "$3") - c)) of them counted as dropped"
	[ "$(fingerprint)" = "$before" ] || fail "$2 changed something:
$before
$(fingerprint)"
	echo "$2: $sent sent, $(($(dropped "$3") - c)) counted"
}

all_well() {
	local i
	until_true 30 same_view "0 1 2" "n0 n1 n2" || fail "$1: no view of all three"
	for i in 0 1 2; do
		until_true 15 all_services $i UP || fail "$1: n$i does not know the states"
	done
	wait_one_prober_each 15 || fail "$1: some service is not probed by exactly one node"
}

restart() {
	cluster_kill "$1"
	cluster_start "$1"
	until_true 20 ncli "$1" cluster show || fail "n$1 does not answer"
	all_well "restart of n$1"
}

cluster_topology 3 6
cluster_start_all
all_well start

thief record $PORT "$RUN/life1" 6 200 >/dev/null || fail "nothing to steal"
attack "$RUN/life1" as-is "replay" 3
attack "$RUN/life1" truncate "short forged replay long" 2
attack "$RUN/life1" extend "forged replay long" 2
attack "$RUN/life1" flip "forged replay magic version type key sender receiver address session short long challenge old_epoch malformed handshake_rate no_session" 4
attack "$RUN/life1" junk "replay forged" 2
attack "$RUN/life1" from "sender address replay forged" 2
attack "$RUN/life1" version "version"
attack "$RUN/life1" type "type"
attack "$RUN/life1" key "key"

# The log says so once in a while, not each time.
lines=$(grep -c 'datagram of' "$RUN/n1.log")
[ "$lines" -le 20 ] || fail "$lines lines in the log"

# n1 begins another life: what was said to the former one is void.
restart 1
attack "$RUN/life1" as-is "session no_session" 2

# n0 and n2 begin other lives: what they said in the former ones is void.
thief record $PORT "$RUN/life2" 6 100 >/dev/null || fail "nothing to steal"
restart 0
restart 2
attack "$RUN/life2" as-is "session no_session" 2

# ---- keys: add on all, use on all, remove on all; the view stays
view=$(shown 0 .view)
trace_start
reload() { kill -HUP "${NODE_PID[$1]}"; }
keys_are() { [ "$(shown "$1" '.keys | map(tostring) | join(" ")')" = "$2" ]; }
roll() {
	local i
	for i in 0 1 2; do
		# shellcheck disable=SC2086
		cluster_keys $i $1
		reload $i
		until_true 10 keys_are $i "$2" || fail "n$i did not take the keys $2"
	done
}
roll "1 1 2" "1 2"
roll "2 1 2" "2 1"
back_down 4
for i in 0 1 2; do
	until_true 10 service_state_is $i s4 DOWN || fail "states do not travel under the new key"
done
roll "2 2" "2"
backs_heal
for i in 0 1 2; do
	until_true 10 service_state_is $i s4 UP || fail "states do not travel without the old key"
done
trace_stop
if machine_stalled; then
	echo "note: the machine stood still for a while, the view is not judged"
elif [ "$(shown 0 .view)" != "$view" ]; then
	fail "the change of keys changed the view"
fi
attack "$RUN/life2" as-is "key"

# A key file that others can read is refused, and the old keys stay.
chmod 644 "$RUN/n0/cluster.key"
reload 0
until_true 10 grep -q 'chmod 600' "$RUN/n0.log" || fail "a readable key file is not refused"
keys_are 0 2 || fail "the keys are gone"
same_view "0 1 2" "n0 n1 n2" || fail "the view is gone"
echo "nothing stolen was of use; keys changed without a change of view"
