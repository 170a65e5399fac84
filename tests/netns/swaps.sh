#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A thousand program swaps under traffic: not one packet may be lost, so no
# datagram, no request, no connection.
set -euo pipefail
MODE=nat QUEUES=2
. "$(dirname "$0")/../lib/scenario.sh"
BIG=100 SHORT=20 LONG=20 UDP_RATE=3000
scenario_up
scenario_web
scenario_udp
scenario_phase swap
before=$(cli -j datapath show | jq '.swaps')
fault_swap "${SWAPS:-1000}"
scenario_settle
after=$(cli -j datapath show | jq '.swaps')
[ $((after - before)) = "${SWAPS:-1000}" ] || fail "$((after - before)) swaps counted"
# No old program stays loaded behind.
steers() { [ "$(bpftool -j prog show | jq '[.[] | select(.name == "steer")] | length')" -le "$1" ]; }
load_stop udp || fail "datagrams were lost: $(cat "$RUN/udp.log")"
load_table udp
load_sound web
pinned=$(bpftool -j prog show pinned "$RUN/bpf/sluice/progs/steer" | jq .id)
running=$(cli -j datapath show | jq .program.id)
[ "$pinned" = "$running" ] || fail "pinned program $pinned is not the running one, $running"
attached=$(node ip -j -d link show eth0 | jq '.[0].xdp.prog.id')
[ "$attached" = "$running" ] || fail "attached program $attached is not $running"
