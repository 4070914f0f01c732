# SPDX-License-Identifier: MIT
"""Install, upgrade, remove, purge, reinstall: nothing is left. On a machine of its own."""

import re

import machine as machines
import stage as stages
from stage import ARCHIVE, Check

PACKAGES = "shortener shortener-nginx shortener-monitoring shortener-alertd"

# Not ours: the package manager's own notes, logs of others, and the lists of users. A system user
# stays, as Debian has it, so that nobody gets its number.
NOT_OURS = (
    r"^/(proc|sys|dev|tmp)/|^/run/(?!shortener)|^/var/(lib/(dpkg|apt|systemd|ucf|prometheus)|cache|tmp|log/(journal|apt|dpkg|alternatives|btmp|wtmp"
    r"|lastlog|faillog))|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^/etc/(apt|ld\.so\.cache|\.pwd\.lock|machine-id)"
    r"|^/srv/|^/opt/|^/root/|^/usr/lib/x86_64-linux-gnu/|^/lib/systemd/catalog|^/etc/systemd/system/(nginx|prometheus|postgresql)"
)  # fmt: skip


class Purge(Check):
    def setUp(self):
        self.own = stages.stage.stack.enter_context(machines.Machine("purge"))
        stages.Stage.give(self.own, stages.stage.packages.first)
        self.own.write("/etc/apt/sources.list.d/shortener.list", f"deb [trusted=yes] file:{ARCHIVE} ./\n")
        self.own.run("apt-get -qq update", seconds=120)

    def tearDown(self):
        self.own.close()

    def files(self):
        found = self.own.out("find / -xdev -path /proc -prune -o -print; find /run -maxdepth 1").splitlines()
        return {name for name in found if not re.search(NOT_OURS, name)}

    def apt(self, *words):
        self.own.run(["apt-get", "-qq", "-y", *words], seconds=300)

    def test_nothing_is_left(self):
        # What ours need stays installed, so that the difference is ours alone.
        depends = self.own.out(f"apt-get -s install --no-install-recommends {PACKAGES} | awk '/^Inst/ {{print $2}}'").split()
        others = [name for name in depends if name not in PACKAGES.split()]
        self.apt("install", "--no-install-recommends", "nginx-light", "prometheus", *others)
        before = self.files()
        for _ in range(2):
            self.apt("install", "--no-install-recommends", *PACKAGES.split())
            self.use()
            self.apt("remove", *PACKAGES.split())
            self.assertTrue(self.own.path("/etc/shortener/shortener.conf").exists(), "a remove keeps the configuration")
            self.assertTrue(self.own.path("/var/lib/shortener").exists(), "a remove keeps the data")
            self.assertEqual(self.own.out("ss -Hltn 'sport >= 5001 and sport <= 5009'"), "")
            self.apt("purge", *PACKAGES.split())
            self.assertEqual(sorted(self.files() - before), [])
            self.assertEqual(sorted(before - self.files()), [])
            self.own.run("nginx -t")  # it starts again without our site
        self.assertEqual(self.own.out("systemctl is-system-running", check=False), "running")

    def use(self):
        """As somebody would: instances with a store, a link, a visit, monitoring."""
        self.own.write("/etc/shortener/shortener.conf.d/50-store.conf",
                       "[Store]\nURL=sqlite:/var/lib/shortener/shortener.db\n")  # fmt: skip
        self.own.run("systemctl daemon-reload; systemctl reset-failed; systemctl restart shortener.target")
        machines.wait_for(lambda: self.own.run("curl -fs http://127.0.0.1:5001/ready", check=False).returncode == 0, 20,
                          "an instance")  # fmt: skip
        self.own.run("shortenerctl seed")
        self.own.run("shortenerctl monitoring enable")
        self.own.run("ln -sf ../sites-available/shortener /etc/nginx/sites-enabled/; nginx -t")
        # What an administrator has made he also removes.
        self.own.run("rm /etc/shortener/shortener.conf.d/50-store.conf")
