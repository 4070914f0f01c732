# SPDX-License-Identifier: MIT
"""The next version, which carries a migration, installed under load; and back again."""

import stage as stages
from machine import wait_for
from stage import ARCHIVE, INSTANCES, Check, note
from traffic import Traffic


class Upgrade(Check):
    def installed(self):
        return self.machine.out("dpkg-query -W -f='${Version}' shortener")

    def schema(self):
        return int(self.sql("SELECT max(version) FROM schema_versions")[0][0])

    def running(self):
        """Instances whose program is the installed file."""
        return [n for n in INSTANCES if self.machine.run(f"test /proc/{self.pid(n)}/exe -ef /usr/sbin/shortenerd",
                                                         check=False).returncode == 0]  # fmt: skip

    def back_to_the_first(self):
        """Of the package alone; without a migration the store fits both."""
        stages.Stage.give(self.machine, stages.stage.packages.first)
        # apt takes no archive that is older than the one it knows.
        self.machine.run("rm -rf /var/lib/apt/lists/*; apt-get -qq update", seconds=120)
        version = stages.stage.packages.versions["first"]
        self.machine.run(f"apt-get -qq -y --allow-downgrades install shortener={version}", seconds=120)
        self.start_all()

    def assert_stopped(self, n):
        """As the administrator left it: service and socket, and neither has failed."""
        units = (f"shortener@{n}.service", f"shortener@{n}.socket")
        self.assertEqual([self.machine.property(unit, "ActiveState") for unit in units], ["inactive"] * 2)
        self.assertEqual((self.pid(n), self.answer("/health", port=5000 + n)[0]), (0, 0))

    def test_what_is_stopped_stays_so(self):
        """The administrator stopped the second instance: the others are restarted, one after the other."""
        stages.stage.second.wait()
        packages = stages.stage.packages
        self.start_all()
        self.assertEqual(self.installed(), packages.versions["first"])
        pids = {n: self.pid(n) for n in (1, 3)}
        self.machine.run("shortenerctl stop 2")
        self.assert_stopped(2)
        stages.Stage.give(self.machine, packages.second)
        try:
            self.machine.run("apt-get -qq update", seconds=120)
            with Traffic(self.machine, self.codes()) as traffic:
                traffic.go_on(2)
                self.machine.run("apt-get -qq -y install --only-upgrade shortener", seconds=300)
                traffic.mark("upgraded")
                traffic.go_on(2)
            note(f"upgrade with one instance stopped: {traffic.summary()}")
            self.assertEqual(self.installed(), packages.versions["second"])
            self.assert_stopped(2)
            self.assertEqual(self.running(), [1, 3], "an instance runs the old program, or the stopped one runs")
            for n, pid in pids.items():
                self.assertNotIn(self.pid(n), (0, pid), f"instance {n} was not restarted")
            first_ready = int(self.machine.property("shortener@1.service", "ActiveEnterTimestampMonotonic"))
            last_stopped = int(self.machine.property("shortener@3.service", "ActiveExitTimestampMonotonic"))
            self.assertLess(first_ready, last_stopped, "the third was stopped before the first was back")
            self.assertEqual(traffic.failed()[:5], [], f"{len(traffic.failed())} failed")
            self.check_promises(traffic)
            self.assertLess(traffic.longest(), 5)
        finally:
            self.back_to_the_first()

    def test_upgrade_with_migration_under_load(self):
        stages.stage.second.wait()
        packages = stages.stage.packages
        self.start_all()
        pids, schema = [self.pid(n) for n in INSTANCES], self.schema()
        self.assertEqual(self.installed(), packages.versions["first"])
        stages.Stage.give(self.machine, packages.second)
        with Traffic(self.machine, self.codes()) as traffic:
            traffic.go_on(2)
            self.machine.run("apt-get -qq update; apt-get -qq -y upgrade", seconds=300)
            traffic.mark("new programs on the old schema")
            traffic.go_on(2)
            self.assertEqual(self.schema(), schema)
            self.machine.run("shortenerctl db migrate")
            traffic.mark("migrated")
            traffic.go_on(3)
        note(f"upgrade with a migration: {traffic.summary()}")
        self.assertEqual(self.installed(), packages.versions["second"])
        self.assertEqual(self.schema(), schema + 1)
        self.assertFalse(set(pids) & {self.pid(n) for n in INSTANCES}, "an instance was not restarted")
        self.assertEqual(self.running(), list(INSTANCES), "an instance runs the old program")
        self.sql("SELECT note FROM urls LIMIT 1")
        self.assertEqual(traffic.failed()[:5], [], f"{len(traffic.failed())} failed")
        self.check_promises(traffic)
        self.assertLess(traffic.longest(), 5)

    def test_conffiles_are_kept(self):
        """What an administrator has changed is there after the upgrade."""
        self.machine.run("echo '# mine' >>/etc/shortener/shortener.conf")
        self.machine.run("apt-get -qq -y install --reinstall shortener", seconds=120)
        self.assertIn("# mine", self.machine.out("cat /etc/shortener/shortener.conf"))
        self.wait_ready()

    def test_old_program_refuses_a_newer_schema(self):
        """Back to the first version: it exits 78 with a text that says what to do."""
        stages.Stage.give(self.machine, stages.stage.packages.first)
        version = stages.stage.packages.versions["first"]
        # apt takes no archive that is older than the one it knows.
        self.machine.run("rm -rf /var/lib/apt/lists/*; apt-get -qq update", seconds=120)
        done = self.machine.run(f"apt-get -qq -y --allow-downgrades install shortener={version}", seconds=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_for(lambda: self.machine.property("shortener@1.service", "ExecMainStatus") == "78", 20, "exit 78")
        text = self.machine.journal("-u", "shortener@1", "-n", "30", "-o", "cat")
        self.assertRegex(text, r"schema \d+ is newer than \d+")
        self.assertIn("is not active after the upgrade", done.stdout + done.stderr)
        self.assertEqual(self.answer("/health")[0], 200, "the instances behind it go on with the old program")
