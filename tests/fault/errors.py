#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""System calls of the append and the ship path that fail under load for a while, by strace: answers
are as OnFull= promises, what is shed is counted exactly, nothing else is lost."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

OPTIONS = ["Clicks.SegmentSize=1M", "Clicks.MaxSize=256M", "Clicks.Keep=0"]
AGENT = 500  # bytes: some 1,800 visits a segment
WHY_NOT = faults.why_no_strace()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Failing(unittest.TestCase):
    def run_errors(self, options, threads, what, seconds=0.4):
        """Returns the load, the audit and the counter of shed visits."""
        with harness.Service(options=OPTIONS + options) as service:
            one = service.start()
            codes = faults.make_links(one)
            for code in codes:
                one.get("/" + code)
            with faults.Load([one], codes, connections=3, depth=16, agent_size=AGENT) as load:
                harness.wait_for(lambda: load.n_answered > 200, 20, "traffic")
                with faults.Inject(one, threads, what):
                    time.sleep(seconds)  # the duration is the test's
                at = load.n_answered
                harness.wait_for(lambda: load.n_answered > at + 200, 20, "traffic afterwards")
            faults.wait_shipped(one)
            shed = int(one.metric("shortener_clicks_shed_total "))
            errors = int(one.metric("shortener_spool_errors_total "))
            # What is shed to the end is marked in the spool while it stops, and shipped by the next one.
            self.assertEqual(one.stop(), 0)
            one.start()
            faults.wait_shipped(one)
            self.assertEqual(one.stop(), 0)
            audit = faults.Audit(service).check(self)
            lost = audit.lost(load.answered())
            print(f"{' '.join(options)} {what}: {load.statuses()}, {errors} errors, {shed} shed, {len(lost)} of the "
                  f"answered not in the store, damaged {audit.damaged}, longest "
                  f"{faults.milliseconds(max(v.longest for v in load.visitors))}", flush=True)
            self.assertLess(max(v.longest for v in load.visitors), 2.0 * harness.SLOW)
            self.assertEqual((audit.bad, audit.damaged), (0, 0))
            self.assertEqual((len(lost), audit.shed), (shed, shed))
            return load, audit, shed

    def test_write_errors_shed(self):
        for error in faults.some("ENOSPC", "EIO"):
            load, _, shed = self.run_errors([], ["shortenerd"], f"pwrite64:error={error}:when=3+")
            self.assertEqual(set(load.statuses()), {302})
            self.assertGreater(shed, 0)

    def test_write_errors_fail(self):
        for error in faults.some("ENOSPC", "EIO"):
            what = f"pwrite64:error={error}:when=3+"
            load, audit, shed = self.run_errors(["Clicks.OnFull=fail"], ["shortenerd"], what)
            self.assertEqual(shed, 0)
            self.assertEqual(set(load.statuses()), {302, 503})
            self.assertLessEqual({i for i, _ in load.answered()}, audit.known)

    def test_one_write_error_loses_nothing(self):
        for options in faults.some([], ["Clicks.OnFull=fail"], ["Clicks.Sync=always"], ["Clicks.Sync=off"]):
            load, _, shed = self.run_errors(options, ["shortenerd"], "pwrite64:error=EIO:when=5+40")
            self.assertEqual((set(load.statuses()), shed), ({302}, 0))

    def test_sync_errors(self):
        for options in faults.some(["Clicks.Sync=interval"], ["Clicks.Sync=always"],
                                   ["Clicks.Sync=always", "Clicks.OnFull=fail"]):
            for when in ("2+7", "2+"):
                load, _, shed = self.run_errors(options, ["spool"], f"fdatasync:error=EIO:when={when}")
                self.assertEqual(shed, 0)
                if when == "2+7":
                    self.assertEqual(set(load.statuses()), {302})

    def test_no_room_for_the_next_segment(self):
        for options in faults.some([], ["Clicks.OnFull=fail"]):
            self.run_errors(options, ["spool", "shortenerd"], "fallocate:error=ENOSPC:when=1+", 1.5)

    def test_errors_of_the_store_lose_nothing(self):
        for call in faults.some("pwrite64", "fdatasync"):
            for when in ("3+5", "1+"):
                load, _, shed = self.run_errors([], ["shipper"], f"{call}:error=EIO:when={when}")
                self.assertEqual((set(load.statuses()), shed), ({302}, 0))


if __name__ == "__main__":
    harness.main()
