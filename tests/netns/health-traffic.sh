#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Monitors and traffic together: real probers decide where real connections
# go, while back ends stop, fall silent, come back and are drained; both
# address families at a time. Times are printed; what is judged is what happens
# once a state is known: no failing request, shares, flows kept and reset.
set -euo pipefail
MODE=nat METHOD=weighted-round-robin
. "$(dirname "$0")/../lib/scenario.sh"
INTERVAL=300 RETRIES=3 TIMEOUT=300 SLOW_START=4000
# Of probes; traffic comes from the NAT addresses .9.
PROBER4=10.0.1.1 PROBER6=fd00:0:0:1::1

# ---- the node ------------------------------------------------------------

# tcp for odd back ends, http for even ones, a datagram as tool_udp knows them
# for echoes. And a service of its own whose changes tool_reach times.
traffic_config() {
	node_config | jq --argjson i $INTERVAL --argjson r $RETRIES \
		--argjson t $TIMEOUT --argjson s $SLOW_START --arg vip $VIP4 '
		def bind(which; $monitor; $slow):
			(.services[] | select(.name | test(which))) +=
				{ monitors: [{ monitor: $monitor }],
				  slow_start_ms: $slow };
		.probers = 2
		| .monitors = ([{ name: "tcp", type: "tcp" },
			{ name: "http", type: "http", path: "/1k" },
			{ name: "udp", type: "udp-ecv", expect: "b",
			  send: ("10ECIULS" + "\u0000" * 56) }
			| . + { interval_ms: $i, timeout_ms: $t, retries: $r,
				down_ms: $i }]
			+ [{ name: "fast", type: "tcp", interval_ms: 10,
			     timeout_ms: $t, retries: 1, down_ms: 10 }])
		| .services += [{ name: "reach", address: "10.0.1.14",
			port: 8088, monitors: [{ monitor: "fast" }] }]
		| .vservers += [{ name: "reach", address: $vip, port: 8088,
			services: [{ service: "reach" }] }]
		| bind("^w.-[13]"; "tcp"; $s) | bind("^w.-[24]"; "http"; $s)
		| bind("^u"; "udp"; 0)'
}

traffic_up() {
	netns_up
	# Probes leave from an address of their own, so that they can be told
	# from traffic.
	node ip -6 addr change fd00:0:0:1::9/64 dev eth0 preferred_lft 0 nodad
	scenario_smooth
	servers_up
	echoes_up
	traffic_config >"$RUN/sluice.json"
	sluiced_up "$RUN/sluice.json" "$ENGINES"
	for i in 1 2 3 4; do backend_become $i UP; done
}

apply() { # JQ FILTER, on what it was started with
	jq "$1" "$RUN/sluice.json" >"$RUN/next.json"
	cli config apply "$RUN/next.json" >/dev/null || fail "refused: $1"
}

service() { api "/v1/services/$1" | jq -r "$2"; }

state_is() { # STATE SERVICE…
	local want=$1 s
	shift
	for s in "$@"; do
		[ "$(service "$s" .state)" = "$want" ] || return 1
	done
}

become() { # STATE SERVICE…
	until_true 10 state_is "$@" || fail "not $*: $(cli service show)"
}

backend_become() { become "$2" "w4-$1" "w6-$1"; }

because() { # TEXT SERVICE…
	local text=$1 s
	shift
	for s in "$@"; do
		service "$s" .reason | grep -q "$text" ||
			fail "$s: not '$text' but: $(service "$s" .reason)"
	done
}

# firewall I RULE…: what back end I does with packets for itself.
firewall() {
	local ns
	ns=$(backend_ns "$1")
	shift
	printf '%s\n' 'table inet t {' 'chain in {' \
		'type filter hook input priority 0;' "$@" '}' '}' |
		in_ns "$ns" nft -f - || fail "nft refuses: $*"
}

firewall_off() { in_ns "$(backend_ns "$1")" nft delete table inet t; }

# ---- traffic -------------------------------------------------------------

start_load() { # NAME LOAD…
	local name=$1 sources loads=()
	shift
	for l in "$@"; do loads+=(--load "$l"); done
	mapfile -t sources < <(scenario_sources)
	load_start "$name" --target "$VIP4:80" --target "[$VIP6]:80" \
		"${sources[@]}" "${loads[@]}"
}

phase() { # NAME PHASE ANSWERS: it ends when there are as many, and all ended
	load_phase "$1" "$2"
	load_more "$1" "$3"
	next_phase "$1" between
}

# Requests of the one before have ended: the next fault is not theirs.
next_phase() {
	load_phase "$1" "$2"
	load_ended "$1" "$2"
}

end_load() { # NAME
	load_stop "$1" || true
	load_table "$1"
}

of_phase() { # NAME PHASE JQ
	jq "[.phases[] | select(.name == \"$2\")][0] | $3" "$RUN/$1.json"
}

none_failed() { # NAME PHASE…
	local name=$1 p
	shift
	for p in "$@"; do
		[ "$(of_phase "$name" "$p" '.answered > 0 and .failed == 0 and .broken == 0')" = true ] ||
			fail "$name, $p: requests failed, or there were none
$(cli service show; cli -j engine show | jq -c '.engines[].drops')"
	done
}

share() { # NAME PHASE BACKEND: in 1/1000 of its answers
	of_phase "$1" "$2" "1000 * (.backends.$3 // 0) / .answered | round"
}

share_between() { # NAME PHASE BACKEND LOW HIGH
	local is
	is=$(share "$1" "$2" "$3")
	[ "$is" -ge "$4" ] && [ "$is" -le "$5" ] ||
		fail "$1, $2: $3 has $is/1000 of the answers, not $4 to $5"
}

never() { # NAME PHASE BACKEND
	share_between "$@" 0 0
}

# ---- what happens --------------------------------------------------------

# How soon a change is in the tables, while traffic runs.
reach() {
	in_ns "$(backend_ns 4)" "$TOOLS/tool_reach" "$RUN/bpf/sluice/maps" \
		"$(service reach .id)" "$(api /v1/vservers/reach | jq .id)" \
		8088 20 >"$RUN/reach" || fail "states do not reach the tables"
	jq -r '"state to tables, ms after the port closed or opened " +
		"(one probe interval of 10 ms is in it), \(.rounds) rounds: " +
		"down p50 \(.down.table.p50) max \(.down.table.max), " +
		"up p50 \(.up.table.p50) max \(.up.table.max)"' "$RUN/reach" >&2
}

stop_and_start() {
	local t0 s a=1 b
	load_phase web stop
	t0=$(now_ms)
	server_down 1
	backend_become 1 DOWN
	say "stopped: DOWN after $(($(now_ms) - t0)) ms; interval × retries + time-out is $((INTERVAL * RETRIES + TIMEOUT)) ms"
	because refused w4-1 w6-1
	phase web stopped 300
	server_start 1
	backend_become 1 UP
	# Its share grows with the time that it has been up.
	for s in 64 128 192 256; do
		load_phase web "slow-$s"
		until_true 10 scale_reached $s || fail "no slow start: $(service w4-1 .slow_start)"
		b=$(scale_most)
		SLOW+=("slow-$s $a $b")
		a=$(scale_least)
	done
	phase web started 300
}
SLOW=()
scales() { for s in w4-1 w6-1; do service $s .slow_start; done; }
scale_least() { scales | sort -n | head -n 1; }
scale_most() { scales | sort -n | tail -n 1; }
scale_reached() { [ "$(scale_least)" -ge "$1" ]; }

# A back end from which nothing comes any more.
fall_silent() {
	local t0
	load_phase web silent
	t0=$(now_ms)
	firewall 2 'tcp dport 80 drop'
	backend_become 2 DOWN
	say "silent: DOWN after $(($(now_ms) - t0)) ms"
	because 'no reply\|timed out' w4-2 w6-2
	phase web silenced 300
	firewall_off 2
	backend_become 2 UP
}

drain() {
	start_load kept long:64:/1k:200
	load_more kept 100
	load_phase kept between
	fault_drain w4-3 w6-3
	backend_become 3 GOING-OUT-OF-SERVICE
	load_phase kept draining
	phase web drained 300
	load_more kept 200
	end_load kept
	none_failed kept start draining
	[ "$(share kept draining b3)" -gt 0 ] || fail "no connection was left to drain"
	backend_become 3 OUT-OF-SERVICE
	because 'last flow' w4-3 w6-3
	fault_enable w4-3 w6-3
	backend_become 3 UP
}

# Only probes fail: what becomes of established flows is the operator's choice.
keep_and_flush() {
	start_load kept long:64:/1k:200
	load_more kept 100
	firewall 4 "ip saddr $PROBER4 tcp dport 80 reject with tcp reset" \
		"ip6 saddr $PROBER6 tcp dport 80 reject with tcp reset"
	backend_become 4 DOWN
	because refused w4-4 w6-4
	next_phase kept kept
	phase web down-kept 300
	load_more kept 300
	next_phase kept flushing
	apply '.vservers[] += { down_flush: true }'
	until_true 10 flushed || fail "flows of a DOWN service are not reset"
	load_phase kept flushed
	phase web flushed 300
	load_more kept 300
	end_load kept
	none_failed kept start kept flushed
	[ "$(share kept kept b4)" -gt 0 ] || fail "no connection stayed on b4"
	[ "$(of_phase kept flushing .broken)" -gt 0 ] || fail "no connection was reset"
	never kept flushed b4
	firewall_off 4
	apply .
	backend_become 4 UP
}
flushed() { [ "$(service w4-4 .connections) $(service w6-4 .connections)" = "0 0" ]; }

# b4 helps out while fewer than two of b1 … b3 are healthy.
take_over() {
	apply '.vservers as $all
		| .vservers += [$all[] | select(.name | test("^web"))
			| .services = [.services[3]]
			| .port = 8081 | .name = "sorry" + .name[3:]]
		| (.vservers[] | select(.name | test("^web"))) |=
			(.services = .services[:3] | .members_min = 2
			 | .backup = "sorry" + .name[3:])'
	phase web primary 300
	load_phase web one-stops
	server_down 1
	backend_become 1 DOWN
	phase web one-less 300
	load_phase web two-stop
	server_down 2
	backend_become 2 DOWN
	phase web backup 300
	server_start 2
	backend_become 2 UP
	phase web given-back 300
	server_start 1
	backend_become 1 UP
	apply .
}

web_accounts() {
	local name a b
	none_failed web steady stopped "${SLOW[@]%% *}" started silenced \
		drained down-kept flushed primary one-less backup given-back
	for b in 1 2 3 4; do share_between web steady b$b 200 300; done
	[ "$(of_phase web stop .failed)" -gt 0 ] ||
		say "no request met the stopped server before it was DOWN"
	never web stopped b1
	for s in "${SLOW[@]}"; do
		read -r name a b <<<"$s"
		say "$name: weight $a to $b of 256, share $(share web "$name" b1)/1000"
		share_between web "$name" b1 $((1000 * a / (a + 768) - 40)) \
			$((1000 * b / (b + 768) + 40))
	done
	# What the API says of its weight is what it gets; and it began low.
	share_between web slow-64 b1 0 190
	share_between web started b1 200 300
	never web silenced b2
	never web drained b3
	never web down-kept b4
	never web flushed b4
	for name in primary one-less given-back; do never web $name b4; done
	share_between web backup b4 1000 1000
}

# What a client sees of a vserver without a service: HOW is reset or drop.
no_service() { # HOW
	# Of curl. 7: refused, 28: nothing came within the second.
	local vip rc how=$1 before want=28
	[ "$how" = drop ] || want=7
	before=$(dropped_no_service)
	for vip in $VIP4 "[$VIP6]"; do
		rc=0
		client curl -s -m 1 -o /dev/null "http://$vip/1k" || rc=$?
		[ $rc = $want ] ||
			fail "no service, $how, http://$vip: curl ends with $rc"
	done
	for vip in $VIP4 $VIP6; do
		client python3 - $vip "$how" <<-'END' || fail "no service, $how, $vip: wrong answer to UDP"
		import socket, sys
		family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
		s = socket.socket(family, socket.SOCK_DGRAM)
		s.settimeout(10 if sys.argv[2] == "reset" else 0.5)
		s.connect((sys.argv[1], 9000))
		s.send(b"anybody?")
		try:
		    s.recv(100)
		    saw = "answer"
		except ConnectionRefusedError:
		    saw = "reset"
		except socket.timeout:
		    saw = "drop"
		sys.exit(saw != sys.argv[2])
		END
	done
	[ "$(dropped_no_service)" -ge $((before + 4)) ] || fail "$how: not counted as drops for want of a service"
}
# XDP's and the engines' count.
dropped_no_service() {
	{
		cli -j stats | jq '.counters[] | select(.name == "drop_no_service") | .value'
		cli -j engine show | jq '.engines[].drops.no_service // 0'
	} | jq -s add
}

none_left() {
	local i setup how
	for i in 1 2 3 4; do
		server_down $i
		echo_down $i
	done
	for i in 1 2 3 4; do
		backend_become $i DOWN
		become DOWN u4-$i u6-$i
	done
	for setup in engine kernel; do
		for how in drop reset; do
			apply ".vservers[] += { setup: \"$setup\",
				method: \"maglev\", down_action: \"$how\" }"
			no_service $how
		done
	done
	apply .
	for i in 1 2; do
		server_start $i
		backend_become $i UP
	done
}

# Nothing but traffic tells how b1 is.
inline() {
	apply '.monitors += [{ name: "inline", type: "inline", window_ms: 2000,
				failures: 3, down_ms: 4000 }]
		| (.services[] | select(.name | test("^w.-1"))).monitors =
			[{ monitor: "inline" }]
		| (.vservers[] | select(.name | test("^web"))) |=
			(.services = .services[:2] | .syn_s = 1)'
	firewall 1 "ip saddr $PROBER4 meta l4proto { tcp, icmp } counter" \
		"ip6 saddr $PROBER6 meta l4proto tcp counter"
	start_load inline short:16:/1k:40
	load_more inline 200
	backend_become 1 UP
	next_phase inline refused
	server_down 1
	backend_become 1 DOWN
	because 'unanswered or reset' w4-1 w6-1
	phase inline after-refused 200
	server_start 1
	backend_become 1 UP
	phase inline tried 600
	state_is UP w4-1 w6-1 || fail "inline: failed again: $(cli service show)"
	load_phase inline silent
	in_ns "$(backend_ns 1)" nft add rule inet t in tcp dport 80 drop
	backend_become 1 DOWN
	because 'unanswered or reset' w4-1 w6-1
	phase inline after-silent 200
	[ "$(in_ns "$(backend_ns 1)" nft -j list table inet t |
		jq '[.. | .counter? | objects | .packets] | add')" = 0 ] ||
		fail "inline: the node itself sent something to b1"
	firewall_off 1
	end_load inline
	none_failed inline start after-refused tried after-silent
	never inline after-refused b1
	[ "$(share inline tried b1)" -gt 0 ] || fail "inline: b1 was not tried again"
	never inline after-silent b1
}

traffic_up
start_load web short:16:/1k:40
load_more web 100
phase web steady 600
reach
stop_and_start
fall_silent
drain
keep_and_flush
take_over
load_phase web end
end_load web
web_accounts
none_left
inline
