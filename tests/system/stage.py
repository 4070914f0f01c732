# SPDX-License-Identifier: MIT
"""What the checks share: the packages, and the provisioned machine that most of them look at."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import unittest
from pathlib import Path

import machine as machines
import packages
from machine import wait_for

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
INSTANCES = (1, 2, 3)
ARCHIVE = "/srv/shortener"  # where the machine's administrator has our packages
NOTES = []  # figures, shown at the end


def note(text):
    NOTES.append(text)
    print(f"      {text}", flush=True)


class Later(threading.Thread):
    """Does something beside the tests; result() waits, and raises what went wrong."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work = work
        self.error = None
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as error:
            self.error = error

    def wait(self):
        self.join()
        if self.error:
            raise self.error


class Stage:
    """Made once by run; see stage.setup()."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="shortener-system-"))
        self.packages = packages.Packages(self.folder)
        self.second = None
        self.machine = None
        self.provisioned = ""
        self.stack = contextlib.ExitStack()

    def prepare(self, built=None, second=True):
        """Packages (or, for a developer, a folder with them), and the bare machine."""
        if built:
            shutil.copytree(built, self.packages.first)
            self.packages.versions["first"] = packages.version(packages.TREE)
        else:
            self.packages.build_first()
        if second:
            self.second = Later(self.packages.build_second)
        self.machine = self.stack.enter_context(machines.Machine("main"))

    def provision(self):
        """What an administrator does on a bare system: the package archive, and the one script."""
        self.give(self.machine, self.packages.first)
        self.machine.copy(packages.TREE / "script/provision", "/opt/provision")
        done = self.machine.run(["bash", "/opt/provision", "--repository", ARCHIVE], seconds=300)
        self.provisioned = done.stdout + done.stderr

    @staticmethod
    def give(machine, archive):
        shutil.rmtree(machine.path(ARCHIVE), ignore_errors=True)
        machine.copy(archive, ARCHIVE)

    def close(self):
        try:
            self.stack.close()
        finally:
            if self.second:
                self.second.join()
            shutil.rmtree(self.folder, ignore_errors=True)


stage = None


class Check(unittest.TestCase):
    """A check on the provisioned machine."""

    longMessage = True

    @property
    def machine(self):
        return stage.machine

    # ---- units ----

    def pid(self, n):
        """The instance's process id as the machine has it; 0 if there is none."""
        return int(self.machine.property(f"shortener@{n}.service", "MainPID"))

    def is_active(self, unit):
        return self.machine.property(unit, "ActiveState") == "active"

    def wait_active(self, *units, seconds=20):
        for unit in units:
            wait_for(lambda u=unit: self.is_active(u), seconds, f"{unit} to be active")

    def wait_ready(self, *instances, seconds=20):
        for n in instances or INSTANCES:
            wait_for(lambda n=n: self.answer("/ready", port=5000 + n)[0] == 200, seconds, f"instance {n} to be ready")

    def start_all(self):
        """As it is meant to be; after a check that broke something."""
        self.machine.run("systemctl reset-failed 'shortener@*' 2>/dev/null; systemctl start shortener.target")
        self.wait_ready()

    # ---- HTTP ----

    def answer(self, path, *options, port=80):
        """Status, header fields in small letters, body."""
        done = self.machine.run(["curl", "-si", "--max-time", "15", *options, f"http://127.0.0.1:{port}{path}"],
                                check=False)  # fmt: skip
        if done.returncode != 0:
            return 0, {}, ""
        text = done.stdout
        while True:
            head, _, body = text.replace("\r\n", "\n").partition("\n\n")
            if not head.startswith("HTTP/1.1 100"):
                break
            text = body
        lines = head.split("\n")
        fields = dict(line.lower().split(": ", 1) if ": " not in line else
                      [line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]] for line in lines[1:] if ":" in line)
        return int(lines[0].split(" ")[1]), fields, body

    def create(self, target="https://example.org/", port=80):
        status, _, body = self.answer("/urls", "-H", "Content-Type: application/json", "-d",
                                      json.dumps({"url": target}), port=port)  # fmt: skip
        self.assertEqual(status, 201, body)
        return json.loads(body)["short_code"]

    def codes(self, n=50):
        """Active codes of the sample data."""
        status, _, body = self.answer(f"/urls?is_active=true&per_page={n}")
        self.assertEqual(status, 200, body)
        return [url["short_code"] for url in json.loads(body)]

    def metric(self, n, line_start):
        _, _, body = self.answer("/metrics", port=5000 + n)
        for line in body.splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    # ---- the store ----

    def store_url(self):
        config = self.machine.out("shortenerd --dump-config")
        return re.search(r"^\[Store\][^\[]*?^URL=(.*?)(?:\s*#.*)?$", config, re.MULTILINE | re.DOTALL)[1]

    def sql(self, statement):
        """Rows of columns, as text."""
        url = self.store_url()
        if url.startswith("sqlite:"):
            out = self.machine.out(["sqlite3", "-separator", "|", "-cmd", ".timeout 10000",
                                    url.removeprefix("sqlite:"), statement])  # fmt: skip
        else:
            out = self.machine.out(["runuser", "-u", "shortener", "--", "psql", "-XAtq", "-d", url, "-c", statement])
        return [line.split("|") for line in out.split("\n") if line]

    def wait_shipped(self, seconds=60):
        wait_for(lambda: all(self.metric(n, "shortener_clicks_pending ") == 0 for n in INSTANCES), seconds,
                 "all visits shipped")  # fmt: skip

    def check_promises(self, traffic, doubled=0):
        """Every 302 of the load is one visit in the store, every 201 one link; nothing twice."""
        self.wait_shipped()
        tag = traffic.tag
        visits = self.sql(f"SELECT request_id, count(*) FROM events WHERE type = 1 AND request_id LIKE '{tag}.%'"
                          " GROUP BY request_id")  # fmt: skip
        found = {name: int(n) for name, n in visits}
        lost = [r.id for r in traffic.good("get") if r.id not in found]
        self.assertEqual(lost[:5], [], f"{len(lost)} of {len(traffic.good('get'))} visits lost")
        twice = [name for name, n in found.items() if n > 1]
        self.assertLessEqual(len(twice), doubled, f"visits that are there twice: {twice[:5]}")
        links = self.sql(f"SELECT target, code, is_active FROM urls WHERE target LIKE 'https://example.org/{tag}.%'")
        targets = {}
        for target, code, _ in links:
            targets.setdefault(target, []).append(code)
        for request in traffic.good("post"):
            target, code = request.what.split(" ")
            self.assertEqual(targets.get(target), [code], "a link that was answered with 201")
        for request in traffic.failed("post"):
            self.assertLessEqual(len(targets.get(request.what, [])), 1, "a link twice")
        verify = self.machine.run("shortenerctl clicks verify", check=False)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
