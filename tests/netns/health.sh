#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Every monitor type against the real thing and against misbehaving ones, and
# what happens when probers die, hang or are late.
#
#   one network namespace, loopback only
#     nginx (TLS: good, expired)  dnsmasq  vsftpd     from Debian
#     health_servers.py           everything that servers do wrong
#     tool_health → sluice-prober × 2                 under test
#
# health.py does the work; this makes its place and cleans up.
set -u
cd "$(dirname "$0")/../.." || exit 1
ns=h6-health-$$
dir=$(mktemp -d /tmp/sluice-health.XXXXXX)
chmod 755 "$dir"

clean() {
	# Everything in there is ours: started here, ended by its id.
	ip netns pids $ns 2>/dev/null | while read -r pid; do
		kill -9 "$pid" 2>/dev/null
	done
	ip netns del $ns 2>/dev/null
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT TERM

for tool in nft nginx dnsmasq vsftpd openssl python3; do
	command -v $tool >/dev/null || { echo "$tool is missing"; exit 77; }
done
ip netns add $ns && ip -n $ns link set lo up || exit 1
nsenter --net=/var/run/netns/$ns python3 tests/netns/health.py \
	build/tests/netns/tool_health "${SLUICE_PROBER:-build/sluice-prober}" \
	"$dir" "$@"
