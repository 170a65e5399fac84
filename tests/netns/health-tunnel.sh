#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Probes through the tunnels of dsr-ipip and dsr-gue: web and FTP servers that
# listen on the VIP alone, behind a tunnel whose end can be taken away while
# they run. TCP, HTTP, UDP, ping, FTP, both families and IPv6 in IPv4. Ping by
# raw sockets in the one mode, by ping sockets in the other.
set -euo pipefail
lib=$(dirname "$0")/../lib

state_is() { # STATE SERVICE…
	local want=$1 s
	shift
	for s in "$@"; do
		[ "$(api "/v1/services/$s" | jq -r .state)" = "$want" ] || return 1
	done
}

become() { # STATE SERVICE…
	until_true 10 state_is "$@" || fail "not $*: $(cli service show)"
}

# One server for each family on the VIP of bI. Data connections have ports of
# their own at each back end, so that one that goes astray is refused; /bI is
# there at bI alone.
ftp_up() { # I
	local f ns
	ns=$(backend_ns "$1")
	mkdir -p "$RUN/ftp$1" "$RUN/empty"
	echo "this is b$1" >"$RUN/ftp$1/b$1"
	echo "all have this" >"$RUN/ftp$1/all"
	for f in 4 6; do
		cat >"$RUN/ftp$1-$f.conf" <<-END
		background=NO
		anonymous_enable=YES
		anon_root=$RUN/ftp$1
		secure_chroot_dir=$RUN/empty
		seccomp_sandbox=NO
		pasv_min_port=$((21000 + $1 * 100))
		pasv_max_port=$((21099 + $1 * 100))
		END
		if [ $f = 4 ]; then
			printf 'listen=YES\nlisten_address=%s\n' $VIP4
		else
			printf 'listen=NO\nlisten_ipv6=YES\nlisten_address6=%s\n' $VIP6
		fi >>"$RUN/ftp$1-$f.conf"
		in_ns "$ns" vsftpd "$RUN/ftp$1-$f.conf" >>"$RUN/ftp$1.log" 2>&1 </dev/null &
		disown
	done
	until_true 10 ftp_listens "$1" 2 || fail "no FTP server in b$1"
}

ftp_listens() { # I HOW-MANY
	[ "$(in_ns "$(backend_ns "$1")" ss -Hltn 'sport = :21' | wc -l)" = "$2" ]
}

ftp_down() { # I
	local pid
	for pid in $(in_ns "$(backend_ns "$1")" ss -Hltnp 'sport = :21' |
		grep -o 'pid=[0-9]*'); do
		# One may be the end of a session.
		kill "${pid#pid=}" 2>/dev/null || true
	done
	until_true 5 ftp_listens "$1" 0
}

# A packet of FAMILY for bI on its cable, in the tunnel of MODE, that carries TCP
# to a port from LOW to HIGH, or an echo request with such an identifier. Those
# of clients go to the ports of the vservers.
carried() { # I FAMILY tcp|echo LOW HIGH
	local outer ip at proto=9 l4=20 type=8 icmp=1 inner field
	case $MODE-$2 in
	dsr-ipip-4) outer='ip proto 4' ip=ip at=20 ;;
	dsr-ipip-6) outer='ip6 proto 41' ip=ip6 at=40 ;;
	dsr-gue-4) outer='ip and udp dst port 6080' ip=ip at=32 ;;
	dsr-gue-6) outer='ip6 and udp dst port 6080' ip=ip6 at=52 ;;
	esac
	[ "$2" = 4 ] || proto=6 l4=40 type=128 icmp=58
	if [ "$3" = echo ]; then
		inner="${ip}[$((at + proto))] = $icmp and ${ip}[$((at + l4))] = $type"
		field="${ip}[$((at + l4 + 4)):2]"
	else
		inner="${ip}[$((at + proto))] = 6"
		field="${ip}[$((at + l4 + 2)):2]"
	fi
	inner+=" and $field >= $4 and $field <= $5"
	timeout $((10 * PATIENCE * TIME_SCALE)) nsenter --net="/var/run/netns/$FABRIC" -- \
		tcpdump -Z root -c 1 -nn -i "b$1-eth0" -Q out "$outer and $inner" \
		>>"$RUN/tcpdump.log" 2>&1 || fail "nothing to b$1 like: $outer and $inner"
}

prober_of() { api "/v1/services/$1" | jq '.bindings[0].prober'; } # SERVICE

# The identifiers of pings that bI gets: of raw sockets those of the prober that
# runs the binding.
ping_ids() { # I FAMILY: LOW HIGH
	local slot
	[ "$PING" = raw ] || {
		echo 1 65535
		return
	}
	slot=$(prober_of "p$2-$1")
	echo $((slot * 1024 + 1)) $((slot * 1024 + 1023))
}

tunnel_test() { # MODE PING: raw, or by sockets
	MODE=$1 PING=$2
	. "$lib/scenario.sh"
	eval "$(declare -f server_conf | sed 's/^server_conf/server_conf_all/')"
	eval "$(declare -f node_config | sed 's/^node_config/node_config_all/')"
	eval "$(declare -f netns_up | sed 's/^netns_up/netns_up_all/')"
	say "tunnel of $MODE, ping: $PING"
	for tool in vsftpd tcpdump; do
		command -v $tool >/dev/null || skip "needs $tool"
	done
	netns_up() {
		netns_up_all
		[ "$PING" = raw ] || node sysctl -qw net.ipv4.ping_group_range="0 2147483647"
	}
	server_conf() { # nothing but the VIP
		local conf
		conf=$(server_conf_all "$1")
		conf=${conf/0.0.0.0:80/$VIP4:80}
		echo "${conf/\[::\]:80/[$VIP6]:80}"
	}
	server_up() {
		server_start "$1"
		until_true 10 in_ns "$(backend_ns "$1")" curl -sf -m 2 -o /dev/null "http://$VIP4/1k" ||
			fail "nginx of b$1 does not answer"
		ftp_up "$1"
	}
	node_config() {
		node_config_all | jq --arg tunnel "${MODE#dsr-}" --arg v4 $VIP4 --arg v6 $VIP6 '
			def monitor($name; $type; $address; $more):
				{ name: $name, type: $type, tunnel: $tunnel,
				  address: $address, interval_ms: 200,
				  timeout_ms: 500, retries: 3, down_ms: 200 } + $more;
			def echo: { expect: "b", send: ("10ECIULS" + "\u0000" * 56) };
			def web: { path: "/1k", port: 80 };
			def ftp: { path: ("/b" + .), interval_ms: 1000, timeout_ms: 3000 };
			def service($name; $i; $monitors):
				{ name: $name, address: "10.0.1.1\($i)", port: 21,
				  monitors: [$monitors[] | { monitor: . }] };
			def service6($name; $i; $monitors):
				service($name; $i; $monitors) | .address = "fd00:0:0:1::1\($i)";
			def bind($which; $monitors):
				(.services[] | select(.name | test($which))).monitors =
					[$monitors[] | { monitor: . }];
			.probers = 2 | .monitors = [monitor("http4"; "http"; $v4; web),
				monitor("http6"; "http"; $v6; web),
				monitor("tcp4"; "tcp"; $v4; {}),
				monitor("tcp6"; "tcp"; $v6; {}),
				monitor("udp4"; "udp-ecv"; $v4; echo),
				monitor("udp6"; "udp-ecv"; $v6; echo),
				monitor("ping4"; "ping"; $v4; {}),
				monitor("ping6"; "ping"; $v6; {}),
				(range(1; 5) | tostring |
					monitor("ftp4-" + .; "ftp"; $v4; ftp),
					monitor("ftp6-" + .; "ftp"; $v6; ftp)),
				# Not through the tunnel: what they would say.
				(monitor("plain"; "tcp"; $v4; {}),
				 monitor("plain-ping"; "ping"; $v4; {}) | del(.tunnel, .address))]
			| bind("^w4"; ["http4", "tcp4"]) | bind("^w6"; ["http6", "tcp6"])
			| bind("^u4"; ["udp4"]) | bind("^u6"; ["udp6"])
			| (.services[] | select(.name | test("^w"))).threshold = 2
			| .services += [(range(1; 5) |
					service("p4-\(.)"; .; ["ping4"]),
					service6("p6-\(.)"; .; ["ping6"]),
					service("f4-\(.)"; .; ["ftp4-\(.)"]),
					service6("f6-\(.)"; .; ["ftp6-\(.)"])),
				(service("mixed"; 1; ["http6", "ping6", "ftp6-1"]) |
					.threshold = 3),
				service("plain"; 1; ["plain"]),
				service("plain-ping"; 1; ["plain-ping"])]'
	}
	scenario_up
	all=({w,u,p,f}{4,6}-{1,2,3,4} mixed)
	become UP "${all[@]}" plain-ping
	become DOWN plain
	cli -j prober show | jq -e --arg kind "$([ "$PING" = raw ] && echo raw || echo ping) sockets" \
		'all(.probers[]; .ping == $kind)' >/dev/null || fail "not the sockets meant: $(cli -j prober show)"
	for f in 4 6; do
		carried 1 $f tcp 21 21
		carried 1 $f tcp 21100 21199
		for i in 1 2 3 4; do
			# shellcheck disable=SC2046
			carried $i $f echo $(ping_ids $i $f)
		done
	done
	[ "$(for i in 1 2 3 4; do prober_of p4-$i; done | sort -u | wc -l)" = 2 ] ||
		fail "all pings are one prober's"
	load_start web --target "$VIP4:80" --target "[$VIP6]:80" --load short:16:/1k:40
	load_more web 200

	say "the end of the tunnel is taken away, the server goes on"
	load_phase web cut
	load_ended web cut
	in_ns "$(backend_ns 1)" ip link set eth0 xdpdrv off
	become DOWN {w,u,p,f}{4,6}-1 mixed
	state_is UP {w,u,p,f}{4,6}-{2,3,4} plain-ping || fail "others are down, too"
	load_phase web after-cut
	load_more web 200
	load_phase web healed
	in_ns "$(backend_ns 1)" ip link set eth0 xdpdrv obj \
		"$B/tests/netns/decap.bpf.o" sec xdp
	become UP "${all[@]}"

	say "the server is stopped, the tunnel goes on"
	load_phase web stop
	server_down 2
	ftp_down 2
	become DOWN {w,f}{4,6}-2
	state_is UP {p,u}{4,6}-2 || fail "with the servers others went down"
	load_phase web after-stop
	load_more web 200
	load_stop web || true
	load_table web
	for p in start after-cut after-stop; do
		jq -e ".phases[] | select(.name == \"$p\") | .answered > 0 and .failed == 0" \
			"$RUN/web.json" >/dev/null || fail "phase $p: requests failed"
	done

	say "the VIP is taken away, the tunnel goes on"
	in_ns "$(backend_ns 3)" ip addr del $VIP4/32 dev lo
	in_ns "$(backend_ns 3)" ip addr del $VIP6/128 dev lo
	become DOWN p{4,6}-3
	state_is UP p{4,6}-{1,2,4} || fail "pings of others fail, too"
	netns_addr "$(backend_ns 3)" lo $VIP4/32 $VIP6/128
	become UP {w,u,p,f}{4,6}-3

	say "tries, the daemon's death, and the end"
	try http 10.0.1.13:80 path /1k || fail "a try fails: $(cat "$RUN/try")"
	try ping 10.0.1.13:1 || fail "a ping fails: $(cat "$RUN/try")"
	try ftp 10.0.1.13:21 path /b3 || fail "FTP fails: $(cat "$RUN/try")"
	! try ftp 10.0.1.13:21 path /b4 || fail "a file of another back end is found"
	cli monitor try script 10.0.1.13:21 script /bin/true tunnel "${MODE#dsr-}" \
		address $VIP4 >"$RUN/try" 2>&1 && fail "a script went through a tunnel"
	grep -q "a script makes its own connections" "$RUN/try" || fail "no reason: $(cat "$RUN/try")"
	fault_daemon_kill "$RUN/sluice.json"
	become UP {w,p,f}{4,6}-1 mixed
	become DOWN {w,f}{4,6}-2
	[ "$(routes | wc -l)" = 2 ] || fail "not one route for each VIP: $(routes)"
	jq 'del(.monitors[].tunnel) | .services[].monitors = []' "$RUN/sluice.json" >"$RUN/none.json"
	cli config apply "$RUN/none.json" >/dev/null
	[ -z "$(routes)" ] || fail "routes stay without monitors: $(routes)"
	cli config apply "$RUN/sluice.json" >/dev/null
	[ "$(routes | wc -l)" = 2 ] || fail "routes do not come back"
	sluiced_stop
	[ "$(routes | wc -l)" = 2 ] || fail "routes go with the daemon"
	node "$B/sluiced" --bpffs "$RUN/bpf/sluice" --stop-datapath >/dev/null
	[ -z "$(routes)" ] || fail "routes stay without a data plane: $(routes)"
}

try() {
	cli -j monitor try "$@" tunnel "${MODE#dsr-}" address $VIP4 >"$RUN/try" 2>&1
}

routes() {
	node ip route show proto 81
	node ip -6 route show proto 81
}

(tunnel_test dsr-ipip raw)
(tunnel_test dsr-gue sockets)
