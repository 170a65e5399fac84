#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Three nodes, twelve services (drawing: tests/lib/cluster.sh): each service is
# probed by one node, and the back ends' access log is the witness; all nodes
# know all states; what a node probed is taken over when it dies, and it comes
# back without two nodes probing.
NETNS_PREFIX=clp
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"

cluster_topology 3 12
cluster_start_all
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "no view of all three"
for i in 0 1 2; do
	until_true 15 all_services "$i" UP || fail "n$i does not know that all services are up"
done
wait_one_prober_each 15 || fail "some service has no, or more than one, prober"

# The log agrees with what nodes say.
for k in 1 5 9; do
	owner=$(ncli 0 -j service show "s$k" | jq -r .cluster.owner)
	[ "$(ncli 2 -j service show "s$k" | jq -r .cluster.owner)" = "$owner" ] ||
		fail "nodes disagree who owns s$k"
	[ "$(probers_of "$k" "$(($(log_lines) - 30))")" = "$(node_addr "${owner#n}")" ] ||
		fail "s$k is not probed by its owner $owner"
	until_true 5 acknowledged_by "${owner#n}" "s$k" 2 ||
		fail "not all acknowledged the state of s$k"
	for i in 0 1 2; do
		ncli "$i" -j service show "s$k" | jq -e --argjson now "$(date +%s)" \
			'.cluster | .updated_s <= $now and .updated_s > $now - 300 and
			.view > 0 and (.preference | length) == 3' >/dev/null ||
			fail "n$i does not show when it heard of s$k"
	done
done
# No node probes everything; all of them do something.
for i in 0 1 2; do
	[ "$(shown "$i" .masters)" -gt 0 ] || fail "n$i owns nothing"
done
[ "$(($(shown 0 .masters) + $(shown 1 .masters) + $(shown 2 .masters)))" = 12 ] ||
	fail "not every service has one master"

# A back end fails: all nodes know, whoever probed it.
back_down 3
back_down 7
for i in 0 1 2; do
	until_true 10 service_state_is "$i" s3 DOWN || fail "n$i believes s3 is up"
	until_true 10 service_state_is "$i" s7 DOWN || fail "n$i believes s7 is up"
	service_state_is "$i" s4 UP || fail "n$i believes s4 is down"
done

# Its owner dies as well: the state stays, others go on probing.
victim=$(ncli 0 -j service show s3 | jq -r .cluster.owner)
v=${victim#n}
rest=() names=()
for i in 0 1 2; do
	[ "$i" = "$v" ] || { rest+=("$i"); names+=("n$i"); }
done
from=$(($(log_lines) + 1))
cluster_kill "$v"
until_true 10 same_view "${rest[*]}" "${names[*]}" || fail "$victim stays in the view"
for i in "${rest[@]}"; do
	service_state_is "$i" s3 DOWN || fail "n$i forgot that s3 is down"
done
backs_heal
for i in "${rest[@]}"; do
	until_true 15 all_services "$i" UP || fail "n$i does not see the back ends return"
done
wait_one_prober_each 15 || fail "after the death of $victim some service is not probed by one"
tail -n +"$from" "$RUN/access.log" | tail -n 60 | grep -q "$(node_addr "$v") " &&
	fail "the dead probes"

# It comes back as another life, is brought up to date, and takes its share.
cluster_start "$v"
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "$victim does not come back"
[ "$(shown "$v" ".nodes[$v].incarnation")" = 2 ] || fail "$victim is not in its second life"
until_true 15 all_services "$v" UP || fail "$victim does not know the states"
wait_one_prober_each 15 || fail "after $victim came back some service is not probed by one"
[ "$(shown "$v" .masters)" -gt 0 ] || fail "$victim owns nothing after its return"

# Orders of the operator.
ncli "$v" cluster passive || fail "cluster passive"
until_true 10 same_view "${rest[*]}" "${names[*]}" || fail "a passive node stays operational"
until_true 5 masters_are "$v" 0 || fail "a passive node owns services"
[ "$(shown 0 ".nodes[$v].reason_name")" = PASSIVE ] || [ "$v" = 0 ] ||
	fail "n0 does not say that $victim is passive"
wait_one_prober_each 15 || fail "with a passive node some service is not probed by one"
until_true 5 all_services "$v" UP || fail "a passive node does not follow the states"
ncli "$v" cluster active || fail "cluster active"
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "an active node does not come back"
echo "one prober per service through death, return, passive and active"
