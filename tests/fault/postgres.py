#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A PostgreSQL server freezes, dies, fails over, is restored from a backup: cached redirects go on, what
needs the server is answered within a second, no answered visit is lost and none is stored twice."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pgfaults
import postgres

FROZEN = 60 if faults.LONG else 4   # seconds
KILLS = 100 if faults.LONG else 4
CUTS = 100 if faults.LONG else 12
PAIRS = 5 if faults.LONG else 1     # calm and broken runs, measured in turn
LIMIT = 1.0 * harness.SLOW          # seconds for what needs the store
TAIL = 0.001 if faults.LONG else 0.05  # seconds on top: the short form runs beside other tests


class Base(unittest.TestCase):
    def start(self, n=1, url=None, options=()):
        self.service = pgfaults.Service(self.server, options, url)
        self.addCleanup(self.service.close)
        self.instances = [self.service.start(str(i + 1)) for i in range(n)]
        self.one = self.instances[0]
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.get("/ready").status == 200, 20, "ready")
            harness.wait_for(lambda i=instance: i.metric("shortener_watcher_up ") == 1, 20, "a watcher that hears")
        self.codes = faults.make_links(self.one)
        for instance in self.instances:
            for code in self.codes:
                self.assertEqual(instance.request("HEAD", "/" + code).status, 302)

    def serve(self, **settings):
        self.server = postgres.Postgres(settings=settings)
        self.addCleanup(self.server.close)
        self.server.create(pgfaults.NAME)

    def load(self, **options):
        options = {"connections": 4, "pause": 0.002, "writers": 1, "write_pause": 0.01, **options}
        return faults.Load(self.instances, self.codes, **options)

    def is_back(self):
        """And what is cached has been read again since: until then it is not known to be true."""
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.get("/ready").status == 200, 30, "the store to be back")
            harness.wait_for(lambda i=instance: i.metric("shortener_watcher_up ") == 1 and all(
                i.request("HEAD", "/" + code).headers["X-Cache"] == "HIT" for code in self.codes), 30, "a warm cache")

    def check(self, load, name, since=None):
        """Everything that was answered is there, once; of writes: what was answered after `since`."""
        faults.wait_shipped(*self.instances, seconds=120)
        for instance in self.instances:
            self.assertEqual(instance.stop(), 0)
        audit = pgfaults.Audit(self.service)
        answered = [pair for one in load for pair in one.answered()]
        print(f"{name}: {len(answered)} visits and {sum(one.n_written for one in load)} links answered, "
              f"{len(audit.lost(answered))} lost, {len(audit.doubled)} doubled", flush=True)
        audit.check_nothing_lost(self, answered)
        for one in load:
            audit.check_writes(self, one, since=since)
        return audit


class Frozen(Base):
    def tail(self, seconds):
        end = time.monotonic() + seconds
        return pgfaults.tail(self, self.one, self.codes, lambda: time.monotonic() < end)

    def others(self, ended, found):
        """What needs the store, again and again: (status, seconds)."""
        while not ended.is_set():
            for method, path, body in (("GET", "/users", None), ("POST", "/urls", {"url": "https://example.com/n"}),
                                       ("GET", "/unknown1", None), ("GET", "/urls/1/stats", None)):
                start = time.monotonic()
                status = self.one.request(method, path, body).status
                found.append((status, time.monotonic() - start))

    def test_frozen(self):
        self.serve()
        # More than one: what the first to hear again finds out must not leave the others without answers.
        self.start(3)
        load, found, pairs = self.load(connections=3, writers=0, pause=0.01).start(), [], []
        for _ in range(PAIRS):
            calm = self.tail(3)
            ended = threading.Event()
            self.server.freeze()
            thread = threading.Thread(target=self.others, args=(ended, found))
            thread.start()
            try:
                pairs.append((calm, self.tail(FROZEN / PAIRS)))
                self.assertEqual(self.one.get("/health").json["database"], "disconnected")
            finally:
                ended.set()
                thread.join()
                self.server.thaw()
            self.is_back()
        load.stop()
        pairs.sort(key=lambda pair: pair[1] / pair[0])
        calm, frozen = pairs[len(pairs) // 2]
        longest = max(f[1] for f in found)
        print(f"frozen: p99 {faults.milliseconds(calm)} then {faults.milliseconds(frozen)}, {len(found)} others, "
              f"longest {faults.milliseconds(longest)}, {sorted({f[0] for f in found})}", flush=True)
        self.check([load], "frozen")
        self.assertEqual({f[0] for f in found}, {503})
        self.assertLess(longest, LIMIT + 0.1)
        self.assertLess(frozen, 1.5 * calm + TAIL * harness.SLOW)
        self.assertEqual(set(load.statuses()), {302})


class Killed(Base):
    def shipper(self):
        """The pid of the backend that ships now; None: none is at it."""
        pid = self.server.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND"
                               " query ILIKE 'copy%' ORDER BY state = 'active' DESC LIMIT 1", check=False)
        return int(pid) if pid.isdigit() else None

    def losses(self):
        return [i.metric("shortener_watcher_losses_total ") for i in self.instances]

    def run_kills(self, name, kill, n=1):
        self.start(n)
        load = self.load().start()
        for _ in range(KILLS):
            at, losses = load.n_answered, self.losses()
            harness.wait_for(lambda at=at: load.n_answered > at + 50, 30, "traffic")
            kill()
            # A server that comes back and dies before a link was read again takes that link along: it
            # may have changed meanwhile. So the next kill waits until this one was noticed and is over.
            harness.wait_for(lambda old=losses: all(a > b for a, b in zip(self.losses(), old)), 30, "the loss")
            self.is_back()
        load.stop()
        self.assertEqual(set(load.statuses()), {302})
        self.check([load], f"{KILLS} times {name}")

    def test_backend(self):
        """kill -9 of a backend makes the postmaster restart all of them."""
        self.serve()

        def killed():
            with contextlib.suppress(ProcessLookupError, TypeError):  # gone, or none ships
                os.kill(self.shipper(), signal.SIGKILL)
                return True

        def kill():
            harness.wait_for(killed, 30, "a backend that ships", pause=0.001)
        # More than one: what the first to come back finds out must not leave the others without answers.
        self.run_kills("kill -9 of the shipping backend", kill, 3)

    def test_postmaster(self):
        self.serve()

        def kill():
            harness.wait_for(self.shipper, 30, "a backend that ships", pause=0.001)
            self.server.kill()
            self.server.start()
        self.run_kills("kill -9 of the postmaster", kill)


class ByHand(Base):
    """What nobody but psql would write."""

    def test_rows_that_are_no_links(self):
        self.serve(default_transaction_isolation="serializable", synchronous_commit="off")
        self.start(2)
        for number, code, target in ((900001, "long1", "http://a.example/" + "a" * 7000), (-5, "negative1", "http://a.example"),
                                     (1 << 62, "huge1", "http://a.example"), (-1, "blocked1", "http://a.example"),
                                     (900002, "c" * 70, "http://a.example")):
            self.server.psql("INSERT INTO urls (id, code, target, is_active, created, updated) VALUES"
                             f" ({number}, '{code}', '{target}', true, 1, 1)", pgfaults.NAME)
            for instance in self.instances:
                self.assertIn(instance.get("/" + code).status, (302, 404), code)
        for instance in self.instances:  # and while it warms up
            self.assertEqual(instance.stop(), 0)
            instance.start()
            harness.wait_for(lambda i=instance: i.get("/ready").status == 200, 20, "ready")
        load = self.load(writers=4, write_pause=0).start()
        harness.wait_for(lambda: load.n_written > 50, 30, "writes")
        load.stop()
        self.assertEqual([f for w in load.writers for f in w.failures], [])
        faults.wait_shipped(*self.instances)
        for instance in self.instances:
            self.assertEqual(instance.metric("shortener_clicks_bad_total "), 0)
            self.assertEqual(instance.stop(), 0)


class Cut(Base):
    def test_cut_behind_commit(self):
        """COMMIT arrives, its answer does not: neither lost nor doubled."""
        self.serve()
        proxy = pgfaults.Proxy(self.server)
        self.addCleanup(proxy.close)
        self.start(url=proxy.url())
        load = self.load().start()
        proxy.cut_behind(b"COMMIT", 5)
        harness.wait_for(lambda: proxy.n_cut >= CUTS, 30 + 3 * CUTS, "connections to be cut")
        proxy.cut_behind(None, 0)
        self.is_back()
        load.stop()
        self.assertEqual(set(load.statuses()), {302})
        self.check([load], f"{proxy.n_cut} connections cut behind COMMIT")

    def test_zombie_that_holds_the_lock(self):
        """An instance is gone, its connection hangs in the network with the spool's lock: its successor
        ends that backend and ships."""
        self.serve()
        proxy = pgfaults.Proxy(self.server)
        self.addCleanup(proxy.close)
        self.start(url=proxy.url())
        load = self.load(writers=0).start()

        def holder():
            return self.server.psql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' LIMIT 1")

        def held():
            """Frozen while the lock is held: it stays so."""
            proxy.freeze()
            if holder():
                return True
            proxy.thaw()
            return False
        harness.wait_for(held, 60, "a shipper that holds its lock", pause=0.003)
        zombie = holder()
        load.stop()
        self.one.kill()
        self.service.url = self.server.url(pgfaults.NAME)  # past the frozen proxy
        self.one.start()
        start = time.monotonic()
        faults.wait_shipped(self.one)
        took = time.monotonic() - start
        self.assertEqual(self.server.psql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {zombie}"), "0")
        print(f"zombie with the lock: {took:.1f} s until all is shipped", flush=True)
        self.check([load], "zombie")


class Restored(Base):
    def test_backup(self):
        """The database is restored as it was some time ago, its positions with it: what was shipped since
        then is shipped again."""
        self.serve()
        self.start(n=2)
        first = self.load().start()
        harness.wait_for(lambda: first.n_answered > 500, 30, "traffic")
        first.stop()
        faults.wait_shipped(*self.instances)
        path = os.path.join(self.server.folder, "backup")
        self.server.run(postgres.program("pg_dump"), "-h", self.server.folder, "-p", str(self.server.port), "-U",
                        "postgres", "-Fc", "-f", path, pgfaults.NAME)
        second = self.load(writers=0).start()
        harness.wait_for(lambda: second.n_answered > 500, 30, "traffic")
        second.stop()
        faults.wait_shipped(*self.instances)
        self.server.psql(f'DROP DATABASE "{pgfaults.NAME}" WITH (FORCE); CREATE DATABASE "{pgfaults.NAME}"')
        self.server.run(postgres.program("pg_restore"), "-h", self.server.folder, "-p", str(self.server.port), "-U",
                        "postgres", "-d", pgfaults.NAME, path)
        self.is_back()

        def whole():
            audit = pgfaults.Audit(self.service)
            return not audit.lost(second.answered())
        # No visit comes whose position would tell.
        harness.wait_for(whole, 60, "the gap to be shipped again", pause=0.5)
        third = self.load().start()
        harness.wait_for(lambda: third.n_answered > 200, 30, "traffic")
        third.stop()
        self.check([first, second, third], "restored from a backup")

    def test_one_that_is_gone(self):
        """Its visits were shipped, by itself or by its neighbour, and nobody looks into its folder any more: who
        restores has it adopted."""
        self.serve()
        self.start(n=3)
        options = ("-h", self.server.folder, "-p", str(self.server.port), "-U", "postgres")
        path = os.path.join(self.server.folder, "backup")
        self.server.run(postgres.program("pg_dump"), *options, "-Fc", "-f", path, pgfaults.NAME)
        load = self.load(writers=0, connections=6).start()
        harness.wait_for(lambda: load.n_answered > 500, 30, "traffic")
        load.stop()
        _, killed, stopped = self.instances
        killed.kill()
        self.assertEqual(stopped.stop(), 0)
        self.instances = self.instances[:1]
        harness.wait_for(lambda: not pgfaults.Audit(self.service).lost(load.answered()), 30, "the neighbour to ship", pause=0.5)
        self.server.psql(f'DROP DATABASE "{pgfaults.NAME}" WITH (FORCE); CREATE DATABASE "{pgfaults.NAME}"')
        self.server.run(postgres.program("pg_restore"), *options, "-d", pgfaults.NAME, path)
        self.is_back()
        for gone in (killed, stopped, stopped):  # twice does no harm
            self.service.ctl("clicks", "adopt", gone.spool)
        harness.wait_for(lambda: not pgfaults.Audit(self.service).lost(load.answered()), 60, "what the other had shipped",
                         pause=0.5)
        self.check([load], "restored, and two of three instances gone")

    def test_into_the_database_that_is_used(self):
        """pg_restore --clean ends no connection, and no trigger fires: who ships finds out that the store knows less
        than it did."""
        self.serve()
        self.start(n=2)
        options = ("-h", self.server.folder, "-p", str(self.server.port), "-U", "postgres")
        path = os.path.join(self.server.folder, "backup")
        url = self.one.create("https://example.com/backup")
        link = "/" + url["short_code"]
        self.server.run(postgres.program("pg_dump"), *options, "-Fc", "-f", path, pgfaults.NAME)
        self.assertEqual(self.one.put(f"/urls/{url['id']}", {"url": "https://example.com/later"}).status, 200)
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.get(link).headers["X-Cache"] == "HIT", 5, "a hit")
        faults.wait_shipped(*self.instances)
        losses = [i.metric("shortener_watcher_losses_total ") for i in self.instances]
        subprocess.run([postgres.program("pg_restore"), *options, "--clean", "--if-exists", "-d", pgfaults.NAME, path],
                       capture_output=True, check=False)  # it cannot drop what partitions inherit, and goes on
        load = self.load(writers=0).start()
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.get(link).headers.get("Location") == "https://example.com/backup", 10,
                             "the target of the backup")
        load.stop()
        self.assertEqual([i.metric("shortener_watcher_losses_total ") for i in self.instances], losses)
        self.assertLessEqual(set(load.statuses()), {302, 503})
        self.check([load], "restored into the database that is used")


class Failover(Base):
    def serve_two(self, n=1, options=()):
        """A primary and its standby, both in the instances' URL."""
        self.serve(wal_level="replica", max_wal_senders=4, hot_standby="on", wal_log_hints="on")
        standby = postgres.Postgres(standby_of=self.server, settings={"port": self.server.port})
        self.addCleanup(standby.close)
        primary = self.server
        url = (f"postgresql:///{pgfaults.NAME}?host={primary.folder},{standby.folder}&port={primary.port}"
               "&user=postgres&target_session_attrs=read-write")
        self.start(n, url=url, options=options)
        return primary, standby

    def promote(self, standby):
        standby.run(postgres.program("pg_ctl"), "promote", "-w", "-D", standby.data)
        self.server = self.service.server = standby

    def run_thawed(self, name, first):
        """The old primary is not dead: it was frozen, and goes on where it stood, with the sessions that it
        had. first: what happens between the promotion and that."""
        primary, standby = self.serve_two(2)
        load = self.load(writers=4, write_pause=0.002).start()
        harness.wait_for(lambda: load.n_answered > 300 and load.n_written > 50, 30, "traffic")
        primary.freeze()
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.get("/health").json["database"] == "disconnected", 30, "the loss")
        self.promote(standby)
        promoted = time.time()
        first(load)
        primary.thaw()
        self.is_back()
        written, at = load.n_written, load.n_answered
        harness.wait_for(lambda: load.n_answered > at + 300 and load.n_written > written + 50, 60, "traffic")
        load.stop()
        # Heard again and lost once more before a link was read anew: it may have changed, see run_kills().
        self.assertLessEqual(set(load.statuses()), {302, 503})
        print(f"{name}: {load.statuses().get(503, 0)} redirects answered with 503", flush=True)
        self.check([load], name, since=promoted)
        late = [link for writer in load.writers for link, when in writer.times.items() if when > promoted]
        self.assertGreater(len(late), 50)

    def test_thawed_at_once(self):
        self.run_thawed("the old primary goes on as soon as the other is promoted", lambda load: None)

    def test_thawed_later(self):
        def traffic(load):
            self.is_back()
            at = load.n_written
            harness.wait_for(lambda: load.n_written > at + 50, 60, "writes")
        self.run_thawed("the old primary goes on later", traffic)

    def create(self):
        return self.one.request("POST", "/urls", {"url": "https://example.com/"})

    def test_a_silent_standby(self):
        """A new connection waits for it, but not for long."""
        _, standby = self.serve_two()
        standby.freeze()
        self.addCleanup(standby.thaw)
        for _ in range(5):
            self.one.restart()
            statuses = [status for _ in range(5) for status in (self.one.get("/users").status, self.create().status)]
            if statuses == [200, 201] * 5 or (self.one.metric("shortener_watcher_losses_total ") == 0
                                              and self.one.metric("shortener_watcher_up ") == 1):
                break
            self.assertLessEqual(set(statuses), {200, 201, 503})  # the primary was not heard either
        self.assertEqual(statuses, [200, 201] * 5)

    def test_the_new_primary_is_full(self):
        """So it cannot say that it was promoted: nothing is written to the old one meanwhile."""
        primary, standby = self.serve_two()
        primary.freeze()
        harness.wait_for(lambda: self.one.get("/health").json["database"] == "disconnected", 30, "the loss")
        crowd = pgfaults.fill(standby)
        self.promote(standby)
        primary.thaw()
        harness.wait_for(lambda: "no connection left" in self.one.log() or "too many clients" in self.one.log(), 30, "a refusal")
        end, answers = time.monotonic() + 4, []
        while time.monotonic() < end:
            answers.append(self.create())
        for sock in crowd:
            sock.close()
        self.is_back()
        answers.append(self.create())
        self.assertEqual(answers[-1].status, 201)
        codes = [answer.json["short_code"] for answer in answers if answer.status == 201]
        found = standby.psql("SELECT count(*) FROM urls WHERE code IN ('" + "', '".join(codes) + "')", pgfaults.NAME)
        self.assertEqual(int(found), len(codes))

    def run_wrong_one(self, away, back):
        """The new primary says nothing while the old one goes on, which is believed then: until it does."""
        primary, standby = self.serve_two(options=["Server.Workers=1"])
        primary.freeze()
        harness.wait_for(lambda: self.one.get("/health").json["database"] == "disconnected", 30, "the loss")
        # Nobody must see it promoted before it is away: then the old one would not be believed, rightly.
        os.unlink(os.path.join(standby.folder, f".s.PGSQL.{standby.port}"))
        self.promote(standby)
        away(standby)
        primary.thaw()
        # Each thread has its connection, so that none asks the hosts because it needs one.
        harness.wait_for(lambda: self.create().status == 201, 30, "the old primary")
        self.is_back()
        self.assertEqual(self.one.get("/" + self.codes[0]).status, 302)
        faults.wait_shipped(self.one)
        self.assertEqual(self.one.get("/notHere").status, 404)
        back(standby)
        start = time.monotonic()

        def is_there():
            answer = self.create()
            return answer.status == 201 and int(standby.psql(
                f"SELECT count(*) FROM urls WHERE code = '{answer.json['short_code']}'", pgfaults.NAME))
        harness.wait_for(is_there, 10, "a link on the new primary")
        print(f"the new primary was found after {time.monotonic() - start:.1f} s", flush=True)
        links = [self.create() for _ in range(50)]
        self.assertEqual({link.status for link in links}, {201})
        codes = "', '".join(link.json["short_code"] for link in links)
        self.assertEqual(standby.psql(f"SELECT count(*) FROM urls WHERE code IN ('{codes}')", pgfaults.NAME), "50")

    def test_the_new_primary_is_down(self):
        self.run_wrong_one(lambda standby: standby.stop(), lambda standby: standby.start())

    def test_the_new_primary_is_starting(self):
        """57P03, for longer than the old one needs to go on."""
        def away(standby):
            standby.stop()
            with open(os.path.join(standby.data, "postgresql.auto.conf"), "a") as file:
                file.write("restore_command = 'sleep 60'\n")
            with open(os.path.join(standby.data, "recovery.signal"), "w"):
                pass
            standby.start(wait=False)
            harness.wait_for(lambda: "starting up" in self.said(standby), 30, "57P03")

        def back(standby):
            self.assertIn("starting up", self.said(standby))
            standby.stop(signal.SIGQUIT)
            os.unlink(os.path.join(standby.data, "recovery.signal"))
            standby.start()
        self.run_wrong_one(away, back)

    def said(self, server):
        """How it answers a new connection."""
        return subprocess.run([postgres.program("psql"), "-X", "-h", server.folder, "-p",
                               str(server.port), "-U", "postgres", "-c", "SELECT 1"], capture_output=True, text=True,
                              check=False, timeout=60).stderr

    def test_promoted_and_the_old_primary_comes_back(self):
        primary, standby = self.serve_two()
        load = self.load(writers=0).start()
        harness.wait_for(lambda: load.n_answered > 300, 30, "traffic")
        primary.kill()
        self.promote(standby)
        self.is_back()
        at = load.n_answered
        harness.wait_for(lambda: load.n_answered > at + 300, 30, "traffic")
        primary.start()  # on its old timeline, and it takes writes
        at = load.n_answered
        harness.wait_for(lambda: load.n_answered > at + 300, 30, "traffic")
        for instance in self.instances:
            instance.restart()  # connects anew: the first host in the list is the old primary
        self.is_back()
        harness.wait_for(lambda: load.n_answered > at + 600, 30, "traffic")
        load.stop()
        self.check([load], "promoted, and the old primary is back")


if __name__ == "__main__":
    harness.main()
