#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What many days of visits cost: PostgreSQL opens, locks and plans a partition for each.

usage: days.py [--days N,N...] [--rows N]

For each number of days a server and an instance with one worker; each request comes first on a session that
has just connected, and then once more. Then an import of events that bring no ids. One line for each; for
docs/capacity-plan.md. SHORTENER_BUILD: the build's folder.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import harness
import pgfaults
import postgres

PART = 60  # days in one transaction: each takes locks
AGAIN = 9  # requests on the warm session
REQUESTS = {
    "redirect, not cached": ("HEAD", "/{code}", None),
    "stats of a link": ("GET", "/urls/{id}/stats", None),
    "change of a link": ("PUT", "/urls/{id}", {"title": "t"}),
    "new event": ("POST", "/events", {"url_id": 1, "event_type": "seen"}),
    "events, newest": ("GET", "/events", None),
    "events of a link": ("GET", "/events?url_id={id}", None),
    "redirects of a user": ("GET", "/events?user_id=1&event_type=redirect", None),
}
MAKE = """DO $$
DECLARE
    today CONSTANT date = (now() AT TIME ZONE 'UTC')::date;
BEGIN
    FOR i IN {first}..{last} LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                       events_partition(today - i), today - i, today - i + 1);
        INSERT INTO events (url_id, user_id, timestamp, type, day)
            SELECT 1, 1, 1, 1 + n % 2, today - i FROM generate_series(1, 200) AS n;
    END LOOP;
END $$"""


def make_days(server, n):
    for first in range(1, n + 1, PART):
        server.psql(MAKE.format(first=first, last=min(first + PART - 1, n)), pgfaults.NAME)
    server.psql("ANALYZE", pgfaults.NAME)


def timed(instance, connection, what, fields):
    method, path, body = what
    start = time.perf_counter()
    answer = instance.request(method, path.format(**fields), body, connection=connection)
    assert answer.status in (200, 201, 302), answer
    return (time.perf_counter() - start) * 1000


def backend_memory(server):
    """MB of its own of the largest backend."""
    most = 0
    for pid in server.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'shortener'").split():
        with open(f"/proc/{pid}/smaps_rollup") as file:
            most = max(most, sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty")))
    return most / 1024


def measure(days, n_rows):
    with postgres.Postgres() as server:
        server.create(pgfaults.NAME)
        make_days(server, days)
        with pgfaults.Service(server, ["Server.Workers=1", "Store.Timeout=60s"]) as service:
            one = service.start()
            harness.wait_for(lambda: one.get("/ready").status == 200, 20, "ready")
            user = one.post("/users", {"username": "u", "email": "u@example.com"}).json["id"]
            link = one.create(user_id=user)
            for name, what in REQUESTS.items():
                one.restart()
                harness.wait_for(lambda: one.get("/ready").status == 200, 20, "ready")
                connection = one.connect()
                one.get("/users/1", connection=connection)
                fields = {"id": link["id"], "code": link["short_code"]}
                first = timed(one, connection, what, fields)
                again = statistics.median(timed(one, connection, what, fields) for _ in range(AGAIN))
                print(f"{days} days: {name}: first {first:.1f} ms, then {again:.1f} ms; "
                      f"largest backend {backend_memory(server):.0f} MB", flush=True)
                connection.close()
            with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
                file.write("url_id,user_id,event_type,timestamp,details\n")
                file.writelines(f"{link['id']},,seen,2025-01-01 09:00:00,\n" for _ in range(n_rows))
                file.flush()
                start = time.perf_counter()
                service.ctl("import", "--type=events", file.name, timeout=3600)
                print(f"{days} days: import of {n_rows} events without ids: {time.perf_counter() - start:.2f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", default="7,365", help="separated by commas (%(default)s)")
    parser.add_argument("--rows", type=int, default=5000, help="of the import (%(default)s)")
    given = parser.parse_args()
    for number in given.days.split(","):
        measure(int(number), given.rows)
