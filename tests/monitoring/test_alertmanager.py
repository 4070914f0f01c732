#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Alertmanager with the shipped configuration: who waits how long, what mutes what.

The alerts have the labels that the rules give them (rules.py). They come in by the API, as from
Prometheus; a receiver on a free port stands for shortener-alertd.
"""

import datetime
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import harness
import monitoring
import rules
from test_rules import alerts

LATE = 4.0  # seconds that a busy machine may add


def alert(name, **labels):
    """The alert as the rules make it, with other labels where the test says so."""
    own = rules.LABELS.get(name, {"job": "shortener", "instance": "1"})
    return {"labels": {"alertname": name, "severity": alerts()[name][1], **own, **labels}, "annotations": {"summary": name}}


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def names(found):
    return {(a["labels"]["alertname"], a["labels"].get("instance")) for a in found}


class Alertmanager(unittest.TestCase):
    def setUp(self):
        self.context = monitoring.stack()
        self.stack = self.context.__enter__()
        self.addCleanup(self.context.__exit__, None, None, None)
        self.receiver = monitoring.Receiver()
        self.addCleanup(self.receiver.stop)
        self.stack.ports[9097] = self.receiver.port
        if self._testMethodName == "test_resolved_is_sent":
            self.hurry()
        self.server = self.stack.alertmanager()

    def hurry(self):
        """An end is told with the group's next message, a minute later: here two seconds."""
        path = os.path.join(self.stack.etc, "alertmanager.yml")
        with open(path) as file:
            text = file.read()
        self.assertIn("group_interval: 1m", text)
        with open(path, "w") as file:
            file.write(text.replace("group_interval: 1m", "group_interval: 2s"))

    def post(self, *sent):
        """Returns when they were sent."""
        start = time.monotonic()
        begin = now().isoformat()
        status, text = monitoring.ask(self.server.port, "POST", "/api/v2/alerts", [{"startsAt": begin, **a} for a in sent])
        self.assertEqual(status, 200, text)
        return start

    def states(self):
        """{(alert, instance): (state, by how many it is muted)}"""
        status, found = monitoring.ask(self.server.port, "GET", "/api/v2/alerts")
        self.assertEqual(status, 200)
        return {(a["labels"]["alertname"], a["labels"].get("instance")): (a["status"]["state"], len(a["status"]["inhibitedBy"]))
                for a in found}

    def test_who_waits_how_long(self):
        start = self.post(alert("ServiceDown"), alert("ServiceDown", instance="2"), alert("NginxDown"),
                          alert("HostHighCpuUsage"), alert("LogsDropped", instance="3"))
        harness.wait_for(lambda: len(self.receiver.alerts()) == 5, 40, "five alerts")
        waited = {(a["labels"]["alertname"], a["labels"]["instance"]): when - start for when, a in self.receiver.alerts()}
        wanted = {("ServiceDown", "1"): 0, ("ServiceDown", "2"): 0, ("NginxDown", "host"): 5, ("LogsDropped", "3"): 10,
                  ("HostHighCpuUsage", "host"): 15}
        self.assertEqual(set(waited), set(wanted))
        for key, seconds in wanted.items():
            self.assertTrue(seconds - 0.1 <= waited[key] <= seconds + LATE * harness.SLOW, (key, waited[key]))
        # The second instance is told at once too, although ServiceDown has been told already.
        start = self.post(alert("ServiceDown", instance="3"))
        harness.wait_for(lambda: ("ServiceDown", "3") in names(a for _, a in self.receiver.alerts()), LATE, "the third instance")

    def test_what_mutes_what(self):
        self.post(alert("ServiceDown"), alert("HostDiskSpaceCritical"), alert("CertificateExpires"))
        harness.wait_for(lambda: len(self.states()) == 3, what="three alerts")
        muted = [alert("HighErrorRate"), alert("StoreDown"), alert("HostDiskSpaceLow"), alert("CertificateExpiresSoon")]
        heard = [alert("HighErrorRate", instance="2"), alert("HostDiskSpaceLow", instance="other"),
                 alert("HostHighCpuUsage"), alert("CertificateExpiresSoon", instance="other.example:443"), alert("UnitFailed")]
        self.post(*muted, *heard)
        harness.wait_for(lambda: len(self.states()) == 3 + len(muted) + len(heard), what="all alerts")
        wanted = {**{key: ("suppressed", 1) for key in names(muted)}, **{key: ("active", 0) for key in names(heard)}}
        harness.wait_for(lambda: wanted.items() <= self.states().items(), what=f"{wanted}, not {self.states()}")
        # What is muted is not sent: the warnings have come, those are not among them.
        harness.wait_for(lambda: names(heard) <= names(a for _, a in self.receiver.alerts()), 40, "the others")
        self.assertFalse(names(muted) & names(a for _, a in self.receiver.alerts()))

    def test_resolved_is_sent(self):
        self.post(alert("ServiceDown"))
        harness.wait_for(self.receiver.alerts, LATE, "the alert")
        begin, end = now() - datetime.timedelta(seconds=9), now()
        self.post({**alert("ServiceDown"), "startsAt": begin.isoformat(), "endsAt": end.isoformat()})
        harness.wait_for(lambda: self.receiver.alerts("resolved"), 2 + LATE, "the end of it")

    def test_nothing_listens_outside(self):
        pid = self.server.process.pid
        out = subprocess.run(["ss", "-Hltunp"], capture_output=True, text=True, check=True).stdout
        ours = [line.split()[4] for line in out.splitlines() if f"pid={pid}," in line]
        self.assertEqual(ours, [f"127.0.0.1:{self.server.port}"])


class Routes(unittest.TestCase):
    def route(self, *labels):
        path = os.path.join(monitoring.SOURCE, "alertmanager.yml")
        done = subprocess.run(["amtool", "config", "routes", "test", "--config.file=" + path, *labels],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.strip()

    def test_every_alert_has_a_receiver(self):
        for name, (_, severity) in alerts().items():
            self.assertEqual(self.route(f"alertname={name}", f"severity={severity}"), (0, "shortener-alertd"))
        self.assertEqual(self.route("alertname=SomebodysOwn"), (0, "shortener-alertd"))


if __name__ == "__main__":
    harness.main()
