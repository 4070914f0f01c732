# SPDX-License-Identifier: MIT
"""debian/tests, each on a machine of its own with what its Depends= name, as autopkgtest runs them."""

import machine as machines
import packages
import stage as stages
from stage import ARCHIVE, Check

TESTS = packages.TREE / "debian/tests"


class Autopkgtest(Check):
    def depends(self, name):
        """What debian/tests/control says that the test needs."""
        for paragraph in (TESTS / "control").read_text().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.strip().splitlines())
            if name in fields["Tests"].split():
                return fields["Depends"].replace(",", " ").split()
        raise AssertionError(f"debian/tests/control has no {name}")

    def run_test(self, name):
        with machines.Machine("autopkgtest-" + name) as own:
            stages.Stage.give(own, stages.stage.packages.first)
            own.write("/etc/apt/sources.list.d/shortener.list", f"deb [trusted=yes] file:{ARCHIVE} ./\n")
            own.run("apt-get -qq update", seconds=120)
            own.run(["apt-get", "-qq", "-y", "install", "--no-install-recommends", *self.depends(name)], seconds=300)
            own.copy(TESTS / name, "/opt/" + name)
            done = own.run(["bash", "/opt/" + name], check=False, seconds=300)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-4000:])

    def test_sqlite(self):
        self.run_test("sqlite")

    def test_postgresql(self):
        self.run_test("postgresql")

    def test_remove(self):
        self.run_test("remove")
