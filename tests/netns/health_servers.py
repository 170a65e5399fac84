#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Servers that do one thing each, mostly wrong: one port per behaviour.

Imported by health.py; every server runs in its own daemon thread."""
import socket
import ssl
import struct
import threading
import time

HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n"


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    conn.close()


def echo(conn):
    while True:
        data = conn.recv(4096)
        if not data:
            break
        conn.sendall(data)
    conn.close()


def http(reply):
    def serve(conn):
        conn.recv(4096)
        conn.sendall(reply)
        conn.close()
    return serve


def http_reset(conn):
    conn.recv(4096)
    reset(conn)


def silent(conn):
    conn.recv(4096)
    time.sleep(30)
    conn.close()


def slow(conn):
    conn.recv(4096)
    time.sleep(0.25)
    conn.sendall(HTTP)
    conn.close()


def slower(conn):
    conn.recv(4096)
    time.sleep(5)
    conn.sendall(HTTP)
    conn.close()


def drip(conn):
    conn.recv(4096)
    for byte in HTTP:
        conn.sendall(bytes([byte]))
        time.sleep(0.3)
    conn.close()


def endless(conn):
    conn.recv(4096)
    conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        conn.sendall(b"x" * 65536)


def huge_header(conn):
    conn.recv(4096)
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        conn.sendall(b"X-Fill: " + b"y" * 8000 + b"\r\n")


def greets(delay):
    """FTP as far as a log-in goes, with that many seconds before each word."""
    def serve(conn):
        time.sleep(delay)
        conn.sendall(b"220 hello\r\n")
        for line in conn.makefile("rb"):
            time.sleep(delay)
            verb = line.split()[0].upper()
            conn.sendall({b"USER": b"331 who says so?\r\n",
                          b"PASS": b"230 come in\r\n",
                          b"PWD": b'257 "/"\r\n',
                          b"QUIT": b"221 bye\r\n"}.get(verb, b"200 ok\r\n"))
        conn.close()
    return serve


def greets_forever(conn):
    while True:
        conn.sendall(b"220-and another thing\r\n" * 100)


TCP = {
    "echo": echo,
    "http": http(HTTP),
    "http-500": http(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "http-early": http(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"),
    "http-cut": http(b"HTTP/1.1 20"),
    "http-garbage": http(b"\x00\x01\x02 nonsense\r\n\r\n"),
    "http-close": lambda conn: conn.close(),
    "http-reset": http_reset,
    "silent": silent,
    "slow": slow,
    "slower": slower,
    "drip": drip,
    "endless": endless,
    "huge-header": huge_header,
    "load-low": http(b"HTTP/1.1 200 OK\r\n\r\nload 10\nother 7\n"),
    "load-high": http(b"HTTP/1.1 200 OK\r\n\r\nload 95\n"),
    "load-none": http(b"HTTP/1.1 200 OK\r\n\r\nother 1\n"),
    "load-nan": http(b"HTTP/1.1 200 OK\r\n\r\nload many\n"),
    "ftp-slow": greets(0.05),
    "ftp-slower": greets(1),
    "ftp-endless": greets_forever,
    "ftp-busy": lambda conn: (conn.sendall(b"421 too many users\r\n"),
                              conn.close()),
    "ftp-reset": reset,
}

# The same mischief after a proper handshake.
TLS = {name: TCP[name] for name in (
    "http", "http-500", "http-early", "http-cut", "http-garbage", "http-close",
    "http-reset", "silent", "slow", "slower", "drip", "endless",
    "huge-header")}


def quiet(serve):
    def run(conn):
        try:
            serve(conn)
        except OSError:
            pass
    return run


def over_tls(serve, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return lambda conn: serve(context.wrap_socket(conn, server_side=True))


class TcpServer:
    """Can be stopped (connections are then refused) and started again."""

    def __init__(self, serve, address="127.0.0.1", port=0):
        self.serve, self.address, self.port = quiet(serve), address, port
        self.start()

    def start(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, args=(self.listener,),
                         daemon=True).start()

    def run(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def stop(self):
        # close() alone does not wake accept() up.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def after(delay, answer):
    def answer_late(data):
        time.sleep(delay)
        return answer(data)
    return answer_late


def relay(port):
    """What the server there answers."""
    def ask(data):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", port))
            s.send(data)
            return s.recv(4096)
    return ask


def udp_server(answer):
    """answer(data) → reply, several, or None. Returns the port."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))

    def run():
        while True:
            data, peer = s.recvfrom(4096)
            reply = answer(data)
            if isinstance(reply, bytes):
                reply = [reply]
            for r in reply or []:
                s.sendto(r, peer)
    threading.Thread(target=run, daemon=True).start()
    return s.getsockname()[1]
