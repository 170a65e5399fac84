#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# HTTP requests per second by wrk through Sluice (nat), nftables DNAT and
# HAProxy in TCP mode, two nginx back ends, 1 KiB answers, everything on the
# same cores; two arms as in tests/lib/netns.sh. The baselines keep their
# checksum and segmentation offloads, which native XDP cannot.
set -euo pipefail
ARMS=2 BACKENDS=2 ENGINES=1 MODE=nat ROUNDS=${ROUNDS:-3} SECS=${SECS:-3}
lib=$(cd "$(dirname "$0")/../lib" && pwd)
. "$lib/netns.sh"
. "$lib/servers.sh"
. "$lib/node.sh"
command -v wrk >/dev/null || skip "needs wrk"

median() { sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }

requests() { # OPTIONS…
	client wrk -t 1 -c 64 -d "${SECS}s" "$@" "http://$VIP4/1k" |
		awk '/Requests\/sec/ { print $2 } /Socket errors|Non-2xx/ { print > "/dev/stderr" }'
}

# Sets KEPT and CLOSED.
measure() {
	until_true 20 client curl -sf -m 2 -o /dev/null "http://$VIP4/1k" ||
		fail "no answer through $1"
	KEPT=$(for ((i = 0; i < ROUNDS; i++)); do requests; done | median)
	CLOSED=$(for ((i = 0; i < ROUNDS; i++)); do requests -H 'Connection: close'; done | median)
}

result() { # NAME VALUE [BASELINE VALUE]
	jq -nc --arg n "$1" --argjson v "$2" --arg b "${3:-}" --argjson bv "${4:-0}" \
		'{name: $n, value: $v, unit: "requests/s",
		  baseline: (if $b == "" then null else $b end),
		  ratio: (if $bv > 0 then ($v / $bv * 1000 | round / 1000) else null end)}'
}

offloads() {
	in_ns "$FABRIC" ethtool -K node-eth0 tx "$1" tso "$1" >/dev/null 2>&1 || true
	in_ns "$FABRIC" ethtool -K node-eth1 tx "$1" tso "$1" >/dev/null 2>&1 || true
}

netns_up
servers_up
offloads on

node nft -f - <<-END
	table ip lb {
	  chain pre {
	    type nat hook prerouting priority dstnat;
	    ip daddr $VIP4 tcp dport 80 dnat to jhash ip saddr . tcp sport mod 2 map { 0 : 10.0.1.11, 1 : 10.0.1.12 }
	  }
	}
END
measure nftables
node nft delete table ip lb
NFT_KEPT=$KEPT NFT_CLOSED=$CLOSED
result "http: nftables DNAT, kept connections" "$NFT_KEPT"
result "http: nftables DNAT, one connection per request" "$NFT_CLOSED"

netns_addr "$NODE" lo $VIP4/32
cat >"$RUN/haproxy.cfg" <<-END
	global
	  nbthread 1
	  maxconn 4000
	defaults
	  mode tcp
	  timeout connect 5s
	  timeout client 1m
	  timeout server 1m
	listen web
	  bind $VIP4:80
	  balance roundrobin
	  server b1 10.0.1.11:80
	  server b2 10.0.1.12:80
END
nsenter --net="/var/run/netns/$NODE" -- haproxy -db -f "$RUN/haproxy.cfg" >"$RUN/haproxy.log" 2>&1 &
pid=$!
measure haproxy
kill "$pid"
wait "$pid" || true
node ip addr del $VIP4/32 dev lo
HAP_KEPT=$KEPT HAP_CLOSED=$CLOSED
result "http: HAProxy TCP mode, kept connections" "$HAP_KEPT"
result "http: HAProxy TCP mode, one connection per request" "$HAP_CLOSED"

offloads off
node_config >"$RUN/sluice.json"
sluiced_up "$RUN/sluice.json" 1
measure sluice
result "http: sluice nat, kept connections" "$KEPT" "nftables DNAT" "$NFT_KEPT"
result "http: sluice nat, one connection per request" "$CLOSED" "nftables DNAT" "$NFT_CLOSED"
result "http: sluice nat, kept connections" "$KEPT" "HAProxy TCP mode" "$HAP_KEPT"
result "http: sluice nat, one connection per request" "$CLOSED" "HAProxy TCP mode" "$HAP_CLOSED"
