# SPDX-License-Identifier: MIT
"""Control groups of a machine's own.

A container that is not registered with a service manager runs in the groups of whoever started it,
and so would a second one: the PID 1 of each would then find the other's processes in its units.
"""

import contextlib
import os
from pathlib import Path

# Of the hierarchies of cgroup v1, those that systemd uses; empty stands for cgroup v2.
USED = {"", "name=systemd", "cpu", "cpuacct", "memory", "blkio", "pids", "devices"}


def own_groups():
    """{hierarchy: the folder of this process's group in it}."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = Path(before.split()[4])
        elif kind == "cgroup":
            for name in options.split(","):
                mounts[name] = Path(before.split()[4])
    groups = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in USED and name in mounts:
                groups[name] = mounts[name] / path.lstrip("/")
    return groups


class Groups:
    """New groups below those of this process."""

    def __init__(self, name):
        self.folders = sorted({folder / name for folder in own_groups().values()})
        for folder in self.folders:
            folder.mkdir()

    def join(self):
        """Puts the calling process into them; what it starts is born there."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def close(self):
        """Removes them with all groups below; nothing runs in them any more."""
        for top in self.folders:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
