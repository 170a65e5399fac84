# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Sluice node of the topology: its configuration, its daemon, its command
# line. Sourced after netns.sh.
#
#   node_config >FILE    a configuration for the topology as it was built:
#                        MODE, SETUP, METHOD, ENGINES, BACKENDS, ARMS
#   sluiced_up FILE      starts the daemon and waits until it answers
#   sluiced_kill         kill -9      sluiced_stop   politely
#   cli …                `sluice …` talking to it, 30 s at most

SETUP=${SETUP:-engine}
METHOD=${METHOD:-maglev}
ENGINES=${ENGINES:-2}
SLUICED_PID=
SLUICED_STARTS=0
NAMES_WRAP=() # names.sh: a resolv.conf of its own

node_config_service() {
	printf '    { "name": "%s", "address": "%s", "port": %s }' "$@"
}

# NAME ADDRESS PORT PROTOCOL SERVICE…
node_config_vserver() {
	local sep=
	printf '    { "name": "%s", "address": "%s", "port": %s, "protocol": "%s",\n' \
		"$1" "$2" "$3" "$4"
	printf '      "mode": "%s", "setup": "%s", "method": "%s",\n' \
		"$MODE" "$SETUP" "$METHOD"
	printf '      "services": ['
	shift 4
	for s in "$@"; do
		printf '%s { "service": "%s" }' "$sep" "$s"
		sep=,
	done
	printf ' ] }'
}

node_config() {
	local i f w4=() w6=() u4=() u6=() sep=
	printf '{ "node": { "id": 0, "name": "n0" },\n  "interfaces": ['
	printf ' { "name": "eth0", "attach": "%s" }' "${ATTACH:-auto}"
	[ "$ARMS" = 1 ] || printf ', { "name": "eth1", "attach": "%s" }' "${ATTACH:-auto}"
	printf ' ],\n  "engines": %s,\n  "flows": { "max": %s },\n' "$ENGINES" "${FLOWS:-65536}"
	printf '  "nat": [ "10.0.1.9", "fd00:0:0:1::9" ],\n'
	printf '  "tunnel": { "source4": "10.0.1.1", "source6": "fd00:0:0:1::1" },\n'
	printf '  "services": [\n'
	for ((i = 1; i <= BACKENDS; i++)); do
		for f in 4 6; do
			local a="10.0.1.1$i"
			[ $f = 4 ] || a="fd00:0:0:1::1$i"
			printf '%s' "$sep"
			node_config_service "w$f-$i" "$a" 80
			printf ',\n'
			node_config_service "u$f-$i" "$a" 9000
			sep=$',\n'
		done
		w4+=("w4-$i") w6+=("w6-$i") u4+=("u4-$i") u6+=("u6-$i")
	done
	printf ' ],\n  "vservers": [\n'
	node_config_vserver web4 $VIP4 80 tcp "${w4[@]}"
	printf ',\n'
	node_config_vserver web6 $VIP6 80 tcp "${w6[@]}"
	printf ',\n'
	node_config_vserver udp4 $VIP4 9000 udp "${u4[@]}"
	printf ',\n'
	node_config_vserver udp6 $VIP6 9000 udp "${u6[@]}"
	printf ' ] }\n'
}

cli() {
	timeout $((30 * TIME_SCALE)) "$B/sluice" -s "$RUN/run/sluiced.sock" "$@"
}

api() {
	curl -sS -m 30 --unix-socket "$RUN/run/sluiced.sock" "http://x$1"
}

# sluiced_start FILE: does not wait.
sluiced_start() {
	SLUICED_STARTS=$((SLUICED_STARTS + 1))
	nsenter --net="/var/run/netns/$NODE" -- "${NAMES_WRAP[@]}" "$B/sluiced" --config "$1" \
		--run-dir "$RUN/run" --state-dir "$RUN/state" \
		--bpffs "$RUN/bpf/sluice" --foreground \
		>>"$RUN/sluiced.log" 2>&1 </dev/null &
	SLUICED_PID=$!
	disown
}

sluiced_answers() {
	[ -e "/proc/$SLUICED_PID" ] || return 0
	cli -j node show
}

sluiced_up() {
	sluiced_start "$1"
	until_true 15 sluiced_answers || fail "sluiced does not answer"
	[ -e "/proc/$SLUICED_PID" ] || fail "sluiced ended"
	until_true 15 engines_ready "${2:-1}" || fail "no engine gets ready"
}

sluiced_kill() {
	kill -9 "$SLUICED_PID"
	until_true 5 test ! -e "/proc/$SLUICED_PID" || fail "sluiced survives kill -9"
}

sluiced_stop() {
	kill -TERM "$SLUICED_PID"
	until_true 10 test ! -e "/proc/$SLUICED_PID" || fail "sluiced does not stop"
}

# Through the VIPs: a first answer for each family.
node_serves() {
	client curl -sf -m 2 -o /dev/null "http://$VIP4/1k" &&
		client curl -sf -m 2 -o /dev/null "http://[$VIP6]/1k"
}

engine_pids() {
	cli -j engine show | jq -r '.engines[] | select(.state=="running") | .pid'
}

# Some kernels can have none: engines_impossible.
engines_ready() { [ "$(engine_pids | wc -l)" -ge "$1" ] || engines_impossible; }
engines_impossible() { cli -j engine show | jq -e 'has("reason")' >/dev/null; }
engines_exactly() { [ "$(engine_pids | wc -l)" = "$1" ]; }
