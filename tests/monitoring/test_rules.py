#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The configuration is what promtool and amtool accept, and each alert fires when it should and not
when it should not: rules.py has the series, promtool runs the real rules over them."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import harness
import rules

MONITORING = os.path.join(harness.ROOT, "monitoring")
RULES = [os.path.join(MONITORING, "rules", name) for name in ("recording.yml", "alerts.yml")]

# What people were promised: how long, and how severe. Other alerts are beyond it.
PROMISED = {
    "ServiceDown": ("5s", "critical"), "HighErrorRate": ("2m", "warning"), "HighLatency": ("1m", "warning"),
    "HighMemoryUsage": ("5m", "warning"), "CacheHitRatioLow": ("2m", "warning"), "P99LatencyHigh": ("2m", "warning"),
    "NodeExporterDown": ("30s", "critical"), "HostHighCpuUsage": ("5m", "warning"),
    "HostHighMemoryUsage": ("5m", "warning"), "HostDiskSpaceLow": ("5m", "warning"),
    "HostDiskSpaceCritical": ("1m", "critical"), "HostNetworkErrors": ("5m", "warning"),
}


def tool(*command):
    """What it printed; an AssertionError with all of it when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def alerts():
    """{name: (for, severity)} of the rules."""
    text = open(RULES[1]).read()
    found = {}
    for block in re.split(r"^ *- alert: ", text, flags=re.MULTILINE)[1:]:
        name = block.split("\n", 1)[0]
        lasts = re.search(r"^ *for: (\S+)", block, re.MULTILINE)
        found[name] = (lasts.group(1) if lasts else "0s", re.search(r"severity: (\w+)", block).group(1))
    return found


def sample(name, severity):
    """The series that promtool finds for a firing alert."""
    labels = {"alertname": name, "alertstate": "firing", "severity": severity,
              **rules.LABELS.get(name, {"job": "shortener", "instance": "1"})}
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return {"labels": "ALERTS{" + text + "}", "value": 1}


def case(name, series, at, expected):
    """One test of promtool: at that time exactly these alerts fire."""
    return {"interval": "5s", "name": name,
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "promql_expr_test": [{"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{at}s", "exp_samples": expected}]}


class Rules(unittest.TestCase):
    def run_cases(self, *cases):
        with tempfile.TemporaryDirectory(prefix="shortener-rules-") as folder:
            path = os.path.join(folder, "test.yml")
            with open(path, "w") as file:  # JSON is YAML
                json.dump({"rule_files": RULES, "evaluation_interval": "5s", "tests": cases}, file)
            tool("promtool", "test", "rules", path)

    def test_each_alert_has_its_cases(self):
        self.assertEqual(set(alerts()), set(rules.CASES))

    def test_what_was_promised(self):
        found = alerts()
        for name, promise in PROMISED.items():
            self.assertEqual(found.get(name), promise, name)

    def run_all(self, cases):
        """All at once; when one fails, each by itself, to say which."""
        try:
            self.run_cases(*cases)
        except AssertionError:
            for each in cases:
                with self.subTest(alert=each["name"]):
                    self.run_cases(each)
            raise

    def test_fires(self):
        self.run_all([case(name, *rules.CASES[name][:2], [sample(name, severity)])
                      for name, (_, severity) in alerts().items()])

    def test_does_not_fire(self):
        self.run_all([case(name, *rules.CASES[name][2:], []) for name in alerts()])

    def test_a_wrong_expectation_fails(self):
        """The check can fail: what does not fire is not taken for firing, nor the other way round."""
        series, at, quiet, quiet_at = rules.CASES["ServiceDown"]
        with self.assertRaises(AssertionError):
            self.run_cases(case("none", series, at, []))
        with self.assertRaises(AssertionError):
            self.run_cases(case("all", quiet, quiet_at, [sample("ServiceDown", "critical")]))


class Configuration(unittest.TestCase):
    def test_promtool(self):
        text = tool("promtool", "check", "config", os.path.join(MONITORING, "prometheus.yml"))
        self.assertIn("2 rule files found", text)
        tool("promtool", "check", "rules", *RULES)

    def test_amtool(self):
        self.assertIn("SUCCESS", tool("amtool", "check-config", os.path.join(MONITORING, "alertmanager.yml")))

    def test_blackbox(self):
        tool("prometheus-blackbox-exporter", "--config.file=" + os.path.join(MONITORING, "blackbox.yml"), "--config.check")

    def test_nothing_listens_outside(self):
        """Each flag file names its listener, and each target is on 127.0.0.1."""
        folder = os.path.join(MONITORING, "flags")
        self.assertTrue(os.listdir(folder))
        for name in os.listdir(folder):
            text = open(os.path.join(folder, name)).read()
            self.assertRegex(text, r"-web\.listen-address=127\.0\.0\.1:\d+[ \"]", name)
        text = open(os.path.join(MONITORING, "prometheus.yml")).read()
        for address in re.findall(r"targets: \[(.*)\]", text):
            self.assertRegex(address, r"^127\.0\.0\.1:\d+$")
        self.assertIn("--cluster.listen-address=\"", open(os.path.join(folder, "prometheus-alertmanager.env")).read())


if __name__ == "__main__":
    harness.main()
