#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The spool's disk is full, or the spool has grown to MaxSize=: OnFull=shed answers and counts exactly,
OnFull=fail answers 503; both go on within a second when room is made. The store is locked (SQLite)
or frozen (PostgreSQL) meanwhile, so that nothing is shipped; disks are a tmpfs and an ext4 image,
mounted in a namespace of the test's own."""

import contextlib
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pgfaults
import postgres

OPTIONS = ["Clicks.SegmentSize=1M", "Clicks.Keep=0"]
BALLAST = 3 << 20  # bytes; what the spool gets when they are removed


class Tmpfs:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="shortener-tmpfs-")
        faults.run("mount", "-t", "tmpfs", "-o", "size=8M", "spool", self.path)

    def close(self):
        faults.run("umount", self.path)
        os.rmdir(self.path)


class Full(unittest.TestCase):
    Audit = faults.Audit

    def make_service(self, options):
        return harness.Service(options)

    def fill(self, options, spool_folder, make_room, on_full):
        with (self.make_service(OPTIONS + options + ["Clicks.OnFull=" + on_full]) as service,
              contextlib.ExitStack() as holding):
            one = service.instance()
            one.spool = os.path.join(spool_folder or service.folder, "spool")
            one.start()
            codes = faults.make_links(one)
            for code in codes:
                one.get("/" + code)
            faults.wait_shipped(one)
            holding.enter_context(harness.held(service))
            with faults.Load([one], codes, connections=3, depth=16, agent_size=500) as load:
                def shed():
                    return int(one.metric("shortener_clicks_shed_total "))

                def refused():
                    return load.statuses().get(503, 0)
                is_full = shed if on_full == "shed" else refused
                harness.wait_for(lambda: is_full() > 1000, 30, "a full spool")
                self.assertEqual(one.get("/health").status, 200)
                self.assertEqual(refused() if on_full == "shed" else shed(), 0)
                recovery = 0.0
                if make_room:
                    appended = one.metric("shortener_clicks_appended_total ")
                    make_room()
                    start = time.monotonic()
                    harness.wait_for(lambda: one.metric("shortener_clicks_appended_total ") > appended + 500, 10,
                                     "visits in the room that was made")
                    recovery = time.monotonic() - start
                holding.close()
                # Shipped segments go, and there is room again without anybody's doing.
                harness.wait_for(lambda: one.metric("shortener_clicks_pending ") == 0 or
                                 one.metric("shortener_clicks_shipped_total ") > 3000, 30, "shipping")
            faults.wait_shipped(one)
            n_shed = shed()
            self.assertEqual(one.stop(), 0)
            one.start()
            faults.wait_shipped(one)
            n_more = shed()
            self.assertEqual(one.stop(), 0)
            audit = self.Audit(service).check(self)
            lost = audit.lost(load.answered())
            print(f"{self.id().split('.')[-1]} {' '.join(options)} OnFull={on_full}: {load.statuses()}, "
                  f"{n_shed} shed, {len(lost)} of the answered not in the store, {audit.shed} marked, "
                  f"room used after {faults.milliseconds(recovery)}", flush=True)
            self.assertLess(recovery, 1.0 * harness.SLOW)
            self.assertEqual((audit.bad, audit.damaged, n_more), (0, 0, 0))
            self.assertEqual((len(lost) if on_full == "shed" else 0, audit.shed), (n_shed, n_shed))
            if on_full == "fail":
                self.assertEqual(lost, [])

    def test_max_size(self):
        for on_full in faults.some("shed", "fail"):
            self.fill(["Clicks.MaxSize=4M"], None, None, on_full)

    def on_disk(self, disk, on_full):
        ballast = os.path.join(disk.path, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"b" * BALLAST)
            os.fsync(file.fileno())
        try:
            self.fill([], disk.path, lambda: os.unlink(ballast), on_full)
        finally:
            disk.close()

    @unittest.skipIf(os.geteuid(), "needs root to mount")
    def test_tmpfs(self):
        for on_full in faults.some("shed", "fail"):
            self.on_disk(Tmpfs(), on_full)

    @unittest.skipIf(os.geteuid(), "needs root to mount")
    def test_ext4(self):
        for on_full in faults.some("shed", "fail"):
            self.on_disk(faults.Disk(12), on_full)


class FullPostgres(Full):
    Audit = pgfaults.Audit

    def make_service(self, options):
        server = postgres.Postgres()
        self.addCleanup(server.close)
        server.create(pgfaults.NAME)
        return pgfaults.Service(server, options)


if __name__ == "__main__":
    faults.own_mounts()
    harness.main()
