#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Cost of probing: in a network namespace of its own, one nginx answers on all
# of 127/8; probe.py measures sluice-prober, a bare epoll loop, HAProxy and
# keepalived doing the same checks.
#
#   SERVICES=n PROBE_SECONDS=n tests/bench/probe.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
ns=h6-bench-$$
dir=$(mktemp -d /tmp/sluice-probe.XXXXXX)
clean() {
	ip netns pids $ns 2>/dev/null | while read -r pid; do
		kill -9 "$pid" 2>/dev/null
	done
	ip netns del $ns 2>/dev/null
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT TERM

command -v nginx >/dev/null || { echo "nginx is missing" >&2; exit 77; }
ip netns add $ns && ip -n $ns link set lo up || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
	-keyout "$dir/k.pem" -out "$dir/c.pem" -subj /CN=x -days 2 2>/dev/null
cat >"$dir/nginx.conf" <<CONF
worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log crit;
events { worker_connections 16000; }
http {
  access_log off; client_body_temp_path $dir; proxy_temp_path $dir;
  fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  server { listen 80 backlog=4096; location / { return 200 "ok\n"; }
    location = /count { stub_status; } }
  server { listen 443 ssl;
    ssl_certificate $dir/c.pem; ssl_certificate_key $dir/k.pem;
    location / { return 200 "ok\n"; } }
}
CONF
nsenter --net=/var/run/netns/$ns nginx -c "$dir/nginx.conf" || exit 1
nsenter --net=/var/run/netns/$ns python3 tests/bench/probe.py \
	"${TOOL:-build/tests/netns/tool_health}" \
	"${SLUICE_PROBER:-build/sluice-prober}" \
	"${FLOOR:-build/tests/netns/tool_floor}" "$dir"
