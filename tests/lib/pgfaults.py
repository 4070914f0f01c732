# SPDX-License-Identifier: MIT
"""Faults of a PostgreSQL store: a service on a server of the test's own, its audit, and a proxy that
cuts connections at a chosen message."""

import contextlib
import json
import os
import random
import select
import socket
import struct
import threading
import time

import faults
import harness
import postgres

NAME = "shortener"  # of the database


class Service(harness.Service):
    """Instances on a database of `server`; host: where they find it instead (a proxy's folder)."""

    def __init__(self, server, options=(), url=None, name=NAME):
        super().__init__(options)
        self.server = server
        self.name = name
        self.url = url or server.url(name)

    def rows(self, sql):
        """The rows of a query, as lists."""
        text = self.server.psql(f"SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM ({sql}) AS q", self.name)
        return [list(row.values()) for row in json.loads(text)]


def tail(test, instance, codes, goes_on):
    """p99 of cached redirects on one connection, paced, in seconds, while goes_on()."""
    connection, times = instance.connect(), []
    while goes_on():
        for _ in range(20):
            start = time.monotonic()
            answer = instance.request("HEAD", "/" + random.choice(codes), connection=connection)
            times.append(time.monotonic() - start)
            test.assertEqual((answer.status, answer.headers["X-Cache"]), (302, "HIT"))
            time.sleep(0.002)  # a rate, not a wait
    connection.close()
    return faults.percentile(times, 0.99)


def promoted_pair(test):
    """Two primaries with the same past, the old one and the one that was promoted; on one port, in folders of
    their own."""
    old = postgres.Postgres(settings={"wal_level": "replica", "max_wal_senders": 4, "hot_standby": "on"})
    test.addCleanup(old.close)
    old.create(NAME)
    new = postgres.Postgres(standby_of=old, settings={"port": old.port})
    test.addCleanup(new.close)
    new.run(postgres.program("pg_ctl"), "promote", "-w", "-D", new.data)
    return old, new


class Audit(faults.Audit):
    """The proof, over PostgreSQL's tables."""

    def load(self):
        rows = self.service.rows
        self.ids = [r[0] for r in rows("SELECT request_id FROM events WHERE type = 1 AND spool IS NOT NULL")]
        self.spools = rows("SELECT s.id, first_seq, next_seq, rows, shed, bad, damaged,"
                           " (SELECT count(*) FROM events e WHERE e.spool = s.id) AS n FROM spool_offset s")
        self.doubled = rows("SELECT spool, seq, count(*) FROM events WHERE spool IS NOT NULL"
                            " GROUP BY spool, seq HAVING count(*) > 1")
        self.drift = rows("SELECT u.id FROM urls u WHERE coalesce((SELECT redirects FROM url_totals t"
                          " WHERE t.url_id = u.id), 0) <>"
                          " (SELECT count(*) FROM events e WHERE e.url_id = u.id AND e.type = 1)")
        self.urls = {r[0]: r[1:] for r in rows("SELECT id, code, title, is_active FROM urls")}
        self.created = {r[0]: r[1] for r in rows("SELECT url_id, count(*) FROM events WHERE type = 2 GROUP BY url_id")}
        self.integrity = "ok"


class Proxy:
    """Listens on a Unix socket in a folder of its own, as a PostgreSQL server would, and passes all on.

    cut_behind(word, n): each n-th client message that holds the word is passed on, and then both
    sides of that connection are closed: its answer reaches nobody. freeze(): nothing is passed on any
    more, nothing is closed, and new connections wait."""

    def __init__(self, server):
        self.server = server
        self.folder = postgres.own_folder("shortener-proxy-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder, f".s.PGSQL.{server.port}"))
        os.chmod(os.path.join(self.folder, f".s.PGSQL.{server.port}"), 0o777)
        self.listener.listen(64)
        self.word, self.every, self.n_seen, self.n_cut = None, 0, 0, 0
        self.flowing = threading.Event()
        self.flowing.set()
        self.ended = False
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, name=NAME):
        return self.server.url(name, host=self.folder)

    def cut_behind(self, word, every):
        self.word, self.every = word, every

    def freeze(self):
        self.flowing.clear()

    def thaw(self):
        self.flowing.set()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def must_cut(self, data):
        word = self.word
        if word is None or word not in data:
            return False
        with self.lock:
            self.n_seen += 1
            if self.n_seen % self.every:
                return False
            self.n_cut += 1
            return True

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(os.path.join(self.server.folder, f".s.PGSQL.{self.server.port}"))
            other = {client: server, server: client}
            while True:
                for sock in select.select([client, server], [], [])[0]:
                    data = sock.recv(1 << 16)
                    self.flowing.wait()
                    if self.ended or not data:
                        return
                    other[sock].sendall(data)
                    if sock is client and self.must_cut(data):
                        return

    def close(self):
        self.ended = True
        self.thaw()
        self.listener.close()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, f".s.PGSQL.{self.server.port}"))
            os.rmdir(self.folder)


def fill(server):
    """Takes all connections that it has; gives the sockets."""
    sockets = []
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(os.path.join(server.folder, f".s.PGSQL.{server.port}"))
        start = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        sock.sendall(struct.pack("!i", len(start) + 4) + start)
        if sock.recv(1) == b"E":
            sock.close()
            return sockets
        sockets.append(sock)
