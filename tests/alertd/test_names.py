#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A name server that takes questions and answers none: the receiver goes on as if nothing were.

Runs in a network and a mount namespace of its own, with a resolv.conf of its own."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import alertd
import harness
from alertd import alert, batch

INSIDE = "SHORTENER_TEST_INSIDE"


class Names(unittest.TestCase):
    @unittest.skipIf(os.geteuid(), "needs root for namespaces")
    def test_hanging_name_server(self):
        questions = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, alertd.Receiver(
                ["Alerts.Forward=discord:https://discord.example.com/api/webhooks/1/secret", "Alerts.Timeout=2s"]) as receiver:
            server.bind(("127.0.0.1", 53))
            threading.Thread(target=lambda: [questions.append(server.recv(512)) for _ in range(1000)], daemon=True).start()
            receiver.start()
            times, end = [], time.monotonic() + 15
            while time.monotonic() < end:
                start = time.monotonic()
                self.assertEqual(receiver.post(batch(alert(number=len(times)))).status, 200)
                times.append(time.monotonic() - start)
                time.sleep(0.05)  # a pace
            self.assertGreater(len(questions), 0)
            receiver.wait_said("not taken: Timeout was reached")
            self.assertGreaterEqual(receiver.metric("shortener_alertd_attempts_failed_total"), 2)
            print(f"name server hangs: {len(times)} POSTs in 15 s, answered in {1e3 * statistics.median(times):.1f} ms (median), "
                  f"{1e3 * max(times):.1f} ms (longest)", flush=True)
            self.assertLess(max(times), 1.5 * harness.SLOW)
            # Nor does a stop wait for it longer than for any message.
            start = time.monotonic()
            self.assertEqual(receiver.stop(), 0)
            self.assertLess(time.monotonic() - start, 2 + 2.5 * harness.SLOW)
            self.assertNotIn("secret", receiver.said())


def own_names():
    """Starts this program again in namespaces of its own."""
    if os.geteuid() != 0 or os.environ.get(INSIDE):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
        file.write("nameserver 127.0.0.1\n")
    script = f'ip link set lo up && mount --bind {file.name} "$(readlink -f /etc/resolv.conf)" && exec "$@"'
    status = subprocess.run(["unshare", "--mount", "--net", "bash", "-c", script, "bash", sys.executable,
                             os.path.abspath(__file__), *sys.argv[1:]], env={**os.environ, INSIDE: "1"}, check=False).returncode
    os.unlink(file.name)
    sys.exit(status)


if __name__ == "__main__":
    own_names()
    harness.main()
