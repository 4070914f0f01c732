#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An import that is killed anywhere and resumed gives exactly the rows of its file."""

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time
import unittest
from collections import Counter

from shortenerctl import AGAIN, DONE, FAILED, SEED, TIMEOUT, USAGE, Case, environment, main

N_LINKS = 20
FEW_CODES = ["--set=Links.CodeLength=4"]  # some of 10,000 links find their code taken
LONG = "SHORTENER_TEST_LONG" in os.environ
SLOW = "SHORTENER_SANITIZED" in os.environ  # what a kill leaves does not depend on the build


def times(i):
    return f"2026-01-01 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}"


def users(n, with_ids=True):
    """Some of the rows are bad: line 12, and each 700th is a duplicate of the first."""
    lines = ["id,username,email,created_at" if with_ids else "username,email,created_at"]
    for i in range(1, n + 1):
        name = "user1" if i % 700 == 0 else "" if i == 11 else f"user{i}"
        lines.append(f"{f'{i},' if with_ids else ''}{name},user{i}@example.com,{times(i)}")
    return "\n".join(lines) + "\n"


def links(n, title="T", bad=range(0)):
    """Without ids and codes; targets come three times each. bad: these rows have none."""
    return "original_url,title\n" + "".join(
        f"{'' if i in bad else f'https://example.com/{i // 3}'},{title} {i}\n" for i in range(n))


def events(n, form):
    """Without ids; each 500th names a link that is not there, each 300th nothing at all, and many are alike."""
    rows = [(N_LINKS + 5 if i % 500 == 0 else "x" if i % 300 == 0 else i % N_LINKS + 1,
             "redirect" if i % 3 else "note", i % 700) for i in range(1, n + 1)]
    if form == "jsonl":
        return "".join(json.dumps({"url_id": url, "event_type": kind, "details": {"n": m}}) + "\n"
                       for url, kind, m in rows)
    return "url_id,event_type,details\n" + "".join(
        f'{url},{kind},"{{""n"":{m}}}"\n' for url, kind, m in rows)


def n_notes(state):
    """How often FILE.state was written: each of its two slots begins with a mark and a number."""
    return max(struct.unpack_from("<8xQ", state + bytes(1024), at)[0] for at in (0, 512))


class Resume(Case):
    def setUp(self):
        super().setUp()
        self.settings = []
        self.init()
        self.ctl("import", self.write("links.csv", "id,original_url,short_code\n" + "".join(
            f"{i},https://example.com/,link{i}\n" for i in range(1, N_LINKS + 1))))
        shutil.copy(self.path("store.db"), self.path("fresh.db"))

    def fresh(self, name):
        for entry in os.listdir(self.folder):
            if entry.startswith(("store.db", name + ".")):
                os.unlink(self.path(entry))
        shutil.copy(self.path("fresh.db"), self.path("store.db"))

    def command(self, *words, store="store.db"):
        program, *rest = super().command(*words, store=store)
        return [program, *self.settings, *rest]

    def links_of(self):
        """Of each link by its id: its code, and its row without what differs from run to run."""
        codes, found = {}, {}
        for line in self.ctl("export", "urls", "--format=jsonl").split("\n")[:-1]:
            row = json.loads(line)
            for field in ("created_at", "updated_at"):
                row.pop(field, None)
            number = row.pop("id")
            self.assertNotIn(number, found)
            codes[number] = row.pop("short_code")
            found[number] = json.dumps(row, sort_keys=True)
        return codes, found

    def rows(self):
        """What is in the store, but for what differs from run to run: the time, random codes, and
        which of the links has which id: one whose code was taken comes behind its transaction."""
        codes, links = self.links_of()
        created = set()
        found = [*(f"link {number}" for number in links), *links.values()]
        for kind in ("users", "events"):
            for line in self.ctl("export", kind, "--format=jsonl").split("\n")[:-1]:
                row = json.loads(line)
                for field in ("created_at", "updated_at", "timestamp"):
                    row.pop(field, None)
                if row.get("event_type") == "created":
                    number = row.pop("url_id")
                    self.assertNotIn(number, created)
                    created.add(number)
                    self.assertEqual(row["details"].pop("short_code"), codes[number])
                    row["link"] = links[number]
                    found.append(f"event {row.pop('id')}")
                found.append(json.dumps(row, sort_keys=True))
        return found

    def expected(self, path, name):
        """What an import without interruption makes of it: rows, errors, report."""
        self.fresh(name)
        began = time.monotonic()
        done = self.run_ctl("import", "--json", path)
        self.seconds = time.monotonic() - began
        errors = self.read(name + ".errors") if os.path.exists(path + ".errors") else None
        return self.rows(), errors, json.loads(done.stdout)

    def finish(self, path):
        """Resumes to the end; returns the report."""
        resume = ["--resume"] if os.path.exists(path + ".state") else []
        done = self.run_ctl("import", "--json", *resume, path)
        if b"there is nothing to resume" in done.stderr:  # it died before its first row
            os.unlink(path + ".state")
            done = self.run_ctl("import", "--json", path)
        self.assertIn(done.returncode, (DONE, FAILED), done.stderr)
        return json.loads(done.stdout)

    def check(self, path, name, expected, what, report=b""):
        """report: what an import printed before it was killed: then it was complete."""
        report = json.loads(report) if report else self.finish(path)
        errors = self.read(name + ".errors") if os.path.exists(path + ".errors") else None
        rows, wanted = Counter(self.rows()), Counter(expected[0])
        missing, extra = wanted - rows, rows - wanted
        self.assertEqual((list(missing)[:5], list(extra)[:5]), ([], []), what)
        self.assertEqual(errors, expected[1], what)
        self.assertEqual(report, expected[2], what)
        if os.path.exists(path + ".state"):
            self.assertEqual(self.finish(path), expected[2], what)
        self.assertFalse(os.path.exists(path + ".state"))
        self.verify()

    def kill_at_random(self, name, data):
        """Killed again and again after a random while, resumed each time."""
        dice = random.Random(name)
        path = self.write(name, data)
        expected = self.expected(path, name)
        self.fresh(name)
        n_killed = 0
        longest = self.seconds * 0.8
        report = b""
        for _ in range(40 if LONG else 6 if SLOW else 12):
            resume = ["--resume"] if os.path.exists(path + ".state") else []
            with subprocess.Popen(self.command("import", "--json", *resume, path), env=environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                try:
                    report, text = process.communicate(timeout=dice.uniform(0, longest))
                except subprocess.TimeoutExpired:
                    process.kill()
                    n_killed += 1
                    report, text = process.communicate()
            if report and n_killed == 0:
                # The machine has become faster than when it was timed: from the start, killed earlier.
                self.fresh(name)
                longest /= 2
                report = b""
                continue
            if report:
                break
            if b"there is nothing to resume" in text:
                os.unlink(path + ".state")
        self.assertGreater(n_killed, 0)
        self.check(path, name, expected, name, report)

    def kill_at_each_write(self, name, data):
        """Killed at the entry of each n-th pwrite64, the store's and the state's own alike."""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed (script/bootstrap)")
        path = self.write(name, data)
        expected = self.expected(path, name)
        n = 1
        n_killed = 0
        while True:
            self.fresh(name)
            done = subprocess.run(
                ["strace", "-f", "-qq", "-e", "trace=pwrite64",
                 "-e", f"inject=pwrite64:signal=SIGKILL:when={n}", "-o", "/dev/null",
                 *self.command("import", "--json", path)],
                env={**environment(), "ASAN_OPTIONS": "detect_leaks=0"},
                capture_output=True, timeout=TIMEOUT, check=False)
            if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
                self.assertIn(done.returncode, (DONE, FAILED), done.stderr)
                break
            n_killed += 1
            self.check(path, name, expected, f"pwrite64 {n}", done.stdout)
            n += 1 if LONG else 1 + n // (2 if SLOW else 7)
        self.assertGreater(n_killed, 5)

    def test_users_with_ids(self):
        self.kill_at_random("u.csv", users(15000))

    def test_users_without_ids(self):
        self.kill_at_random("u.csv", users(15000, with_ids=False))

    def test_links_without_codes(self):
        self.kill_at_random("l.csv", links(12000))

    def test_events_without_ids(self):
        self.kill_at_random("e.csv", events(12000, "csv"))

    def test_users_at_each_write(self):
        self.kill_at_each_write("u.csv", users(2300))

    def test_links_at_each_write(self):
        self.kill_at_each_write("l.csv", links(2300))

    def test_events_at_each_write(self):
        self.kill_at_each_write("e.jsonl", events(2300, "jsonl"))

    def test_made_codes_that_collide(self):
        """Four characters, and a store with so many that some rows need a second code."""
        self.settings = FEW_CODES
        self.ctl("import", self.write("many.csv", links(20000, "M")))
        shutil.move(self.path("store.db"), self.path("fresh.db"))
        self.kill_at_random("l.csv", links(8000))
        titles = [json.loads(row)["title"] for _, row in sorted(self.links_of()[1].items())][-8000:]
        in_order = [f"T {i}" for i in range(8000)]
        self.assertEqual(sorted(titles), sorted(in_order))
        self.assertNotEqual(titles, in_order, "no code was taken")

    def lose_notes(self, name, data):
        """A power cut takes back the notes of several transactions, but not the transactions."""
        path = self.write(name, data)
        expected = self.expected(path, name)
        self.fresh(name)
        with subprocess.Popen(self.command("import", path), env=environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + TIMEOUT
            old = b""
            while process.poll() is None and time.monotonic() < until:
                now = self.read(name + ".state") if os.path.exists(path + ".state") else b""
                old = old or (now if n_notes(now) > 0 else b"")
                if n_notes(now) > n_notes(old) + 4:
                    break
            process.kill()
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.assertGreater(n_notes(self.read(name + ".state")), n_notes(old) + 3)
        self.write(name + ".state", old)
        self.settings = []  # what was configured since, such as the length of codes, is no matter
        self.check(path, name, expected, name)

    def test_lost_notes(self):
        self.lose_notes("u.csv", users(30000))
        self.lose_notes("v.csv", users(30000, with_ids=False))
        self.settings = FEW_CODES
        self.lose_notes("l.csv", links(30000, bad=range(1500, 4000)))

    def test_a_signal_ends_it_between_transactions(self):
        path = self.write("u.csv", users(200000))
        with subprocess.Popen(self.command("import", path), env=environment(),
                              stderr=subprocess.PIPE) as process:
            until = time.monotonic() + TIMEOUT
            while time.monotonic() < until and not (
                    os.path.exists(path + ".state") and n_notes(self.read("u.csv.state")) > 1):
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            text = process.stderr.read().decode()
            self.assertEqual(process.wait(TIMEOUT), AGAIN)
        done = int(re.search(r"([0-9]+) rows are done; --resume goes on behind them", text).group(1))
        self.assertEqual(done % 1000, 0)
        self.refused("import", path, message="interrupted: go on with --resume, or remove .*u.csv.state")

    def interrupted(self, name="u.csv", n=2500):
        """An import that stopped because its store went away."""
        path = self.write(name, users(n))
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64",
             "-e", "inject=pwrite64:signal=SIGKILL:when=40", *self.command("import", path)],
            env={**environment(), "ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, check=False,
            timeout=TIMEOUT)
        self.assertNotIn(done.returncode, (DONE, FAILED))
        self.assertTrue(os.path.exists(path + ".state"))
        return path

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed (script/bootstrap)")
    def test_what_cannot_be_resumed(self):
        path = self.interrupted()
        self.init(store="other.db")
        self.refused("import", "--resume", path, store="other.db",
                     message="not the file or the store that was imported")
        self.refused("import", "--resume", "--type=urls", path, message="no column original_url")
        state = self.read("u.csv.state")
        self.write("u.csv", users(2501))
        self.refused("import", "--resume", path, message="not the file or the store")
        self.write("u.csv", users(2500))
        self.write("u.csv.state", b"x" * len(state))
        self.refused("import", "--resume", path, message="damaged: remove it")
        self.write("u.csv.state", state)
        self.refused("import", "--resume", path)  # the bad rows of it
        self.refused("import", "--resume", path, message="nothing to resume")
        self.refused("import", "--resume", os.path.join(SEED, "users.csv"), message="nothing to resume")
        self.refused("import", "--resume", "-", status=USAGE, input=b"")


if __name__ == "__main__":
    main()
