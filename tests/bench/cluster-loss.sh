#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# False evictions: real daemons on one segment (tests/lib/cluster.sh), each of
# which loses 5 % of what other nodes send it, at random. A view that changes
# while nobody died is one. SECONDS_LOSS=600 is the figure of the
# specification; the default keeps `make bench` short. Time in which the
# machine itself stood still (a node's own tick late by 250 ms) is printed.
NETNS_PREFIX=cll
. "$(dirname "$0")/../lib/netns.sh"
. "$(dirname "$0")/../lib/cluster.sh"
N=${NODES_LOSS:-5}
PERCENT=${PERCENT_LOSS:-5}
DURATION=${SECONDS_LOSS:-60}

cluster_topology "$N" 6
cluster_start_all
ids= names=
for ((i = 0; i < N; i++)); do ids+="$i " names+="n$i "; done
until_true 60 same_view "$ids" "${names% }" || fail "no view of all nodes"
trace_start
view=$(shown 0 .view)
for ((i = 0; i < N; i++)); do loss "$i" in "$PERCENT"; done
# For so long, if the node lives.
rc=0
timeout "$DURATION" tail -f /dev/null --pid="${NODE_PID[0]}" || rc=$?
[ $rc = 124 ] || fail "n0 ended"
changes=$(($(shown 0 .view) - view))
measured=$(shown 0 '[.nodes[].loss_permille // empty] | add / length')
trace_stop
stalls=$(cat "$RUN"/trace.* | grep '"LATE"' | jq -r .a | awk '$1 >= 250 { n++ } END { print n + 0 }')
echo "$N nodes, $DURATION s, $PERCENT % loss (measured: $measured of 1000), stalls of the machine: $stalls"
printf '{"name": "view_changes_at_%s_percent_loss", "value": %s, "unit": "in %s s", "baseline": "goal 0", "ratio": null}\n' \
	"$PERCENT" "$changes" "$DURATION"
