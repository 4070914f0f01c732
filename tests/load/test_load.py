#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The load driver in its short form: the tiers are those that were promised, users come and go as they
say, nothing fails, also while an instance is restarted or killed, and the service counts what wrk counts."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import harness
import load
import parts
import report
import wrk

MINUTES = {"bronze": 180, "silver": 300, "gold": 360}  # seconds of a tier


def run(*words):
    """Output and result of the driver, which must pass."""
    with tempfile.TemporaryDirectory(prefix="shortener-load-test-") as folder:
        command = [sys.executable, os.path.join(HERE, "load.py"), *words, "--results=" + folder, f"--json={folder}/out"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
        with open(folder + "/out") as file:
            return done.stdout, json.load(file)


class Tiers(unittest.TestCase):
    def test_they_are_what_was_promised(self):
        found = load.tiers()
        self.assertEqual({name: (t["users"], t["links"], t["per_page"], t["think_seconds"], list(t["mix"].values()),
                                 t["limit"]["p95_ms"], t["limit"]["error_percent"]) for name, t in found.items()},
                         {"bronze": (50, 10, 10, 0.5, [70, 15, 10, 5], 3000, 5), "silver": (200, 20, 10, 0.3, [75, 10, 10, 5], 3000, 5),
                          "gold": (600, 50, 5, 0.1, [80, 10, 7, 3], 5000, 5)})
        self.assertEqual({name: sum(s for s, _ in t["stages"]) for name, t in found.items()}, MINUTES)

    def test_cohorts_follow_the_stages(self):
        for name, tier in load.tiers().items():
            cohorts = wrk.cohorts(tier["stages"], tier["users"])
            step = max(n for n, _, _ in cohorts)
            self.assertEqual(sum(n for n, _, _ in cohorts), tier["users"], name)
            for second in range(1, MINUTES[name], 7):
                there = sum(n for n, begin, end in cohorts if begin <= second <= end)
                self.assertLessEqual(abs(there - wrk.users_at(tier["stages"], second)), step, (name, second))

    def test_percentiles(self):
        result = wrk.Result()
        with tempfile.TemporaryDirectory() as folder:
            for name, requests in (("fast", 900), ("slow", 100)):  # of ten requests one was slow
                with open(os.path.join(folder, name), "w") as file:
                    file.write(f"requests {requests}\nerror_status 2\nlongest_us {requests * 9000}\n")
                    file.writelines(f"latency_us {(1000 if name == 'fast' else 100000) + n}\n" for n in range(500))
                result.add(os.path.join(folder, name))
        self.assertEqual((result.requests, result.errors, result.longest_us), (1000, {"status": 4}, 8100000))
        self.assertTrue(1.0 <= result.percentile_ms(0.5) < 1.5 <= 100.0 <= result.percentile_ms(0.95) <= result.percentile_ms(0.99) < 100.5)

    def test_the_verdict_sees_what_is_wrong(self):
        tier = load.tiers()["bronze"]
        good = {"requests": 9, "p95_ms": 1, "error_percent": 0, "errors": {}}
        self.assertEqual(list(load.verdict(tier, good)), [])
        for bad in ({"requests": 0}, {"p95_ms": 3000}, {"error_percent": 5}, {"errors": {"status": 1}}, {"statuses": {429: 1}}):
            self.assertEqual(len(list(load.verdict(tier, {**good, **bad}))), 1, bad)

    def test_the_report_is_filled_in(self):
        found = {"name": "bronze-postgres-short", "machine": {"load_before": 0.5}, "per_second": 80.5, "p50_ms": 1.0, "p95_ms": 2.0,
                 "p99_ms": 3.25, "errors": {"status": 2}, "hit_percent": 97.0, "parts": {"nginx": {"cpu_percent": 1.5, "memory_mib": 9}},
                 "endpoints": {"urls.list_urls": {"requests": 5, "mean_ms": 0.75}}}
        rows = {"name": "compare", "rows": [{"name": "one instance", "per_second": 9, "p50_ms": 1.0, "p99_ms": 2.0, "errors": 0,
                                             "of_nginx_302": 0.9}]}
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(report.DOCUMENT, folder)
            for one in (found, rows):
                with open(os.path.join(folder, one["name"] + ".json"), "w") as file:
                    json.dump(one, file)
            subprocess.run([sys.executable, os.path.join(HERE, "report.py"), folder, copy], check=True, timeout=60)
            with open(copy) as file:
                text = file.read()
        for line in ("| `script/load bronze --store=postgres --short` | 80.5 | 45.6 | 1 | 2 | 707 | 3.25 | 2 | 97 | 0.5 |",
                     "| `urls.list_urls` | 0.75 |", "| one instance | 9 | 1 | 2 | 0 | 0.9 | - | - |",
                     "| `script/load bronze --store=postgres --short` | nginx | 1.5 | 9 |"):
            self.assertIn(line, text)

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_k6_scripts_are_javascript(self):
        names = glob.glob(os.path.join(HERE, "k6", "*.js"))
        self.assertEqual({os.path.basename(name) for name in names},
                         {"tier.js", *(tier["k6"] + ".js" for tier in load.tiers().values())})
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                copy = shutil.copy(name, os.path.join(folder, os.path.basename(name).replace(".js", ".mjs")))
                done = subprocess.run(["node", "--check", copy], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)


class Runs(unittest.TestCase):
    """In memory: a write that other tests' syncs hold up for a second is rightly answered 503."""

    def test_bronze(self):
        text, found = run("bronze", "--short", "--memory")
        self.assertEqual(found["errors"], {})
        # 50 users who think half a second, most of ten seconds: the machine may be slow, not the users.
        self.assertGreater(found["requests"], 300)
        self.assertEqual(set(found["parts"]), {"instances", "nginx"})
        self.assertGreater(found["hit_percent"], 80)  # ten links, three instances: at most 30 misses
        self.assertIn("passed", text)
        kinds = found["endpoints"]
        self.assertGreater(kinds["urls.redirect_short_url"]["requests"], 3 * kinds["urls.list_urls"]["requests"])

    def test_with_postgresql_and_redis_while_one_restarts(self):
        """Each tier, one CPU and a cold start: tests/system/test_tiers.py, on the booted system."""
        _, found = run("bronze", "--short", "--memory", "--store=postgres", "--disturb=restart")
        self.assertEqual(found["errors"], {})
        self.assertEqual(set(found["parts"]), {"instances", "nginx", "PostgreSQL", "Redis"})

    def test_no_visit_fails_while_one_is_killed(self):
        self.assertEqual(run("bronze", "--short", "--memory", "--disturb=kill")[1]["errors"], {})

    def test_a_service_elsewhere(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, harness.Service(["Clicks.SegmentSize=1M"], memory) as service:
            url = f"--url=http://127.0.0.1:{service.start().port}"
            self.assertEqual(run("bronze", "--short", url)[1]["errors"], {})
            service.instances[0].stop()
            with self.assertRaises(AssertionError):
                run("bronze", "--short", url)

    def test_with_tokens_and_limits(self):
        _, found = run("bronze", "--short", "--memory", "--access=token", "--limits")
        self.assertEqual((found["errors"], found["statuses"]), ({}, {}))
        kinds = found["endpoints"]
        self.assertGreater(min(kinds[name]["requests"] for name in ("urls.create_url", "urls.list_urls")), 20)

    def test_what_is_refused_is_seen(self):
        """A driver without a token, and one with a budget of one request, do not pass."""
        with tempfile.TemporaryDirectory() as folder:
            stack = parts.Stack(folder, disk=False, n_instances=1, access="token", limits=True)
            try:
                self.assertEqual(stack.client.ask("GET", "/urls")[0], 200)
                self.assertGreater(stack.metrics()["shortener_limit_bytes"], 0)
                self.assertEqual(parts.Client(stack.url).ask("POST", "/urls", {"url": "https://www.example.com/"})[0], 401)
                with self.assertRaisesRegex(AssertionError, "401"):
                    run("bronze", "--short", "--url=" + stack.url)
                with open(os.path.join(folder, "tokens"), "w") as file:
                    file.write("\n".join(stack.tokens))
                self.assertEqual(load.read_tokens(file.name), stack.tokens)
                codes = stack.client.make_links(1)
                self.refuses(folder, stack, codes, "", 401)
                stack.instances[0].options.append("Limits.Read=1/1d:1")
                stack.instances[0].restart()
                self.refuses(folder, stack, codes, stack.tokens[0], 429)
            finally:
                stack.close()

    def refuses(self, folder, stack, codes, token, status):
        before = stack.metrics()
        only_lists = {"mix": {"list": 100}, "per_page": 10}
        result = load.measure(folder, stack.url, 2, 1, codes, only_lists, 1, token)
        refused = load.bad_statuses(before, stack.metrics())
        self.assertEqual((list(refused), result.errors["status"] > 0), ([status], True), refused)

    def test_the_service_counts_what_wrk_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            stack = parts.Stack(folder, disk=False)
            try:
                codes = stack.client.make_links(10)
                before = stack.metrics()
                result = load.measure(folder, stack.url, 10, 2, codes, load.REDIRECTS_ONLY, 1)

                def moved(name):
                    return stack.metrics()[name] - before[name]
                self.assertEqual(result.errors, {kind: 0 for kind in result.errors})
                # What was on its way when wrk stopped is at most one a connection.
                self.assertLessEqual(abs(moved("redirects_total") - result.requests), max(10, result.requests * 0.01))
                harness.wait_for(lambda: moved("shortener_clicks_shipped_total") == moved("redirects_total"), 60, "all visits shipped")
            finally:
                stack.close()


if __name__ == "__main__":
    harness.main()
