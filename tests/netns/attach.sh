#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Ways of attaching: own link, adoption of what `ip link … xdp pinned`
# attached, generic, refusal of a stranger's program; detaching.
set -euo pipefail
lib=$(dirname "$0")/../lib
. "$lib/scenario.sh"
MODE=nat ENGINES_OPTIONAL=1
scenario_up
show() { cli -j datapath show | jq -r ".interfaces[0].$1"; }
[ "$(show mode)" = native ] || fail "attached in mode $(show mode), not native"

# What the kernel lacks is named alike by --check and by datapath show.
cli -j datapath show | jq -e '.features | length > 5 and all(.present or .required == false)' >/dev/null ||
	fail "features: $(cli -j datapath show | jq -c .features)"
missing=$(cli -j datapath show | jq -r '.features[] | select(.present | not) | "kernel: no \(.name) (optional): \(.cost)"')
[ "$(node "$B/sluiced" --check --config "$RUN/sluice.json" | grep '^kernel: no ' || true)" = "$missing" ] ||
	fail "--check does not name as missing: $missing"
n=$(cli -j datapath show | jq '.features | length')
[ "$(cli datapath show | sed -n '/^KERNEL FEATURE/,$p' | grep -cE ' (yes|no) ')" = "$n" ] ||
	fail "datapath show does not list $n features: $(cli datapath show)"

# The data plane stays when the daemon goes, and is taken over.
id=$(cli -j datapath show | jq .program.id)
sluiced_stop
node_serves_established() { node ip -d link show eth0 | grep -q "prog/xdp id $id"; }
node_serves_established || fail "the program left with the daemon"
sluiced_up "$RUN/sluice.json" "$ENGINES"
until_true 10 node_serves || fail "no answer after a restart"

# By hand, from the pin, and adopted. A pinned link holds the interface, so it
# goes first.
attached() { node ip -d link show eth0 | grep -q prog/xdp; }
detached() { ! attached; }
sluiced_stop
rm "$RUN/bpf/sluice/links/eth0"
until_true 5 detached || fail "still attached after the link's pin is gone"
node ip link set dev eth0 xdp pinned "$RUN/bpf/sluice/progs/steer" ||
	fail "ip link cannot attach the pinned program"
until_true 5 node_serves || fail "no answer through the program attached by hand"
sed -i 's/"attach": "auto"/"attach": "adopt"/' "$RUN/sluice.json"
sluiced_up "$RUN/sluice.json" "$ENGINES"
until_true 10 node_serves || fail "no answer through the adopted program"
say "adopted: attached by $(show attached_by)"
fault_swap 5
until_true 10 node_serves || fail "no answer after a swap of the adopted program"

# Detached: nothing of ours is left on the interface; the daemon goes on.
cli datapath detach >/dev/null || fail "detach is refused"
until_true 10 detached || fail "still attached after detach"
cli node show >/dev/null || fail "the daemon does not answer after detach"

# Taken down without a daemon: no engine is left either.
pids=$(engine_pids)
sluiced_stop
"$B/sluiced" --stop-datapath --bpffs "$RUN/bpf/sluice" || fail "--stop-datapath fails"
for p in $pids; do
	until_true 10 test ! -e "/proc/$p" || fail "engine $p survives --stop-datapath"
done

# Generic mode, when it is asked for.
sed -i 's/"attach": "adopt"/"attach": "generic"/' "$RUN/sluice.json"
sluiced_up "$RUN/sluice.json" "$ENGINES"
[ "$(show mode)" = generic ] || fail "attached in mode $(show mode), not generic"
until_true 10 node_serves || fail "no answer in generic mode"
sluiced_stop
"$B/sluiced" --stop-datapath --bpffs "$RUN/bpf/sluice" || fail "--stop-datapath fails"
until_true 10 detached || fail "still attached after --stop-datapath"

# A stranger's program is refused by name, and left alone.
sed -i 's/"attach": "generic"/"attach": "auto"/' "$RUN/sluice.json"
node ip link set dev eth0 xdpdrv obj "$B/tests/netns/decap.bpf.o" sec xdp
sluiced_start "$RUN/sluice.json"
until_true 15 grep -q decap "$RUN/sluiced.log" ||
	fail "a stranger's program is not named in the log"
node ip -d link show eth0 | grep -q prog/xdp || fail "a stranger's program was removed"
