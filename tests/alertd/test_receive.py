#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reception: what was answered is on the disk, whatever its names and bytes; rotation; a full disk."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import alertd
import harness
from alertd import alert, batch

RECEIVED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NAME = re.compile(r"alert_[A-Za-z0-9._-]+\.json")


class Receive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.receiver = alertd.Receiver().start()

    @classmethod
    def tearDownClass(cls):
        cls.receiver.close()

    def setUp(self):
        self.n_lines = len(self.receiver.lines())
        self.before = set(self.receiver.files())

    def new(self):
        """The lines and the evidence since setUp()."""
        files = self.receiver.files()
        return self.receiver.lines()[self.n_lines:], {n: f for n, f in files.items() if n not in self.before}

    def post(self, body, path="/alert"):
        answer = self.receiver.post(body, path)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(set(answer.json), {"received", "status"})
        self.assertEqual(answer.json["status"], "ok")
        self.assertRegex(answer.json["received"], RECEIVED)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        return answer.json["received"]

    def test_any_path(self):
        for path in ("/", "/alert", "/a/b?c=d"):
            self.post(batch(alert()), path)
        lines, files = self.new()
        self.assertEqual((len(lines), len(files)), (3, 3))

    def test_line_and_evidence(self):
        body = batch(alert(description="long", runbook_url="https://example.org/r"))
        received = self.post(body)
        lines, files = self.new()
        self.assertEqual(lines, [{"received_at": received, "alerts": body}])
        ((name, content),) = files.items()
        self.assertRegex(name, r"^alert_ServiceDown_firing_\d{8}T\d{6}\.\d{6}Z\.json$")
        self.assertEqual(content, {"received_at": received, "alert_name": "ServiceDown", "severity": "critical",
                                   "status": "firing", "full_alert": body["alerts"][0]})

    def test_two_of_one_name(self):
        self.post(batch(alert(instance="1"), alert(instance="2")))
        _, files = self.new()
        self.assertEqual(sorted(f["full_alert"]["labels"]["instance"] for f in files.values()), ["1", "2"])

    def test_names(self):
        names = ["../../etc/passwd", "/absolute", "..", ".", "", "x" * 10240, "a\0b", "\U0001F525\U0001F6A8", "näme",
                 "a/b\\c:d*e?f\"g<h>i|j", "\r\n", "alert name", "-rf", "%2e%2e%2f", "CON"]
        self.post(batch(*[alert(name) for name in names]))
        _, files = self.new()
        self.assertEqual(sorted(f["alert_name"] for f in files.values()), sorted(n or "unknown" for n in names))
        for name in files:
            self.assertRegex(name, NAME)
            self.assertLessEqual(len(name), 255)
        self.assertEqual(set(os.listdir(self.receiver.state)), {"evidence", "queue"})
        self.assertEqual(set(os.listdir(self.receiver.folder)), {"log", "state", "journal"})

    def test_same_moment_never_overwrites(self):
        threads = [threading.Thread(target=self.post, args=(batch(alert(number=n), alert(number=-n)),)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines, files = self.new()
        self.assertEqual((len(lines), len(files)), (20, 40))

    def test_a_thousand(self):
        body = batch(*[alert(number=n) for n in range(1000)])
        start = time.monotonic()
        self.post(body)
        print(f"1,000 alerts in one POST: answered in {time.monotonic() - start:.3f} s", flush=True)
        lines, files = self.new()
        self.assertEqual(lines[0]["alerts"], body)
        self.assertEqual(sorted(int(f["full_alert"]["labels"]["number"]) for f in files.values()), list(range(1000)))

    def test_too_many(self):
        """A small body of millions of alerts would fill disk and queue for hours: no sender of ours has that many."""
        with alertd.Receiver() as receiver:
            receiver.start()
            # 503: the machine is so busy that it takes longer than 10 s; asked again, as Alertmanager does.
            harness.wait_for(lambda: receiver.post(b"[" + b"{}," * 3999 + b"{}]").status == 200, 120, "the most to be kept")
            before = (len(receiver.lines()), len(os.listdir(receiver.evidence)))
            self.assertGreaterEqual(before[1], 4000)
            for body in (b"[" + b"{}," * 4000 + b"{}]", b'{"alerts":[' + b"0," * 1000000 + b"0]}"):
                answer = receiver.post(body)
                self.assertEqual((answer.status, answer.json), (413, {"error": "Too many alerts"}))
            receiver.wait_said("a request with more than 4000 alerts: not kept, answered 413")
            self.assertEqual(receiver.post(batch(alert())).status, 200)
            self.assertEqual((len(receiver.lines()), len(os.listdir(receiver.evidence))), (before[0] + 1, before[1] + 1))

    def test_not_json(self):
        bodies = [b"", b"fire!", b"{\"alerts\": [", b"\xff\xfe\0\x80", "gr\u00fc\u00dfe".encode(), b"[" * 100000,
                  b"{" * 65 + b"}" * 65, b'{"a":1e999}', b'{"a\\u0000b": 1}']
        for body in bodies:
            self.post(body)
        lines, files = self.new()
        self.assertEqual(files, {})
        for body, line in zip(bodies, lines):
            raw = line["alerts"]
            if b"\xff" in body:
                self.assertEqual(bytes.fromhex(raw.pop("raw_hex")), body)
                self.assertEqual(raw, {"raw": "\ufffd\ufffd\0\ufffd"})
            else:
                self.assertEqual(raw, {"raw": body.decode()})

    def test_odd_json(self):
        """JSON that is not Alertmanager's is kept as it is, and what looks like an alert is one."""
        bodies = [b"null", b"3", b'"text"', b"{}", b'{"alerts": 7}', b'{"alerts": {}}', b'{"alerts": [1, null, [], {}]}',
                  b'[{"labels": {"alertname": "Listed"}, "status": "firing"}]', b'{"n": 123456789012345678901234567890}',
                  b'{"alerts": [{"labels": {"alertname": 5}, "status": {}}]}', b'{"alerts": [{"labels": "x"}]}']
        for body in bodies:
            self.post(body)
        lines, files = self.new()
        self.assertEqual([line["alerts"] for line in lines], [json.loads(b) if b"1234" not in b else {"n": 1.2345678901234568e29}
                                                              for b in bodies])
        self.assertEqual(sorted(f["alert_name"] for f in files.values()), ["Listed"] + ["unknown"] * 6)

    def test_a_page_of_another_site(self):
        """A browser on this host, which asks nobody before it sends text."""
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            answer = self.receiver.request("POST", "/alert", b'{"alerts":[{"labels":{"alertname":"Forged"}}]}',
                                           headers={"Content-Type": "text/plain", **headers})
            self.assertEqual(answer.status, 403, headers)
        self.assertEqual(self.new(), ([], {}))

    def test_methods(self):
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = self.receiver.request(method, "/alert", b"{}" if method != "DELETE" else None)
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, POST"), method)
        answer = self.receiver.request("HEAD", "/")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(self.receiver.post(b"x" * (16 * 1024 * 1024 + 1)).status, 413)

    def test_page(self):
        before = self.receiver.page()
        self.post(batch(alert(), alert()))
        page = self.receiver.page()
        self.assertEqual(page, {"log_file": self.receiver.log_file, "evidence_dir": self.receiver.evidence, "status": "running",
                                "total_alerts_received": before["total_alerts_received"] + 2, "pending": 0, "forwarded": 0,
                                "failed": 0})
        self.assertEqual(self.receiver.request("GET", "/health").json, {"status": "ok"})

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_metrics(self):
        kept = self.receiver.metric('shortener_alertd_posts_total{result="kept"}')
        raw = self.receiver.metric('shortener_alertd_posts_total{result="raw"}')
        self.post(batch(alert()))
        self.post(b"not JSON")
        text = self.receiver.request("GET", "/metrics").body.decode()
        result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
        self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))
        self.assertEqual(self.receiver.metric('shortener_alertd_posts_total{result="kept"}'), kept + 1)
        self.assertEqual(self.receiver.metric('shortener_alertd_posts_total{result="raw"}'), raw + 1)
        self.assertGreater(self.receiver.metric("shortener_alertd_keep_seconds_total"), 0)
        self.assertGreater(self.receiver.metric("process_resident_memory_bytes"), 1 << 20)

    def test_rotation(self):
        """logrotate's way, and its way with the signal; no line is lost, no file is written on."""
        other = self.receiver.log_file + ".1"
        self.post(b"before")
        os.rename(self.receiver.log_file, other)
        self.post(b"behind a rename")
        self.assertEqual([line["alerts"]["raw"] for line in self.receiver.lines()], ["behind a rename"])
        os.rename(self.receiver.log_file, other)
        os.kill(self.receiver.process.pid, signal.SIGHUP)
        harness.wait_for(lambda: os.path.exists(self.receiver.log_file), what="the log to be opened again")
        self.post(b"behind a signal")
        with open(other) as file:
            self.assertEqual(len(file.readlines()), 1)
        self.assertEqual([line["alerts"]["raw"] for line in self.receiver.lines()], ["behind a signal"])
        with open(self.receiver.log_file, "r+b") as file:
            file.truncate(0)
        self.post(b"behind copytruncate")
        self.assertEqual([line["alerts"]["raw"] for line in self.receiver.lines()], ["behind copytruncate"])


    @unittest.skipIf(os.geteuid() or not shutil.which("logrotate"), "needs root and logrotate")
    def test_logrotate(self):
        """The file that is shipped, with this test's path and root for the service's user."""
        with open(os.path.join(harness.ROOT, "etc", "logrotate", "shortener-alertd")) as file:
            text = file.read()
        self.assertIn("/var/log/shortener/alerts.log {", text)
        text = text.replace("shortener-alertd", "root").replace("/var/log/shortener/alerts.log", self.receiver.log_file)
        folder = tempfile.mkdtemp(prefix="shortener-alertd-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "logrotate")
        with open(path, "w") as file:
            file.write(text)
        for n in range(3):
            self.post(b"rotated %d" % n)
            result = subprocess.run(["logrotate", "-v", "-f", "-s", path + ".state", path], capture_output=True, text=True,
                                    timeout=60, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn("error:", result.stderr)
        self.post(b"behind it")
        self.assertEqual([line["alerts"]["raw"] for line in self.receiver.lines()], ["behind it"])
        with open(self.receiver.log_file + ".1") as file:
            self.assertIn("rotated 2", file.read())
        self.assertTrue(os.path.exists(self.receiver.log_file + ".3.gz"))


class Alone(unittest.TestCase):
    def test_environment(self):
        """Without systemd: the four variables, and 127.0.0.1:9097 unless told otherwise."""
        stand_in = alertd.StandIn()
        folder = tempfile.mkdtemp(prefix="shortener-alertd-")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        process = subprocess.Popen(
            [alertd.PROGRAM, f"--set=Alerts.Listen=127.0.0.1:{port}"], cwd=folder, stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=alertd.environment({"ALERT_LOG": "a.log", "EVIDENCE_DIR": folder + "/e", "GRAFANA_URL": "http://g.example:3000/",
                                    "DISCORD_WEBHOOK_URL": stand_in.url}))
        try:
            def post():
                try:
                    return subprocess.run(["curl", "-sS", "--noproxy", "*", "-d", json.dumps(batch(alert())),
                                           f"http://127.0.0.1:{port}/alert"], capture_output=True, check=True).stdout
                except subprocess.CalledProcessError:
                    return None
            self.assertIn(b'"status":"ok"', harness.wait_for(post, what="an answer"))
            embed = harness.wait_for(stand_in.embeds, what="the message")[0]
            self.assertIn("http://g.example:3000/d/url-shortener-prod", json.dumps(embed))
            with open(folder + "/a.log") as file:
                self.assertEqual(len(file.readlines()), 1)
            self.assertEqual(len(os.listdir(folder + "/e")), 1)
        finally:
            process.terminate()
            self.assertEqual(process.wait(20 * harness.SLOW), 0)
            stand_in.close()
            shutil.rmtree(folder)

    def test_evidence_removed(self):
        """A folder of evidence that somebody has removed is made again: no alert is refused for that."""
        with alertd.Receiver() as receiver:
            receiver.start()
            self.assertEqual(receiver.post(batch(alert("Before"))).status, 200)
            shutil.rmtree(receiver.evidence)
            self.assertEqual(receiver.post(batch(alert("Behind"), alert("Behind"))).status, 200)
            self.assertEqual([f["alert_name"] for f in receiver.files().values()], ["Behind"] * 2)
            # Another one in its place, and nothing to make it in.
            os.rename(receiver.evidence, receiver.evidence + ".old")
            os.mkdir(receiver.evidence, 0o750)
            self.assertEqual(receiver.post(batch(alert("Other"))).status, 200)
            self.assertEqual([f["alert_name"] for f in receiver.files().values()], ["Other"])
            os.rename(receiver.evidence, receiver.evidence + ".older")
            open(receiver.evidence, "w").close()
            self.assertEqual(receiver.post(batch(alert("None"))).status, 503)
            receiver.wait_said("alerts not kept, answered 503: Not a directory")
            os.unlink(receiver.evidence)
            self.assertEqual(receiver.post(batch(alert("Again"))).status, 200)

    def test_one_process_a_queue(self):
        with alertd.Receiver() as one:
            one.start()
            result = subprocess.run([alertd.PROGRAM, "--config=/dev/null", "--set=Alerts.Log=" + one.log_file],
                                    capture_output=True, text=True, timeout=60, check=False,
                                    env=alertd.environment({"STATE_DIRECTORY": one.state}))
            self.assertEqual(result.returncode, 1)
            self.assertIn("another process uses this queue", result.stderr)

    def run_bad(self, *options, **extra):
        result = subprocess.run([alertd.PROGRAM, "--config=/dev/null", *options], capture_output=True, text=True, timeout=60,
                                check=False, env=alertd.environment(extra))
        return result.returncode, result.stderr

    def test_bad_configuration(self):
        with tempfile.TemporaryDirectory() as folder:
            log = f"--set=Alerts.Log={folder}/a.log"
            for status, text, options, extra in (
                    (78, "Forward=: this value", ["--set=Alerts.Forward=discord:ftp://secret"], {}),
                    (78, "no such credential", [log, f"--set=Alerts.Evidence={folder}/e", "--set=Alerts.Forward=json:@none"], {}),
                    (78, "Evidence=", [log], {}),
                    (78, "DISCORD_WEBHOOK_URL", [log, f"--set=Alerts.Evidence={folder}/e"], {"DISCORD_WEBHOOK_URL": "secret"}),
                    (78, "twice", [log, f"--set=Alerts.Evidence={folder}/e", "--set=Alerts.Forward=json:http://secret/ json:http://secret/"],
                     {}),
                    (1, "/dev/full", ["--set=Alerts.Log=/dev/full", f"--set=Alerts.Evidence={folder}/e",
                                      f"--set=Alerts.Queue={folder}/q"], {}),
                    (2, "unexpected argument", ["x"], {})):
                found, said = self.run_bad(*options, **extra)
                self.assertEqual(found, status, (options, said))
                self.assertIn(text, said)
                self.assertNotIn("secret", said)

    @unittest.skipIf(os.geteuid(), "needs root to mount")
    def test_full_disk(self):
        """503, nothing half kept, nothing claimed; and when there is room again, all goes on."""
        folder = tempfile.mkdtemp(prefix="shortener-tmpfs-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "alerts", folder], check=True)
        try:
            with alertd.forwarding(folder=folder) as (stand_in, receiver):
                receiver.start()
                statuses, kept = [], 0
                for n in range(400):
                    statuses.append(receiver.post(batch(alert(number=n, description="x" * 5000), alert(number=n))).status)
                    if statuses[-1] == 503 and statuses.count(503) >= 5:
                        break
                self.assertEqual(set(statuses), {200, 503})
                kept = statuses.count(200)
                self.assertEqual(len(receiver.lines()), kept)
                self.assertEqual(len(receiver.files()), 2 * kept)
                self.assertEqual(receiver.page()["total_alerts_received"], 2 * kept)
                receiver.wait_said("alerts not kept, answered 503: No space left on device")
                harness.wait_for(lambda: len(stand_in.embeds()) == 2 * kept, 60, "what was kept to be forwarded")
                for name in list(receiver.files())[:50]:
                    os.unlink(os.path.join(receiver.evidence, name))
                self.assertEqual(receiver.post(batch(alert("Room"))).status, 200)
                harness.wait_for(lambda: len(stand_in.embeds()) == 2 * kept + 1, what="the alert after it")
                self.assertEqual(receiver.metric('shortener_alertd_posts_total{result="refused"}'), statuses.count(503))
                self.assertEqual(receiver.stop(), 0)
                receiver.start()
                self.assertEqual(receiver.page()["forwarded"], 2 * kept + 1)
        finally:
            subprocess.run(["umount", folder], check=True)
            os.rmdir(folder)


if __name__ == "__main__":
    harness.main()
