# SPDX-License-Identifier: MIT
"""The load tiers on the provisioned machine: nobody's request fails, whatever happens to an instance.

In the long form they take as long as tests/load/tiers.json says, and the results are kept in build/load,
from where tests/load/report.py puts them into docs/bottleneck-report.md.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import packages
from machine import wait_for
from stage import LONG, Check, note

PARTS = {"instances", "nginx", "PostgreSQL", "Redis", "monitoring"}
KEPT = packages.TREE / "build/load"
SECONDS = 900  # the most that one may take


class Tiers(Check):
    def load(self, *words):
        """The result of script/load, which must pass."""
        with tempfile.TemporaryDirectory(prefix="shortener-tiers-") as folder:
            out = Path(folder, "out.json")
            command = [sys.executable, str(packages.TREE / "tests/load/load.py"), *words, f"--machine={self.machine.leader}",
                       f"--json={out}", f"--results={KEPT if LONG else folder}", *([] if LONG else ["--short"])]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
            return json.loads(out.read_text(encoding="utf-8"))

    def tier(self, *words):
        found = self.load(*words)
        self.assertEqual(found["errors"], {})
        self.assertGreater(found["requests"], 300)
        self.assertGreaterEqual(set(found["parts"]), PARTS)
        used = ", ".join(f"{part} {use['cpu_percent']} % {use['memory_mib']} MiB" for part, use in found["parts"].items())
        note(f"{' '.join(words)}: {found['per_second']}/s, p50 {found['p50_ms']:.2f}, p95 {found['p95_ms']:.2f}, "
             f"p99 {found['p99_ms']:.2f} ms, {found['requests']} requests, 0 errors; {used}")  # fmt: skip
        return found

    def tearDown(self):
        self.start_all()

    def test_restart(self):
        pid = self.pid(2)
        self.tier("gold", "--disturb=restart")
        self.assertNotEqual(self.pid(2), pid)

    def test_kill(self):
        """Nobody creates meanwhile: a write is never sent twice."""
        pid = self.pid(2)
        self.tier("silver", "--disturb=kill")
        wait_for(lambda: self.pid(2) not in (0, pid), 15, "the killed instance to be back")

    def test_cold_start(self):
        found = self.tier("bronze", "--cold")
        note(f"cache hits in the first minute after a cold start: {found['first_minute_hit_percent']} %")

    if LONG:  # figures of a machine that does nothing else; docs/bottleneck-report.md has them
        def undisturbed(self, name):
            found = self.tier(name)
            self.assertGreater(found["hit_percent"], 90)
            self.assertGreater(found["endpoints"]["urls.redirect_short_url"]["requests"], found["requests"] / 2)

        def test_bronze(self):
            self.undisturbed("bronze")

        def test_silver(self):
            self.undisturbed("silver")

        def test_gold(self):
            self.undisturbed("gold")

        def test_one_cpu(self):
            for name in ("bronze", "silver", "gold"):
                self.tier(name, "--one-cpu")

        def test_without_think_time(self):
            for row in self.load("compare")["rows"]:
                note(f"{row['name']}: {row['per_second']}/s, p99 {row['p99_ms']} ms, of nginx's 302 {row.get('of_nginx_302')}, "
                     f"times the reference {row.get('times_reference')}, p99 / reference's {row.get('p99_share_of_reference')}")  # fmt: skip
