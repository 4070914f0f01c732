#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients that connect, send a part of something or all of it, and reset the connection: no descriptor, no
memory and no exchange is left of them, whoever behaves is served, and the proof of the visits holds."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import faults
import harness
import pressure

RESETS = 200000 if faults.LONG else 4000
GROWTH = 2 << 20  # bytes that may come and go: a batch, a segment's buffer
BOUNDARY = b"----b"


def post(path, kind, body, announced=None):
    return (b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path, kind, announced or len(body), body))


def parts(code):
    """What such clients send."""
    link = b'{"url":"https://example.com/churn"}'
    upload = b"--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"u\"\r\n\r\nusername,email\n" % BOUNDARY
    form = b"multipart/form-data; boundary=" + BOUNDARY
    visit = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % code
    return {
        "nothing": b"",
        "half a head": b"GET /%s HTTP/1.1\r\nHo" % code,
        "a visit": visit,
        "twenty visits": visit * 20,
        "a visit and a half": visit + visit[:20],
        "half a body": post(b"/urls", b"application/json", link[:10], len(link)),
        "a link": post(b"/urls", b"application/json", link),
        "a list": b"GET /urls?per_page=100 HTTP/1.1\r\nHost: a\r\n\r\n",
        "a miss": b"GET /nosuch%d HTTP/1.1\r\nHost: a\r\n\r\n" % random.randrange(10),
        "an upload in a file": post(b"/users/bulk", form, upload + b"x" * 70000, 5 << 20),
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    }


class Churn(unittest.TestCase):
    def churn(self, one, code, n):
        sent = parts(code)
        kinds = list(sent)
        for _ in range(n):
            sock = pressure.connect(one.port)
            try:
                sock.sendall(sent[random.choice(kinds)])
                if random.random() < 0.2:
                    sock.settimeout(0.005)  # some look at the beginning of an answer
                    sock.recv(20)
            except OSError:
                pass  # refused already
            pressure.reset(sock)

    def settle(self, one):
        """Until nothing is left of them; returns (descriptors, private memory)."""
        def alone():
            states = [line for line in one.get("/metrics").body.decode().splitlines()
                      if line.startswith("shortener_connections{")]
            return sum(float(line.rsplit(" ", 1)[1]) for line in states) <= 1
        harness.wait_for(alone, 20, "the connections to be gone")
        faults.wait_shipped(one)
        harness.wait_for(lambda: one.metric("shortener_worker_queue_depth ") == 0, 20, "the queue to be empty")
        return pressure.n_descriptors(one.process.pid), pressure.memory(one.process.pid)

    def test_resets(self):
        service = harness.Service()
        self.addCleanup(service.close)
        one = service.start()
        codes = faults.make_links(one)
        code = codes[0].encode()
        self.churn(one, code, RESETS // 2)  # what is allocated once is allocated now
        before = self.settle(one)
        start = time.monotonic()
        with faults.Load([one], codes, connections=2, depth=1, writers=1, pause=0.002, write_pause=0.02) as load:
            self.churn(one, code, RESETS)
            seconds = time.monotonic() - start
        after = self.settle(one)
        failures = [f for w in load.writers for f in w.failures]
        broken = sum(t.broken for t in load.visitors + load.writers)
        self.assertEqual(one.stop(), 0)  # under a sanitizer: and nothing leaks
        audit = faults.Audit(service)
        print(f"{RESETS} connections reset in {seconds:.0f} s: descriptors {before[0]} then {after[0]}, private memory "
              f"{before[1] / 1e6:.2f} then {after[1] / 1e6:.2f} MB; {load.n_answered} visits and {load.n_written} links of "
              f"others answered, longest {faults.milliseconds(max(v.longest for v in load.visitors))}, "
              f"{len(failures) + broken} failed, {len(audit.lost(load.answered()))} lost", flush=True)
        audit.check_nothing_lost(self, load.answered())
        audit.check_writes(self, load)
        self.assertEqual((set(load.statuses()), failures, broken), ({302}, [], 0))
        self.assertLessEqual(after[0], before[0] + 1)  # a segment more or less
        if harness.SLOW == 1:  # a sanitizer keeps what was freed
            self.assertLess(after[1] - before[1], GROWTH)


if __name__ == "__main__":
    harness.main()
