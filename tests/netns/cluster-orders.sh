#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What operators say to a cluster and see of it (tests/lib/cluster.sh): `cluster
# leave`, `join`, `spare`, `passive`, also over a restart; `cluster trace` prints
# what the state machines do; configurations that differ: a service belongs to
# the first node of its list that has it, and moves when the first one gets it.
NETNS_PREFIX=clo
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"

cluster_topology 3 9
cluster_start_all
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "no view of all three"
for i in 0 1 2; do until_true 15 all_services "$i" UP || fail "n$i: services are not up"; done
owner_of() { ncli "$1" -j service show "$2" | jq -r .cluster.owner; }
trace_has() { grep -q "$1" "$RUN/trace.txt"; }

echo "cluster show: everybody's state, round trip, loss, view"
until_true 10 eval "ncli 0 -j cluster show | jq -e '[.nodes[] | select(.name != \"n0\")]
	| length == 2 and all(.state == \"operational\" and .rtt_us > 0 and .loss_permille >= 0
	    and .admin == \"active\" and .reason_name == \"NONE\")'" ||
	fail "cluster show: $(ncli 0 -j cluster show)"
ncli 0 cluster show | grep -q 'n2 .*operational' || fail "cluster show has no n2"

echo "leave: it gives up what it owns, and stays out over a restart; the trace says so"
timeout 60 "$B/sluice" -s "$RUN/n0/run/sluiced.sock" cluster trace >"$RUN/trace.txt" 2>&1 &
tracer=$!
ncli 2 cluster leave || fail "cluster leave"
until_true 10 same_view "0 1" "n0 n1" || fail "n2 stays in the view"
until_true 5 masters_are 2 0 || fail "n2 owns services after it left"
reason_is 2 LEFT || fail "n2 does not say that it left: $(shown 2 '.nodes[2].reason_name')"
until_true 10 trace_has 'installs view .* members 0x3' || fail "the trace has no view: $(cat "$RUN/trace.txt")"
until_true 10 trace_has 'becomes master of' || fail "the trace has no master"
until_true 10 trace_has 's[0-9]' || fail "the trace does not name services"
wait_one_prober_each 15 || fail "after n2 left some service is not probed by one"
cluster_kill 2
cluster_start 2
until_true 20 ncli 2 cluster show || fail "n2 does not answer"
until_true 10 reason_is 2 LEFT || fail "n2 forgot that it left"
wait_hellos 2 10
same_view "0 1" "n0 n1" || fail "n2 came back by itself"

echo "join: it is brought up to date and takes its share"
ncli 2 cluster join || fail "cluster join"
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "n2 does not join"
until_true 10 all_services 2 UP || fail "n2 does not know the states"
wait_one_prober_each 15 || fail "after n2 joined some service is not probed by one"
[ "$(shown 2 .masters)" -gt 0 ] || fail "n2 owns nothing"
kill $tracer 2>/dev/null

echo "a spare stands in when an active node is missing"
ncli 2 cluster spare || fail "cluster spare"
until_true 10 same_view "0 1" "n0 n1" || fail "a spare stays operational"
cluster_kill 1
until_true 20 same_view "0 2" "n0 n2" || fail "the spare does not stand in: $(shown 0 .members)"
until_true 10 all_services 2 UP || fail "the spare does not know the states"
cluster_start 1
until_true 30 same_view "0 1" "n0 n1" || fail "the spare does not step back: $(shown 0 .members)"
ncli 2 cluster active || fail "cluster active"
until_true 20 same_view "0 1 2" "n0 n1 n2" || fail "n2 does not come back"
ncli 2 cluster nonsense >/dev/null 2>&1 && fail "an order that there is not is taken"

echo "configurations that differ"
# A service of which n2 is the first.
service=
for k in 1 2 3 4 5 6 7 8 9; do
	[ "$(ncli 0 -j service show "s$k" | jq -r '.cluster.preference[0]')" = n2 ] && service=$k
done
[ -n "$service" ] || fail "n2 is the first of no service"
jq --arg s "s$service" '.services |= map(select(.name != $s))' "$RUN/n2/sluice.json" >"$RUN/less.json"
ncli 2 config apply "$RUN/less.json" >/dev/null || fail "n2 refuses a configuration without s$service"
second=$(ncli 0 -j service show "s$service" | jq -r '.cluster.preference[1]')
owner_is() { # OWNER NODE…
	local want=$1 i
	shift
	for i in "$@"; do [ "$(owner_of "$i" "s$service")" = "$want" ] || return 1; done
}
until_true 15 owner_is "$second" 0 1 || fail "s$service is not $second's: $(owner_of 0 "s$service")"
ncli 2 -j service show "s$service" >/dev/null 2>&1 && fail "n2 shows a service that it does not have"
until_true 10 eval "ncli 0 -j service show s$service | jq -e '.cluster.configured_on == [\"n0\", \"n1\"]'" ||
	fail "n0 does not say who has s$service"
wait_one_prober_each 15 || fail "with different configurations some service is not probed by one"
[ "$(probers_of "$service" "$(($(log_lines) - 30))")" = "$(node_addr "${second#n}")" ] ||
	fail "s$service is not probed by $second"
# Down meanwhile: who gets the service gets its state with it.
back_down "$service"
until_true 10 service_state_is 0 "s$service" DOWN || fail "s$service does not go down"
ncli 2 config apply "$RUN/n2/sluice.json" >/dev/null || fail "n2 refuses its first configuration"
until_true 15 owner_is n2 0 1 2 || fail "s$service does not go back to n2"
service_state_is 2 "s$service" DOWN || fail "n2 took s$service for something else than down"
service_state_is 0 "s$service" DOWN || fail "taking s$service over changed its state"
backs_heal
for i in 0 1 2; do until_true 15 all_services "$i" UP || fail "n$i: services do not come back"; done
wait_one_prober_each 15 || fail "with equal configurations some service is not probed by one"
