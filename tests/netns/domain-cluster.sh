#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Domain-based services in a cluster (drawing: tests/lib/cluster.sh; the DNS
# server has an address beside the back ends'): the owner alone asks for the
# name, all nodes use the address it found and the state that belongs to it, also
# when it changes; a node that joins learns it; a new owner goes on with it.
NETNS_PREFIX=dmc
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/names.sh"
DNS=10.0.9.99

# s1 is the back end of that name, wherever it is, and so is s2, whose path is
# watched; s3 and s4 have their addresses.
cluster_config_base=$(declare -f cluster_config)
eval "plain_${cluster_config_base}"
cluster_config() {
	plain_cluster_config "$1" |
		jq '.services[0, 1] |= (del(.address) | .domain = .name + ".test")
			| .services[1].path_monitor = true'
}

cluster_topology 3 4
netns_addr "$BACK" eth0 $DNS/24
names_up "$BACK" $DNS
cluster_start 0
cluster_start 1
for i in 0 1; do
	until_true 20 ncli "$i" cluster show || fail "n$i does not answer"
done
until_true 20 same_view "0 1" "n0 n1" || fail "no view of two"

is() { # NODE JQ
	ncli "$1" -j service show s1 | jq -e "$2" >/dev/null
}
is_at() { # NODE SERVICE
	is "$1" ".state == \"UP\" and .address == \"$(service_addr "$2")\" and
		.cluster.address == .address and .cluster.ttl_s == 1"
}
shows() { for i in "$@"; do echo "n$i: $(ncli "$i" -j service show s1 | jq -c '{state, address, reason, name_resolution, cluster}')"; done; }
paths_known() {
	ncli "$1" -j service show s2 | jq -e '.cluster.path_reachable | length == 2' >/dev/null
}
# Since names_forget node I has asked for s1, twice.
owner_asks() {
	local n
	n=$(tail -n +"$NAMES_FROM" "$RUN/dns.log" |
		grep -c "query.* s1.test from $(node_addr "$1")\$")
	[ "$n" -ge 2 ]
}

echo "no answer: down everywhere, and everybody knows why"
for i in 0 1; do
	until_true 20 is "$i" '.state == "DOWN" and .address == null and
		(.reason | test("name (is not|does not) resolve"))' ||
		fail "n$i: $(shows 0 1)"
done
owner=$(ncli 0 -j service show s1 | jq -r .cluster.owner)
o=${owner#n} other=$((1 - ${owner#n}))
is "$other" "(.reason | test(\"from $owner\")) and .cluster.reason == \"its name does not resolve\"" ||
	fail "n$other does not say whose word it is: $(shows 0 1)"

echo "an answer: the owner asked, both know"
names_set s1.test "$(service_addr 1)" s2.test "$(service_addr 2)"
for i in 0 1; do
	until_true 20 is_at "$i" 1 || fail "$(shows 0 1)"
done
names_forget
until_true 20 owner_asks "$o" || fail "the owner does not ask again"
! names_asked s1.test "$(node_addr "$other")" || fail "n$other asks, too"
for i in 0 1; do
	until_true 10 paths_known "$i" ||
		fail "the path to the resolved address is not watched: $(ncli "$i" service show s2)"
done

echo "another address, nothing else at the old one"
back_down 1
for i in 0 1; do
	until_true 20 is "$i" '.state == "DOWN"' || fail "$(shows 0 1)"
done
names_set s1.test "$(service_addr 3)" s2.test "$(service_addr 2)"
for i in 0 1; do
	until_true 20 is_at "$i" 3 || fail "$(shows 0 1)"
done
[ "$(ncli 0 -j service show s1 | jq .cluster.sequence)" = \
	"$(ncli 1 -j service show s1 | jq .cluster.sequence)" ] || fail "not one version: $(shows 0 1)"

echo "a node joins: it knows where the service is without asking"
names_down
cluster_start 2
until_true 20 ncli 2 cluster show || fail "n2 does not answer"
until_true 30 same_view "0 1 2" "n0 n1 n2" || fail "n2 does not join"
until_true 20 is_at 2 3 || fail "$(shows 0 1 2)"

echo "the owner dies while no resolver answers: the address and the state stay"
owner=$(ncli 0 -j service show s1 | jq -r .cluster.owner)
o=${owner#n}
rest=()
for i in 0 1 2; do [ "$i" = "$o" ] || rest+=("$i"); done
cluster_kill "$o"
until_true 20 same_view "${rest[*]}" "n${rest[0]} n${rest[1]}" || fail "$owner stays in the view"
for i in "${rest[@]}"; do
	until_true 20 is "$i" ".cluster.owner != \"$owner\"" || fail "nobody takes over"
	is_at "$i" 3 || fail "$(shows "${rest[@]}")"
done
owner=$(ncli "${rest[0]}" -j service show s1 | jq -r .cluster.owner)
until_true 40 is "${owner#n}" '.name_resolution.failures > 0' ||
	fail "the new owner does not ask: $(shows "${rest[@]}")"
for i in "${rest[@]}"; do
	is_at "$i" 3 || fail "$(shows "${rest[@]}")"
done

echo "the resolver is back: the new owner's answer counts"
names_up "$BACK" $DNS
names_set s1.test "$(service_addr 4)"
for i in "${rest[@]}"; do
	until_true 70 is_at "$i" 4 || fail "$(shows "${rest[@]}")"
done
