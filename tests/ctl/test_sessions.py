#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The sessions that instances keep with PostgreSQL: how many there are, what the metric says, and what
doctor makes of the connections that the server takes; and databases and servers that do not want us."""

import json
import os
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import postgres

ROOM = 17  # connections that the server takes of ordinary roles
WORKERS = 2
EACH = WORKERS + 6  # as shortener.conf(5) says
FORM = "multipart/form-data; boundary=x"
USERS = (b'--x\r\nContent-Disposition: form-data; name="file"; filename="users.csv"\r\n\r\n'
         b"username,email\nbob,bob@example.com\n\r\n--x--\r\n")


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres(settings={"max_connections": ROOM + 3})
        cls.addClassCleanup(cls.server.close)
        cls.service = harness.Service([f"Server.Workers={WORKERS}"], warm_up=True)
        cls.addClassCleanup(cls.service.close)
        cls.service.url = cls.server.create("sessions")
        cls.service.ctl("user", "add", "alice", "alice@example.com")
        cls.one = cls.service.start()

    def connections(self):
        return int(self.server.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'sessions'"
                                    " AND application_name = 'shortener'"))

    def doctor(self, *words):
        done = self.service.ctl("doctor", "--json", f"--set=Server.Workers={WORKERS}", *words, check=False)
        parts = {part["part"]: part for part in json.loads(done.stdout)}
        return done.returncode, parts["sessions"]

    def all_at_work(self):
        """Each thread that has a session has used it."""
        threads = [threading.Thread(target=self.one.get, args=("/users",)) for _ in range(4 * WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.one.get("/nothing-of-this-name")
        return self.connections() == WORKERS + 4

    def test_the_metric_counts_what_the_server_has(self):
        answer = self.one.post("/users/bulk", USERS, headers={"Content-Type": FORM})
        self.assertIn(answer.status, (200, 201), answer.body)
        # Importer, resolver, shipper, watcher; the warm-up's is gone when it is done.
        harness.wait_for(self.all_at_work, 30, "each thread to have its session, and no more")
        self.assertEqual(self.one.metric("shortener_store_sessions "), WORKERS + 4)
        self.assertLessEqual(WORKERS + 4, EACH)

    def test_enough_room(self):
        status, part = self.doctor()
        self.assertEqual((status, part["up"]), (0, True), part)
        self.assertIn(f"1 instances may need {EACH + 1} of {ROOM} connections", part["text"])
        self.assertEqual(self.doctor("--instances=2")[0], 0)  # 2 * 8 + 1 = 17

    def test_too_many_instances(self):
        status, part = self.doctor("--instances=3")
        self.assertEqual((status, part["up"]), (1, False))
        self.assertIn(f"3 instances may need {3 * EACH + 1} connections, the server takes {ROOM} of us: "
                      "raise max_connections", part["text"])
        done = self.service.ctl("doctor", "--instances=many", check=False)
        self.assertEqual(done.returncode, 2)

    def test_a_limit_of_the_database(self):
        self.server.psql(f"ALTER DATABASE sessions CONNECTION LIMIT {EACH}")
        self.addCleanup(self.server.psql, "ALTER DATABASE sessions CONNECTION LIMIT -1")
        status, part = self.doctor()
        self.assertEqual((status, part["up"]), (1, False))
        self.assertIn(f"the server takes {EACH} of us: raise the CONNECTION LIMIT", part["text"])

    def test_all_are_in_use(self):
        def fill():
            """Up to those that only a superuser gets."""
            n = int(self.server.psql("SELECT sum(numbackends) FROM pg_stat_database")) - 1  # not this one
            if n < ROOM:
                sleepers.append(subprocess.Popen(
                    [postgres.program("psql"), "-X", "-h", self.server.folder, "-U", "postgres", "-c",
                     "SELECT pg_sleep(600)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            return n >= ROOM

        sleepers = []
        try:
            harness.wait_for(fill, 30, "all connections to be in use")
            status, part = self.doctor()
            self.assertEqual((status, part["up"]), (1, False))
            self.assertIn(f"all {ROOM} connections that the server takes are in use", part["text"])
        finally:
            self.server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                             " WHERE query = 'SELECT pg_sleep(600)'")
            for sleeper in sleepers:
                sleeper.wait()


class TooFew(unittest.TestCase):
    """The server has no connection for some of the workers."""
    WORKERS = 4
    OTHERS = 3  # resolver, shipper, watcher
    N_CALLS = 200

    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.close)
        cls.server.psql("CREATE ROLE few LOGIN; CREATE DATABASE few OWNER few")
        cls.service = harness.Service([f"Server.Workers={cls.WORKERS}"])
        cls.addClassCleanup(cls.service.close)
        cls.service.url = cls.server.url("few", user="few")
        cls.service.ctl("db", "migrate")

    def connections(self):
        return int(self.server.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'few'"))

    def all_at_work(self, one, statuses):
        """Calls by more clients than there are workers."""
        def calls():
            for _ in range(self.N_CALLS // 20):
                statuses.append(one.get("/users").status)

        threads = [threading.Thread(target=calls) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def refused(self, one):
        self.all_at_work(one, [])
        return one.metric("shortener_store_sessions_refused ")

    def test_workers_without_a_connection_leave_calls_to_the_others(self):
        one = self.service.start()
        one.get("/nothing-of-this-name")
        harness.wait_for(lambda: self.connections() == self.OTHERS, 30, "the sessions of its own threads")
        self.server.psql(f"ALTER ROLE few CONNECTION LIMIT {self.OTHERS + 1}")
        # The first one knows by being refused; from then on nobody waits in vain.
        harness.wait_for(lambda: self.refused(one) >= 1, 30, "a worker to be without a connection")
        statuses = []
        self.all_at_work(one, statuses)
        self.assertEqual(statuses, [200] * self.N_CALLS)
        self.assertEqual(one.metric("shortener_store_up "), 1)
        self.assertEqual(one.metric("shortener_store_circuit_open "), 0)
        self.assertEqual(self.connections(), self.OTHERS + 1)
        harness.wait_for(lambda: "has no connection left for" in one.log(), 10, "the log to say so")
        self.assertNotIn("store is away", one.log())

        self.server.psql("ALTER ROLE few CONNECTION LIMIT -1")
        harness.wait_for(lambda: self.refused(one) == 0, 30, "all to have their connections")
        harness.wait_for(lambda: "all sessions have their connections" in one.log(), 10, "the log to say so")
        one.stop()


class Refused(unittest.TestCase):
    """What the journal says of a server that is there and does not take the visits."""

    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.close)
        cls.server.psql("CREATE ROLE clerk LOGIN; CREATE DATABASE refused OWNER clerk")
        cls.service = harness.Service()
        cls.addClassCleanup(cls.service.close)
        cls.service.url = cls.server.url("refused", user="clerk")
        cls.service.ctl("db", "migrate")
        cls.service.ctl("user", "add", "alice", "alice@example.com")
        cls.one = cls.service.start()
        cls.code = cls.one.create()["short_code"]

    def said(self, text):
        return sum(text in line for line in self.one.log().splitlines())

    def visit(self):
        self.assertEqual(self.one.get("/" + self.code).status, 302)

    def case(self, before, expected, after):
        """Something is taken away, a visit waits, it is given back."""
        self.visit()  # is cached, whatever comes
        shipped = self.one.metric("shortener_clicks_shipped_total ")
        again = self.said("visits are shipped again")
        self.server.psql(before, "refused")
        self.visit()
        harness.wait_for(lambda: self.said(expected), 30, f"the log to say {expected}")
        lines = [line for line in self.one.log().splitlines() if "visits wait in the spool" in line]
        self.assertEqual(self.said(expected), 1, lines)
        self.server.psql(after, "refused")
        harness.wait_for(lambda: self.said("visits are shipped again") == again + 1, 30, "shipping to go on")
        harness.wait_for(lambda: self.one.metric("shortener_clicks_shipped_total ") > shipped, 30, "the visit")

    def test_1_permission(self):
        self.case("ALTER TABLE spool_offset OWNER TO postgres",
                  "permission denied for table spool_offset (42501): GRANT it",
                  "ALTER TABLE spool_offset OWNER TO clerk")

    def test_2_login(self):
        self.case("ALTER ROLE clerk NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE usename = 'clerk'", 'role "clerk" is not permitted to log in: see pg_hba.conf',
                  "ALTER ROLE clerk LOGIN")

    def test_3_database(self):
        self.case("ALTER DATABASE refused CONNECTION LIMIT 0; SELECT pg_terminate_backend(pid) FROM"
                  " pg_stat_activity WHERE usename = 'clerk'",
                  'too many connections for database "refused": raise max_connections',
                  "ALTER DATABASE refused CONNECTION LIMIT -1")


class Encoding(unittest.TestCase):
    """Only UTF8 keeps what links and titles are made of."""

    def test_others_are_refused(self):
        with postgres.Postgres() as server:
            for encoding in "LATIN1", "SQL_ASCII":
                with self.subTest(encoding), harness.Service() as service:
                    name = encoding.lower()
                    server.psql(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
                    service.url = server.url(name)
                    expected = f"encoding is {encoding}, not UTF8: make one with CREATE DATABASE"
                    for verb in "init", "migrate", "status":
                        done = service.ctl("db", verb, check=False)
                        self.assertEqual(done.returncode, 78, done)
                        self.assertIn(expected, done.stderr)
                    self.assertEqual(server.psql("SELECT to_regclass('urls') IS NULL", name), "t")
                    one = service.instance("1")
                    one.start(wait=False)
                    self.assertEqual(one.process.wait(30), 78)
                    self.assertIn(expected, one.log())


if __name__ == "__main__":
    harness.main()
