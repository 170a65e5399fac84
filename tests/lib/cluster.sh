# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Several nodes on one segment, and real back ends whose access log says who
# probes them. Sourced after netns.sh.
#
#     n0        n1        n2   …                 back
#     eth0      eth0      eth0                   eth0   nginx, one address
#      |         |         |                      |     per service
#    ==+=========+=========+======================+==   plane (bridge in fabric)
#
#     node I 10.0.9.(10 + I)       service K 10.0.9.(100 + K), port 80
#
# Interface: cluster_topology NODES SERVICES, cluster_config I >FILE,
# cluster_start I, cluster_kill I, ncli I …, and conditions for until_true.

HELLO_MS=${HELLO_MS:-100}
DEAD_MISSED=${DEAD_MISSED:-4}
QUORUM=${QUORUM:-majority}
INTERVAL_MS=${INTERVAL_MS:-100}
NODES=
SERVICES=
declare -A NODE_PID=()
NAMES_WRAP=() # names.sh: a resolv.conf of its own
# More keys of service K: SERVICE_OPTIONS[K]='"path_monitor": true'
declare -A SERVICE_OPTIONS=()

node_ns() { echo "$ID-n$1"; }
node_addr() { echo "10.0.9.$((10 + $1))"; }
service_addr() { echo "10.0.9.$((100 + $1))"; }
on_node() {
	local ns
	ns=$(node_ns "$1")
	shift
	in_ns "$ns" "$@"
}

# ---- topology -----------------------------------------------------------

cluster_topology() {
	NODES=$1 SERVICES=$2
	[ "$(id -u)" = 0 ] || skip "needs root"
	netns_sweep_stale
	trap netns_on_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	RUN=$(mktemp -d "/tmp/$ID.XXXX")
	mkdir -p "$RUN/bpf"
	mount -t bpf bpf "$RUN/bpf" || fail "cannot mount a bpffs"
	netns_new "$FABRIC"
	in_ns "$FABRIC" ip link add plane type bridge mcast_snooping 0
	in_ns "$FABRIC" ip link set plane up
	local i
	for ((i = 0; i < NODES; i++)); do
		netns_new "$(node_ns "$i")"
		netns_port "$(node_ns "$i")" eth0 plane
		netns_addr "$(node_ns "$i")" eth0 "$(node_addr "$i")/24"
		mkdir -p "$RUN/n$i/run" "$RUN/n$i/state"
	done
	backs_up
	cluster_key 1
	for ((i = 0; i < NODES; i++)); do
		cluster_keys "$i" 1
		cluster_config "$i" >"$RUN/n$i/sluice.json"
	done
}

BACK=
backs_up() {
	local k
	BACK=$ID-back
	netns_new "$BACK"
	netns_port "$BACK" eth0 plane
	for ((k = 1; k <= SERVICES; k++)); do
		netns_addr "$BACK" eth0 "$(service_addr "$k")/24"
	done
	: >"$RUN/access.log"
	backs_conf >"$RUN/back.conf"
	in_ns "$BACK" nginx -e "$RUN/back.log" -c "$RUN/back.conf" \
		>>"$RUN/back.log" 2>&1 || fail "nginx does not start"
	until_true 10 on_node 0 curl -sf -m 2 -o /dev/null "http://$(service_addr 1)/" ||
		fail "back ends do not answer"
}

# Log lines: seconds.milliseconds, client, service.
backs_conf() {
	cat <<-END
	user root;
	worker_processes 1;
	pid $RUN/back.pid;
	events { worker_connections 4096; }
	http {
	  log_format who '\$msec \$remote_addr \$server_addr';
	  access_log $RUN/access.log who;
	  client_body_temp_path $RUN/body;
	  server { listen 0.0.0.0:80 backlog=4096; location / { return 200 "ok"; } }
	}
	END
}

# A service is refused from now on, or answers again.
back_down() {
	in_ns "$BACK" nft add table inet down 2>/dev/null
	in_ns "$BACK" nft 'add chain inet down in { type filter hook input priority 0; }'
	in_ns "$BACK" nft add rule inet down in ip daddr "$(service_addr "$1")" \
		tcp dport 80 reject with tcp reset
}
backs_heal() { in_ns "$BACK" nft delete table inet down; }

# ---- configuration ------------------------------------------------------

# A key is made once and then given to nodes.
cluster_key() {
	[ -e "$RUN/key$1" ] || od -An -vtx1 -N32 /dev/urandom | tr -d ' \n' >"$RUN/key$1"
}

# cluster_keys I USE [KEY…]: node I has these keys, and USE.
cluster_keys() {
	local i=$1 use=$2 k
	shift
	(
		umask 077
		for k in "$@"; do
			cluster_key "$k"
			echo "key $k $(cat "$RUN/key$k")"
		done | sort -u >"$RUN/n$i/cluster.key"
		echo "use $use" >>"$RUN/n$i/cluster.key"
	)
}

cluster_config() {
	local me=$1 i k sep=
	printf '{ "node": { "id": %s, "name": "n%s" },\n' "$me" "$me"
	printf '  "interfaces": [ { "name": "eth0" } ], "engines": 1, "probers": 1,\n'
	printf '  "flows": { "max": 1024 },\n'
	printf '  "cluster": { "id": "test", "address": "%s", "key_file": "%s",\n' \
		"$(node_addr "$me")" "$RUN/n$me/cluster.key"
	printf '    "hello_ms": %s, "dead_missed": %s, "quorum": "%s", "peers": [' \
		"$HELLO_MS" "$DEAD_MISSED" "$QUORUM"
	for ((i = 0; i < NODES; i++)); do
		printf '%s { "id": %s, "name": "n%s", "address": "%s" }' \
			"$sep" "$i" "$i" "$(node_addr "$i")"
		sep=,
	done
	printf ' ] },\n  "monitors": [ { "name": "m", "type": "http", "path": "/",'
	printf ' "interval_ms": %s, "timeout_ms": 1000, "retries": 2, "down_ms": 200 } ],\n' \
		"$INTERVAL_MS"
	printf '  "services": ['
	sep=
	for ((k = 1; k <= SERVICES; k++)); do
		printf '%s\n    { "name": "s%s", "address": "%s", "port": 80, "monitors": [ { "monitor": "m" } ]%s }' \
			"$sep" "$k" "$(service_addr "$k")" "${SERVICE_OPTIONS[$k]:+, ${SERVICE_OPTIONS[$k]}}"
		sep=,
	done
	printf ' ],\n  "vservers": [] }\n'
}

# ---- nodes --------------------------------------------------------------

# Does not wait.
cluster_start() {
	local i=$1
	# Not by in_ns: $! must be the daemon itself.
	nsenter --net="/var/run/netns/$(node_ns "$i")" -- "${NAMES_WRAP[@]}" "$B/sluiced" --config "$RUN/n$i/sluice.json" \
		--run-dir "$RUN/n$i/run" --state-dir "$RUN/n$i/state" \
		--bpffs "$RUN/bpf/n$i" --foreground >>"$RUN/n$i.log" 2>&1 </dev/null &
	NODE_PID[$i]=$!
	disown
}

cluster_start_all() {
	local i
	for ((i = 0; i < NODES; i++)); do cluster_start "$i"; done
	for ((i = 0; i < NODES; i++)); do
		until_true 20 ncli "$i" cluster show || fail "n$i does not answer"
	done
}

node_gone() { [ ! -e "/proc/${NODE_PID[$1]}" ]; }

cluster_kill() {
	kill -9 "${NODE_PID[$1]}"
	until_true 5 node_gone "$1" || fail "n$1 survives kill -9"
}

# One line each, in the order of the arguments.
ncli() {
	local i=$1
	shift
	timeout $((5 * TIME_SCALE)) "$B/sluice" -s "$RUN/n$i/run/sluiced.sock" "$@"
}

shown() { ncli "$1" -j cluster show | jq -r "$2"; }

# ---- conditions ---------------------------------------------------------

# members_are I "n0 n1": what node I holds for the operational set.
members_are() { [ "$(shown "$1" '.members | join(" ")')" = "$2" ]; }

# same_view "I…" MEMBERS: all of these nodes have one view with these members.
same_view() {
	local i view first=
	for i in $1; do
		members_are "$i" "$2" || return 1
		view=$(shown "$i" .view)
		[ "${first:=$view}" = "$view" ] || return 1
	done
}

# all_services I STATE
all_services() {
	local n
	n=$(ncli "$1" -j service show | jq "[.services[] | select(.state == \"$2\")] | length")
	[ "$n" = "$SERVICES" ]
}

service_state_is() {
	[ "$(ncli "$1" -j service show "$2" | jq -r .state)" = "$3" ]
}

# masters_are I N: node I owns N services.
masters_are() { [ "$(shown "$1" .masters)" = "$2" ]; }

# acknowledged_by OWNER SERVICE N
acknowledged_by() {
	[ "$(ncli "$1" -j service show "$2" | jq '.cluster.acknowledged | length')" = "$3" ]
}

# Who probed service K since line FROM of the log: addresses, one per line.
probers_of() {
	tail -n +"$2" "$RUN/access.log" | awk -v s="$(service_addr "$1")" '$3 == s { print $2 }' |
		sort -u
}

log_lines() { wc -l <"$RUN/access.log"; }

# one_prober_each FROM: each service has been probed since line FROM, by one
# node only, and twice at least.
one_prober_each() {
	local k
	tail -n +"$1" "$RUN/access.log" | awk -v n="$SERVICES" '
		{ count[$3]++; if (!(($2, $3) in seen)) { seen[$2, $3]; by[$3]++ } }
		END {
			for (s in count) { if (by[s] > 1) exit 2; if (count[s] >= 2) ok++ }
			exit ok == n ? 0 : 1
		}'
}

# Waits until each service was probed twice by one node, from now on, in a
# window that begins anew while two probe: hand-over is not instant. Fails if
# no such window comes within SECONDS.
wait_one_prober_each() {
	WINDOW=$(($(log_lines) + 1))
	until_true "$1" one_prober_in_window
}

one_prober_in_window() {
	local rc=0
	one_prober_each "$WINDOW" || rc=$?
	[ $rc != 2 ] || WINDOW=$(($(log_lines) + 1))
	return $rc
}

# Addresses that probed anything since line FROM, without node NOT's.
probers_of_all() {
	until_true 5 log_grew_by "$1" 20
	tail -n +"$1" "$RUN/access.log" | awk -v no="$(node_addr "$2")" '$2 != no { print $2 }' |
		sort -u
}
log_grew_by() { [ "$(log_lines)" -ge $(($1 + $2)) ]; }

# reason_is I REASON: why node I is not operational, by its own word.
reason_is() { [ "$(shown "$1" ".nodes[$1].reason_name")" = "$2" ]; }

# not_connected I: node I hears nobody.
not_connected() { [ "$(shown "$1" '.connected | length')" = 0 ]; }

# Node I has said hello N more times (a clock that the test does not own).
wait_hellos() {
	local from now
	from=$(hellos_sent "$1")
	until_true 20 hellos_reached "$1" $((from + $2)) || fail "n$1 says no hello"
}
hellos_sent() { shown "$1" '[.nodes[].counters.tx_datagrams // 0] | max'; }
hellos_reached() { now=$(hellos_sent "$1") && [ "$now" -ge "$2" ]; }

# trace_start, then trace_stop: what the state machines of all nodes do, into
# RUN/trace.I. machine_stalled: nodes were late by so much that the others must
# have missed them: the machine stood still, and no view is to be judged by.
TRACERS=()
trace_start() {
	local i
	for ((i = 0; i < NODES; i++)); do
		curl -sN --unix-socket "$RUN/n$i/run/sluiced.sock" \
			http://x/v1/cluster/trace >"$RUN/trace.$i" 2>/dev/null &
		TRACERS+=($!)
		disown
	done
	# The first line, a keep-alive, says that it listens.
	for ((i = 0; i < NODES; i++)); do
		until_true 15 test -s "$RUN/trace.$i" || fail "no trace of n$i"
	done
}
trace_stop() {
	kill "${TRACERS[@]}" 2>/dev/null
	TRACERS=()
}
machine_stalled() {
	cat "$RUN"/trace.* | grep '"LATE"' | jq -r .a | awk '$1 >= 250 { n++ } END { exit !n }'
}

# path_cut I K: node I no longer reaches service K; path_heal I
path_cut() {
	on_node "$1" nft add table inet path
	on_node "$1" nft 'add chain inet path out { type filter hook output priority 0; }'
	on_node "$1" nft add rule inet path out ip daddr "$(service_addr "$2")" drop
}
path_heal() { on_node "$1" nft delete table inet path; }

# ---- faults -------------------------------------------------------------

cable_out() { in_ns "$FABRIC" ip link set "n$1-eth0" down; }
cable_in() { in_ns "$FABRIC" ip link set "n$1-eth0" up; }

# loss I in|out PERCENT [PEER]: random loss of messages between nodes at node
# I; 100 is a cut of that direction, with PEER only from or to that node.
loss() {
	local hook=input what='' dir=saddr
	[ "$2" = in ] || { hook=output; dir=daddr; }
	[ -z "${4:-}" ] || what="ip $dir $(node_addr "$4")"
	on_node "$1" nft add table inet loss # may be there: the other direction
	on_node "$1" nft "add chain inet loss $2 { type filter hook $hook priority 0; }"
	# shellcheck disable=SC2086
	if [ "$3" = 100 ]; then
		on_node "$1" nft add rule inet loss "$2" $what udp dport 7946 drop
	else
		on_node "$1" nft add rule inet loss "$2" $what udp dport 7946 \
			numgen random mod 100 '<' "$3" drop
	fi
}
loss_end() { on_node "$1" nft delete table inet loss; }
