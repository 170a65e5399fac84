# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Topology of network namespaces for the demo, the network tests and the
# benchmarks. Sourced, never run.
#
#     one arm (ARMS=1)                      two arms (ARMS=2)
#
#     client      node                      client        node
#      eth0       eth0                       eth0      eth0  eth1
#       |          |  <- XDP                  |     XDP->|    |<-XDP
#     ==+====+=====+====+==== fabric        ==+=========+=    |   front
#            |     |    |    (bridge)                         |
#           b1 … b4                         ==+====+====+====+=   back
#                                             b1   b2   b3   b4
#
#     front   10.0.0.0/24  fd00::/64          node .1, client .2 … .9
#     back    10.0.1.0/24  fd00:0:0:1::/64    node .1, NAT .9, b1 … b4 .11 … .14
#     VIPs    192.0.2.10   2001:db8::10       routed to the node by the client
#
# With one arm both networks are on the one bridge and clients and back ends
# reach each other directly: the way back of the DSR modes.
#
# Interface: netns_up, then in_ns NS COMMAND…; variables RUN (scratch
# directory), NODE, CLIENT, NS_B1 … as names of namespaces. Everything goes on
# exit, also when interrupted: processes inside the namespaces, the namespaces,
# a private bpffs (RUN/bpf) and RUN itself. DEBUG=1 leaves a shell in the
# node's namespace first.
#
#   ARMS=1|2   QUEUES=n (of the node's devices)   BACKENDS=n   MODE=nat|dsr-…
#
# Nothing here touches the host's own interfaces. What needs pinned maps is
# entered by nsenter, because `ip netns exec` mounts a new /sys.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${B:-$ROOT/build}
ARMS=${ARMS:-1}
QUEUES=${QUEUES:-1}
BACKENDS=${BACKENDS:-4}
MODE=${MODE:-nat}
VIP4=192.0.2.10
VIP6=2001:db8::10
NETNS_PREFIX=${NETNS_PREFIX:-slu}
# Of this shell, which may be a subshell: its end is the topology's end.
ID=$NETNS_PREFIX-$BASHPID
NODE=$ID-node
CLIENT=$ID-client
FABRIC=$ID-fabric
RUN=
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

fail() {
	say "FAIL: $*"
	exit 1
}

# The last line of a skipped test says why.
skip() {
	echo "$*"
	exit 77
}

# Where `set -e` ends a test, nobody else says why.
set -E
trap 'netns_on_error $? "${BASH_SOURCE[0]}:$LINENO" "$BASH_COMMAND"' ERR
netns_on_error() {
	[[ $- != *e* || $1 = 77 ]] || say "FAIL: ${2##*/}: exit status $1 of ${3%%$'\n'*}"
}

in_ns() {
	local ns=$1
	shift
	nsenter --net="/var/run/netns/$ns" -- "$@"
}

node() { in_ns "$NODE" "$@"; }
client() { in_ns "$CLIENT" "$@"; }
backend_ns() { echo "$ID-b$1"; }

# shellcheck source=until.sh
. "$ROOT/tests/lib/until.sh"

# ---- building -----------------------------------------------------------

# One cable: NS_A DEV_A NS_B DEV_B [QUEUES]
netns_cable() {
	local q=${5:-1}
	ip link add name "$2" netns "$1" numrxqueues "$q" numtxqueues "$q" \
		type veth peer name "$4" netns "$3" numrxqueues "$q" numtxqueues "$q"
	in_ns "$1" ip link set "$2" up
	in_ns "$3" ip link set "$4" up
}

# A port of bridge BR in the fabric that goes to NS as DEV: NS DEV BR [QUEUES]
netns_port() {
	local port="${1#"$ID"-}-$2"
	netns_cable "$FABRIC" "$port" "$1" "$2" "${4:-1}"
	in_ns "$FABRIC" ip link set "$port" master "$3"
}

# What a native XDP program at the far end of PORT needs: whole checksums and
# no segments larger than the MTU in what it receives, and NAPI here, which an
# XDP program brings, to accept what it transmits.
netns_port_raw() {
	in_ns "$FABRIC" ethtool -K "$1" tx off tso off >/dev/null 2>&1 || true
	in_ns "$FABRIC" ip link set "$1" xdpdrv obj \
		"$B/tests/netns/pass.bpf.o" sec xdp ||
		fail "cannot attach a passing program to $1 (make tests builds it)"
	# Off first: a bridge's port may have the flag without the NAPI.
	in_ns "$FABRIC" ethtool -K "$1" gro off >/dev/null
	in_ns "$FABRIC" ethtool -K "$1" gro on >/dev/null
	# A veth's ring has 256 places and drops what is more, unless it can
	# push back on a queue (Linux 6.16 and newer).
	in_ns "$FABRIC" tc qdisc replace dev "$1" root pfifo limit 10000
}

# Packets that the topology itself has lost so far: full rings of veth (also
# those that XDP transmits into), backlogs, socket buffers. On an idle machine
# there are none.
netns_drops() {
	local ns sum=0 n
	for ns in "$FABRIC" "$NODE" "$CLIENT" $(seq -f "$ID-b%g" 1 "$BACKENDS"); do
		n=$(in_ns "$ns" ip -j -s link show |
			jq '[.[].stats64 | .rx.dropped + .tx.dropped] | add')
		sum=$((sum + n))
		n=$(in_ns "$ns" awk '$1 == "Udp:" { n = $6 } END { print n + 0 }' /proc/net/snmp)
		sum=$((sum + n))
		n=$(in_ns "$ns" awk '$1 == "Udp6RcvbufErrors" { print $2 }' /proc/net/snmp6)
		sum=$((sum + n))
	done
	while read -r _ n _; do sum=$((sum + 16#$n)); done </proc/net/softnet_stat
	echo $sum
}

netns_new() {
	ip netns add "$1"
	in_ns "$1" ip link set lo up
	in_ns "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
		net.ipv6.conf.default.accept_dad=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}

netns_addr() {
	local ns=$1 dev=$2 a
	shift 2
	for a in "$@"; do
		case $a in
		*:*) in_ns "$ns" ip addr add "$a" dev "$dev" nodad ;;
		*) in_ns "$ns" ip addr add "$a" dev "$dev" ;;
		esac
	done
}

netns_up() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	# Of runs that were killed before they could clean up.
	netns_sweep_stale || true
	trap netns_on_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	RUN=$(mktemp -d "/tmp/$ID.XXXX")
	mkdir -p "$RUN/bpf" "$RUN/run" "$RUN/state"
	mount -t bpf bpf "$RUN/bpf" || fail "cannot mount a bpffs"
	ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

	local ns
	for ns in "$FABRIC" "$NODE" "$CLIENT"; do netns_new "$ns"; done
	in_ns "$FABRIC" ip link add front type bridge mcast_snooping 0
	in_ns "$FABRIC" ip link set front up
	local back=front
	if [ "$ARMS" = 2 ]; then
		back=back
		in_ns "$FABRIC" ip link add back type bridge mcast_snooping 0
		in_ns "$FABRIC" ip link set back up
	fi
	netns_up_client
	netns_up_node "$back"
	local i
	for ((i = 1; i <= BACKENDS; i++)); do netns_up_backend "$i" "$back"; done
	netns_wait_ready
}

netns_up_client() {
	netns_port "$CLIENT" eth0 front
	local i
	for ((i = 2; i <= 9; i++)); do
		netns_addr "$CLIENT" eth0 "10.0.0.$i/24" "fd00::$i/64"
	done
	client ip route add $VIP4 via 10.0.0.1 src 10.0.0.2
	client ip -6 route add $VIP6 via fd00::1 src fd00::2
	client sysctl -qw net.ipv4.ip_local_port_range="10000 65000" \
		net.ipv4.tcp_tw_reuse=1
	if [ "$ARMS" = 1 ]; then
		client ip route add 10.0.1.0/24 dev eth0
		client ip -6 route add fd00:0:0:1::/64 dev eth0
	fi
}

netns_up_node() {
	local back=$1 dev=eth0
	netns_port "$NODE" eth0 front "$QUEUES"
	netns_port_raw node-eth0
	if [ "$ARMS" = 2 ]; then
		dev=eth1
		netns_port "$NODE" eth1 "$back" "$QUEUES"
		netns_port_raw node-eth1
	fi
	netns_addr "$NODE" eth0 10.0.0.1/24 fd00::1/64
	netns_addr "$NODE" $dev 10.0.1.1/24 fd00:0:0:1::1/64 \
		10.0.1.9/24 fd00:0:0:1::9/64
	# bpf_fib_lookup() refuses interfaces that do not forward.
	node sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.eth0.forwarding=1 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.eth0.send_redirects=0
}

netns_up_backend() {
	local i=$1 ns
	ns=$(backend_ns "$i")
	netns_new "$ns"
	netns_port "$ns" eth0 "$2"
	netns_addr "$ns" eth0 "10.0.1.1$i/24" "fd00:0:0:1::1$i/64"
	if [ "$ARMS" = 1 ]; then
		in_ns "$ns" ip route add 10.0.0.0/24 dev eth0
		in_ns "$ns" ip -6 route add fd00::/64 dev eth0
	else
		in_ns "$ns" ip route add default via 10.0.1.1
		in_ns "$ns" ip -6 route add default via fd00:0:0:1::1
	fi
	case $MODE in
	dsr-*)
		# The back end answers as the VIP, but never for its ARP.
		in_ns "$ns" sysctl -qw net.ipv4.conf.all.arp_ignore=1 \
			net.ipv4.conf.all.arp_announce=2
		netns_addr "$ns" lo $VIP4/32 $VIP6/128
		;;
	esac
	case $MODE in
	dsr-ipip | dsr-gue)
		# This kernel may have no ipip or fou device: a small XDP program
		# takes the outer headers off.
		netns_port_raw "b$i-eth0"
		in_ns "$ns" tc qdisc replace dev eth0 root pfifo limit 10000
		in_ns "$ns" ip link set eth0 xdpdrv obj \
			"$B/tests/netns/decap.bpf.o" sec xdp ||
			fail "cannot attach the decapsulator to b$i"
		;;
	esac
}

netns_wait_ready() {
	local i
	for ((i = 1; i <= BACKENDS; i++)); do
		until_true 10 node ping -c1 -W1 "10.0.1.1$i" ||
			fail "node does not reach b$i"
		until_true 10 node ping -c1 -W1 "fd00:0:0:1::1$i" ||
			fail "node does not reach b$i by IPv6"
	done
	until_true 10 client ping -c1 -W1 10.0.0.1 || fail "client does not reach node"
	until_true 10 client ping -c1 -W1 fd00::1 ||
		fail "client does not reach node by IPv6"
}

# ---- taking down --------------------------------------------------------

netns_kill_inside() {
	local pids
	pids=$(ip netns pids "$1" 2>/dev/null)
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
	return 0
}

# netns_remove ID RUN
netns_remove() {
	local ns
	for ns in $(ip netns list 2>/dev/null | awk '{print $1}' | grep "^$1-"); do
		until_true 10 netns_emptied "$ns"
		ip netns del "$ns" || true
	done
	if [ -n "$2" ] && [ -d "$2" ]; then
		# Not lazily: what was pinned must be gone when this returns.
		mountpoint -q "$2/bpf" && until_true 10 umount "$2/bpf"
		rm -rf --one-file-system "$2"
	fi
}

netns_emptied() {
	netns_kill_inside "$1"
	[ -z "$(ip netns pids "$1" 2>/dev/null)" ]
}

netns_on_exit() {
	local rc=$?
	trap '' INT TERM HUP
	trap - ERR
	if [ "${DEBUG:-0}" != 0 ] && [ -t 0 ]; then
		say "exit status $rc; a shell in $NODE, scratch in $RUN; leave it to clean up"
		node bash </dev/tty >/dev/tty 2>&1 || true
	fi
	if [ $rc != 0 ] && [ -n "$RUN" ]; then netns_show_logs; fi
	# Tells scripts that keep the topology that they may not.
	if [ "${NETNS_KEEP:-0}" = 0 ]; then
		netns_remove "$ID" "$RUN"
	fi
	trap - EXIT
	exit $rc
}

netns_show_logs() {
	local f
	for f in "$RUN"/*.log; do
		[ -s "$f" ] || continue
		say "--- end of ${f##*/}"
		tail -n "${LOG_LINES:-25}" "$f" >&2
	done
}

# Namespaces are named PREFIX-PID-…, scratch directories PREFIX-PID.…: those of
# processes that are gone are left over from a run that was killed.
netns_sweep_stale() {
	local id
	for id in $({
		ip netns list 2>/dev/null | awk '{ print $1 }'
		ls /tmp
	} | grep -oE "^$NETNS_PREFIX-[0-9]+" | sort -u); do
		[ -e "/proc/${id#"$NETNS_PREFIX"-}" ] && continue
		[ -e "/tmp/$id.keep" ] && continue
		netns_remove "$id" "$(echo /tmp/"$id".????)"
	done
}
