# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A DNS server (dnsmasq) whose answers a test changes while it runs, and daemons
# that ask it. Sourced after netns.sh.
#
#   names_up NS ADDRESS   starts it; daemons started afterwards with
#                         NAMES_WRAP in front have it in /etc/resolv.conf
#   names_set NAME ADDRESS [NAME ADDRESS]…   all it knows from now on
#   names_down            kills it: nobody answers
#   names_asked NAME ADDRESS   whether ADDRESS has asked since names_forget

NAMES_PID=
# A mount namespace of its own: only the daemon sees the file.
NAMES_WRAP=()

names_up() {
	local ns=$1
	echo "nameserver $2" >"$RUN/resolv.conf"
	# shellcheck disable=SC2016
	NAMES_WRAP=(unshare --mount --propagation private sh -c
		'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$RUN/resolv.conf")
	[ -e "$RUN/hosts" ] || : >"$RUN/hosts"
	: >"$RUN/dns.log"
	nsenter --net="/var/run/netns/$ns" -- dnsmasq -k -C /dev/null \
		--no-resolv --no-hosts --addn-hosts="$RUN/hosts" --local-ttl=1 \
		--listen-address="$2" --bind-interfaces --user=root --pid-file= \
		--log-queries --log-facility="$RUN/dns.log" \
		--local=/test/ >>"$RUN/dnsmasq.out" 2>&1 </dev/null &
	NAMES_PID=$!
	disown
	until_true 10 grep -q 'read .*hosts' "$RUN/dns.log" || fail "dnsmasq does not start"
}

names_reads() { grep -c 'read .*hosts' "$RUN/dns.log"; }
names_has_read() { [ "$(names_reads)" -gt "$1" ]; }

names_set() {
	local before
	before=$(names_reads)
	while [ $# -ge 2 ]; do
		echo "$2 $1"
		shift 2
	done >"$RUN/hosts"
	kill -HUP "$NAMES_PID"
	until_true 10 names_has_read "$before" || fail "dnsmasq does not read its names again"
}

names_down() {
	kill -9 "$NAMES_PID"
	until_true 5 test ! -e "/proc/$NAMES_PID" || fail "dnsmasq survives kill -9"
}

NAMES_FROM=1
names_forget() { NAMES_FROM=$(($(wc -l <"$RUN/dns.log") + 1)); }
names_asked() { tail -n +"$NAMES_FROM" "$RUN/dns.log" | grep -q "query.* $1 from $2\$"; }
