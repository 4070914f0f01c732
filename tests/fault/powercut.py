#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Power cuts under load: an ext4 image on a loop device, shut down by EXT4_IOC_SHUTDOWN, so that
what was not written back by then is gone; mounted again, its journal replayed, started again.

What must be kept, by Sync=:
  always    every visit that was answered before the cut
  interval  every visit that was answered before the last sync began that finished before the cut.
            Syncs are seen by strace on the spool's thread (fdatasync with its start and duration), so
            nothing is assumed of the disk's speed. The age of the oldest lost visit is printed too: it
            may reach SyncInterval and the durations of two syncs.
  off       no promise: it starts, counts and ships
In each mode a write of the API that was answered before the cut is there: the store lies on the same
disk. The host page is gone with the power as well. Not modelled: a disk that loses its own cache.
"""

import glob
import os
import random
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

CUTS = 50 if faults.LONG else 3
INTERVAL = 0.02  # seconds, the default SyncInterval
CALL = re.compile(r"^(\d+\.\d+) f(?:data)?sync\(\d+<([^>]*)>\) += 0 <(\d+\.\d+)>$")
WHY_NOT = faults.why_no_disk() if os.environ.get("SHORTENER_TEST_UNSHARED") or os.geteuid() else None


class SpoolSyncs:
    """What the spool's thread synced, and when."""

    def __init__(self, instance, path):
        self.path = path
        folder = f"/proc/{instance.process.pid}/task"
        tid = [t for t in os.listdir(folder) if open(f"{folder}/{t}/comm").read() == "spool\n"][0]
        self.process = subprocess.Popen(["strace", "-q", "-y", "-ttt", "-T", "-e", "trace=fdatasync,fsync", "-o", path,
                                         "-p", tid], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        status = f"/proc/{instance.process.pid}/task/{tid}/status"
        harness.wait_for(lambda: "TracerPid:\t0\n" not in open(status).read(), what="strace")

    def last_begun(self, before):
        """When the last sync of a segment began that had finished before that time; 0: none."""
        self.process.communicate(timeout=20)
        with open(self.path) as file:
            calls = [CALL.match(line) for line in file]
        done = [float(c[1]) for c in calls if c and c[2].endswith(".seg") and float(c[1]) + float(c[3]) < before]
        return done[-1] if done else 0.0


@unittest.skipIf(WHY_NOT, WHY_NOT)
class PowerCut(unittest.TestCase):
    def cut_once(self, disk, service, one, codes, load_options):
        """Returns what was answered before the cut, when the cut was, and the last sync's start."""
        syncs = SpoolSyncs(one, os.path.join(service.folder, "syncs"))
        load = faults.Load([one], codes, **load_options).start()
        harness.wait_for(lambda: load.n_answered > 50, 20, "traffic")
        time.sleep(random.random() * 0.5)  # the moment is the test's variable
        at = time.time()
        disk.cut(random.choice((disk.DROP_LOG, disk.FLUSH_LOG)))
        one.kill()
        load.stop(abort=True)
        begun = syncs.last_begun(at)
        disk.unmount()
        disk.mount()
        for path in glob.glob(service.runtime + "/*"):
            os.unlink(path)
        return load, at, begun

    def run_cuts(self, sync):
        disk = faults.Disk(192)
        self.addCleanup(disk.close)
        service = harness.Service(state=disk.path, options=[
            "Clicks.Sync=" + sync, f"Clicks.SyncInterval={int(INTERVAL * 1000)}ms", "Clicks.SegmentSize=1M",
            "Clicks.MaxSize=64M", "Clicks.KeepSize=16M"])
        self.addCleanup(service.close)
        one = service.start()
        codes = faults.make_links(one)
        promised, n_answered, n_lost, oldest = [], 0, 0, 0.0
        for _ in range(CUTS):
            load, at, begun = self.cut_once(disk, service, one, codes,
                                            {"connections": 4, "writers": 1, "pause": 0.002})
            one.start()
            faults.wait_shipped(one)
            before = [pair for pair in load.answered() if pair[1] < at]
            limit = {"always": at, "interval": begun, "off": 0}[sync]
            promised += [pair for pair in before if pair[1] < limit]
            audit = faults.Audit(service)
            lost = audit.lost(before)
            n_answered += len(before)
            n_lost += len(lost)
            oldest = max([oldest] + [at - when for _, when in lost])
            audit.check_writes(self, load, until=at)
        self.assertEqual(one.stop(), 0)
        audit = faults.Audit(service)
        broken = audit.lost(promised)
        print(f"Sync={sync}: {CUTS} cuts, {n_answered} visits answered before them, {n_lost} lost, "
              f"the oldest {faults.milliseconds(oldest)} before its cut; {len(promised)} promised, "
              f"{len(broken)} of them lost; damaged {audit.damaged}, shed {audit.shed}", flush=True)
        audit.check(self)
        self.assertEqual(broken[:5], [], f"{len(broken)} promised visits lost")
        self.assertEqual(audit.bad, 0)

    def test_always(self):
        self.run_cuts("always")

    def test_interval(self):
        self.run_cuts("interval")

    def test_off(self):
        self.run_cuts("off")


if __name__ == "__main__":
    faults.own_mounts()
    harness.main()
