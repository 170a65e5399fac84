#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Packets per second through veth, 64-byte UDP, generator and program on one
# core, median of several; each figure beside the bare program that does no
# work, in the same run:
#
#     gen: g0 ──── eth0 :node      XDP_DROP, XDP_TX, AF_XDP, sluice
#          g1 ──── eth1            where redirects go
#
# and the same job done by nftables DNAT. Back ends need not exist: their
# neighbour entries do, and the counting drop program stands at g0 and g1.
set -euo pipefail
ENGINES=1 MODE=dsr-l2 ROUNDS=${ROUNDS:-3} SECS=${SECS:-0.7}
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/lib/netns.sh"
. "$root/tests/lib/node.sh"
GEN=$ID-gen
OBJ=$B/tests/bench/gen.bpf.o
TOOL=$B/tests/netns/tool_gen
BACK_MAC=02:00:00:00:01

result() { # NAME VALUE UNIT [BASELINE BASELINE_VALUE]
	jq -nc --arg n "$1" --argjson v "$2" --arg u "$3" --arg b "${4:-}" --argjson bv "${5:-0}" \
		'{name: $n, value: $v, unit: $u,
		  baseline: (if $b == "" then null else $b end),
		  ratio: (if $bv > 0 then ($v / $bv * 1000 | round / 1000) else null end)}'
}

# Median of what arrives per second. OPTIONS…
shoot() {
	local i
	for ((i = 0; i < ROUNDS; i++)); do
		in_ns "$GEN" "$TOOL" run "$OBJ" --out g0 --dst-mac "$MAC" --cpu 0 \
			--dst 192.0.2.10:9000 --seconds "$SECS" "$@" | cut -d' ' -f2
	done | sort -n | sed -n "$(((ROUNDS + 1) / 2))p"
}

bench_up() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	netns_sweep_stale
	trap netns_on_exit EXIT
	trap 'exit 143' TERM INT HUP
	RUN=$(mktemp -d "/tmp/$ID.XXXX")
	mkdir -p "$RUN/bpf" "$RUN/run" "$RUN/state"
	mount -t bpf bpf "$RUN/bpf"
	netns_new "$NODE"
	netns_new "$GEN"
	netns_cable "$GEN" g0 "$NODE" eth0
	netns_cable "$GEN" g1 "$NODE" eth1
	in_ns "$GEN" ethtool -K g0 gro on >/dev/null
	in_ns "$GEN" ethtool -K g1 gro on >/dev/null
	MAC=$(node ip -j link show eth0 | jq -r '.[0].address')
	netns_addr "$NODE" eth0 10.0.0.1/24 10.0.1.1/24 10.0.1.9/24 \
		fd00::1/64 fd00:0:0:1::1/64 fd00:0:0:1::9/64
	node ip route add 100.64.0.0/10 via 10.0.0.2
	node sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	local i
	node ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent
	for i in 1 2 3 4; do
		node ip neigh replace "10.0.1.1$i" lladdr "$BACK_MAC:1$i" dev eth0 nud permanent
		node ip neigh replace "fd00:0:0:1::1$i" lladdr "$BACK_MAC:1$i" dev eth0 nud permanent
	done
}

bare() { # PROGRAM COUNT_DEV [OUT]
	node "$TOOL" attach "$OBJ" eth0 "$1" ${3:+"$3"}
	shoot --count "$2"
	node ip link set eth0 xdp off
}

# XDP_DROP counts where it stands: what was sent is what arrived.
bare_drop() {
	local i
	node "$TOOL" attach "$OBJ" eth0 drop
	for ((i = 0; i < ROUNDS; i++)); do
		in_ns "$GEN" "$TOOL" run "$OBJ" --out g0 --dst-mac "$MAC" --cpu 0 \
			--dst 192.0.2.10:9000 --seconds "$SECS" --count-stats g0 | cut -d' ' -f1
	done | sort -n | sed -n "$(((ROUNDS + 1) / 2))p"
	node ip link set eth0 xdp off
}

bench_bare() {
	DROP=$(bare_drop)
	result "veth: bare XDP_DROP" "$DROP" packets/s
	TX=$(bare transmit g0)
	result "veth: bare XDP_TX" "$TX" packets/s
	REDIRECT=$(bare redirect g1 eth1)
	result "veth: bare redirect" "$REDIRECT" packets/s
}

# Reference AF_XDP program on the other core. rxdrop|l2fwd
bench_xsk() {
	local pid
	nsenter --net="/var/run/netns/$NODE" -- taskset -c 1 "$B/tests/netns/tool_xsk" \
		"$OBJ" eth0 "$1" >"$RUN/xsk.out" 2>"$RUN/xsk.log" &
	pid=$!
	until_true 10 grep -q ready "$RUN/xsk.out" || fail "tool_xsk does not start"
	if [ "$1" = l2fwd ]; then
		shoot --count g0
	else
		xsk_received "$pid"
	fi
	kill -TERM "$pid"
	wait "$pid" || true
}

bench_sluice_up() { # SETUP MODE
	SETUP=$1 MODE=$2 FLOWS=1048576 node_config >"$RUN/sluice.json"
	sluiced_up "$RUN/sluice.json" 1
	# Engines sleep or work on the other core: their own, as in production.
	taskset -apc 1 "$(engine_pids | head -n 1)" >/dev/null
}

# The daemon leaves the program and its engines behind on purpose.
bench_sluice_down() {
	local pids
	pids=$(engine_pids)
	cli datapath detach >/dev/null
	sluiced_stop
	for p in $pids; do kill -9 "$p" 2>/dev/null || true; done
	rm -rf "$RUN/bpf/sluice" "$RUN/run" "$RUN/state"
	mkdir -p "$RUN/run" "$RUN/state"
}

bench_established() {
	local flows base=0 pps many=524288
	# One NAT address and four back ends have 145 000 ports, chosen by hash:
	# what finds none in a few tries goes to an engine.
	[ "$1" != nat ] || many=
	bench_sluice_up kernel "$1"
	for flows in 1 65536 $many; do
		pps=$(shoot --count g0 --flows $flows --base $base --order random --warm)
		result "veth: sluice $1, UDP/IPv4, $flows flows" "$pps" \
			packets/s "bare XDP_TX" "$TX"
		[ $flows != 65536 ] ||
			result "veth: sluice $1, UDP/IPv4, $flows flows, again" "$pps" \
				packets/s "nftables DNAT" "$NFT64K"
		base=$((base + flows))
	done
	result "veth: sluice $1, UDP/IPv6, 65536 flows" \
		"$(shoot --count g0 --dst "[$VIP6]:9000" --flows 65536 --order random --warm)" \
		packets/s "bare XDP_TX" "$TX"
	if [ "$1" = dsr-l2 ]; then
		result "veth: sluice $1, always new flows, set up by XDP" \
			"$(shoot --count g0 --order new --base 100000000)" \
			packets/s "bare XDP_TX" "$TX"
	fi
	bench_sluice_down
}

setups() { cli -j engine show | jq '[.engines[].setups] | add'; }

bench_engines() {
	local before t0
	bench_sluice_up inspect dsr-l2
	result "veth: engine, receive and send, inspected flows" \
		"$(shoot --count g0 --flows 64 --order random --warm)" \
		packets/s "AF_XDP copy-mode l2fwd" "$L2FWD"
	bench_sluice_down
	bench_sluice_up engine dsr-l2
	before=$(setups)
	t0=$(now_ms)
	shoot --count g0 --order new >/dev/null
	result "veth: flow set-ups by one engine" \
		$((($(setups) - before) * 1000 / ($(now_ms) - t0))) flows/s \
		"AF_XDP copy-mode l2fwd" "$L2FWD"
	bench_sluice_down
}

# DNAT over 64 back-end addresses by hash, conntrack as it comes.
bench_nftables() {
	local i map='' flows
	for ((i = 0; i < 64; i++)); do
		map+="${map:+, }$i : 10.0.1.$((i + 100))"
		node ip neigh replace "10.0.1.$((i + 100))" lladdr $BACK_MAC:11 dev eth0 nud permanent
	done
	node ethtool -K eth0 gro on >/dev/null
	node sysctl -qw net.netfilter.nf_conntrack_max=1048576 2>/dev/null || true
	node nft -f - <<-END
		table ip lb {
		  chain pre {
		    type nat hook prerouting priority dstnat;
		    ip daddr 192.0.2.10 udp dport 9000 dnat to jhash ip saddr . udp sport mod 64 map { $map }
		  }
		}
	END
	for flows in 1 65536; do
		NFT=$(shoot --count-stats g0 --flows $flows --order random --warm)
		result "veth: nftables DNAT, UDP/IPv4, $flows flows" "$NFT" packets/s \
			"bare XDP_TX" "$TX"
	done
	node nft delete table ip lb
}

bench_up
bench_bare
L2FWD=$(bench_xsk l2fwd)
result "veth: AF_XDP copy-mode l2fwd, reference" "$L2FWD" packets/s "bare XDP_TX" "$TX"
bench_nftables
NFT64K=$NFT
if [ -x "$B/sluiced" ]; then
bench_established dsr-l2
bench_established dsr-ipip
bench_established nat
bench_engines
fi
