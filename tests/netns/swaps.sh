#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A thousand program swaps and more under traffic: not one packet may be lost,
# so no datagram, no request, no connection. As many by the daemon as fit into
# SWAP_SECONDS, each of which loads and verifies the program anew; then a
# thousand exchanges of two loaded programs, at full speed.
set -euo pipefail
MODE=nat QUEUES=2
. "$(dirname "$0")/../lib/scenario.sh"
BIG=100 SHORT=20 LONG=20 UDP_RATE=2000
scenario_up
swaps() { cli -j datapath show | jq .swaps; }

# Numbered datagrams alone, which fill no ring: what is missing, a swap lost.
scenario_udp
scenario_phase swap-alone
fault_swap 40
load_more udp 300

scenario_phase between
scenario_web
scenario_phase swap
before=$(swaps)
end=$(($(now_ms) + ${SWAP_SECONDS:-240} * 1000))
done_n=0
while [ $done_n -lt 1000 ] && [ "$(now_ms)" -lt $end ]; do
	fault_swap 1
	done_n=$((done_n + 1))
done
say "$done_n swaps by the daemon"
[ $done_n -ge 10 ] || fail "only $done_n swaps in ${SWAP_SECONDS:-240} s"
[ $(($(swaps) - before)) = $done_n ] || fail "the daemon counts $(($(swaps) - before)) swaps, not $done_n"
scenario_settle

scenario_phase exchange
old=$(cli -j datapath show | jq .program.id)
bpftool prog pin id "$old" "$RUN/bpf/old"
fault_swap 1
"$TOOLS/tool_swap" "$RUN/bpf/sluice/links/eth0" "$RUN/bpf/sluice/progs/steer" \
	"$RUN/bpf/old" 1000 || fail "exchanging programs fails"
rm "$RUN/bpf/old"
scenario_settle

load_stop udp || true
scenario_phase ending
load_table udp
load_sound web
for p in swap-alone swap exchange; do scenario_lost_at_most $p 0; done

# What is pinned, attached and shown is one program, and no old one stays.
running=$(cli -j datapath show | jq .program.id)
pinned=$(bpftool -j prog show pinned "$RUN/bpf/sluice/progs/steer" | jq .id)
attached=$(node ip -j -d link show eth0 | jq '.[0].xdp.prog.id')
[ "$pinned" = "$running" ] || fail "pinned program $pinned is not the running one, $running"
[ "$attached" = "$running" ] || fail "attached program $attached is not $running"
old_gone() { ! bpftool prog show id "$old"; }
until_true 10 old_gone || fail "program $old is still loaded"
