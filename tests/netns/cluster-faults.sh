#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What goes wrong between nodes (drawing: tests/lib/cluster.sh): a process that
# is stopped and goes on as a stale owner, a cable pulled, a direction cut,
# one link cut of three, 20 % of messages lost, a minority of one.
NETNS_PREFIX=clf
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"

ALL="n0 n1 n2"
settled() {
	until_true "${2:-30}" same_view "0 1 2" "$ALL" || fail "$1: no view of all three"
	for i in 0 1 2; do
		until_true 15 all_services "$i" UP || fail "$1: n$i does not know the states"
	done
	wait_one_prober_each 20 || fail "$1: some service is not probed by exactly one node"
}
without_n2() {
	until_true 10 same_view "0 1" "n0 n1" || fail "$1: n2 stays in the view"
}

# n0 and one of the others, or all, have one view.
one_view_with_n0() {
	same_view "0 1" "n0 n1" || same_view "0 2" "n0 n2" || same_view "0 1 2" "$ALL"
}

# loss_seen I FROM PERMILLE: node I measures at least so much loss from FROM.
loss_seen() { [ "$(shown "$1" ".nodes[$2].loss_permille")" -ge "$3" ]; }

# view_changes MOST WHAT: not oftener than that from here on, for 20 hellos.
view_changes() {
	local view n
	trace_start
	view=$(shown 0 .view)
	wait_hellos 0 20
	n=$(($(shown 0 .view) - view))
	trace_stop
	if machine_stalled; then
		echo "note: $2: the machine stood still for a while, the view is not judged"
	elif [ "$n" -gt "$1" ]; then
		fail "$2: the view swings: $n changes"
	fi
}

cluster_topology 3 9
cluster_start_all
settled "start"

# ---- 20 % of all messages between nodes lost at random: the view stays,
# and states still arrive.
view=$(shown 0 .view)
trace_start
for i in 0 1 2; do loss $i in 20; done
for k in 1 2 3 4 5; do
	back_down $k
	for i in 0 1 2; do
		until_true 10 service_state_is "$i" s$k DOWN ||
			fail "20 % loss: n$i does not hear that s$k is down"
	done
	backs_heal
	for i in 0 1 2; do
		until_true 10 service_state_is "$i" s$k UP ||
			fail "20 % loss: n$i does not hear that s$k is up"
	done
done
# A mean over some 64 datagrams, which begins at 0: it takes its time.
until_true 10 loss_seen 0 2 100 ||
	fail "20 % loss is not measured: $(shown 0 '.nodes[2].loss_permille') of 1000"
for i in 0 1 2; do loss_end $i; done
trace_stop
# By arithmetic the view changes once in hours.
if machine_stalled; then
	echo "note: the machine stood still for a while, the view is not judged"
elif [ "$(shown 0 .view)" != "$view" ]; then
	fail "20 % loss changed the view"
fi
settled "20 % loss"

# ---- stopped for 2 s, then on as if nothing had happened
kill -STOP "${NODE_PID[2]}"
without_n2 "SIGSTOP"
owned=$(probers_of_all "$(($(log_lines) + 1))" 2)
kill -CONT "${NODE_PID[2]}"
settled "SIGCONT"
[ -n "$owned" ] || fail "SIGSTOP: nobody probed while n2 was stopped"

# ---- cable out and in
cable_out 2
without_n2 "cable"
# The other side of the cut is a minority: it changes nothing.
until_true 10 not_connected 2 || fail "cable: n2 does not notice"
members_are 2 "$ALL" || fail "cable: the minority installed a view"
until_true 5 reason_is 2 NO_QUORUM || fail "cable: n2 does not say why it is alone"
cable_in 2
settled "cable in"

# ---- n2 hears nobody, others hear it: it may not stay an owner for ever,
# and the view must not swing
loss 2 in 100
without_n2 "deaf"
view_changes 0 deaf
loss_end 2
settled "hears again"

# ---- nobody hears n2
loss 2 out 100
without_n2 "mute"
loss_end 2
settled "heard again"

# ---- only between n1 and n2: both are heard by n0, so at most one of them
# leaves, and one view stays
loss 2 in 100 1
loss 2 out 100 1
until_true 10 one_view_with_n0 || fail "one link cut: no common view"
view_changes 2 "one link cut"
loss_end 2
settled "link back"

# ---- the majority dies: the rest keeps what it has and takes over nothing
view=$(shown 0 .view)
cluster_kill 1
cluster_kill 2
until_true 10 not_connected 0 || fail "n0 does not notice that it is alone"
wait_hellos 0 15
[ "$(shown 0 .view)" = "$view" ] || fail "a minority installed a view"
until_true 5 reason_is 0 NO_QUORUM ||
	fail "n0 does not say that it has no quorum: $(shown 0 '.nodes[0].reason_name')"
all_services 0 UP || fail "a minority forgot its states"
cluster_start 1
cluster_start 2
for i in 1 2; do until_true 20 ncli $i cluster show || fail "n$i does not answer"; done
settled "majority back"
echo "loss, stop, cable, deaf, mute, one link, minority: each healed"
