#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian packages: lintian has nothing to say, two builds in two folders are identical, each
file is in the package where it belongs, and the scripts of the packages do what they should.

Installing, upgrading and purging them is tests/system's.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lint"), str(ROOT / "tests" / "lib")]
import harness
import lint

NEEDED = ("dpkg-buildpackage", "dh", "lintian")
# The second build differs in all of these, and in its folder; and it runs the tests of a package's build.
VARIATIONS = (
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent/first", "DEB_BUILD_OPTIONS": "nocheck parallel=2"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": "/nonexistent/second-home", "DEB_BUILD_OPTIONS": "parallel=2"},
)
DISTRIBUTION = ("nginx", "postgresql", "redis", "prometheus", "valkey", "alertmanager")


def run(*command, **options):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-8000:]}")
    return done.stdout


def environment_of(variation):
    env = {name: value for name, value in os.environ.items()
           if name not in ("CFLAGS", "LDFLAGS", "CPPFLAGS", "CMAKE_C_COMPILER_LAUNCHER")
           and not name.startswith(("DEB_", "GCOV_"))}
    return env | variation


def build_as_released(folder, variation):
    """script/package, into folder."""
    run(str(ROOT / "script" / "package"), "deb", str(folder), env=environment_of(variation))


def build_by_hand(folder, variation):
    """dpkg-buildpackage below folder; what is built is what git tracks or would."""
    source = folder / "shortener"
    for name in lint.tree_files(ROOT):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=source, env=environment_of(variation))
    shutil.rmtree(source)


def packages(folder):
    """{name of a package: its .deb}"""
    return {path.name.split("_")[0]: path for path in sorted(folder.glob("*.deb"))}


def files_of(deb):
    """{path: "mode owner"} of all that is no folder."""
    files = {}
    for line in run("dpkg-deb", "--contents", str(deb)).splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        if not mode.startswith("d"):
            files[path.split(" -> ")[0].lstrip(".")] = f"{mode} {owner}"
    return files


class Debian(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing:
            raise unittest.SkipTest(f"not installed: {' '.join(missing)} (script/bootstrap)")
        cls.temporary = tempfile.TemporaryDirectory(prefix="shortener-package-")
        cls.addClassCleanup(cls.temporary.cleanup)
        # The booted tests of the same tree can install the first build.
        first = Path(os.environ.get("SHORTENER_TEST_PACKAGES") or Path(cls.temporary.name, "a"))
        second = Path(cls.temporary.name, "another-folder-with-a-longer-name")
        build_as_released(first, VARIATIONS[0])
        build_by_hand(second, VARIATIONS[1])
        (cls.changes,) = first.glob("*.changes")
        cls.built = [packages(folder) for folder in (first, second)]
        cls.files = {name: files_of(deb) for name, deb in cls.built[0].items()}

    def field(self, package, name):
        return run("dpkg-deb", "--field", str(self.built[0][package]), name).strip()

    def script(self, package, name):
        """A script of the package, "" when it has none."""
        with tempfile.TemporaryDirectory() as folder:
            run("dpkg-deb", "--control", str(self.built[0][package]), folder)
            path = Path(folder, name)
            if not path.exists():
                return ""
            if name not in ("conffiles", "control", "md5sums", "triggers"):
                run("sh", "-n", str(path))
            return path.read_text(encoding="utf-8")

    def invoked(self, package):
        """What dh's parts of the package's postinst ask of systemd."""
        parts = re.findall(r"(?s)# Automatically added by.*?# End automatically added", self.script(package, "postinst"))
        return re.findall(r"deb-systemd-invoke (.*?) >", "\n".join(parts))

    @staticmethod
    def is_machine_code(tag):
        """Is what lintian takes for a misspelt word no word of ours? Instructions may be letters, too: wtH is ja, je and
        the prefix of a third."""
        word = re.search(r"spelling-error-in-binary (\w+) \w+ \[", tag)
        sources = [name for name in lint.tree_files(ROOT) if name.startswith("src/")]
        return bool(word) and not any(word[1] in lint.read(ROOT, name) for name in sources)

    def test_what_machine_code_may_say(self):
        tag = "I: shortener: spelling-error-in-binary {} with [usr/sbin/shortenerd]"
        self.assertTrue(self.is_machine_code(tag.format("wtH")))
        self.assertFalse(self.is_machine_code(tag.format("static")))
        self.assertFalse(self.is_machine_code(tag.format("PARTITION")))  # of the schema, which is in the program, too
        self.assertFalse(self.is_machine_code("W: shortener: no-manual-page wtH [usr/sbin/shortenerd]"))

    def test_lintian(self):
        done = subprocess.run(["lintian", "--allow-root", "-EviI", "--pedantic", str(self.changes)],
                              capture_output=True, text=True, check=False)
        tags = [line for line in done.stdout.splitlines() if re.match(r"(?!N)[A-Z]: ", line)]  # N: explains one
        tags = [tag for tag in tags if not self.is_machine_code(tag)]
        self.assertEqual((tags, done.returncode), ([], 0), done.stdout + done.stderr)

    def test_two_builds_are_identical(self):
        self.assertEqual(set(self.built[0]), set(self.built[1]))
        self.assertIn("shortener-dbgsym", self.built[0])
        for name, deb in self.built[0].items():
            digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (deb, self.built[1][name])]
            self.assertEqual(*digests, f"{name} differs")

    def test_every_file_is_in_one_package(self):
        seen = {}
        for package, files in self.files.items():
            for path, mode in files.items():
                self.assertNotIn(path, seen, f"in {package} too")
                seen[path] = package
                self.assertRegex(mode, r"^(-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) root/root$", path)
        for path, package in {
                "/usr/sbin/shortenerd": "shortener", "/usr/bin/shortenerctl": "shortener",
                "/lib/systemd/system/shortener@.service": "shortener",
                "/lib/systemd/system/shortener@.socket": "shortener",
                "/lib/systemd/system/shortener.target": "shortener",
                "/lib/systemd/system-generators/shortener-generator": "shortener",
                "/usr/lib/sysusers.d/shortener.conf": "shortener",
                "/usr/lib/systemd/catalog/shortener.catalog": "shortener",
                "/etc/shortener/shortener.conf": "shortener", "/etc/default/shortener": "shortener",
                "/etc/redis/redis-shortener.conf": "shortener",
                "/usr/sbin/shortener-alertd": "shortener-alertd", "/etc/shortener/alertd.conf": "shortener-alertd",
                "/lib/systemd/system/shortener-alertd.socket": "shortener-alertd",
                "/usr/share/man/man8/shortener-alertd.8.gz": "shortener-alertd",
                "/usr/share/man/man8/shortenerd.8.gz": "shortener",
                "/etc/nginx/sites-available/shortener": "shortener-nginx",
                "/usr/lib/sysusers.d/shortener-nginx.conf": "shortener-nginx",
                "/etc/shortener/monitoring/prometheus.yml": "shortener-monitoring"}.items():
            self.assertEqual(seen.get(path), package, path)

    def test_configuration_is_the_administrators(self):
        for package, files in self.files.items():
            conffiles = set(self.script(package, "conffiles").split())
            self.assertEqual(conffiles, {path for path in files if path.startswith("/etc/")}, package)

    def test_nothing_is_enabled_for_others(self):
        for path in (path for files in self.files.values() for path in files):
            self.assertNotRegex(path, r"^/etc/(nginx/sites-enabled|systemd)/")

    def test_servers_are_no_dependencies(self):
        for package in self.files:
            depends = self.field(package, "Depends") + "," + self.field(package, "Pre-Depends")
            names = {name.split()[0] for name in re.split(r"[,|]", depends) if name.strip()}
            self.assertEqual([name for name in names if name.startswith(DISTRIBUTION)], [], package)
        for library in ("libsystemd0", "libsqlite3-0", "libpq5", "libidn2-0"):
            self.assertIn(library, self.field("shortener", "Depends"))

    def test_programs_are_hardened(self):
        for package, names in (("shortener", ("usr/sbin/shortenerd", "usr/bin/shortenerctl",
                                              "lib/systemd/system-generators/shortener-generator")),
                               ("shortener-alertd", ("usr/sbin/shortener-alertd",))):
            with tempfile.TemporaryDirectory() as folder:
                run("dpkg-deb", "--extract", str(self.built[0][package]), folder)
                for name in names:
                    text = run("readelf", "--wide", "--program-headers", "--dynamic", "--dyn-syms", f"{folder}/{name}")
                    for wanted in (r"GNU_RELRO", r"\(FLAGS_1\).*NOW.*PIE", r"__stack_chk_fail@", r"__\w+_chk@",
                                   r"GNU_STACK.* RW "):
                        self.assertRegex(text, wanted, name)
                    self.assertNotIn("RPATH", text)

    def test_scripts(self):
        postinst = self.script("shortener", "postinst")
        for wanted in ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper enable 'shortener.target'",
                       "try-restart"):
            self.assertIn(wanted, postinst)
        # On an upgrade nothing is restarted at once.
        self.assertNotRegex(postinst, r"(?<!try-)restart 'shortener")
        # dh's own parts start nothing: an upgrade must not start what was stopped. tests/package/test_scripts.py has ours.
        self.assertEqual(self.invoked("shortener"), [])
        self.assertEqual(self.invoked("shortener-alertd"), ["try-restart 'shortener-alertd.service' 'shortener-alertd.socket'"])
        self.assertIn("deb-systemd-helper enable 'shortener-alertd.socket'", self.script("shortener-alertd", "postinst"))
        self.assertNotRegex(self.script("shortener", "preinst"), r"systemctl|deb-systemd-invoke")
        prerm = self.script("shortener", "prerm")
        self.assertRegex(prerm, r'"\$1" = remove \] [^\n]*then\n(?: .*\n)* *deb-systemd-invoke stop shortener\.target')
        postrm = self.script("shortener", "postrm")
        self.assertIn("rm -rf /var/lib/shortener /run/shortener", postrm)
        self.assertIn("shortener-http", run("dpkg-deb", "--fsys-tarfile", str(self.built[0]["shortener-nginx"]),
                                            encoding="latin-1"))


if __name__ == "__main__":
    harness.main()
