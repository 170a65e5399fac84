#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Probes through the tunnels of dsr-ipip and dsr-gue: web servers that listen
# on the VIP alone, behind a tunnel whose end can be taken away while they run.
# TCP, HTTP, UDP, both families and IPv6 in IPv4.
set -euo pipefail
lib=$(dirname "$0")/../lib

state_is() { # STATE SERVICE…
	local want=$1 s
	shift
	for s in "$@"; do
		[ "$(api "/v1/services/$s" | jq -r .state)" = "$want" ] || return 1
	done
}

become() { # STATE SERVICE…
	until_true 10 state_is "$@" || fail "not $*: $(cli service show)"
}

tunnel_test() { # MODE
	MODE=$1
	. "$lib/scenario.sh"
	eval "$(declare -f server_conf | sed 's/^server_conf/server_conf_all/')"
	eval "$(declare -f node_config | sed 's/^node_config/node_config_all/')"
	say "tunnel of $MODE"
	server_conf() { # nothing but the VIP
		local conf
		conf=$(server_conf_all "$1")
		conf=${conf/0.0.0.0:80/$VIP4:80}
		echo "${conf/\[::\]:80/[$VIP6]:80}"
	}
	server_up() {
		server_start "$1"
		until_true 10 in_ns "$(backend_ns "$1")" curl -sf -m 2 -o /dev/null "http://$VIP4/1k" ||
			fail "nginx of b$1 does not answer"
	}
	node_config() {
		node_config_all | jq --arg tunnel "${MODE#dsr-}" --arg v4 $VIP4 --arg v6 $VIP6 '
			def monitor($name; $type; $address; $more):
				{ name: $name, type: $type, tunnel: $tunnel,
				  address: $address, interval_ms: 200,
				  timeout_ms: 500, retries: 3, down_ms: 200 } + $more;
			def echo: { expect: "b", send: ("10ECIULS" + "\u0000" * 56) };
			def bind($which; $monitors):
				(.services[] | select(.name | test($which))).monitors =
					[$monitors[] | { monitor: . }];
			.monitors = [monitor("http4"; "http"; $v4; { path: "/1k" }),
				monitor("http6"; "http"; $v6; { path: "/1k" }),
				monitor("tcp4"; "tcp"; $v4; {}),
				monitor("tcp6"; "tcp"; $v6; {}),
				monitor("udp4"; "udp-ecv"; $v4; echo),
				monitor("udp6"; "udp-ecv"; $v6; echo),
				# Not through the tunnel: what it would say.
				(monitor("plain"; "tcp"; $v4; {}) | del(.tunnel, .address))]
			| bind("^w4"; ["http4", "tcp4"]) | bind("^w6"; ["http6", "tcp6"])
			| bind("^u4"; ["udp4"]) | bind("^u6"; ["udp6"])
			| (.services[] | select(.name | test("^w"))).threshold = 2
			| .services += [
				{ name: "mixed", address: "10.0.1.11", port: 80,
				  monitors: [{ monitor: "http6" }] },
				{ name: "plain", address: "10.0.1.11", port: 80,
				  monitors: [{ monitor: "plain" }] }]'
	}
	scenario_up
	all=(w4-{1,2,3,4} w6-{1,2,3,4} u4-{1,2,3,4} u6-{1,2,3,4} mixed)
	become UP "${all[@]}"
	become DOWN plain
	load_start web --target "$VIP4:80" --target "[$VIP6]:80" --load short:16:/1k:40
	load_more web 200

	say "the end of the tunnel is taken away, the server goes on"
	load_phase web cut
	in_ns "$(backend_ns 1)" ip link set eth0 xdpdrv off
	become DOWN w4-1 w6-1 u4-1 u6-1 mixed
	state_is UP w4-2 w6-2 u4-2 u6-2 || fail "others are down, too"
	load_phase web after-cut
	load_more web 200
	load_phase web healed
	in_ns "$(backend_ns 1)" ip link set eth0 xdpdrv obj \
		"$B/tests/netns/decap.bpf.o" sec xdp
	become UP "${all[@]}"

	say "the server is stopped, the tunnel goes on"
	load_phase web stop
	server_down 2
	become DOWN w4-2 w6-2
	load_phase web after-stop
	load_more web 200
	load_stop web || true
	load_table web
	for p in start after-cut after-stop; do
		jq -e ".phases[] | select(.name == \"$p\") | .answered > 0 and .failed == 0" \
			"$RUN/web.json" >/dev/null || fail "phase $p: requests failed"
	done

	say "a try, the daemon's death, and the end"
	cli -j monitor try http 10.0.1.13:80 path /1k tunnel "${MODE#dsr-}" \
		address $VIP4 >"$RUN/try" || fail "a try fails: $(cat "$RUN/try")"
	fault_daemon_kill "$RUN/sluice.json" 300
	become UP w4-1 w6-1 mixed
	become DOWN w4-2 w6-2
	[ "$(routes | wc -l)" = 2 ] || fail "not one route for each VIP: $(routes)"
	jq 'del(.monitors[].tunnel) | .services[].monitors = []' "$RUN/sluice.json" >"$RUN/none.json"
	cli config apply "$RUN/none.json" >/dev/null
	[ -z "$(routes)" ] || fail "routes stay without monitors: $(routes)"
	cli config apply "$RUN/sluice.json" >/dev/null
	[ "$(routes | wc -l)" = 2 ] || fail "routes do not come back"
	sluiced_stop
	[ "$(routes | wc -l)" = 2 ] || fail "routes go with the daemon"
	node "$B/sluiced" --bpffs "$RUN/bpf/sluice" --stop-datapath >/dev/null
	[ -z "$(routes)" ] || fail "routes stay without a data plane: $(routes)"
}

routes() {
	node ip route show proto 81
	node ip -6 route show proto 81
}

for m in dsr-ipip dsr-gue; do
	(tunnel_test $m)
done
