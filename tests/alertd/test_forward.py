#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Forwarding: what Discord gets, and that a target which is slow, down or full of errors delays
nobody, loses nothing and gets nothing twice."""

import json
import os
import signal
import socket
import statistics
import threading
import time
import unittest

import alertd
import harness
from alertd import alert, batch, forwarding, hang, status

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))


# What Discord takes for nothing at the ends of a text; a field with nothing in it is refused.
BLANK = " \t\n\r\u00a0\u2003\u200b\u3000\ufeff"


def units(text):
    """Characters as UTF-16 counts them."""
    return len(text.encode("utf-16-le")) // 2


def size(embed):
    return sum(map(units, [embed["title"], embed["description"], embed["footer"]["text"],
                           *[f["name"] + f["value"] for f in embed["fields"]]]))


def fields(embed):
    return {f["name"]: f["value"] for f in embed["fields"]}


class Discord(unittest.TestCase):
    def sent(self, *alerts, options=()):
        with forwarding(options=options) as (stand_in, receiver):
            receiver.start()
            self.assertEqual(receiver.post(batch(*alerts)).status, 200)
            harness.wait_for(lambda: len(stand_in.embeds()) == len(alerts), 60, "all alerts at the stand-in")
            harness.wait_for(lambda: receiver.page()["forwarded"] == len(alerts), what="all alerts counted")
            self.assertEqual(receiver.page()["pending"], 0)
            self.messages = [body for _, _, _, body in stand_in.requests]
            self.requests = stand_in.requests
            return stand_in.embeds()

    def check_limits(self):
        for message in self.messages:
            self.assertLessEqual(len(message["embeds"]), 10)
            self.assertLessEqual(sum(map(size, message["embeds"])), 6000)
            self.assertEqual(message["allowed_mentions"], {"parse": []})
            for embed in message["embeds"]:
                self.assertTrue(0 < units(embed["title"]) <= 256)
                self.assertTrue(0 < units(embed["description"]) <= 4096 and embed["description"].strip(BLANK))
                self.assertLessEqual(len(embed["fields"]), 25)
                for field in embed["fields"]:
                    self.assertTrue(0 < units(field["name"]) <= 256 and field["name"].strip())
                    self.assertTrue(0 < units(field["value"]) <= 1024 and field["value"].strip(BLANK))
                text = json.dumps(embed)
                self.assertNotIn("\\u0000", text)

    def test_looks(self):
        looks = [("critical", "firing", 0xFF0000, "\U0001F6A8"), ("warning", "firing", 0xFFA500, "\u26A0\uFE0F"),
                 ("info", "firing", 0x3498DB, "\u2139\uFE0F"), ("critical", "resolved", 0x00FF00, "\u2705"),
                 ("odd", "firing", 0x3498DB, "\u2139\uFE0F")]
        embeds = self.sent(*[alert(severity=sev, status=st) for sev, st, _, _ in looks])
        for embed, (sev, st, colour, symbol) in zip(embeds, looks):
            self.assertEqual(embed["title"], f"{symbol} ServiceDown [{st.upper()}]")
            self.assertEqual(embed["color"], colour)
            self.assertEqual((fields(embed)["Severity"], fields(embed)["Status"]), (sev, st))
        self.assertEqual(self.requests[0][2]["Content-Type"], "application/json")

    def test_fields(self):
        firing, resolved, bare = self.sent(
            alert(summary="What it is", description="More", runbook_url="https://example.org/runbook"),
            alert(status="resolved", summary="", description="Only this"), {"status": "firing", "labels": {}},
            options=["Alerts.GrafanaURL=https://grafana.example/"])
        self.assertEqual(firing["description"], "What it is")
        link = "[Open dashboard](https://grafana.example/d/url-shortener-prod)"
        self.assertEqual(fields(firing), {
            "Severity": "critical", "Instance": "2", "Status": "firing", "Started": "2026-01-02 03:04:05 UTC",
            "Dashboard": link, "Runbook": "[What to do](https://example.org/runbook)"})
        self.assertEqual(resolved["description"], "Only this")
        self.assertEqual(fields(resolved)["Resolved"], "2026-01-02 03:09:10 UTC")
        self.assertEqual(firing["footer"], {"text": "shortener-alertd"})
        self.assertEqual(bare["title"], "\u2139\uFE0F unknown [FIRING]")
        self.assertEqual(fields(bare), {"Severity": "-", "Instance": "-", "Status": "firing", "Started": "-", "Dashboard": link})
        self.check_limits()

    def test_limits(self):
        wide = "\U0001F525" * 3000
        self.sent(*[alert("n" * 10240, summary="s" * 9999), alert(wide, summary=wide, instance=wide),
                    alert("a\0b", summary="\0\x01\x7f", instance="\0"), alert("x", summary=" \n\t "),
                    alert("\u3000", summary="\u00a0\u200b\u3000", instance="\u2003\ufeff"),
                    alert("r", runbook_url="https://example.org/" + "r" * 2000),
                    alert("r", runbook_url="javascript:alert(1)")], *[alert(number=n, summary="y" * 1500) for n in range(20)],
                  {"status": "firing", "labels": "text"}, 7, None, [])
        self.check_limits()

    def test_a_thousand(self):
        embeds = self.sent(*[alert(instance=str(n)) for n in range(1000)])
        self.assertEqual([fields(e)["Instance"] for e in embeds], [str(n) for n in range(1000)])
        self.assertEqual(len(self.messages), 100)
        self.check_limits()


class Targets(unittest.TestCase):
    def test_generic_webhook(self):
        with forwarding(kind="json") as (stand_in, receiver):
            receiver.start()
            receiver.post(batch(*[alert(number=n) for n in range(150)]))
            receiver.post(batch(alert(status="resolved")))
            harness.wait_for(lambda: len(stand_in.alerts()) == 151, what="all alerts")
            ids = [a.pop("alert_id") for a in stand_in.alerts()]
            self.assertEqual(len(set(ids)), 151)
            first = {**stand_in.alerts()[0]}
            self.assertRegex(first.pop("received_at"), r"\.\d{6}Z$")
            self.assertEqual(first, alert(number=0))
            bodies = [body for _, _, _, body in stand_in.requests]
            self.assertTrue(all(len(b["alerts"]) <= 100 and b["version"] == "4" for b in bodies))
            self.assertEqual((bodies[0]["status"], bodies[-1]["alerts"][-1]["status"]), ("firing", "resolved"))

    def test_each_has_its_own_queue(self):
        """One that is down delays no other, and gets everything when it is back."""
        slow, down = alertd.StandIn([hang]), alertd.StandIn([status(500)] * 3)
        with forwarding(options=[f"Alerts.Forward=json:{slow.url} discord:{down.url}", "Alerts.Timeout=1s"]) as (quick, receiver):
            receiver.start()
            receiver.post(batch(*[alert(number=n) for n in range(5)]))
            harness.wait_for(lambda: len(quick.embeds()) == 5, 3, "the quick one")
            self.assertEqual((slow.alerts(), down.embeds()), ([], []))
            harness.wait_for(lambda: len(slow.alerts()) == 5 and len(down.embeds()) == 5, 30, "the others")
            harness.wait_for(lambda: receiver.page()["forwarded"] == 15, what="all counted")
            self.assertEqual(sorted({a["labels"]["number"] for a in slow.alerts()}), list("01234"))
            self.assertEqual(len(down.tries), 4)
        slow.close()
        down.close()

    def test_credential(self):
        stand_in = alertd.StandIn()
        with alertd.Receiver() as receiver:
            folder = os.path.join(receiver.own, "credentials")
            os.mkdir(folder)
            with open(os.path.join(folder, "shortener.discord-webhook"), "w") as file:
                file.write(stand_in.url + "\n")
            receiver.extra["CREDENTIALS_DIRECTORY"] = folder
            receiver.start()
            receiver.post(batch(alert()))
            harness.wait_for(stand_in.embeds, what="the message")
            self.assertEqual(receiver.metric('shortener_alertd_target_up{target="discord-webhook"}'), 1)
            # Another URL is the same target: what it has had it does not get again.
            receiver.stop()
            other = alertd.StandIn()
            with open(os.path.join(folder, "shortener.discord-webhook"), "w") as file:
                file.write(other.url)
            receiver.start()
            receiver.post(batch(alert("Second")))
            harness.wait_for(other.embeds, what="the second message")
            self.assertEqual(len(other.embeds()), 1)
            self.assertNotIn("secret", receiver.said())
            other.close()
        stand_in.close()

    def test_dashboard_by_reload(self):
        with forwarding() as (stand_in, receiver):
            path = os.path.join(receiver.own, "alertd.conf")
            open(path, "w").close()
            receiver.wrapper = ["/bin/sh", "-c", 'p=$1; shift 2; exec "$p" --config="$0" "$@"', path]
            receiver.start()
            with open(path, "w") as file:
                file.write("[Alerts]\nGrafanaURL=http://new.example\nQueueSize=32M\n")
            os.kill(receiver.process.pid, signal.SIGHUP)
            harness.wait_for(lambda: "reloaded, changed: Alerts.GrafanaURL" in receiver.said(), what="the reload")
            receiver.wait_said("needs a restart: Alerts.QueueSize")
            receiver.post(batch(alert()))
            harness.wait_for(stand_in.embeds, what="the message")
            self.assertIn("http://new.example/d/", fields(stand_in.embeds()[0])["Dashboard"])
            with open(path, "w") as file:
                file.write("[Alerts]\nGrafanaURL=nonsense\n")
            os.kill(receiver.process.pid, signal.SIGHUP)
            harness.wait_for(lambda: "not reloaded, the old one stays" in receiver.said(), what="the refusal")


class Trouble(unittest.TestCase):
    def run_with(self, answers, n=3, options=(), seconds=40):
        """n batches against these answers; returns the tries."""
        with forwarding(answers, options=options) as (stand_in, receiver):
            receiver.start()
            for i in range(n):
                self.assertEqual(receiver.post(batch(alert(number=i, summary=str(i)))).status, 200)
            harness.wait_for(lambda: len(stand_in.embeds()) == n, seconds, "all alerts")
            harness.wait_for(lambda: receiver.page()["forwarded"] == n, what="all counted")
            self.assertEqual([e["description"] for e in stand_in.embeds()], [str(i) for i in range(n)])
            self.assertEqual((receiver.page()["pending"], receiver.page()["failed"]), (0, 0))
            receiver.wait_said("takes alerts again")
            self.said = receiver.said()
            return stand_in.tries

    def test_429(self):
        tries = self.run_with([status(429, Retry_After="3")])
        self.assertGreaterEqual(tries[1][0] - tries[0][0], 3.0)
        self.assertLess(tries[1][0] - tries[0][0], 3.0 * 1.1 + 2 * harness.SLOW)

    def test_429_says_when_in_its_body(self):
        """Discord's JSON has the exact time; it counts when the header is missing or says less."""
        for header in ({}, {"Retry_After": "1"}):
            tries = self.run_with([status(429, b'{"message": "slow", "retry_after": 2.75, "global": false}', **header)], n=1)
            self.assertGreaterEqual(tries[1][0] - tries[0][0], 2.75)
            self.assertLess(tries[1][0] - tries[0][0], 2.75 * 1.1 + 2 * harness.SLOW)

    def test_429_with_nonsense(self):
        """What is no number, or not from a 429, is no time to wait."""
        bodies = (b'{"retry_after": "60"}', b'{"retry_after": -60}', b'{"retry_after": true}', b"[" * 5000, b"60", b"{")
        for body in bodies:
            tries = self.run_with([status(429, body)], n=1)
            self.assertLess(tries[1][0] - tries[0][0], 1.5 + 2 * harness.SLOW, body)
        tries = self.run_with([status(500, b'{"retry_after": 60}')], n=1)
        self.assertLess(tries[1][0] - tries[0][0], 1.5 + 2 * harness.SLOW)

    def test_taken_but_the_body_is_missing(self):
        """2xx is 2xx, whatever becomes of the rest of the answer: nothing is sent twice."""
        def cut(handler, stand_in):
            status(200, Content_Length="1000")(handler, stand_in)
            handler.wfile.flush()
            handler.close_connection = True

        def stall(handler, stand_in):
            status(200, Content_Length="1000")(handler, stand_in)
            handler.wfile.flush()
            hang(handler, stand_in)

        with forwarding([cut, stall, status(204, Connection="close")], options=["Alerts.Timeout=1s"]) as (stand_in, receiver):
            receiver.start()
            for n in range(3):
                receiver.post(batch(alert(summary=str(n))))
                harness.wait_for(lambda: receiver.page()["forwarded"] == n + 1, 20, "it to be counted")
            self.assertEqual([e["description"] for e in stand_in.embeds()], ["0", "1", "2"])
            self.assertNotIn("not taken", receiver.said())
            # The next one is judged by its own answer.
            stand_in.close()
            receiver.post(batch(alert()))
            receiver.wait_said("not taken: Couldn't connect to server")
            self.assertEqual(receiver.page()["pending"], 1)

    def test_500(self):
        tries = self.run_with([status(500), status(502), status(503)])
        waits = [b[0] - a[0] for a, b in zip(tries[:4], tries[1:4])]
        for found, least in zip(waits, (0.5, 1.0, 2.0)):
            self.assertTrue(least <= found < 3 * least + 2 * harness.SLOW, waits)
        self.assertIn("not taken: HTTP status 500; tried again", self.said)
        self.assertEqual(self.said.count("not taken"), 1)

    def test_deleted_and_moved(self):
        """404 and 401 may be mended, a redirection is not followed."""
        tries = self.run_with([status(404), status(401), status(301, Location="http://127.0.0.1:1/")], n=1)
        self.assertEqual(len(tries), 4)

    def test_timeout(self):
        tries = self.run_with([hang], n=2, options=["Alerts.Timeout=1s"])
        self.assertGreaterEqual(tries[1][0] - tries[0][0], 1.5)

    def test_down(self):
        with forwarding() as (stand_in, receiver):
            stand_in.close()
            receiver.start()
            receiver.post(batch(alert()))
            harness.wait_for(lambda: "not taken: Couldn't connect to server" in receiver.said(), what="the failure")
            self.assertEqual(receiver.page()["pending"], 1)
            self.assertEqual([v for v in [receiver.metric("shortener_alertd_target_up")]], [0])

    def test_bad_one_among_good_ones(self):
        """A message that is refused for good is sent alert by alert, and only the bad one is given up."""
        def judge(handler, stand_in):
            bad = any(e["description"] == "bad" for e in stand_in.tries[-1][3]["embeds"])
            status(400 if bad else 204)(handler, stand_in)
        with forwarding([judge] * 50) as (stand_in, receiver):
            receiver.start()
            receiver.post(batch(*[alert(summary="bad" if n == 4 else str(n)) for n in range(8)]))
            harness.wait_for(lambda: receiver.page()["pending"] == 0, 30, "the queue to empty")
            self.assertEqual((receiver.page()["forwarded"], receiver.page()["failed"]), (7, 1))
            self.assertEqual([e["description"] for e in stand_in.embeds()], list("0123567"))
            receiver.wait_said("1 alerts given up: refused with HTTP status 400")

    def test_give_up(self):
        with forwarding([status(500)] * 5, options=["Alerts.GiveUp=2s"]) as (stand_in, receiver):
            receiver.start()
            receiver.post(batch(alert("Old"), alert("Old")))
            harness.wait_for(lambda: receiver.page()["failed"] == 2, 30, "the old ones to be given up")
            stand_in.answers.clear()
            receiver.post(batch(alert("New")))
            harness.wait_for(lambda: receiver.page()["forwarded"] == 1, 30, "the new one")
            self.assertEqual(len(receiver.files()), 3)

    def test_give_up_over_a_stop(self):
        """What became too old while the receiver was stopped is not sent either."""
        with forwarding([status(500)] * 100, options=["Alerts.GiveUp=2s"]) as (stand_in, receiver):
            receiver.start()
            receiver.post(batch(alert("Old"), alert("Old")))
            old = time.monotonic()
            harness.wait_for(lambda: stand_in.tries, what="a try")
            receiver.kill()
            stand_in.answers.clear()
            harness.wait_for(lambda: time.monotonic() > old + 2, what="the alerts to be old")
            receiver.start()
            receiver.wait_said("2 alerts given up: older than GiveUp=")
            receiver.post(batch(alert("New")))
            harness.wait_for(lambda: receiver.page()["forwarded"] == 1, 30, "the new one")
            self.assertEqual((receiver.page()["failed"], len(stand_in.embeds())), (2, 1))

    def test_long_queue(self):
        """Beyond QueueSize= the oldest are given up; everything is in the alerts log all the same."""
        with forwarding([hang], options=["Alerts.QueueSize=1M", "Alerts.Timeout=2s"]) as (stand_in, receiver):
            receiver.start()
            for n in range(30):
                self.assertEqual(receiver.post(batch(alert(number=n, description="x" * 100000))).status, 200)
            page = receiver.page()
            self.assertTrue(15 < page["failed"] < 30, page)
            self.assertEqual(page["failed"] + page["pending"], 30)
            self.assertEqual(len(receiver.lines()), 30)
            harness.wait_for(lambda: receiver.page()["pending"] == 0, 30, "the rest")
            page = receiver.page()
            self.assertEqual(page["failed"] + page["forwarded"], 30)


class Never(unittest.TestCase):
    """Reception does not wait for a target."""

    def latencies(self, receiver, seconds):
        result, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.monotonic()
            self.assertEqual(receiver.post(batch(alert(number=len(result)))).status, 200)
            result.append(time.monotonic() - start)
            time.sleep(0.05)  # a pace, not a wait
        return sorted(result)

    def compare(self, name, receiver, seconds, calm):
        busy = self.latencies(receiver, seconds)
        print(f"{name}: {len(busy)} POSTs in {seconds} s, answered in {1e3 * statistics.median(busy):.1f} ms (median), "
              f"{1e3 * busy[-1]:.1f} ms (longest); with nothing to forward {1e3 * statistics.median(calm):.1f} ms, "
              f"{1e3 * calm[-1]:.1f} ms", flush=True)
        self.assertLess(statistics.median(busy), 5 * statistics.median(calm) + 0.02 * harness.SLOW)
        self.assertLess(busy[-1], 2.0 * harness.SLOW)

    def calm(self):
        with alertd.Receiver() as receiver:
            receiver.start()
            return self.latencies(receiver, 3)

    def test_hanging_target(self):
        """The stand-in takes requests and answers none (for 60 s in the long form); then it gets each alert once."""
        seconds, calm = (60 if LONG else 10), self.calm()
        with forwarding([hang] * 1000) as (stand_in, receiver):
            receiver.start()
            self.compare("stand-in hangs", receiver, seconds, calm)
            self.assertEqual(stand_in.embeds(), [])
            stand_in.answers.clear()
            total = receiver.page()["total_alerts_received"]
            harness.wait_for(lambda: receiver.page()["forwarded"] == total, 90, "everything forwarded")
            self.assertEqual(len(stand_in.embeds()), total)
            self.assertLessEqual(len(stand_in.tries), 7 + (total + 9) // 10)

    def test_unreachable_target(self):
        """No answer to a connection: a listener whose queue is full."""
        calm = self.calm()
        with socket.socket() as sock, socket.socket() as first, socket.socket() as second:
            sock.bind(("127.0.0.1", 0))
            sock.listen(0)
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(sock.getsockname())
            with alertd.Receiver([f"Alerts.Forward=discord:http://127.0.0.1:{sock.getsockname()[1]}/secret"]) as receiver:
                receiver.start()
                self.compare("connections hang", receiver, 15, calm)
                harness.wait_for(lambda: "not taken: Timeout was reached" in receiver.said(), 20, "the time limit")
                self.assertNotIn("secret", receiver.said())


if __name__ == "__main__":
    harness.main()
