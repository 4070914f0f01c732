#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Alertmanager, on ports and in a folder of its own: an alert starts, is told again, and ends."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import alertd
import harness
from alertd import forwarding

CONFIGURATION = """
global: {{resolve_timeout: 5m}}
route: {{receiver: alertd, group_by: [alertname, severity], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers:
- name: alertd
  webhook_configs:
  - {{url: 'http://127.0.0.1:{port}/alert', send_resolved: true}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Alertmanager:
    def __init__(self, port):
        self.folder = tempfile.mkdtemp(prefix="shortener-alertmanager-")
        self.port = free_port()
        path = os.path.join(self.folder, "alertmanager.yml")
        with open(path, "w") as file:
            file.write(CONFIGURATION.format(port=port))
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            ["prometheus-alertmanager", "--config.file=" + path, "--storage.path=" + self.folder + "/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
            env=alertd.environment(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        harness.wait_for(self.is_up, 30, "Alertmanager")

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()

    def is_up(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/-/ready") == 200

    def tell(self, *alerts):
        assert self.request("POST", "/api/v2/alerts", json.dumps(alerts)) == 200

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@unittest.skipUnless(shutil.which("prometheus-alertmanager"), "prometheus-alertmanager is not installed")
class Real(unittest.TestCase):
    def setUp(self):
        self.alert = {"labels": {"alertname": "ServiceDown", "severity": "critical", "instance": "2"},
                      "annotations": {"summary": "Instance 2 is down"}, "startsAt": stamp(-60), "endsAt": stamp(600)}

    def test_start_and_end(self):
        with forwarding() as (stand_in, receiver):
            receiver.start()
            manager = Alertmanager(receiver.port)
            try:
                start = time.monotonic()
                manager.tell(self.alert)
                harness.wait_for(lambda: len(stand_in.embeds()) == 1, 20, "the start")
                print(f"from Alertmanager's API to the stand-in: {time.monotonic() - start:.3f} s", flush=True)
                self.alert["endsAt"] = stamp(-1)
                manager.tell(self.alert)
                harness.wait_for(lambda: len(stand_in.embeds()) == 2, 20, "the end")
                firing, resolved = stand_in.embeds()
                self.assertEqual((firing["title"], resolved["title"]),
                                 ("\U0001F6A8 ServiceDown [FIRING]", "\u2705 ServiceDown [RESOLVED]"))
                self.assertEqual((firing["color"], resolved["color"]), (0xFF0000, 0x00FF00))
                self.assertEqual(firing["description"], "Instance 2 is down")
                files = sorted(receiver.files().values(), key=lambda f: f["received_at"])
                self.assertEqual([(f["alert_name"], f["severity"], f["status"]) for f in files],
                                 [("ServiceDown", "critical", "firing"), ("ServiceDown", "critical", "resolved")])
                self.assertEqual([line["alerts"]["receiver"] for line in receiver.lines()], ["alertd", "alertd"])
            finally:
                manager.close()

    def test_receiver_is_killed(self):
        """Alertmanager sends while there is no receiver: the socket waits, and nothing comes twice."""
        with forwarding() as (stand_in, receiver):
            receiver.start()
            manager = Alertmanager(receiver.port)
            try:
                receiver.kill()
                manager.tell(self.alert)
                receiver.start()
                # Forwarded and recorded: a kill between the two would be the one case that repeats.
                harness.wait_for(lambda: receiver.page()["forwarded"] == 1, 60, "the start")
                self.alert["endsAt"] = stamp(-1)
                receiver.kill()
                manager.tell(self.alert)
                receiver.start()
                harness.wait_for(lambda: len(stand_in.embeds()) == 2, 60, "the end")
                self.assertEqual([e["title"].split()[-1] for e in stand_in.embeds()], ["[FIRING]", "[RESOLVED]"])
            finally:
                manager.close()


if __name__ == "__main__":
    harness.main()
