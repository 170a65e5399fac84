# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The real servers behind the VIP: one nginx per back end, on both families,
# which names itself in the header X-Backend. Files have the contents that
# tool_load checks byte by byte. Sourced after netns.sh.
#
#   servers_up           nginx in b1 … bN, and waits until each answers
#   server_up I          one of them     server_down I   stops it
#
#   /1k /64k /4m         as fast as it goes
#   /paced/64k …         128 KiB/s per connection, so that it lasts
#   PUT /up/N            kept in RUN/bI.files/up/N; uploads_whole SIZE checks
#                        that each file is what tool_load sends

TOOLS=$B/tests/netns

servers_files() {
	mkdir -p "$RUN/www"
	[ -e "$RUN/www/4m" ] && return
	"$TOOLS/tool_load" make "$RUN/www/1k" 1024
	"$TOOLS/tool_load" make "$RUN/www/64k" 65536
	"$TOOLS/tool_load" make "$RUN/www/4m" 4194304
}

server_conf() {
	cat <<-END
	user root;
	worker_processes 1;
	pid $RUN/b$1.pid;
	error_log $RUN/b$1.log error;
	events { worker_connections 4096; }
	http {
	  access_log off;
	  sendfile on;
	  tcp_nopush on;
	  keepalive_timeout 3600s;
	  keepalive_requests 1000000000;
	  client_max_body_size 64m;
	  client_body_temp_path $RUN/b$1.body;
	  default_type application/octet-stream;
	  add_header X-Backend b$1 always;
	  server {
	    listen 0.0.0.0:80 backlog=4096 reuseport;
	    listen [::]:80 ipv6only=on backlog=4096 reuseport;
	    root $RUN/www;
	    location /paced/ { alias $RUN/www/; limit_rate ${PACE:-128k}; }
	    location /up/ { root $RUN/b$1.files; dav_methods PUT; create_full_put_path on; }
	  }
	}
	END
}

# server_start I: without a request of its own, which the back end would see.
server_start() {
	local ns
	ns=$(backend_ns "$1")
	servers_files
	server_conf "$1" >"$RUN/b$1.conf"
	in_ns "$ns" nginx -e "$RUN/b$1.log" -c "$RUN/b$1.conf" \
		>>"$RUN/b$1.log" 2>&1 || fail "nginx of b$1 does not start"
}

server_up() {
	server_start "$1"
	until_true 10 node curl -sf -m 2 -o /dev/null "http://10.0.1.1$1/1k" ||
		fail "nginx of b$1 does not answer"
}

server_down() {
	local pid
	pid=$(cat "$RUN/b$1.pid")
	kill -QUIT "$pid"
	until_true 10 test ! -e "/proc/$pid"
}

servers_up() {
	local i
	for ((i = 1; i <= BACKENDS; i++)); do server_up "$i"; done
}

uploads_whole() {
	local f n=0
	"$TOOLS/tool_load" make "$RUN/expected" "$1"
	for f in "$RUN"/b*.files/up/*; do
		cmp -s "$f" "$RUN/expected" || fail "upload ${f#"$RUN/"} is not what was sent"
		n=$((n + 1))
	done
	[ $n -gt 0 ] || fail "no upload arrived"
}

# UDP echo servers in b1 … bN that name themselves.
echoes_up() {
	local i ns
	for ((i = 1; i <= BACKENDS; i++)); do
		ns=$(backend_ns "$i")
		nsenter --net="/var/run/netns/$ns" -- "$TOOLS/tool_udp" serve \
			9000 "b$i" >>"$RUN/echo$i.log" 2>&1 </dev/null &
		disown
		until_true 5 echo_listens "$ns" || fail "no echo server in b$i"
	done
}

# Stops the echo server of bI.
echo_down() {
	local pid
	pid=$(in_ns "$(backend_ns "$1")" ss -Hlunp 'sport = :9000' |
		grep -o 'pid=[0-9]*' | head -n 1)
	kill "${pid#pid=}"
	until_true 5 test ! -e "/proc/${pid#pid=}"
}

echo_listens() { [ "$(in_ns "$1" ss -Hlun 'sport = :9000' | wc -l)" = 2 ]; }
