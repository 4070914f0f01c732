#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What nginx does for visitors while instances die, hang or are gone, under max_fails= and fail_timeout=.

Usage: failover.py [--policy NAME]... [--case NAME]... [--times N]

Three shortenerd behind the site that is shipped, over Unix sockets that this process holds, as systemd
does; SHORTENER_BUILD names their build, SHORTENER_TEST_STORE=postgres the store. 48 connections visit, 8
create, 4 change links. One line for each policy and case: see docs/decisions/0011-nginx-counts-no-failures.md.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "system")]
import harness
import nginx
import visitors

NONE, TWO = "max_fails=0", "max_fails=2 fail_timeout=1s"
# What is said of each server, by upstream: reads, creates, changes.
POLICIES = {
    "count-2": (TWO, TWO, TWO),
    "count-100": ("max_fails=100 fail_timeout=1s",) * 3,
    "count-none": (NONE, NONE, NONE),
    "count-changes": (NONE, NONE, TWO),
}
UPSTREAMS = ("shortener_read", "shortener_post", "shortener_write")
RESTART = 0.1  # seconds; RestartSec= of the unit
FROZEN = 12.0  # seconds until the watchdog has killed it: WatchdogSec= and TimeoutAbortSec=
GONE = 6.0     # seconds
KINDS = ("get", "post", "put")
GOOD = {"get": 302, "post": 201, "put": 200}


class Editor(visitors.Client):
    """Changes a link of its own."""

    kind_name = "put"

    def make(self):
        self.what = self.load.ids[self.number % len(self.load.ids)]
        body = f'{{"title":"{self.id}"}}'
        return (f"PUT /urls/{self.what} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nX-Request-Id: {self.id}\r\n\r\n{body}").encode()  # fmt: skip


def run_load(path, port, codes, ids):
    """The child: until its standard input ends."""
    options = SimpleNamespace(host="127.0.0.1", port=port, tag="f", pause=0.03, visitors=48, writers=8)
    with open(path, "w", encoding="ascii", buffering=1 << 16) as out:
        load = visitors.Load(options, codes, out)
        load.ids = ids
        load.everyone += [Editor(load, 100 + n) for n in range(4)]
        load.run()


class Stand:
    """Three instances and nginx under one policy."""

    def __init__(self, stack, policy):
        self.service = stack.enter_context(harness.Service())
        folder = self.service.folder
        self.paths = [os.path.join(folder, f"shortener-{n}.sock") for n in "123"]
        self.instances = [self.service.start(n, path=p) for n, p in zip("123", self.paths)]
        links = [self.instances[0].create(f"https://example.com/{n}") for n in range(20)]
        self.codes, self.ids = [link["short_code"] for link in links[4:]], [str(link["id"]) for link in links[:4]]
        upstream = self.service.ctl("nginx-upstream", "3").stdout
        for name, said in zip(UPSTREAMS, POLICIES[policy]):
            upstream = re.sub(rf"(?s)upstream {name} {{.*?\n}}", lambda m, s=said: re.sub(r"\.sock[^;]*;", f".sock {s};", m[0]), upstream)
        self.site = nginx.Site(os.path.join(folder, "nginx"), "sites-available/shortener", upstream, {"unix:/run/": f"unix:{folder}/"})
        stack.callback(self.site.stop)

    def back(self, instance):
        time.sleep(RESTART)  # what systemd waits
        instance.start(wait=False)

    def kill_all(self):
        for instance in self.instances:
            instance.kill()
        time.sleep(RESTART)
        for instance in self.instances:
            instance.start(wait=False)

    def kill_one(self):
        self.instances[1].kill()
        self.back(self.instances[1])

    def freeze_one(self):
        self.instances[1].signal(signal.SIGSTOP)
        time.sleep(FROZEN)
        self.instances[1].kill()
        self.back(self.instances[1])

    def lose_one(self):
        """As behind a crash loop: nobody listens, connections are refused."""
        one, path = self.instances[1], self.paths[1]
        one.kill()
        one.unix.close()
        time.sleep(GONE)
        os.unlink(path)
        one.unix = harness.unix_listener(path)
        one.start(wait=False)

    def measure(self, case):
        """[(start, end, kind, status)] of a load around the case."""
        with tempfile.NamedTemporaryFile("r") as out:
            command = [sys.executable, os.path.abspath(__file__), "--load", out.name, str(self.site.ports[0]), " ".join(self.codes), " ".join(self.ids)]
            load = subprocess.Popen(command, stdin=subprocess.PIPE)
            harness.wait_for(lambda: os.path.getsize(out.name) > 0, 20, "the load to begin")
            time.sleep(2)  # durations are the measurement's
            CASES[case](self)
            time.sleep(3)
            load.stdin.close()
            load.wait(60)
            lines = [line.split(" ", 4) for line in out.read().splitlines()]
        return [(float(start), float(end), kind, int(status)) for start, end, kind, status, _ in lines]


CASES = {"kill-all": Stand.kill_all, "kill-one": Stand.kill_one, "freeze-one": Stand.freeze_one, "lose-one": Stand.lose_one}


def figures(rows):
    for kind in KINDS:
        took = sorted(end - start for start, end, k, _ in rows if k == kind)
        bad = Counter(status for *_, k, status in rows if k == kind and status != GOOD[kind])
        failed = " ".join(f"{n}x{status}" for status, n in sorted(bad.items())) or "none"
        slow = sum(t > 1.0 for t in took)
        yield (f"{kind} {len(took)}, failed {failed}, over 1 s {slow}, p99 {took[len(took) * 99 // 100] * 1000:.0f} ms,"
               f" longest {took[-1] * 1000:.0f} ms")  # fmt: skip


def main():
    if sys.argv[1:2] == ["--load"]:
        path, port, codes, ids = sys.argv[2:]
        run_load(path, int(port), codes.split(), ids.split())
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", action="append", choices=POLICIES)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    for case in options.case or CASES:
        for policy in options.policy or POLICIES:
            with contextlib.ExitStack() as stack:
                stand = Stand(stack, policy)
                for _ in range(options.times):
                    for line in figures(stand.measure(case)):
                        print(f"{case} {policy}: {line}", flush=True)


if __name__ == "__main__":
    main()
