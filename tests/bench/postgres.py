#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bars of the PostgreSQL store, each beside PostgreSQL's own tools in the same run.

usage: postgres.py [--build DIR] [--rounds N] [--seconds S] [--rows N] [--visits N] [--json FILE] [NAME...]

Names: misses, writes, imports, flat; the drain of many visits is fault/drain. All when none is given. The server is the script's own,
with fsync on and the settings of a small installation; rounds of ours and theirs alternate, because
the machine's speed drifts, and each figure is the median. Exit status 1 when a bar is missed.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

CONNECTIONS = 64
WORKERS = 4
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}

PGBENCH = r"""
\set n random(1, 1000000000000)
BEGIN;
INSERT INTO urls (id, code, target, title, is_active, created, updated)
 VALUES (nextval('url_ids'), 'b' || :n, 'https://www.example.com/some/where/' || :n, 'usual title', true, 0, 0);
INSERT INTO events (url_id, type, timestamp, day, details)
 VALUES (currval('url_ids'), 2, extract(epoch FROM now())::bigint, (now() AT TIME ZONE 'UTC')::date,
         '{"original_url":"https://www.example.com/some/where/' || :n || '","short_code":"b' || :n || '"}');
COMMIT;
"""

POST_LUA = """
math.randomseed(os.time())
function request()
   local n = math.random(1000000000)
   return wrk.format("POST", "/urls", {["Content-Type"] = "application/json", ["Host"] = "127.0.0.1"},
      '{"url": "https://www.example.com/some/where/' .. n .. '", "title": "usual title"}')
end
function done(summary, latency)
   io.write(string.format("p99 %d\\n", latency:percentile(99)))
end
"""


def p99(values):
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="shortener-bench-")
        os.chmod(self.folder, 0o755)
        self.rows = []
        self.n = 0
        self.columns, self.counts = {}, {}  # of each table that was imported
        self.server = postgres.Postgres(sync=True, settings=SETTINGS)

    def row(self, name, value, bar, note="", least=False):
        met = bar is None or (value >= bar if least else value <= bar)
        self.rows.append({"name": name, "value": round(value, 3), "bar": bar, "least": least, "met": met, "note": note})
        sign = "" if bar is None else f"{'>=' if least else '<='} {bar}"
        print(f"{name:52} {value:9.3f}  bar {sign:>8}  {'' if bar is None else 'met' if met else 'MISSED':6}  {note}",
              flush=True)

    # ---- parts ----

    def database(self):
        """A fresh one with the schema; its name."""
        self.n += 1
        self.server.create(f"bench{self.n}")
        return f"bench{self.n}"

    @contextlib.contextmanager
    def service(self, database, options=()):
        service = harness.Service(options=options)
        service.url = self.server.url(database)
        try:
            yield service
        finally:
            service.close()

    def links(self, n, name="links.csv"):
        """A CSV file of n links as `shortenerctl import` takes it, and a file of their codes."""
        path, codes = os.path.join(self.folder, name), os.path.join(self.folder, name + ".codes")
        alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        rng = random.Random(n)
        made = set()
        while len(made) < n:
            made.add("".join(rng.choices(alphabet, k=7)))
        with open(path, "w") as rows, open(codes, "w") as file:
            rows.write("id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n")
            for i, code in enumerate(sorted(made, key=lambda code: code[::-1]), 1):
                rows.write(f"{i},,{code},https://www.example.com/some/where/{i}/that-is,usual title,True,"
                           "2026-01-01 00:00:00,2026-01-01 00:00:00\n")
                file.write(code + "\n")
        return path, codes

    @staticmethod
    def wrk(port, script, seconds, connections=CONNECTIONS):
        """Requests a second, and the p99 in ms."""
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
                              f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in out or "Socket errors" in out:
            raise SystemExit(f"postgres.py: wrk: {out}")
        return (float(re.search(r"Requests/sec: +([0-9.]+)", out)[1]),
                int(re.search(r"^p99 (\d+)", out, re.M)[1]) / 1000)

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    # ---- measurements ----

    def misses(self):
        """Codes looked up together, as the resolver does, beside one prepared SELECT each."""
        database = self.database()
        path, codes = self.links(100000)
        with self.service(database) as service:
            service.ctl("import", path)
        url = self.server.url(database)
        self.server.psql("VACUUM ANALYZE urls", database)

        def rate(batch):
            out = subprocess.run([os.path.join(self.options.build, "tests", "bench-misses"), url, codes, str(batch),
                                  str(self.options.seconds)], capture_output=True, text=True, check=True).stdout
            return float(out)
        pairs = [(rate(128), rate(1)) for _ in range(self.options.rounds)]
        self.row("misses a second, 128 a query / one a query", statistics.median(a / b for a, b in pairs), 5,
                 least=True, note=f"{statistics.median(a for a, _ in pairs):.0f}/s, "
                                  f"{statistics.median(b for _, b in pairs):.0f}/s")

    def writes(self):
        """POST /urls beside pgbench with as many clients as there are workers."""
        script, sql = self.script("post.lua", POST_LUA), self.script("pgbench.sql", PGBENCH)
        os.chmod(sql, 0o644)
        with self.service(self.database()) as service:
            one = service.start()
            other = self.database()
            pairs, tails = [], []
            for _ in range(self.options.rounds):
                ours, tail = self.wrk(one.port, script, self.options.seconds)
                out = subprocess.run(
                    [postgres.program("pgbench"), "-n", "-M", "prepared", "-c", str(WORKERS), "-j", "1",
                     "-T", str(self.options.seconds), "-f", sql, "-h", self.server.folder, "-p", str(self.server.port),
                     "-U", "postgres", other], capture_output=True, text=True, check=True).stdout
                pairs.append((ours, float(re.search(r"tps = ([0-9.]+)", out)[1])))
                tails.append(tail)
        self.row("POST /urls a second / pgbench, the same two INSERTs", statistics.median(a / b for a, b in pairs), 0.6,
                 least=True, note=f"{statistics.median(a for a, _ in pairs):.0f}/s, pgbench "
                                  f"{statistics.median(b for _, b in pairs):.0f}/s, p99 {statistics.median(tails):.1f} ms")

    def imports(self):
        """shortenerctl import beside psql's \\copy of the same rows into the same indexed tables, each first in turn."""
        path, _ = self.links(self.options.rows, "million.csv")
        pairs = [(self.import_ours(path), self.import_theirs())]
        for n in range(1, self.options.rounds):
            if n % 2:
                shell = self.import_theirs()
                pairs.append((self.import_ours(path), shell))
            else:
                pairs.append((self.import_ours(path), self.import_theirs()))
        used, shell = (statistics.median(times) for times in zip(*pairs))
        self.row(f"import of {self.options.rows} links, time / psql \\copy", statistics.median(a / b for a, b in pairs), 1.5,
                 note=f"{used:.1f} s, psql {shell:.1f} s, {self.options.rows / used:.0f} rows/s, {len(pairs)} rounds: "
                      + ", ".join(f"{a / b:.2f}" for a, b in pairs))

    def import_ours(self, path):
        """Seconds. What it put into the tables is kept for import_theirs()."""
        database = self.database()
        with self.service(database) as service:
            start = time.monotonic()
            service.ctl("import", path, timeout=3600)
            used = time.monotonic() - start
        self.columns = {}
        for table in ("urls", "events"):
            self.columns[table] = self.server.psql("SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM "
                                                   f"information_schema.columns WHERE table_name = '{table}'", database)
            self.server.psql(f"COPY (SELECT {self.columns[table]} FROM {table} ORDER BY id) TO PROGRAM "
                             f"'cat > {self.server.folder}/{table}.copy'", database)
        self.counts = self.count_imported(database)
        assert self.counts["urls"] == self.options.rows, self.counts
        return used

    def import_theirs(self):
        database = self.database()
        start = time.monotonic()
        self.server.psql("BEGIN;\n" + "".join(
            f"\\copy {table} ({columns}) FROM '{self.server.folder}/{table}.copy'\n"
            for table, columns in self.columns.items()) + "COMMIT;", database)
        used = time.monotonic() - start
        counts = self.count_imported(database)
        assert counts == self.counts, counts
        return used

    def count_imported(self, database):
        """And then it is dropped."""
        counts = {table: int(self.server.psql(f"SELECT count(*) FROM {table}", database)) for table in self.columns}
        self.server.psql(f"DROP DATABASE {database}", "postgres")
        self.server.psql("CHECKPOINT", "postgres")
        return counts

    def flat(self):
        """GET /urls/ID/stats and /events?page=1 with ten thousand visits and with --visits: two databases,
        measured in turn when the server has nothing left to do of filling them, autovacuum included."""
        sizes = 10000, self.options.visits
        with contextlib.ExitStack() as stack:
            sides = {n: self.filled(stack, n) for n in sizes}
            self.server.psql("CHECKPOINT", "postgres")
            for name in ("stats", "events?page=1"):
                rounds = {n: [] for n in sizes}
                for _ in range(9):
                    for n, (connection, instance, link) in sides.items():
                        path = f"/urls/{link['id']}/stats" if name == "stats" else "/" + name
                        rounds[n].append(self.tail(instance, path, connection))
                few, many = (statistics.median(rounds[n]) for n in sizes)
                self.row(f"GET {name}, p99 with {sizes[1]} / 10000 visits", many / few, 1.5,
                         note=f"{many * 1000:.2f} ms, {few * 1000:.2f} ms")

    def filled(self, stack, n):
        """(connection, instance, link): the link has n visits."""
        service = stack.enter_context(self.service(self.database()))
        database = f"bench{self.n}"
        instance = service.start()
        link = instance.create()
        hours = min(n // 1000, 8760)  # of a year: the many visits have many rows there
        self.server.psql(
            "INSERT INTO events (url_id, type, timestamp, day, details) SELECT "
            f"{link['id']}, 1, extract(epoch FROM now())::bigint, (now() AT TIME ZONE 'UTC')::date, "
            f"'{{\"ip\":\"192.0.2.1\",\"user_agent\":\"\"}}' FROM generate_series(1, {n});"
            f"INSERT INTO url_totals (url_id, redirects) VALUES ({link['id']}, {n}) ON CONFLICT (url_id)"
            f" DO UPDATE SET redirects = {n};"
            f"INSERT INTO url_hours (url_id, hour, redirects) SELECT {link['id']}, hour, {n} / {hours} FROM"
            f" generate_series(1, {hours}) AS hour;"
            f"UPDATE totals SET events = {n + 1}, redirects = {n} WHERE slot = 0", database)
        self.server.psql("VACUUM ANALYZE events", database)
        connection = instance.connect()
        stack.callback(connection.close)
        return connection, instance, link

    @staticmethod
    def tail(instance, path, connection):
        """p99, in seconds."""
        times = []
        for _ in range(400):
            start = time.monotonic()
            assert instance.get(path, connection=connection).status == 200
            times.append(time.monotonic() - start)
        return p99(times)

    def run(self, names):
        try:
            for name in names:
                getattr(self, name)()
        finally:
            self.server.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.options.json:
            with open(self.options.json, "w") as file:
                json.dump(self.rows, file, indent=1)
        return all(row["met"] for row in self.rows)


def main():
    parser = argparse.ArgumentParser(description="bars of the PostgreSQL store")
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1000000, help="links of the import")
    parser.add_argument("--visits", type=int, default=10000000, help="of the one link of flat")
    parser.add_argument("--json")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    os.environ["SHORTENER_BUILD"] = options.build
    global harness, postgres  # pylint: disable=global-statement
    import harness  # after the build is known
    import postgres
    names = options.names or ["misses", "writes", "imports", "flat"]
    sys.exit(0 if Bench(options).run(names) else 1)


if __name__ == "__main__":
    main()
