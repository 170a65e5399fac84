#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Cost of probing, as JSON lines.

Runs inside a network namespace that probe.sh made. Services are
addresses 127.x.y.z that one nginx answers on port 80 (443 with TLS); ping goes
to the same addresses. CPU is that of the prober process, user and system,
including the kernel's loopback work on its side of each connection.
"""
import json
import os
import subprocess
import sys
import time

TOOL, PROBER, FLOOR, DIR = sys.argv[1:5]
COUNT = int(os.environ.get("SERVICES", "70000"))
SECONDS = float(os.environ.get("PROBE_SECONDS", "10"))
HZ = os.sysconf("SC_CLK_TCK")


def out(name, value, unit, baseline=None, ratio=None):
    print(json.dumps({"name": name, "value": value, "unit": unit,
                      "baseline": baseline, "ratio": ratio}), flush=True)


def address(i):
    return "127.%d.%d.%d" % (1 + i // 62500, i // 250 % 250, i % 250 + 1)


def config(path, kind, port, n, interval_ms, probers=1):
    monitor = {"name": "m", "type": kind, "interval_ms": interval_ms,
               "timeout_ms": 2000, "down_ms": interval_ms}
    if kind == "https":
        monitor["verify"] = False
    json.dump({"interfaces": [{"name": "lo"}], "probers": probers,
               "monitors": [monitor],
               "services": [{"name": "s%d" % i, "address": address(i),
                             "port": port, "monitors": [{"monitor": "m"}]}
                            for i in range(n)]}, open(path, "w"))


class Tool:
    def __init__(self, path):
        self.p = subprocess.Popen([TOOL, "--quiet", path], text=True,
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL,
                                  env=dict(os.environ, SLUICE_PROBER=PROBER))

    def ask(self, line, key):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        while True:
            answer = self.p.stdout.readline()
            if not answer:
                raise SystemExit("tool_health ended")
            answer = json.loads(answer)
            if key in answer:
                return answer[key]

    def probers(self):
        return self.ask("show-probers", "probers")

    def wait_up(self, n, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stats = self.ask("stats", "stats")
            if stats["up"] >= n:
                return True
            time.sleep(0.2)
        print("not all up: %s" % stats)
        return False

    def close(self):
        self.p.stdin.close()
        self.p.wait(10)


def cpu(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / HZ


def memory(pid):
    for line in open("/proc/%d/smaps_rollup" % pid):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(kind, port, n, interval_ms):
    path = os.path.join(DIR, "probe.json")
    config(path, kind, port, n, interval_ms)
    tool = Tool(path)
    tool.wait_up(n, 30)
    time.sleep(interval_ms / 1000 * 1.2)  # first and second, spread, probes
    a = tool.probers()[0]
    c0, t0 = cpu(a["pid"]), time.monotonic()
    d0 = cpu(tool.p.pid)
    time.sleep(SECONDS)
    b = tool.probers()[0]
    c1, t1 = cpu(a["pid"]), time.monotonic()
    d1 = cpu(tool.p.pid)
    mem = (memory(a["pid"]), memory(tool.p.pid))
    late = (b["lateness_us"], b["lateness_p99_us"])
    up = tool.ask("stats", "stats")["up"]
    tool.close()
    done = b["probes"] - a["probes"]
    return {"probes": done, "rate": done / (t1 - t0), "cpu": c1 - c0,
            "share": (c1 - c0) / (t1 - t0), "daemon": (d1 - d0) / (t1 - t0),
            "us": (c1 - c0) * 1e6 / max(done, 1), "mem": mem, "late": late,
            "up": up, "failures": b["failures"] - a["failures"],
            "discarded": b["discarded"] - a["discarded"]}


def floor(kind):
    """CPU µs of a bare loop doing the same."""
    return float(subprocess.run([FLOOR, "30000", kind], text=True, timeout=60,
                                stdout=subprocess.PIPE).stdout or 0)


def haproxy(n):
    """CPU µs per check, by HAProxy with n servers every 5 s."""
    path = os.path.join(DIR, "haproxy.cfg")
    with open(path, "w") as f:
        f.write("global\n nbthread 1\ndefaults\n mode http\n"
                " timeout connect 2s\n timeout server 2s\n timeout client 2s\n"
                "frontend f\n bind 127.0.0.1:9999\n default_backend b\n"
                "backend b\n option httpchk GET /\n")
        for i in range(n):
            f.write(" server s%d %s:80 check inter 5s\n" % (i, address(i)))
    return others(["haproxy", "-db", "-f", path], n, "HAProxy")


def keepalived(n):
    path = os.path.join(DIR, "keepalived.conf")
    with open(path, "w") as f:
        f.write("global_defs {\n}\nvirtual_server 127.255.0.1 80 {\n"
                " delay_loop 5\n lb_algo rr\n lb_kind NAT\n protocol TCP\n")
        for i in range(n):
            f.write(" real_server %s 80 {\n  HTTP_GET {\n   url {\n"
                    "    path /\n    status_code 200\n   }\n"
                    "   connect_timeout 2\n  }\n }\n" % address(i))
        f.write("}\n")
    return others(["keepalived", "-n", "-C", "-f", path, "-p",
                   DIR + "/k.pid", "-c", DIR + "/kc.pid"], n, "keepalived")


def requests():
    """Requests nginx has served."""
    import urllib.request
    text = urllib.request.urlopen("http://127.0.0.1/count", timeout=10).read()
    return int(text.decode().split("\n")[2].split()[2])


def tree(pid):
    """The process and its children."""
    pids = [pid]
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            pids += [int(p) for p in f.read().split()]
    except OSError:
        pass
    return pids


def others(command, n, name):
    try:
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    except OSError as e:
        print("%s: %s" % (name, e))
        return None
    # Reading thousands of servers takes it some time.
    end, before = time.monotonic() + 60, requests()
    while p.poll() is None and requests() < before + n / 2 and \
            time.monotonic() < end:
        time.sleep(0.5)
    if p.poll() is not None:
        print("%s does not run here (status %d)" % (name, p.returncode))
        return None
    c0, r0 = sum(cpu(q) for q in tree(p.pid)), requests()
    time.sleep(SECONDS)
    c1, r1 = sum(cpu(q) for q in tree(p.pid)), requests()
    for q in reversed(tree(p.pid)):
        os.kill(q, 9)
    p.wait()
    if r1 - r0 < n * SECONDS / 5 / 10:
        print("%s makes no checks on this kernel (%d in %.0f s)" %
              (name, r1 - r0, SECONDS))
        return None
    return (c1 - c0) * 1e6 / (r1 - r0), (r1 - r0) / SECONDS


def baselines(ours, counts, prefix=""):
    """HTTP checks by others, of COUNTS servers; OURS: µs per probe."""
    for run, n in zip((haproxy, keepalived), counts):
        got = run(n)
        if got:
            out("%sprobe_http_vs_%s" % (prefix, run.__name__), round(ours, 1),
                "us/probe", "%s: %.1f us" % (run.__name__, got[0]),
                round(ours / got[0], 2))


def main():
    r = measure("http", 80, COUNT, 5000)
    print("http, %d services every 5 s: %s" % (COUNT, r))
    n = COUNT // 1000
    out("probe_%dk_http_5s_cpu" % n, round(r["share"], 3), "core", "goal", \
        round(r["share"] / 0.5, 2))
    out("probe_%dk_http_5s_rate" % n, round(r["rate"]), "probes/s", "due",
        round(r["rate"] / (COUNT / 5), 2))
    out("probe_%dk_daemon_cpu" % n, round(r["daemon"], 3), "core")
    # Buckets of powers of two: upper bounds.
    out("probe_%dk_lateness_p50" % n, r["late"][0], "us")
    out("probe_%dk_lateness_p99" % n, r["late"][1], "us", "goal",
        round(r["late"][1] / 500000, 3))
    out("probe_memory_per_service", round(r["mem"][0] / COUNT), "bytes")
    out("probe_daemon_memory_per_service", round(r["mem"][1] / COUNT), "bytes")
    ours = {}
    for kind, port, count, ms in (("tcp", 80, 2000, 500),
                                  ("http", 80, 2000, 500),
                                  ("https", 443, 100, 1000),
                                  ("ping", 1, 2000, 500)):
        base = floor(kind) if kind in ("tcp", "http") else 0
        r = measure(kind, port, count, ms)
        ours[kind] = r["us"]
        out("probe_%s_cpu" % kind, round(r["us"], 1), "us/probe",
            "bare epoll loop" if base else None,
            round(r["us"] / base, 2) if base else None)
        out("probe_%s_per_core" % kind, round(1e6 / r["us"]), "probes/s")
    baselines(ours["http"], (5000, 1000))


# In a virtual machine (keepalived.sh) only what is of the same machine says
# something.
if os.environ.get("IN_VM") == "1":
    baselines(measure("http", 80, 500, 5000)["us"], (500, 500), "vm_")
else:
    main()
