#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# libxdp's dispatcher: beside somebody else's program, and started by us. Where
# the kernel refuses that, that it is said, and nothing changes on the interface.
set -euo pipefail
lib=$(dirname "$0")/../lib
. "$lib/scenario.sh"
MODE=nat BIG=5 LONG=5 SHORT=3
show() { cli -j datapath show | jq -r ".interfaces[0].$1"; }
loader() { node xdp-loader "$@"; }
load_other() { loader load -m native -p "$RUN/bpf" eth0 "$B/tests/netns/$1.bpf.o"; }
members() { loader status eth0 | awk '$1 == "=>" { print $3 }' | sort | xargs; }
members_are() { [ "$(members)" = "$1" ]; }
seen() {
	bpftool -j map dump pinned "$RUN/bpf/seen" |
		jq '[.[0].formatted.values[].value] | add'
}
ready() { engines_ready "$ENGINES" && node_serves; }
wish() { sed -i "s/\"attach\": \"[a-z]*\"/\"attach\": \"$1\"/" "$RUN/sluice.json"; }

netns_up
export LIBXDP_BPFFS=$RUN/bpf
scenario_smooth
servers_up
echoes_up
node_config >"$RUN/sluice.json"

# Some kernels refuse dispatchers, or members that change packets.
load_other count || fail "xdp-loader cannot load a program"
others=
if [ -n "$(find "$RUN/bpf/xdp" -name 'dispatch-*')" ]; then
	others=count
	if load_other decap; then
		loader unload eth0 --all
		load_other count || fail "xdp-loader cannot load a program again"
		others=
		works=1
	fi
else
	loader unload eth0 --all || fail "xdp-loader cannot unload"
fi
if [ -z "${works:-}" ]; then
	say "this kernel has no dispatcher for us"
	wish dispatcher
	sluiced_start "$RUN/sluice.json"
	until_true 15 grep -q "interface eth0: cannot join libxdp's dispatcher" "$RUN/sluiced.log" ||
		fail "the log does not say that the dispatcher is refused"
	until_true 15 test ! -e "/proc/$SLUICED_PID" || fail "sluiced goes on"
	grep "cannot join" "$RUN/sluiced.log" >&2
	members_are "$others" || fail "on the interface: $(members)"
	exit 0
fi

# Beside the other one, under traffic: swapped, killed, taken over; another
# program comes, so that libxdp builds another dispatcher around ours.
sluiced_up "$RUN/sluice.json" "$ENGINES"
until_true 20 node_serves || fail "no answer from within the dispatcher"
[ "$(show attached_by)" = dispatcher ] || fail "attached by $(show attached_by)"
members_are "count sluice" || fail "members of the dispatcher: $(members)"
scenario_web
before=$(seen)
load_more web 60
[ "$(seen)" -gt "$before" ] || fail "the other program sees nothing"
fault_swap "${SWAPS:-10}"
load_more web 60
load_other pass || fail "xdp-loader cannot add a third program"
members_are "count pass sluice" || fail "members of the dispatcher: $(members)"
load_more web 60
fault_daemon_kill "$RUN/sluice.json" web 60
[ "$(show attached_by)" = dispatcher ] || fail "taken over as $(show attached_by)"
members_are "count pass sluice" || fail "members after a restart: $(members)"
fault_swap 5
load_more web 60
load_sound web

# Out, and in again; then for good.
cli datapath detach >/dev/null || fail "detach is refused"
until_true 10 members_are "count pass" || fail "members after detach: $(members)"
cli datapath swap >/dev/null || fail "swap after detach is refused"
members_are "count pass sluice" || fail "members after swap: $(members)"
until_true 10 node_serves || fail "no answer after joining again"
sluiced_stop
node "$B/sluiced" --stop-datapath --bpffs "$RUN/bpf/sluice" || fail "--stop-datapath fails"
members_are "count pass" || fail "members after --stop-datapath: $(members)"

# A mode that is not the dispatcher's is refused.
wish generic
sluiced_start "$RUN/sluice.json"
until_true 15 grep -q 'has a libxdp dispatcher in native mode' "$RUN/sluiced.log" ||
	fail "the other mode is not refused"
until_true 15 test ! -e "/proc/$SLUICED_PID" || fail "sluiced goes on"

# One of our own; others may come, and take ours away, which is noticed.
loader unload eth0 --all || fail "xdp-loader cannot unload"
wish dispatcher
sluiced_up "$RUN/sluice.json" "$ENGINES"
until_true 20 ready || fail "no answer from a dispatcher of our own"
load_other count || fail "xdp-loader cannot add a program to ours"
until_true 10 node_serves || fail "no answer beside a program that came later"
members_are "count sluice" || fail "members of our dispatcher: $(members)"
loader unload eth0 --all || fail "xdp-loader cannot unload"
until_true 10 grep -q 'somebody took program' "$RUN/sluiced.log" ||
	fail "nobody notices that the program is gone"
cli datapath swap >/dev/null || fail "swap does not attach it again"
until_true 10 node_serves || fail "no answer after attaching again"
