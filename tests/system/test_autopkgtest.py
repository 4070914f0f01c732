# SPDX-License-Identifier: MIT
"""debian/tests, each on a machine of its own with what its Depends= name, as autopkgtest runs them."""

import packages
import stage as stages
from stage import Check

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
        with stages.own_machine("autopkgtest-" + name, *self.depends(name)) as own:
            own.copy(TESTS / name, "/opt/" + name)
            done = own.run(["bash", "/opt/" + name], check=False, seconds=300)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-4000:])

    def test_sqlite(self):
        self.run_test("sqlite")

    def test_postgresql(self):
        self.run_test("postgresql")

    def test_remove(self):
        self.run_test("remove")
