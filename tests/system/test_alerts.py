# SPDX-License-Identifier: MIT
"""From a cause to a message: the provisioned machine's own Prometheus, Alertmanager and shortener-alertd,
and a stand-in for Discord on its loopback."""

import collections
import contextlib
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import stage as stages
from machine import wait_for
from stage import LONG, Check, note

DISCORD = Path(__file__).with_name("discord.py")
PORT = 9777
WEBHOOK = f"http://127.0.0.1:{PORT}/api/webhooks/1/a-secret-token"
EVIDENCE = "/var/lib/shortener-alertd/evidence"
LOG = "/var/log/shortener/alerts.log"
DROP_IN = "/etc/shortener/alertd.conf.d/90-test.conf"
CREDENTIAL = "/etc/credstore/shortener.discord-webhook"
# What docs/alert-pipeline.md tells an administrator to type.
SET_CREDENTIAL = f"install -D -m 0600 /dev/stdin {CREDENTIAL} && systemctl restart shortener-alertd"

DOWN_SECONDS = 20.0   # promised: from the cause to the message
UP_SECONDS = 90.0     # group_interval is 1 min; a scrape, an evaluation and a flush are beside it
SLOW_ANSWER = 3.0     # seconds; a POST that waited for a target would take 5 or more


def fields(embed):
    return {field["name"]: field["value"] for field in embed["fields"]}


def seconds_of(text):
    """Of the epoch: "2026-01-02 03:04:05 UTC" as Discord shows it, "2026-01-02T03:04:05.678901Z" as files have it."""
    for form in ("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%dT%H:%M:%S.%fZ"):
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc).timestamp()
    raise AssertionError(f"no time: {text}")


class Alerts(Check):
    @classmethod
    def setUpClass(cls):
        machine = stages.stage.machine
        cls.file = machine.folder / "discord"
        cls.file.touch()
        cls.discord = None
        cls.begin_discord()
        machine.write(DROP_IN, "[Alerts]\nGrafanaURL=http://grafana.example:3000\n")
        machine.run(SET_CREDENTIAL, stdin=WEBHOOK)

    @classmethod
    def tearDownClass(cls):
        stages.stage.machine.run(f"rm -f {DROP_IN} {CREDENTIAL}; systemctl restart shortener-alertd")
        cls.end_discord()
        cls.file.unlink()

    @classmethod
    def begin_discord(cls):
        command = stages.stage.machine.enter("--net") + [sys.executable, str(DISCORD), str(PORT), str(cls.file)]
        cls.discord = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for(lambda: cls.mode("take"), 20, "the stand-in to listen")

    @classmethod
    def end_discord(cls):
        cls.discord.kill()
        cls.discord.wait()

    @classmethod
    def mode(cls, mode):
        done = stages.stage.machine.run(["curl", "-sf", "-X", "PUT", "-d", mode, f"http://127.0.0.1:{PORT}/"], check=False)
        return done.returncode == 0

    def setUp(self):
        self.assertTrue(self.mode("take"))
        self.start_all()
        self.wait_active("shortener-alertd.service", "prometheus.service", "prometheus-alertmanager.service")
        wait_for(lambda: self.page()["pending"] == 0, 60, "nothing to be forwarded")
        wait_for(lambda: not self.firing(), 120, "no alert of an instance that is down")
        self.since = time.time()

    # ---- what the parts say ----

    def get(self, url):
        return json.loads(self.machine.out(["curl", "-s", "--max-time", "10", url]))

    def page(self):
        """shortener-alertd's own."""
        return self.get("http://127.0.0.1:9097/")

    def firing(self):
        """ServiceDown at Alertmanager, or pending at Prometheus."""
        answer = self.get("http://127.0.0.1:9090/api/v1/alerts")
        at_prometheus = [a for a in answer["data"]["alerts"] if a["labels"]["alertname"] == "ServiceDown"]
        at_manager = [a for a in self.get("http://127.0.0.1:9093/api/v2/alerts") if a["labels"]["alertname"] == "ServiceDown"]
        return at_prometheus + at_manager

    def messages(self):
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return [one for one in map(json.loads, lines) if one["at"] >= self.since]

    def embeds(self, name, status, instance=None, answers=(204,)):
        """[(time, embed)] that the stand-in answered with one of these."""
        return [(message["at"], embed) for message in self.messages() if message["status"] in answers
                for embed in message["body"]["embeds"] if f" {name} [{status}]" in embed["title"]
                and instance in (None, fields(embed)["Instance"])]

    def evidence(self, name, status, instance):
        """[(seconds of the epoch when it was received, file name)]"""
        found = []
        for path in self.machine.path(EVIDENCE).glob(f"alert_{name}_{status}_*.json"):
            one = json.loads(path.read_text(encoding="utf-8"))
            when = seconds_of(one["received_at"])
            if when >= self.since and one["full_alert"]["labels"]["instance"] == instance:
                self.assertEqual((one["alert_name"], one["status"]), (name, status))
                found.append((when, path.name))
        return found

    def logged(self, name, status, instance):
        """Alerts in the log."""
        lines = self.machine.path(LOG).read_text(encoding="utf-8").splitlines()
        return [alert for line in map(json.loads, lines) if seconds_of(line["received_at"]) >= self.since
                for alert in line["alerts"]["alerts"]
                if (alert["labels"]["alertname"], alert["status"], alert["labels"]["instance"]) == (name, status, instance)]

    # ---- the path as a whole ----

    def stop(self, n):
        """The cause; returns when."""
        begin = time.time()
        self.machine.run(f"shortenerctl stop {n}")
        self.addCleanup(self.start_all)
        return begin

    def test_start_and_end(self):
        """The shipped timers, rules and routes, nothing hurried."""
        cause = self.stop(2)
        ((told, firing),) = wait_for(lambda: self.embeds("ServiceDown", "FIRING", "2"), 60, "the message")
        ((kept, _),) = self.evidence("ServiceDown", "firing", "2")
        note(f"ServiceDown: from `shortenerctl stop 2` to the receiver's disk {kept - cause:.1f} s, to Discord {told - cause:.1f} s")
        self.assertLessEqual(told - cause, DOWN_SECONDS)
        self.assertEqual(firing["title"], "\U0001F6A8 ServiceDown [FIRING]")
        self.assertEqual((firing["color"], firing["description"]), (0xFF0000, "Instance 2 is down"))
        shown = fields(firing)
        self.assertEqual((shown["Severity"], shown["Status"]), ("critical", "firing"))
        self.assertEqual(shown["Dashboard"], "[Open dashboard](http://grafana.example:3000/d/url-shortener-prod)")
        self.assertEqual(shown["Runbook"], "runbook.md#servicedown")
        started = seconds_of(shown["Started"])
        self.assertTrue(cause - 1 <= started <= told, (cause, shown["Started"], told))
        self.assertEqual(firing["footer"], {"text": "shortener-alertd"})

        over = time.time()
        self.machine.run("shortenerctl start 2")
        ((told, resolved),) = wait_for(lambda: self.embeds("ServiceDown", "RESOLVED", "2"), UP_SECONDS + 30, "the end")
        ((kept, _),) = self.evidence("ServiceDown", "resolved", "2")
        note(f"its end: from `shortenerctl start 2` to the receiver's disk {kept - over:.1f} s, to Discord {told - over:.1f} s")
        self.assertLessEqual(told - over, UP_SECONDS)
        self.assertEqual((resolved["title"], resolved["color"]), ("\u2705 ServiceDown [RESOLVED]", 0x00FF00))
        shown = fields(resolved)
        self.assertEqual((shown["Status"], seconds_of(shown["Started"])), ("resolved", started))
        self.assertTrue(started < seconds_of(shown["Resolved"]) <= told, shown)
        self.assertEqual(len(self.embeds("ServiceDown", "FIRING", "2")), 1)
        for status in ("firing", "resolved"):
            self.assertEqual(len(self.logged("ServiceDown", status, "2")), 1)

    if LONG:  # it waits for a minute; alertd/kill kills it too, on a machine of its own
        def test_killed_between_reception_and_forwarding(self):
            """The stand-in has the message and does not answer: it is on the disk, and not taken."""
            self.mode("hang")
            self.stop(3)
            wait_for(lambda: self.embeds("ServiceDown", "FIRING", "3", answers=(0,)), 60, "the message to be under way")
            self.assertEqual(len(self.evidence("ServiceDown", "firing", "3")), 1)
            pid = int(self.machine.property("shortener-alertd.service", "MainPID"))
            self.machine.run(f"kill -KILL {pid}")
            wait_for(lambda: int(self.machine.property("shortener-alertd.service", "MainPID")) not in (0, pid), 15,
                     "systemd to start it again")  # fmt: skip
            self.assertEqual(self.embeds("ServiceDown", "FIRING", "3"), [])
            killed = time.time()
            self.mode("take")
            ((told, _),) = wait_for(lambda: self.embeds("ServiceDown", "FIRING", "3"), 40, "what was received before the kill")
            note(f"kill -9 of shortener-alertd between reception and forwarding: the message came {told - killed:.1f} s after the target was well")
            self.machine.run("shortenerctl start 3")
            wait_for(lambda: self.embeds("ServiceDown", "RESOLVED", "3"), UP_SECONDS + 30, "the end")
            wait_for(lambda: self.page()["pending"] == 0, 20, "nothing to be forwarded")
            for status in ("firing", "resolved"):
                self.assertEqual(len(self.embeds("ServiceDown", status.upper(), "3")), 1, "nothing lost, nothing twice")
                self.assertEqual(len(self.evidence("ServiceDown", status, "3")), 1)

    # ---- what Discord shows ----

    def tell(self, *labels):
        """To Alertmanager, as Prometheus does; over in ten minutes."""
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=10)
        alerts = [{"labels": one, "annotations": {"summary": f"{one['alertname']} of a test"}, "endsAt": end.isoformat()} for one in labels]
        self.machine.run(["curl", "-sf", "-H", "Content-Type: application/json", "-d", json.dumps(alerts),
                          "http://127.0.0.1:9093/api/v2/alerts"])  # fmt: skip

    def files_of_etc(self):
        return set(self.machine.out("find /etc").split("\n"))

    def test_each_look_and_a_hostile_name(self):
        hostile = "../../../etc/\U0001F525" + "x" * 10240
        looks = {"LookCritical": ("critical", "\U0001F6A8", 0xFF0000), "LookWarning": ("warning", "\u26A0\uFE0F", 0xFFA500),
                 "LookInfo": ("info", "\u2139\uFE0F", 0x3498DB)}
        before = self.files_of_etc()
        self.tell(*[{"alertname": name, "severity": severity, "instance": "9"} for name, (severity, _, _) in looks.items()],
                  {"alertname": hostile, "severity": "critical", "instance": "9"})  # fmt: skip
        for name, (severity, symbol, colour) in looks.items():
            ((_, embed),) = wait_for(lambda n=name: self.embeds(n, "FIRING", "9"), 60, name)
            self.assertEqual((embed["title"], embed["color"]), (f"{symbol} {name} [FIRING]", colour))
            self.assertEqual((embed["description"], fields(embed)["Severity"]), (f"{name} of a test", severity))
        wait_for(lambda: self.page()["pending"] == 0, 20, "all of them to be forwarded")
        titles = [e["title"] for m in self.messages() if m["status"] == 204 for e in m["body"]["embeds"]]
        self.assertEqual(len([t for t in titles if "../../../etc/\U0001F525" in t]), 1)
        self.assertLessEqual(max(map(len, titles)), 256)
        found = [p.name for p in self.machine.path(EVIDENCE).iterdir() if "etc" in p.name and "xxx" in p.name]
        self.assertEqual(len(found), 1, "its evidence is in its folder")
        self.assertRegex(found[0], r"^alert_[A-Za-z0-9._-]+_firing_\d{8}T\d{6}\.\d{6}Z\.json$")
        self.assertEqual(self.files_of_etc(), before)

    # ---- targets in trouble ----

    def post(self, mark, n):
        """n alerts, one after the other, straight to the receiver; seconds of the slowest."""
        took = []
        for i in range(n):
            body = {"version": "4", "status": "firing", "alerts": [{
                "status": "firing", "labels": {"alertname": "Trouble", "severity": "info", "instance": f"{mark}-{i}"},
                "annotations": {"summary": "in trouble"}, "startsAt": "2026-01-02T03:04:05Z"}]}  # fmt: skip
            out = self.machine.out(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "--max-time", "30",
                                    "-d", json.dumps(body), "http://127.0.0.1:9097/alert"])  # fmt: skip
            status, seconds = out.split(" ")
            self.assertEqual(status, "200", mark)
            took.append(float(seconds))
        return max(took)

    def tried(self, status):
        """How many messages were answered like that."""
        return sum(message["status"] == status for message in self.messages())

    def test_reception_is_never_delayed(self):
        """By a target that is slow, hangs, answers 429 or 500, or is away; and it gets all of it afterwards, once."""
        n = 8
        longest = {"take": self.post("take", n)}
        for mode, status in (("slow", 204), ("hang", 0), ("429", 429), ("500", 500)):
            asked = self.tried(status)
            self.assertTrue(self.mode(mode))
            longest[mode] = self.post(mode, n)
            wait_for(lambda s=status, a=asked: self.tried(s) > a, 30, f"the stand-in to be asked while it is in mode {mode}")
        self.end_discord()
        longest["away"] = self.post("away", n)
        self.begin_discord()
        note("the slowest of 8 POSTs to shortener-alertd while its target: " + ", ".join(f"{m} {s * 1000:.0f} ms" for m, s in longest.items()))
        self.assertLess(max(longest.values()), SLOW_ANSWER)
        wanted = {f"{mode}-{i}" for mode in longest for i in range(n)}
        wait_for(lambda: self.page()["pending"] == 0, 120, "all to be forwarded", pause=0.5)
        counts = collections.Counter(fields(embed)["Instance"] for _, embed in self.embeds("Trouble", "FIRING"))
        self.assertEqual(counts, collections.Counter(wanted))
