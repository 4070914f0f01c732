#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/chaos without a system: lists, dry runs and refusals touch nothing; what was broken is ended
however an experiment ends; figures and verdicts of requests that are made up."""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from collections import namedtuple
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import chaos
import experiments
import lab
import measure
from machine import wait_for
from traffic import VISITORS, Request, Traffic

NAMES = ["kill-instance", "kill-redis", "freeze-postgres", "fill-disk", "overload", "kill-all"]
# What a run would use; those of the test write down that they were called.
PROGRAMS = ("systemctl", "systemd-run", "systemd-nspawn", "nsenter", "unshare", "curl", "fallocate", "mmdebstrap", "apt-get", "dpkg-buildpackage")


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log"
        self.log.write_text("", encoding="utf-8")
        for name in PROGRAMS:
            path = self.folder / name
            path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n', encoding="utf-8")
            path.chmod(0o755)

    def run_it(self, *arguments):
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        done = subprocess.run([ROOT / "script/chaos", *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(self.log.read_text(encoding="utf-8"), "", "something was run")
        return done

    def test_list(self):
        done = self.run_it("--list")
        self.assertEqual((done.returncode, done.stdout.split()), (0, NAMES))

    def test_list_of_some(self):
        self.assertEqual(self.run_it("--list", "overload", "kill-redis").stdout.split(), ["overload", "kill-redis"])

    def test_help_names_each(self):
        done = self.run_it("--help")
        self.assertEqual(done.returncode, 0)
        for name in NAMES:
            self.assertRegex(done.stdout, rf"(?m)^  {name} ")

    def test_dry_run_says_what_it_would_do(self):
        done = self.run_it("--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = " ".join(done.stdout.split())
        for one in experiments.EXPERIMENTS:
            for what in filter(None, (one.hypothesis, one.cause, one.end)):
                self.assertIn(" ".join(what.split()), text)

    def test_dry_run_of_one(self):
        done = self.run_it("--dry-run", "freeze-postgres", "--hold", "42")
        self.assertIn("after 42 s", done.stdout)
        self.assertNotIn("kill-all", done.stdout)

    def test_unknown_experiment(self):
        done = self.run_it("--dry-run", "kill-everybody")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no such experiment: kill-everybody; there are " + " ".join(NAMES), done.stderr)

    def test_this_host_is_not_broken_by_mistake(self):
        done = self.run_it("--here", "kill-all")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"this breaks {os.uname().nodename}, on which you are", done.stderr)
        self.assertIn("--yes" if os.getuid() == 0 else "as root", done.stderr)


class FakeMachine:
    """Remembers what it was told; a command that contains `fails` fails."""

    def __init__(self, fails=None):
        self.said = []
        self.fails = fails

    def run(self, command, check=True, **_):
        text = command if isinstance(command, str) else " ".join(command)
        self.said.append(text)
        if check and self.fails and self.fails in text and not text.startswith("systemd-run"):
            raise lab.Failed(text)
        return subprocess.CompletedProcess(command, 0, "", "")


class FakeTraffic:
    def __init__(self, error=None):
        self.error = error

    def go_on(self, _seconds):
        if self.error:
            raise self.error


class Undo(unittest.TestCase):
    one = experiments.BY_NAME["freeze-postgres"]

    def hold(self, machine, error=None):
        lab.Lab(machine, say=lambda _: None).hold(self.one, FakeTraffic(error))

    def check_order(self, machine):
        """A timer first, then the cause, its end, and the timer is gone."""
        said = [text for text in machine.said if not text.startswith("systemctl stop chaos-undo")]
        self.assertEqual(said[1:], [self.one.cause, self.one.end])
        self.assertEqual(said[0], f"systemd-run --quiet --unit=chaos-undo --on-active=70 sh -c {self.one.end}")
        self.assertIn("systemctl stop chaos-undo.timer", machine.said[-1])

    def test_usual_end(self):
        machine = FakeMachine()
        self.hold(machine)
        self.check_order(machine)

    def test_interrupted(self):
        for error in (KeyboardInterrupt(), SystemExit(143), OSError("the load died")):
            machine = FakeMachine()
            with self.assertRaises(type(error)):
                self.hold(machine, error)
            self.check_order(machine)

    def test_cause_fails_half_way(self):
        machine = FakeMachine(fails=self.one.cause)
        with self.assertRaises(lab.Failed):
            self.hold(machine)
        self.check_order(machine)

    def test_each_cause_that_lasts_has_an_end(self):
        for one in experiments.EXPERIMENTS:
            if one.cause and one.lasts:
                self.assertTrue(one.end, one.name)
            self.assertTrue(one.cause or one.crowd, one.name)

    def test_what_does_not_recover_is_helped(self):
        machine = FakeMachine()
        one = lab.Lab(machine, say=lambda _: None)
        one.is_whole = lambda: lab.RESTORE in machine.said
        wait, lab.HELP = lab.HELP, 0.2
        try:
            self.assertTrue(one.recover()[1])
        finally:
            lab.HELP = wait
        one.is_whole = lambda: True
        self.assertFalse(one.recover()[1])


def get(start, end, status=302, name="x.1"):
    return Request(start, end, "get", status, name, "code")


def post(start, end, status=201, what="https://example.org/x.2 abc"):
    return Request(start, end, "post", status, "x.2", what)


def verify(next_seq=11, rows=10, shed=0, duplicates=0, sound=True):
    spool = {"first_seq": 1, "next_seq": next_seq, "rows": rows, "shed": shed, "bad": 0, "damaged": 0}
    return {"spools": [spool], "duplicates": duplicates, "sound": sound}


class Breaks:
    """A server that answers the first request of each connection and closes it upon the second."""

    def __init__(self):
        self.got = []  # ids
        self.lock = threading.Lock()
        self.sock = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=self.sock.accept()[:1], daemon=True).start()

    def request(self, sock):
        data = sock.recv(65536).decode()
        if data:
            with self.lock:
                self.got.append(re.search(r"X-Request-Id: (\S+)", data)[1])
        return data.startswith("POST")

    def serve(self, sock):
        with sock:
            is_post = self.request(sock)
            body = '{"short_code":"abc"}' if is_post else ""
            status = "201 Created" if is_post else "302 Found"
            sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            self.request(sock)


class Load(unittest.TestCase):
    def test_only_visits_are_sent_again(self):
        server = Breaks()
        self.addCleanup(server.sock.close)
        with tempfile.TemporaryDirectory() as folder:
            codes, out = Path(folder, "codes"), Path(folder, "out")
            codes.write_text("code", encoding="ascii")
            process = subprocess.Popen([sys.executable, VISITORS, "--visitors=2", "--writers=2", "--pause=0.001", "--tag=t",
                                        f"--codes={codes}", f"--port={server.sock.getsockname()[1]}", out], stdin=subprocess.PIPE)
            wait_for(lambda: len(server.got) > 100 or process.poll() is not None, 30, "100 requests")
            process.stdin.close()
            self.assertEqual(process.wait(30), 0)
            traffic = Traffic(namedtuple("Nowhere", "folder")(Path(folder)), [])
            traffic.requests = [Traffic.parse(line) for line in out.read_text(encoding="ascii").splitlines()]
        n = {r.id: server.got.count(r.id) for r in traffic.requests}
        self.assertEqual({(r.kind, r.status, n[r.id]) for r in traffic.requests},
                         {("get", 302, 1), ("get", 302, 2), ("post", 201, 1), ("post", 0, 1)})
        unknown = sum(r.status == 0 for r in traffic.requests)
        self.assertIn(f" {unknown} failed, of these {unknown} creates without an answer", traffic.summary())


class Measure(unittest.TestCase):
    times = measure.Times(begin=100.0, broke=105.0, over=110.0, whole=111.0, shipped=112.0)

    def test_recovery_ends_with_the_last_that_failed_or_was_slow(self):
        self.assertEqual(measure.recovery([get(101, 101.1)], self.times), 1.0)
        self.assertEqual(measure.recovery([get(112, 113, 502)], self.times), 3.0)
        self.assertEqual(measure.recovery([post(112, 114)], self.times), 4.0)
        self.assertEqual(measure.recovery([get(106, 107, 502)], self.times), 1.0, "before the cause ended")

    def test_outage(self):
        self.assertEqual(measure.outage([get(101, 102)]), 0.0)
        self.assertEqual(measure.outage([get(101, 102, 503), get(103, 105), post(106, 107, 0)]), 6.0)

    def test_statuses(self):
        requests = [get(1, 2), get(1, 2, 502), get(1, 2, 0), post(1, 2, 502), get(1, 2, 502)]
        self.assertEqual(measure.statuses(requests, "get"), {0: 1, 502: 2})
        self.assertEqual(measure.statuses(requests, "post"), {502: 1})

    def test_visits(self):
        requests = [get(1, 2, name="x.1"), get(1, 2, name="x.2"), get(1, 2, 503, "x.3")]
        self.assertEqual(measure.visits(requests, {"x.1": 3, "x.3": 1}), (1, 2))

    def test_links(self):
        good, lost = post(1, 2), post(1, 2, what="https://example.org/x.9 zzz")
        found = {"https://example.org/x.2": ["abc"], "https://example.org/x.7": ["a", "b"]}
        self.assertEqual(measure.links([good, lost], found), (1, 1))
        self.assertEqual(measure.links([good], {"https://example.org/x.2": ["other"]}), (1, 0))

    def test_of_verify(self):
        self.assertEqual(measure.of_verify(verify(), verify(21, 17, shed=1, duplicates=4, sound=False)),
                         {"lost": 2, "twice": 4, "shed": 1, "sound": False})  # fmt: skip

    def test_seconds(self):
        found = measure.seconds([get(100, 100.5), get(100, 101.25), post(101, 101.5, 503)], 100.0)
        self.assertEqual(found[0], {"second": 0, "get": 1, "get_failed": 0, "post": 0, "post_failed": 0, "longest_ms": 500.0})
        self.assertEqual(found[1], {"second": 1, "get": 1, "get_failed": 0, "post": 0, "post_failed": 1, "longest_ms": 1250.0})

    def figures(self, requests, rows=None, after=None):
        rows = {"x.1": 1} if rows is None else rows
        return measure.figures(requests, self.times, rows, {"https://example.org/x.2": ["abc"]}, measure.of_verify(verify(), after or verify()))

    def against(self, name, *requests, **options):
        found = self.figures([get(101, 101.1), post(101, 101.2), *requests], **options)
        return list(measure.refutations(experiments.BY_NAME[name], found))

    def test_nothing_speaks_against_it(self):
        for name in NAMES:
            self.assertEqual(self.against(name), [], name)

    def test_each_bound_refutes(self):
        again = {"x.1": 1 + experiments.CONNECTIONS + 1}
        for name, text, requests, options in (
            ("kill-instance", "1 visits failed", [get(106, 107, 502)], {}), ("kill-redis", "otherwise than expected: {502: 1}", [post(106, 107, 502)], {}),
            ("kill-redis", "the longest visit took 2500 ms", [get(106, 108.5)], {}), ("kill-redis", "the longest create took 3500 ms", [post(106, 109.5)], {}),
            ("kill-instance", "it took 20 s to recover", [post(129, 130, 502)], {}), ("kill-redis", "1 answered visits are not in the store", [], {"rows": {}}),
            ("fill-disk", "1 answered visits are not in the store", [], {"rows": {}}), ("kill-redis", "1 visits were shed", [], {"after": verify(12, 10, 1)}),
            ("kill-redis", "1 visits are there again", [], {"rows": {"x.1": 2}}), ("kill-all", "visits are there again", [], {"rows": again}),
            ("overload", "clicks verify: 1 lost", [], {"after": verify(12, 10)}), ("overload", "0 lost, 2 twice", [], {"after": verify(duplicates=2)}),
            ("overload", "links: 1 lost", [post(106, 107, what="https://example.org/x.5 abc")], {}),
        ):
            found = self.against(name, *requests, **options)
            self.assertEqual(len(found), 1, (name, text, found))
            self.assertIn(text, found[0])

    def test_what_is_counted_as_shed_is_allowed_where_the_disk_is_full(self):
        self.assertEqual(self.against("fill-disk", rows={}, after=verify(12, 10, 1)), [])


class Report(unittest.TestCase):
    def test_table_and_file(self):
        requests = [get(101, 101.25), post(106, 107, 503)]
        found = measure.figures(requests, Measure.times, {"x.1": 2}, {}, measure.of_verify(verify(), verify()))
        result = {"name": "kill-all", "holds": False, "against": ["because"], **found}
        with contextlib.redirect_stdout(io.StringIO()) as out:
            chaos.print_table([result])
        cells = out.getvalue().splitlines()[2].split()
        self.assertEqual(cells, "kill-all 2 0 1 250 ms 1000 ms 1.0 s 5.0 s 0 1 0 DOES NOT HOLD".split())
        self.assertIn("kill-all: because", out.getvalue())
        with tempfile.TemporaryDirectory() as folder:
            chaos.write(f"{folder}/new/chaos.json", [result], "nowhere")
            kept = json.loads(Path(folder, "new/chaos.json").read_text(encoding="utf-8"))
        self.assertEqual((kept["where"], kept["experiments"][0]["failed_post_by_status"]), ("nowhere", {"503": 1}))

    def test_hold_is_for_causes_that_are_ended(self):
        options = namedtuple("Options", "names hold")([], 3.0)
        lasts = {one.name: one.lasts for one in chaos.chosen(options)}
        self.assertEqual(lasts, {"kill-instance": 0, "kill-redis": 0, "freeze-postgres": 3, "fill-disk": 3, "overload": 3, "kill-all": 0})


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=1).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
