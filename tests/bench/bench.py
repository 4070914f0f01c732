#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bars of the redirect path, beside nginx's static `return 302` in the same run.

usage: bench.py [--build DIR] [--rounds N] [--seconds S] [--links N] [--json FILE] [NAME...]

Names: redirect, pipeline, million, malloc, memory, shipper, imports. All when none is given. Each figure is the median
of its rounds; rounds of ours and nginx's alternate, because the machine's speed drifts. redirect and pipeline are
measured thrice: as they are; with all on that stands between a stranger and the service (tokens, limits, a blocklist);
and so while somebody who tried codes is refused, when each visitor is looked up. Traffic goes to loopback only. Exit
status 1 when a bar is missed.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 64
OWN_THREADS = ("shortenerd", "spool")  # whose CPU the bar counts
BLOCKED = 100000  # entries of the blocklist where there is one

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} reuseport; location / {{ return 302 https://www.example.com/some/where/that/is/usual; }} }}
}}
"""

LUA = """
local codes = {{}}
for line in io.lines("{codes}") do codes[#codes + 1] = line end
local depth = {depth}
local n = 0
function init(args)
   math.randomseed(os.time())
end
function request()
   if depth == 1 then
      return "GET /" .. codes[math.random(#codes)] .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n{agent}\\r\\n"
   end
   local all = {{}}
   for i = 1, depth do
      all[i] = "GET /" .. codes[math.random(#codes)] .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n{agent}\\r\\n"
   end
   return table.concat(all)
end
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def threads_cpu(pid):
    """Seconds of CPU by thread name."""
    used = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/stat") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        fields = text[text.rindex(")") + 2:].split()
        used[name] = used.get(name, 0) + (int(fields[11]) + int(fields[12])) / TICKS
    return used


def wrk(port, script, seconds, connections=CONNECTIONS):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    n = [line for line in out.splitlines() if "requests in" in line][0].split()[0]
    errors = [line for line in out.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    if errors:
        raise SystemExit(f"bench: wrk: {errors}\n{out}")
    return int(n)


class Nginx:
    def __init__(self, folder):
        self.port = free_port()
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w") as file:
            file.write(NGINX.format(folder=folder, port=self.port))
        self.process = subprocess.Popen(["nginx", "-c", path, "-p", folder], stderr=subprocess.DEVNULL)
        wait_port(self.port)
        out = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        self.worker = int(out.stdout.split()[0])

    def cpu(self):
        return sum(threads_cpu(self.worker).values())

    def close(self):
        self.process.terminate()
        self.process.wait()


def wait_port(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: nothing listens on port {port}")


def write_links(folder, n_links):
    """A CSV file of n links; returns its path and the codes."""
    path = os.path.join(folder, "links.csv")
    random.seed(n_links)
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    codes = set()
    while len(codes) < n_links:
        codes.add("".join(random.choice(alphabet) for _ in range(6)))
    codes = sorted(codes)
    random.shuffle(codes)
    with open(path, "w") as file:
        file.write("id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n")
        for i, code in enumerate(codes):
            file.write(f"{i + 1},,{code},https://www.example.com/some/where/{i}/that-is,usual title,True,"
                       "2026-01-01 00:00:00,2026-01-01 00:00:00\n")
    return path, codes


def make_store(build, folder, n_links):
    """A store with n links, by the program's own import."""
    ctl = [f"{build}/shortenerctl", "--config=/dev/null", f"--store=sqlite:{folder}/bench.db",
           f"--set=Server.RuntimeDirectory={folder}"]
    subprocess.run([*ctl, "db", "init"], check=True, capture_output=True)
    if n_links == 0:
        return
    path, codes = write_links(folder, n_links)
    subprocess.run([*ctl, "import", path], check=True, capture_output=True)
    with open(os.path.join(folder, "codes"), "w") as file:
        file.write("\n".join(codes) + "\n")


def guards(folder, misses="1000000/1s"):
    """The options of a service that strangers reach. Its limits are on, and so high that none here comes to them."""
    path = os.path.join(folder, "blocklist")
    with open(path, "w") as file:
        file.writelines(f"blocked-{i}.example\n" for i in range(BLOCKED))
    limits = [f"Limits.{budget}=1000000/1s" for budget in ("Create", "Read", "FailedAuth")]
    return ["API.Access=token", *limits, f"Limits.Misses={misses}", f"Links.Blocklist={path}", "Links.PrivateTargets=refuse", "Links.MixedScripts=refuse"]


class Ours:
    def __init__(self, build, folder, n_links, cache="64M", environment=None, options=()):
        # Nothing is left over from an earlier measurement: no backlog, no large file.
        self.folder = tempfile.mkdtemp(prefix=f"ours-{n_links}-", dir=folder)
        make_store(build, self.folder, n_links)
        self.codes_path = os.path.join(self.folder, "codes")
        self.port = free_port()
        self.process = subprocess.Popen(
            [f"{build}/shortenerd", "--config=/dev/null", f"--set=Server.Listen=127.0.0.1:{self.port}",
             f"--set=Store.URL=sqlite:{self.folder}/bench.db", f"--set=Clicks.Directory={self.folder}/spool",
             f"--set=Server.RuntimeDirectory={self.folder}", f"--set=Cache.Size={cache}", "--set=Clicks.Keep=0",
             *["--set=" + o for o in options]],
            stderr=open(os.path.join(self.folder, "log"), "ab"), env={**os.environ, **(environment or {})})
        wait_port(self.port)

    def warm(self):
        """Visits every code once, pipelined over one connection."""
        with open(self.codes_path) as file:
            codes = file.read().split()
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            for at in range(0, len(codes), 500):
                batch = codes[at:at + 500]
                # One at a time reaches the resolver while a miss is out: HEAD leaves no visit.
                sock.sendall(b"".join(b"HEAD /%s HTTP/1.1\r\nHost: a\r\n\r\n" % c.encode() for c in batch))
                seen = tail = 0
                data = b""
                while seen < len(batch):
                    chunk = sock.recv(1 << 20)
                    if not chunk:
                        raise SystemExit("bench: connection closed while warming up")
                    data = data[-3:] + chunk if tail else chunk
                    seen += (data).count(b"\r\n\r\n")
                    tail = 1
                    data = data[-3:] if not data.endswith(b"\r\n\r\n") else b""

    def cpu(self):
        used = threads_cpu(self.process.pid)
        return sum(used.get(name, 0) for name in OWN_THREADS)

    def shipper_cpu(self):
        return threads_cpu(self.process.pid).get("shipper", 0)

    def ask(self, method, path, source="127.0.0.1"):
        """Status and text of an answer to who has no token."""
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(source, 0))
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def metric(self, name):
        """The sum of a metric's series."""
        lines = self.ask("GET", "/metrics")[1].splitlines()
        return sum(float(l.rsplit(" ", 1)[1]) for l in lines if l.startswith((name + " ", name + "{")))

    def check_guards(self, refused=0):
        """They are on, and refused as many requests."""
        found = {"POST /urls": self.ask("POST", "/urls")[0], "blocklist": self.metric("shortener_blocklist_entries"),
                 "limits": self.metric("shortener_limit_bytes") > 0, "refused": self.metric("shortener_limited_total")}
        if found != {"POST /urls": 401, "blocklist": BLOCKED, "limits": True, "refused": refused}:
            raise SystemExit(f"bench: not all that was to be on is: {found}")

    def drained(self, seconds=600):
        end = time.monotonic() + seconds
        while self.metric("shortener_clicks_pending") > 0 and time.monotonic() < end:
            time.sleep(0.1)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="shortener-bench-")
        self.rows = []

    def script(self, codes, depth):
        path = os.path.join(self.folder, f"wrk-{depth}.lua")
        agent = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\\r\\n"
        with open(path, "w") as file:
            file.write(LUA.format(codes=codes, depth=depth, agent=agent))
        return path

    def row(self, name, value, bar, unit="", note=""):
        self.rows.append({"name": name, "value": round(value, 3), "bar": bar, "unit": unit, "note": note,
                          "met": bar is None or value <= bar})
        print(f"{name:44} {value:10.3f} {unit:14} bar {bar if bar is not None else '-':>8}  "
              f"{'' if bar is None else 'met' if value <= bar else 'MISSED'}  {note}", flush=True)

    def cost(self, server, script):
        before = server.cpu()
        n = wrk(server.port, script, self.options.seconds)
        return (server.cpu() - before) / n * 1e6, n / self.options.seconds

    def against_nginx(self, name, depth, bar):
        build, folder = self.options.build, self.folder
        servers = {"": Ours(build, folder, 2000), ", guarded": Ours(build, folder, 2000, options=guards(folder)),
                   ", one refused": Ours(build, folder, 2000, options=guards(folder, "1/1d:1"))}
        nginx = Nginx(folder)
        try:
            tried = [servers[", one refused"].ask("GET", f"/nosuch{n}", "127.0.0.2")[0] for n in range(2)]
            if tried != [404, 429]:
                raise SystemExit(f"bench: who tries codes is not refused: {tried}")
            costs, rates, theirs = {tag: [] for tag in servers}, {tag: [] for tag in servers}, []
            for server in servers.values():
                server.warm()
            for _ in range(self.options.rounds):
                for tag, server in servers.items():
                    cost, rate = self.cost(server, self.script(server.codes_path, depth))
                    costs[tag].append(cost)
                    rates[tag].append(rate)
                theirs.append(self.cost(nginx, self.script(servers[""].codes_path, depth))[0])
            servers[", guarded"].check_guards()
            servers[", one refused"].check_guards(1)
            for tag, own in costs.items():
                self.row(f"{name}{tag}: CPU / nginx's", statistics.median(x / y for x, y in zip(own, theirs)), bar,
                         note=f"{statistics.median(own):.2f} us, nginx {statistics.median(theirs):.2f} us, "
                              f"{statistics.median(rates[tag]):.0f}/s")
        finally:
            for server in (*servers.values(), nginx):
                server.close()

    def redirect(self):
        self.against_nginx("redirect, 64 keep-alive", 1, 0.95)

    def pipeline(self):
        self.against_nginx("redirect, 16 pipelined", 16, 0.125)

    def million(self):
        few = Ours(self.options.build, self.folder, 2000)
        many = Ours(self.options.build, self.folder, self.options.links, cache="512M")
        try:
            few.warm()
            many.warm()
            scripts = []
            for server, tag in ((few, "few"), (many, "many")):
                path = self.script(server.codes_path, 1)
                os.rename(path, path + tag)
                scripts.append(path + tag)
            a, b = [], []
            for _ in range(self.options.rounds):
                a.append(self.cost(many, scripts[1])[0])
                b.append(self.cost(few, scripts[0])[0])
            self.row(f"redirect, {self.options.links} links / 2000 links", statistics.median(x / y for x, y in zip(a, b)),
                     1.1, note=f"{statistics.median(a):.2f} us, {statistics.median(b):.2f} us")
        finally:
            few.close()
            many.close()

    def malloc(self):
        """Allocations of the loop thread while cached redirects are served, by an interposed malloc."""
        library = os.path.join(self.folder, "count.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, os.path.join(HERE, "malloc-count.c")], check=True)
        counter = os.path.join(self.folder, "mallocs")
        with open(counter, "wb") as file:
            file.write(bytes(4096))
        ours = Ours(self.options.build, self.folder, 2000,
                    environment={"LD_PRELOAD": library, "MALLOC_COUNT_FILE": counter})
        try:
            ours.warm()
            script = self.script(ours.codes_path, 1)
            wrk(ours.port, script, 1)

            def count():
                with open(counter, "rb") as file:
                    return int.from_bytes(file.read(8), "little")
            before = count()
            n = wrk(ours.port, script, 2)
            # Opening and closing 64 connections and the loop's timers may allocate; requests may not.
            self.row("mallocs of the loop per cached redirect", (count() - before) / n, 0.005,
                     note=f"{count() - before} in {n} requests")
        finally:
            ours.close()

    def memory(self):
        ours = Ours(self.options.build, self.folder, 2000)
        try:
            def rollup(key):
                with open(f"/proc/{ours.process.pid}/smaps_rollup") as file:
                    return [int(l.split()[1]) * 1024 for l in file if l.startswith(key + ":")][0]
            time.sleep(1.5)  # the pings have come and gone: what an idle process has
            self.row("idle process", rollup("Pss") / 1e6, 5, "MB PSS")
            before = rollup("Private_Dirty")
            connections = []
            for _ in range(3000):
                sock = socket.create_connection(("127.0.0.1", ours.port))
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                sock.recv(4096)
                connections.append(sock)
            self.row("idle connection", (rollup("Private_Dirty") - before) / len(connections), 512, "bytes")
            for sock in connections:
                sock.close()
        finally:
            ours.close()

    def shipper(self):
        """The shipper's CPU per visit beside the sqlite3 shell's .import of the same rows into the same tables."""
        ours = Ours(self.options.build, self.folder, 2000)
        try:
            ours.warm()
            before = ours.shipper_cpu()
            n = wrk(ours.port, self.script(ours.codes_path, 1), self.options.seconds)
            ours.drained()
            used = (ours.shipper_cpu() - before) / n * 1e6
        finally:
            ours.close()
        database = os.path.join(ours.folder, "bench.db")
        rows = sqlite3.connect(database)
        columns = [r[1] for r in rows.execute("PRAGMA table_info(events)")]
        path = os.path.join(self.folder, "rows.csv")
        with open(path, "w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            count = 0
            for row in rows.execute("SELECT * FROM events WHERE spool IS NOT NULL LIMIT 300000"):
                out.writerow(["" if v is None else v for v in row])
                count += 1
        schema = [r[0] for r in rows.execute("SELECT sql FROM sqlite_master WHERE tbl_name='events' AND sql IS NOT NULL")]
        rows.close()
        empty = os.path.join(self.folder, "import.db")
        target = sqlite3.connect(empty)
        for sql in schema:
            target.execute(sql)
        target.execute("PRAGMA journal_mode=WAL")
        target.commit()
        target.close()
        start = os.times()
        subprocess.run(["sqlite3", empty], input=f".mode csv\n.import {path} events\n", text=True, check=True,
                       stderr=subprocess.DEVNULL)
        end = os.times()
        shell = (end.children_user - start.children_user + end.children_system - start.children_system) / count * 1e6
        self.row("shipper CPU per visit / sqlite3 .import", used / shell, 1.5,
                 note=f"{used:.2f} us, shell {shell:.2f} us, {n} visits, {len(columns)} columns")

    def imports(self):
        """shortenerctl import of a million users beside the sqlite3 shell's .import of the same file."""
        path = os.path.join(self.folder, "users.csv")
        with open(path, "w") as file:
            file.write("id,username,email,created_at\n")
            for i in range(1, self.options.rows + 1):
                file.write(f"{i},user{i:07d},user{i:07d}@example.com,2026-01-01 00:00:00\n")
        ctl = [os.path.join(self.options.build, "shortenerctl"), f"--set=Server.RuntimeDirectory={self.folder}",
               f"--store=sqlite:{self.folder}/imports.db"]
        subprocess.run([*ctl, "db", "init"], check=True, stdout=subprocess.DEVNULL)
        shell = os.path.join(self.folder, "shell.db")
        shutil.copy(os.path.join(self.folder, "imports.db"), shell)
        ours = self.measure([*ctl, "import", path])
        theirs = self.measure(["sqlite3", shell, ".mode csv", f".import --skip 1 {path} users"])
        for name, value in (("time", 0), ("CPU", 1), ("peak memory", 2)):
            self.row(f"import of {self.options.rows} users, {name} / sqlite3 .import", ours[value] / theirs[value],
                     None, note=("{:.2f} s, shell {:.2f} s" if value < 2 else "{:.1f} MB, shell {:.1f} MB")
                     .format(ours[value], theirs[value])
                     + (f", {self.options.rows / ours[0]:.0f} rows/s" if value == 0 else ""))

    @staticmethod
    def measure(command):
        """Seconds, CPU seconds and peak MB of a program."""
        start, peak, status = time.monotonic(), 0, None
        pid = os.posix_spawnp(command[0], command, os.environ,
                              file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
        # Not ru_maxrss, which begins with what this process had when it made the other one.
        while not status:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
                peak = max([peak, *(int(line.split()[1]) for line in file if line.startswith("VmHWM"))])
            time.sleep(0.02)
            done, status, usage = os.wait4(pid, os.WNOHANG)
            status = (status,) if done else None
        if status[0] != 0:
            raise RuntimeError(f"{command}: {status[0]}")
        return time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak / 1024

    def run(self, names):
        try:
            for name in names:
                getattr(self, name)()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.options.json:
            with open(self.options.json, "w") as file:
                json.dump(self.rows, file, indent=1)
        return all(row["met"] for row in self.rows)


def main():
    parser = argparse.ArgumentParser(description="bars of the redirect path")
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--links", type=int, default=1000000)
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--json")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = options.names or ["redirect", "pipeline", "million", "malloc", "memory", "shipper", "imports"]
    sys.exit(0 if Bench(options).run(names) else 1)


if __name__ == "__main__":
    main()
