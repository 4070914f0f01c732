#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two hosts, each a network namespace with a directory of its own; PostgreSQL runs on the first. The second one's
cable is pulled: packets vanish, no connection is closed. What it has cached is redirected and counted, what needs
the store is answered with 503 within a second; with the cable back in it shows what was changed meanwhile, and
each visit is in the store once.

Clients are beside their instance: its listening socket is none of the cable's."""

import os
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

CUTS = 20 if faults.LONG else 2
CUT = (0.3, 2, 20) if faults.LONG else (0.3, 4)  # seconds
LIMIT = 1.0
HERE, THERE = "192.0.2.1", "192.0.2.2"  # of documentation, and of these namespaces alone


def own_network():
    """Goes on in a namespace of its own, so that nothing of it is left."""
    if os.environ.get("SHORTENER_TEST_NETWORK") or os.geteuid() != 0:
        return
    os.environ["SHORTENER_TEST_NETWORK"] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


class Host:
    """The other end of a cable."""

    def __init__(self):
        faults.run("ip", "link", "set", "lo", "up")
        self.process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 86400"], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.wrapper = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
        faults.run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(self.process.pid))
        faults.run("ip", "address", "add", HERE + "/24", "dev", "here")
        faults.run("ip", "link", "set", "here", "up")
        for words in (("address", "add", THERE + "/24", "dev", "there"), ("link", "set", "there", "up"),
                      ("link", "set", "lo", "up")):
            faults.run(*self.wrapper, "ip", *words)

    @staticmethod
    def cable(state):
        faults.run("ip", "link", "set", "here", state)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@unittest.skipIf(os.geteuid(), "needs root for network namespaces")
class Network(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
        self.server = postgres.Postgres(settings={"listen_addresses": HERE})
        self.addCleanup(self.server.close)
        with open(os.path.join(self.server.data, "pg_hba.conf"), "a") as file:
            file.write(f"host all all {HERE}/24 trust\n")
        self.server.psql("SELECT pg_reload_conf()")
        self.server.create(pgfaults.NAME)
        url = f"postgresql://postgres@{HERE}:{self.server.port}/{pgfaults.NAME}"
        self.services = [pgfaults.Service(self.server, url=url) for _ in range(2)]
        for service in self.services:
            self.addCleanup(service.close)
        self.here = self.services[0].start("here")
        self.there = self.services[1].start("there", wrapper=self.host.wrapper)
        self.codes = faults.make_links(self.here)
        self.urls = [self.here.create("https://example.com/0") for _ in range(3)]
        for instance in (self.here, self.there):
            self.wait_back(instance)

    def wait_back(self, instance):
        codes = self.codes + [url["short_code"] for url in self.urls]
        harness.wait_for(lambda: instance.get("/ready").status == 200 and instance.metric("shortener_watcher_up ") == 1 and
                         all(instance.request("HEAD", "/" + code).headers["X-Cache"] == "HIT" for code in codes), 30,
                         "a warm cache")

    def others(self, ended, found):
        while not ended.is_set():
            for method, path, body in (("GET", "/users", None), ("POST", "/urls", {"url": "https://example.com/n"}),
                                       ("GET", "/unknown1", None)):
                start = time.monotonic()
                status = self.there.request(method, path, body).status
                found.append((status, time.monotonic() - start))

    def edit(self, number):
        """On the first host; when it was answered."""
        for url in self.urls:
            self.assertEqual(self.here.put(f"/urls/{url['id']}", {"url": f"https://example.com/{number}"}).status, 200)

    def assert_follows(self, number):
        """From a second after it hears again on, no older target."""
        harness.wait_for(lambda: self.there.get("/ready").status == 200 and self.there.metric("shortener_watcher_up ") == 1,
                         30, "the second host to hear")
        time.sleep(LIMIT)  # what is promised begins then
        for url in self.urls:
            self.assertEqual(self.there.get("/" + url["short_code"]).headers["Location"], f"https://example.com/{number}")

    def cut(self, number, seconds):
        """What those got who needed the store meanwhile."""
        found, ended = [], threading.Event()
        thread = threading.Thread(target=self.others, args=(ended, found))
        self.host.cable("down")
        try:
            self.edit(number)
            thread.start()
            time.sleep(seconds)  # how long it lasts is the test's variable
            if seconds > 2 * LIMIT:
                self.assertEqual(self.there.metric("shortener_cache_unverified "), 1)
        finally:
            self.host.cable("up")
            ended.set()
        thread.join()
        self.assert_follows(number)
        self.wait_back(self.there)
        return found

    def test_cable(self):
        load = faults.Load([self.there], self.codes, connections=3, writers=0, pause=0.01).start()
        found = []
        for number in range(1, CUTS + 1):
            found += self.cut(number, CUT[number % len(CUT)])
        load.stop()
        for instance in (self.here, self.there):
            faults.wait_shipped(instance, seconds=120)
            self.assertEqual(instance.stop(), 0)
        audit = pgfaults.Audit(self.services[1])
        longest = max(seconds for _, seconds in found)
        print(f"{CUTS} cuts: {load.n_answered} visits answered, {len(audit.lost(load.answered()))} lost, "
              f"{len(audit.doubled)} doubled; redirects {load.statuses()}; {len(found)} others, longest "
              f"{faults.milliseconds(longest)}, {sorted({status for status, _ in found})}", flush=True)
        audit.check_nothing_lost(self, load.answered())
        self.assertEqual(set(load.statuses()), {302})
        self.assertLessEqual({status for status, _ in found}, {200, 201, 404, 503})
        self.assertIn(503, {status for status, _ in found})
        self.assertLess(longest, LIMIT * harness.SLOW + 0.2)


if __name__ == "__main__":
    own_network()
    harness.main()
