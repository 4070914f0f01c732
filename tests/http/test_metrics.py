#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""/metrics after mixed traffic: clean for promtool, the names of the monitoring document, and the
figures of what was sent."""

import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

BUCKETS = [".0001", ".00025", ".0005", ".001", ".0025", ".005", ".01", ".025", ".05", ".1", ".25", ".5", "1", "2.5", "5", "10"]
PLAIN = {  # name: type
    "urls_created_total": "counter", "redirects_total": "counter", "cache_hits_total": "counter",
    "cache_misses_total": "counter", "active_urls": "gauge", "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge", "process_cpu_seconds_total": "counter", "process_open_fds": "gauge",
    "process_max_fds": "gauge", "process_start_time_seconds": "gauge", "http_requests_total": "counter",
    "http_request_duration_seconds": "histogram"}
OURS = ("store_sessions", "clicks_appended_total", "clicks_shipped_total", "clicks_shed_total", "clicks_pending",
        "clicks_oldest_pending_seconds", "worker_queue_depth", "worker_rejections_total", "loop_lag_seconds", "store_up",
        "store_latency_seconds", "store_circuit_open", "connections", "log_drops_total", "build_info")

# What is sent, and the series that count it; {id} and {code} are a link of the test.
TRAFFIC = (
    ("GET", "/users", None, "users.list_users", 200), ("POST", "/users", {"username": "m", "email": "m@example.com"},
                                                       "users.create_user", 201),
    ("POST", "/users", {}, "users.create_user", 400), ("GET", "/users/1", None, "users.get_user", 200),
    ("GET", "/users/999", None, "users.get_user", 404), ("PUT", "/users/1", {}, "users.update_user", 200),
    ("HEAD", "/users/1", None, "users.get_user", 200), ("POST", "/users/bulk", {}, "users.bulk_create_users", 400),
    ("GET", "/urls", None, "urls.list_urls", 200), ("POST", "/urls", {"url": "https://example.com/"}, "urls.create_url", 201),
    ("POST", "/urls", {"url": "https://example.com/2"}, "urls.create_url", 201),
    ("POST", "/urls", {"url": "bad"}, "urls.create_url", 400), ("GET", "/urls/{id}", None, "urls.get_url", 200),
    ("PUT", "/urls/{id}", {"title": "t"}, "urls.update_url", 200), ("GET", "/urls/{id}/stats", None, "urls.url_stats", 200),
    ("GET", "/urls/{id}/events", None, "events.url_events", 200), ("GET", "/events", None, "events.list_events", 200),
    ("POST", "/events", {"url_id": 1, "event_type": "x"}, "events.create_event", 201),
    ("GET", "/{code}", None, "urls.redirect_short_url", 302), ("GET", "/{code}", None, "urls.redirect_short_url", 302),
    ("GET", "/{code}", None, "urls.redirect_short_url", 302), ("HEAD", "/{code}", None, "urls.redirect_short_url", 302),
    ("GET", "/nosuch", None, "urls.redirect_short_url", 404), ("GET", "/nosuch", None, "urls.redirect_short_url", 404),
    ("GET", "/a/b", None, "unknown", 404), ("GET", "/users/abc", None, "unknown", 404), ("PATCH", "/urls", None, "unknown", 405),
    ("DELETE", "/urls/{id}", None, "urls.delete_url", 204), ("DELETE", "/urls/{id}", None, "urls.delete_url", 404),
    ("DELETE", "/users/1", None, "users.delete_user", 204), ("GET", "/health", None, None, 200),
    ("GET", "/metrics", None, None, 200), ("GET", "/ready", None, None, 200))


def parse(text):
    """{name: {labels: value}}, {name: type}"""
    values, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            types[name] = kind
        elif not line.startswith("#"):
            name, labels, value = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line).groups()
            values.setdefault(name, {})[tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels or "")))] = float(value)
    return values, types


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.one, cls.two = cls.service.start("1"), cls.service.start("2")
        cls.one.post("/users", {"username": "first", "email": "first@example.com"})
        url = cls.one.create()
        cls.names = {"id": url["id"], "code": url["short_code"]}
        connection = cls.one.connect()
        cls.before, _ = parse(cls.one.get("/metrics").body.decode())
        for method, path, body, endpoint, status in TRAFFIC:
            answer = cls.one.request(method, path.format(**cls.names), body, None, connection)
            assert answer.status == status, (method, path, answer)
        connection.close()
        answer = cls.one.get("/metrics")
        cls.text = answer.body.decode()
        cls.after, cls.types = parse(cls.text)

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def moved(self, name):
        """{labels: by how much} of what has moved."""
        before = self.before.get(name, {})
        return {k: v - before.get(k, 0) for k, v in self.after[name].items() if v != before.get(k, 0)}

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_finds_nothing(self):
        for text in (self.text, self.two.get("/metrics").body.decode()):
            result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_names_and_types(self):
        for name, kind in PLAIN.items():
            self.assertEqual(self.types.get(name), kind, name)
        for name in OURS:
            self.assertIn("shortener_" + name, self.types)
        for name in self.types:
            self.assertIn(f"# HELP {name} ", self.text)
        for name in ("cache_hits_total", "redirects_total", "active_urls"):
            self.assertEqual(list(self.after[name]), [()])
        self.assertIn((("tier", "local"),), self.after["shortener_cache_tier_hits_total"])

    def test_requests_are_counted_by_route(self):
        expected = {}
        for method, _, _, endpoint, status in TRAFFIC:
            if endpoint:
                key = (("endpoint", endpoint), ("method", method), ("status", str(status)))
                expected[key] = expected.get(key, 0) + 1
        self.assertEqual(self.moved("http_requests_total"), expected)
        text = self.text
        for raw in ("nosuch", "/a/b", self.names["code"], 'endpoint="health', 'endpoint="metrics', 'endpoint="ready'):
            self.assertNotIn(raw, text)

    def test_durations(self):
        counts = {}
        for method, _, _, endpoint, _ in TRAFFIC:
            if endpoint:
                key = (("endpoint", endpoint), ("method", method))
                counts[key] = counts.get(key, 0) + 1
        self.assertEqual(self.moved("http_request_duration_seconds_count"), counts)
        series = {}
        for labels, value in self.after["http_request_duration_seconds_bucket"].items():
            labels = dict(labels)
            series.setdefault((labels["endpoint"], labels["method"]), []).append((float(labels["le"]), value))
        for (endpoint, method), rows in series.items():
            key = (("endpoint", endpoint), ("method", method))
            self.assertEqual([le for le, _ in rows], [float(b) for b in BUCKETS] + [float("inf")])
            self.assertEqual([v for _, v in rows], sorted(v for _, v in rows))
            self.assertEqual(rows[-1][1], self.after["http_request_duration_seconds_count"][key])
            total = self.after["http_request_duration_seconds_sum"][key]
            self.assertTrue(0 < total < 20 * rows[-1][1], (key, total))

    def test_figures_agree_with_what_was_sent(self):
        for name, n in (("urls_created_total", 2), ("redirects_total", 3), ("cache_hits_total", 3), ("cache_misses_total", 1),
                        ("shortener_clicks_appended_total", 3)):
            self.assertEqual(sum(self.moved(name).values()), n, name)
        for instance in (self.one, self.two):
            harness.wait_for(lambda i=instance: i.metric("active_urls") == 2, what="active_urls of two links")
            harness.wait_for(lambda i=instance: i.metric("shortener_clicks_pending") == 0, what="all visits shipped")
            self.assertEqual(instance.metric("shortener_store_up"), 1)
            self.assertEqual(instance.metric("shortener_store_circuit_open"), 0)
        harness.wait_for(lambda: sum(i.metric("shortener_clicks_shipped_total") for i in (self.one, self.two)) == 3,
                         what="three visits shipped")

    def test_the_process(self):
        def value(name):
            return self.after[name][()]
        status = open(f"/proc/{self.one.process.pid}/status").read()
        resident = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
        self.assertTrue(0 < value("process_resident_memory_bytes") <= resident * 1.01)
        self.assertGreater(value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"))
        self.assertTrue(5 < value("process_open_fds") < value("process_max_fds"))
        self.assertLess(abs(time.time() - value("process_start_time_seconds")), 600)
        self.assertTrue(0 < value("process_cpu_seconds_total") < 60)
        self.assertEqual(list(self.after["shortener_build_info"].values()), [1])
        connections = {dict(k)["state"]: v for k, v in self.after["shortener_connections"].items()}
        self.assertEqual(set(connections), {"idle", "reading", "waiting", "writing", "closing"})

    def test_same_routes_on_every_instance(self):
        """What a dashboard divides is there from the first scrape on."""
        values, types = parse(self.two.get("/metrics").body.decode())
        self.assertEqual(types, self.types)
        self.assertEqual(set(values) - set(self.after), set())


if __name__ == "__main__":
    harness.main()
