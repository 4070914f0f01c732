# SPDX-License-Identifier: MIT
"""Builds the Debian packages by script/package, and a second version of them with a migration.

Each version is an archive that apt can install from.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]

# What the second version adds to each store's schema: what a release would, a column and an index
# that the first version knows nothing of.
MIGRATION = """-- SPDX-License-Identifier: MIT
-- Only in the second version of the booted tests.
ALTER TABLE urls ADD COLUMN note TEXT;
CREATE INDEX urls_note ON urls (note) WHERE note IS NOT NULL;
"""


def copy_tree(folder):
    """The project's files, without what a build has left."""
    command = ["git", "-C", str(TREE), "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (TREE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, folder / name)


def version(source):
    first = (source / "debian/changelog").read_text(encoding="utf-8").splitlines()[0]
    return re.match(r"shortener \(([^)]+)\)", first)[1]


def make_second(source):
    """Turns a copy of the tree into the next version, which carries a migration."""
    changelog = source / "debian/changelog"
    text = changelog.read_text(encoding="utf-8")
    end = text.index("\n", text.index("\n -- ") + 1) + 1  # of the newest entry
    now = version(source)
    entry = text[:end].replace(f"({now})", f"({now}+second)", 1)
    changelog.write_text(entry + "\n" + text, encoding="utf-8")
    for series in sorted((source / "src/store/schema").iterdir()):
        if series.is_dir():
            number = len(list(series.glob("[0-9]*.sql"))) + 1
            (series / f"{number:04}-second-version.sql").write_text(MIGRATION, encoding="utf-8")


def build(source, archive, kind="deb"):
    """script/package of that tree. A compiler cache, where there is one, saves half a minute."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SHORTENER_", "CMAKE_"))}
    if Path("/usr/lib/ccache/gcc").exists():
        environment["PATH"] = "/usr/lib/ccache:" + environment["PATH"]
    done = subprocess.run([source / "script/package", kind, archive], env=environment, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    if done.returncode != 0:
        raise OSError(f"script/package: {done.returncode}: {done.stdout[-4000:]}")


class Packages:
    """folder/first and folder/second; their versions as apt shows them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.first = self.folder / "first"
        self.second = self.folder / "second"
        self.versions = {}

    def build_first(self):
        build(TREE, self.first)
        self.versions["first"] = version(TREE)

    def build_second(self):
        with tempfile.TemporaryDirectory(prefix="shortener-second-") as source:
            copy_tree(Path(source))
            make_second(Path(source))
            build(Path(source), self.second)
            self.versions["second"] = version(Path(source))
