#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Path monitoring between real nodes and back ends (tests/lib/cluster.sh): s1
# "individual": a node that cannot reach it uses its own DOWN, the others go
# on. s2 not "individual": down for all as soon as one cannot reach it. s3: not
# watched at all. Each with a node that does not own the service.
NETNS_PREFIX=cla
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"
SERVICE_OPTIONS[1]='"path_monitor": true'
SERVICE_OPTIONS[2]='"path_monitor": true, "path_individual": false'

cluster_topology 3 3
cluster_start_all
until_true 30 same_view "0 1 2" "n0 n1 n2" || fail "no view of all three"
for i in 0 1 2; do until_true 15 all_services $i UP || fail "n$i: services are not up"; done

paths_known() {
	[ "$(ncli 0 -j service show "$1" | jq -r '.cluster.path_reachable // [] | join(" ")')" = "$2" ]
}
until_true 20 paths_known s1 "n0 n1 n2" || fail "not all nodes look at the path to s1"
until_true 20 paths_known s2 "n0 n1 n2" || fail "not all nodes look at the path to s2"
paths_known s3 "" || fail "the path to s3 is watched"

# A node that does not own service K.
other_than_owner() {
	local owner
	owner=$(ncli 0 -j service show "s$1" | jq -r .cluster.owner)
	case $owner in
	n0) echo 1 ;;
	*) echo 0 ;;
	esac
}
advertised_is() { [ "$(ncli 0 -j service show "$1" | jq -r .cluster.advertised)" = "$2" ]; }
stays() { # I SERVICE STATE, over five sights
	local n
	for n in 1 2 3 4 5; do service_state_is "$1" "$2" "$3" || return 1; done
}

# ---- individual
a=$(other_than_owner 1)
path_cut "$a" 1
until_true 15 service_state_is "$a" s1 DOWN || fail "n$a uses s1, which it cannot reach"
for i in 0 1 2; do
	[ "$i" = "$a" ] || stays "$i" s1 UP || fail "n$i gave up s1, which it reaches"
done
without=$(echo "n0 n1 n2" | sed "s/n$a *//; s/ *$//")
until_true 10 paths_known s1 "$without" || fail "n0 does not know who reaches s1"
path_heal "$a"
until_true 15 service_state_is "$a" s1 UP || fail "n$a does not go back to what was advertised"

# ---- not individual
b=$(other_than_owner 2)
owner=$(ncli 0 -j service show s2 | jq -r .cluster.owner)
path_cut "$b" 2
for i in 0 1 2; do
	[ "n$i" = "$owner" ] || until_true 15 service_state_is "$i" s2 DOWN ||
		fail "n$i uses s2, which n$b cannot reach"
done
until_true 5 advertised_is s2 DOWN || fail "$owner does not advertise that s2 is down"
path_heal "$b"
for i in 0 1 2; do
	until_true 15 service_state_is "$i" s2 UP || fail "n$i does not use s2 again"
done

# ---- not watched
c=$(other_than_owner 3)
path_cut "$c" 3
for i in 0 1 2; do stays "$i" s3 UP || fail "n$i gave up s3, which is not watched"; done
path_heal "$c"
echo "paths: individual, any, off"
