#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Domain-based services on one node (drawing: tests/lib/netns.sh; the DNS
# server runs beside the daemon): without an answer the service is down and says
# why; its address follows the name, established flows do not; a silent
# resolver changes nothing, a restart neither; answers that cannot be are
# refused.
set -euo pipefail
NETNS_PREFIX=dom
MODE=nat
PACE=512k # 4 MiB in 8 s
. "$(dirname "$0")/../lib/scenario.sh"
. "$(dirname "$0")/../lib/names.sh"

netns_up
servers_up
node ip link set lo up
names_up "$NODE" 127.0.0.1
node_config | jq '
	.probers = 2
	| .monitors = [{"name": "m", "type": "http", "path": "/1k", "interval_ms": 100,
	    "timeout_ms": 1000, "retries": 2, "down_ms": 200}]
	| .services = [
	    {"name": "w4", "domain": "w.test", "port": 80, "monitors": [{"monitor": "m"}]},
	    {"name": "w6", "domain": "w.test", "family": "ipv6", "port": 80,
	     "monitors": [{"monitor": "m"}]}]
	| .vservers |= (map(select(.name == "web4" or .name == "web6"))
	    | map(.services = [{"service": (if .name == "web4" then "w4" else "w6" end)}]))' \
	>"$RUN/sluice.json"
sluiced_up "$RUN/sluice.json" "$ENGINES"

is() { # SERVICE JQ
	cli -j service show "$1" | jq -e "$2" >/dev/null
}
is_at() { is "$1" ".state == \"UP\" and (.address | startswith(\"$2\"))"; }
who4() {
	client curl -sf -m 3 -o /dev/null -D - "http://$VIP4/1k" | tr -d '\r' |
		awk 'tolower($1) == "x-backend:" { print $2 }'
}
who4_is() { [ "$(who4)" = "$1" ]; }

say "no answer yet: down, with the resolver's word for it"
until_true 10 is w4 '.state == "DOWN" and (.reason | test("name does not resolve"))' ||
	fail "unresolved, and not down with a reason: $(cli -j service show w4)"
is w4 '.address == null and .domain == "w.test" and (.name_resolution.resolved | not)
	and (.name_resolution.error | test("not found"))' ||
	fail "the error is not shown: $(cli -j service show w4)"
cli service show w4 | grep -q 'name error .*not found' || fail "service show has no name error"
! who4 >/dev/null || fail "a service without an address takes connections"

say "the first answer"
names_set w.test 10.0.1.11 w.test fd00:0:0:1::11
until_true 20 is_at w4 10.0.1.11 || fail "w4 does not come up: $(cli -j service show w4)"
until_true 20 is_at w6 fd00:0:0:1::11 || fail "w6 does not come up: $(cli -j service show w6)"
until_true 10 who4_is b1 || fail "the VIP is not served by b1"
client curl -sf -m 3 -o /dev/null "http://[$VIP6]/1k" || fail "the VIP does not answer over IPv6"
is w4 '.name_resolution | .resolved and .ttl_s == 1 and .failures == 0 and .answered_s > 0' ||
	fail "the answer is not shown: $(cli -j service show w4)"

say "more addresses: the one in use stays"
names_set w.test 10.0.1.14 w.test 10.0.1.11 w.test 10.0.1.12 w.test fd00:0:0:1::11
names_forget
until_true 10 names_asked w.test 127.0.0.1 || fail "the name is not asked for again"
before=$(cli -j service show w4 | jq .name_resolution.answered_s)
until_true 10 is w4 ".name_resolution.answered_s > $before" || fail "no further answer"
is_at w4 10.0.1.11 || fail "the address changed although it is still the name's"

say "another address: new connections go there, a download goes on from here"
client curl -sSf -m 60 -o "$RUN/download" "http://$VIP4/paced/4m" &
download=$!
until_true 10 is w4 '.connections > 0' || fail "the download does not begin: $(cli -j service show w4)"
old=$(cli -j service show w4 | jq .id)
names_set w.test 10.0.1.12 w.test fd00:0:0:1::12
until_true 20 is_at w4 10.0.1.12 || fail "w4 does not move: $(cli -j service show w4)"
[ "$(cli -j service show w4 | jq .id)" != "$old" ] || fail "another address has the same number"
[ "$(who4)" = b2 ] || fail "new connections do not go to the new address"
[ -e "/proc/$download" ] || fail "the download was over before the address changed"
wait "$download" || fail "the download broke when the address changed"
[ "$(stat -c %s "$RUN/download")" = 4194304 ] || fail "the download is not whole"
until_true 20 is_at w6 fd00:0:0:1::12 || fail "w6 does not move"

say "answers that cannot be: the address stays"
for bad in $VIP4 127.0.0.1 0.0.0.0; do
	names_set w.test "$bad" w.test fd00:0:0:1::12
	names_forget
	until_true 10 names_asked w.test 127.0.0.1 || fail "the name is not asked for again"
	names_forget
	until_true 10 names_asked w.test 127.0.0.1 || fail "the name is not asked for again"
	[ "$bad" != $VIP4 ] || until_true 10 is w4 '.name_resolution.error |
		test("refused: it is a vserver")' || fail "the refusal does not show: $(cli -j service show w4)"
	is_at w4 10.0.1.12 || fail "$bad was taken for a back end: $(cli -j service show w4)"
done
grep -q "w.test is at $VIP4, which is refused: it is a vserver's own address" "$RUN/sluiced.log" ||
	fail "the log does not say why the vserver's address was refused"

say "nobody answers: the address stays, the error shows"
names_down
until_true 30 is w4 '.name_resolution.failures > 0 and .name_resolution.error != null' ||
	fail "the resolver's silence is not shown: $(cli -j service show w4)"
is_at w4 10.0.1.12 || fail "a silent resolver took the service down"
[ "$(who4)" = b2 ] || fail "with a silent resolver connections fail"

say "a restart meanwhile: it goes on where packets go"
sluiced_kill
[ "$(who4)" = b2 ] || fail "without a daemon connections fail"
sluiced_up "$RUN/sluice.json" "$ENGINES"
until_true 10 is_at w4 10.0.1.12 || fail "the restarted daemon forgot the address"
[ "$(who4)" = b2 ] || fail "after the restart connections fail"

say "another domain: not the old one's address"
names_up "$NODE" 127.0.0.1
cli service set w4 domain gone.test >/dev/null || fail "service set domain is refused"
until_true 10 is w4 '.state == "DOWN" and .domain == "gone.test" and .address == null' ||
	fail "another domain keeps the address of the old one: $(cli -j service show w4)"
names_set gone.test 10.0.1.13
until_true 70 is_at w4 10.0.1.13 || fail "the other domain is not resolved: $(cli -j service show w4)"
until_true 10 who4_is b3 || fail "the VIP is not served by b3"
