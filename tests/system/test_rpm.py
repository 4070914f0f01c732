# SPDX-License-Identifier: MIT
"""The RPM packages, built on this Debian with its unit tests, and compared with the .debs; Vagrant.

What a scriptlet does under dnf, and SELinux, cannot be tried here.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import packages
import stage as stages
from packages import TREE

# Where Fedora has it otherwise than Debian; documents of the package manager's own are left out.
MOVED = [
    (r"^/lib/systemd/", "/usr/lib/systemd/"),
    (r"^/etc/nginx/sites-available/shortener$", "/etc/nginx/conf.d/shortener.conf"),
]
NOT_COMPARED = re.compile(
    r"^/usr/share/doc/[^/]+/(changelog|copyright|NEWS|README)|^/usr/share/lintian/|^/usr/share/licenses/|^/usr/lib/\.build-id"
)


def out(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}: {done.stdout[-4000:]}")
    return done.stdout


def comparable(names):
    result = set()
    for name in names:
        for pattern, there in MOVED:
            name = re.sub(pattern, there, name)
        if not NOT_COMPARED.search(name):
            result.add(re.sub(r"(/man\d/.*)\.gz$", r"\1", name))
    return result


class Rpm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="shortener-rpm-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        packages.build(TREE, cls.folder / "packages", "rpm")
        cls.log = (cls.folder / "packages/build.log").read_text(encoding="utf-8", errors="replace")
        cls.files = {}
        for path in sorted((cls.folder / "packages").glob("*.rpm")):
            if not path.name.endswith(".src.rpm"):
                cls.files[path.name.rsplit("-", 2)[0]] = path

    def test_check_ran_the_unit_tests(self):
        found = re.search(r"100% tests passed, 0 tests failed out of (\d+)", self.log)
        self.assertTrue(found, self.log[-2000:])
        self.assertGreater(int(found[1]), 50)

    def test_same_files_as_the_debs(self):
        debs = {path.name.split("_")[0]: path for path in stages.stage.packages.first.glob("*.deb")
                if "-dbgsym" not in path.name}  # fmt: skip
        self.assertEqual(set(self.files), set(debs))
        for name, rpm in self.files.items():
            with self.subTest(package=name):
                root = self.folder / name
                root.mkdir()
                out("rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--noscripts", "--ignorearch",
                    "--ignoreos", str(rpm))  # fmt: skip
                unpacked = [f"/{p.relative_to(root)}" for p in root.rglob("*") if p.is_file() or p.is_symlink()]
                unpacked = [p for p in unpacked if not p.startswith(("/var/lib/rpm/", "/usr/lib/sysimage/"))]
                self.assertEqual(comparable(unpacked), comparable(self.deb_files(debs[name])))

    @staticmethod
    def deb_files(path):
        lines = out("dpkg-deb", "--contents", str(path)).splitlines()
        return [line.split(None, 5)[5].split(" -> ")[0][1:] for line in lines if not line.startswith("d")]

    def test_configuration_is_kept(self):
        for name, rpm in self.files.items():
            config = set(out("rpm", "-qp", "--configfiles", str(rpm)).split())
            etc = {f for f in out("rpm", "-qpl", str(rpm)).split() if f.startswith("/etc/") and "." in f.rsplit("/", 1)[-1]
                   and not f.endswith(".d")}  # fmt: skip
            self.assertLessEqual(etc, config, name)

    def test_sysusers_and_presets(self):
        listed = out("rpm", "-qpl", str(self.files["shortener"])).split()
        self.assertIn("/usr/lib/sysusers.d/shortener.conf", listed)
        self.assertIn("/usr/lib/systemd/system-preset/90-shortener.preset", listed)

    def test_rpmlint(self):
        text = out("rpmlint", "--config", str(TREE / "rpm/rpmlint.toml"), str(TREE / "rpm/shortener.spec"),
                   *map(str, self.files.values()))  # fmt: skip
        self.assertRegex(text, r"\b0 errors, 0 warnings\b")

    def test_index_for_dnf(self):
        self.assertTrue((self.folder / "packages/repodata/repomd.xml").exists())


class Vagrant(unittest.TestCase):
    def test_validate(self):
        with tempfile.TemporaryDirectory(prefix="shortener-vagrant-") as home:
            environment = dict(os.environ, VAGRANT_HOME=home, VAGRANT_DOTFILE_PATH=home + "/state",
                               VAGRANT_CHECKPOINT_DISABLE="1", VAGRANT_CWD=str(TREE))  # fmt: skip
            done = subprocess.run(["vagrant", "validate", "--ignore-provider"], env=environment, capture_output=True,
                                  text=True, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("validated successfully", done.stdout)
