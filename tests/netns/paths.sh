#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What is not a plain packet of a flow: echo requests to a VIP, datagrams in
# fragments, uploads whose packets no longer fit once encapsulated, neighbours
# that the kernel has to resolve first, traffic to the node itself.
set -euo pipefail
lib=$(dirname "$0")/../lib

# Fragmented datagrams to and fro, echoed byte by byte.
echo_big() {
	cat >"$RUN/echo.py" <<-'END'
	import select, socket
	s4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s4.bind(("0.0.0.0", 9000))
	s6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	s6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1); s6.bind(("::", 9000))
	while True:
	    for s in select.select([s4, s6], [], [])[0]:
	        data, peer = s.recvfrom(65535)
	        s.sendto(data, peer)
	END
	cat >"$RUN/ask.py" <<-'END'
	import os, socket, sys
	size, ok, tries = int(sys.argv[2]), 0, 40
	family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
	for i in range(tries):
	    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(1)
	    s.connect((sys.argv[1], 9000))
	    # Without path MTU discovery, as DNS servers send: fragments.
	    if family == socket.AF_INET: s.setsockopt(socket.IPPROTO_IP, 10, 0)
	    data = os.urandom(size); s.send(data)
	    try: ok += s.recv(65535) == data
	    except socket.timeout: pass
	print(ok, "of", tries)
	sys.exit(ok != tries)
	END
	local i
	for ((i = 1; i <= BACKENDS; i++)); do
		nsenter --net="/var/run/netns/$(backend_ns "$i")" -- python3 "$RUN/echo.py" \
			>"$RUN/echo$i.log" 2>&1 </dev/null &
		disown
		until_true 5 echo_listens "$(backend_ns "$i")" || fail "no echo server in b$i"
	done
}

(
	MODE=nat QUEUES=2
	. "$lib/scenario.sh"
	echoes_up() { echo_big; }
	scenario_up
	client ping -c 5 -i 0.05 -W 1 $VIP4 >/dev/null || fail "the VIP does not answer ping"
	client ping -c 5 -i 0.05 -W 1 $VIP6 >/dev/null || fail "the VIP does not answer ping, IPv6"
	client ping -c 3 -i 0.05 -W 1 -s 1400 $VIP4 >/dev/null || fail "long ping"
	client ping -c 3 -i 0.05 -W 1 10.0.0.1 >/dev/null || fail "the node itself does not answer"
	for vip in $VIP4 $VIP6; do
		for size in 100 1400 3000 20000; do
			client python3 "$RUN/ask.py" "$vip" "$size" >"$RUN/asked" ||
				fail "$vip, datagrams of $size bytes: $(cat "$RUN/asked") echoed"
		done
	done
	# Back ends whose neighbour entries are gone.
	for _ in 1 2 3; do
		node ip neigh flush dev eth0
		node_serves || fail "no answer after the neighbour table was flushed"
	done
	load_start up --target "$VIP4:80" --target "[$VIP6]:80" \
		--load upload:20:/up/=1000000:0
	load_more up 200
	load_sound up
	uploads_whole 1000000
)

for m in dsr-ipip dsr-gue; do
	(
		MODE=$m
		. "$lib/scenario.sh"
		scenario_up
		load_start up --target "$VIP4:80" --target "[$VIP6]:80" \
			--load upload:20:/up/=1000000:0
		load_more up 200
		load_sound up
		uploads_whole 1000000
		node_stat() { cli -j stats | jq --arg n "$1" '.counters[] | select(.name == $n) | .value'; }
		[ "$(node_stat icmp_too_big)" -gt 0 ] ||
			fail "$m: no sender was told that its packets are too big"
	)
done

# What the next link does not take, XDP cannot wait for: an operator sees it.
(
	MODE=nat ARMS=2
	. "$lib/scenario.sh"
	scenario_up
	dropped() { cli -j datapath show | jq '.interfaces[] | select(.name == "eth0") | .tx_dropped'; }
	before=$(dropped)
	in_ns "$FABRIC" ip link set node-eth0 mtu 1000
	client curl -s -m 2 -o /dev/null "http://$VIP4/64k" && fail "a link of 1000 bytes passes 1500"
	[ "$(dropped)" -gt "$before" ] || fail "what the link does not take is not shown"
)
