# SPDX-License-Identifier: MIT
"""Load on a machine from within its network, and what it was promised.

A promise is an answer that was read completely: a 302 (its visit is kept, once) or a 201 (the link
is there, once). A request without one of these has failed.
"""

import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import machine as machines

VISITORS = Path(__file__).with_name("visitors.py")
GOOD = {"get": 302, "post": 201}

Request = namedtuple("Request", "start end kind status id what")


class Traffic:
    """`with Traffic(machine, codes) as traffic: ...`; afterwards it knows each request."""

    counter = 0

    def __init__(self, machine, codes, visitors=56, writers=8, pause=0.03, port=80):
        Traffic.counter += 1
        self.machine = machine
        self.tag = f"b{os.getpid()}-{Traffic.counter}"
        self.file = machine.folder / f"traffic-{self.tag}"
        self.codes = machine.folder / f"codes-{self.tag}"
        self.codes.write_text("\n".join(codes), encoding="ascii")
        self.options = [f"--visitors={visitors}", f"--writers={writers}", f"--pause={pause}", f"--port={port}",
                        f"--tag={self.tag}", f"--codes={self.codes}"]  # fmt: skip
        self.process = None
        self.requests = []
        self.marks = []  # (time, what): the moments that the test names

    def __enter__(self):
        command = self.machine.enter("--net") + [sys.executable, str(VISITORS), *self.options, str(self.file)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        machines.wait_for(lambda: self.file.exists() and self.file.stat().st_size > 0, 30, "the load to begin")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.codes.unlink()
        if code == 0:
            self.requests = [self.parse(line) for line in self.file.read_text(encoding="ascii").splitlines()]
        self.file.unlink(missing_ok=True)
        if code != 0:
            raise AssertionError(f"visitors.py: exit {code}")

    @staticmethod
    def parse(line):
        start, end, kind, status, name, what = line.split(" ", 5)
        return Request(float(start), float(end), kind, int(status), name, what)

    def mark(self, what):
        self.marks.append((time.monotonic(), what))

    def go_on(self, seconds):
        """Load for a while longer, because what follows an event matters too."""
        end = time.monotonic() + seconds
        machines.wait_for(lambda: time.monotonic() > end or self.process.poll() is not None, seconds + 5, "the load")

    def failed(self, kind=None):
        return [r for r in self.requests if r.status != GOOD[r.kind] and kind in (None, r.kind)]

    def good(self, kind):
        return [r for r in self.requests if r.kind == kind and r.status == GOOD[kind]]

    def unknown(self):
        """Creates that nobody answered: done or not, and never sent again."""
        return [r for r in self.failed("post") if r.status == 0]

    def longest(self, kind=None):
        """Seconds that the slowest request took."""
        return max((r.end - r.start for r in self.requests if kind in (None, r.kind)), default=0.0)

    def summary(self):
        took = sorted(r.end - r.start for r in self.requests)
        seconds = max(r.end for r in self.requests) - min(r.start for r in self.requests)
        return (f"{len(took)} requests, {len(took) / seconds:.0f}/s, median {took[len(took) // 2] * 1000:.1f} ms,"
                f" longest GET {self.longest('get') * 1000:.0f} ms, POST {self.longest('post') * 1000:.0f} ms,"
                f" {len(self.failed())} failed, of these {len(self.unknown())} creates without an answer"
                " (done or not, never sent again)")  # fmt: skip
