# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The one scenario that every forwarding mode must survive: hundreds of
# connections download large files, others come and go, numbered datagrams are
# echoed, on both address families – while engines are killed and stopped, the
# program is swapped, the daemon is killed, back ends are drained and added,
# engines are scaled. 0 broken connections, 0 failed requests; 0 datagrams
# lost to a swap, the daemon's death or scaling.
#
#   MODE=nat ARMS=2 QUEUES=4 SETUP=engine; . scenario.sh; scenario_run
#
# SEED picks the order of random faults; it is printed.

_lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=netns.sh
. "$_lib/netns.sh"
# shellcheck source=servers.sh
. "$_lib/servers.sh"
# shellcheck source=node.sh
. "$_lib/node.sh"
# shellcheck source=load.sh
. "$_lib/load.sh"
# shellcheck source=faults.sh
. "$_lib/faults.sh"

SEED=${SEED:-$RANDOM}
RANDOM=$SEED

# Skips where the kernel cannot have engines, by the daemon's own word.
needs_engines() {
	local missing
	missing=$("$B/sluiced" --check --config "$ROOT/scripts/demo.json" |
		grep '^kernel: no .*: no packet engines') || return 0
	skip "$missing"
}

# Topology, servers, daemon; returns when both families answer. With
# ENGINES_OPTIONAL=1 also where XDP is alone.
scenario_up() {
	[ "${ENGINES_OPTIONAL:-0}" = 1 ] || needs_engines
	say "mode $MODE, set-up $SETUP, $ARMS arm(s), $QUEUES queue(s), $ENGINES engines, seed $SEED"
	netns_up
	scenario_smooth
	servers_up
	echoes_up
	node_config >"$RUN/sluice.json"
	sluiced_up "$RUN/sluice.json" "$ENGINES"
	until_true 20 node_serves || fail "no answer through the VIPs"
}

# Bursts of TCP are spread before they reach the node. XDP transmits into a
# ring of 256 places at the far end of a veth, with no way to push back: what
# four queues of 64 packets each put there in one turn is more than is taken
# out, and the kernel drops the rest. Without this, ethtool -S showed 3 166
# xdp_xmit_errors in 1.35 million packets, and 8 of 30 034 datagrams missing.
scenario_smooth() {
	local dev
	for dev in eth0 eth1; do
		[ $dev = eth0 ] || [ "$ARMS" = 2 ] || continue
		in_ns "$FABRIC" tc qdisc replace dev "node-$dev" root \
			tbf rate 400mbit burst 16k limit 64m
	done
}

scenario_sources() {
	local i
	for ((i = 2; i <= 9; i++)); do
		printf '%s\n' --source "10.0.0.$i" --source "fd00::$i"
	done
}

# WEB load: BIG paced downloads, LONG kept connections, SHORT users.
scenario_web() {
	local sources
	mapfile -t sources < <(scenario_sources)
	load_start web --target "$VIP4:80" --target "[$VIP6]:80" "${sources[@]}" \
		--load "long:${BIG:-200}:/paced/4m:0" \
		--load "long:${LONG:-40}:/64k:100" \
		--load "short:${SHORT:-20}:/1k:40"
	load_more web "${WARM_UP:-500}"
}

scenario_udp() {
	load_start udp --target "$VIP4:9000" --target "[$VIP6]:9000" \
		--flows 200 --rate "${UDP_RATE:-1000}"
	load_more udp 600
}

declare -A TOPOLOGY_DROPS
PHASE=start PHASE_DROPS=0

# Also notes what the topology itself lost in the phase that ends.
scenario_phase() {
	local drops
	drops=$(netns_drops)
	TOPOLOGY_DROPS[$PHASE]=$((drops - PHASE_DROPS))
	PHASE=$1 PHASE_DROPS=$drops
	[ ! -p "$RUN/web.ctl" ] || load_phase web "$1"
	[ ! -p "$RUN/udp.ctl" ] || load_phase udp "$1"
}

# Some traffic passes after a fault before the next one starts, so that what
# it broke is counted as its own.
scenario_settle() {
	load_more web 300
	load_more udp 300
}

scenario_faults() {
	scenario_phase steady
	scenario_settle
	scenario_phase engine-kill
	for _ in 1 2 3; do
		fault_engine_kill
		scenario_settle
	done
	scenario_phase engine-stop
	fault_engine_stop web $((200 + RANDOM % 400))
	scenario_settle
	fault_engine_stop
	scenario_settle
	scenario_phase swap
	fault_swap "${SWAPS:-10}"
	scenario_settle
	scenario_phase daemon
	fault_daemon_kill "$RUN/sluice.json" web $((100 + RANDOM % 900))
	scenario_settle
	scenario_phase drain
	fault_drain w4-1 w6-1
	scenario_settle
	fault_enable w4-1 w6-1
	scenario_settle
	scenario_phase scale
	for n in 1 4 2; do
		fault_scale $n
		scenario_settle
	done
	scenario_phase end
	scenario_settle
}

# scenario_lost_at_most PHASE N: beyond what the topology lost by itself, which
# the kernel has counted.
scenario_lost_at_most() {
	local lost own=${TOPOLOGY_DROPS[$1]:-0}
	lost=$(jq --arg p "$1" '[.phases[] | select(.name == $p) | .failed] | add // 0' \
		"$RUN/udp.json")
	[ "$lost" = 0 ] || say "$1: $lost datagrams lost; $own packets lost by full veth rings and buffers"
	[ "$lost" -le $(($2 + own)) ] || fail "$lost datagrams lost to $1, at most $2 may be"
}

scenario_accounts() {
	scenario_phase ending
	load_stop udp || true
	load_table udp
	cat "$RUN/udp.log"
	load_sound web
	for p in start steady swap daemon drain scale end; do
		scenario_lost_at_most "$p" 0
	done
	# One batch per death; a stopped engine holds up to a ring of them until
	# its silence is noticed, but only of new flows: there are none here.
	scenario_lost_at_most engine-kill "${LOST_KILL:-192}"
	scenario_lost_at_most engine-stop "${LOST_STOP:-400}"
	jq -e '.total.broken == 0' "$RUN/udp.json" >/dev/null ||
		fail "UDP flows changed their back end"
	until_true 15 pools_full || fail "frames are missing: $(cli -j engine show)"
	until_true 15 pools_at_rest || fail "frames do not come to rest: $(cli -j engine show)"
}

scenario_run() {
	scenario_up
	scenario_web
	scenario_udp
	scenario_faults
	scenario_accounts
}
