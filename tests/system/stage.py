# SPDX-License-Identifier: MIT
"""What the checks share: the packages, and the provisioned machine that most of them look at."""

import contextlib
import os
import shutil
import tempfile
import threading
import unittest
from pathlib import Path

import machine as machines
import packages
from looks import INSTANCES, Looks  # noqa: F401

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
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

    def __init__(self, name="main"):
        self.name = name
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
        self.machine = self.stack.enter_context(machines.Machine(self.name))

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


@contextlib.contextmanager
def own_machine(name, *names):
    """A machine beside the provisioned one, with these packages and what they depend on."""
    with machines.Machine(name) as own:
        Stage.give(own, stage.packages.first)
        own.write("/etc/apt/sources.list.d/shortener.list", f"deb [trusted=yes] file:{ARCHIVE} ./\n")
        own.run("apt-get -qq update", seconds=120)
        own.run(["apt-get", "-qq", "-y", "install", "--no-install-recommends", *names], seconds=300)
        yield own


class Check(Looks, unittest.TestCase):
    """A check on the provisioned machine."""

    longMessage = True

    @property
    def machine(self):
        return stage.machine

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
