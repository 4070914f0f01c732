# SPDX-License-Identifier: MIT
"""The bare Debian 12 that the booted tests start from: made once by mmdebstrap, kept in a cache.

It holds systemd and little else, and below /srv/debian a package archive with everything that the
provision script may ask for, so that a machine without a network can be provisioned from it. The
packages come from the apt sources of the machine that runs the test.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"

# What the machine is born with: a minimal system that boots.
BORN_WITH = ["systemd", "systemd-sysv", "dbus", "iproute2", "procps", "curl", "apt-utils", "ca-certificates"]

# What can be installed on it: the services that the provision script wants, the libraries of our
# programs, and what the packages' own tests run.
INSTALLABLE = [
    "nginx-light", "postgresql", "redis-server", "prometheus", "prometheus-node-exporter",
    "prometheus-alertmanager", "prometheus-postgres-exporter", "prometheus-redis-exporter",
    "prometheus-nginx-exporter", "prometheus-blackbox-exporter", "openssl", "logrotate", "adduser", "sqlite3", "strace", "bash-completion", "python3",
    "libsystemd0", "libjansson4", "libinih1", "libidn2-0", "libsqlite3-0", "libpq5", "libhiredis0.14",
    "libcurl4",
]  # fmt: skip

# Runs in the new root while it has a network: fetches, makes the archive, forgets where from.
ARCHIVE = """
set -e
chroot "$1" sh -c '
    apt-get -qq -y --no-install-recommends --download-only install {packages}
    mkdir -p /srv/debian
    mv /var/cache/apt/archives/*.deb /srv/debian/
    cd /srv/debian
    apt-ftparchive packages . >Packages
    apt-ftparchive release . >Release
'
rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/debian ./' >"$1/etc/apt/sources.list"
rm -f "$1/etc/machine-id" "$1/etc/hostname"
touch "$1/etc/machine-id"
"""


def cache():
    """Where roots are kept: outside of the tree."""
    folder = os.environ.get("XDG_CACHE_HOME") or "/var/cache"
    return Path(folder) / "shortener-tests"


def sources():
    """The files with apt sources of this machine that are about the suite."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    found = [
        file for file in files
        if file.suffix in (".list", ".sources") and file.is_file() and SUITE in file.read_text(errors="replace")
    ]  # fmt: skip
    if not found:
        raise OSError(f"no apt source of this machine offers {SUITE}: a Debian 12 is wanted")
    return [str(file) for file in found]


def name():
    """Another list of packages, or another recipe, is another root."""
    recipe = "\n".join([SUITE, *BORN_WITH, "--", *INSTALLABLE, ARCHIVE])
    return f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


@contextlib.contextmanager
def locked(path):
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(folder):
    """Makes the root; what breaks off leaves nothing under the final name."""
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=" + ",".join(BORN_WITH),
        '--aptopt=Acquire::Languages "none"', "--customize-hook=" + ARCHIVE.format(packages=" ".join(INSTALLABLE)),
        "--skip=cleanup/reproducible", SUITE, str(unfinished), *sources(),
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise OSError(f"mmdebstrap: {done.returncode}: {done.stdout[-3000:]}")
    unfinished.rename(folder)


def bare_root():
    """The folder with the root; read only for everybody: boot an overlay of it."""
    cache().mkdir(parents=True, exist_ok=True)
    folder = cache() / name()
    with locked(cache() / "lock"):
        if not folder.exists():
            build(folder)
    return folder


if __name__ == "__main__":
    print(bare_root())
