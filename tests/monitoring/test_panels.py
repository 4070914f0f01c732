#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The panels on a real Prometheus: three instances, nginx, PostgreSQL, Redis and all exporters run, a
bit of load too. Each query returns numbers; figures are those that the load counted; an instance that
goes away is told within 20 s."""

import math
import os
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "..", "monitoring", "dashboard")]
import browser
import harness
import monitoring
import panels

SERVICE_DOWN_SECONDS = 20


class Panels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = monitoring.stack(monitoring.Whole)
        cls.stack = cls.context.__enter__()
        try:
            cls.stack.begin()
            cls.traffic = monitoring.Traffic(cls.stack.proxy.port)
            cls.traffic.start()
        except BaseException:
            cls.context.__exit__(None, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.traffic.ended.set()
        cls.traffic.join(60)
        cls.context.__exit__(None, None, None)

    def numbers(self, expression):
        """The values of a query; none when one is not a number."""
        found = [float(one["value"][1]) for one in self.stack.query(expression)]
        return found if all(math.isfinite(value) for value in found) else []

    def test_1_each_query_returns_numbers(self):
        for instance in (".+", "2"):
            matcher = f'instance=~"{instance}"'
            wanted = {title: text.replace("$i", matcher) for title, text in panels.queries()}
            self.assertGreater(len(wanted), 40)

            def silent():
                return [title for title, text in panels.queries() if not self.numbers(text.replace("$i", matcher))]
            try:
                harness.wait_for(lambda: not silent(), 90, "all panels to have data", pause=2)
            except AssertionError:
                self.fail(f"no data: {silent()}")

    def test_2_the_runbook_asks_what_prometheus_understands(self):
        with open(os.path.join(harness.ROOT, "docs", "runbook.md")) as file:
            asked = re.findall(r"^\| [^|]+ \| `(.+)` \|$", file.read(), re.MULTILINE)
        self.assertGreater(len(asked), 8)
        for query in asked:
            self.stack.query(query)

    def test_2_nothing_else_is_scraped_and_all_is_up(self):
        self.assertEqual([one["metric"] for one in self.stack.query("up == 0")], [])

    def test_3_no_alert_fires(self):
        firing = [one["metric"]["alertname"] for one in self.stack.query('ALERTS{alertstate="firing"}')]
        self.assertEqual([name for name in firing if not name.startswith("Host")], [])

    def test_3_the_page_shows_them(self):
        """In a browser, each panel of the console page has its figures."""
        url = f"http://127.0.0.1:{self.stack.port(9090)}/consoles/shortener.html"
        html = browser.page_text(url).split("<script>")[0]
        self.assertTrue('data-ready="yes"' in html, html[-2000:])
        self.assertFalse("no data" in html, re.findall(r"<h3>(.*?)</h3>.{1,200}no data", html))
        boxes = re.findall(r'<section class="panel (\w+)"[^>]*><h3>(.*?)</h3>(.*?)</section>', html, re.DOTALL)
        self.assertEqual(len(boxes), sum(len(row) for _, row in panels.ROWS))
        for kind, title, inner in boxes:
            with self.subTest(panel=title):
                if kind == "stat":
                    self.assertRegex(inner, r'class="big"[^>]*>-?[\d.]+')
                elif kind == "state":
                    self.assertRegex(inner, "<b>UP</b>")
                else:
                    self.assertRegex(inner, r"</i>[^<]+<b>-?[\d.]+")
        self.assertRegex(html, r'id="verdict"[^>]*>(all is well|\d+ alerts?)<')

    def test_4_nothing_listens_outside(self):
        out = subprocess.run(["ss", "-Hltunp"], capture_output=True, text=True, check=True).stdout
        for program in self.stack.programs:
            ours = [line.split()[4] for line in out.splitlines() if f"pid={program.process.pid}," in line]
            self.assertEqual(len(ours), 1, (program.name, ours))
            self.assertTrue(ours[0].startswith("127.0.0.1:"), (program.name, ours))

    def test_5_figures_are_what_was_sent(self):
        counts = self.traffic.stop()
        self.assertEqual(set(counts) - {200, 201, 302, 400, 404}, set(), counts)

        def seen():
            return {int(one["metric"]["status"]): float(one["value"][1])
                    for one in self.stack.query('sum by (status) (http_requests_total{job="shortener"})')}
        harness.wait_for(lambda: seen() == counts, 30, f"{counts}, not {seen()}", pause=1)
        self.assertEqual(self.numbers("sum(redirects_total)"), [counts[302]])
        self.assertEqual(self.numbers("sum(urls_created_total)"), [counts[201]])
        harness.wait_for(lambda: self.numbers("sum(shortener_clicks_shipped_total)") == [counts[302]], 30, "visits shipped", pause=1)

    def test_6_a_missing_instance_is_told(self):
        instance = self.stack.instances[1]
        start = time.monotonic()
        instance.stop()
        instance.sock.close()  # as `shortenerctl stop 2` does: socket and service
        def told():
            return [(when, a) for when, a in self.stack.receiver.alerts() if a["labels"]["alertname"] == "ServiceDown"]
        harness.wait_for(told, 60, "the alert")
        when, alert = told()[0]
        print(f"ServiceDown reached the receiver after {when - start:.1f} s")
        self.assertLess(when - start, SERVICE_DOWN_SECONDS)
        self.assertEqual(alert["labels"]["instance"], "2")
        self.assertEqual(alert["annotations"]["summary"], "Instance 2 is down")
        self.assertIn("journalctl -u shortener@2 -e", alert["annotations"]["description"])


if __name__ == "__main__":
    harness.main()
