# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's two NICs, which hang on one bridge of the host, each as eth0 of a
# namespace. Sourced after netns.sh.
#
#     outside (CLIENT)  10.0.0.2            node (NODE)  10.0.0.1
#        nic2 ====================== host bridge ====================== nic1
#
# Interface: nics_up QUEUES, of the node's; NIC_QUEUES: how many it has then.

nic() { ip -o link | awk -v mac="$1" 'index($0, mac) { sub(/[:@].*/, "", $2); print $2 }'; }

nics_up() {
	local nic1 nic2
	[ "${IN_VM:-0}" = 1 ] || skip "the NICs are those of a virtual machine"
	nic1=$(nic 02:51:00:00:00:01)
	nic2=$(nic 02:51:00:00:00:02)
	[ -n "$nic1" ] && [ -n "$nic2" ] || fail "the guest has not two NICs: $(ip -br link)"
	ethtool -L "$nic1" combined "$1" 2>/dev/null || true
	NIC_QUEUES=$(find "/sys/class/net/$nic1/queues" -name 'rx-*' | wc -l)

	trap netns_on_exit EXIT
	trap 'exit 143' INT TERM HUP
	RUN=$(mktemp -d "/tmp/$ID.XXXX")
	mkdir -p "$RUN/bpf" "$RUN/run" "$RUN/state"
	mount -t bpf bpf "$RUN/bpf"
	netns_new "$NODE"
	netns_new "$CLIENT"
	ip link set "$nic1" netns "$NODE" name eth0
	ip link set "$nic2" netns "$CLIENT" name eth0
	netns_addr "$NODE" eth0 10.0.0.1/24
	netns_addr "$CLIENT" eth0 10.0.0.2/24
	node ip link set eth0 up
	client ip link set eth0 up
	until_true 10 client ping -c1 -W1 10.0.0.1 || fail "the NICs do not reach each other"
}
