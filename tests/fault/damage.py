#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spool files that somebody or something damaged while no process ran: it starts, loses only what was
damaged, and counts it where the files still tell how much it was."""

import os
import random
import re
import shutil
import sqlite3
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness

VISITS = 5000    # of a backlog: three segments or more
RANDOM = 40 if faults.LONG else 2


class Segment:
    """A segment file and the records in it, as (offset, size, request id)."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = bytearray(file.read())
        self.records = []
        at = 0
        while at + 25 < len(self.data):
            size = struct.unpack_from("<I", self.data, at)[0]
            if size == 0 or self.is_torn(at, size):
                break
            match = re.search(rb"t\d+\.\d+\.\d+\.\d+", self.data[at:at + size])
            self.records.append((at, size, match[0].decode() if match else None))
            at += size
        self.end = at

    def is_torn(self, at, size):
        """The kill came in the middle of its write, between two pages: nobody has an answer, and it is no damage."""
        page = (at + size - 1) // 4096 * 4096
        return page > at and not any(self.data[page:at + size])

    def write(self):
        with open(self.path, "wb") as file:
            file.write(self.data)

    def ids(self, start=0, end=None):
        """Of records that have a byte in [start, end)."""
        end = len(self.data) if end is None else end
        return {i for at, size, i in self.records if at < end and at + size > start and i}


class Damage(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service(options=["Clicks.SegmentSize=1M"])
        self.addCleanup(self.service.close)
        self.one = self.service.start()
        codes = faults.make_links(self.one)
        for code in codes:
            self.one.get("/" + code)
        faults.wait_shipped(self.one)
        lock = sqlite3.connect(self.service.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        load = faults.Load([self.one], codes, connections=4, depth=16, agent_size=500).start()
        harness.wait_for(lambda: load.n_answered >= VISITS, 30, "a backlog")
        self.one.kill()
        load.stop(abort=True)
        lock.execute("ROLLBACK")
        lock.close()
        self.answered = load.answered()
        folder = self.one.spool
        paths = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".seg"))
        self.segments = [Segment(path) for path in paths]
        self.segments = [s for s in self.segments if s.records]
        self.assertGreaterEqual(len(self.segments), 3)

    def check(self, lost, damaged):
        """lost: the request ids that may be and are gone; damaged: (least, most) that are counted."""
        self.one.start()
        faults.wait_shipped(self.one)
        metric = int(self.one.metric("shortener_clicks_damaged_total "))
        self.assertEqual(self.one.stop(), 0)
        audit = faults.Audit(self.service).check(self)
        missing = {i for i, _ in audit.lost(self.answered)}
        print(f"{self.id().split('.')[-1]}: {len(self.answered)} visits, {len(missing)} lost, {audit.damaged} "
              f"counted as damaged, {metric} in the metric", flush=True)
        self.assertEqual(missing - lost, set(), "more lost than was damaged")
        self.assertEqual((audit.shed, audit.bad, audit.damaged), (0, 0, metric))
        self.assertLessEqual(damaged[0], audit.damaged)
        self.assertGreaterEqual(damaged[1], audit.damaged)
        return missing

    def check_exactly(self, lost):
        answered = {i for i, _ in self.answered}
        self.assertEqual(self.check(lost, (len(lost), len(lost))), lost & answered)

    def test_flipped_bit(self):
        segment = self.segments[1]
        at, size, request_id = segment.records[len(segment.records) // 2]
        segment.data[at + random.randrange(4, size)] ^= 1 << random.randrange(8)
        segment.write()
        self.check_exactly({request_id})

    def test_flipped_bit_of_a_length(self):
        segment = self.segments[1]
        at, _, request_id = segment.records[len(segment.records) // 2]
        segment.data[at + random.randrange(4)] ^= 1 << random.randrange(8)
        segment.write()
        self.check_exactly({request_id})

    def test_flipped_bit_of_the_last_record(self):
        segment = self.segments[-1]
        at, size, request_id = segment.records[-1]
        segment.data[at + random.randrange(25, size)] ^= 1 << random.randrange(8)
        segment.write()
        self.check_exactly({request_id})

    def test_block_of_zeros(self):
        segment = self.segments[1]
        start = 4096 * random.randrange(3, 100)
        segment.data[start:start + 4096] = bytes(4096)
        segment.write()
        self.check_exactly(segment.ids(start, start + 4096))

    def test_tail_cut(self):
        # How many records there were behind the cut nobody knows; the one that is cut is counted.
        segment = self.segments[-1]
        at, size, _ = segment.records[-3]
        cut = segment.ids(at)
        del segment.data[at + size // 2:]
        segment.write()
        self.check(cut, (1, 1))

    def test_middle_segment_cut(self):
        segment = self.segments[1]
        at, size, _ = segment.records[len(segment.records) // 2]
        cut = segment.ids(at)
        del segment.data[at + size // 2:]
        segment.write()
        self.check_exactly(cut)

    def test_missing_segment(self):
        os.unlink(self.segments[1].path)
        self.check_exactly(self.segments[1].ids())

    def test_empty_segment(self):
        ids = self.segments[1].ids()
        self.segments[1].data = b""
        self.segments[1].write()
        self.check_exactly(ids)

    def test_garbage_in_the_folder(self):
        folder = self.one.spool
        name = os.path.basename(self.segments[0].path)
        other = ("0" if name[0] != "0" else "1") + name[1:]
        for garbage, data in (("x.seg", b"x"), ("README", b"?"), (".seg", b""), (name + ".bak", b"z" * 5000),
                              (name[:36] + ".0.seg", b""), (name[:36] + ".next", os.urandom(9000)),
                              (name[:36] + ".99999999999999999999999.seg", b"y"), (name.upper(), os.urandom(300)),
                              (name[:36] + ".own", b""), ("ship.lock.old", b"")):
            with open(os.path.join(folder, garbage), "wb") as file:
                file.write(data)
        os.mkdir(os.path.join(folder, name[:36] + ".00000000000000000007.seg"))
        os.symlink("/etc/passwd", os.path.join(folder, name[:36] + ".00000000000000000008.seg"))
        # The records of another spool: their checksums are bound to its id.
        shutil.copy(self.segments[0].path, os.path.join(folder, other))
        # A spool of which only an empty file is left.
        with open(os.path.join(folder, "2" + name[1:]), "wb"):
            pass
        self.check(set(), (0, len(self.segments[0].records)))

    def test_random_damage(self):
        """Bits, blocks, cuts anywhere: what no damaged byte belongs to arrives."""
        for _ in range(RANDOM):
            touched = set()
            for segment in self.segments:
                kind = random.choice(("none", "bit", "block", "noise", "repeat"))
                start = random.randrange(segment.end)
                end = min(segment.end, start + {"bit": 1, "none": 0}.get(kind, random.randrange(1, 9000)))
                if kind == "bit":
                    segment.data[start] ^= 1 << random.randrange(8)
                elif kind == "block":
                    segment.data[start:end] = bytes(end - start)
                elif kind == "noise":
                    segment.data[start:end] = os.urandom(end - start)
                elif kind == "repeat":  # an earlier piece once more, over other records
                    source = random.randrange(start + 1)
                    segment.data[start:end] = segment.data[source:source + end - start]
                if kind != "none":
                    touched |= segment.ids(start, end)
                segment.write()
            self.check(touched, (0, len(touched) + 1))
            self.doCleanups()
            self.setUp()


if __name__ == "__main__":
    harness.main()
