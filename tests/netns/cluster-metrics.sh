#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What balances load, on nodes that do not measure it (tests/lib/cluster.sh): the
# owner's response times, custom loads and round-robin contributions reach the
# tables that packets of every node are balanced by; a load that changes by less
# than 5 % is not told, its threshold flag at once; services of a response-time
# monitor share one owner, also after its death.
NETNS_PREFIX=clm
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"

# s1 has a load monitor, s3 … s6 share the response-time monitor.
eval "plain_$(declare -f cluster_config)"
cluster_config() {
	plain_cluster_config "$1" | jq '
		.monitors += [
		  {"name": "load", "type": "load", "path": "/load", "metric": "busy",
		   "weight_metric": "share", "load_max": 50, "interval_ms": 100, "timeout_ms": 1000, "down_ms": 200},
		  {"name": "rt", "type": "http", "path": "/", "response_time": true,
		   "deviation_ms": 900, "interval_ms": 100, "timeout_ms": 1000, "down_ms": 200}]
		| .services |= map(
		    if .name == "s1" then .monitors = [{"monitor": "load"}]
		    elif .name != "s2" then .monitors = [{"monitor": "rt"}] else . end)
		| .nat = ["10.0.9.200"]
		| .vservers = [
		    {"name": "v1", "address": "192.0.2.10", "port": 80, "method": "least-load",
		     "services": [{"service": "s1"}, {"service": "s2"}]},
		    {"name": "v2", "address": "192.0.2.10", "port": 81, "method": "least-response",
		     "services": [{"service": "s3"}, {"service": "s4"}]}]'
}
eval "plain_$(declare -f backs_conf)"
backs_conf() {
	plain_backs_conf | sed "s|location / {|location /load { alias $RUN/load; } &|"
}
busy() { # LOAD [SHARE], in one step: probes must not see half of it
	printf 'busy %s\nshare %s\n' "$1" "${2:-100}" >"$RUN/load.next"
	mv "$RUN/load.next" "$RUN/load"
}

command -v bpftool >/dev/null || skip "bpftool is missing"
cluster_topology 3 6
busy 40
cluster_start_all
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "no view of all three"
for i in 0 1 2; do
	until_true 20 all_services "$i" UP || fail "n$i: services are not up: $(ncli "$i" service show)"
done

owner_of() { ncli "$1" -j service show "$2" | jq -r .cluster.owner; }
is() { ncli "$1" -j service show "$2" | jq -e "$3" >/dev/null; }
# table I SERVICE FIELD: what XDP and engines of node I go by.
table() {
	local id
	id=$(ncli "$1" -j service show "$2" | jq .id)
	bpftool -j map lookup pinned "$RUN/bpf/n$1/maps/services" \
		key $((id & 255)) $((id >> 8)) 0 0 | jq -r ".formatted.value.$3"
}
table_is() { [ "$(table "$1" "$2" "$3")" = "$4" ]; }
table_has() { local v; v=$(table "$1" "$2" "$3") && [ "$v" -gt 0 ]; }

echo "a load reaches the tables of all nodes"
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 load 40 || fail "n$i balances by load $(table "$i" s1 load), not 40"
done
owner=$(owner_of 0 s1)
o=${owner#n} other=$(((${owner#n} + 1) % 3))

echo "less than 5 % is not told, more is"
told=$(ncli "$other" -j service show s1 | jq .cluster.sequence)
busy 41
until_true 15 is "$o" s1 '.load == 41' || fail "the owner does not measure 41"
wait_hellos "$o" 5
table_is "$other" s1 load 40 || fail "2.5 % were told"
is "$other" s1 ".cluster.sequence == $told" || fail "2.5 % were a new version"
busy 43
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 load 43 || fail "n$i does not hear of 7.5 %"
done

echo "above the threshold: flagged everywhere, and back"
busy 51
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 load $((51 + (1 << 31))) ||
		fail "n$i does not know that s1 is overloaded: $(table "$i" s1 load)"
done
busy 50
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 load 50 || fail "n$i believes that s1 is overloaded"
done

echo "the share of its weight that a service wants is what it has everywhere"
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 weight_scale 256 || fail "n$i: s1 has not its whole weight"
done
busy 50 25
for i in 0 1 2; do
	until_true 15 table_is "$i" s1 weight_scale 64 ||
		fail "n$i gives s1 $(table "$i" s1 weight_scale)/256 of its weight, not a quarter"
	is "$i" s1 '.weight_percent == 25' || fail "n$i does not show it"
done
# Back while a node has no daemon, which finds the old share in its tables.
cluster_kill "$o"
busy 50
cluster_start "$o"
for i in 0 1 2; do
	until_true 20 table_is "$i" s1 weight_scale 256 ||
		fail "n$i leaves s1 $(table "$i" s1 weight_scale)/256 of its weight"
done
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "$owner does not come back"
for i in 0 1 2; do
	until_true 15 all_services "$i" UP || fail "n$i: not all services are up again"
done

echo "response times reach the tables of all nodes"
for i in 0 1 2; do
	until_true 15 table_has "$i" s3 response_us || fail "n$i has no response time of s3"
	until_true 15 table_has "$i" s4 response_us || fail "n$i has no response time of s4"
done

echo "one owner for the services of a response-time monitor"
one_owner() { # NODES…
	local i k first=
	for i in "$@"; do
		for k in 3 4 5 6; do
			owner=$(owner_of "$i" "s$k")
			[ "${first:=$owner}" = "$owner" ] || return 1
		done
	done
	[ "$first" != "${not:-}" ]
}
one_owner 0 1 2 || fail "services of one response-time monitor have several owners"
not=$(owner_of 0 s3)
v=${not#n}
rest=()
for i in 0 1 2; do [ "$i" = "$v" ] || rest+=("$i"); done
cluster_kill "$v"
until_true 20 same_view "${rest[*]}" "n${rest[0]} n${rest[1]}" || fail "$not stays in the view"
until_true 10 one_owner "${rest[@]}" || fail "after its death they have several owners"
wait_one_prober_each 15 || fail "after its death some service is not probed by one"
