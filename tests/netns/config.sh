#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Configurations: wrong ones are refused as a whole and named by line and path,
# at start, by --check and at run time; right ones take effect under traffic.
set -euo pipefail
MODE=nat
. "$(dirname "$0")/../lib/scenario.sh"
BIG=40
scenario_up
conf=$RUN/sluice.json

"$B/sluiced" --check --config "$conf" || fail "--check refuses the configuration in use"
"$B/sluiced" --check --config "$ROOT/scripts/demo.json" || fail "--check refuses scripts/demo.json"
jq '.vservers[0].services[0].service = "nobody"' "$conf" >"$RUN/bad.json"
rc=0
err=$("$B/sluiced" --check --config "$RUN/bad.json" 2>&1) || rc=$?
[ $rc = 2 ] || fail "--check of a bad configuration exits with $rc, not 2"
[[ $err =~ bad.json:[0-9]+: && $err == *'vservers[0].services[0]'* && $err == *nobody* ]] ||
	fail "not file, line, path and what is wrong: $err"

scenario_web
load_phase web refused
before=$(cli -j node show | jq .generation)
rc=0
cli config apply "$RUN/bad.json" >/dev/null 2>"$RUN/err" || rc=$?
[ $rc = 2 ] || fail "config apply of a bad configuration exits with $rc, not 2"
[ "$(cli -j node show | jq .generation)" = "$before" ] || fail "a refused configuration counts"
load_more web 200

# A new vserver on another port, while traffic runs.
load_phase web applied
jq '.vservers += [.vservers[0] + {"name": "web-8080", "port": 8080}]' "$conf" >"$RUN/more.json"
cli config apply "$RUN/more.json" >/dev/null || fail "config apply is refused"
answers() { client curl -sf -m 2 -o /dev/null "http://$VIP4:8080/1k"; }
until_true 5 answers || fail "the new vserver does not answer"
cli config show | jq -e '.vservers | map(.name) | index("web-8080")' >/dev/null ||
	fail "config show does not show it"
cli config apply "$conf" >/dev/null || fail "going back is refused"
until_true 5 sh -c "! nsenter --net=/var/run/netns/$CLIENT curl -sf -m 1 http://$VIP4:8080/1k" ||
	fail "a removed vserver answers"

# Objects one at a time.
load_phase web objects
cli service add extra address 10.0.1.12 port 80 >/dev/null || fail "service add is refused"
cli vserver bind web4 extra >/dev/null || fail "vserver bind is refused"
load_more web 200
cli vserver unbind web4 extra >/dev/null || fail "vserver unbind is refused"
cli service rm extra >/dev/null || fail "service rm is refused"
load_more web 200

# Saved, and read again after a restart.
cli vserver add other address $VIP4 port 81 >/dev/null || fail "vserver add is refused"
cli config save "$RUN/saved.json" >/dev/null || fail "config save is refused"
jq -e '.vservers | map(.name) | index("other")' "$RUN/saved.json" >/dev/null ||
	fail "the saved configuration lacks the change"
"$B/sluiced" --check --config "$RUN/saved.json" || fail "the saved configuration is refused"

# Two daemons on one run directory.
rc=0
timeout 10 nsenter --net="/var/run/netns/$NODE" -- "$B/sluiced" --config "$conf" \
	--run-dir "$RUN/run" --state-dir "$RUN/state" --bpffs "$RUN/bpf/sluice" \
	--foreground >"$RUN/second" 2>&1 || rc=$?
[ $rc != 0 ] && [ $rc != 124 ] || fail "a second daemon starts on the same run directory"
load_sound web
