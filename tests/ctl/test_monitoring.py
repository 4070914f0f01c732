#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl monitoring, on a system in a folder: units as Debian has them, and our files."""

import json
import os
import shutil
import subprocess
import unittest

import shortenerctl
from shortenerctl import CONFIG, FAILED, SOURCE, USAGE

UNITS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-postgres-exporter",
         "prometheus-redis-exporter", "prometheus-nginx-exporter", "prometheus-blackbox-exporter")


class Monitoring(shortenerctl.Case):
    def setUp(self):
        super().setUp()
        self.root = self.path("system")
        for unit in UNITS + ("nginx",):
            self.place(f"lib/systemd/system/{unit}.service", "[Service]\n")
        self.place("etc/default/shortener", "# how many\nINSTANCES=3\n")
        self.place("etc/nginx/conf.d/other.conf", "")
        shutil.copytree(os.path.join(SOURCE, "monitoring"), os.path.join(self.root, "etc/shortener/monitoring"))

    def place(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def there(self):
        """{path: text, or -> target} of everything below the root."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[os.path.relpath(path, self.root)] = "-> " + os.readlink(path)
                else:
                    with open(path) as file:
                        found[os.path.relpath(path, self.root)] = file.read()
        return found

    def monitoring(self, verb, *words, **options):
        return self.ctl("monitoring", verb, "--root=" + self.root, *words, **options)

    def targets(self, name):
        with open(os.path.join(self.root, "etc/shortener/monitoring/targets", name + ".json")) as file:
            return [(group["targets"], group.get("labels")) for group in json.load(file)]

    def test_enable(self):
        before = self.there()
        steps = self.json("monitoring", "enable", "--root=" + self.root)
        after = self.there()
        self.assertEqual({name: after[name] for name in before}, before)  # packages' files stay as they are
        written = {"/" + name for name in set(after) - set(before)}
        self.assertEqual(written, {step["object"] for step in steps if step["action"] in ("write", "link")})
        self.assertEqual(len(written), len(UNITS) + 4)
        for unit in UNITS:
            text = after[f"etc/systemd/system/{unit}.service.d/shortener.conf"]
            flags = text.split("EnvironmentFile=/", 1)[1].split("\n")[0]
            self.assertIn(flags, after, "the drop-in names a file that is not there")
            self.assertEqual("SupplementaryGroups=shortener\n" in text, "redis" in unit)
        self.assertEqual(self.targets("shortener"), [([f"127.0.0.1:500{n}"], {"instance": str(n)}) for n in (1, 2, 3)])
        self.assertEqual([t for t, _ in self.targets("exporters")], [["127.0.0.1:9187"], ["127.0.0.1:9121"], ["127.0.0.1:9113"]])
        self.assertEqual(self.targets("certificates"), [])
        link = after["etc/nginx/conf.d/shortener-status.conf"]
        self.assertIn(link[len("-> /"):], after)

    def test_enable_again_keeps(self):
        self.monitoring("enable")
        before = self.there()
        steps = self.json("monitoring", "enable", "--root=" + self.root)
        self.assertEqual({step["action"] for step in steps}, {"keep"})
        self.assertEqual(self.there(), before)

    def test_disable_takes_all_back(self):
        before = self.there()
        self.monitoring("enable")
        self.monitoring("disable")
        self.assertEqual(self.there(), before)
        self.assertFalse(os.path.exists(os.path.join(self.root, "etc/systemd/system/prometheus.service.d")))
        self.assertEqual(self.monitoring("disable"), "")

    def test_disable_keeps_the_folders_of_packages(self):
        os.remove(os.path.join(self.root, "etc/nginx/conf.d/other.conf"))
        self.monitoring("enable")
        self.monitoring("disable")
        self.assertTrue(os.path.isdir(os.path.join(self.root, "etc/nginx/conf.d")))
        self.assertFalse(os.path.exists(os.path.join(self.root, "etc/systemd/system/prometheus.service.d")))

    def test_disable_keeps_what_is_not_ours(self):
        self.monitoring("enable")
        own = self.place("etc/systemd/system/prometheus.service.d/own.conf", "[Service]\nNice=5\n")
        self.monitoring("disable")
        self.assertTrue(os.path.exists(own))

    def test_dry_run(self):
        before = self.there()
        steps = self.json("monitoring", "enable", "--dry-run", "--root=" + self.root)
        self.assertEqual(self.there(), before)
        self.assertEqual(sum(step["action"] == "write" for step in steps), len(UNITS) + 3)
        self.monitoring("enable")
        before = self.there()
        self.assertRegex(self.monitoring("disable", "--dry-run"), r"(?m)^remove +/etc/systemd/system/prometheus.service.d")
        self.assertEqual(self.there(), before)

    def test_dry_run_on_the_host_tells_the_commands(self):
        """Without --root the commands are listed too; nothing is run."""
        done = self.run_ctl("monitoring", "disable", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout.decode(), r"(?m)^run +systemctl daemon-reload")

    def test_what_is_not_installed_is_skipped(self):
        for unit in UNITS[3:]:
            os.unlink(os.path.join(self.root, f"lib/systemd/system/{unit}.service"))
        shutil.rmtree(os.path.join(self.root, "etc/nginx"))
        out = self.monitoring("enable")
        self.assertRegex(out, r"(?m)^skip +prometheus-redis-exporter +it is not installed")
        self.assertEqual(self.targets("exporters"), [])
        self.assertFalse(any("redis" in name for name in self.there() if "systemd/system" in name))

    def test_units_of_the_administrator_count(self):
        os.unlink(os.path.join(self.root, "lib/systemd/system/prometheus.service"))
        self.place("etc/systemd/system/prometheus.service", "[Service]\n")
        self.monitoring("enable")

    def test_without_prometheus(self):
        os.unlink(os.path.join(self.root, "lib/systemd/system/prometheus.service"))
        self.refused("monitoring", "enable", "--root=" + self.root, message="apt install prometheus")
        shutil.rmtree(os.path.join(self.root, "etc/shortener"))
        self.place("lib/systemd/system/prometheus.service", "")
        self.refused("monitoring", "enable", "--root=" + self.root, message="package shortener-monitoring")

    def test_instances(self):
        self.monitoring("targets", "--instances=2")
        self.assertEqual(len(self.targets("shortener")), 2)
        self.monitoring("targets")
        self.assertEqual(len(self.targets("shortener")), 3)
        self.place("etc/default/shortener", 'INSTANCES="5"\n')
        self.monitoring("targets")
        self.assertEqual(self.targets("shortener")[4], (["127.0.0.1:5005"], {"instance": "5"}))
        self.place("etc/default/shortener", "INSTANCES=0\n")
        self.monitoring("targets")
        self.assertEqual(self.targets("shortener"), [])
        for bad in ("-1", "33", "many", ""):
            self.refused("monitoring", "targets", "--instances=" + bad, "--root=" + self.root, status=USAGE)
        self.place("etc/default/shortener", "INSTANCES=lots\n")
        self.refused("monitoring", "targets", "--root=" + self.root, status=CONFIG, message="INSTANCES=lots")

    def test_certificates(self):
        for url, target in (("https://links.example", "links.example:443"), ("https://links.example:8443/s", "links.example:8443"),
                            ("https://[2001:db8::1]", "[2001:db8::1]:443"), ("https://[2001:db8::1]:444/", "[2001:db8::1]:444"),
                            ("http://links.example", None)):
            self.ctl("monitoring", "targets", "--root=" + self.root, "--set=Server.BaseURL=" + url)
            self.assertEqual(self.targets("certificates"), [([target], None)] if target else [], url)

    def test_a_file_that_cannot_be_written(self):
        shutil.rmtree(os.path.join(self.root, "etc/nginx"))
        self.place("etc/systemd/system/prometheus.service.d", "a file where a folder must be")
        self.refused("monitoring", "enable", "--root=" + self.root, status=FAILED, message="prometheus.service.d")

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_accepts_the_result(self):
        self.monitoring("enable")
        done = subprocess.run(["promtool", "check", "config", os.path.join(self.root, "etc/shortener/monitoring/prometheus.yml")],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("WARNING", done.stdout)


if __name__ == "__main__":
    shortenerctl.main()
