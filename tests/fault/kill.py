#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 under load at random moments, one and two instances: what was answered is in the store."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

KILLS = 200 if faults.LONG else 12


class Kill(unittest.TestCase):
    def run_kills(self, n_instances, n_kills):
        with harness.Service(options=["Clicks.SegmentSize=1M"]) as service:
            instances = [service.start(str(n + 1)) for n in range(n_instances)]
            codes = faults.make_links(instances[0])
            load = faults.Load(instances, codes, connections=4, writers=2, write_pause=0.01).start()
            for _ in range(n_kills):
                victim = random.choice(instances)
                at = load.n_answered
                if random.random() < 0.8:  # else while it starts
                    harness.wait_for(lambda: load.n_answered > at + 20, 20, "traffic")
                time.sleep(random.random() ** 2 * 0.3)  # the moment is the test's variable
                victim.kill()
                victim.start(wait=False)
            harness.wait_for(lambda: load.n_answered > at + 50, 20, "traffic")
            load.stop()
            for instance in instances:
                instance.wait_ready()
            faults.wait_shipped(*instances)
            for instance in instances:
                self.assertEqual(instance.stop(), 0)
            audit = faults.Audit(service)
            print(f"{n_instances} instances: {n_kills} kills, {load.n_answered} visits and {load.n_written} links "
                  f"answered, {len(audit.lost(load.answered()))} lost, {len(audit.ids)} in the store, "
                  f"{len(audit.spools)} spools, {load.statuses()}", flush=True)
            audit.check_nothing_lost(self, load.answered())
            audit.check_writes(self, load)
            self.assertEqual(set(load.statuses()) - {302, 503}, set())

    def test_one_instance(self):
        self.run_kills(1, KILLS)

    def test_two_instances(self):
        self.run_kills(2, KILLS)


if __name__ == "__main__":
    harness.main()
