#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# How a back end is chosen, by real connections: each method's shares,
# persistence by source, weights, draining, backup vserver, no service at all.
set -euo pipefail
MODE=nat
. "$(dirname "$0")/../lib/scenario.sh"
scenario_up
base=$RUN/sluice.json

apply() { # JQ FILTER
	jq "$1" "$base" >"$RUN/next.json"
	cli config apply "$RUN/next.json" >/dev/null || fail "refused: $1"
}

# Connections from all sources; shares in percent: SHARE[b1] …
declare -A SHARE
run_load() { # COUNT
	local sources b
	mapfile -t sources < <(scenario_sources)
	load_start m --target "$VIP4:80" --target "[$VIP6]:80" "${sources[@]}" \
		--load short:32:/1k:20
	load_more m "$1"
	load_sound m >"$RUN/table" || { cat "$RUN/table"; exit 1; }
	for b in b1 b2 b3 b4; do
		SHARE[$b]=$(jq --arg b $b '100 * (.total.backends[$b] // 0) / .total.answered | round' "$RUN/m.json")
	done
	say "shares: b1 ${SHARE[b1]}  b2 ${SHARE[b2]}  b3 ${SHARE[b3]}  b4 ${SHARE[b4]}"
}

between() { # WHAT LOW HIGH VALUE
	[ "$4" -ge "$2" ] && [ "$4" -le "$3" ] || fail "$1: $4 %, not $2 to $3"
}

say "round robin"
apply '.vservers[].method = "round-robin"'
run_load 1500
for b in b1 b2 b3 b4; do between "round robin $b" 22 28 "${SHARE[$b]}"; done

say "weighted round robin 1:1:2:4"
apply '.vservers[] |= (.method = "weighted-round-robin" | .services[2].weight = 2 | .services[3].weight = 4)'
run_load 1500
between "weight 1" 9 16 "${SHARE[b1]}"
between "weight 2" 21 29 "${SHARE[b3]}"
between "weight 4" 45 55 "${SHARE[b4]}"

say "least connections, b1 with twice the weight"
apply '.vservers[] |= (.method = "least-connections" | .services[0].weight = 2)'
run_load 1500
# With few connections open at a time most choices are between idle back ends,
# and the heaviest of those wins: the share is its weight's or more.
between "least connections, weight 2" 30 70 "${SHARE[b1]}"
between "least connections, weight 1" 8 28 "${SHARE[b2]}"

say "maglev, weight 3 for b4"
apply '.vservers[] |= (.method = "maglev" | .services[3].weight = 3)'
run_load 3000
between "maglev weight 3" 42 58 "${SHARE[b4]}"

same_backend() { # SOURCE: of twenty connections
	local i
	for ((i = 0; i < 20; i++)); do
		client curl -sf -m 2 --interface "$1" -o /dev/null -D - "http://$VIP4/1k" |
			tr -d '\r' | awk 'tolower($1) == "x-backend:" { print $2 }'
	done | sort | uniq -c | wc -l
}

say "source hash"
apply '.vservers[].method = "source-hash"'
for i in 2 3 4 5; do
	[ "$(same_backend "10.0.0.$i")" = 1 ] || fail "source hash: 10.0.0.$i goes to several"
done

say "persistence by source over round robin"
apply '.vservers[] |= (.method = "round-robin" | .persistence_s = 60)'
for i in 2 3 4 5; do
	[ "$(same_backend "10.0.0.$i")" = 1 ] || fail "persistence: 10.0.0.$i goes to several"
done

say "draining"
apply '.vservers[].method = "round-robin"'
fault_drain w4-2 w6-2
run_load 600
between "drained" 0 0 "${SHARE[b2]}"
between "not drained" 28 39 "${SHARE[b1]}"
fault_enable w4-2 w6-2

say "backup vserver, and none"
apply '.vservers += [.vservers[0] + {"name": "sorry", "port": 8081, "services": [{"service": "w4-4"}]}]
	| (.vservers[] | select(.name == "web4")) += {"backup": "sorry", "services": [{"service": "w4-1"}]}
	| (.services[] | select(.name == "w4-1")).enabled = false'
who=$(client curl -sf -m 3 -o /dev/null -D - "http://$VIP4/1k" | tr -d '\r' |
	awk 'tolower($1) == "x-backend:" { print $2 }')
[ "$who" = b4 ] || fail "with its service out, the backup vserver should answer, not '$who'"
apply '(.vservers[] | select(.name == "web4")) += {"down_action": "reset", "services": [{"service": "w4-1"}]}
	| (.services[] | select(.name == "w4-1")).enabled = false'
rc=0
client curl -s -m 3 -o /dev/null "http://$VIP4/1k" || rc=$?
[ $rc = 7 ] || fail "no service, down_action reset: curl exits with $rc, not 7 (refused)"
