#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run by health.sh in a namespace of its own. Waits for conditions, bounded."""
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import health_servers as servers  # noqa: E402
import health_rows as expected  # noqa: E402

TOOL, PROBER, DIR = sys.argv[1], sys.argv[2], sys.argv[3]
HERE = os.getcwd()
failures = []


def check(what, ok, detail=""):
    print("%s: %s%s" % ("ok" if ok else "FAIL", what,
                        "" if ok else ": %s" % (detail,)), flush=True)
    if not ok:
        failures.append(what)


class Tool:
    """tool_health with its events and answers."""

    def __init__(self, config, state_dir=None):
        self.path = os.path.join(DIR, "config.json")
        self.write(config)
        args = [TOOL] + (["--state-dir", state_dir] if state_dir else [])
        env = dict(os.environ, SLUICE_PROBER=PROBER,
                   SSL_CERT_FILE=os.path.join(DIR, "ca.pem"))
        self.p = subprocess.Popen(args + [self.path], text=True, env=env,
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.answers, self.events, self.states = queue.Queue(), [], {}
        self.loads = []
        threading.Thread(target=self.read, daemon=True).start()

    def write(self, config):
        with open(self.path, "w") as f:
            json.dump(config, f)

    def read(self):
        for line in self.p.stdout:
            message = json.loads(line)
            if "event" in message:
                e = message["event"]
                e["at"] = time.monotonic()
                self.events.append(e)
                self.states[e["service"]] = e
            elif "load" in message:
                self.loads.append(message["load"])
            elif "slow" not in message:
                self.answers.put(message)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return next(iter(self.answers.get(timeout=30).values()))

    def tell(self, line):
        r = self.ask(line)
        if r != 0:
            raise SystemExit("%s: %s" % (line, r))

    def state(self, name):
        return self.states.get(name, {}).get("state")

    def wait(self, name, state, seconds=15):
        return until(lambda: self.state(name) == state, seconds)

    def close(self):
        self.p.stdin.close()
        return self.p.wait(20)

    def kill(self):
        self.p.kill()
        self.p.wait(20)


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def sh(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def file(name, text):
    path = os.path.join(DIR, name)
    with open(path, "w") as f:
        f.write(text)
    return path


# ---- real servers -----------------------------------------------------------

def certificates():
    os.chdir(DIR)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out",
       "ca.pem", "-subj", "/CN=test CA", "-days", "2")
    file("ca.cnf", """
[ca]
default_ca = d
[d]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = p
unique_subject = no
copy_extensions = copy
[p]
commonName = supplied
""")
    file("index.txt", "")
    file("serial", "01\n")
    for name, dates in (("good", ["-days", "2"]),
                        ("expired", ["-startdate", "20200101000000Z",
                                     "-enddate", "20200201000000Z"])):
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name + ".key",
           "-out", name + ".csr", "-subj", "/CN=good.test", "-addext",
           "subjectAltName=DNS:good.test")
        sh("openssl", "ca", "-batch", "-notext", "-config", "ca.cnf", "-cert",
           "ca.pem", "-keyfile", "ca.key", "-in", name + ".csr", "-out",
           name + ".pem", *dates)
    os.chdir(HERE)


def start_nginx():
    conf = """
worker_processes 1; pid %(d)s/nginx.pid; error_log %(d)s/nginx.log crit;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path %(d)s; proxy_temp_path %(d)s;
  fastcgi_temp_path %(d)s; uwsgi_temp_path %(d)s; scgi_temp_path %(d)s;
  server { listen 127.0.0.1:8080; listen [::1]:8080; server_name good.test;
    location / { return 200 "welcome to the real thing\\n"; }
    location /gone { return 404; } }
  server { listen 127.0.0.1:8443 ssl;
    ssl_certificate %(d)s/good.pem; ssl_certificate_key %(d)s/good.key;
    location / { return 200 "welcome over tls\\n"; } }
  server { listen 127.0.0.1:8444 ssl;
    ssl_certificate %(d)s/expired.pem; ssl_certificate_key %(d)s/expired.key;
    location / { return 200 "old\\n"; } }
}
""" % {"d": DIR}
    sh("nginx", "-c", file("nginx.conf", conf))


def start_others():
    subprocess.Popen(["dnsmasq", "-k", "-C", "/dev/null", "--no-resolv",
                      "--no-hosts", "--listen-address=127.0.0.1",
                      "--bind-interfaces", "-p", "5353", "--user=root",
                      "--address=/www.test/192.0.2.7",
                      "--address=/www.test/2001:db8::7",
                      "--txt-record=txt.test,hello", "--pid-file="],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.makedirs(DIR + "/ftp", exist_ok=True)
    os.makedirs(DIR + "/empty", exist_ok=True)
    with open(DIR + "/ftp/file.txt", "w") as f:
        f.write("content\n")
    conf = file("vsftpd.conf", """
listen=YES
listen_port=2121
listen_address=127.0.0.1
anonymous_enable=YES
anon_root=%s/ftp
secure_chroot_dir=%s/empty
seccomp_sandbox=NO
background=NO
""" % (DIR, DIR))
    subprocess.Popen(["vsftpd", conf], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL)

    def listens(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    for port in (8080, 8443, 5353, 2121):
        if not until(lambda: listens(port), 20):
            raise SystemExit("no server came up on port %d" % port)


# ---- every type, every behaviour --------------------------------------------

def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def script(name, text):
    path = file(name, "#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def bar_addresses():
    for address in (expected.MUTE6, expected.BARRED6):
        sh("ip", "addr", "add", address + "/128", "dev", "lo")
    sh("nft", "-f", file("bar.nft", """
table inet t { chain in { type filter hook input priority 0;
  icmpv6 type destination-unreachable accept
  ip daddr %s drop
  ip daddr %s reject with icmp host-unreachable
  ip6 daddr %s drop
  ip6 daddr %s reject with icmpv6 addr-unreachable
}
}
""" % (expected.MUTE4, expected.BARRED4, expected.MUTE6, expected.BARRED6)))


BASE = {"interval_ms": 300, "timeout_ms": 1000, "retries": 2, "down_ms": 2000}


def config_of(table, probers=2):
    return {
        "interfaces": [{"name": "lo"}], "probers": probers,
        "monitors": [dict(BASE if monitor["type"] != "inline" else {},
                          name=name, **monitor)
                     for name, monitor, *_ in table],
        "services": [{"name": name, "address": "127.0.0.1", "port": port,
                      "monitors": [{"monitor": name}]}
                     for name, _, port, *_ in table]}


def test_types():
    listeners = {name: servers.TcpServer(serve)
                 for name, serve in servers.TCP.items()}
    ports = {name: s.port for name, s in listeners.items()}
    tls = {name: servers.TcpServer(servers.over_tls(
        serve, DIR + "/good.pem", DIR + "/good.key")).port
        for name, serve in servers.TLS.items()}
    bar_addresses()
    table = expected.rows(ports, tls, expected.udp_ports(), closed_port(),
                          script)
    tool = Tool(config_of(table))
    until(lambda: all(tool.state(row[0]) == row[3] for row in table), 60)
    for name, _, _, state, reason in table:
        e = tool.states.get(name, {})
        check("type %s: %s %s" % (name, state, reason),
              e.get("state") == state and reason in e.get("reason", ""), e)
    check("load is reported, with its flag",
          until(lambda: {(l["load"], l["over"]) for l in tool.loads} >=
                {(10, False), (95, True)}), tool.loads)
    show = tool.ask("show http")
    binding = show["bindings"][0]
    check("who runs a binding, and how it goes",
          binding["prober"] in (0, 1) and binding["response_us"] > 0 and
          binding["last"] == "passed", show)
    try_each(tool, table)
    check("ends cleanly", tool.close() == 0)
    for s in listeners.values():
        s.stop()


def in_order(wanted, steps):
    at = 0
    for step in steps:
        if at < len(wanted) and step["what"].startswith(wanted[at]):
            at += 1
    return at == len(wanted)


def try_each(tool, table):
    table = {name: rest for name, *rest in table}
    for name, wanted in expected.TRIES.items():
        monitor, port, state, reason = table[name]
        tried = tool_try(tool, dict(monitor), port)
        times = [s["at_us"] for s in tried["steps"]]
        check("a try of %s shows its steps and their times" % name,
              in_order(wanted, tried["steps"]) and times == sorted(times) and
              times[-1] <= tried["elapsed_us"] and
              tried["passed"] == (state == "UP") and
              reason in tried["reason"], tried)
    tried = tool_try(tool, {"type": "inline"}, 8080)
    check("a try of inline says that there is nothing to try",
          not tried["passed"] and "sends none" in tried["reason"], tried)


def tool_try(tool, monitor, port):
    path = file("try.json", json.dumps(config_of([("try", monitor, port)])))
    tool.tell("try " + path)
    return tool.answers.get(timeout=20)["tried"]


# ---- states over time ------------------------------------------------------

def farm(n, interval_ms=200, probers=2, **more):
    up = [servers.TcpServer(servers.http(servers.HTTP)) for _ in range(n)]
    config = {
        "interfaces": [{"name": "lo"}], "probers": probers,
        "monitors": [dict(name="m", type="http", interval_ms=interval_ms,
                          timeout_ms=500, retries=3, down_ms=interval_ms,
                          **more)],
        "services": [{"name": "s%d" % i, "address": "127.0.0.1",
                      "port": s.port, "monitors": [{"monitor": "m"}]}
                     for i, s in enumerate(up)]}
    return up, config


def all_are(tool, n, state, seconds=20):
    return until(lambda: all(tool.state("s%d" % i) == state
                             for i in range(n)), seconds)


def test_failover_time():
    up, config = farm(4)
    tool = Tool(config)
    check("a farm comes up", all_are(tool, 4, "UP"))
    t0 = time.monotonic()
    up[0].stop()
    ok = tool.wait("s0", "DOWN")
    took = tool.states["s0"]["at"] - t0
    # interval × retries + time-out, and what a busy test machine adds
    check("down within interval × retries + time-out", ok and took < 2.1, took)
    check("the others stay", all(tool.state("s%d" % i) == "UP"
                                 for i in (1, 2, 3)))
    up[0].start()
    check("up again", tool.wait("s0", "UP"))
    tool.close()
    return up


def test_shared_mean():
    """Two services on one monitor, one of which takes 250 ms. By its own mean
    it has 330 ms; by the mean over both, about 125 ms, it has some 205."""
    fast, slow = (servers.TcpServer(servers.TCP[name])
                  for name in ("http", "slow"))
    for shared in (False, True):
        config = config_of([("fast", {"type": "http"}, fast.port),
                            ("slow", {"type": "http"}, slow.port)])
        config["monitors"] = [dict(BASE, name="m", type="http",
                                   interval_ms=100, timeout_ms=2000,
                                   deviation_ms=80, down_ms=60000,
                                   response_time=shared)]
        for s in config["services"]:
            s["monitors"] = [{"monitor": "m"}]
        tool = Tool(config)
        check("both come up", tool.wait("fast", "UP") and
              tool.wait("slow", "UP"))

        def binding(name):
            return tool.ask("show " + name)["bindings"][0]

        if shared:
            check("slow compared with its peer: down",
                  tool.wait("slow", "DOWN", 30) and
                  "no reply within" in tool.states["slow"]["reason"],
                  tool.states["slow"])
            check("one prober runs the monitor for both",
                  binding("fast")["prober"] == binding("slow")["prober"])
            check("the fast one stays", tool.state("fast") == "UP")
        else:
            check("each by its own mean",
                  until(lambda: 300 <= binding("slow")["timeout_ms"] < 2000,
                        30), binding("slow"))
            check("the slow one stays", tool.state("slow") == "UP")
        tool.close()


def pids(tool):
    return {p["slot"]: p["pid"] for p in tool.ask("show-probers")
            if p["state"] == "running"}


def test_probers_die():
    up, config = farm(20, probers=3)
    tool = Tool(config)
    check("20 services come up", all_are(tool, 20, "UP"))
    check("with three probers", until(lambda: len(pids(tool)) == 3))
    before = len(tool.events)
    old = pids(tool)
    os.kill(old[1], signal.SIGKILL)
    check("a killed prober is replaced",
          until(lambda: pids(tool).get(1, old[1]) != old[1]))
    check("its death changes no state", len(tool.events) == before,
          tool.events[before:])
    # Nobody is forgotten: all can still go down, whoever ran them.
    os.kill(pids(tool)[0], signal.SIGKILL)
    for s in up:
        s.stop()
    check("with one prober dead, failures are still seen",
          all_are(tool, 20, "DOWN", 30))
    check("most fail at once: checked, and said so",
          any("failed at once" in e["reason"] for e in tool.events),
          tool.events[-1])
    tool.tell("probers 1")
    for s in up:
        s.start()
    check("with one prober left, all come back", all_are(tool, 20, "UP", 30))
    check("the others are gone", until(lambda: list(pids(tool)) == [0]))
    tool.close()
    for s in up:
        s.stop()


def test_late_probers():
    up, config = farm(10, probers=1)
    tool = Tool(config)
    check("10 services come up", all_are(tool, 10, "UP"))
    before = len(tool.events)
    pid = pids(tool)[0]
    for _ in range(3):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: False, 0.8)  # longer than the time-out
        os.kill(pid, signal.SIGCONT)
        until(lambda: False, 0.4)
    check("a late prober takes nothing down", len(tool.events) == before,
          tool.events[before:])
    show = tool.ask("show-probers")[0]
    check("and knows that it was late", show["late_windows"] > 0, show)
    os.kill(pid, signal.SIGSTOP)
    check("one that is silent loses its share",
          until(lambda: tool.ask("show-probers")[0]["state"] == "silent", 5))
    check("its services keep their state", len(tool.events) == before)
    os.kill(pid, signal.SIGCONT)
    check("and gets it back",
          until(lambda: tool.ask("show-probers")[0]["state"] == "running", 5))
    up[0].stop()
    check("and sees failures again", tool.wait("s0", "DOWN"))
    check("of that service only", len(tool.events) == before + 1,
          tool.events[before:])
    tool.close()
    for s in up[1:]:
        s.stop()


def test_self_check():
    """Everything fails at once: whose fault is it?"""
    up, config = farm(6, probers=1)
    tool = Tool(config)
    check("6 services come up", all_are(tool, 6, "UP"))
    before = len(tool.events)

    def held():
        return tool.ask("show-probers")[0]["holding"]

    def all_held():
        # More than one probe of each has failed for good by then.
        return held() > 3 * len(up)
    sh("nft", "-f", file("lo.nft", """
table inet lo { chain in { type filter hook input priority 0;
  ip daddr 127.0.0.1 meta l4proto tcp drop
}
}
"""))
    check("loopback does not answer: verdicts are held back",
          until(all_held), tool.ask("show-probers"))
    check("and no state changes", len(tool.events) == before,
          tool.events[before:])
    sh("nft", "delete", "table", "inet", "lo")
    # Else old failures count with the next ones, and not all at once.
    check("loopback answers again: all pass",
          until(lambda: all(tool.ask("show s%d" % i)["bindings"][0]["last"] ==
                            "passed" for i in range(len(up)))))
    check("and none are held", until(lambda: not held()), held())
    check("nothing had happened", len(tool.events) == before,
          tool.events[before:])
    sh("ip", "link", "add", "cable0", "type", "veth", "peer", "cable1")
    sh("ip", "link", "set", "cable0", "up")
    for s in up:
        s.stop()
    check("no carrier: verdicts are held back", until(all_held),
          tool.ask("show-probers"))
    check("and no state changes without a carrier",
          len(tool.events) == before, tool.events[before:])
    sh("ip", "link", "set", "cable1", "up")
    check("with a carrier they go down", all_are(tool, 6, "DOWN"))
    check("and the reason says that the machine was checked",
          all("self-check passed" in e["reason"]
              for e in tool.events[before:before + 3]), tool.events[before:])
    sh("ip", "link", "del", "cable0")
    tool.close()


def test_scripts():
    """What the prober's helper starts, and what becomes of it."""
    def processes(text):
        """Of this namespace, with that in their command line."""
        mine = os.readlink("/proc/self/ns/net")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink("/proc/%s/ns/net" % pid) == mine and \
                        text in open("/proc/%s/cmdline" % pid).read():
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def children(pid):
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(c) for c in f.read().split()]
    hang = script("hang2.sh", "sleep 61.5 &\nsleep 61.5\n")
    quick = script("quick.sh", "sleep 0.2\n")
    config = config_of([("hang", dict(type="script", script=hang), 77)] +
                       [("q%d" % i, dict(type="script", script=quick,
                                         timeout_ms=10000), 77)
                        for i in range(40)], probers=1)
    tool = Tool(config)
    check("more scripts than may run at once: all have their turn",
          until(lambda: all(tool.state("q%d" % i) == "UP"
                            for i in range(40)), 30), tool.states)
    check("one that hangs is down", tool.wait("hang", "DOWN"))
    check("and is killed with all that it started",
          until(lambda: not processes("61.5")), processes("61.5"))
    before = len(tool.events)
    prober = pids(tool)[0]
    os.kill(children(prober)[0], signal.SIGKILL)
    check("a prober whose helper has died is replaced",
          until(lambda: pids(tool).get(0, prober) != prober))
    check("and scripts run again",
          until(lambda: tool.ask("show q0")["bindings"][0]["next_ms"] > 0 and
                processes("quick.sh")))
    check("no state has changed", len(tool.events) == before,
          tool.events[before:])
    prober = pids(tool)[0]
    helper = children(prober)[0]
    os.kill(prober, signal.SIGKILL)
    check("a helper does not outlive its prober",
          until(lambda: not os.path.exists("/proc/%d" % helper)))
    check("ends cleanly", tool.close() == 0)
    check("no script outlives the daemon",
          until(lambda: not processes("quick.sh") and
                not processes("61.5")), processes(".sh"))


def test_restart():
    up, config = farm(3)
    state_dir = DIR + "/state"
    os.makedirs(state_dir, exist_ok=True)
    up[1].stop()
    tool = Tool(config, state_dir)
    check("before the restart", tool.wait("s0", "UP") and
          tool.wait("s1", "DOWN") and tool.wait("s2", "UP"))
    tool.tell("admin s2 disable")
    check("out of service", tool.wait("s2", "OUT-OF-SERVICE"))

    def saved():
        try:
            text = open(state_dir + "/health").read()
        except OSError:
            return False
        # ENTITY WHERE ADMIN OBSERVED …: all three as seen above
        return sorted(line.split()[2:4] for line in
                      text.splitlines()[1:-1]) == [["0", "1"], ["0", "2"],
                                                   ["2", "2"]]
    check("states are saved", until(saved))
    tool.kill()
    config["probers"] = 0  # nobody can prove anything anew
    tool = Tool(config, state_dir)
    check("after kill -9: as before", tool.wait("s0", "UP", 5) and
          tool.wait("s1", "DOWN", 5) and tool.wait("s2", "OUT-OF-SERVICE", 5),
          tool.states)
    check("each told once", len(tool.events) == 3)
    tool.kill()
    with open(state_dir + "/health", "r+") as f:
        f.seek(30)
        f.write("x")
    tool = Tool(config, state_dir)
    check("a damaged file is ignored", tool.wait("s0", "UNKNOWN", 5) and
          tool.wait("s1", "UNKNOWN", 5))
    tool.close()
    up[0].stop()
    up[2].stop()


def test_orders():
    up, config = farm(2)
    tool = Tool(config)
    check("two come up", all_are(tool, 2, "UP"))
    tool.tell("flows s0 3")
    tool.tell("admin s0 graceful")
    check("draining", tool.wait("s0", "GOING-OUT-OF-SERVICE"))
    up[0].stop()
    check("fails while draining",
          tool.wait("s0", "DOWN-WHEN-GOING-OUT-OF-SERVICE"))
    up[0].start()
    check("recovers while draining", tool.wait("s0", "GOING-OUT-OF-SERVICE"))
    tool.tell("flows s0 0")
    check("out with its last flow", tool.wait("s0", "OUT-OF-SERVICE"))
    tool.tell("admin s0 enable")
    check("enabled: up without a new proof", tool.wait("s0", "UP", 2))
    tool.tell("flows s1 9")
    tool.tell("admin s1 graceful 1")
    check("delay is the limit", tool.wait("s1", "OUT-OF-SERVICE", 5) and
          "delay" in tool.states["s1"]["reason"])
    tool.tell("owned s0 0")
    tool.tell("remote s0 down")
    check("another node's word", tool.wait("s0", "DOWN", 2))
    before = len(tool.events)
    tool.tell("owned s0 1")
    check("probed here again", tool.wait("s0", "UP"))
    check("once", len(tool.events) == before + 1)
    # Run-time changes keep what has not changed.
    before = len(tool.events)
    config["services"].append(dict(config["services"][0], name="s2"))
    config["monitors"][0]["timeout_ms"] = 600
    tool.write(config)
    tool.tell("apply " + tool.path)
    check("an added service comes up", tool.wait("s2", "UP"))
    check("the others were left alone",
          {e["service"] for e in tool.events[before:]} == {"s2"},
          tool.events[before:])
    del config["services"][2]
    config["services"][0]["port"] = closed_port()
    tool.write(config)
    tool.tell("apply " + tool.path)
    check("a new address is a new service", tool.wait("s0", "DOWN"))
    check("a removed one is gone", tool.ask("show s2") is None)
    tool.close()


def test_inline():
    config = {
        "interfaces": [{"name": "lo"}], "probers": 1,
        "monitors": [{"name": "i", "type": "inline",
                      "window_ms": 2000, "failures": 5, "down_ms": 800}],
        "services": [{"name": "s0", "address": "127.0.0.1", "port": 9,
                      "monitors": [{"monitor": "i"}]}]}
    tool = Tool(config)
    tool.tell("passive s0 0 0 0")
    check("inline: up until disproved", tool.wait("s0", "UP"))
    until(lambda: False, 0.4)
    tool.tell("passive s0 100 3 2")
    check("a few failures among many are none",
          not tool.wait("s0", "DOWN", 0.5))
    tool.tell("passive s0 200 100 100")
    check("inline: clients unanswered", tool.wait("s0", "DOWN") and
          "unanswered or reset" in tool.states["s0"]["reason"],
          tool.states["s0"])
    check("inline: tried again after the down time", tool.wait("s0", "UP"))
    tool.close()


def main():
    certificates()
    start_nginx()
    start_others()
    for test in (test_types, test_failover_time, test_shared_mean,
                 test_probers_die, test_late_probers, test_self_check,
                 test_scripts, test_restart, test_orders, test_inline):
        if sys.argv[4:] and test.__name__ not in sys.argv[4:]:
            continue
        print("-- " + test.__name__, flush=True)
        test()
    print("%d checks failed" % len(failures) if failures else "all passed")
    sys.exit(1 if failures else 0)


main()
