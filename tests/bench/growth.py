#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a link and a visit take: bytes on disk, in the cache and in the spool, and CPU to ship; for docs/capacity-plan.md.

usage: growth.py [--links N,N...] [--visits N] [--store sqlite|postgres] [--json FILE]

For each number of links a fresh store, into which shortenerctl imports them; an instance warms up; then visits with
a browser's user agent, pipelined over one connection, until they are shipped. Sizes do not depend on what else the
machine does; CPU times do a little. Both stores when none is given. SHORTENER_BUILD: the build's folder.
"""

import argparse
import json
import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import harness
import postgres

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CACHE = "Cache.Size=512M"
DEPTH = 50  # requests in one write

LINKS = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('urls', 'url_totals') AND relkind = 'r'"
VISITS = ("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND (relname LIKE 'events%' OR"
          " relname IN ('url_hours', 'url_totals'))")  # fmt: skip


def write_links(path, n):
    """A CSV of n links; their codes. Targets have 56 to 62 bytes, titles 11."""
    rng, codes = random.Random(n), set()
    while len(codes) < n:
        codes.add("".join(rng.choices(ALPHABET, k=6)))
    codes = sorted(codes, key=lambda code: code[::-1])
    with open(path, "w", encoding="ascii") as file:
        file.write("id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n")
        for i, code in enumerate(codes, 1):
            file.write(f"{i},,{code},https://www.example.com/some/where/{i}/that-is-usually-longer,usual title,True,2026-01-01 00:00:00,2026-01-01 00:00:00\n")
    return codes


def on_cpu(folder):
    """Seconds that a task has run, to the nanosecond."""
    with open(f"{folder}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def process_cpu(pid):
    return sum(on_cpu(f"/proc/{pid}/task/{tid}") for tid in os.listdir(f"/proc/{pid}/task"))


def thread_cpu(pid, wanted):
    used = 0.0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii", errors="replace") as file:
            if file.read().strip() == wanted:
                used += on_cpu(f"/proc/{pid}/task/{tid}")
    return used


class Sqlite:
    name = "sqlite"

    def __init__(self, service):
        self.path = service.database

    def link_bytes(self):
        return self.bytes()

    def visit_bytes(self):
        return self.bytes()

    def bytes(self):
        """The file with what is in the log of it still."""
        import sqlite3  # pylint: disable=import-outside-toplevel
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return os.path.getsize(self.path)

    def cpu(self):
        return {}  # it has no process of its own


class Postgres:
    name = "postgres"

    def __init__(self, server, database):
        self.server, self.database = server, database

    def ask(self, sql):
        return int(self.server.psql(f"VACUUM (ANALYZE); {sql}", self.database))

    def link_bytes(self):
        return self.ask(LINKS)

    def visit_bytes(self):
        return self.ask(VISITS)

    def cpu(self):
        """{process: seconds}"""
        return {pid: process_cpu(pid) for pid in [self.server.process.pid, *self.server.children()]}


def visit(one, codes, n):
    """n GETs, each of which is a visit."""
    rng, left = random.Random(1), n
    connection = one.connect(timeout=120)
    connection.connect()
    sock = connection.sock
    while left > 0:
        batch = min(DEPTH, left)
        sock.sendall("".join(f"GET /{rng.choice(codes)} HTTP/1.1\r\nHost: go.example\r\nUser-Agent: {AGENT}\r\n\r\n" for _ in range(batch)).encode())
        data = b""
        while data.count(b"\r\n\r\n") < batch:
            chunk = sock.recv(1 << 16)
            assert chunk, "the connection was closed"
            data += chunk
        assert data.count(b"HTTP/1.1 302 ") == batch, data[:300]
        left -= batch
    connection.close()


def grow(service, store, n_links, n_visits):
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        codes = write_links(file.name, n_links)
        empty = store.link_bytes()
        service.ctl("import", file.name, timeout=3600)
    found = {"store": store.name, "links": n_links, "store_bytes_a_link": round((store.link_bytes() - empty) / n_links, 1)}
    one = service.start()
    harness.wait_for(lambda: one.metric("shortener_cache_entries ") >= n_links, 600, "the cache to be warm")
    found["cache_bytes_a_link"] = round(one.metric("shortener_cache_bytes ") / n_links, 1)
    found["resident_mib"] = round(one.metric("process_resident_memory_bytes ") / 2**20, 1)
    before, cpu, shipper = store.visit_bytes(), store.cpu(), thread_cpu(one.process.pid, "shipper")
    visit(one, codes, n_visits)
    harness.wait_for(lambda: one.metric("shortener_clicks_pending ") == 0, 600, "visits to be shipped")
    assert one.metric("shortener_clicks_appended_total ") == n_visits
    found["visits"] = n_visits
    found["shipper_cpu_us_a_visit"] = round(1e6 * (thread_cpu(one.process.pid, "shipper") - shipper) / n_visits, 1)
    used = sum(seconds - cpu.get(pid, 0.0) for pid, seconds in store.cpu().items())
    found["store_cpu_us_a_visit"] = round(1e6 * used / n_visits, 1)
    found["spool_bytes_a_visit"] = round(one.metric("shortener_spool_bytes_total ") / n_visits, 1)
    found["store_bytes_a_visit"] = round((store.visit_bytes() - before) / n_visits, 1)
    one.stop()
    service.ctl("clicks", "verify", timeout=3600)
    return found


def run(options):
    servers = []
    try:
        for name in [options.store] if options.store else ["sqlite", "postgres"]:
            if name == "postgres":
                servers.append(postgres.Postgres(settings={"max_wal_size": "4GB", "autovacuum": "off"}))
            for n_links in options.links:
                with harness.Service(options=[CACHE], warm_up=True) as service:
                    if name == "postgres":
                        service.url = servers[0].create(f"growth{n_links}")
                        store = Postgres(servers[0], f"growth{n_links}")
                    else:
                        service.ctl("db", "init")
                        store = Sqlite(service)
                    yield grow(service, store, n_links, options.visits)
    finally:
        for server in servers:
            server.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--links", type=lambda text: [int(word) for word in text.split(",")], default=[1000, 10000, 100000])
    parser.add_argument("--visits", type=int, default=50000)
    parser.add_argument("--store", choices=["sqlite", "postgres"])
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = []
    for row in run(options):
        rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
